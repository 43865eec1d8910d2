"""The packaged knowledge: whole, cited, and every sentence of it can be filled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from string import Formatter
from typing import Final

import pytest

from cds_service import wire
from cds_service.cards import filled
from cds_service.engine.rulebook import Rulebook
from cds_service.knowledge.loader import load
from cds_service.knowledge.regimen import Origin, Regimen, Row, Sources

KNOWLEDGE: Final = load()
SEED: Final = load(sources=Sources.SEED)
ALL_ROWS: Final = {row.id: row for row in (*KNOWLEDGE.rows(), *SEED.rows())}
STATEMENTS: Final = tuple(f"S{n}" for n in range(1, 45))
DELAY_ROWS: Final = tuple(f"R{n}" for n in range(1, 9))

SLOTS: Final[Mapping[str, str]] = {
    "drug": "tarlatamab",
    "name": "Imdelltra",
    "ordered": "10 mg",
    "due": "10 mg",
    "position": "C12D15",
    "day": "2026-01-20",
    "last_dose": "10 mg",
    "last_day": "2026-01-06",
    "days": "14",
    "since": "14 days since the last dose",
    "due_on": "2026-01-20",
    "limit_day": "2026-02-03",
    "next_due": "2026-02-03",
    "next_limit": "2026-02-17",
    "hours": "22–24",
    "what": "neutrophils",
    "grade": "3",
    "onset": "2026-01-10",
    "ended": "2026-01-12",
    "value": "0.8 × 10⁹/L",
    "found": "On record: CRS grade 3.",
    "until": "2026-03-20",
    "overall": "12th dose overall",
    "amount": "8 mg",
    "given": "1 mg on 2026-01-13",
    "earliest": "2026-01-19",
    "what_is_due": "10 mg (C12D15) is due on 2026-01-20",
    "read": "could only be read in part",
    "checked": "could only be checked in part",
}


def test_the_packaged_file_loads_under_both_sources_and_every_question_can_be_answered() -> None:
    for regimen in (KNOWLEDGE, SEED):
        assert Rulebook(regimen).regimen is regimen


def test_the_file_has_a_version_and_a_day_on_which_it_was_checked_against_the_label() -> None:
    assert re.fullmatch(r"tarlatamab \d{4}\.\d+", KNOWLEDGE.version)
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", KNOWLEDGE.last_checked_against_label_on)
    assert KNOWLEDGE.label_url.startswith("https://dailymed.nlm.nih.gov/")
    assert "1e7b6163-5d83-42ea-82c9-cf7620cdc782" in KNOWLEDGE.label_url


def test_the_doses_are_those_of_the_source() -> None:
    assert {name: str(dose) for name, dose in KNOWLEDGE.doses.items()} == {
        "step": "1 mg",
        "treatment": "10 mg",
        "largest": "10 mg",
    }


def test_the_numbers_are_those_of_the_rules() -> None:
    assert dict(KNOWLEDGE.numbers) == {
        "completed_from": Decimal("0.9"),
        "completed_to": Decimal("1.1"),
        "early_tolerance_days": Decimal("1"),
        "episode_gap_days": Decimal("7"),
        "lab_age_days": Decimal("7"),
        "together_days": Decimal("3"),
        "inferred_crs_hours": Decimal("72"),
    }


# --- citations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_statement_of_the_seed_is_cited_by_a_row(statement: str) -> None:
    assert [row.id for row in ALL_ROWS.values() if statement in row.cite.statements]


@pytest.mark.parametrize("row_id", DELAY_ROWS)
def test_every_cell_of_the_labels_delay_table_is_a_row(row_id: str) -> None:
    row = KNOWLEDGE.table("delay").row(row_id)
    assert row.cite.label == "Table 4"
    assert row.origin is Origin.LABEL


@pytest.mark.parametrize("row", ALL_ROWS.values(), ids=ALL_ROWS)
def test_every_row_cites_statements_and_differences_that_exist(row: Row) -> None:
    assert set(row.cite.statements) <= set(STATEMENTS)
    assert set(row.cite.differences) <= {f"D-{n}" for n in range(1, 27)}
    if row.origin in {Origin.LABEL, Origin.BOTH}:
        assert row.cite.label or row.cite.why
    if row.origin in {Origin.SEED, Origin.BOTH, Origin.SEED_ALONE}:
        assert row.cite.statements
    if row.origin is Origin.LOCAL:
        assert row.cite.why or row.cite.label


@pytest.mark.parametrize("row", ALL_ROWS.values(), ids=ALL_ROWS)
def test_no_row_claims_a_review_that_nobody_made(row: Row) -> None:
    assert row.reviewed is None


# --- sources ---------------------------------------------------------------------------------------------------


def test_seed_mode_leaves_no_row_of_the_label_in_force() -> None:
    assert {row.origin for row in SEED.rows()} == {Origin.SEED, Origin.BOTH, Origin.LOCAL, Origin.SEED_ALONE}


def test_seed_mode_has_no_delay_rows_and_no_longer_observation_after_toxicity() -> None:
    assert SEED.table("delay").rows == ()
    assert SEED.table("observation_after_toxicity").rows == ()


def test_rows_of_the_seed_alone_are_not_in_force_beside_the_label() -> None:
    assert Origin.SEED_ALONE not in {row.origin for row in KNOWLEDGE.rows()}


# --- tables without gaps and overlaps --------------------------------------------------------------------------


def rows_that_hold(regimen: Regimen, table: str, **inputs: int) -> list[str]:
    return [
        row.id for row in regimen.table(table).rows if all(value in row.range(name) for name, value in inputs.items())
    ]


@pytest.mark.parametrize("k", range(12))
@pytest.mark.parametrize("days", [0, 14, 15, 21, 22, 28, 29, 400])
def test_every_delay_has_exactly_one_row(k: int, days: int) -> None:
    limit = {0: 14, 1: 21}.get(k, 28)
    number = 2 * min(k, 3) + 1 + (days > limit)
    assert rows_that_hold(KNOWLEDGE, "delay", treatment_doses=k, days_since=days) == [f"R{number}"]


@pytest.mark.parametrize("regimen", [KNOWLEDGE, SEED], ids=["seed+label", "seed"])
@pytest.mark.parametrize("n", range(1, 30))
def test_every_dose_has_exactly_one_observation_row(regimen: Regimen, n: int) -> None:
    assert len(rows_that_hold(regimen, "observation", dose_number=n)) == 1


@pytest.mark.parametrize("score", range(11))
def test_every_ice_score_has_exactly_one_grade(score: int) -> None:
    assert len(rows_that_hold(KNOWLEDGE, "ice_grades", ice_score=score)) == 1


@pytest.mark.parametrize("k", range(12))
def test_every_number_of_treatment_doses_has_exactly_one_schedule_row(k: int) -> None:
    later = [row for row in KNOWLEDGE.table("schedule").rows if not row.flag("first_dose")]
    assert len([row.id for row in later if k in row.range("treatment_doses")]) == 1


# --- sentences -------------------------------------------------------------------------------------------------


def sentences_of(row: Row) -> list[str]:
    return [*row.say.values(), *row.detail]


@pytest.mark.parametrize("row", ALL_ROWS.values(), ids=ALL_ROWS)
def test_every_sentence_can_be_filled_with_the_shared_slots(row: Row) -> None:
    for sentence in sentences_of(row):
        text = filled(sentence, SLOTS, markdown=True)
        assert "{" not in text
        assert "not known" not in text
        assert {name for _, name, _, _ in Formatter().parse(sentence) if name} <= SLOTS.keys()


@pytest.mark.parametrize("row", ALL_ROWS.values(), ids=ALL_ROWS)
def test_every_summary_fits_a_card_with_ordinary_facts(row: Row) -> None:
    for name in ("summary", "beside", "many"):
        if name in row.say:
            assert len(filled(row.say[name], SLOTS, markdown=False)) <= wire.SUMMARY_LENGTH


@pytest.mark.parametrize("row", ALL_ROWS.values(), ids=ALL_ROWS)
def test_every_row_that_advises_has_topic_action_indicator_and_summary(row: Row) -> None:
    if row.has("topic"):
        assert row.text("action")
        assert row.text("indicator") in {"info", "warning", "critical"}
        assert "summary" in row.say


TOPICS: Final = {
    "dose": {"change-dose", "restart-step-up", "wait", "clarify"},
    "crs": {"withhold", "restart-step-up", "discontinue"},
    "neurotoxicity": {"withhold", "discontinue"},
    "cytopenia": {"withhold", "discontinue"},
    "infection": {"withhold", "discontinue"},
    "hepatotoxicity": {"withhold", "discontinue"},
    "other-toxicity": {"withhold", "discontinue"},
    "monitoring": {"monitor"},
    "premedication": {"order"},
    "administration": {"correct"},
    "pregnancy": {"avoid", "confirm"},
    "contraception": {"advise"},
    "lactation": {"avoid", "confirm"},
    "renal": {"assess"},
    "hepatic": {"assess"},
    "pediatric": {"assess"},
    "indication": {"confirm"},
    "progression": {"confirm"},
    "course": {"status"},
    "schedule": {"rebook"},
    "record": {"cannot-assess"},
}


@pytest.mark.parametrize("row", ALL_ROWS.values(), ids=ALL_ROWS)
def test_every_topic_and_action_is_one_of_the_contract(row: Row) -> None:
    if row.has("topic"):
        assert row.text("action") in TOPICS[row.text("topic")]
