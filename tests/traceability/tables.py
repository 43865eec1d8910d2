"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def heading(columns: Iterable[str]) -> list[str]:
    names = list(columns)
    return [line(names), "|" + "---|" * len(names)]
