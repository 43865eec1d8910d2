"""The knowledge as a committee signs it: its tables as Markdown, and the rows that nobody has answered for yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cds_service.errors import KnowledgeError
from cds_service.knowledge.regimen import Cite, Dose, Range, Regimen, Row, Table, Value


def unreviewed(regimen: Regimen) -> tuple[Row, ...]:
    """The rows in force whose present text nobody has compared with its source."""
    return tuple(row for row in regimen.rows() if row.reviewed is None)


def require_answer_for(regimen: Regimen, accepted_by: str) -> None:
    """Unreviewed rows may advise on real patients only where somebody named answers for them.

    Raises: KnowledgeError that says how many there are.
    """
    count = len(unreviewed(regimen))
    if count and not accepted_by:
        raise KnowledgeError(
            f"{count} of {len(regimen.rows())} rows in force are not reviewed; "
            "they may speak only with the name of the person who answers for them"
        )


# --- Markdown ----------------------------------------------------------------------------------------------------


def as_markdown(regimen: Regimen, accepted_by: str = "") -> str:
    """The whole knowledge in force, to be read and signed."""
    heading = (
        f"# {regimen.name} ({regimen.drug}): the rules in force\n"
        f"Version {regimen.version} · sources {regimen.sources.value} · label {regimen.label}, last compared on "
        f"{regimen.last_checked_against_label_on} · {_cell(state_text(regimen, accepted_by))}"
    )
    parts = [
        heading,
        "## Doses and numbers\n" + _table(("name", "value"), _numbers(regimen)),
        *(_table_text(table) for table in regimen.tables.values()),
    ]
    return "\n\n".join(parts) + "\n"


def state_text(regimen: Regimen, accepted_by: str = "") -> str:
    """How many rows nobody has reviewed, and who answers for them."""
    open_rows = len(unreviewed(regimen))
    state = f"{open_rows} of {len(regimen.rows())} rows are not reviewed."
    return f"{state} {accepted_by} answers for them." if open_rows and accepted_by else state


def _numbers(regimen: Regimen) -> Iterable[tuple[str, ...]]:
    for values in (regimen.doses, regimen.numbers):
        yield from ((words(name), str(value)) for name, value in values.items())


def _table_text(table: Table) -> str:
    rows = (
        (
            row.id,
            columns_text(row, table.inputs) or "always",
            columns_text(row, table.outputs) or "–",
            "<br>".join(_cell(sentence) for sentence in (*row.say.values(), *row.detail)),
            cite_text(row),
            review_text(row),
        )
        for row in table.rows
    )
    hit = {"unique": "exactly one row holds", "first": "the first that holds speaks", "collect": "all that hold speak"}
    heading = f"## {words(table.name).capitalize()}\n{table.question} ({hit[table.hit.value]})\n\n"
    return heading + _table(("row", "when", "then", "says", "source", "review"), rows)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def columns_text(row: Row, declared: Mapping[str, str]) -> str:
    """`treatment doses 1; days since at least 22`."""
    return "; ".join(_column_text(words(name), row.columns[name]) for name in declared if row.has(name))


def _column_text(name: str, value: Value) -> str:
    match value:
        case bool():
            return name if value else f"not {name}"
        case Range():
            return f"{name} {range_text(value)}"
        case tuple():
            return f"{name}: {_cell(', '.join(value))}"
        case Dose() | str():
            return f"{name}: {_cell(str(value))}"
        case _:
            return f"{name} {value}"


def range_text(numbers: Range) -> str:
    """`3`, `at least 3`, `at most 14`, `3 to 14`."""
    low, high = numbers.at_least, numbers.at_most
    if low == high:
        return str(low)
    if high is None:
        return f"at least {low}"
    return f"at most {high}" if low is None else f"{low} to {high}"


def cite_text(row: Row) -> str:
    """`seed+label: seed S3; Table 4; D-19; why`."""
    return f"{row.origin.value}: {'; '.join(_cited(row.cite))}"


def _cited(cite: Cite) -> Iterable[str]:
    yield from (f"seed {', '.join(cite.statements)}",) if cite.statements else ()
    yield from (_cell(text) for text in (cite.label, ", ".join(cite.differences), cite.why) if text)


def review_text(row: Row) -> str:
    """Who answered for the row and when, or `none` with the digest that a review has to name."""
    if row.reviewed is None:
        return f"none ({row.digest})"
    return f"{_cell(row.reviewed.who)}, {_cell(row.reviewed.when)}"


# --- for programs --------------------------------------------------------------------------------------------------


def as_data(regimen: Regimen, accepted_by: str = "") -> dict[str, Any]:
    """The same as texts, lists and mappings. `acceptedBy` is there where somebody answers for unreviewed rows."""
    return {
        "drug": regimen.drug,
        "version": regimen.version,
        "sources": regimen.sources.value,
        "label": regimen.label,
        "labelUrl": regimen.label_url,
        "lastCheckedAgainstLabelOn": regimen.last_checked_against_label_on,
        "unreviewed": len(unreviewed(regimen)),
        **({"acceptedBy": accepted_by} if accepted_by else {}),
        "doses": {name: str(dose) for name, dose in regimen.doses.items()},
        "numbers": {name: str(number) for name, number in regimen.numbers.items()},
        "tables": {
            table.name: {
                "question": table.question,
                "hit": table.hit.value,
                "rows": [_row_data(row, table) for row in table.rows],
            }
            for table in regimen.tables.values()
        },
    }


def _row_data(row: Row, table: Table) -> dict[str, Any]:
    review = row.reviewed
    return {
        "id": row.id,
        "when": {name: _plain(row.columns[name]) for name in table.inputs if row.has(name)},
        "then": {name: _plain(row.columns[name]) for name in table.outputs if row.has(name)},
        "say": {**row.say, **({"detail": list(row.detail)} if row.detail else {})},
        "source": row.origin.value,
        "statements": list(row.cite.statements),
        "label": row.cite.label,
        "differences": list(row.cite.differences),
        "why": row.cite.why,
        "digest": row.digest,
        "reviewed": None if review is None else {"who": review.who, "when": review.when},
    }


def _plain(value: Value) -> Any:
    match value:
        case bool() | int():
            return value
        case Range():
            ends = {"atLeast": value.at_least, "atMost": value.at_most}
            return {name: end for name, end in ends.items() if end is not None}
        case tuple():
            return list(value)
        case _:
            return str(value)


def words(name: str) -> str:
    return name.replace("_", " ")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
