"""No value of the knowledge can be moved by one step without a vignette going red."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache

import pytest

from cds_service.engine.rulebook import Rulebook
from cds_service.knowledge.regimen import Cite, Dose, Range, Regimen, Row, Sources
from tests.mutation.knowledge import Killer, Verdict, complaints, equivalents, packaged, verdicts
from tests.mutation.mutants import mutants
from tests.mutation.offered import departures
from tests.mutation.reads import OF_THE_FILE, noting
from tests.traceability.statements import whole_knowledge


def test_no_mutant_of_the_knowledge_survives_but_those_listed_with_a_reason() -> None:
    assert complaints(verdicts(), equivalents()) == []


def test_no_vignette_is_red_before_anything_is_moved() -> None:
    assert packaged().red_already == []


def test_every_listed_mutant_has_a_reason() -> None:
    assert all(len(reason) > 20 for reason in equivalents().values())


def test_each_kind_of_card_offers_what_the_sheet_says_and_has_its_reasons() -> None:
    assert list(departures(whole_knowledge())) == []


# --- what is moved ------------------------------------------------------------------------------------------------


@cache
def moved() -> Mapping[str, Regimen]:
    return {mutant.name: mutant.regimen for mutant in mutants(whole_knowledge())}


def row(name: str, table: str, row_id: str) -> Row:
    return moved()[name].table(table).row(row_id)


def test_no_two_mutants_have_the_same_name() -> None:
    names = [mutant.name for mutant in mutants(whole_knowledge())]
    assert len(names) == len(set(names))


def test_a_whole_number_is_moved_by_one_both_ways() -> None:
    assert row("NEURO-STOP-7D within_days 7 → 8", "stop", "NEURO-STOP-7D").integer("within_days") == 8
    assert row("NEURO-STOP-7D within_days 7 → 6", "stop", "NEURO-STOP-7D").integer("within_days") == 6


def test_a_decimal_is_moved_by_its_last_digit() -> None:
    assert row("ASTCT-FEVER at_least 38.0 → 38.1", "crs_grades", "ASTCT-FEVER").number("at_least") == Decimal("38.1")
    assert row("LAB-PLT-G4 below 25 → 24", "lab_grades", "LAB-PLT-G4").number("below") == Decimal("24")
    assert moved()["numbers completed_to 1.1 → 1.2"].numbers["completed_to"] == Decimal("1.2")


def test_a_dose_is_moved_by_its_last_digit() -> None:
    assert moved()["doses largest 10 → 11"].doses["largest"] == Dose(mg=Decimal(11))
    assert row("SCH-C1D1 dose 1 → 2", "schedule", "SCH-C1D1").dose("dose") == Dose(mg=Decimal(2))


def test_a_flag_an_indicator_and_a_word_become_the_next_one() -> None:
    assert row("R2 restart → no", "delay", "R2").flag("restart") is False
    assert row("R2 indicator → warning", "delay", "R2").text("indicator") == "warning"
    assert row("OBS-10 indicator → warning", "observation", "OBS-10").text("indicator") == "warning"
    assert row("R2 action → status", "delay", "R2").text("action") == "status"


def test_a_list_loses_each_of_its_names() -> None:
    changed = row("LIVER-HOLD analytes without AST", "hold", "LIVER-HOLD")
    assert changed.texts("analytes") == ("ALT", "bilirubin")


def test_each_citation_is_dropped_alone() -> None:
    whole = whole_knowledge().table("delay").row("R2").cite
    assert row("R2 cite without S3", "delay", "R2").cite == Cite(
        statements=(), label=whole.label, differences=whole.differences, why=whole.why
    )
    changed = row("WAIT-THEN-RESTART cite without Table 4", "dose", "WAIT-THEN-RESTART")
    assert changed.cite.label == "Table 1"


def test_a_border_between_rows_is_moved_on_both_sides() -> None:
    changed = moved()["R1 R2 days_since border 14 → 15"].table("delay")
    assert changed.row("R1").range("days_since") == Range(at_most=15)
    assert changed.row("R2").range("days_since") == Range(at_least=16)
    assert changed.row("R3").range("days_since") == Range(at_most=21)


def test_one_side_of_a_border_alone_is_refused_at_the_start() -> None:
    trial = packaged()
    mutant = next(mutant for mutant in trial.mutants if mutant.name == "R1 days_since at_most 14 → 15")
    assert trial.verdict(mutant).killer is Killer.START


# --- who judges ---------------------------------------------------------------------------------------------------


def test_what_is_read_of_the_knowledge_is_noted() -> None:
    reads: set[tuple[str, str]] = set()
    noted = noting(whole_knowledge(), reads)

    assert noted.table("delay").row("R2").has("action")
    assert reads == set()
    assert noted.table("delay").row("R2").flag("restart") is True
    assert noted.numbers["lab_age_days"] == 7
    assert noted.doses["largest"] == Dose(mg=Decimal(10))
    assert reads == {("R2", "restart"), (OF_THE_FILE, "lab_age_days"), (OF_THE_FILE, "largest")}


@pytest.mark.parametrize(
    "name",
    [
        "R2 indicator → warning",
        "R1 R2 days_since border 14 → 15",
        "NEURO-STOP-7D within_days 7 → 8",
        "numbers lab_age_days 7 → 6",
    ],
)
def test_an_answer_that_does_not_read_a_value_stays_when_it_is_moved(name: str) -> None:
    trial = packaged()
    mutant = next(mutant for mutant in trial.mutants if mutant.name == name)
    judges = {vignette.case.id for vignette in trial.judges(mutant)}
    others = [vignette for vignette in trial.vignettes if vignette.case.id not in judges]
    rulebooks = {sources: Rulebook(mutant.regimen.under(sources)) for sources in Sources}

    red = [vignette.case.id for vignette in others if vignette.goes_red(rulebooks[Sources(vignette.case.sources)])]

    assert judges
    assert others
    assert red == []


# --- what is complained of ----------------------------------------------------------------------------------------


def found(name: str, killer: Killer) -> Verdict:
    return Verdict(name=name, killer=killer, where="V5b")


@pytest.mark.parametrize(
    ("verdict", "allowed", "expected"),
    [
        (found("R2 restart → no", Killer.VIGNETTE), {}, []),
        (found("R2 restart → no", Killer.NOTHING), {}, ["R2 restart → no: no vignette goes red"]),
        (found("R2 restart → no", Killer.NOTHING), {"R2 restart → no": "a reason"}, []),
        (
            found("R2 restart → no", Killer.VIGNETTE),
            {"R2 restart → no": "a reason"},
            ["R2 restart → no: listed, but killed by V5b"],
        ),
    ],
)
def test_survivors_must_be_listed_and_listed_ones_must_survive(
    verdict: Verdict, allowed: Mapping[str, str], expected: list[str]
) -> None:
    assert complaints([verdict], allowed) == expected


def test_a_listed_name_that_is_no_mutant_is_complained_of() -> None:
    assert complaints([], {"R99 restart → no": "a reason"}) == ["R99 restart → no: listed, and no mutant"]
