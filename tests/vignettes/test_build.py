"""The vignettes themselves: complete, refused when mistyped, and genuine FHIR."""

from __future__ import annotations

from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

from tests.vignettes.build import PREFETCH_KEYS, Case, load_file, load_vignettes
from tests.vignettes.shapes import VignetteError

CASES = load_vignettes()

SMALL = """
id: V99
question: How long?
source: [S7]
given: {doses: ["5 on schedule, last on day -14"]}
then: [monitoring/monitor info]
"""


def loaded(folder: Path, text: str) -> Case:
    path = folder / "v99.yaml"
    path.write_text(text, encoding="utf-8")
    return load_file(path)[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_resources_of_a_vignette_are_valid_fhir_r4(case: Case) -> None:
    for resource in [*case.resources(), *case.drafts(), *case.visits()]:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_all_thirty_vignettes_of_the_knowledge_are_there() -> None:
    expected = {f"V{number}" for number in range(1, 31)}

    assert expected <= {case.id.rstrip("abcdefghijkl") for case in CASES}


def test_every_vignette_names_its_source() -> None:
    assert [case.id for case in CASES if not case.source] == []


def test_every_identity_belongs_to_one_patient() -> None:
    identities = [(found["resourceType"], found["id"]) for case in CASES for found in case.resources()]

    assert len(identities) == len(set(identities))
    assert all(found["id"].startswith(case.patient_id) for case in CASES for found in case.resources())


def test_a_request_fills_every_prefetch_key_or_none(tmp_path: Path) -> None:
    case = loaded(tmp_path, SMALL)

    assert tuple(case.request()["prefetch"]) == PREFETCH_KEYS
    assert "prefetch" not in case.request(prefetch=False, fhir_server="http://127.0.0.1:8090/fhir")


def test_five_doses_on_schedule_are_a_week_and_a_week_and_then_two_weeks_apart(tmp_path: Path) -> None:
    expected = ["2025-12-16", "2025-12-23", "2025-12-30", "2026-01-13", "2026-01-27"]
    case = loaded(tmp_path, SMALL)

    given = [found for found in case.resources() if found["resourceType"] == "MedicationAdministration"]

    assert [dose["effectivePeriod"]["start"][:10] for dose in given] == expected
    assert [dose["dosage"]["dose"]["value"] for dose in given] == [1, 10, 10, 10, 10]


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("doses:", "dosis:"),
        ("question: How long?", "question: How long?\nquestion: And again?"),
        ("monitoring/monitor info", "monitoring/monitor information"),
        ("last on day -14", "last -14"),
        ("then: [monitoring/monitor info]", ""),
    ],
)
def test_a_typing_error_is_refused_not_passed_over(tmp_path: Path, typed: str, instead: str) -> None:
    assert typed in SMALL

    with pytest.raises((VignetteError, KeyError)):
        loaded(tmp_path, SMALL.replace(typed, instead)).request()
