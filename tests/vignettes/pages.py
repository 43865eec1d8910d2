"""The cards of every vignette, whole, on pages to read: tests/vignettes/cards/v05.md for v05.yaml.

The vignettes say what must be there; the pages show every word that is there, so that a committee can read the cards as
a prescriber does, and no word changes unseen. `python -m tests.vignettes` writes them anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.vignettes.build import FOLDER, Case
from tests.vignettes.compare import Card

PAGES: Final = FOLDER / "cards"
ADVICE: Final = "org.tarlatamab-cds.advice"
NO_CARD: Final = "No card."


def page_of(case: Case) -> Path:
    """Where the cards of this case stand."""
    return PAGES / f"v{int(''.join(filter(str.isdigit, case.id))):02}.md"


def section(case: Case, cards: Iterable[Card]) -> str:
    """One case with its cards, worst first as they came."""
    said = [text for number, card in enumerate(cards, 1) for text in (f"### {case.id}, card {number}", card_text(card))]
    return "\n\n".join([f"## {case.id}: {case.says}", *(said or [NO_CARD])]) + "\n"


def card_text(card: Card) -> str:
    """All that a card carries but its ids."""
    return "\n\n".join([f"**{card['summary']}**", card["detail"], "\n".join(_rest(card))])


def _rest(card: Card) -> Iterator[str]:
    advice, source = card["extension"][ADVICE], card["source"]
    yield f"    {card['indicator']}: {advice['topic']}/{advice['action']}; {source['label']}; {source['topic']['code']}"
    yield f"    rows {' '.join(advice['rows'])}; statements {' '.join(advice.get('statements', ['none']))}"
    yield f"    orders {' '.join(advice.get('orders', ['none']))}; as of {advice['asOf']}"
    for due in advice.get("expected", ()):
        yield "    expected " + ", ".join(f"{name} {value}" for name, value in due.items())
    for offer in card.get("suggestions", ()):
        acts = "; ".join(f"{act['type']} {act['description']}" for act in offer["actions"])
        yield f"    offers{' (recommended)' if offer.get('isRecommended') else ''} {offer['label']}: {acts}"
    for one in advice.get("evidence", ()):
        yield f"    evidence {one['reference']}: {one['shows']}"


def pages(cards_by_case: Iterable[tuple[Case, Iterable[Card]]]) -> dict[Path, str]:
    """Every page with its whole text."""
    found: dict[Path, list[str]] = {}
    for case, cards in cards_by_case:
        found.setdefault(page_of(case), [f"# {case.question}\n"]).append(section(case, cards))
    return {path: "\n".join(sections) for path, sections in found.items()}


def written() -> dict[str, str]:
    """Case id → its section as it stands on its page; empty where there is none."""
    found: dict[str, str] = {}
    for page in sorted(PAGES.glob("v*.md")):
        for part in page.read_text(encoding="utf-8").split("\n## ")[1:]:
            found[part.partition(":")[0]] = f"## {part.rstrip()}\n"
    return found
