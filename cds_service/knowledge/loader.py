"""Strict YAML → Regimen. Whatever is not understood is refused with file and line; nothing is guessed.

Plain YAML reads `no` as false, `on` as true, `012` as 10 and keeps the last of two equal keys. Here every plain
scalar is text; a column's declared kind decides how it is read, and a duplicate key ends the start.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any, Final

import yaml

from cds_service.errors import KnowledgeError
from cds_service.knowledge.cells import refuse_gaps_and_overlaps
from cds_service.knowledge.regimen import (
    Cite,
    Dose,
    Hit,
    Origin,
    Range,
    Regimen,
    Review,
    Row,
    Sources,
    Table,
    Value,
)

PACKAGED: Final = "tarlatamab.yaml"
ROW_KEYS: Final = frozenset({"id", "when", "then", "say", "source", "cite", "reviewed"})
TABLE_KEYS: Final = frozenset({"question", "hit", "covers", "inputs", "outputs", "slots", "rows"})
FILE_KEYS: Final = frozenset(
    {
        "drug",
        "name",
        "version",
        "label",
        "label_url",
        "last_checked_against_label_on",
        "doses",
        "numbers",
        "slots",
        "tables",
    }
)
SENTENCES: Final = frozenset({"summary", "many", "beside", "line", "detail"})


class Refusal(KnowledgeError):
    """A place in the knowledge file and what is wrong there."""


class _Text(yaml.SafeLoader):
    """Reads every scalar as text and remembers the line of every mapping and list entry."""


_Text.yaml_implicit_resolvers = {}


class Node:
    """A YAML node with its line: scalars are text, mappings have no duplicate keys."""

    def __init__(self, file: str, node: yaml.Node) -> None:
        self.file = file
        self.node = node
        self.line = node.start_mark.line + 1

    def refuse(self, what: str) -> Refusal:
        return Refusal(f"{self.file}:{self.line} {what}")

    def text(self) -> str:
        if not isinstance(self.node, yaml.ScalarNode) or not str(self.node.value).strip():
            raise self.refuse("expected a text")
        return " ".join(str(self.node.value).split())

    def plain(self) -> Any:
        """What stands here as texts, lists and dictionaries, whatever its layout."""
        if isinstance(self.node, yaml.MappingNode):
            return {name: value.plain() for name, value in self.mapping().items()}
        if isinstance(self.node, yaml.SequenceNode):
            return [item.plain() for item in self.items()]
        return self.text()

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self.items())

    def items(self) -> list[Node]:
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.refuse("expected a list")
        return [Node(self.file, item) for item in self.node.value]

    def mapping(self, allowed: frozenset[str] | None = None, required: frozenset[str] = frozenset()) -> dict[str, Node]:
        if not isinstance(self.node, yaml.MappingNode):
            raise self.refuse("expected named values")
        found: dict[str, Node] = {}
        for key_node, value_node in self.node.value:
            key, value = Node(self.file, key_node).text(), Node(self.file, value_node)
            if key in found:
                raise value.refuse(f"{key!r} stands twice")
            if allowed is not None and key not in allowed:
                raise value.refuse(f"unknown key {key!r}; expected one of {', '.join(sorted(allowed))}")
            found[key] = value
        for key in sorted(required - found.keys()):
            raise self.refuse(f"{key!r} is missing")
        return found


def _integer(node: Node) -> int:
    text = node.text()
    if not re.fullmatch(r"0|[1-9][0-9]{0,5}", text):
        raise node.refuse(f"expected a whole number, not {text!r}")
    return int(text)


def _number(node: Node) -> Decimal:
    text = node.text()
    if not re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]+)?", text):
        raise node.refuse(f"expected a decimal number, not {text!r}")
    return Decimal(text)


def _dose(node: Node) -> Dose:
    text = node.text()
    match = re.fullmatch(r"((?:0|[1-9][0-9]*)(?:\.[0-9]+)?) mg", text)
    if match is None:
        raise node.refuse(f'expected a dose like "1 mg", not {text!r}')
    return Dose(mg=Decimal(match[1]))


def _flag(node: Node) -> bool:
    text = node.text()
    if text not in {"yes", "no"}:
        raise node.refuse(f"expected yes or no, not {text!r}")
    return text == "yes"


def _range(node: Node) -> Range:
    ends = node.mapping(frozenset({"at_least", "at_most", "more_than", "less_than", "exactly"}))
    read = {name: _integer(value) for name, value in ends.items()}
    if "exactly" in read and len(read) == 1:
        return Range(at_least=read["exactly"], at_most=read["exactly"])
    if (
        not read
        or "exactly" in read
        or {"at_least", "more_than"} <= read.keys()
        or {"at_most", "less_than"} <= read.keys()
    ):
        raise node.refuse("expected one lower end, one upper end, both, or exactly")
    low = read["more_than"] + 1 if "more_than" in read else read.get("at_least")
    high = read["less_than"] - 1 if "less_than" in read else read.get("at_most")
    if low is not None and high is not None and low > high:
        raise node.refuse("the range is empty")
    return Range(at_least=low, at_most=high)


KINDS: Final[Mapping[str, Callable[[Node], Value]]] = {
    "text": Node.text,
    "texts": Node.texts,
    "integer": _integer,
    "number": _number,
    "dose": _dose,
    "flag": _flag,
    "range": _range,
}
INDICATORS: Final = frozenset({"info", "warning", "critical"})


def _columns(declared: Mapping[str, str], given: Node, row_id: str) -> dict[str, Value]:
    columns: dict[str, Value] = {}
    for name, node in given.mapping().items():
        if name not in declared:
            raise node.refuse(f"{row_id}: column {name!r} is not declared by its table")
        columns[name] = KINDS[declared[name]](node)
        if name == "indicator" and columns[name] not in INDICATORS:
            raise node.refuse(f"{row_id}: indicator {columns[name]!r}; expected info, warning or critical")
    return columns


def _slots_of(sentence: str, node: Node) -> Iterator[str]:
    try:
        for _, name, spec, conversion in Formatter().parse(sentence):
            if name is not None:
                if not name.isidentifier() or spec or conversion:
                    raise node.refuse(f"slot {{{name}}} is no plain name")
                yield name
    except ValueError as error:
        raise node.refuse(f"unbalanced braces: {error}") from None


def _say(node: Node, slots: frozenset[str], row_id: str) -> tuple[dict[str, str], tuple[str, ...]]:
    sentences: dict[str, str] = {}
    detail: tuple[str, ...] = ()
    for name, value in node.mapping(SENTENCES).items():
        texts = value.texts() if name == "detail" else (value.text(),)
        for text in texts:
            for slot in _slots_of(text, value):
                if slot not in slots:
                    raise value.refuse(f"{row_id}: slot {{{slot}}} is not declared")
        if name == "detail":
            detail = texts
        else:
            sentences[name] = texts[0]
    if not sentences:
        raise node.refuse(f"{row_id}: says nothing")
    return sentences, detail


def _cite(node: Node, row_id: str) -> Cite:
    given = node.mapping(frozenset({"statements", "label", "differences", "why"}))
    cite = Cite(
        statements=given["statements"].texts() if "statements" in given else (),
        label=given["label"].text() if "label" in given else "",
        differences=given["differences"].texts() if "differences" in given else (),
        why=given["why"].text() if "why" in given else "",
    )
    if not (cite.statements or cite.label or cite.differences or cite.why):
        raise node.refuse(f"{row_id}: cites nothing")
    return cite


def _reviewed(node: Node) -> Review | None:
    if isinstance(node.node, yaml.ScalarNode):
        if node.text() != "none":
            raise node.refuse("reviewed is none, or who, when and digest")
        return None
    keys = frozenset({"who", "when", "digest"})
    given = node.mapping(keys, keys)
    return Review(who=given["who"].text(), when=given["when"].text(), digest=given["digest"].text())


def _digest(given: Mapping[str, Node]) -> str:
    """12 hexadecimal digits of everything in a row that a review answers for."""
    content = {key: node.plain() for key, node in given.items() if key != "reviewed"}
    return sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


def _row(table: str, node: Node, inputs: Mapping[str, str], outputs: Mapping[str, str], slots: frozenset[str]) -> Row:
    given = node.mapping(ROW_KEYS, ROW_KEYS)
    row_id = given["id"].text()
    if not re.fullmatch(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*", row_id) or len(row_id) > 100:
        raise given["id"].refuse(f"row id {row_id!r}: expected capitals, digits and single dashes")
    source = given["source"].text()
    if source not in {origin.value for origin in Origin}:
        raise given["source"].refuse(f"{row_id}: source {source!r}; expected {', '.join(o.value for o in Origin)}")
    sentences, detail = _say(given["say"], slots, row_id)
    digest = _digest(given)
    reviewed = _reviewed(given["reviewed"])
    if reviewed is not None and reviewed.digest != digest:
        raise given["reviewed"].refuse(f"{row_id} has changed since its review of {reviewed.when}: review it again")
    return Row(
        id=row_id,
        table=table,
        line=node.line,
        origin=Origin(source),
        columns=_columns(inputs, given["when"], row_id) | _columns(outputs, given["then"], row_id),
        say=sentences,
        detail=detail,
        cite=_cite(given["cite"], row_id),
        reviewed=reviewed,
        digest=digest,
    )


def _kinds(node: Node) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for name, value in node.mapping().items():
        if value.text() not in KINDS:
            raise value.refuse(f"column kind {value.text()!r}; expected one of {', '.join(sorted(KINDS))}")
        kinds[name] = value.text()
    return kinds


def _table(name: str, node: Node, shared_slots: frozenset[str]) -> Table:
    given = node.mapping(TABLE_KEYS, frozenset({"question", "hit", "inputs", "outputs", "rows"}))
    if given["hit"].text() not in {hit.value for hit in Hit}:
        raise given["hit"].refuse("hit is unique, first or collect")
    inputs, outputs = _kinds(given["inputs"]), _kinds(given["outputs"])
    for column in sorted(inputs.keys() & outputs.keys()):
        raise node.refuse(f"column {column!r} is both input and output")
    slots = shared_slots | frozenset(given["slots"].texts() if "slots" in given else ())
    covers = {axis: _range(value) for axis, value in given["covers"].mapping().items()} if "covers" in given else {}
    for axis in sorted(covers.keys() - {column for column, kind in inputs.items() if kind == "range"}):
        raise given["covers"].refuse(f"{axis!r} is no range among the inputs")
    return Table(
        name=name,
        question=given["question"].text(),
        hit=Hit(given["hit"].text()),
        inputs=inputs,
        outputs=outputs,
        slots=slots,
        rows=tuple(_row(name, item, inputs, outputs, slots) for item in given["rows"].items()),
        line=node.line,
        covers=covers,
    )


def _refuse_repeated_ids(root: Node, tables: Mapping[str, Table]) -> None:
    seen: dict[str, int] = {}
    for table in tables.values():
        for row in table.rows:
            if row.id in seen:
                raise Refusal(f"{root.file}:{row.line} row id {row.id} stands already on line {seen[row.id]}")
            seen[row.id] = row.line


def parse(text: str, file: str) -> Regimen:
    """The whole file as a Regimen with every row, whatever its source.

    Raises: KnowledgeError naming file and line.
    """
    try:
        document: Any = yaml.compose(text, Loader=_Text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark is not None else ""
        raise Refusal(f"{file}{place} is not readable YAML: {getattr(error, 'problem', None) or 'syntax'}") from None
    if document is None:
        raise Refusal(f"{file}:1 is empty")
    root = Node(file, document)
    given = root.mapping(FILE_KEYS, FILE_KEYS)
    slots = frozenset(given["slots"].texts())
    tables = {name: _table(name, node, slots) for name, node in given["tables"].mapping().items()}
    _refuse_repeated_ids(root, tables)
    regimen = Regimen(
        drug=given["drug"].text(),
        name=given["name"].text(),
        version=given["version"].text(),
        label=given["label"].text(),
        label_url=given["label_url"].text(),
        last_checked_against_label_on=given["last_checked_against_label_on"].text(),
        sources=Sources.SEED_AND_LABEL,
        doses={name: _dose(node) for name, node in given["doses"].mapping().items()},
        numbers={name: _number(node) for name, node in given["numbers"].mapping().items()},
        tables=tables,
    )
    refuse_gaps_and_overlaps(regimen, file)
    return regimen


def load(path: Path | None = None, sources: Sources = Sources.SEED_AND_LABEL) -> Regimen:
    """The knowledge in force: the packaged file, or the one at `path`, with the rows of `sources`.

    Raises: KnowledgeError naming file and line, also where the file cannot be read.
    """
    if path is None:
        text, name = files("cds_service.knowledge").joinpath(PACKAGED).read_text(encoding="utf-8"), PACKAGED
    else:
        try:
            text, name = path.read_text(encoding="utf-8"), path.name
        except (OSError, UnicodeDecodeError) as error:
            raise Refusal(f"{path.name} cannot be read: {type(error).__name__}") from None
    return parse(text, name).under(sources)
