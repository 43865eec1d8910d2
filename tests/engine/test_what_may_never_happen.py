"""clinical-rules: the gaps of one call share one `record` card; a failing rule shows; silence is never a gap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from cds_service.engine import gaps, rulebook
from cds_service.engine.case import Call
from cds_service.engine.rulebook import CASE_TABLES, Rulebook
from cds_service.errors import KnowledgeError
from cds_service.knowledge.regimen import Row
from fhir_mappings.facts import Analyte, NotRecorded, Reading, Unknown
from tests.engine.builders import (
    AT,
    NORMAL_LABS,
    ask,
    course,
    crs,
    day,
    give,
    iso,
    lab,
    labs_but,
    on_record,
    order,
    read,
    seed,
    state_of,
    toxicity,
)
from tests.engine.builders import rulebook as book

FITS = ["monitoring/monitor info"]
CRITICAL = "record/cannot-assess critical"
WARNING = "record/cannot-assess warning"
ROUTINE = course(4, -14)
KNOWLEDGE = book().regimen


# --- what could not be read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reading", [Reading.PARTIAL, Reading.UNAVAILABLE])
@pytest.mark.parametrize(
    ("key", "row"),
    [
        ("medicationAdministrations", "REC-ADMINISTRATIONS"),
        ("medicationRequests", "REC-ORDERS"),
        ("conditions", "REC-CONDITIONS"),
    ],
)
def test_a_needed_key_that_was_not_read_is_critical(key: str, row: str, reading: Reading) -> None:
    answer = ask(order("10"), *ROUTINE, needs=[read(key, reading)])
    assert answer.rows(CRITICAL) == (row,)
    assert "time limit" in answer.text(CRITICAL)


@pytest.mark.parametrize("reading", [Reading.PARTIAL, Reading.UNAVAILABLE])
@pytest.mark.parametrize(
    ("key", "row"),
    [
        ("patient", "REC-PATIENT"),
        ("laboratory", "REC-LABORATORY"),
        ("vitalSigns", "REC-VITALS"),
        ("observations", "REC-OBSERVATIONS"),
        ("procedures", "REC-PROCEDURES"),
        ("adverseEvents", "REC-ADVERSE-EVENTS"),
        ("allergies", "REC-ALLERGIES"),
    ],
)
@pytest.mark.parametrize("doses", [(), ROUTINE])
def test_a_wanted_key_that_was_not_read_is_a_warning(
    key: str, row: str, reading: Reading, doses: tuple[object, ...]
) -> None:
    answer = ask(order("10" if doses else "1"), *doses, needs=[read(key, reading)])
    assert answer.rows(WARNING) == (row,)
    assert ("read only in part" if reading is Reading.PARTIAL else "not read") in answer.text(WARNING)


def test_all_gaps_of_a_call_share_one_card_of_the_worst_indicator() -> None:
    answer = ask(
        order("10"),
        *ROUTINE,
        Unknown(what="Procedure", why="no code"),
        needs=[read("laboratory", Reading.PARTIAL, ""), read("conditions", Reading.UNAVAILABLE)],
    )
    assert [kind for kind in answer.kinds if kind.startswith("record")] == [CRITICAL]
    assert answer.card(CRITICAL).summary == "Check by hand: the conditions on record could not be read."
    for part in (
        "Conditions (not read: time limit)",
        "Laboratory (read only in part)",
        "Procedures (Procedure: no code)",
    ):
        assert part in answer.text(CRITICAL)


def test_a_record_card_names_every_draft_of_the_call() -> None:
    answer = ask(order("1"), order("10", 7, 1), needs=[read("allergies", Reading.PARTIAL)])
    assert answer.extension(WARNING).orders == ("MedicationRequest/d0", "MedicationRequest/d1")


def test_a_gap_is_said_also_where_no_draft_is_the_drugs() -> None:
    draft = Unknown(what="draft order", why="its drug cannot be read", reference="MedicationRequest/x")
    answer = ask(draft)
    assert answer.kinds == [CRITICAL]
    assert answer.extension(CRITICAL).orders in ((), None)
    assert "MedicationRequest/x: its drug cannot be read" in answer.text(CRITICAL)


def test_a_draft_without_a_reference_that_could_not_be_read_is_an_entry() -> None:
    assert "an entry: not an object" in ask(Unknown(what="draft order", why="not an object")).text(CRITICAL)


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("Condition", "REC-CONDITIONS"),
        ("MedicationRequest", "REC-ORDERS"),
        ("Observation", "REC-LABORATORY"),
        ("Procedure", "REC-PROCEDURES"),
        ("AdverseEvent", "REC-ADVERSE-EVENTS"),
        ("AllergyIntolerance", "REC-ALLERGIES"),
        ("Patient", "REC-PATIENT"),
        ("Immunization", "REC-OTHER"),
    ],
)
def test_an_unreadable_resource_is_named_with_its_reason_and_reference(kind: str, row: str) -> None:
    answer = ask(order("10"), *ROUTINE, Unknown(what=kind, why="no status", reference=f"{kind}/x"))
    assert answer.rows("record") == (row,)
    assert f"{kind}: no status" in answer.text("record")
    evidence = answer.extension("record").evidence
    assert [e.reference for e in evidence] == [f"{kind}/x"]


def test_another_patients_resource_is_no_gap_but_another_patients_draft_is() -> None:
    assert ask(order("10"), *ROUTINE, Unknown(what="Condition", why="of another patient", foreign=True)).kinds == FITS
    foreign = Unknown(what="draft order", why="of another patient", foreign=True)
    assert CRITICAL in ask(order("10"), *ROUTINE, foreign).kinds


# --- results ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [r.analyte for r in NORMAL_LABS if r.analyte is not Analyte.EGFR])
def test_after_a_dose_a_blood_count_or_liver_panel_that_is_missing_is_a_warning(missing: Analyte) -> None:
    labs = tuple(result for result in NORMAL_LABS if result.analyte is not missing)
    answer = ask(order("10"), *ROUTINE, labs=labs)
    assert answer.rows(WARNING) == ("REC-NO-RECENT-LABS",)
    assert missing.value in answer.card(WARNING).summary


@pytest.mark.parametrize(("n", "missing"), [(-7, False), (-8, True)])
def test_results_are_of_the_last_seven_days(n: int, missing: bool) -> None:
    labs = labs_but(lab(Analyte.PLATELETS, "210", n))
    assert (WARNING in ask(order("10"), *ROUTINE, labs=labs).kinds) is missing


def test_before_the_first_dose_missing_results_are_a_line() -> None:
    answer = ask(order("1"), labs=())
    assert answer.kinds == FITS
    assert "Not on record from the last 7 days: neutrophils, platelets, haemoglobin, ALT, AST and bilirubin" in (
        answer.text("monitoring")
    )


def test_missing_results_are_not_concluded_from_a_laboratory_read_in_part() -> None:
    answer = ask(order("10"), *ROUTINE, labs=(), needs=[read("laboratory", Reading.PARTIAL)])
    assert answer.rows(WARNING) == ("REC-LABORATORY",)


def refused(analyte: Analyte, n: int = -1) -> Any:
    return lab(analyte, None, n, refused="the unit is missing")


def test_a_refused_result_that_could_hide_a_hold_is_a_warning_after_a_dose() -> None:
    answer = ask(order("10"), *ROUTINE, refused(Analyte.PLATELETS))
    assert answer.rows(WARNING) == ("REC-REFUSED-RESULT",)
    assert f"platelets of {iso(-1)} (the unit is missing)" in answer.text(WARNING)


def test_a_refused_result_is_no_reason_once_a_newer_one_can_be_used() -> None:
    assert ask(order("10"), *ROUTINE, refused(Analyte.PLATELETS, -3)).kinds == FITS


def test_before_the_first_dose_and_for_the_kidney_a_refused_result_is_a_line() -> None:
    before = ask(order("1"), refused(Analyte.PLATELETS))
    assert before.kinds == FITS
    assert f"Not used: platelets of {iso(-1)} (the unit is missing)." in before.text("monitoring")
    kidney = ask(order("10"), *ROUTINE, refused(Analyte.CREATININE))
    assert kidney.kinds == FITS
    assert "Not used: creatinine" in kidney.text("monitoring")


def test_a_liver_test_without_a_range_cannot_be_graded_and_is_said() -> None:
    answer = ask(order("10"), *ROUTINE, labs=labs_but(lab(Analyte.ALT, "900", -1)))
    assert "no reference range" in answer.text(WARNING)


def test_a_refused_range_is_said_with_its_reason() -> None:
    labs = labs_but(lab(Analyte.ALT, "20", -1, range_refused="the range has another unit"))
    assert "the range has another unit" in ask(order("10"), *ROUTINE, labs=labs).text(WARNING)


# --- a rule that raises ----------------------------------------------------------------------------------------


def raising(_: object, __: Row) -> None:
    raise ZeroDivisionError


@pytest.fixture
def with_failing_question(monkeypatch: pytest.MonkeyPatch) -> Any:
    def fail(table: str, question: str) -> None:
        broken = dict(CASE_TABLES[table]) | {question: raising}
        tables: Mapping[str, Any] = dict(CASE_TABLES) | {table: broken}
        monkeypatch.setattr(rulebook, "CASE_TABLES", tables)

    return fail


def each_question() -> Iterator[tuple[str, str]]:
    for table, questions in CASE_TABLES.items():
        for question in questions:
            if any(row.text("question") == question for row in KNOWLEDGE.table(table).rows):
                yield table, question


@pytest.mark.conforms("C56")
@pytest.mark.parametrize(("table", "question"), list(each_question()))
def test_any_rule_that_raises_takes_down_only_itself_and_shows(
    table: str, question: str, with_failing_question: Any
) -> None:
    with_failing_question(table, question)
    answer = ask(order("10"), *ROUTINE)
    assert answer.kinds == [CRITICAL, *FITS]
    failed = [row.id for row in KNOWLEDGE.table(table).rows if row.text("question") == question]
    for row_id in failed:
        assert row_id in answer.text(CRITICAL)
        assert row_id not in answer.assessment.silent
        assert row_id not in answer.assessment.fired


def test_a_failing_rule_leaves_the_other_rules_of_the_same_call_alone(with_failing_question: Any) -> None:
    with_failing_question("stop", "second episode")
    answer = ask(order("20"), give(-15, "1"), crs(4, -14, -10))
    assert answer.kinds == ["crs/discontinue critical", CRITICAL]


def test_a_failing_delay_rule_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cds_service.engine.step_up.delayed", raising)
    answer = ask(order("10"), *course(3, -29))
    assert answer.kinds[0] == CRITICAL
    assert "R8" in answer.text(CRITICAL)


def test_a_failing_question_about_gaps_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = dict(gaps.QUESTIONS) | {"no recent laboratory results": raising}
    monkeypatch.setattr(gaps, "QUESTIONS", broken)
    answer = ask(order("10"), *ROUTINE)
    assert answer.kinds == [CRITICAL, *FITS]
    assert "REC-NO-RECENT-LABS" in answer.text(CRITICAL)


def test_a_failure_in_what_the_rules_share_shows_for_that_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cds_service.engine.monitoring.ordinary_lines", raising)
    answer = ask(order("10"), *ROUTINE)
    assert answer.kinds == [CRITICAL]
    assert "MedicationRequest/d0" in answer.text(CRITICAL)


def test_a_history_that_cannot_be_derived_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cds_service.engine.case.read_history", raising)
    answer = ask(order("10"), *ROUTINE)
    assert answer.kinds == [CRITICAL]
    assert "Failed, and not assessed: the history of doses" in answer.text(CRITICAL)


# --- knowledge that nobody can answer --------------------------------------------------------------------------


@pytest.mark.parametrize("table", [*CASE_TABLES, "record"])
def test_a_row_whose_question_nobody_answers_is_refused_at_the_start(table: str) -> None:
    regimen = KNOWLEDGE
    row = regimen.table(table).rows[0]
    odd = replace(row, columns=dict(row.columns) | {"question": "is the moon full"})
    tables = dict(regimen.tables) | {table: replace(regimen.table(table), rows=(odd,))}
    with pytest.raises(
        KnowledgeError, match=f"^tarlatamab.yaml:{row.line} {row.id}: nobody can answer 'is the moon full'"
    ):
        Rulebook(replace(regimen, tables=tables))


def without(*row_ids: str) -> Rulebook:
    """The rules without some rows: knowledge with a hole."""
    tables = {
        name: replace(table, rows=tuple(row for row in table.rows if row.id not in row_ids))
        for name, table in KNOWLEDGE.tables.items()
    }
    book = Rulebook(KNOWLEDGE)
    book.regimen = replace(KNOWLEDGE, tables=tables)  # the start refuses most holes; the rules must bear them too
    return book


@pytest.mark.parametrize(
    ("hole", "facts"),
    [
        ("SCH-TREATMENT", ROUTINE),  # no row of the schedule for this dose
        ("OBS-6-9", ROUTINE),  # no observation hours for it
        ("LINE-INFUSION", ROUTINE),  # no words for the card
        ("CRS-CONFIRM", (*ROUTINE, crs(4, -50, -45, confirmed=False))),  # no row that asks to confirm
    ],
)
def test_a_hole_in_the_knowledge_is_a_critical_card_and_never_silence(hole: str, facts: tuple[object, ...]) -> None:
    answer = ask(order("10"), *facts, book=without(hole))
    assert CRITICAL in answer.kinds


# --- silence ---------------------------------------------------------------------------------------------------


def test_every_row_that_was_asked_is_fired_or_silent() -> None:
    answer = ask(order("10"), *ROUTINE)
    asked = set(answer.assessment.fired) | set(answer.assessment.silent)
    regimen = KNOWLEDGE
    for table in (*CASE_TABLES, "record"):
        rows = [row for row in regimen.table(table).rows if gaps.is_asked(row, at_orders=True)]
        assert {row.id for row in rows} <= asked
    assert not set(answer.assessment.fired) & set(answer.assessment.silent)


def test_a_call_without_a_draft_of_the_drug_gets_no_card() -> None:
    assert ask(*ROUTINE, crs(4, -50, -45)).kinds == []


@pytest.mark.conforms("C86")
def test_the_worst_card_comes_first() -> None:
    ranks = [kind.split()[1] for kind in ask(order("20", minutes=NotRecorded), give(-15, "1"), companions=()).kinds]
    assert ranks == sorted(ranks, key=["critical", "warning", "info"].index)


def test_the_same_call_gives_the_same_answer() -> None:
    facts = (order("10"), *ROUTINE, crs(2, -13, -10), on_record("completed", -3, "10"))
    assert ask(*facts).cards == ask(*facts).cards


@pytest.mark.parametrize("mode", [ask, seed])
@pytest.mark.parametrize("status", ["draft", "active", "on-hold", ""])
def test_a_draft_of_any_other_status_is_judged(mode: Any, status: str) -> None:
    assert mode(order("10", status=status)).kinds != []


def test_a_call_with_everything_wrong_still_says_the_gravest_first() -> None:
    answer = ask(
        order("20", day(0), 0),
        give(0, "10"),
        crs(4, -1),
        toxicity(crs(1, 0).syndrome, None, NotRecorded),
        needs=[read("conditions", Reading.UNAVAILABLE)],
        labs=(),
        cancer=(),
        companions=(),
    )
    assert answer.kinds[0] == "crs/discontinue critical"
    assert CRITICAL in answer.kinds


def test_the_call_derives_its_history_once() -> None:
    call = Call(regimen=KNOWLEDGE, state=state_of(order("10"), *ROUTINE), at=AT)
    assert call.history is call.history
