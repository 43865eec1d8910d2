"""docs/traceability.md: from each statement to the rows that rest on it and the vignettes that touch them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from cds_service.knowledge.regimen import Origin, Regimen, Row
from tests.traceability.measure import Touched, coverage
from tests.traceability.statements import Sources, Statement, label_topics, rows_of
from tests.traceability.tables import heading, line

TESTS: Final = Path(__file__).resolve().parents[1]
SHOWN: Final = 6
NONE: Final = "–"
TITLES: Final = {
    "seed": "Seed statements",
    "label": "Label (US prescribing information)",
    "differences": "Differences between the two, and how they are resolved",
}
MARKS: Final = """\
**Read**: P25 in the label of 11/2025, P24 in that of 5/2024, N in an NCCN digest; M recalled and not read, K general
knowledge: a person has to confirm these.
"""
INTRODUCTION: Final = """\
# From each sentence of the sources to its tests

Written by `.venv/bin/python -m tests.traceability`, never by hand; the tests fail when it is stale.

- A **statement** is a sentence of a source, in short; [knowledge-sources.md](knowledge-sources.md) has it in full.
- **Rows** are the rules of [`tarlatamab.yaml`](../cds_service/knowledge/tarlatamab.yaml) that cite it.
- **Fires in**: the [vignettes](../tests/vignettes/README.md) in which such a row really spoke, measured by running all
  of them; those that say they are about the statement come first.
- **Silent in**: those in which it was asked and had nothing to say, the nearest first (V5a beside V5b); of rows that
  are looked up or said along, those in which they were not taken.
- What holds for the interface, whatever a row says, stands in [conformance.md](conformance.md).
- Lists stop after six entries. *Limit*: what a card says, but nobody checks.

In figures:
"""

# --- what is wrong -------------------------------------------------------------------------------------------------


def complaints(sources: Sources, regimen: Regimen, touched: Sequence[Touched]) -> list[str]:
    """What a committee could not follow from sentence to test; nothing if all is well."""
    rows = regimen.rows()
    return [
        *citation_complaints(sources, rows),
        *_rows_not_touched(sources, rows, touched),
    ]


def citation_complaints(sources: Sources, rows: Sequence[Row]) -> list[str]:
    """Statements that no row cites as they should be, and rows that cite nothing or nothing that there is."""
    citing = {statement.id: rows_of(statement, rows) for statement in sources.statements}
    return [*_statements_without_answer(sources, citing), *_rows_without_source(sources, rows, citing)]


def _statements_without_answer(sources: Sources, rows_by_statement: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    for statement in sources.statements:
        citing = rows_by_statement[statement.id]
        answers = [bool(citing), bool(statement.not_implemented), bool(statement.elsewhere)]
        if answers.count(True) != 1:
            yield f"{statement.id}: needs a row that cites it, or not_implemented, or elsewhere; one of them"
        for path in statement.elsewhere:
            if not (TESTS.parent / path).is_file():
                yield f"{statement.id}: {path} is not there"
        for pattern in statement.only:
            if not any(row.id == pattern or pattern.endswith("*") for row in citing):
                yield f"{statement.id}: no row {pattern} cites {', '.join(statement.cited_as)}"


def _rows_without_source(sources: Sources, rows: Sequence[Row], citing: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    known = {statement.id for statement in sources.statements}
    rests_on: dict[str, list[Statement]] = {row.id: [] for row in rows}
    for statement in sources.statements:
        for row in citing[statement.id]:
            rests_on[row.id].append(statement)
    for row in rows:
        for cited in (*row.cite.statements, *row.cite.differences):
            if cited not in known:
                yield f"{row.id}: cites {cited}, which is no statement"
        resting = rests_on[row.id]
        for topic in label_topics(row):
            if topic not in sources.unlisted and not any(topic in statement.cited_as for statement in resting):
                yield f"{row.id}: no statement of the label takes it under {topic!r}"
        if not resting and not (row.origin is Origin.LOCAL and row.cite.why):
            yield f"{row.id}: cites nothing"


def _rows_not_touched(sources: Sources, rows: Sequence[Row], touched: Sequence[Touched]) -> Iterator[str]:
    for row in rows:
        seen = coverage([row.id], touched)
        if row.id in sources.untouched:
            if seen.shows_the_border:
                yield f"{row.id}: vignettes show its border now, take it off `untouched`"
        elif not seen.fired:
            yield f"{row.id}: fires in no vignette"
        elif not seen.shows_the_border:
            yield f"{row.id}: fires in {seen.fired[0]}, but is silent in no other variant of the same vignette"
    for name in sources.untouched.keys() - {row.id for row in rows}:
        yield f"{name}: stands under `untouched` and is no row"


# --- the page ------------------------------------------------------------------------------------------------------


def page(sources: Sources, regimen: Regimen, touched: Sequence[Touched]) -> str:
    """The whole of docs/traceability.md."""
    lines = [*_introduction(sources, regimen, touched)]
    for source, title in TITLES.items():
        lines += [f"## {title}", ""]
        if source == "label":
            lines.append(MARKS)
        for section in sources.sections:
            if section.source == source:
                if source == "label":
                    lines += [f"### {_plain(section.heading)}", ""]
                lines += [*_statements(section.statements, regimen, touched), ""]
        if source == "label":
            lines += [*_unlisted(sources, regimen), ""]
    lines += _rows(sources, regimen, touched)
    return "\n".join(lines).rstrip() + "\n"


def _introduction(sources: Sources, regimen: Regimen, touched: Sequence[Touched]) -> list[str]:
    rows, statements = regimen.rows(), sources.statements
    with_rows = sum(bool(rows_of(statement, rows)) for statement in statements)
    elsewhere = sum(bool(statement.elsewhere) for statement in statements)
    missing = len(sources.untouched)
    return [
        INTRODUCTION,
        f"- {len(statements)} statements: {with_rows} with rows, {elsewhere} kept by the mappings and not by a row,",
        f"  {len(statements) - with_rows - elsewhere} not implemented, each with its reason.",
        f"- {len(rows)} rows in {len(touched)} vignettes: {len(rows) - missing} fire in one variant of a vignette and",
        f"  are silent in another of the same. The other {missing}: {_still_missing(sources)}.",
        "",
    ]


def _still_missing(sources: Sources) -> str:
    """What the file says is missing, with the number of rows."""
    reasons = list(sources.untouched.values())
    return "; ".join(f"{reasons.count(reason)} {reason}" for reason in dict.fromkeys(reasons))


def _statements(statements: Sequence[Statement], regimen: Regimen, touched: Sequence[Touched]) -> Iterator[str]:
    marked = any(statement.source == "label" for statement in statements)
    yield from heading(["", "Statement", *(["Read"] if marked else []), "Rows", "Fires in", "Silent in"])
    for statement in statements:
        rows = rows_of(statement, regimen.rows())
        seen = coverage((row.id for row in rows), touched, statement.id)
        limits = f". *Limit: {statement.limits}*" if statement.limits else ""
        cells = [statement.id, f"{_plain(statement.short)}{limits}"]
        if marked:
            cells.append(" ".join(statement.marks) or NONE)
        yield line([*cells, _rows_cell(statement, rows), _listed(seen.fired), _listed(seen.silent)])


def _unlisted(sources: Sources, regimen: Regimen) -> Iterator[str]:
    for topic, reason in sources.unlisted.items():
        citing = [row.id for row in regimen.rows() if topic in label_topics(row)]
        yield f"Cited by {', '.join(citing)}, but among no statement above: {topic} ({reason})."


def _rows_cell(statement: Statement, rows: Sequence[Row]) -> str:
    if statement.not_implemented:
        return f"*not implemented: {statement.not_implemented}*"
    if statement.elsewhere:
        return "*no row:* " + ", ".join(f"[`{Path(path).name}`](../{path})" for path in statement.elsewhere)
    return _listed([row.id for row in rows])


def _rows(sources: Sources, regimen: Regimen, touched: Sequence[Touched]) -> Iterator[str]:
    yield from (
        "## Every row",
        "",
        "In the order of the knowledge file. Rows that cite no source are the project's own.",
        "",
    )
    for table in regimen.tables.values():
        yield from (f"### {table.name}: {table.question}", "", *heading(["Row", "Rests on", "Fires in", "Silent in"]))
        for row in table.rows:
            seen = coverage([row.id], touched)
            fired = _listed(seen.fired) if seen.fired else f"*{sources.untouched.get(row.id, 'nowhere')}*"
            yield line([row.id, _cited(row), fired, _listed(seen.silent)])
        yield ""


def _cited(row: Row) -> str:
    cited = [*row.cite.statements, *label_topics(row), *row.cite.differences]
    return ", ".join(cited) or f"local: {row.cite.why}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or NONE) + more


def _plain(text: str) -> str:
    """Without Markdown's bold, which would not survive being cut."""
    return text.replace("**", "").replace("*", "")
