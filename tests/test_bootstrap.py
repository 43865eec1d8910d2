"""dev.py: one plain line for whoever's machine lacks something, and nothing installed twice."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dev

ROOT = Path(dev.__file__).parent


def a_lock(folder: Path, text: str = "") -> Path:
    lock = folder / "lock.txt"
    lock.write_text(text)
    return lock


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Environments that dev.py makes, without making any."""
    made: list[Path] = []

    def make(environment: Path) -> None:
        made.append(environment)
        dev.python_of(environment).parent.mkdir(parents=True, exist_ok=True)
        dev.python_of(environment).touch()

    monkeypatch.setattr(dev, "make_environment", make)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0))
    return made


def test_an_environment_is_made_once_and_again_only_for_another_lock(tmp_path: Path, made: list[Path]) -> None:
    environment, lock = tmp_path / ".venv", a_lock(tmp_path)
    dev.environment_with(environment, lock)
    dev.environment_with(environment, lock)
    assert made == [environment]
    a_lock(tmp_path, "other==1.0")
    dev.environment_with(environment, lock)
    assert made == [environment, environment]


def test_an_environment_that_a_service_may_run_from_is_filled_up_and_not_made_again(
    tmp_path: Path, made: list[Path]
) -> None:
    environment, runtime, lock = tmp_path / ".venv", tmp_path / "runtime.txt", a_lock(tmp_path, "more==1.0")
    runtime.write_text("some==1.0")
    dev.environment_with(environment, runtime)
    dev.environment_with(environment, lock, part_of_it=runtime)
    assert made == [environment]
    runtime.write_text("some==2.0")
    dev.environment_with(environment, runtime)
    runtime.write_text("some==3.0")
    dev.environment_with(environment, lock, part_of_it=runtime)
    assert made == [environment] * 3


def test_what_is_installed_is_what_the_lock_names_by_its_hash_and_nothing_that_pip_looks_up(
    tmp_path: Path, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    dev.environment_with(tmp_path / ".venv", a_lock(tmp_path))
    assert made
    (install,) = ran
    assert {"--require-hashes", "--no-deps"} <= set(install)


def test_the_locks_of_these_tests_name_all_that_what_they_install_requires() -> None:
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert (checked.stdout.strip(), checked.returncode) == ("No broken requirements found.", 0)


def test_an_environment_that_lost_its_interpreter_is_made_again(tmp_path: Path, made: list[Path]) -> None:
    environment, lock = tmp_path / ".venv", a_lock(tmp_path)
    dev.environment_with(environment, lock)
    dev.python_of(environment).unlink()
    dev.environment_with(environment, lock)
    assert made == [environment, environment]


def test_a_failed_install_is_not_taken_for_a_finished_one(
    tmp_path: Path, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, lock = tmp_path / ".venv", a_lock(tmp_path)
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    for _ in range(2):
        with pytest.raises(dev.Stopped, match=r"pip could not install lock\.txt"):
            dev.environment_with(environment, lock)
    assert made == [environment, environment]


def test_an_old_python_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "OLDEST_PYTHON", (99, 0))
    with pytest.raises(dev.Stopped, match=r"^Python 3\.11 or newer is needed; this is 3\."):
        dev.main(["test"])


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    with pytest.raises(dev.Stopped, match="apt install python3-venv"):
        dev.make_environment(tmp_path / ".venv")


def test_the_command_ends_with_its_line_and_no_traceback() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "dev.py"), "fly"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "invalid choice: 'fly'" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_locked_requirement_has_an_exact_version_and_a_hash_and_no_address() -> None:
    for name in ("runtime.txt", "replay.txt", "test.txt", "fhir-server.txt"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        entries = [
            entry for entry in text.replace("\\\n", " ").splitlines() if entry and not entry.lstrip().startswith("#")
        ]
        assert entries
        assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
        assert "://" not in text
        assert "--index" not in text


def test_tests_and_service_run_the_same_versions() -> None:
    def versions(name: str) -> set[str]:
        lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
        return {line.removesuffix(" \\") for line in lines if "==" in line}

    assert versions("runtime.txt") <= versions("replay.txt") <= versions("test.txt")


def test_every_dependency_of_the_project_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    for dependency in project["dependencies"]:
        name = dependency.split(">=")[0].split("[")[0].lower().replace(".", "-")
        assert f"\n{name}==" in f"\n{locked}"
