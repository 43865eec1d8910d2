"""The checklist with the tests that check each item: those that carry its number in their name, and those it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

TESTS: Final = Path(__file__).resolve().parents[1]
PAGE: Final = TESTS.parent / "docs" / "conformance.md"
ITEMS: Final = Path(__file__).with_name("items.yaml")
NUMBERS: Final = {"C": 119, "J": 13, "K": 6}


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item. Without `tests` it has `left_out` (why it is not done) or `later` (what has to come first)."""

    name: str
    section: str
    level: str
    versions: str
    asks: str
    tests: tuple[str, ...]
    left_out: str = ""
    later: str = ""

    @property
    def binds_the_service(self) -> bool:
        return "SHALL" in self.level


def functions() -> dict[str, list[str]]:
    """Each test file (from tests/) with the names of its test functions."""
    return {
        path.relative_to(TESTS).as_posix(): [
            node.name
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
        ]
        for path in sorted(TESTS.rglob("test_*.py"))
    }


def numbers_of(function: str) -> list[str]:
    """`test_c9_and_c10_each_service…` → C9, C10; `test_c61_to_c63_…` → C61, C62, C63."""
    if not (start := re.match(r"test_([cjk])(\d+)(?:_(and|to)_\1(\d+))?_", function)):
        return []
    kind, first, joint, last = start.group(1).upper(), int(start[2]), start[3], int(start[4] or start[2])
    return [f"{kind}{number}" for number in (range(first, last + 1) if joint == "to" else sorted({first, last}))]


def items() -> tuple[Item, ...]:
    """All items in the order of the checklist."""
    by_number: dict[str, list[str]] = {}
    for file, names in functions().items():
        for name in names:
            for number in numbers_of(name):
                by_number.setdefault(number, []).append(f"{file}::{name}")
    said: dict[str, dict[str, Any]] = yaml.safe_load(ITEMS.read_text(encoding="utf-8"))
    return tuple(
        Item(
            name=name,
            section=section,
            level=str(entry["asks"][0]),
            versions=str(entry["asks"][1]),
            asks=", ".join(str(part) for part in entry["asks"][2:]),
            tests=tuple(dict.fromkeys([*entry.get("tests", ()), *by_number.get(name, ())])),
            left_out=entry.get("not", ""),
            later=entry.get("later", ""),
        )
        for section, entries in said.items()
        for name, entry in entries.items()
    )


def complaints(found: tuple[Item, ...]) -> Iterator[str]:
    """What is missing or wrong."""
    known = functions()
    names = [item.name for item in found]
    expected = [f"{kind}{number}" for kind, last in NUMBERS.items() for number in range(1, last + 1)]
    if sorted(names) != sorted(expected):
        yield f"items: {sorted(set(expected) ^ set(names)) or 'one stands twice'}"
    for item in found:
        reasons = [reason for reason in (item.left_out, item.later) if reason]
        if not item.tests and len(reasons) != 1:
            yield f"{item.name} has neither a test nor one reason"
        if item.tests and item.left_out:
            yield f"{item.name} is left out, and has a test"
        for test in item.tests:
            file, _, function = test.partition("::")
            if file not in known or (function and function not in known[file]):
                yield f"{item.name}: there is no {test}"


def page(found: tuple[Item, ...]) -> str:
    """docs/conformance.md"""
    checked, left_out = sum(bool(item.tests) for item in found), sum(bool(item.left_out) for item in found)
    later = [item.name for item in found if item.later]
    binding = [item.name for item in found if item.later and item.binds_the_service]
    lines = [
        "# Conformance with CDS Hooks",
        "",
        "Made by `.venv/bin/python -m tests.conformance` from `tests/conformance/items.yaml` and the names of tests.",
        "Levels and versions are those of the project's checklist of the specification (1.0, 1.1 ballot, 2.0, 3.0",
        "ballot); CLIENT binds the client, and the tests show how the service copes; REC and BP are recommendations.",
        "",
        f"{len(found)} items: {checked} checked by tests, {left_out} deliberately left out, each with its reason,",
        f"{len(later)} waiting for something else: {', '.join(later)}.",
        f"Open that the specification demands (SHALL): {', '.join(binding) or 'none'}.",
        "Until then production does not start.",
        "",
    ]
    for section in dict.fromkeys(item.section for item in found):
        lines += [f"## {section}", "", "| | level | versions | asks for | checked by |", "|---|---|---|---|---|"]
        lines += [_line(item) for item in found if item.section == section]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _line(item: Item) -> str:
    state = "<br>".join(f"`{test}`" for test in item.tests)
    waiting = f"*waits for*: {item.later}" if item.later else f"*left out*: {item.left_out}" if item.left_out else ""
    cells = (item.name, item.level, item.versions, item.asks, "<br>".join(part for part in (state, waiting) if part))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
