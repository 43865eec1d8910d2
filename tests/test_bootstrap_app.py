"""Starting the service as an operator does: the line that says it listens, a busy port, a wrong setting."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parent.parent
READY = re.compile(r"^CDS service ready: (http://127\.0\.0\.1:\d+)/cds-services$")


def environment(**settings: str) -> dict[str, str]:
    """What a started service inherits: none of our settings but these, and a database that goes with the machine."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    return inherited | {"CDS_DATABASE_URL": f"sqlite:///{tempfile.mkdtemp()}/cds.sqlite3"} | settings


@contextmanager
def serving(**settings: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`python app.py` on a free port: its base address and its process."""
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", "0"],
        cwd=ROOT,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        ready = READY.match(line)
        assert ready is not None, line
        yield ready[1], process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_once_it_listens_it_says_where_in_one_line_and_answers_there() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    with serving(CDS_NOW="2026-01-20T09:00:00Z") as (base, process):
        assert len(requests.get(f"{base}/cds-services", timeout=20).json()["services"]) == 5
        assert requests.get(f"{base}/health/ready", timeout=20).status_code == 200
        call = json.loads((ROOT / "examples" / "order-sign-late-second-dose.json").read_text(encoding="utf-8"))
        answer = requests.post(f"{base}/cds-services/tarlatamab-order-sign", json=call, timeout=20)
        assert answer.status_code == 200
        assert answer.json()["cards"]
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert out == ""
    started, line = (json.loads(line) for line in err.strip().splitlines())
    assert started["event"] == "start"
    assert line["status"] == 200
    first, second = (datetime.fromisoformat(one["time"]) for one in (started, line))
    assert before <= first <= second <= datetime.now(UTC)
    assert all(one["time"].endswith("Z") for one in (started, line))


@pytest.fixture(scope="module")
def small() -> Iterator[str]:
    """The address of a service that takes 1,024 bytes."""
    with serving(CDS_MAX_BODY_BYTES="1024") as (base, _):
        yield f"{base}/cds-services/tarlatamab-order-sign"


def test_a_body_beyond_the_limit_gets_its_413_over_a_real_connection(small: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(small, data=b" " * 100_000, headers=headers, timeout=20)
    assert answer.status_code == 413
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.conforms("C6")
@pytest.mark.parametrize(("size", "status"), [(1023, 200), (1024, 413), (100_000, 413)])
def test_a_body_in_chunks_gets_its_413_where_it_reaches_the_limit(small: str, size: int, status: int) -> None:
    call = {
        "hook": "order-sign",
        "hookInstance": "1",
        "context": {"userId": "Practitioner/1", "patientId": "p1", "draftOrders": {"resourceType": "Bundle"}},
    }
    body = json.dumps(call).encode().ljust(size)
    answer = requests.post(
        small,
        data=iter([body[:200], body[200:]]),  # of unknown length: requests sends it in chunks
        headers={"Content-Type": "application/json"},
        timeout=20,
    )
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"CDS_TIMEZONE": "Mars/Olympus"},
            "CDS_TIMEZONE takes an IANA time zone, such as Europe/Vienna (production: required)",
        ),
        (
            {"CDS_MODE": "production"},
            "CDS_CLIENTS is missing: it takes the path of a readable file of client profiles (production: required)",
        ),
        (
            {"CDS_CLIENTS": "no-such-file.yaml"},
            "CDS_CLIENTS takes the path of a readable file of client profiles (production: required)",
        ),
    ],
)
def test_a_wrong_setting_ends_the_start_with_code_2_and_one_line(settings: dict[str, str], line: str) -> None:
    done = subprocess.run(
        [sys.executable, "app.py", "--port", "0"],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line + "\n")


def test_a_knowledge_file_with_a_mistake_ends_the_start_naming_the_setting_file_and_line(tmp_path: Path) -> None:
    broken = tmp_path / "mine.yaml"
    broken.write_text("drug: tarlatamab\ndrug: other\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "app.py", "--port", "0"],
        cwd=ROOT,
        env=environment(CDS_KNOWLEDGE=str(broken)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("CDS_KNOWLEDGE takes a valid knowledge file: mine.yaml:2 ")


def test_a_busy_port_ends_the_start_in_words() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        done = subprocess.run(
            [sys.executable, "app.py", "--port", str(busy.getsockname()[1])],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def gunicorn(**settings: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "gunicorn", "app:create_app()", "--bind", "127.0.0.1:0", "--workers", "2"]
    return subprocess.Popen(command, cwd=ROOT, env=environment(**settings), stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="gunicorn needs fork")
def test_gunicorn_serves_the_factory() -> None:
    process = gunicorn()
    try:
        assert process.stderr is not None
        address = None
        deadline = time.monotonic() + 120
        while address is None and time.monotonic() < deadline:
            address = re.search(r"Listening at: (http://127\.0\.0\.1:\d+)", process.stderr.readline())
        assert address is not None
        assert requests.get(f"{address[1]}/cds-services", timeout=10).status_code == 200
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.skipif(os.name == "nt", reason="gunicorn needs fork")
def test_a_wrong_setting_ends_gunicorn_too_with_code_2() -> None:
    process = gunicorn(CDS_SOURCES="label")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "CDS_SOURCES takes seed+label or seed\n" in err
