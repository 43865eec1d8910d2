"""`python3 dev.py mutate [cds_service.engine.step_up* …]`: break the code one step at a time: which break is noticed?

mutmut changes one operator, number, text or argument of the engine or the FHIR mappings, and the tests that touch that
function are run. It leaves decorated functions out, and here those hold clinical questions (`cached_property`); so it
works on a copy in which each of them hands on to an undecorated twin.

Without names a fixed random sample of SAMPLE mutants is tried, in less than an hour on two cores; `all` takes all.
A survivor that `survivors.yaml` does not explain is printed; too many of them fail the command.
"""

from __future__ import annotations

import ast
import difflib
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import yaml

from tests.mutation.forked import SURVIVED, UNTOUCHED, function_of

ROOT = Path(__file__).resolve().parents[2]
WORKPLACE = ROOT / ".mutation"
COPIED = ("app.py", "cds_service", "fhir_mappings", "tests", "docs", "pyproject.toml")
SURVIVORS = Path(__file__).with_name("survivors.yaml")
SAMPLE, SEED, FEW, BOUND = 400, 20261125, 100, 0.05
MUTATED = ("cds_service/engine", "fhir_mappings")
TESTS = (
    "tests/engine",
    "tests/fhir_mappings",
    "tests/knowledge",
    "tests/vignettes/test_pages.py",
    "tests/vignettes/test_requests.py",
)
HANDED_ON = ("property", "cached_property", "cache", "lru_cache")


def with_undecorated_twins(source: str) -> str:
    """The same program, in which every property and every cached function only calls a function without decorators."""
    lines = source.splitlines(keepends=True)
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for function in sorted(functions, key=lambda node: node.lineno, reverse=True):
        if any(_name(decorator) in HANDED_ON for decorator in function.decorator_list):
            head = lines[function.lineno - 1 : function.body[0].lineno - 1] or [lines[function.lineno - 1]]
            twin = f"undecorated_{function.name}"
            indent = " " * function.col_offset
            hand_on = f"{indent}    return {_call(function, twin)}\n"
            renamed = [head[0].replace(f"def {function.name}(", f"def {twin}(", 1), *head[1:]]
            lines[function.lineno - 1 : function.lineno - 1 + len(head)] = [*head, hand_on, "\n", *renamed]
    return "".join(lines)


def _name(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)


def _call(function: ast.FunctionDef, twin: str) -> str:
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    rest = [f"*{function.args.vararg.arg}"] if function.args.vararg else []
    named = [f"{argument.arg}={argument.arg}" for argument in function.args.kwonlyargs]
    owner, handed = ("self.", names[1:]) if names[:1] == ["self"] else ("", names)
    return f"{owner}{twin}({', '.join([*handed, *rest, *named])})"


def lay_out() -> None:
    """A fresh copy of the tree to break things in: mutmut would keep an earlier run's knowledge and value sets."""
    shutil.rmtree(WORKPLACE, ignore_errors=True)
    WORKPLACE.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, WORKPLACE / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, WORKPLACE / name)
    for folder in MUTATED:
        for path in sorted((WORKPLACE / folder).rglob("*.py")):
            path.write_text(with_undecorated_twins(path.read_text(encoding="utf-8")), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Made:
    """The mutants, and for each function the tests that touch it, those that touch the least else first."""

    mutants: tuple[str, ...]
    tests: Mapping[str, Sequence[str]]


def made() -> Made:
    """What mutmut made and noted."""
    folder = WORKPLACE / "mutants"
    noted = json.loads((folder / "mutmut-stats.json").read_text(encoding="utf-8"))["tests_by_mangled_function_name"]
    breadth = Counter(test for tests in noted.values() for test in tests)
    mutants = [
        name
        for path in sorted(folder.rglob("*.meta"))
        for name in json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    ]
    ordered = {name: sorted(tests, key=lambda test: (breadth[test], test)) for name, tests in noted.items()}
    return Made(mutants=tuple(mutants), tests=ordered)


def chosen_of(mutants: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Those that a pattern names; without patterns the sample, the same for the same code."""
    if patterns == ["all"]:
        return list(mutants)
    if patterns:
        return [mutant for mutant in mutants if any(fnmatch(mutant, pattern) for pattern in patterns)]
    return random.Random(SEED).sample(mutants, min(SAMPLE, len(mutants)))


def few_of(tests: Sequence[str]) -> list[str]:
    """The tests of a first round: FEW that touch little else, and as many again, twice, of the whole calls."""
    calls = [test for test in tests[FEW:] if test.startswith("tests/vignettes")]
    return [*tests[:FEW], *calls[:: max(1, -(-len(calls) // (2 * FEW)))]]


def survivors_of(mutants: Sequence[str], tests: Mapping[str, Sequence[str]]) -> list[str]:
    """The mutants that none of the tests notices."""
    request = WORKPLACE / "mutants" / "request.json"
    verdicts = request.with_suffix(".verdicts")
    verdicts.unlink(missing_ok=True)
    request.write_text(json.dumps({"mutants": list(mutants), "tests": tests}), encoding="utf-8")
    plugin = ["--tb=native", "-p", "no:cacheprovider", "-p", "tests.mutation.forked", "--mutants", request.name]
    command = [sys.executable, "-m", "pytest", "-q", *plugin, *TESTS]
    subprocess.run(command, cwd=request.parent, check=True)
    said = dict(line.split(" ", 1) for line in verdicts.read_text(encoding="utf-8").splitlines())
    return [mutant for mutant in mutants if said[mutant] in {SURVIVED, UNTOUCHED}]


def change_of(mutant: str) -> str:
    """What the mutant changes: the lines as they were and as they are."""
    module, _, name = mutant.rpartition(".")
    path = WORKPLACE / "mutants" / (module.replace(".", "/") + ".py")
    source = path.read_text(encoding="utf-8")
    bodies = {
        node.name: (ast.get_source_segment(source, node) or "").splitlines()[1:]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name in {name, f"{function_of(name)}__mutmut_orig"}
    }
    compared = difflib.ndiff(bodies[f"{function_of(name)}__mutmut_orig"], bodies[name])
    return " ".join(" ".join(line.split()) for line in compared if line[0] in "+-")


def explained() -> dict[tuple[str, str], str]:
    """(function, change) → why the mutant may survive."""
    groups = yaml.safe_load(SURVIVORS.read_text(encoding="utf-8"))
    return {(one["in"], one["change"]): group["why"] for group in groups for one in group["survivors"]}


def main(patterns: list[str]) -> int:
    """Break, test, report."""
    lay_out()
    tool = [sys.executable, "-m", "mutmut", "run", "no mutant has this name"]  # makes the mutants, notes the tests
    subprocess.run(tool, cwd=WORKPLACE, check=False)
    found = made()
    chosen = chosen_of(found.mutants, patterns)
    unseen = survivors_of(chosen, {name: few_of(tests) for name, tests in found.tests.items()})
    survivors = survivors_of(unseen, found.tests)
    reasons = explained()
    for mutant in survivors:
        place = function_of(mutant), change_of(mutant)
        if place not in reasons:
            print(f"- in: {json.dumps(place[0], ensure_ascii=False)}")
            print(f"  change: {json.dumps(place[1], ensure_ascii=False)}")
    share = len(survivors) / max(1, len(chosen))
    print(f"{len(chosen)} of {len(found.mutants)} mutants; {len(survivors)} survive ({share:.1%})")
    return 0 if share < BOUND else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
