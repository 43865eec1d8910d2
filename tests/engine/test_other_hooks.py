"""patient-view, encounter-discharge, appointment-book: what must never be silent, and what no vignette can tell."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cds_service.engine.case import Occasion
from cds_service.engine.status import given_text
from fhir_mappings.facts import DRAFT, VISIT, Administration, Amount, ProposedVisit, Unknown, When
from tests.engine.builders import AT, ask, course, give

CRITICAL = "record/cannot-assess critical"
WARNING = "record/cannot-assess warning"
STATUS, DISCHARGE, BOOKING = Occasion.STATUS, Occasion.DISCHARGE, Occasion.BOOKING


def visit(days: int, name: str = "v1") -> ProposedVisit:
    day = AT.date() + timedelta(days=days)
    return ProposedVisit(reference=f"Appointment/{name}", day=When(earliest=day, latest=day))


def raising(*_: object, **__: object) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize("occasion", [STATUS, DISCHARGE])
def test_a_patient_without_the_drug_gets_no_card_at_these_hooks(occasion: Occasion) -> None:
    assert ask(occasion=occasion).kinds == []


def test_no_proposed_visit_for_the_drug_gets_no_card() -> None:
    assert ask(*course(4, -14), occasion=BOOKING).kinds == []


@pytest.mark.parametrize("what", ["MedicationRequest", "MedicationOrder", "MedicationAdministration"])
@pytest.mark.parametrize("occasion", [STATUS, DISCHARGE])
def test_an_order_or_dose_that_cannot_be_read_may_be_of_the_drug(occasion: Occasion, what: str) -> None:
    unread = Unknown(what=what, why="its medication could not be read", reference=f"{what}/x")
    assert ask(unread, occasion=occasion).kinds == [CRITICAL]


@pytest.mark.parametrize("occasion", [STATUS, DISCHARGE, BOOKING])
def test_a_failure_in_what_the_rules_share_shows(occasion: Occasion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cds_service.engine.case.read_history", raising)
    answer = ask(give(-7, "1"), visit(0), occasion=occasion)
    assert answer.kinds == [CRITICAL]
    assert "the history of doses" in answer.text(CRITICAL)


@pytest.mark.parametrize(
    ("occasion", "question", "row"),
    [
        (STATUS, "cds_service.engine.status.QUESTIONS", "COURSE-NEXT"),
        (DISCHARGE, "cds_service.engine.discharge.QUESTIONS", "DISCHARGE-NOT-YET"),
        (BOOKING, "cds_service.engine.booking.QUESTIONS", "BOOK-EARLY"),
    ],
)
def test_a_question_that_raises_shows(
    occasion: Occasion, question: str, row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {
        "COURSE-NEXT": "the schedule goes on",
        "DISCHARGE-NOT-YET": "the observation is not complete",
        "BOOK-EARLY": "too early",
    }
    monkeypatch.setitem(_questions(question), asked[row], raising)
    answer = ask(*course(4, -14), visit(0), occasion=occasion)
    assert CRITICAL in answer.kinds
    assert row in answer.text(CRITICAL)


def _questions(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)


def test_a_visit_that_cannot_be_read_is_said_where_no_other_is_there() -> None:
    unread = Unknown(what=VISIT, why="it states no day that can be read", reference="Appointment/v1")
    assert ask(unread, occasion=BOOKING).kinds == [WARNING]


def test_another_patients_visit_is_said_though_it_is_foreign_and_a_draft_is_not_one() -> None:
    draft = Unknown(what=DRAFT, why="it states no medication", reference="MedicationRequest/d1")
    assert ask(draft, occasion=BOOKING).kinds == []


def test_an_end_of_an_infusion_that_has_only_its_day_is_taken_for_the_end_of_that_day() -> None:
    day = When(earliest=AT.date(), latest=AT.date())
    dose = Administration(
        reference="MedicationAdministration/a1",
        status="completed",
        start=day,
        ended=day,
        amount=Amount(mg=Decimal(1)),
    )
    answer = ask(dose, occasion=DISCHARGE)
    assert answer.kinds == ["monitoring/monitor critical"]
    assert f"the end of the infusion, at the end of {AT.date()}" in answer.text("monitoring/monitor critical")
    tomorrow = AT.date() + timedelta(days=1)
    assert f"{tomorrow} 21:59" in answer.text("monitoring/monitor critical")


def test_a_record_without_any_dose_says_so() -> None:
    assert given_text(()) == "none on record"


def test_a_day_known_by_its_month_only_is_as_late_as_can_be() -> None:
    month = When(earliest=AT.date().replace(day=1), latest=date(AT.year, AT.month, 28) + timedelta(days=3))
    dose = Administration(
        reference="MedicationAdministration/a1", status="completed", start=month, amount=Amount(mg=Decimal(1))
    )
    answer = ask(dose, occasion=DISCHARGE)
    assert answer.kinds == ["monitoring/monitor critical"]
    assert f"{month.latest + timedelta(days=1)} 21:59" in answer.text("monitoring/monitor critical")
