"""Asks the engine and the oracle the same, and says where they differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

from cds_service.engine.advice import Advice
from cds_service.engine.rulebook import Rulebook
from cds_service.knowledge import loader
from tests.differential.histories import History
from tests.differential.oracle import TOPICS, Answer, Card, Due, judge


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One dose of the drafts on which the two do not agree: its cards, or what one of its cards expects."""

    order: str
    part: int
    what: str
    engine: tuple[object, ...]
    oracle: tuple[object, ...]

    @property
    def kind(self) -> tuple[object, ...]:
        """What differs, apart from the order: differences of one kind mostly have one cause."""
        only_engine = tuple(said for said in self.engine if said not in self.oracle)
        only_oracle = tuple(said for said in self.oracle if said not in self.engine)
        return (self.what, only_engine, only_oracle) if self.what == "cards" else (self.what,)


READINGS = {
    "the due day of a first or restarted dose": "The rules name none. Taken: the order's own day.",
    "what a card that says wait expects": (
        "The rules do not say. Taken: what is due on the first day that is neither before the due day nor "
        "within the lower bound of the last exposure."
    ),
    "after a hold of CRS grade 3": (
        "A HOLD ends with 'if lifted: dose due', row 7 asks for a *resolved* grade 3. Taken: lifted means "
        "resolved, so 1 mg is due; a later draft is judged after that 1 mg."
    ),
    "a second order of one day is not given": (
        "'each judged against the history plus those before it' would count an order that row 4 calls ordered "
        "twice. Taken: it does not count. A planned order comes before a draft of its day."
    ),
    "a history in doubt beside rows 3 and 4": (
        "'The first row that matches' would hide the question behind row 3 or 4. Taken: the critical row 8 "
        "stands beside every row, also that of a later order beside row 3."
    ),
    "several rows of one day": (
        "'Given doses' 3 says not until when they are asked about. Taken: as in 1, until a completed dose "
        "follows. Partial and several doses are asked about on every draft, whatever is projected."
    ),
    "after another engager": (
        "Literally, no toxicity after another engager would ever count. Taken: one that begins on or after "
        "the day of the first dose on record counts."
    ),
    "results of the day of the first exposure": ("'after the first exposure'. Taken: without clock times that day is."),
    "an infection while a restart is due": "'any grade while k≤1'. Taken: and while the next dose is 1 mg again.",
    "the onset of a grade 3 that began milder": "'more than 7 days after onset'. Taken: the onset of the episode.",
    "a STOP that rests on an unconfirmed record": (
        "Taken: it rests on the record that carries the grade; the new episode after a grade 3 on any of its records."
    ),
    "an adverse event without outcome": (
        "knowledge.md: 'or a paired Condition'. Taken: a resolved record of the episode closes it that began "
        "on its day or later, or ended after that day; not one that ended when it began. "
        "An observation of the day on which such a record ended is closed by it."
    ),
    "a grade 0": (
        "'a grade Observation without a later grade 0'. Taken: it closes what knows no end in the episode before it."
    ),
    "premedication while the position is unknown": "The rules name no n then. Not compared.",
}
"""Where the text can be read in two ways: what the oracle takes, or that it is not compared."""


@cache
def rulebook() -> Rulebook:
    return Rulebook(loader.load())


def differences(history: History) -> Iterator[Difference]:
    expected = judge(history.state, history.at, history.zone)
    assessment = rulebook().assess(history.state, at=history.at, zone=history.zone)
    for (order, part), answer in expected.items():
        advice = [a for a in assessment.advice if (a.order, a.part) == (order, part) and a.topic in TOPICS]
        engine, oracle = compared({(a.topic, a.action, a.indicator) for a in advice}, answer)
        if engine != oracle:
            yield Difference(
                order=order, part=part, what="cards", engine=tuple(sorted(engine)), oracle=tuple(sorted(oracle))
            )
        for one in advice:
            said, due = expectation(one), told(one, answer, holds=is_held(answer))
            if one.action != "discontinue" and said != due:
                what = f"expected by {one.topic}/{one.action}"
                yield Difference(order=order, part=part, what=what, engine=(said,), oracle=(due,))


def engine_cards(history: History, order: str) -> set[Card]:
    assessment = rulebook().assess(history.state, at=history.at, zone=history.zone)
    return {(a.topic, a.action, a.indicator) for a in assessment.advice if a.order == order}


def compared(engine: set[Card], answer: Answer) -> tuple[set[Card], set[Card]]:
    """The cards of both, without those that the rules leave open here."""
    oracle = set(answer.cards)
    if answer.due is None:  # [reading: premedication while the position is unknown]
        engine, oracle = ({c for c in cards if c[0] != "premedication"} for cards in (engine, oracle))
    return engine, oracle


def is_held(answer: Answer) -> bool:
    return any(action == "withhold" and indicator == "critical" for _, action, indicator in answer.cards)


def expectation(advice: Advice) -> Due | None:
    said = advice.expected
    return None if said is None else Due(dose=said.dose.mg, position=said.position, day=said.due_on)


def told(advice: Advice, answer: Answer, *, holds: bool) -> Due | None:
    """What this card should expect."""
    if advice.action == "wait":
        return answer.after_waiting
    return answer.if_lifted if advice.action == "withhold" and holds else answer.due


def minimal(history: History, difference: Difference) -> History:
    """The same history with every row left out that the difference does not need."""
    less = history
    for field in fields(history.state):
        rows = getattr(history.state, field.name)
        if field.name == "cancer" or not isinstance(rows, tuple):
            continue
        for row in rows:
            without = without_row(less, field.name, row)
            if any(d.kind == difference.kind for d in differences(without)):
                less = without
    return less


def without_row(history: History, name: str, row: object) -> History:
    kept: Any = {name: tuple(r for r in getattr(history.state, name) if r is not row)}
    return replace(history, state=replace(history.state, **kept))
