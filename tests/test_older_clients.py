"""The vignettes' calls as EHRs on other versions of FHIR send them: every card is the one that the call in R4 gets."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.support.fhir_versions import VERSIONS, call_in, renamed
from tests.vignettes.build import Case, load_vignettes
from tests.vignettes.test_vignettes import RESPONSE, application

CASES: Final = tuple(case for case in load_vignettes() if not case.open)
QUESTIONS: Final = tuple(dict.fromkeys(case.question for case in CASES))


def answer(case: Case, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The cards without their uuid, which is made of the orders' names."""
    client = application(case.now.isoformat(), case.timezone, case.sources).test_client()
    reply = client.post(f"/cds-services/{case.service}", json=body)
    assert reply.status_code == 200, reply.get_data(as_text=True)
    RESPONSE.validate(reply.get_json())
    return [{name: value for name, value in card.items() if name != "uuid"} for card in reply.get_json()["cards"]]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question[:40])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_story_in_another_version_of_fhir_gets_the_same_cards(version: str, question: str) -> None:
    for case in (case for case in CASES if case.question == question):
        expected = json.loads(renamed(version, json.dumps(answer(case, case.request()))))
        assert answer(case, call_in(version, case.request())) == expected, case.id
