"""The items of items.yaml, the tests marked with them, and what is wrong between the two."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from cds_service.knowledge.loader import Node

FILE: Final = Path(__file__).with_name("items.yaml")
TESTS: Final = Path(__file__).resolve().parents[1]
STANDINGS: Final[tuple[str, ...]] = ("deliberately_not", "binds", "later", "pending")
REQUIRED: Final = frozenset({"id", "level", "versions", "says"})
KEYS: Final = REQUIRED | {*STANDINGS, "argument"}
MARK: Final = "pytest.mark.conforms"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One demand of the checklist. `standing` is "" for one that is implemented, else one of STANDINGS, with `why`."""

    id: str
    level: str
    versions: str
    says: str
    standing: str = ""
    why: str = ""
    argument: str = ""
    more: tuple[str, ...] = field(default=())

    @property
    def needs_an_argument(self) -> bool:
        """Whether leaving it out deliberately needs more than a reason."""
        return "SHALL" in self.level or "SHOULD" in self.level


@dataclass(frozen=True, kw_only=True)
class Section:
    heading: str
    items: tuple[Item, ...]


@dataclass(frozen=True, kw_only=True)
class Test:
    """A test function, and the items that it is marked with."""

    __test__ = False  # for pytest, which collects by this name

    name: str
    file: str
    items: tuple[str, ...]


def _item(node: Node) -> Item:
    given = {name: value.text() for name, value in node.mapping(KEYS, REQUIRED).items()}
    first, *others = [name for name in STANDINGS if name in given] or [""]
    return Item(
        **{name: given[name] for name in REQUIRED},
        standing=first,
        why=given.get(first, ""),
        argument=given.get("argument", ""),
        more=tuple(others),
    )


@cache
def sections(file: Path = FILE) -> tuple[Section, ...]:
    """items.yaml. Raises: KnowledgeError with the line of what is not understood."""
    document: Any = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    whole = Node(file.name, document).mapping(frozenset({"sections"}), frozenset({"sections"}))
    keys = frozenset({"heading", "items"})
    given = [section.mapping(keys, keys) for section in whole["sections"].items()]
    return tuple(
        Section(heading=one["heading"].text(), items=tuple(_item(item) for item in one["items"].items()))
        for one in given
    )


def items(given: Sequence[Section] | None = None) -> Mapping[str, Item]:
    """Every item by its number."""
    return {item.id: item for section in (sections() if given is None else given) for item in section.items}


# --- tests -----------------------------------------------------------------------------------------------------------


@cache
def marked(folder: Path = TESTS) -> tuple[Test, ...]:
    """The tests of `folder` that say which items they check, read from their source, in the order of file and line."""
    found: list[Test] = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if MARK in text:
            found += _tests(ast.parse(text), path.relative_to(folder).as_posix())
    return tuple(found)


def _tests(module: ast.Module, file: str) -> Iterator[Test]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            named = tuple(name for decorator in node.decorator_list for name in _named(decorator))
            if named:
                yield Test(name=node.name, file=file, items=named)


def _named(decorator: ast.expr) -> Iterator[str]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == MARK:
        yield from (str(ast.literal_eval(argument)) for argument in decorator.args)


def checked_by(item: str, tests: Sequence[Test] | None = None) -> tuple[Test, ...]:
    return tuple(test for test in (marked() if tests is None else tests) if item in test.items)


# --- what is wrong ---------------------------------------------------------------------------------------------------


def complaints(given: Sequence[Section] | None = None, tests: Sequence[Test] | None = None) -> list[str]:
    """Items without test or reason, marks without item, and what cannot be told apart; nothing if all is well."""
    given = sections() if given is None else given
    tests = marked() if tests is None else tests
    known = items(given)
    numbers = Counter(item.id for section in given for item in section.items)
    names = Counter(test.name for test in tests)
    return [
        *(f"{number}: stands twice" for number, count in numbers.items() if count > 1),
        *(
            f"{test.name}: is marked with {name}, which is no item"
            for test in tests
            for name in test.items
            if name not in known
        ),
        *(f"{name}: several marked tests have this name" for name, count in names.items() if count > 1),
        *(complaint for item in known.values() for complaint in _of(item, tests)),
    ]


def _of(item: Item, tests: Sequence[Test]) -> Iterator[str]:
    if item.more:
        yield f"{item.id}: is {', '.join((item.standing, *item.more))}; one of them"
    if not item.standing and not checked_by(item.id, tests):
        yield f"{item.id}: no test is marked with it, and no reason is given"
    if item.standing == "deliberately_not" and item.needs_an_argument and not item.argument:
        yield f"{item.id}: a {item.level} is left out without an argument"
    if item.argument and item.standing != "deliberately_not":
        yield f"{item.id}: argues for leaving out what is not left out"
    if item.standing == "binds" and not item.why.startswith(("client: ", "nobody: ")):
        yield f"{item.id}: binds takes client: or nobody:, with what that means here"
