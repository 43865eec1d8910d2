"""The real FHIR R4 server of the tests: sekmet-fhir, in an environment of its own, on a free port of this machine.

`python3 dev.py test` installs it in `.venv-fhir` and names its interpreter in FHIR_SERVER_PYTHON.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from tests.support.ports import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
LOADER_TOKEN: Final = "loader"
SECRET: Final = "only-for-tests"
READS_ALL: Final = "reads-all"
READS_NO_OBSERVATIONS: Final = "reads-no-observations"
LIVES_SHORTLY: Final = 600
SECONDS_TO_START: Final = 120
MAY_READ: Final = (
    "Patient",
    "Condition",
    "MedicationRequest",
    "MedicationAdministration",
    "Medication",
    "Procedure",
    "AdverseEvent",
    "AllergyIntolerance",
)


@dataclass(frozen=True, kw_only=True)
class RealFhirServer:
    """A running server: `url` is its FHIR base."""

    url: str
    root: str

    def load(self, resources: Iterable[Mapping[str, Any]]) -> None:
        """Store these resources under their own ids, all or none."""
        entries = [
            {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}
            for resource in resources
        ]
        answer = requests.post(
            self.url,
            json={"resourceType": "Bundle", "type": "transaction", "entry": entries},
            headers={"Authorization": f"Bearer {LOADER_TOKEN}", "Content-Type": "application/fhir+json"},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text[:2000]

    def token(self, client: str = READS_ALL) -> str:
        """An access token by client credentials, with the scopes of that client."""
        answer = requests.post(
            f"{self.root}/auth/token",
            data={"grant_type": "client_credentials", "client_id": client, "client_secret": SECRET},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text[:2000]
        return str(answer.json()["access_token"])


def interpreter() -> Path:
    """The Python that has the server; skips loudly where it was never installed, and fails where it should be."""
    named = os.environ.get("FHIR_SERVER_PYTHON")
    folder = ROOT / ".venv-fhir"
    python = Path(named) if named else folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists():
        return python
    message = f"the real FHIR server is not installed ({python}): run `python3 dev.py test`"
    if named or folder.exists() or os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def settings(port: int, folder: Path) -> dict[str, Any]:
    """The simulator is off: it would fulfil orders by itself."""
    reads_all = "system/*.rs"
    no_observations = " ".join(f"system/{kind}.rs" for kind in MAY_READ)
    return {
        "base_url": f"http://127.0.0.1:{port}/fhir",
        "host": "127.0.0.1",
        "port": port,
        "data_dir": str(folder),
        "own_private_key_path": str(folder / "private.pem"),
        "simulator": {"enabled": False},
        "validation": {"inbound": "off"},
        "log_inbound": False,
        "server_auth": {
            "types": ["bearer", "smart"],
            "tokens": [LOADER_TOKEN],
            "token_lifetime": LIVES_SHORTLY,
            "smart_clients": [
                {"client_id": READS_ALL, "client_secret": SECRET, "scopes": reads_all},
                {"client_id": READS_NO_OBSERVATIONS, "client_secret": SECRET, "scopes": no_observations},
            ],
        },
    }


@contextmanager
def running(folder: Path) -> Iterator[RealFhirServer]:
    """A server with an empty store in `folder`, stopped at the end."""
    python, port = interpreter(), free_port()
    configuration = folder / "settings.yaml"
    configuration.write_text(json.dumps(settings(port, folder)), encoding="utf-8")  # JSON is YAML
    command = [str(python), "-c", "from sekmet.cli import app; app()", "serve", "--config", str(configuration)]
    log = folder / "server.log"
    with log.open("wb") as out, subprocess.Popen(command, cwd=folder, stdout=out, stderr=out) as process:
        try:
            root = f"http://127.0.0.1:{port}"
            _wait_until_it_answers(f"{root}/fhir/metadata", process, log)
            yield RealFhirServer(url=f"{root}/fhir", root=root)
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(requests.RequestException):  # a timeout too: it is about to start
            if requests.get(url, timeout=20).status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"the real FHIR server did not start:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="session")
def fhir_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFhirServer]:
    """One real FHIR server for the tests of a session."""
    with running(tmp_path_factory.mktemp("fhir-server")) as server:
        yield server
