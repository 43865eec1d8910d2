"""The engine and an independent second implementation of the rules, on the same histories.

Short, with the tests: 300 histories. Long, with its figures: `python -m tests.differential 20000 [SEED]`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from fhir_mappings.facts import (
    Administration,
    Amount,
    Analyte,
    Course,
    Grade,
    GradeSource,
    LabResult,
    NotRecorded,
    OrderedDose,
    Person,
    Route,
    Scale,
    Sex,
    Syndrome,
    ToxicityRecord,
    TreatmentState,
    When,
)
from tests.differential.__main__ import main
from tests.differential.differences import differences, engine_cards
from tests.differential.histories import History, histories
from tests.differential.known import known_as
from tests.differential.oracle import Card, judge

SEED = 20260301
TODAY = date(2026, 3, 2)


def test_the_engine_and_the_second_implementation_agree_but_for_known_shapes() -> None:
    unexplained = [
        (number, found)
        for number, history in enumerate(histories(SEED, 300))
        if (found := list(differences(history))) and not known_as(history.state)
    ]

    assert unexplained == []


def test_the_same_seed_makes_the_same_histories() -> None:
    assert list(histories(7, 20)) == list(histories(7, 20))


def test_the_long_run_prints_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(5, 1) == 0
    assert capsys.readouterr().out.startswith("5 histories, ")


# --- what the engine once had wrong ----------------------------------------------------------------------------------


def days(ago: int) -> When:
    day = TODAY - timedelta(days=ago)
    return When(earliest=day, latest=day)


def given(*doses: tuple[str, int]) -> tuple[Administration, ...]:
    return tuple(
        Administration(
            reference=f"MedicationAdministration/{place}",
            status="completed",
            start=days(ago),
            amount=Amount(mg=Decimal(mg)),
        )
        for place, (mg, ago) in enumerate(doses)
    )


def record(
    name: str,
    value: int | None,
    begun: int,
    ended: int | None = None,
    *,
    course: Course = Course.RESOLVED,
    confirmed: bool = True,
    syndrome: Syndrome = Syndrome.NEUROTOXICITY,
) -> ToxicityRecord:
    grade = NotRecorded if value is None else grade_of(value)
    return ToxicityRecord(
        reference=name,
        syndrome=syndrome,
        grade=grade,
        onset=days(begun),
        end=NotRecorded if ended is None else days(ended),
        course=course,
        confirmed=confirmed,
    )


def seen(value: int, moment: When) -> ToxicityRecord:
    """An observation of a grade of CRS."""
    return replace(record(f"Observation/{value}", value, 0, course=Course.POINT, syndrome=Syndrome.CRS), onset=moment)


def at(ago: int, hour: int) -> When:
    return replace(days(ago), instant=datetime(2026, 3, 2, hour, tzinfo=UTC) - timedelta(days=ago))


def grade_of(value: int) -> Grade:
    return Grade(value=value, scale=Scale.NOT_STATED, source=GradeSource.CONDITION_CODE)


def haemoglobin(place: int, value: str, ago: int) -> LabResult:
    return LabResult(reference=f"Observation/{place}", analyte=Analyte.HAEMOGLOBIN, day=days(ago), value=Decimal(value))


def ten_mg_today(
    doses: tuple[Administration, ...],
    toxicities: tuple[ToxicityRecord, ...] = (),
    labs: tuple[LabResult, ...] = (),
) -> History:
    order = OrderedDose(
        order="MedicationRequest/d",
        entry=0,
        in_draft_orders=True,
        status="draft",
        day=days(0),
        amount=Amount(mg=Decimal(10)),
        route=Route.INTRAVENOUS,
        minutes=Decimal(60),
    )
    state = TreatmentState(
        patient=Person(reference="Patient/p", born=days(65 * 365), sex=Sex.MALE),
        orders=(order,),
        administrations=doses,
        toxicities=toxicities,
        labs=labs,
    )
    return History(state=state, at=datetime(2026, 3, 2, 12, tzinfo=UTC), zone=ZoneInfo("UTC"))


STEP_UP = given(("1", 14), ("10", 7))
THREE_DOSES = given(("1", 28), ("10", 21), ("10", 14))
CRS = Syndrome.CRS
STOP_NEURO = ("neurotoxicity", "discontinue", "critical")
HOLD_NEURO = ("neurotoxicity", "withhold", "critical")
HOLD_CRS = ("crs", "withhold", "critical")
WATCH = ("monitoring", "monitor", "warning")

ONCE_WRONG = {
    "a grade 0 of 08:00 and a CRS grade 2 of 14:00 of the day of the dose: active, a HOLD": (
        ten_mg_today(STEP_UP, (seen(0, at(7, 8)), seen(2, at(7, 14)))),
        HOLD_CRS,
    ),
    "a neurotoxicity without outcome after a grade 3 that ended: active, a HOLD": (
        ten_mg_today(
            STEP_UP,
            (record("Condition/1", 3, 6, 5), record("AdverseEvent/2", 1, 4, course=Course.OUTCOME_MISSING)),
        ),
        HOLD_NEURO,
    ),
    "a CRS grade 3 of today without outcome, begun when a grade 1 ended: active, a HOLD": (
        ten_mg_today(
            STEP_UP,
            (
                record("Condition/1", 1, 6, 0, syndrome=CRS),
                record("AdverseEvent/2", 3, 0, course=Course.OUTCOME_MISSING, syndrome=CRS),
            ),
        ),
        HOLD_CRS,
    ),
    "a CRS grade 3 of today without outcome, beside an older grade 1 resolved on an unknown day: a HOLD": (
        ten_mg_today(
            STEP_UP,
            (
                record("Condition/1", 1, 6, syndrome=CRS),
                record("AdverseEvent/2", 3, 0, course=Course.OUTCOME_MISSING, syndrome=CRS),
            ),
        ),
        HOLD_CRS,
    ),
    "a neurotoxicity grade 2 seen two days ago, beside an older grade 1 resolved on an unknown day: a HOLD": (
        ten_mg_today(STEP_UP, (record("Condition/1", 1, 5), record("Observation/2", 2, 2, course=Course.POINT))),
        HOLD_NEURO,
    ),
    "a grade 3 open for 50 days, confirmed: a STOP": (
        ten_mg_today(
            given(("1", 60), ("10", 53), ("10", 27)),
            (record("Condition/1", 3, 50, course=Course.OPEN), record("Condition/2", 3, 22, 7, confirmed=False)),
        ),
        STOP_NEURO,
    ),
    "a grade 3 and a new episode, confirmed: a STOP": (
        ten_mg_today(
            given(("1", 60), ("10", 53), ("10", 39), ("10", 25), ("10", 14)),
            (
                record("Condition/1", 3, 50, 48),
                record("Condition/2", 1, 38, 37),
                record("Condition/3", 1, 24, 23, confirmed=False),
            ),
        ),
        STOP_NEURO,
    ),
    "a haemoglobin of 6 and one of 12 of one day: the worse holds": (
        ten_mg_today(STEP_UP, labs=(haemoglobin(1, "6", 2), haemoglobin(2, "12", 2))),
        ("cytopenia", "withhold", "critical"),
    ),
    "an open CRS without a grade: a HOLD": (
        ten_mg_today(
            THREE_DOSES,
            (
                record("Condition/1", None, 20, course=Course.OPEN, syndrome=CRS),
                record("Condition/2", 1, 20, 18, syndrome=CRS),
            ),
        ),
        HOLD_CRS,
    ),
    "a grade 3 resolved on an unknown day, and a grade 1 of the same onset: a HOLD, no proof that it fell by day 7": (
        ten_mg_today(given(("1", 20), ("10", 13)), (record("Condition/1", 3, 9), record("Condition/2", 1, 9, 8))),
        HOLD_NEURO,
    ),
    "a grade 3 without outcome beside an open grade 1: a HOLD that asks": (
        ten_mg_today(
            given(("1", 20), ("10", 13)),
            (
                record("Condition/1", 1, 12, course=Course.OPEN),
                record("AdverseEvent/2", 3, 9, course=Course.OUTCOME_MISSING),
            ),
        ),
        HOLD_NEURO,
    ),
    "a grade 3 that ended after 3 days, and a copy without its end: a warning to watch": (
        ten_mg_today(STEP_UP, (record("Condition/1", 3, 5, 2), record("Condition/2", 3, 5))),
        WATCH,
    ),
    "a grade 3 that ended after 2 days, and a copy without its end: no STOP": (
        ten_mg_today(given(("1", 28), ("10", 21)), (record("Condition/1", 3, 20, 18), record("Condition/2", 3, 20))),
        WATCH,
    ),
}


@pytest.mark.parametrize(("history", "expected"), ONCE_WRONG.values(), ids=ONCE_WRONG)
def test_both_say_what_the_engine_once_had_wrong(history: History, expected: Card) -> None:
    answer = judge(history.state, history.at, history.zone)["MedicationRequest/d", 0]

    assert expected in answer.cards
    assert expected in engine_cards(history, "MedicationRequest/d")


RESTARTED_AFTER_CRS = ten_mg_today(
    given(("1", 29), ("10", 22), ("1", 7)),
    (record("Condition/1", 3, 20, 18, syndrome=CRS), seen(0, at(6, 9))),
)


def test_neither_asks_for_a_second_restart_when_grade_0_is_seen_after_it() -> None:
    answer = judge(RESTARTED_AFTER_CRS.state, RESTARTED_AFTER_CRS.at, RESTARTED_AFTER_CRS.zone)

    assert answer["MedicationRequest/d", 0].cards == {
        ("monitoring", "monitor", "info"),
        ("premedication", "order", "warning"),
    }
    assert ("crs", "restart-step-up", "warning") not in engine_cards(RESTARTED_AFTER_CRS, "MedicationRequest/d")
