"""Says, in a pharmacist's words, how the cards that came differ from the cards that a vignette wants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.vignettes.build import Case, ExpectedCard

EXTENSION: Final = "org.tarlatamab-cds.advice"
SOURCE: Final = "**Source**"
STATEMENT: Final = re.compile(r"S\d+")

Card = Mapping[str, Any]


def advice(card: Card) -> Mapping[str, Any]:
    extension: Mapping[str, Any] = card["extension"][EXTENSION]
    return extension


def kind(card: Card) -> tuple[str, str, str]:
    return (advice(card)["topic"], advice(card)["action"], card["indicator"])


def worded(what: tuple[str, str, str]) -> str:
    return f"{what[0]}/{what[1]} {what[2]}"


def plain(text: str) -> str:
    """Text as compared: case, kind of dash and of space do not matter, nor do Markdown's escapes."""
    for dash in "–—‑":
        text = text.replace(dash, "-")
    return " ".join(text.replace("\\", "").casefold().split())


def differences(case: Case, cards: Sequence[Card]) -> list[str]:
    """What is wrong with the answer; nothing if it is right."""
    wanted, came = Counter(card.kind for card in case.then), Counter(kind(card) for card in cards)
    found = [f"missing card: {worded(what)}" for what in (wanted - came).elements()]
    found += [f"a card too many: {worded(what)}" for what in (came - wanted).elements()]
    for card in case.then:
        for answer in cards:
            if kind(answer) == card.kind:
                found += [f"{worded(card.kind)}: {what}" for what in card_differences(card, answer)]
    return found


def card_differences(wanted: ExpectedCard, card: Card) -> list[str]:
    text = plain(f"{card['summary']} {card.get('detail', '')}")
    found = [f"does not say {part!r}" for part in wanted.says if plain(part) not in text]
    found += [f"must not say {part!r}" for part in wanted.never_says if plain(part) in text]
    if wanted.summary and card["summary"] != wanted.summary:
        found.append(f"its summary should be {wanted.summary!r}")
    rows = advice(card)["rows"]
    found += [f"row {row} is not among {rows}" for row in wanted.rows if row not in rows]
    found += [f"does not cite {cited!r}" for cited in wanted.cites if not cites(card, cited)]
    offered = tuple(map(suggestion, card.get("suggestions", ())))
    if wanted.no_suggestion and offered:
        found.append("must have no suggestion")
    if wanted.suggestions and offered != wanted.suggestions:
        found.append(f"offers {list(offered)}, and should {list(wanted.suggestions)}")
    entries = advice(card).get("expected", [])
    for expected in wanted.expected:
        if not any(expected.as_wire().items() <= entry.items() for entry in entries):
            found.append(f"expected {expected.as_wire()} is not among {entries}")
    return found


def cites(card: Card, cited: str) -> bool:
    """Whether the card's last paragraph names this source; a statement must stand among its statements too."""
    paragraph = plain(card.get("detail", "").rpartition(SOURCE)[2])
    named = [part.removeprefix("seed ") for part in re.split(r"[;,.] ", paragraph)]
    listed = cited in advice(card).get("statements", ()) if STATEMENT.fullmatch(cited) else True
    return plain(cited) in named and listed


def suggestion(offered: Mapping[str, Any]) -> str:
    """ "change order 1 to 1 mg", "remove order 1", "order dexamethasone 8 mg and order saline 1 L"."""
    return " and ".join(map(act, offered["actions"]))


def act(action: Mapping[str, Any]) -> str:
    resource = action.get("resource", {})
    draft = re.search(r"-draft-(\d+)$", action.get("resourceId") or resource.get("id", ""))
    order = f"order {draft[1]}" if draft else "?"
    dosages = resource.get("dosageInstruction", [])
    quantities = [dosage["doseAndRate"][0]["doseQuantity"] for dosage in dosages]
    amounts = ", ".join(dict.fromkeys(f"{quantity['value']} {quantity['unit']}" for quantity in quantities))
    if action["type"] == "delete":
        return f"remove {order}"
    if action["type"] == "update":
        return f"change {order} to {amounts}"
    ordered = (resource.get("medicationCodeableConcept") or resource["code"])["text"]
    return f"order {ordered} {amounts}".strip()


def complaint(case: Case, cards: Sequence[Card], found: Sequence[str]) -> str:
    """The whole story on one page: the question, what is wrong, and every card that came."""
    lines = [
        "",
        f"{case.id}: {case.question}",
        *([f"    {case.says}"] if case.says else []),
        *([f"    note: {case.note}"] if case.note else []),
        *[f"  - {what}" for what in found],
        "  the cards that came:" if cards else "  no card came",
        *[f"    {worded(kind(card))}: {card['summary']}" for card in cards],
    ]
    return "\n".join(lines)
