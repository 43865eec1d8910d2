"""The files in deploy/, as far as they can be checked without a Docker daemon and without systemd running.

No image is built here. What it would hold is laid out in a folder, and serves from there with the image's own command.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
import requests
import yaml
from sqlalchemy import make_url

from app import build
from bench.serving import AS_DEPLOYED
from cds_service.clients import parse
from cds_service.settings import TAKES, read_settings
from tests.support.ports import free_port

ROOT: Final = Path(__file__).resolve().parent.parent.parent
DEPLOY: Final = ROOT / "deploy"
UNIT: Final = DEPLOY / "tarlatamab-cds.service"
EXAMPLE: Final = ROOT / "examples" / "order-sign-late-second-dose.json"


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its arguments on one line."""
    lines = [
        line
        for line in (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if not line.lstrip().startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(words[0], words[2]) for line in joined.splitlines() if (words := line.partition(" "))[0]]


def arguments_of(name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions() if instruction == name]


def copied() -> list[tuple[str, str]]:
    """What is copied from this folder into the image, and where to."""
    pairs = []
    for arguments in arguments_of("COPY"):
        if not arguments.startswith("--from="):
            *sources, target = arguments.split()
            pairs += [(source, target) for source in sources]
    return pairs


def exec_form(name: str) -> list[str]:
    (arguments,) = arguments_of(name)
    words: list[str] = json.loads(arguments[arguments.index("[") :])
    return words


def test_both_ways_of_deploying_hold_memory_as_the_bench_measures_it() -> None:
    unit = UNIT.read_text(encoding="utf-8").splitlines()
    for name, value in AS_DEPLOYED.items():
        assert f"Environment={name}={value}" in unit
        assert f"{name}={value}" in arguments_of("ENV")[0].split()


def test_every_stage_begins_with_one_version_of_python_given_by_its_full_tag() -> None:
    (base,) = arguments_of("ARG")
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-\w+", base)
    assert [stage.split()[0] for stage in arguments_of("FROM")] == ["${BASE}", "${BASE}"]


def test_what_is_installed_is_the_lock_with_hashes_and_runs_nothing_while_it_is_installed() -> None:
    (install,) = [run for run in arguments_of("RUN") if "pip install" in run]
    assert "--require-hashes" in install
    assert "--no-deps" in install
    assert "--only-binary :all:" in install
    assert ("requirements/runtime.txt", "/build/runtime.txt") in copied()
    assert "--requirement /build/runtime.txt" in install
    assert not any(word in run for run in arguments_of("RUN") for word in ("curl", "wget", "apt"))


def test_it_runs_as_nobody_in_particular_and_says_when_it_no_longer_answers() -> None:
    names = [name for name, _ in instructions()]
    (user,) = arguments_of("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert not {"RUN", "COPY", "ADD"} & set(names[names.index("USER") :])
    assert "ADD" not in names
    assert any("/health/live" in word for word in exec_form("HEALTHCHECK"))


def test_what_the_image_copies_is_here_and_not_left_out_by_dockerignore() -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    assert {source for source, _ in copied()} == kept
    assert all((ROOT / source).exists() for source in kept)
    assert not any(fnmatch.fnmatch(source, rule) for source in kept for rule in rules[1:] if not rule.startswith("!"))


def is_ready(url: str) -> bool:
    try:
        return requests.get(url, timeout=20).status_code == 200
    except requests.RequestException:
        return False


def files_in(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.skipif(os.name == "nt", reason="gunicorn needs fork")
def test_what_the_image_holds_serves_and_writes_nowhere_but_to_its_data(tmp_path: Path) -> None:
    data, numbers = tmp_path / "data", tmp_path / "shm"
    data.mkdir()
    numbers.mkdir()
    for source, target in copied():
        place = tmp_path / target.removeprefix("/")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place = place / source if target.endswith("/") else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)
    home = tmp_path / "srv" / "tarlatamab-cds"
    (environment,) = arguments_of("ENV")
    settings = dict(pair.split("=", 1) for pair in environment.split())
    assert settings["CDS_DATABASE_URL"] == "sqlite:////data/cds.sqlite3"
    settings |= {"CDS_DATABASE_URL": f"sqlite:///{data}/cds.sqlite3", "PROMETHEUS_MULTIPROC_DIR": str(numbers)}
    settings |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home)}
    address = f"127.0.0.1:{free_port()}"
    command = [address if word == "0.0.0.0:8080" else word for word in exec_form("CMD")]
    assert address in command
    before = files_in(home)
    process = subprocess.Popen(command, cwd=home, env=settings, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not is_ready(f"http://{address}/health/ready"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        call = json.loads(EXAMPLE.read_text(encoding="utf-8"))
        answer = requests.post(f"http://{address}/cds-services/tarlatamab-order-sign", json=call, timeout=20)
        assert answer.json()["cards"]
        process.terminate()
        assert process.wait(timeout=40) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=60)
    assert files_in(home) == before
    assert (data / "cds.sqlite3").is_file()


# --- systemd --------------------------------------------------------------------------------------------------

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program and a folder that are here."""
    text = UNIT.read_text(encoding="utf-8").replace("#LoadCredential", "LoadCredential")
    text = text.replace("/opt/tarlatamab-cds/.venv/bin/gunicorn", sys.executable)
    text = text.replace("WorkingDirectory=/opt/tarlatamab-cds", "WorkingDirectory=/")
    copy = tmp_path / UNIT.name
    copy.write_text(text, encoding="utf-8")
    return copy


@needs_systemd
def test_systemd_finds_no_fault_with_the_unit(unit: Path) -> None:
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_unit_leaves_the_service_next_to_nothing_but_the_network_and_its_own_folders(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_units_user_finds_the_keys_where_systemd_puts_a_copy_of_what_it_cannot_read() -> None:
    unit = UNIT.read_text(encoding="utf-8")
    handed = dict(re.findall(r"^#?LoadCredential=([\w-]+):(/\S+)$", unit, re.MULTILINE))
    assert "DynamicUser=yes" in unit
    assert handed["keys"] == "/etc/tarlatamab-cds/keys"
    environment = (DEPLOY / "environment.example").read_text(encoding="utf-8")
    (named,) = re.findall(r"^# CDS_SECRET_KEY_FILE=(\S+)$", environment, re.MULTILINE)
    assert named == f"/run/credentials/{UNIT.name}/keys"
    smart = (ROOT / "docs" / "smart.md").read_text(encoding="utf-8")
    assert all(f"`/run/credentials/{UNIT.name}/{name}`" in smart for name in handed)


def test_the_container_that_is_shown_sees_the_files_that_the_environment_names() -> None:
    (run,) = re.findall(r"`(docker run [^`]+)`", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"))
    mounted = {pair.split(":")[1] for pair in re.findall(r"-v (\S+)", run)}
    lines = (DEPLOY / "environment.example").read_text(encoding="utf-8").splitlines()
    (clients,) = [Path(line.partition("=")[2]) for line in lines if line.startswith("CDS_CLIENTS=")]
    assert str(clients.parent) in mounted
    assert "/data" in mounted


def test_gunicorn_ends_before_systemd_kills_it() -> None:
    (patience,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    (grace,) = re.findall(
        r"^graceful_timeout = (\d+)$", (ROOT / "gunicorn.conf.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert int(patience) >= int(grace) + 10


# --- settings -------------------------------------------------------------------------------------------------


def test_the_example_environment_has_settings_that_there_are() -> None:
    lines = (DEPLOY / "environment.example").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert given.pop("WEB_CONCURRENCY").isdigit()
    assert given.keys() <= TAKES.keys()
    assert given["CDS_MODE"] == "production"
    assert given["CDS_PUBLIC_URL"].startswith("https://")
    assert make_url(given["CDS_DATABASE_URL"]).query["sslmode"] == "verify-full"


def test_the_example_of_clients_that_the_environment_names_is_one_for_production() -> None:
    text = (DEPLOY / "environment.example").read_text(encoding="utf-8")
    (named,) = re.findall(r"examples/\S+\.yaml", text)
    file = ROOT / named
    assert parse(file.read_text(encoding="utf-8"), file.name, demo=False)
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["clients"]


def test_nginx_lets_the_service_itself_refuse_what_is_too_large_and_keeps_no_body_in_a_file() -> None:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    sizes = [int(size) for size in re.findall(r"client_(?:max_body|body_buffer)_size (\d+)m;", text)]
    assert sizes == [11, 11]
    assert "proxy_max_temp_file_size 0;" in text
    assert not re.search(r"\$(request_body|args|query_string|http_|request_uri|request\b)", text)


def test_nginx_passes_on_every_endpoint_of_the_description_but_the_metrics_and_no_part_of_a_demonstration() -> None:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    (passed,) = re.findall(r"location ~ (\^\S+) \{", text)
    described = build(read_settings({})).test_client().get("/openapi.json").get_json()["paths"]
    assert {path for path in described if re.search(passed, path) is None} == {"/metrics"}
    for path in ("/", "/demo/cards", "/demo/fhir/Patient/x", "/demo/why/x", "/timeline/x", "/timelines"):
        assert re.search(passed, path) is None


def test_nginx_sends_no_call_twice() -> None:
    """A token is good for one call, so that a second one with it would be refused."""
    text = re.sub(r"#.*", "", (DEPLOY / "nginx.conf").read_text(encoding="utf-8"))
    assert re.findall(r"proxy_next_upstream (.+);", text) == ["error timeout"]
