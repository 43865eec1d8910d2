"""Every vignette through the real HTTP interface: exactly the cards that a pharmacist wrote down come back."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pytest
from flask import Flask

import app
from cds_service.settings import read_settings
from tests.vignettes.build import Case, load_vignettes
from tests.vignettes.compare import Card, complaint, differences

CASES = load_vignettes()
SCHEMA = json.loads((Path(__file__).parents[1] / "cds_hooks" / "response.schema.json").read_text(encoding="utf-8"))
RESPONSE = jsonschema.Draft202012Validator({"$ref": "#/$defs/response", "$defs": SCHEMA["$defs"]})


@functools.cache
def application(now: str, timezone: str, sources: str) -> Flask:
    settings = {"CDS_MODE": "demo", "CDS_NOW": now, "CDS_TIMEZONE": timezone, "CDS_SOURCES": sources}
    return app.build(read_settings(settings))


def cards_for(case: Case) -> Sequence[Card]:
    client = application(case.now.isoformat(), case.timezone, case.sources).test_client()
    reply = client.post(f"/cds-services/{case.service}", json=case.request())
    assert reply.status_code == 200, reply.get_data(as_text=True)
    body = reply.get_json()
    RESPONSE.validate(body)
    cards: Sequence[Card] = body["cards"]
    return cards


def parameter(case: Case) -> object:
    """A case with an `open` question is expected to fail, and fails the tests once it does not."""
    return pytest.param(case, id=case.id, marks=[pytest.mark.xfail(reason=case.open)] if case.open else [])


@pytest.mark.parametrize("case", [parameter(case) for case in CASES])
def test_vignette(case: Case) -> None:
    cards = cards_for(case)

    found = differences(case, cards)

    if found:
        pytest.fail(complaint(case, cards, found), pytrace=False)


@pytest.mark.parametrize("identity", ["e-4711", f"eM5_{'x.' * 62}", "Zz_9"])
def test_an_id_as_long_as_those_of_ehrs_in_absolute_references_gives_the_same_cards(identity: str) -> None:
    case = next(case for case in CASES if case.id == "V19")
    text = json.dumps(case.request())
    renamed = text.replace(f'"{case.patient_id}"', f'"{identity}"')
    renamed = renamed.replace(f"Patient/{case.patient_id}", f"https://ehr.example/fhir/Patient/{identity}")

    client = application(case.now.isoformat(), case.timezone, case.sources).test_client()
    reply = client.post(f"/cds-services/{case.service}", data=renamed, content_type="application/json")

    assert identity in renamed
    assert not differences(case, reply.get_json()["cards"])
