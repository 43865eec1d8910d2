"""How a client is told: cards, suggestions and system actions in the version and the habits of its profile.

What is said does not depend on the client; this module leaves out what its version does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Final, Literal
from uuid import UUID, uuid5

from cds_service import wire
from cds_service.clients import Profile
from cds_service.suggestions import Act, Offer

Behavior = Literal["any", "at-most-one"]
FIRST_VERSION: Final = "1.0"
"""It has no uuid of a card, no topic, override reasons, recommendation or system actions, and `at-most-one` alone."""


def suggestions(offers: Sequence[Offer], profile: Profile, card: UUID) -> tuple[wire.Suggestion, ...]:
    """The offers of one card as suggestions; their uuids follow from the card's, so that a retry gives the same (C57).

    Where one of them can be chosen, one is recommended: the first (C70).
    """
    single = behavior(offers, profile) == "at-most-one"
    told: list[wire.Suggestion] = []
    for place, label, recommended, acts, about in _split(offers, profile):
        taken = any(one.is_recommended for one in told)
        told.append(
            wire.Suggestion(
                label=label,
                uuid=str(uuid5(card, f"{about}|{place}")),
                is_recommended=_recommended(recommended and not (single and taken), profile),
                actions=tuple(action(act, profile) for act in acts),
            )
        )
    return tuple(told)


def _recommended(is_recommended: bool, profile: Profile) -> bool | None:
    return None if profile.spec_version == FIRST_VERSION or not is_recommended else True


def _split(offers: Sequence[Offer], profile: Profile) -> Iterator[tuple[int, str, bool, tuple[Act, ...], str]]:
    """Each offer, or each of its acts for a client that takes one at a time: then each has its own label."""
    for offer in offers:
        if profile.actions_per_suggestion == "many":
            yield 0, offer.label, offer.recommended, offer.acts, offer.about
            continue
        for place, label, act in zip(count(), offer.labels, offer.acts, strict=False):
            yield place, label, offer.recommended, (act,), offer.about


def behavior(offers: Sequence[Offer], profile: Profile) -> Behavior:
    """How many suggestions can be chosen: one, where they are alternatives for one order and the client knows both."""
    if profile.spec_version == FIRST_VERSION:
        return "at-most-one"
    if profile.selection_behavior != "both":
        return profile.selection_behavior
    touched = [act.target for offer in offers for act in offer.acts if act.target]
    return "any" if len(set(touched)) == len(touched) else "at-most-one"


def action(act: Act, profile: Profile) -> wire.Action:
    """One action; versions before 2.0 name what to delete under `resource` (C77)."""
    if act.kind != "delete":
        return wire.Action(type=act.kind, description=act.does, resource=dict(act.resource or {}))
    named = "resource" if profile.spec_version in {"1.0", "1.1"} else "resource_id"
    return wire.Action.model_validate({"type": "delete", "description": act.does, named: act.target})


def card(told: wire.Card, profile: Profile) -> wire.Card:
    """The card without what the client's version does not know (C65, C68, C79)."""
    if profile.spec_version != FIRST_VERSION:
        return told
    source = told.source.model_copy(update={"topic": None})
    return told.model_copy(update={"uuid": None, "source": source, "override_reasons": ()})


def response(cards: tuple[wire.Card, ...], marks: Iterable[Act], profile: Profile) -> wire.CdsResponse:
    """The answer; with system actions only for a client that takes them (C84)."""
    if profile.system_actions == "off":
        return wire.CdsResponse(cards=cards)
    acts = tuple(action(mark, profile) for mark in marks)
    mirrored = wire.ResponseExtension(system_actions=acts) if acts and profile.system_actions == "mirror" else None
    top = () if profile.spec_version == FIRST_VERSION else acts
    return wire.CdsResponse(cards=cards, system_actions=top, extension=mirrored)
