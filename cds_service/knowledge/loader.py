"""Strict YAML → Regimen. Whatever is not understood is refused with file and line; nothing is guessed.

Plain YAML reads `no` as false, `on` as true, `012` as 10 and keeps the last of two equal keys. Here every plain
scalar is text; a column's declared kind decides how it is read, and a duplicate key ends the start.

A number stands once: a sentence takes it from a slot. `{step}` (a dose), `{lab_age_days}` (a number), `{within_days}`
(a column of the row) and `{limit}` (the last day of its `days_since`) are filled here, all other slots by the rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any, Final

import yaml

from cds_service.errors import KnowledgeError
from cds_service.knowledge.cells import refuse_gaps_and_overlaps
from cds_service.knowledge.checks import INDICATORS, disagreements, limit_of, refuse_contradictions
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
SENTENCES: Final = frozenset({"summary", "many", "beside", "line", "detail", "label", "does", "orders", "instructs"})


DEEPEST: Final = 50
"""Levels of a YAML file; what composes it goes down them in C, where nothing stops it."""


class Refusal(KnowledgeError):
    """A place in the knowledge file and what is wrong there."""


_Parser: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # that of libyaml, if it was built with it: nine times as fast


class _Text(_Parser):  # type: ignore[misc]
    """Reads every scalar as text and remembers the line of every mapping and list entry."""


_Text.yaml_implicit_resolvers = {}


def _refuse_what_is_not_read(text: str) -> None:
    """Before anything is composed: an alias can stand for a billion values, or for what it stands in."""
    depth = 0
    for event in yaml.parse(text, Loader=_Text):
        if getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="anchors, aliases and tags are not read", problem_mark=event.start_mark)  # type: ignore[arg-type]
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise RecursionError


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
    if "{{" in sentence or "}}" in sentence:
        raise node.refuse("braces are for slots alone")
    try:
        for _, name, spec, conversion in Formatter().parse(sentence):
            if name is not None:
                if not name.isidentifier() or spec or conversion:
                    raise node.refuse(f"slot {{{name}}} is no plain name")
                yield name
    except ValueError as error:
        raise node.refuse(f"unbalanced braces: {error}") from None


@dataclass(frozen=True)
class _Slots:
    """Where the slots of a row's sentences come from: what the row decides, the case, the file.

    Those of the case are filled by the rules, all others here; `used` are those that were filled.
    """

    decided: Mapping[str, str]
    case: frozenset[str]
    file: Mapping[str, str]
    used: dict[str, str] = field(default_factory=dict)

    def filled(self, sentence: str, node: Node, row_id: str) -> str:
        """The sentence with every number that the file knows."""
        for slot in dict.fromkeys(_slots_of(sentence, node)):
            if slot in self.case and slot not in self.decided:
                continue
            value = self.decided.get(slot) or self.file.get(slot)
            if value is None:
                raise node.refuse(f"{row_id}: slot {{{slot}}} is not declared")
            self.used[slot] = value
            sentence = sentence.replace(f"{{{slot}}}", value)
        return sentence


def _said(columns: Mapping[str, Value]) -> dict[str, str]:
    """The numbers and doses among the columns, as they are said."""
    said = (int, Decimal, Dose)
    return {name: str(v) for name, v in columns.items() if isinstance(v, said) and not isinstance(v, bool)}


def _row_slots(
    inputs: Mapping[str, Value], outputs: Mapping[str, Value], case: frozenset[str], file: Mapping[str, str]
) -> _Slots:
    limit = limit_of(inputs)
    own = _said(inputs) | ({} if limit is None else {"limit": str(limit)})
    return _Slots(decided=_said(outputs), case=case, file=own | dict(file))


def _say(
    node: Node, slots: _Slots, columns: Mapping[str, Value], row_id: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    sentences: dict[str, str] = {}
    detail: tuple[str, ...] = ()
    for name, value in node.mapping(SENTENCES).items():
        texts = value.texts() if name == "detail" else (value.text(),)
        filled = tuple(slots.filled(text, value, row_id) for text in texts)
        for text in texts:
            for mistake in disagreements(text, columns, slots.file.values()):
                raise value.refuse(f"{row_id}: {mistake}")
        if name == "detail":
            detail = filled
        else:
            sentences[name] = filled[0]
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


def _digest(given: Mapping[str, Node], filled: Mapping[str, str]) -> str:
    """12 hexadecimal digits of everything in a row that a review answers for, with the numbers its sentences take."""
    content = {key: node.plain() for key, node in given.items() if key != "reviewed"}
    if filled:
        content["filled"] = dict(filled)
    return sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


def _row(
    table: str,
    node: Node,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    slots: frozenset[str],
    values: Mapping[str, str],
) -> Row:
    given = node.mapping(ROW_KEYS, ROW_KEYS)
    row_id = given["id"].text()
    if not re.fullmatch(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*", row_id) or len(row_id) > 100:
        raise given["id"].refuse(f"row id {row_id!r}: expected capitals, digits and single dashes")
    source = given["source"].text()
    if source not in {origin.value for origin in Origin}:
        raise given["source"].refuse(f"{row_id}: source {source!r}; expected {', '.join(o.value for o in Origin)}")
    when, then = _columns(inputs, given["when"], row_id), _columns(outputs, given["then"], row_id)
    row_slots = _row_slots(when, then, slots, values)
    sentences, detail = _say(given["say"], row_slots, when | then, row_id)
    digest = _digest(given, row_slots.used)
    reviewed = _reviewed(given["reviewed"])
    if reviewed is not None and reviewed.digest != digest:
        raise given["reviewed"].refuse(
            f"{row_id} has changed since its review of {reviewed.when}: review it again, then write digest {digest}"
        )
    return Row(
        id=row_id,
        table=table,
        line=node.line,
        origin=Origin(source),
        columns=when | then,
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


def _table(name: str, node: Node, shared_slots: frozenset[str], values: Mapping[str, str]) -> Table:
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
        rows=tuple(_row(name, item, inputs, outputs, slots, values) for item in given["rows"].items()),
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


def _places(given: Mapping[str, Node]) -> dict[str, int]:
    """The lines of the parts of the file, and of each dose and number."""
    places = {name: node.line for name, node in given.items()}
    for part in ("doses", "numbers"):
        places |= {f"{part}.{name}": node.line for name, node in given[part].mapping().items()}
    return places


def document(text: str, file: str) -> Node:
    """A YAML file whose every scalar is a text. Raises: KnowledgeError where it is no YAML or empty."""
    try:
        _refuse_what_is_not_read(text)
        root: Any = yaml.compose(text, Loader=_Text)
    except RecursionError:
        raise Refusal(f"{file} is nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark is not None else ""
        raise Refusal(f"{file}{place} is not readable YAML: {getattr(error, 'problem', None) or 'syntax'}") from None
    if root is None:
        raise Refusal(f"{file}:1 is empty")
    return Node(file, root)


@lru_cache(maxsize=2)  # half a second for the packaged file, and a Regimen never changes
def parse(text: str, file: str) -> Regimen:
    """The whole file as a Regimen with every row, whatever its source.

    Raises: KnowledgeError naming file and line.
    """
    root = document(text, file)
    given = root.mapping(FILE_KEYS, FILE_KEYS)
    doses = {name: _dose(node) for name, node in given["doses"].mapping().items()}
    numbers = {name: _number(node) for name, node in given["numbers"].mapping().items()}
    slots = frozenset(given["slots"].texts())
    for name in sorted(slots & (doses.keys() | numbers.keys())):
        raise given["slots"].refuse(f"{name!r} is a slot of the case and a value of the file")
    values = {name: str(value) for name, value in (*doses.items(), *numbers.items())}
    tables = {name: _table(name, node, slots, values) for name, node in given["tables"].mapping().items()}
    _refuse_repeated_ids(root, tables)
    regimen = Regimen(
        drug=given["drug"].text(),
        name=given["name"].text(),
        version=given["version"].text(),
        label=given["label"].text(),
        label_url=given["label_url"].text(),
        last_checked_against_label_on=given["last_checked_against_label_on"].text(),
        sources=Sources.SEED_AND_LABEL,
        doses=doses,
        numbers=numbers,
        tables=tables,
        file=file,
        places=_places(given),
    )
    refuse_contradictions(regimen)
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
