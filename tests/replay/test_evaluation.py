"""One patient's lines in, rows out: what is asked, what is said of what could not be read, and of what changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cds_service.errors import KnowledgeError
from cds_service.knowledge import loader
from cds_service.replay import evaluation
from cds_service.replay.evaluation import NOTHING, TOO_MANY, Counted, Evaluation, Question, Row
from cds_service.replay.moment import NO_DATE
from cds_service.services import DrugReview
from tests.replay.exports import EXPORTED, knowledge_with_a_limit_of_13_days
from tests.replay.story import SIGNED, Resource, dose, order, updated

FIRST = dose("d1", "2026-02-24T10:00:00+01:00", mg=1)
LATE = order(mg=10, **updated(SIGNED))
"""14 days after 1 mg the second dose may still be given, by row R1; 15 days after, R2 says to restart."""
PERSON: Resource = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1960-01-01"}


def asked(salt: bytes | None = None, exported: Iterable[str] = EXPORTED, **others: Any) -> Evaluation:
    return Evaluation(Question(zone="Europe/Berlin", exported=frozenset(exported), salt=salt, **others))


def lines(*resources: Resource) -> list[tuple[str, str]]:
    return [(found["resourceType"], json.dumps(found)) for found in resources]


def rows_for(*resources: Resource, **options: Any) -> list[Row]:
    return list(asked(**options).rows("p", lines(*resources)))


def leading(rows: Iterable[Row]) -> set[str]:
    return {row.rows[0] for row in rows if row.rows}


def test_the_second_dose_is_restarted_from_the_fifteenth_day_on() -> None:
    a_day_later = {**FIRST, "effectiveDateTime": "2026-02-23T10:00:00+01:00"}
    assert "R2" not in leading(rows_for(PERSON, FIRST, LATE))
    assert "R2" in leading(rows_for(PERSON, a_day_later, LATE))


def test_a_row_says_which_card_for_which_order_and_by_which_knowledge() -> None:
    row = next(row for row in rows_for(PERSON, FIRST, LATE) if row.topic == "monitoring")
    assert (row.patient, row.order, row.moment) == ("p", "MedicationRequest/o", SIGNED)
    assert (row.hook, row.outcome, row.reason, row.indicator, row.action) == (
        "order-sign",
        "card",
        "",
        "info",
        "monitor",
    )
    assert row.summary.startswith("C1D8, 10 mg")
    assert row.knowledge == loader.load().version
    assert (row.changed, row.before, row.after) == (None, (), ())


def test_an_order_with_nothing_to_say_is_a_row_that_says_so() -> None:
    forbidden = order(doNotPerform=True, **updated(SIGNED))
    (row,) = rows_for(PERSON, forbidden)
    assert (row.outcome, row.card, row.rows) == ("no card", None, ())


def test_an_order_without_a_date_is_a_row_that_says_so() -> None:
    (row,) = rows_for(PERSON, order(authored=None))
    assert (row.outcome, row.reason, row.order) == ("not assessed", NO_DATE, "MedicationRequest/o")


def test_assumptions_stand_beside_each_row_of_the_order() -> None:
    undated = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"}, "code": {"text": "cough"}}
    for row in rows_for(PERSON, FIRST, LATE, undated):
        assert row.assumptions == (Counted("undated-kept", 1),)


def test_two_orders_of_one_signing_have_the_cards_that_name_them() -> None:
    rows = rows_for(PERSON, FIRST, LATE, order("second", mg=1, **updated(SIGNED)))
    assert {row.order for row in rows} == {"MedicationRequest/o", "MedicationRequest/second"}
    assert len({row.signing for row in rows}) == 1


def test_a_patient_referred_to_by_urn_is_the_patient() -> None:
    by_urn = [{**found, "subject": {"reference": "urn:uuid:P"}} for found in (FIRST, LATE)]
    assert leading(rows_for(PERSON, *by_urn)) == leading(rows_for(PERSON, FIRST, LATE))


def test_a_resource_that_cannot_be_read_makes_its_key_partial_and_that_is_a_card() -> None:
    broken = ("MedicationAdministration", '{"resourceType":"MedicationAdministration","id":"x","id":"y"}')
    rows = list(asked().rows("p", [*lines(PERSON, LATE), broken]))
    assert any(row.topic == "record" and row.indicator == "critical" for row in rows)
    assert Counted("MedicationAdministration", 1) in rows[0].unknowns


def test_an_order_that_cannot_be_read_is_a_row_that_says_so() -> None:
    broken = ("MedicationRequest", '{"resourceType":"MedicationRequest","id":"x","id":"y"}')
    (row,) = asked().rows("p", [broken, *lines(PERSON)])
    assert (row.outcome, row.reason, row.order) == ("not assessed", NOTHING, "")


def test_a_type_that_was_not_exported_is_said_and_not_taken_for_none() -> None:
    without = [kind for kind in EXPORTED if kind != "AllergyIntolerance"]
    assert "record" not in {row.topic for row in rows_for(PERSON, FIRST, LATE) if "allerg" in row.summary.lower()}
    told = asked(exported=without).rows("p", lines(PERSON, FIRST, LATE))
    assert [row for row in told if row.topic == "record"] != [
        row for row in rows_for(PERSON, FIRST, LATE) if row.topic == "record"
    ]


def test_a_patient_with_absurdly_many_resources_is_told_and_does_not_stop_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluation, "MOST_KEPT", 3)
    at_the_limit = rows_for(LATE, PERSON, FIRST)
    assert {row.outcome for row in at_the_limit} == {"card"}
    (row,) = rows_for(LATE, PERSON, FIRST, dose("d2", "2026-03-01T10:00:00+01:00"))
    assert (row.outcome, row.reason, row.moment) == ("not assessed", TOO_MANY, SIGNED)


def test_a_fault_of_the_service_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("of a patient")

    monkeypatch.setattr(DrugReview, "order_sign", fails)
    (row,) = rows_for(PERSON, FIRST, LATE)
    assert (row.outcome, row.reason) == ("not assessed", "a fault of the service: ZeroDivisionError")


def test_an_id_that_no_call_can_carry_is_a_row_that_says_so() -> None:
    (row,) = asked().rows("p" * 200, lines(LATE))
    assert (row.outcome, row.reason) == ("not assessed", "context.patientId: does not have the required form")


def test_pseudonyms_are_the_same_for_the_same_salt_alone() -> None:
    names = [asked(salt=salt).question.name("Patient/1") for salt in (b"a", b"a", b"b")]
    assert names[0] == names[1] != names[2]
    assert "1" != names[0] != "Patient/1"
    row = next(iter(rows_for(PERSON, FIRST, LATE, salt=b"a")))
    assert not {"p", "MedicationRequest/o"} & {row.patient, row.order, row.signing}


RESTART_AFTER_13 = (
    "critical dose: restart-step-up: Restart at 1 mg: 14 days since the 1 mg dose on 2026-02-24; the limit is 13 days."
)


@pytest.mark.parametrize(("given", "changes"), [("2026-02-24", True), ("2026-02-25", False)])
def test_a_border_moved_by_a_day_changes_the_cards_of_that_day_and_a_word_in_the_others(
    given: str, changes: bool, tmp_path: Path
) -> None:
    first = {**FIRST, "effectiveDateTime": f"{given}T10:00:00+01:00"}
    rows = rows_for(PERSON, first, LATE, against=knowledge_with_a_limit_of_13_days(tmp_path))
    assert {(row.changed, row.cards_changed) for row in rows} == {(True, changes)}
    assert {RESTART_AFTER_13 in row.before for row in rows} == {changes}
    assert not any("Restart at 1 mg" in said for row in rows for said in row.after)


def test_an_order_that_the_border_does_not_concern_is_answered_alike(tmp_path: Path) -> None:
    later = [dose("d2", "2026-02-17T10:00:00+01:00"), dose("d3", "2026-02-24T10:00:00+01:00")]
    first = {**FIRST, "effectiveDateTime": "2026-02-10T10:00:00+01:00"}
    rows = rows_for(PERSON, first, *later, LATE, against=knowledge_with_a_limit_of_13_days(tmp_path))
    assert {(row.changed, row.cards_changed, row.before, row.after) for row in rows} == {(False, False, (), ())}


def test_a_knowledge_that_no_service_starts_with_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: x\n", encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"wrong\.yaml"):
        asked(against=str(wrong)).check()
