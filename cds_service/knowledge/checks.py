"""Does a row contradict itself, the rest of the file or the contract? What is wrong ends the start, by file and line.

What the rules ask of a row is known where they are (engine/requirements.py); here is what the file alone can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from cds_service.errors import KnowledgeError
from cds_service.knowledge.regimen import Dose, Range, Regimen, Row, Table, Value

ADVICE: Final = ("topic", "action", "indicator")
# The contract, section 4.
ACTIONS: Final[Mapping[str, frozenset[str]]] = {
    "dose": frozenset({"change-dose", "restart-step-up", "wait", "clarify"}),
    "crs": frozenset({"withhold", "restart-step-up", "discontinue"}),
    "neurotoxicity": frozenset({"withhold", "discontinue"}),
    "cytopenia": frozenset({"withhold", "discontinue"}),
    "infection": frozenset({"withhold", "discontinue"}),
    "hepatotoxicity": frozenset({"withhold", "discontinue"}),
    "other-toxicity": frozenset({"withhold", "discontinue"}),
    "monitoring": frozenset({"monitor"}),
    "premedication": frozenset({"order"}),
    "administration": frozenset({"correct"}),
    "pregnancy": frozenset({"avoid", "confirm"}),
    "contraception": frozenset({"advise"}),
    "lactation": frozenset({"avoid", "confirm"}),
    "renal": frozenset({"assess"}),
    "hepatic": frozenset({"assess"}),
    "pediatric": frozenset({"assess"}),
    "indication": frozenset({"confirm"}),
    "progression": frozenset({"confirm"}),
    "course": frozenset({"status"}),
    "schedule": frozenset({"rebook"}),
    "record": frozenset({"cannot-assess"}),
}
# docs/knowledge-sources.md: the last seed statement, the last resolved difference, the worst grade of any scale.
STATEMENTS: Final = 44
DIFFERENCES: Final = 26
WORST_GRADE: Final = 5
INDICATORS: Final = frozenset({"info", "warning", "critical"})
SPANS: Final = ("hours", "minutes")
LIMITED: Final = "days_since"


def refuse_contradictions(regimen: Regimen) -> None:
    """Raises: KnowledgeError naming file, line and row."""
    for name, number in regimen.numbers.items():
        if name.endswith(("_days", "_hours")) and number != int(number):
            place = regimen.places.get(f"numbers.{name}", 0)
            raise KnowledgeError(f"{regimen.file}:{place} {name}: expected a whole number, not {number}")
    for table in regimen.tables.values():
        for row in table.rows:
            for mistake in _mistakes(row, table, regimen):
                raise KnowledgeError(f"{regimen.file}:{row.line} {row.id}: {mistake}")


def _mistakes(row: Row, table: Table, regimen: Regimen) -> Iterator[str]:
    yield from _of_advice(row, table)
    yield from _of_cards(row)
    yield from _of_citation(row)
    yield from _of_doses(row, regimen)
    yield from _of_numbers(row)


def _of_advice(row: Row, table: Table) -> Iterator[str]:
    """A row that speaks a card has a topic, an action and an indicator, and only together with a summary."""
    speaks = [name for name in ADVICE if row.has(name)]
    if speaks and "summary" not in row.say:
        yield f"{speaks[0]} without a summary"
    if (speaks or "summary" in row.say) and "topic" in table.outputs:
        yield from (f"{name!r} is missing: the row speaks a card" for name in ADVICE if not row.has(name))
    if len(speaks) == len(ADVICE):
        topic, action = row.text("topic"), row.text("action")
        if topic not in ACTIONS:
            yield f"topic {topic!r}; expected one of {', '.join(sorted(ACTIONS))}"
        elif action not in ACTIONS[topic]:
            yield f"action {action!r}; topic {topic!r} has {', '.join(sorted(ACTIONS[topic]))}"


def _of_cards(row: Row) -> Iterator[str]:
    """The cards that a row is for: each action is one of a topic beside it, each topic has one of the actions."""
    if not (row.has("topics") and row.has("actions")):
        return
    topics, actions = row.texts("topics"), row.texts("actions")
    for topic in topics:
        if not ACTIONS.get(topic, frozenset()) & set(actions):
            yield f"topics: no card is of {topic!r} and one of {', '.join(actions)}"
    for action in actions:
        if not any(action in ACTIONS.get(topic, ()) for topic in topics):
            yield f"actions: no card is of {action!r} and one of {', '.join(topics)}"
    for indicator in row.texts("indicators") if row.has("indicators") else ():
        if indicator not in INDICATORS:
            yield f"indicators {indicator!r}; expected info, warning or critical"
    if row.has("system") is not row.has("code"):
        yield "system and code stand together or not at all"


def _of_citation(row: Row) -> Iterator[str]:
    for cited, prefix, last in ((row.cite.statements, "S", STATEMENTS), (row.cite.differences, "D-", DIFFERENCES)):
        for name in cited:
            number = re.fullmatch(rf"{prefix}([1-9][0-9]?)", name)
            if number is None or int(number[1]) > last:
                yield f"cites {name}; expected {prefix}1 to {prefix}{last}"


def _of_doses(row: Row, regimen: Regimen) -> Iterator[str]:
    for name, value in row.columns.items():
        if isinstance(value, Dose) and value not in regimen.doses.values():
            known = ", ".join(f"{dose_name} {dose}" for dose_name, dose in regimen.doses.items())
            yield f"{name} {value} is none of the doses ({known})"


def _of_numbers(row: Row) -> Iterator[str]:
    for name in ("grade", "grade_from", "grade_to"):
        value = row.columns.get(name)
        if isinstance(value, int) and value > WORST_GRADE:
            yield f"{name} {value} is no grade"
    for name in SPANS:
        low, high = row.columns.get(f"{name}_from"), row.columns.get(f"{name}_to")
        if (low is None) != (high is None):
            yield f"{name}_from and {name}_to stand together or not at all"
        if isinstance(low, int) and isinstance(high, int) and low > high:
            yield f"{name}_from is above {name}_to"


# --- numbers written out in a sentence ---------------------------------------------------------------------------


def limit_of(columns: Mapping[str, Value]) -> int | None:
    """The last day up to which a course goes on: the only end of the row's `days_since`; None where it has two or none.

    Units: days.
    """
    days = columns.get(LIMITED)
    if not isinstance(days, Range) or (days.at_least is None) == (days.at_most is None):
        return None
    return days.at_most if days.at_least is None else days.at_least - 1


def disagreements(sentence: str, columns: Mapping[str, Value], values: Iterable[str]) -> Iterator[str]:
    """Numbers written out in a sentence of a row that are others than the row's own columns have in that unit.

    A unit that no column of the row has is not looked at: the number then stands nowhere else. Where a row is about
    doses of the drug, an amount must be one of `values`, the doses of the file.
    """
    for pattern, expected in _expected(columns):
        for found in re.finditer(pattern, sentence):
            said = tuple(Decimal(group) for group in found.groups() if group is not None)
            if said not in expected:
                named = " or ".join("–".join(f"{number:f}" for number in numbers) for numbers in sorted(expected))
                yield f"says {found[0]!r}, but its columns say {named}"
    if _is_about_doses(columns):
        for amount in re.findall(MG, sentence):
            if f"{amount} mg" not in values:
                yield f"says '{amount} mg', which is none of the doses"


MG: Final = r"\b(\d+(?:\.\d+)?) mg\b"
ULN: Final = r"\b(\d+(?:\.\d+)?)×ULN"
DAYS: Final = r"\b(\d+) days?\b|\bday (\d+)\b"
HOURS: Final = r"\b(\d+)–(\d+) h\b"
UNITS: Final[Mapping[str, str]] = {
    "within_days": DAYS,
    "after_months": r"\b(\d+) months?\b",
    "years": r"\b(\d+) years?\b",
    "minutes": r"\b(\d+) minutes?\b",
    "home_hours": r"(?<!–)\b(\d+) h\b",
    "steroid_mg": MG,
    "litres": r"\b(\d+(?:\.\d+)?) L\b",
    "above_uln": ULN,
    "transaminase_above_uln": ULN,
    "bilirubin_above_uln": ULN,
}
PER_HOUR: Final[Mapping[str, int]] = {"hours": 1, "minutes": 60}


def _expected(columns: Mapping[str, Value]) -> list[tuple[str, set[tuple[Decimal, ...]]]]:
    """For each unit that the columns have: how it is written, and the numbers that may stand there."""
    found: dict[str, set[tuple[Decimal, ...]]] = {}
    for name, value in columns.items():
        if name in UNITS and isinstance(value, (int, Decimal)):
            found.setdefault(UNITS[name], set()).add((Decimal(value),))
    limit = limit_of(columns)
    if limit is not None:
        found[DAYS] = {(Decimal(limit),)}
    for name, per_hour in PER_HOUR.items():
        ends = (columns.get(f"{name}_from"), columns.get(f"{name}_to"))
        hours = tuple(Decimal(end) / per_hour for end in ends if isinstance(end, int))
        if len(hours) == len(ends):
            found.setdefault(HOURS, set()).add(hours)
    return list(found.items())


def _is_about_doses(columns: Mapping[str, Value]) -> bool:
    return columns.get("topic") == "dose" or "restart" in columns or "dose" in columns
