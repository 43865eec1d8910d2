"""Every sentence of the sources can be followed to the rows that rest on it, and to vignettes that touch them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cds_service.errors import KnowledgeError
from cds_service.knowledge.regimen import Cite, Origin, Regimen, Row
from cds_service.knowledge.statements import FILE
from tests.traceability import matrix, pages
from tests.traceability.measure import Touched, coverage, measured
from tests.traceability.statements import Statement, read_sources, whole_knowledge


def test_every_statement_and_row_is_accounted_for() -> None:
    assert pages.complaints() == []


@pytest.mark.parametrize("document", [pages.TRACEABILITY, pages.KNOWLEDGE_SOURCES], ids=lambda path: path.name)
def test_the_generated_documents_are_fresh(document: Path) -> None:
    expected = pages.fresh()[document]
    assert document.read_text(encoding="utf-8") == expected, "run: python -m tests.traceability"


def test_no_cell_of_the_matrix_is_empty() -> None:
    for line in pages.TRACEABILITY.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert not line.startswith("| ") or cells[0] == "" or all(cells), line


def test_the_data_hold_every_statement_row_and_difference_of_the_knowledge() -> None:
    ids = [statement.id for statement in read_sources().statements]
    assert len(ids) == len(set(ids))
    numbered = {f"S{n}" for n in range(1, 45)} | {f"R{n}" for n in range(1, 9)} | {f"D-{n}" for n in range(1, 27)}
    assert numbered <= set(ids)
    assert all(name.startswith("L-") for name in set(ids) - numbered)


def test_a_statement_of_the_label_bears_the_mark_with_which_it_was_read() -> None:
    for statement in read_sources().statements:
        if statement.source == "label" and statement.id != "L-FOOTNOTE":  # a remark on Table 1, which is read
            assert statement.marks, statement.id


# --- what the check finds ------------------------------------------------------------------------------------------


def changed(row_id: str, **fields: object) -> Regimen:
    """The knowledge with one row changed."""
    whole = whole_knowledge()
    tables = {
        name: replace(
            table,
            rows=tuple(replace(row, **fields) if row.id == row_id else row for row in table.rows),  # type: ignore[arg-type]
        )
        for name, table in whole.tables.items()
    }
    return replace(whole, tables=tables)


def complaints(regimen: Regimen | None = None, touched: tuple[Touched, ...] | None = None) -> list[str]:
    return matrix.complaints(read_sources(), regimen or whole_knowledge(), measured() if touched is None else touched)


def test_a_statement_that_loses_its_only_row_is_found() -> None:
    found = complaints(changed("RENAL-SEVERE", cite=Cite(statements=("S42",), label="renal impairment")))
    assert "S40: needs a row that cites it, or not_implemented, or elsewhere; one of them" in found


def test_a_row_that_names_no_source_is_found() -> None:
    assert "OBS-10: cites nothing" in complaints(changed("OBS-10", cite=Cite(why="as always")))


def test_a_row_of_the_project_may_rest_on_its_reason_alone() -> None:
    assert complaints(changed("LINE-DAY", cite=Cite(why="a reason"))) == []
    assert complaints(changed("LINE-DAY", cite=Cite(why="a reason"), origin=Origin.BOTH)) == ["LINE-DAY: cites nothing"]


def test_a_number_or_topic_that_no_source_has_is_found() -> None:
    found = complaints(changed("OBS-10", cite=Cite(statements=("S22", "S45"), label="Table 1, Table 9")))
    assert found == [
        "OBS-10: cites S45, which is no statement",
        "OBS-10: no statement of the label takes it under 'Table 9'",
    ]


def test_a_row_that_no_vignette_lets_speak_is_found() -> None:
    touched = tuple(replace(one, fired=one.fired - {"R2"}) for one in measured())
    assert complaints(touched=touched) == ["R2: fires in no vignette"]


def test_a_row_whose_other_side_no_variant_shows_is_found() -> None:
    touched = tuple(replace(one, silent=one.silent - {"R2"}) for one in measured())
    assert complaints(touched=touched) == ["R2: fires in V5b, but is silent in no other variant of the same vignette"]


# --- what is measured ----------------------------------------------------------------------------------------------


def test_a_row_fires_on_one_side_of_its_border_and_is_silent_on_the_other() -> None:
    late = coverage(["R2"], measured())
    assert "V5b" in late.fired  # 15 days after 1 mg
    assert late.silent[0] == "V5a"  # 14 days
    in_time = coverage(["R1"], measured())
    assert "V5a" in in_time.fired
    assert "V5b" in in_time.silent


def test_a_row_of_the_seed_alone_is_asked_only_where_the_seed_alone_is_in_force() -> None:
    by_name = {one.vignette: one for one in measured()}
    touching = [one for one in by_name.values() if "CLARIFY-DELAY-SEED" in one.fired | one.silent]
    assert touching
    assert all("R2" not in one.fired | one.silent for one in touching)


def test_vignettes_of_one_file_are_a_family() -> None:
    seen = coverage(["X"], [touch("V7a", silent=True), touch("V5a", silent=True), touch("V5b", fired=True)])
    assert seen.silent == ("V5a", "V7a")
    assert seen.shows_the_border


def test_silence_in_another_vignette_is_no_border() -> None:
    assert not coverage(["X"], [touch("V7a", silent=True), touch("V5b", fired=True)]).shows_the_border


def touch(vignette: str, *, fired: bool = False, silent: bool = False) -> Touched:
    return Touched(
        vignette=vignette, fired=frozenset({"X"} if fired else ()), silent=frozenset({"X"} if silent else ())
    )


# --- how the data are read -----------------------------------------------------------------------------------------


def test_a_mistyped_key_of_the_data_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "statements.yaml"
    file.write_text(FILE.read_text(encoding="utf-8").replace("  reads:", "  read:", 1), encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"statements.yaml:\d+ unknown key 'read'"):
        read_sources(file)


def test_a_statement_of_the_label_is_cited_by_topic_and_by_the_rows_it_names() -> None:
    cited = {row.id for row in whole_knowledge().rows() if statement("L-CRS-4").is_cited_by(row)}
    assert "CRS-STOP-G4" in cited
    assert "CRS-HOLD-G1" not in cited  # Table 5 too, another grade


def statement(name: str) -> Statement:
    return next(one for one in read_sources().statements if one.id == name)


def test_a_row_is_no_evidence_for_a_statement_it_does_not_cite() -> None:
    row: Row = whole_knowledge().table("stop").row("CRS-STOP-G4")
    assert statement("S27").is_cited_by(row)
    assert not statement("S28").is_cited_by(row)
