"""Run or test a checkout on a machine that has nothing but Python: it makes its own environments.

    python3 dev.py run  [--host HOST] [--port PORT]   set up and start the service in demo mode
    python3 dev.py test [pytest arguments]            set up and run every check: lint, types, layers, tests
    python3 dev.py setup                              only make the environment for working on the code
    python3 dev.py mutate [NAME ...]                  break engine and mappings step by step: which break is noticed?
    python3 dev.py lock                               make the locks in requirements/ anew from pyproject.toml
    python3 dev.py sbom                               write docs/sbom.cdx.json and docs/licences.md for the runtime lock

Everything is installed from the locks, with hashes checked, into .venv (and .venv-fhir for the real FHIR
server of the tests, .venv-mutation for the tool that breaks the code). A second run installs nothing as long as
the locks are the same. `test` also tests the store with a PostgreSQL server that it starts itself, the proxy with nginx
and the pages with Chromium, if their programs are there (Debian: apt install postgresql nginx-light chromium); where
CI=true is set they must be.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LOCKS = ROOT / "requirements"
FROM_A_LOCK = ["--no-deps", "--require-hashes"]
"""A lock names all there is to install. Left to look for more, older releases of pip take for `coverage[toml]` the
newest release there is, not the locked one, and then refuse it."""
OLDEST_PYTHON = (3, 11)
SIDE_BY_SIDE = ["--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal"]
"""How all tests are run; a part of them is run in one process, where output and debugger work."""
MEASURED = ["tests/engine", "tests/fhir_mappings", "tests/knowledge", "tests/replay", "tests/vignettes"]
"""The tests that have to cover every branch of what [tool.tarlatamab.coverage_floor] names. Measuring makes code three
times as slow, and so the others go without."""


class Stopped(Exception):
    """Ends the command with one line for the person at the terminal."""


def python_of(environment: Path) -> Path:
    """The interpreter inside a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_environment(environment: Path) -> None:
    """Create an empty virtual environment in place of whatever stands there."""
    shutil.rmtree(environment, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(environment)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        shutil.rmtree(environment, ignore_errors=True)
        raise Stopped(
            f"Python cannot make a virtual environment ({sys.executable} -m venv failed): the venv or ensurepip "
            "module is missing. On Debian and Ubuntu: apt install python3-venv"
        )


def digest_of(environment: Path, *locks: Path) -> str:
    """What an environment writes down of itself once these locks are installed."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    wanted = hashlib.sha256("\n".join([version, str(environment)]).encode())
    for lock in locks:
        wanted.update(lock.read_bytes())
    return wanted.hexdigest()


def environment_with(environment: Path, *locks: Path, part_of_it: Path | None = None) -> Path:
    """The interpreter of `environment`, with exactly these locks installed; fast when they already are.

    An environment that holds only `part_of_it` stays and is filled up: a service may be running from it.
    """
    wanted = digest_of(environment, *locks)
    stamp, python = environment / "installed-from", python_of(environment)
    found = stamp.read_text(encoding="ascii") if stamp.is_file() and python.exists() else ""
    if found == wanted:
        return python
    print(f"Setting up {environment.name} ...", flush=True)
    if part_of_it is None or found != digest_of(environment, part_of_it):
        make_environment(environment)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *FROM_A_LOCK]
    for lock in locks:
        if subprocess.run([*pip, "--requirement", str(lock)], check=False).returncode != 0:
            raise Stopped(
                f"pip could not install {lock.relative_to(ROOT)}: see its message above (is the network there?)"
            )
    stamp.write_text(wanted, encoding="ascii")
    return python


def runtime() -> Path:
    """An environment that can run the service: the development one if it is there and up to date, else a small one."""
    return environment_with(
        ROOT / ".venv", LOCKS / "test.txt" if is_for_tests(ROOT / ".venv") else LOCKS / "runtime.txt"
    )


def is_for_tests(environment: Path) -> bool:
    """Whether the test tools stand in this environment, so that `run` need not throw them away."""
    return any(environment.glob("bin/pytest")) or any(environment.glob("Scripts/pytest.exe"))


def run(arguments: list[str]) -> int:
    """Start the service in demo mode."""
    environment = {**os.environ, "CDS_MODE": os.environ.get("CDS_MODE", "demo")}
    command = [str(runtime()), str(ROOT / "app.py"), *arguments]
    if os.name != "nt":
        os.chdir(ROOT)
        os.execve(command[0], command, environment)  # signals reach the service itself
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode


def setup() -> Path:
    """The environment for working on the code: the service, its tests and its tools."""
    return environment_with(ROOT / ".venv", LOCKS / "test.txt", part_of_it=LOCKS / "runtime.txt")


def test(arguments: list[str]) -> int:
    """Run every check and report all that fail; any failure fails the command."""
    python = setup()
    fhir_server = environment_with(ROOT / ".venv-fhir", LOCKS / "fhir-server.txt")
    tools = python.parent
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CDS_")},
        "FHIR_SERVER_PYTHON": str(fhir_server),
        "PYTHONHASHSEED": "0",  # processes that run side by side have to find the same tests in the same order
        "PYTHONPATH": str(ROOT),
    }
    checks = {
        "lint": [str(tools / "ruff"), "check", "."],
        "format": [str(tools / "ruff"), "format", "--check", "."],
        "types": [str(python), "-m", "mypy"],
        "layers": [str(tools / "lint-imports")],
    }
    pytest = [str(python), "-m", "pytest"]
    measuring = ["--cov", "--cov-report=term"]
    if arguments:
        checks["tests"] = [*pytest, *measuring, *arguments]  # a part of them covers a part of the code: no floor
    else:
        checks["tests of rules and mappings"] = [*pytest, *SIDE_BY_SIDE, *measuring, *MEASURED]
        checks["coverage"] = [str(python), str(ROOT / "tests" / "coverage_floor.py")]
        checks["all other tests"] = [*pytest, *SIDE_BY_SIDE, *(f"--ignore={folder}" for folder in MEASURED)]
    failed = []
    for name, command in checks.items():
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
            failed.append(name)
    print(f"== failed: {', '.join(failed)}" if failed else "== all checks passed", flush=True)
    return 1 if failed else 0


def mutate(arguments: list[str]) -> int:
    """Hours, all cores: what tests/mutation/code.py says of each mutant of the code."""
    python = environment_with(ROOT / ".venv-mutation", LOCKS / "test.txt", LOCKS / "mutation.txt")
    return subprocess.run([str(python), "-m", "tests.mutation.code", *arguments], cwd=ROOT, check=False).returncode


def lock() -> int:
    """Make the locks anew: exact versions with hashes, good for every supported Python and system."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "uv"
        make_environment(environment)
        python = python_of(environment)
        if subprocess.run([str(python), "-m", "pip", "install", "--quiet", "uv"], check=False).returncode != 0:
            raise Stopped("pip could not install uv, which makes the locks")
        compile_lock = [
            *[str(python), "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"],
            *["--generate-hashes", "--no-emit-index-url", "--no-header", "--no-config", "--upgrade"],
        ]
        for name, source in {
            "runtime.txt": ["pyproject.toml"],
            "replay.txt": ["pyproject.toml", "--extra", "replay", "--constraint", "requirements/runtime.txt"],
            "test.txt": ["pyproject.toml", "--extra", "test", "--constraint", "requirements/runtime.txt"],
            "fhir-server.txt": ["--group", "fhir-server"],
            "mutation.txt": ["--group", "mutation", "--constraint", "requirements/test.txt"],
            "supply-chain.txt": ["--group", "supply-chain"],
        }.items():
            target = ["--output-file", f"requirements/{name}"]
            if subprocess.run([*compile_lock, *source, *target], cwd=ROOT, check=False).returncode != 0:
                raise Stopped(f"uv could not make requirements/{name}: see its message above")
    return 0


def sbom() -> int:
    """What a service is made of, under which licences: read from an environment of the runtime lock alone."""
    with tempfile.TemporaryDirectory() as folder:
        service = environment_with(Path(folder) / "service", LOCKS / "runtime.txt")
        subprocess.run([str(service), "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools", "pip"], check=True)
        tool = environment_with(Path(folder) / "tool", LOCKS / "supply-chain.txt")
        found = Path(folder) / "found.json"
        command = [
            *[str(tool), "-m", "cyclonedx_py", "environment", "--pyproject", "pyproject.toml", "--spec-version", "1.6"],
            *["--output-reproducible", "--output-file", str(found), str(service)],
        ]
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            raise Stopped("cyclonedx-py could not read the environment: see its message above")
        return subprocess.run(
            [sys.executable, "-m", "tests.supply_chain", str(found)], cwd=ROOT, check=False
        ).returncode


def main(arguments: list[str]) -> int:
    """Do what the first argument names."""
    if sys.version_info < OLDEST_PYTHON:
        raise Stopped(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]} ({sys.executable})")
    parser = argparse.ArgumentParser(
        prog="dev.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["run", "test", "setup", "mutate", "lock", "sbom"])
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="handed on to the service or to pytest")
    given = parser.parse_args(arguments)
    if given.command == "run":
        return run(given.rest)
    if given.command == "test":
        return test(given.rest)
    if given.command == "mutate":
        return mutate(given.rest)
    if given.command == "lock":
        return lock()
    if given.command == "sbom":
        return sbom()
    setup()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stopped as stopped:
        sys.exit(f"dev.py: {stopped}")
