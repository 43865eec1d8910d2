"""The service in a process of its own keeps to what its own /openapi.json says, whatever it is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import jsonschema
import requests
from hypothesis import given

from tests.api.conftest import Running
from tests.api.hostile import hostile_calls
from tests.properties.profiles import examples

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMA: Final = json.loads((ROOT / "tests" / "cds_hooks" / "response.schema.json").read_text(encoding="utf-8"))
RESPONSE: Final = jsonschema.Draft202012Validator(SCHEMA | {"$ref": "#/$defs/response"})
HOOKS: Final = ("order-sign", "order-select", "patient-view", "encounter-discharge", "appointment-book")
CONFIG: Final = ROOT / "tests" / "api" / "schemathesis.toml"


def test_schemathesis_finds_nothing_that_differs_from_the_document(running: Running, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
    ran = subprocess.run(
        [*command, "--no-color", "--generation-database", "none", f"{running.base}/openapi.json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-6_000:] + ran.stderr[-2_000:]
    assert "Tested: 0" not in ran.stdout


def validators(document: dict[str, Any]) -> dict[tuple[str, str], jsonschema.Draft202012Validator]:
    """What the document says, by hook, of the call ("call") and of the JSON answer of each status ("200")."""
    components = document["components"]
    found = {}
    for hook in HOOKS:
        operation = document["paths"][f"/cds-services/tarlatamab-{hook}"]["post"]
        bodies = {"call": operation["requestBody"]} | {
            status: components["responses"][status] if "$ref" in response else response
            for status, response in operation["responses"].items()
        }
        for name, body in bodies.items():
            schema = body["content"]["application/json"]["schema"]
            found[hook, name] = jsonschema.Draft202012Validator({**schema, "components": components})
    return found


def test_hostile_charts_get_answers_that_keep_the_schema_and_reach_the_rules(running: Running) -> None:
    said = validators(requests.get(f"{running.base}/openapi.json", timeout=10).json())
    session, spoke, statuses = requests.Session(), set[str](), set[int]()

    @examples(ci=120, long=20_000)
    @given(call=hostile_calls())
    def keeps_the_schema(call: dict[str, Any]) -> None:
        hook = call["hook"]
        said[hook, "call"].validate(call)
        answer = session.post(f"{running.base}/cds-services/tarlatamab-{hook}", json=call, timeout=10)
        assert answer.status_code in {200, 412}, answer.text
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        said[hook, str(answer.status_code)].validate(answer.json())
        statuses.add(answer.status_code)
        if answer.status_code == 200:
            RESPONSE.validate(answer.json())
            for card in answer.json()["cards"]:
                spoke.update(card["extension"]["org.tarlatamab-cds.advice"]["rows"])

    keeps_the_schema()
    assert len(spoke) > 30
    assert 200 in statuses
