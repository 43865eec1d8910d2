"""The statements of the sources, as statements.yaml has them, and which rows of the knowledge rest on each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from cds_service.knowledge.loader import PACKAGED, Node, parse
from cds_service.knowledge.regimen import Regimen, Row
from cds_service.knowledge.statements import FILE

SOURCES: Final = ("seed", "label", "differences")
SECTION_KEYS: Final = frozenset({"heading", "source", "before", "columns", "short", "statements"})
REQUIRED: Final = frozenset({"heading", "source", "columns", "statements"})
STATEMENT_KEYS: Final = frozenset(
    {"id", "paragraph", "short", "cited_as", "only", "limits", "not_implemented", "elsewhere"}
)
FILE_KEYS: Final = frozenset({"sections", "unlisted", "untouched"})


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One sentence of a source. `cells` are the fields of its table; a statement below its table is a `paragraph`."""

    id: str
    source: str
    cells: Mapping[str, str] = field(default_factory=dict)
    paragraph: str = ""
    short: str
    cited_as: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    limits: str = ""
    not_implemented: str = ""
    elsewhere: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        """The trust marks that stand in it, P25, P24, N, M or K."""
        text = " ".join((*self.cells.values(), self.paragraph))
        return tuple(dict.fromkeys(re.findall(r"\[([PNMK][\d/]*)\]", text)))

    def is_cited_by(self, row: Row) -> bool:
        """Whether this row says that it rests on this statement."""
        if self.source == "seed":
            return self.id in row.cite.statements
        if self.source == "differences":
            return self.id in row.cite.differences
        if not any(topic in self.cited_as for topic in label_topics(row)):
            return False
        return not self.only or any(fnmatchcase(row.id, pattern) for pattern in self.only)


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table of docs/knowledge-sources.md."""

    heading: str
    source: str
    before: str
    columns: Mapping[str, str]
    statements: tuple[Statement, ...]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """All sections; topics of the label that stand in no section, with the reason; rows whose vignettes are still to be
    written, with what is missing.
    """

    sections: tuple[Section, ...]
    unlisted: Mapping[str, str]
    untouched: Mapping[str, str]

    @property
    def statements(self) -> tuple[Statement, ...]:
        return tuple(statement for section in self.sections for statement in section.statements)


def label_topics(row: Row) -> tuple[str, ...]:
    """The tables and topics of the label that a row names."""
    return _topics(row.cite.label)


@cache
def _topics(label: str) -> tuple[str, ...]:
    """Asked for each statement and row."""
    return tuple(topic.strip() for topic in label.split(",") if topic.strip())


def _texts(given: Mapping[str, Node], key: str) -> tuple[str, ...]:
    return given[key].texts() if key in given else ()


def _text(given: Mapping[str, Node], key: str) -> str:
    return given[key].text() if key in given else ""


def _statement(node: Node, source: str, columns: Mapping[str, str], short: str) -> Statement:
    given = node.mapping(STATEMENT_KEYS | columns.keys(), frozenset({"id"}))
    cells = {name: _text(given, name) for name in columns if name != "id"}
    return Statement(
        id=given["id"].text(),
        source=source,
        cells={} if "paragraph" in given else cells,
        paragraph=_text(given, "paragraph"),
        short=_text(given, "short") or short.format(**cells),
        cited_as=_texts(given, "cited_as"),
        only=_texts(given, "only"),
        limits=_text(given, "limits"),
        not_implemented=_text(given, "not_implemented"),
        elsewhere=_texts(given, "elsewhere"),
    )


def _section(node: Node) -> Section:
    given = node.mapping(SECTION_KEYS, REQUIRED)
    source = given["source"].text()
    if source not in SOURCES:
        raise given["source"].refuse(f"source is one of {', '.join(SOURCES)}")
    columns = {name: heading.text() for name, heading in given["columns"].mapping().items()}
    short = _text(given, "short")
    return Section(
        heading=given["heading"].text(),
        source=source,
        before=_text(given, "before"),
        columns=columns,
        statements=tuple(_statement(item, source, columns, short) for item in given["statements"].items()),
    )


@cache
def read_sources(file: Path = FILE) -> Sources:
    """statements.yaml. Raises KnowledgeError with the line of what is not understood."""
    document: Any = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    given = Node(file.name, document).mapping(FILE_KEYS, FILE_KEYS)
    return Sources(
        sections=tuple(_section(item) for item in given["sections"].items()),
        unlisted={topic: reason.text() for topic, reason in given["unlisted"].mapping().items()},
        untouched={row: what for what, rows in given["untouched"].mapping().items() for row in rows.texts()},
    )


@cache
def whole_knowledge() -> Regimen:
    """The packaged knowledge with every row, whatever its source."""
    return parse(files("cds_service.knowledge").joinpath(PACKAGED).read_text(encoding="utf-8"), PACKAGED)


def rows_of(statement: Statement, rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(row for row in rows if statement.is_cited_by(row))
