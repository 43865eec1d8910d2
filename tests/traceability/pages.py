"""The documents that are written from data, and whether their data are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.traceability import codes, knowledge_sources, matrix
from tests.traceability.measure import measured
from tests.traceability.statements import read_sources, whole_knowledge

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
TRACEABILITY: Final = DOCS / "traceability.md"
KNOWLEDGE_SOURCES: Final = DOCS / "knowledge-sources.md"
CODES: Final = DOCS / "codes.md"


def fresh() -> dict[Path, str]:
    """What each generated document should say today."""
    sources = read_sources()
    return {
        TRACEABILITY: matrix.page(sources, whole_knowledge(), measured()),
        KNOWLEDGE_SOURCES: knowledge_sources.with_statements(KNOWLEDGE_SOURCES.read_text(encoding="utf-8"), sources),
        CODES: codes_page(),
    }


def codes_page() -> str:
    return codes.page(codes.shipped())


def complaints() -> list[str]:
    """What cannot be followed from sentence to test; nothing if all is well."""
    return matrix.complaints(read_sources(), whole_knowledge(), measured())
