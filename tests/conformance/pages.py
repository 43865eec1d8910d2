"""docs/conformance.md, written from the checklist and the marks of the tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.conformance.checklist import Item, Section, checked_by, items, sections
from tests.traceability.tables import heading, line

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
COLUMNS: Final = ("", "Level", "Versions", "The service has to", "Standing", "Checked by")
SAID: Final = {
    "": "implemented",
    "deliberately_not": "deliberately not",
    "binds": "binds the service in nothing",
    "later": "later",
    "pending": "pending",
}
INTRODUCTION: Final = """\
# Conformance to CDS Hooks

Written by `.venv/bin/python -m tests.conformance` from `tests/conformance/items.yaml` and the marks of the tests, never
by hand; the tests fail when it is stale.

Every item of the project's checklist of the specification (1.0, the ballot of 1.1, 2.0, the ballot of 3.0), of the
hooks and of what real clients do. Level: SHALL, SHOULD and MAY are the specification's; CLIENT binds the client, and
the service has to cope with it; REC and BP are recommendations where the specification is silent. Beside the tests
named here, every reply that any test of the project receives is checked against the schema of the specification, for
empty members, for its OperationOutcome and for its CORS headers (`tests/conformance/replies.py`).
"""


def page() -> str:
    """The whole document."""
    lines = [INTRODUCTION, *_summary(list(items().values())), ""]
    for section in sections():
        lines += [*_table(section), ""]
    return "\n".join(lines).rstrip() + "\n"


def _summary(every: Sequence[Item]) -> Iterator[str]:
    for standing, said in SAID.items():
        these = [item for item in every if item.standing == standing]
        if these:
            named = "" if standing == "" else f": {', '.join(item.id for item in these)}"
            yield f"- {len(these)} {said}{named}"
    still_open = [item.id for item in every if "SHALL" in item.level and item.standing in {"later", "pending"}]
    yield f"- SHALLs still open: {', '.join(still_open) or 'none'}"


def _table(section: Section) -> Iterator[str]:
    yield from (f"## {section.heading}", "", *heading(COLUMNS))
    for item in section.items:
        yield line([item.id, item.level, item.versions, item.says, _standing(item), _tests(item)])


def _tests(item: Item) -> str:
    named = [f"`{test.name}`" for test in checked_by(item.id)]
    if named and item.standing == "pending":
        named = ["*in part, or skipped until it is built:*", *named]
    return "<br>".join(named) or "–"


def _standing(item: Item) -> str:
    if not item.standing:
        return SAID[""]
    said = {"binds": f"binds the {item.why}" if item.why.startswith("client") else f"binds {item.why}"}
    text = said.get(item.standing, f"{SAID[item.standing]}: {item.why}")
    return f"{text}. {item.argument}." if item.argument else text
