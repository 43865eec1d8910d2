"""The knowledge as the page shows it: nothing left out, and each number of a source with its words."""

from __future__ import annotations

from dataclasses import replace

from cds_service.knowledge.regimen import Hit, Review, Table
from cds_service.knowledge.sheet import OTHER, as_sheet
from cds_service.knowledge.statements import paraphrases
from tests.traceability.statements import whole_knowledge

WHOLE = whole_knowledge()


def rows(sheet: dict[str, object]) -> dict[str, dict[str, object]]:
    groups: list[dict[str, list[dict[str, list[dict[str, object]]]]]] = sheet["groups"]  # type: ignore[assignment]
    return {str(row["id"]): row for group in groups for table in group["tables"] for row in table["rows"]}


def test_every_row_stands_on_the_page() -> None:
    assert set(rows(as_sheet(WHOLE))) == {row.id for row in WHOLE.rows()}


def test_a_table_that_nobody_put_in_a_group_comes_last() -> None:
    new = Table(name="new", question="?", hit=Hit.FIRST, inputs={}, outputs={}, slots=frozenset(), rows=())
    sheet = as_sheet(replace(WHOLE, tables={"new": new, **WHOLE.tables}))
    assert (sheet["groups"][-1]["title"], [table["name"] for table in sheet["groups"][-1]["tables"]]) == (
        OTHER,
        ["new"],
    )


def test_a_row_has_the_words_of_what_it_cites() -> None:
    row = rows(as_sheet(WHOLE, statements=paraphrases()))["R2"]
    assert row["statements"] == [("S3", "Step-up dosing is required, to lower CRS risk")]
    assert row["differences"] == [
        (
            "D-19",
            (
                "Delay/restart. Seed: silent. Label: R1–R8. "
                'Here: (more cautious) label; without it "10 mg q2w" is unsafe after a gap.'
            ),
        )
    ]
    assert (row["origin"], row["label"], row["reviewed"]) == ("label only", "Table 4", None)


def test_a_number_without_words_stands_alone() -> None:
    assert rows(as_sheet(WHOLE))["R2"]["statements"] == [("S3", "")]


def test_who_reviewed_a_row_and_when_is_said() -> None:
    table = WHOLE.tables["delay"]
    reviewed = replace(table.row("R2"), reviewed=Review(who="A pharmacist", when="2026-12-01", digest="x"))
    changed = replace(table, rows=tuple(reviewed if row.id == "R2" else row for row in table.rows))
    sheet = as_sheet(replace(WHOLE, tables={**WHOLE.tables, "delay": changed}), "The head of pharmacy")
    assert rows(sheet)["R2"]["reviewed"] == "A pharmacist, 2026-12-01"
    assert sheet["state"].endswith("The head of pharmacy answers for them.")


def test_every_seed_statement_and_difference_has_words() -> None:
    said = paraphrases()
    assert {f"S{number}" for number in range(1, 45)} | {f"D-{number}" for number in range(1, 27)} <= said.keys()
    assert all(said.values())
