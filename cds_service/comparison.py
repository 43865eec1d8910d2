"""Which decisions change from one version of the knowledge to another, in a prescriber's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from cds_service import cards, wire
from cds_service.engine.rulebook import Rulebook
from cds_service.situations import Situation

MOST_NAMED: Final = 8
NOTHING: Final = "nothing is said"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is no longer said, and what is said instead, in every one of these situations.

    `is_of_cards`: a card comes, goes, or changes its action or indicator; else only words within cards change.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    situations: tuple[str, ...]
    is_of_cards: bool

    def as_markdown(self) -> str:
        """The change, and where: a long list of situations is cut, and says how many there are."""
        named = [f"- {words}" for words in self.situations[:MOST_NAMED]]
        more = len(self.situations) - MOST_NAMED
        return "\n".join(
            [
                *(f"**before** {said}  " for said in self.before or (NOTHING,)),
                *(f"**after** {said}  " for said in self.after or (NOTHING,)),
                f"in {len(self.situations)} situation{'' if len(self.situations) == 1 else 's'}:",
                *named,
                *([f"- and {more} more"] if more > 0 else []),
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the cards of a situation say, but for their sources; `kinds` are their topics, actions and indicators."""

    kinds: tuple[str, ...]
    sentences: tuple[str, ...]


def said_in(situation: Situation, rulebook: Rulebook) -> Said:
    """The advice of this version in this situation."""
    assessment = rulebook.assess(
        situation.state,
        at=situation.at,
        zone=situation.zone,
        selections=situation.selections,
        details_may_be_missing=situation.details_may_be_missing,
        occasion=situation.occasion,
    )
    return said_by(cards.render(assessment, hook_instance=""))


def said_by(told: Iterable[wire.Card]) -> Said:
    """What these cards say."""
    kinds: list[str] = []
    sentences: dict[str, None] = {}
    for card in told:
        kinds.append(f"{card.indicator} {card.source.topic.display if card.source.topic else ''}")
        sentences[f"{kinds[-1]}: {card.summary}"] = None
        spoken = (card.detail or "").split(cards.SECTION_TITLES["source"])[0]
        sentences |= dict.fromkeys(line.strip("- ").replace("\\", "") for line in spoken.splitlines() if line)
    return Said(kinds=tuple(kinds), sentences=tuple(sentences))


def changes(old: Rulebook, new: Rulebook, situations: Iterable[Situation]) -> tuple[Change, ...]:
    """Every difference over these situations: changed cards first, then by the number of situations.

    Situations that change alike are one change; the days and amounts in the words of the first stand for all.
    """
    found = (
        change_between(situation.words, said_in(situation, old), said_in(situation, new)) for situation in situations
    )
    return grouped(change for change in found if change is not None)


def change_between(words: str, before: Said, after: Said) -> Change | None:
    """What differs between two answers in one situation; None where nothing does."""
    if before == after:
        return None
    return Change(
        before=tuple(said for said in before.sentences if said not in after.sentences),
        after=tuple(said for said in after.sentences if said not in before.sentences),
        situations=(words,),
        is_of_cards=before.kinds != after.kinds,
    )


def grouped(single: Iterable[Change]) -> tuple[Change, ...]:
    """Changes that are alike but for their figures as one: changed cards first, then by the number of situations."""
    groups: dict[tuple[str, ...], list[Change]] = {}
    for change in single:
        groups.setdefault((*_without_figures(change.before), "→", *_without_figures(change.after)), []).append(change)
    found = [
        replace(group[0], situations=tuple(words for one in group for words in one.situations))
        for group in groups.values()
    ]
    return tuple(sorted(found, key=lambda change: (not change.is_of_cards, -len(change.situations))))


def _without_figures(said: Iterable[str]) -> Iterator[str]:
    for sentence in said:
        yield " ".join("…" if any(letter.isdigit() for letter in word) else word for word in sentence.split())
