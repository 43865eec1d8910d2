"""A pytest plugin for `tests.mutation.code`: collect the tests once, then give each mutant a process forked from there.

mutmut's own runner collects the tests anew for every mutant, which takes seconds; 16,000 mutants would take a night.
It still makes the mutants, and says which tests touch which function.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

KILLED, SURVIVED, TIMED_OUT, UNTOUCHED = "killed", "survived", "timed out", "no test touches it"
SECONDS = 300  # of computing, far beyond what the tests of one function take
AT_THE_START = "cds_service.engine.requirements"  # runs when the knowledge is loaded, which tests do once and keep


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutants", type=Path, help="JSON: `mutants`, and `tests`: function -> ids")


@pytest.fixture(autouse=True)
def _caches_are_empty_while_the_touched_functions_are_noted() -> None:
    """Else only the first test that needs a cached answer would count as touching what computes it."""
    if os.environ.get("MUTANT_UNDER_TEST") == "stats":
        _forget("fhir_mappings", "cds_service.engine")


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    path = session.config.getoption("--mutants")
    if path is None:
        return None
    if (failing := _killer(session.items)) is not None:
        raise pytest.UsageError(f"{failing.nodeid} fails although nothing was changed")
    _forget("fhir_mappings", "cds_service.engine")
    gc.freeze()  # what all processes share stays shared
    asked = json.loads(path.read_text(encoding="utf-8"))
    items = {item.nodeid: item for item in session.items}
    touching = {name: [items[test] for test in tests if test in items] for name, tests in asked["tests"].items()}
    with path.with_suffix(".verdicts").open("a", encoding="utf-8") as verdicts:
        for mutant, verdict in _verdicts(asked["mutants"], touching):
            print(mutant, verdict, file=verdicts, flush=True)
    return True


def _forget(*packages: str) -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith(packages):
            for member in list(vars(module).values()):
                if isinstance(member, functools._lru_cache_wrapper):
                    member.cache_clear()


def _verdicts(mutants: Sequence[str], touching: Mapping[str, Sequence[pytest.Item]]) -> Iterator[tuple[str, str]]:
    running: dict[int, _Child] = {}
    killers: dict[str, dict[pytest.Item, None]] = {}  # function -> tests that noticed a mutant of it, the latest last
    for count, mutant in enumerate(mutants, 1):
        function = function_of(mutant)
        tests = list(dict.fromkeys([*reversed(killers.setdefault(function, {})), *touching.get(function, ())]))
        if not tests:
            yield mutant, UNTOUCHED
            continue
        child = _start(mutant, tests)
        running[child.process] = child
        if len(running) >= (os.cpu_count() or 1):
            yield _ended(running, killers)
        if count % 500 == 0:
            print(f"{count} of {len(mutants)}", file=sys.stderr, flush=True)
    while running:
        yield _ended(running, killers)


def function_of(mutant: str) -> str:
    """The name under which mutmut notes the tests that touch the mutant's function."""
    return mutant.rpartition("__mutmut_")[0]


@dataclass(frozen=True, kw_only=True)
class _Child:
    process: int
    mutant: str
    tests: Sequence[pytest.Item]
    answer: int  # the pipe on which it names the test that noticed the mutant


def _start(mutant: str, tests: Sequence[pytest.Item]) -> _Child:
    answer, say = os.pipe()
    process = os.fork()
    if process == 0:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        from mutmut.mutation import trampoline

        trampoline.get_mutant_under_test = lambda: mutant  # as the environment would say, without asking it each time
        if mutant.startswith(AT_THE_START):
            _forget("tests")
        killer = _killer(tests)
        os.write(say, str(tests.index(killer)).encode() if killer else b"")
        os._exit(0)
    os.close(say)
    return _Child(process=process, mutant=mutant, tests=tests, answer=answer)


def _killer(tests: Sequence[pytest.Item]) -> pytest.Item | None:
    """The first of the tests that fails."""
    for test, following in zip(tests, [*tests[1:], None], strict=True):
        try:
            if any(report.failed for report in runtestprotocol(test, log=False, nextitem=following)):
                return test
        except BaseException:  # noqa: BLE001 - whatever breaks the test run is noticed
            return test
    return None


def _ended(running: dict[int, _Child], killers: dict[str, dict[pytest.Item, None]]) -> tuple[str, str]:
    process, status = os.wait()
    child = running.pop(process)
    with os.fdopen(child.answer) as answer:
        killer = answer.read()
    if os.WIFSIGNALED(status):
        return child.mutant, TIMED_OUT if os.WTERMSIG(status) == signal.SIGPROF else KILLED
    if killer:
        quick, test = killers[function_of(child.mutant)], child.tests[int(killer)]
        quick.pop(test, None)
        quick[test] = None
    return child.mutant, KILLED if killer else SURVIVED
