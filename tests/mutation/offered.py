"""What cards offer, and why they may not be followed: the tables of the knowledge against the sheet typed by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import yaml

from cds_service.cards import override_reasons
from cds_service.engine.advice import Advice
from cds_service.knowledge.regimen import Regimen, Row
from cds_service.suggestions import is_for

SHEET: Final = Path(__file__).with_name("offered.yaml")
AUTHORITIES: Final = {
    "https://tarlatamab-cds.example.org/CodeSystem/override-reason": "clinic",
    "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes": "hl7",
}


@cache
def _sheet() -> tuple[Mapping[str, tuple[Sequence[str], Sequence[str]]], Mapping[str, str]]:
    """Offers and reasons of each card, and what each offer is."""
    read = yaml.load(SHEET.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    cards = {
        card: (tuple(group.get("offers", ())), tuple(group["reasons"]))
        for group in read["cards"]
        for card in group["cards"]
    }
    return cards, read["offers"]


def card_of(row: Row) -> str:
    """The kind of card that a row makes, in the sheet's words."""
    said = f"{row.text('topic')}/{row.text('action')} {row.text('indicator')}"
    if row.table == "premedication":
        return f"{said} for {row.text('kind')}"
    is_grave = row.text("topic") == "neurotoxicity" and row.text("action") == "withhold" and row.has("grade_from")
    return f"{said} from grade 3" if is_grave and row.integer("grade_from") == 3 else said


def departures(regimen: Regimen) -> Iterator[str]:
    """Where the tables say something else than the sheet; nothing if both agree."""
    cards, offers = _sheet()
    offered, against = regimen.table("suggestions").rows, regimen.table("override_reasons").rows
    shown = [row for row in regimen.rows() if row.has("topic") and row.has("indicator")]
    made = set(map(card_of, shown))
    yield from (f"{card}: no row makes it" for card in cards if card not in made)
    for row in shown:
        found = (_offers_of(row, offered), _reasons_of(row, against))
        if found != cards.get(card_of(row)):
            yield f"{row.id}, {card_of(row)}: {found}"
    for row in offered:
        if _offer(row) != offers.get(row.id):
            yield f"{row.id}: {_offer(row)}"


@lru_cache(maxsize=1024)  # a mutant changes one of the two tables, and leaves what the other one says of each row
def _offers_of(row: Row, offered: tuple[Row, ...]) -> tuple[str, ...]:
    advice = Advice(
        topic=row.text("topic"), action=row.text("action"), indicator=row.text("indicator"), row=row, order="", slots={}
    )
    return tuple(offer.id for offer in offered if is_for(offer, advice))


def _reasons_of(row: Row, against: tuple[Row, ...]) -> tuple[str, ...]:
    reasons = override_reasons(against, row.text("topic"), row.text("action"))
    return tuple(f"{AUTHORITIES.get(reason.system or '', '?')} {reason.code}" for reason in reasons)


def _offer(row: Row) -> str:
    coded = f"{row.columns.get('system', '')} {row.columns.get('code', '')}".strip()
    said = (row.text("offers"), "recommended" if row.flag("recommended") else "", coded)
    return ", ".join(part for part in said if part)
