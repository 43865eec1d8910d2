"""An order that is replayed gets the cards that it got when it was signed: every vignette, exported afterwards."""

from __future__ import annotations

import functools
import json

import pytest

from cds_service import wire
from cds_service.engine.rulebook import Rulebook
from cds_service.fhir_client import FhirClient
from cds_service.knowledge import loader
from cds_service.knowledge.regimen import Sources
from cds_service.replay.evaluation import Evaluation, Question
from cds_service.services import DrugReview
from tests.replay.exports import EXPORTED, months_later
from tests.vignettes.build import Case, load_vignettes

CALLS = [case for case in load_vignettes() if case.hook == "order-sign"]

NOT_EXPORTED_SO = {
    "reading": "its record was read in part: an export is whole",
    "fhir": "it is written in another version of FHIR than the bulk data",
    "foreign": "one of its drafts names another patient",
    "services": "it orders what is no medication: only MedicationRequests are replayed",
    "twice": "its draft also stands on record: in an export they are one order",
}


def why_not(case: Case) -> str:
    """Why a vignette cannot be told by an export; "" for those that can."""
    if "reading" in case.given:
        return "reading"
    if "fhir" in case.when:
        return "fhir"
    if "services" in case.when:
        return "services"
    if any("somebody-else" in str(order) for order in case.when.get("orders", ())):
        return "foreign"
    if "draft-1" in str(case.given.get("orders on record", "")):
        return "twice"
    return ""


Shown = tuple[str, str, tuple[str, ...], str]
AGREEING = [case for case in CALLS if not why_not(case)]


@pytest.fixture(scope="module")
def evaluations() -> dict[str, Evaluation]:
    exported = frozenset(EXPORTED)
    return {
        f"{sources.value} {zone}": Evaluation(Question(zone=zone, exported=exported, salt=None, sources=sources.value))
        for sources in Sources
        for zone in {case.timezone for case in AGREEING}
    }


@functools.cache
def rulebook_of(sources: str) -> Rulebook:
    return Rulebook(loader.load(sources=Sources(sources)))


def cards_then(case: Case) -> set[Shown]:
    """The cards of the vignette's own call."""
    call = wire.read_request(json.dumps(case.request()).encode(), "order-sign")
    with FhirClient(budget_ms=1_000) as fhir:
        review = DrugReview(rulebook=rulebook_of(case.sources), fhir=fhir, zone=case.clock.zone, clock=lambda: case.now)
        told = review.order_sign(call).response.cards
    return {(card.indicator, card.summary, rows_of(card), card.source.label) for card in told}


def rows_of(card: wire.Card) -> tuple[str, ...]:
    assert card.extension is not None
    return card.extension.advice.rows


@pytest.mark.parametrize("case", AGREEING, ids=lambda case: case.id)
def test_a_replayed_order_gets_the_cards_of_its_day(case: Case, evaluations: dict[str, Evaluation]) -> None:
    expected = cards_then(case)
    evaluation = evaluations[f"{case.sources} {case.timezone}"]
    lines = [(found["resourceType"], json.dumps(found)) for found in months_later(case)]
    rows = [row for row in evaluation.rows(case.patient_id, lines) if row.moment == case.now.isoformat()]
    assert {row.outcome for row in rows} <= {"card", "no card"}
    found = {(row.indicator, row.summary, row.rows, row.source) for row in rows if row.outcome == "card"}
    assert found == expected


def test_nearly_all_vignettes_can_be_told_by_an_export() -> None:
    assert len(AGREEING) > len(CALLS) * 0.85
