"""The statements in docs/knowledge-sources.md, from the data; its introduction and its code tables stay as they are."""

from __future__ import annotations

from tests.traceability.statements import Section, Sources, Statement
from tests.traceability.tables import heading, line

FIRST = "## Seed statements"
AFTER = "## Codes"


def with_statements(text: str, sources: Sources) -> str:
    """The document with its statements as the data have them."""
    before, _, rest = text.partition(FIRST)
    _, _, after = rest.partition(f"\n{AFTER}")
    parts: list[str] = []
    for section in sources.sections:
        is_first_of_label = section.source == "label" and not any(part.startswith("## Label") for part in parts)
        parts.append("## Label\n" * is_first_of_label + _section(section))
    return before + "\n\n".join(parts) + f"\n\n{AFTER}" + after


def _section(section: Section) -> str:
    """Its heading, what stands before its table, the table, the statements below it."""
    table = [*heading(section.columns.values()), *(_row(s, section) for s in section.statements if not s.paragraph)]
    parts = [section.before, "\n".join(table), *(statement.paragraph for statement in section.statements)]
    level = "###" if section.source == "label" else "##"
    return f"{level} {section.heading}\n" + "\n\n".join(part for part in parts if part)


def _row(statement: Statement, section: Section) -> str:
    return line(statement.id if name == "id" else statement.cells[name] for name in section.columns)
