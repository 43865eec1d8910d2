"""One mistake in the packaged file: each ends the start, and is named by file, line and row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from cds_service.engine import requirements
from cds_service.engine.rulebook import CASE_TABLES, Rulebook
from cds_service.errors import KnowledgeError
from cds_service.knowledge import loader
from cds_service.knowledge.checks import refuse_contradictions
from cds_service.knowledge.regimen import Regimen, Row, Sources
from cds_service.prefetch import PREFETCH

TEXT: Final = Path(loader.__file__).with_name(loader.PACKAGED).read_text(encoding="utf-8")


def changed(old: str, new: str, row: str = "") -> str:
    """The packaged text with one replacement, in this row (or where the text stands once)."""
    if not row:
        assert TEXT.count(old) == 1, old
        return TEXT.replace(old, new)
    start = TEXT.index(f"      - id: {row}\n")
    end = TEXT.index("        reviewed:", start)
    assert TEXT.count(old, start, end) >= 1, (row, old)
    return TEXT[:start] + TEXT[start:end].replace(old, new, 1) + TEXT[end:]


def line_of(text: str, place: str) -> int:
    """The line on which a text stands for the first time."""
    return text[: text.index(place)].count("\n") + 1


def whole_line(name: str) -> str:
    """The line of a dose or a number."""
    return next(line for line in TEXT.splitlines(keepends=True) if line.startswith(f"  {name}: "))


def start(text: str, sources: Sources = Sources.SEED_AND_LABEL) -> Rulebook:
    return Rulebook(loader.parse(text, "k.yaml").under(sources))


def starts(text: str, sources: Sources = Sources.SEED_AND_LABEL) -> bool:
    return bool(start(text, sources).regimen.rows())


def refused(text: str, sources: Sources = Sources.SEED_AND_LABEL) -> str:
    with pytest.raises(KnowledgeError) as refusal:
        start(text, sources)
    return str(refusal.value)


def refused_within(row: str, old: str, new: str) -> str:
    """The same where the line is that of the mistake itself: one of the row's."""
    text = changed(old, new, row)
    place, _, what = refused(text).partition(f" {row}: ")
    first = line_of(text, f"- id: {row}\n")
    last = first + text[text.index(f"- id: {row}\n") :].split("reviewed:")[0].count("\n")
    assert first <= int(place.removeprefix("k.yaml:")) <= last
    return what


def refused_in(row: str, old: str, new: str) -> str:
    """What is said of one replacement in a row, after the file, the row's line and its id."""
    text = changed(old, new, row)
    said = refused(text)
    place = f"k.yaml:{line_of(text, f'- id: {row}')} {row}: "
    assert said.startswith(place), said
    return said.removeprefix(place)


# --- what the file alone can tell --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "old", "new", "said"),
    [
        ("R2", "topic: dose", "topic: dosage", "topic 'dosage'; expected one of administration, contraception, course"),
        ("R2", "action: restart-step-up", "action: restart", "action 'restart'; topic 'dose' has change-dose, clarify"),
        (
            "CRS-STOP-G4",
            "action: discontinue",
            "action: wait",
            "action 'wait'; topic 'crs' has discontinue, restart-st",
        ),
        ("R2", ", indicator: critical", "", "'indicator' is missing: the row speaks a card"),
        ("R2", ", action: restart-step-up", "", "'action' is missing: the row speaks a card"),
        ("R2", "topic: dose, ", "", "'topic' is missing: the row speaks a card"),
        ("R1", "{restart: no}", "{restart: no, topic: dose}", "topic without a summary"),
        ("R2", "statements: [S3]", "statements: [S99]", "cites S99; expected S1 to S44"),
        ("R2", "statements: [S3]", "statements: [S45]", "cites S45; expected S1 to S44"),
        ("R2", "statements: [S3]", "statements: [S0]", "cites S0; expected S1 to S44"),
        ("R2", "statements: [S3]", "statements: [s3]", "cites s3; expected S1 to S44"),
        ("R2", "differences: [D-19]", "differences: [D-99]", "cites D-99; expected D-1 to D-26"),
        ("R2", "differences: [D-19]", "differences: [D-27]", "cites D-27; expected D-1 to D-26"),
        ("R2", "differences: [D-19]", "differences: [D19]", "cites D19; expected D-1 to D-26"),
        ("SCH-C1D8", 'dose: "10 mg"', 'dose: "12 mg"', "dose 12 mg is none of the doses (step 1 mg, treatment 10 mg, "),
        ("CRS-STOP-G4", "grade_from: 4", "grade_from: 6", "grade_from 6 is no grade"),
        ("OBS-3", "hours_from: 6", "hours_from: 9", "hours_from is above hours_to"),
        ("OBS-3", "hours_from: 6, ", "", "hours_from and hours_to stand together or not at all"),
        ("ADM-SALINE", "minutes_to: 300", "minutes_to: 200", "says '4–5 h', but its columns say"),
    ],
)
def test_a_row_that_contradicts_the_contract_the_sources_or_itself(row: str, old: str, new: str, said: str) -> None:
    assert refused_within(row, old, new).startswith(said)


@pytest.mark.parametrize(
    "citation", ["statements: [S44]", "statements: [S1]", "differences: [D-26]", "differences: [D-1]"]
)
def test_the_last_and_the_first_of_the_sources_can_be_cited(citation: str) -> None:
    assert starts(changed("statements: [S3]" if "S" in citation else "differences: [D-19]", citation, "R2"))


def test_a_number_of_days_is_whole() -> None:
    text = changed('lab_age_days: "7"', 'lab_age_days: "7.5"')
    line = line_of(text, "lab_age_days: ")
    assert refused(text) == f"k.yaml:{line} lab_age_days: expected a whole number, not 7.5"


# --- numbers stand once ------------------------------------------------------------------------------------------


def test_a_card_says_the_limit_of_its_row() -> None:
    text = changed("{at_most: 14}", "{at_most: 12}", "R1")
    start_of_r2 = text.index("- id: R2\n")
    text = text[:start_of_r2] + text[start_of_r2:].replace("{more_than: 14}", "{more_than: 12}", 1)
    rows = start(text).regimen.table("delay")
    assert rows.row("R1").say["line"] == "Up to 12 days after the 1 mg dose the schedule goes on with 10 mg."
    assert rows.row("R2").say["summary"] == (
        "Restart at 1 mg: {days} since the 1 mg dose on {last_day}; the limit is 12 days."
    )


def test_a_card_says_the_doses_of_the_file() -> None:
    text = changed('step: "1 mg"', 'step: "2 mg"').replace('dose: "1 mg"', 'dose: "2 mg"')
    regimen = start(text).regimen
    assert regimen.table("dose").row("DOSE-FIRST").say["summary"].startswith("Change the dose to 2 mg: ")
    assert "1 mg" not in "".join(s for row in regimen.rows() for s in (*row.say.values(), *row.detail))


def test_a_dose_that_only_the_file_changes_is_refused_at_the_schedule() -> None:
    text = changed('step: "1 mg"', 'step: "2 mg"')
    line = line_of(text, "- id: SCH-C1D1")
    assert refused(text) == (
        f"k.yaml:{line} SCH-C1D1: dose 1 mg is none of the doses (step 2 mg, treatment 10 mg, largest 10 mg)"
    )


def test_the_dose_of_another_step_of_the_schedule_is_refused() -> None:
    assert refused_in("SCH-C1D1", 'dose: "1 mg"', 'dose: "10 mg"') == "dose 10 mg, where 1 mg is due"
    assert refused_in("SCH-C1D8", 'dose: "10 mg"', 'dose: "1 mg"') == "dose 1 mg, where 10 mg is due"


def test_the_numbers_of_a_sentence_are_part_of_what_a_review_answers_for() -> None:
    before = loader.parse(TEXT, "k.yaml").table("delay").row("R2").digest
    after = loader.parse(
        changed('treatment: "10 mg"', 'treatment: "12 mg"').replace('dose: "10 mg"', 'dose: "12 mg"'), ""
    )
    assert after.table("delay").row("R2").digest != before


@pytest.mark.parametrize(
    ("row", "old", "new", "said"),
    [
        ("R2", "the limit is {limit} days", "the limit is 15 days", "says '15 days', but its columns say 14"),
        ("R1", "Up to {limit} days", "Up to 13 days", "says '13 days', but its columns say 14"),
        ("R2", "Restart at {step}", "Restart at 2 mg", "says '2 mg', which is none of the doses"),
        ("DOSE-FIRST", "dose to {step}", "dose to 5 mg", "says '5 mg', which is none of the doses"),
        ("SCH-C1D8", "{dose}.", "20 mg.", "says '20 mg', which is none of the doses"),
        ("NEURO-STOP-7D", "by day {within_days}", "by day 8", "says 'day 8', but its columns say 7"),
        (
            "NEURO-STOP-7D",
            "onset}) was not at grade {grade_to} or less within {within_days} days",
            "onset}) within 6 days",
            "says '6 days', but its columns say 7",
        ),
        ("CONTRA-MISSING", "for {after_months} months", "for 3 months", "says '3 months', but its columns say 2"),
        ("PED-UNDER-18", "under {years} years", "under 16 years", "says '16 years', but its columns say 18"),
        ("ADM-DURATION", "time: {minutes} minutes", "time: 90 minutes", "says '90 minutes', but its columns say 60"),
        (
            "PREMED-STEROID",
            "dexamethasone {steroid_mg} mg",
            "dexamethasone 16 mg",
            "says '16 mg', but its columns say 8",
        ),
        (
            "PREMED-SALINE",
            "hydration for {position} on {day}: {litres} L",
            "hydration: 2 L",
            "says '2 L', but its columns say 1",
        ),
        ("PREMED-SALINE", "over 4–5 h", "over 2–3 h", "says '2–3 h', but its columns say 4–5"),
        ("LAB-ALT-G3", "above {above_uln}×ULN", "above 4×ULN", "says '4×ULN', but its columns say 5"),
        (
            "LIVER-STOP-HY",
            "above {transaminase_above_uln}×ULN",
            "above 4×ULN",
            "says '4×ULN', but its columns say 2 or 3",
        ),
        (
            "OBS-AFTER-CRS",
            "Observe {hours_from}–{hours_to} h",
            "Observe 6–8 h",
            "says '6–8 h', but its columns say 22–24",
        ),
    ],
)
def test_a_number_written_out_agrees_with_the_columns_of_its_row(row: str, old: str, new: str, said: str) -> None:
    assert refused_within(row, old, new) == said


def test_a_number_written_out_that_agrees_is_accepted() -> None:
    assert starts(changed("the limit is {limit} days", "the limit is 14 days", "R2"))
    assert starts(changed("under {years} years", "under 18 years", "PED-UNDER-18"))


# --- what the questions need -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "old", "new", "said"),
    [
        ("CRS-STOP-G4", ", grade_from: 4", "", None),  # its sentence has the slot {grade_from}
        ("CRS-HOLD-G3", ", grade_from: 3", "", "column 'grade_from' is missing: 'hold' asking 'active' needs it"),
        ("CRS-HOLD-G3", ", holds: yes", "", "column 'holds' is missing: 'hold' asking 'active' needs it"),
        ("CRS-STOP-G4", "question: grade ever, ", "", "column 'question' is missing: 'stop' needs it"),
        ("R2", "restart: yes, ", "", "column 'restart' is missing: 'delay' asking 'goes on' needs it"),
        ("R1", "restart: no", "restart: yes", "column 'action' is missing: 'delay' asking 'starts again' needs it"),
        ("OBS-3", ", step_up: no", "", "column 'step_up' is missing: 'observation' needs it"),
        (
            "SCH-TREATMENT",
            ", first_cycle: 2",
            "",
            "column 'first_cycle' is missing: 'schedule' asking 'a dose of every",
        ),
        (
            "CRS-STOP-G4",
            "syndrome: crs",
            "syndrome: crss",
            "syndrome 'crss'; 'stop' asking 'grade ever' knows crs, neuro",
        ),
        (
            "CRS-STOP-G4",
            "syndrome: crs",
            "syndrome: infection",
            "syndrome 'infection'; 'stop' asking 'grade ever' knows",
        ),
        (
            "INF-STOP-G4",
            "syndrome: infection",
            "syndrome: infections",
            "syndrome 'infections'; 'stop' asking 'grade ever in",
        ),
        (
            "LAB-NEUT-G4",
            "analyte: neutrophils",
            "analyte: neutrophil",
            "analyte 'neutrophil'; 'lab_grades' knows ALT, AST",
        ),
        (
            "NEUT-HOLD",
            "[neutrophils]",
            "[neutrophile]",
            "analytes 'neutrophile'; 'hold' asking 'newest laboratory grade'",
        ),
        (
            "LIVER-STOP-HY",
            "[ALT, AST, bilirubin]",
            "[bilirubin, ALT, AST]",
            "analytes are the transaminases, then bilirub",
        ),
        ("LIVER-STOP-HY", "[ALT, AST, bilirubin]", "[bilirubin]", "analytes are the transaminases, then bilirubin"),
        (
            "ASTCT-FEVER",
            "sign: temperature",
            "sign: temperatur",
            "sign 'temperatur'; 'crs_grades' asking 'a vital sign'",
        ),
        (
            "ASTCT-MASK",
            "sign: mask",
            "sign: masked",
            "sign 'masked or high-flow oxygen'; 'crs_grades' asking 'a support'",
        ),
        (
            "PREMED-STEROID",
            "kind: steroid",
            "kind: saline",
            "kind 'saline'; 'premedication' asking 'steroid missing' kn",
        ),
        ("REC-LABORATORY", "need: laboratory", "need: labs", "need 'labs'; 'record' asking 'need not read' knows"),
        (
            "COURSE-STATUS",
            "question: the order",
            "question: an order",
            "nobody can answer 'an order is not complete'",
        ),
        ("CRS-STOP-G4", "question: grade ever", "question: grade", "nobody can answer 'grade'"),
        (
            "CRS-STOP-RECURRENT",
            "grade_from: 3",
            "grade_from: 3, within_days: 7",
            "column 'within_days' is not read by 'stop'",
        ),
        (
            "LAB-NEUT-G3",
            'below: "1.0"',
            'below: "1.0", above_uln: "3"',
            "'lab_grades' needs exactly one of above_uln, be",
        ),
        ("CRS-HOLD-G3", "grade_to: 5", "grade_to: 2", "grade_to 2 does not go with grade_from 3"),
        ("NEURO-STOP-7D", "grade_to: 1", "grade_to: 3", "grade_to 3 does not go with grade_from 3"),
        ("OBS-1", "hours_from: 22, hours_to: 24, ", "", "says {hours}, and has none"),
        (
            "SCH-C1D8",
            "position: C1D8",
            'position: "C{cycle}D8"',
            "position 'C{cycle}D8' counts what the row does not have",
        ),
        ("R1", "say: {line:", "say: {many:", "sentence 'line' is missing: 'delay' asking 'goes on' says it"),
        (
            "REC-OTHER",
            "line:",
            "many:",
            "sentence 'line' is missing: 'record' asking 'something else not read' says it",
        ),
        ("LINE-INFUSION", "about: infusion", "about: infusions", "nobody asks for a line about 'infusions'"),
        (
            "LINE-STAND-IN",
            "doses taken from orders",
            "doses from orders",
            "nobody asks for a line about 'doses from orders'",
        ),
    ],
)
def test_a_row_that_its_question_cannot_use(row: str, old: str, new: str, said: str | None) -> None:
    if said is None:
        assert "slot {grade_from} is not declared" in refused(changed(old, new, row))
    else:
        assert refused_in(row, old, new).startswith(said)


def test_a_stop_without_the_grade_it_stops_at() -> None:
    text = changed(", grade_from: 4", "", "CRS-STOP-G4").replace("After CRS grade {grade_from}", "After CRS grade 4")
    line = line_of(text, "- id: CRS-STOP-G4")
    assert refused(text) == (
        f"k.yaml:{line} CRS-STOP-G4: column 'grade_from' is missing: 'stop' asking 'grade ever' needs it"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('  lab_age_days: "7" ', '  lab_age_day: "7" ', "k.yaml:{} numbers: nobody asks for 'lab_age_day'"),
        ('  largest: "10 mg" ', '  biggest: "10 mg" ', "k.yaml:{} doses: nobody asks for 'biggest'"),
    ],
)
def test_a_misspelt_number_or_dose(old: str, new: str, said: str) -> None:
    unused = {"{lab_age_days}": "7", "{largest}": "10 mg"}
    text = changed(old, new)
    for slot, value in unused.items():
        text = text.replace(slot, value)
    assert refused(text) == said.format(line_of(text, new))


def test_a_misspelt_number_that_a_sentence_uses_is_named_there() -> None:
    assert "slot {lab_age_days} is not declared" in refused(changed('  lab_age_days: "7" ', '  lab_age_day: "7" '))


@pytest.mark.parametrize(
    ("old", "part", "name"),
    [
        (whole_line("together_days"), "numbers", "together_days"),
        (whole_line("completed_to"), "numbers", "completed_to"),
        (whole_line("largest"), "doses", "largest"),
    ],
)
def test_a_number_or_dose_that_is_not_there(old: str, part: str, name: str) -> None:
    text = changed(old, "").replace("{largest}", "10 mg")
    line = line_of(text, "\n" + part + ":") + 2
    assert refused(text) == f"k.yaml:{line} {part}: {name!r} is missing"


def test_a_name_for_a_slot_of_the_case_and_a_value_of_the_file_is_refused() -> None:
    text = changed("slots: [drug,", "slots: [step, drug,")
    line = line_of(text, "slots: [step")
    assert refused(text) == f"k.yaml:{line} 'step' is a slot of the case and a value of the file"


def test_braces_are_for_slots_alone() -> None:
    assert "braces are for slots alone" in refused(changed("Restart at {step}", "Restart at {{step}}", "R2"))


# --- whole rows and tables ---------------------------------------------------------------------------------------


def without(row: str) -> str:
    start_of = TEXT.index(f"      - id: {row}\n")
    end = TEXT.index("        reviewed: none\n", start_of) + len("        reviewed: none\n")
    return TEXT[:start_of] + TEXT[end:]


@pytest.mark.parametrize(
    ("row", "table", "said"),
    [
        ("LINE-INFUSION", "lines", "no line in force about 'infusion'"),
        ("LINE-STAND-IN", "lines", "no line in force about 'doses taken from orders'"),
        ("LINE-DRIVING", "lines", "no line in force about 'driving'"),
        ("REC-RULE-FAILED", "record", "no row in force about 'a rule failed'"),
    ],
)
def test_a_row_that_is_always_asked_for_is_missed_at_the_start(row: str, table: str, said: str) -> None:
    text = without(row)
    assert refused(text) == f"k.yaml:{line_of(text, f'  {table}:') + 1} {table}: {said}"


def test_a_line_of_the_label_may_be_missing_where_the_label_is_not_in_force() -> None:
    assert starts(without("LINE-DRIVING"), Sources.SEED)
    assert starts(without("LINE-NEXT-SEED"))


def test_a_line_of_the_seed_alone_is_missed_where_the_seed_is_alone() -> None:
    assert refused(without("LINE-NEXT-SEED"), Sources.SEED).endswith("about 'next dose without a limit'")


def test_one_line_about_one_thing() -> None:
    said = refused(changed("about: support", "about: infusion", "LINE-SUPPORT"))
    assert said.endswith(" lines: two lines about 'infusion'")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("COURSE-STATUS", " course: no row in force asks 'the order is not complete'"),
        ("COURSE-NEXT", " course: no row in force asks 'the schedule goes on'"),
        ("DISCHARGE-NOT-YET", " discharge: no row in force asks 'the observation is not complete'"),
        ("BOOK-EARLY", " booking: no row in force asks 'too early'"),
    ],
)
def test_a_row_without_which_a_hook_would_be_silent_is_in_force_under_both_sources(row: str, complaint: str) -> None:
    text = changed("source: seed+label", "source: label", row)
    assert starts(text)
    assert refused(text, Sources.SEED).endswith(complaint)


def test_the_first_dose_stands_first_in_the_schedule() -> None:
    first = TEXT[TEXT.index("      - id: SCH-C1D1\n") : TEXT.index("      - id: SCH-C1D8\n")]
    last = TEXT.index("\n  delay:\n")
    text = TEXT[:last].replace(first, "") + first + TEXT[last:]
    assert refused(text).endswith(" schedule: the first dose stands first, that of every cycle last")


def test_a_table_that_nobody_asks_and_one_that_is_missing() -> None:
    other = changed("\n  course:\n", "\n  curse:\n")
    assert refused(other).endswith(" tables: nobody asks for 'curse'")
    gone = TEXT[: TEXT.index("\n  course:\n")] + TEXT[TEXT.index("\n  discharge:\n") :]
    assert refused(gone) == f"k.yaml:{line_of(gone, 'schedule:')} tables: 'course' is missing"


# --- what a card offers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "old", "new", "what"),
    [
        ("OFFER-STEROID", "premedication", "premeditation", "topics: no card is of 'premeditation' and one of order"),
        ("OFFER-STEROID", "[order]", "[order, monitor]", "actions: no card is of 'monitor' and one of premedication"),
        ("OFFER-REMOVAL-HELD", "[critical]", "[grave]", "indicators 'grave'; expected info, warning or critical"),
        ("OFFER-PREGNANCY-TEST", ', code: "2118-8"', "", "system and code stand together or not at all"),
        ("OFFER-DOSE", "offers: dose", "offers: reward", "offers 'reward'; 'suggestions' asking 'reward' knows dose,"),
        (
            "OFFER-STEROID",
            "kind: steroid",
            "kind: saline",
            "kind 'saline'; 'suggestions' asking 'steroid' knows steroid",
        ),
        ("OFFER-SALINE", "          instructs:", "          line:", "sentence 'instructs' is missing"),
        ("WHY-RESOLVED", "code: resolved", "system2: x", "column 'system2' is not declared"),
    ],
)
def test_what_a_card_offers_is_checked_at_the_start(row: str, old: str, new: str, what: str) -> None:
    assert what in refused(changed(old, new, row))


def test_a_critical_card_without_any_reason_not_to_follow_it_ends_the_start() -> None:
    regimen = loader.load()
    table = regimen.table("override_reasons")
    left = tuple(
        row for row in table.rows if "avoid" not in row.texts("actions") or "lactation" not in row.texts("topics")
    )
    fewer = replace(regimen, tables=dict(regimen.tables) | {"override_reasons": replace(table, rows=left)})
    assert "override_reasons: no reason not to follow lactation/avoid" in refusal_of(fewer)


# --- nothing is forgotten ----------------------------------------------------------------------------------------

MAY_BE_MISSING: Final = {
    ("dose", "beside"),
    ("dose", "goes_on"),
    ("dose", "without_dose"),
    ("dose", "without_monitoring"),
    ("dose", "without_order"),
    ("population", "without_order"),
    ("record", "at"),
    ("stop", "grade_to"),
    ("hold", "grade_to"),
    ("hold", "stale"),
    ("hold", "step_up_only"),
    ("suggestions", "indicators"),
    ("suggestions", "grade_from"),
}


def refusal_of(regimen: Regimen) -> str:
    try:
        refuse_contradictions(regimen)
        requirements.refuse_other_rows(regimen)
    except KnowledgeError as error:
        return str(error)
    return ""


def with_row(regimen: Regimen, row: Row) -> Regimen:
    """The regimen with one row in the place of the one with its id, and only that row's table."""
    table = regimen.table(row.table)
    rows = tuple(row if other.id == row.id else other for other in table.rows)
    return replace(regimen, tables=dict(regimen.tables) | {row.table: replace(table, rows=rows)})


@pytest.mark.parametrize("sources", Sources)
def test_no_column_of_any_row_can_be_left_out_but_those_that_may(sources: Sources) -> None:
    regimen = loader.load(sources=sources)
    left_out: set[tuple[str, str]] = set()
    alike = {(row.table, row.columns.get("question"), frozenset(row.columns)): row for row in regimen.rows()}
    for row in alike.values():
        for name in row.columns:
            fewer = replace(row, columns={n: v for n, v in row.columns.items() if n != name})
            if not refusal_of(with_row(regimen, fewer)):
                left_out.add((row.table, name))
    assert left_out <= MAY_BE_MISSING
    assert sources is Sources.SEED or left_out == MAY_BE_MISSING - {("stop", "grade_to")}


def test_every_question_that_needs_something_can_be_asked() -> None:
    for table, questions in CASE_TABLES.items():
        assert requirements.QUESTIONS.get(table, {}).keys() <= questions.keys()


def test_the_needs_that_a_row_may_name_are_those_that_are_read() -> None:
    assert {template.key for template in PREFETCH} == requirements.NEEDS


@pytest.mark.parametrize("levels", [loader.DEEPEST + 1, 100_000])
def test_a_file_nested_deeper_than_can_be_composed_is_refused(levels: int) -> None:
    with pytest.raises(KnowledgeError, match=r"nested too deeply|maximum nesting depth"):
        loader.document("[" * levels + "]" * levels, "k.yaml")


def test_a_file_at_the_deepest_level_is_read() -> None:
    assert loader.document("[" * loader.DEEPEST + "]" * loader.DEEPEST, "k.yaml").items()


@pytest.mark.parametrize("text", ["a: &x 1", "a: *x", "a: !!str 1", "? &x a\n: 1"])
def test_anchors_aliases_and_tags_are_refused_before_anything_is_composed(text: str) -> None:
    with pytest.raises(KnowledgeError, match=r"k.yaml:1 .*anchors, aliases and tags are not read"):
        loader.document(text, "k.yaml")
