"""Advice → cards: the words of the rows with their slots filled, one card per topic, action and indicator.

Text that comes from the record is escaped: a card never carries raw HTML or Markdown that a record put there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from cds_service import dialects, wire
from cds_service.clients import ANY_PROFILE, Profile
from cds_service.engine.advice import Advice, Assessment, Because
from cds_service.engine.words import NOT_KNOWN
from cds_service.knowledge.regimen import Origin, Regimen, Row, Sources
from cds_service.suggestions import NO_ORDERS, Orders, offers

ROW_SYSTEM: Final = "https://tarlatamab-cds.example.org/CodeSystem/row"
LONGEST_FACT: Final = 300
SIMPLE: Final = re.compile(r"[^\W_]+(?:[ –-][^\W_]+)*")
"""Words, amounts and days with nothing in them that could be markup, a link or a line break: most slots."""
LINK: Final = re.compile(r"(?i)\b(https?|ftp|mailto|www)(?=[:.])")
SEPARATORS: Final = frozenset({"Cc", "Zl", "Zp"})
UNSEEN: Final = frozenset({"Cf", "Co", "Cn", "Cs"})
APP_LABEL: Final = "Treatment timeline and current advice"
UNREVIEWED: Final = "Not yet clinically reviewed."
_Item = TypeVar("_Item", bound=Hashable)
SECTION_TITLES: Final = {"why": "**Why**", "source": "**Source**"}


def render(
    assessment: Assessment,
    *,
    hook_instance: str,
    orders: Orders = NO_ORDERS,
    profile: Profile = ANY_PROFILE,
    app_url: str | None = None,
) -> tuple[wire.Card, ...]:
    """The cards of an assessment, worst first; the same call gives the same bytes.

    `orders` are the drafts as received, without which nothing is offered; `profile` is what the client understands.
    `app_url`: where the SMART app is launched, if it is registered for the FHIR server of the call.
    Source: contract sections 2 and 4; CDS Hooks C57, C61, C64, C65, C68–C82.
    """
    groups: dict[tuple[str, str, str], list[Advice]] = {}
    for advice in assessment.advice:
        groups.setdefault((advice.topic, advice.action, advice.indicator), []).append(advice)
    told = (_card(group, assessment, hook_instance, orders, profile) for group in groups.values())
    return tuple(dialects.card(card if app_url is None else with_app(card, app_url), profile) for card in told)


def with_app(card: wire.Card, url: str) -> wire.Card:
    """The card with a link to the SMART app (C80, C81, C82), which is told the card's leading row and nothing else."""
    row = card.source.topic.code if card.source.topic else ""
    link = wire.Link(label=APP_LABEL, url=url, type="smart", app_context=f'{{"row":"{row}"}}')
    return card.model_copy(update={"links": (*card.links, link)})


def _card(
    group: Sequence[Advice], assessment: Assessment, hook_instance: str, orders: Orders, profile: Profile
) -> wire.Card:
    lead, regimen = group[0], assessment.regimen
    rows = _unique(row for advice in group for row in (advice.row, *advice.rows))
    uuid = _uuid(hook_instance, group)
    offered = offers(group, assessment, orders, _plainly)
    return wire.Card(
        uuid=str(uuid),
        summary=shortened(_summary(group)),
        detail=_detail(group, rows, regimen),
        indicator=lead.indicator,
        source=wire.Source(
            label=_source_label(lead.row, regimen),
            url=regimen.label_url,
            topic=wire.Topic(system=ROW_SYSTEM, code=lead.row.id, display=f"{lead.topic}: {lead.action}"),
        ),
        suggestions=dialects.suggestions(offered, profile, uuid),
        selection_behavior=dialects.behavior(offered, profile) if offered else None,
        override_reasons=override_reasons(regimen.table("override_reasons").rows, lead.topic, lead.action),
        extension=wire.CardExtension(advice=_extension(group, rows, assessment)),
    )


@lru_cache(maxsize=128)
def override_reasons(rows: tuple[Row, ...], topic: str, action: str) -> tuple[wire.OverrideReason, ...]:
    """Why a clinician may not follow a card of this kind, in the order of the table (C79)."""
    return tuple(
        wire.OverrideReason(code=row.text("code"), system=row.text("system"), display=row.say["label"])
        for row in rows
        if topic in row.texts("topics") and action in row.texts("actions")
    )


def _plainly(sentence: str, slots: Mapping[str, str]) -> str:
    return filled(sentence, slots, markdown=False)


def _uuid(hook_instance: str, group: Sequence[Advice]) -> UUID:
    """The same for the same call, row and orders, so that feedback finds its card after a retry (C57)."""
    lead = group[0]
    orders = ",".join(_unique(advice.order for advice in group))
    return uuid5(NAMESPACE_URL, "|".join((hook_instance, lead.topic, lead.action, lead.indicator, lead.row.id, orders)))


def _unique(items: Iterable[_Item]) -> tuple[_Item, ...]:
    return tuple(dict.fromkeys(items))


# --- words -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Slots:
    """Slots of a sentence, made clean as they are used; one that nobody filled says that it is not known."""

    slots: Mapping[str, str]
    clean: Callable[[str], str]

    def __getitem__(self, name: str) -> str:
        return self.clean(self.slots[name]) if name in self.slots else NOT_KNOWN


def filled(sentence: str, slots: Mapping[str, str], *, markdown: bool) -> str:
    """The sentence with its slots; values are escaped for Markdown, or made plain for a summary."""
    return " ".join(sentence.format_map(_Slots(slots, escaped if markdown else plain)).split())


def visible(text: str) -> str:
    """One line of what a reader sees: no control characters, none that turn or hide text (bidi, zero width)."""
    if not text.isprintable():
        kinds = ((letter, unicodedata.category(letter)) for letter in text)
        text = "".join(" " if kind in SEPARATORS else letter for letter, kind in kinds if kind not in UNSEEN)
    return " ".join(text.split())


def plain(text: str) -> str:
    """One line without control characters, angle brackets and links, for places that hold plain text."""
    if SIMPLE.fullmatch(text):
        return text
    line = " ".join(re.sub(r"[<>]", " ", visible(text)).split())
    return LINK.sub(r"\1 ", line).replace("](", "] (")


def escaped(text: str) -> str:
    """Text of the record as literal GitHub Markdown: no markup, no HTML, no links, on one line, bounded."""
    if len(text) <= LONGEST_FACT and SIMPLE.fullmatch(text):
        return text
    line = visible(text)
    if len(line) > LONGEST_FACT:
        line = line[: LONGEST_FACT - 1].rstrip() + "…"
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_\[\]|~#!$])", r"\\\1", line)
    return LINK.sub(r"\1&#8203;", line).replace("@", "&#64;")


def shortened(summary: str) -> str:
    """A summary of fewer than 140 characters, cut at a word."""
    if len(summary) <= wire.SUMMARY_LENGTH:
        return summary
    return summary[: wire.SUMMARY_LENGTH - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def _one_summary(advice: Advice) -> str:
    return filled(advice.row.say[advice.sentence], advice.slots, markdown=False)


def _summary(group: Sequence[Advice]) -> str:
    """The one summary that all share; the row's sentence for many; else the first, and how many more."""
    summaries = _unique(_one_summary(advice) for advice in group)
    lead = group[0]
    if len(summaries) == 1:
        return summaries[0]
    if "many" in lead.row.say and all(advice.sentence == "summary" for advice in group):
        doses = _unique(filled(advice.row.say["many"], advice.slots, markdown=False) for advice in group)
        return "; ".join(doses) + "."
    more = f" (+{len(summaries) - 1} more: see detail)"
    room = wire.SUMMARY_LENGTH - len(more)
    first = summaries[0] if len(summaries[0]) <= room else summaries[0][: room - 1].rsplit(" ", 1)[0] + "…"
    return first + more


def _detail(group: Sequence[Advice], rows: Sequence[Row], regimen: Regimen) -> str:
    parts: list[str] = []
    summaries = _unique(filled(a.row.say[a.sentence], a.slots, markdown=True) for a in group)
    if len(summaries) > 1:
        parts.append(_bullets(summaries))
    sentences = _unique(filled(s, a.slots, markdown=True) for a in group for s in a.row.detail)
    parts += [sentence for sentence in sentences if sentence]
    lines = _unique(filled(line.row.say[line.sentence], line.slots, markdown=True) for a in group for line in a.lines)
    parts.append(_bullets(lines))
    because = _unique(b for advice in group for b in advice.because)
    if because:
        parts.append(f"{SECTION_TITLES['why']}\n{_bullets(_fact(b) for b in because)}")
    parts.append(f"{SECTION_TITLES['source']}\n{citation(rows, regimen)}")
    return "\n\n".join(part for part in parts if part)


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items if item)


def _fact(because: Because) -> str:
    return f"{escaped(because.shows)} ({escaped(because.reference)})" if because.reference else escaped(because.shows)


def citation(rows: Sequence[Row], regimen: Regimen) -> str:
    """The sources of a card in one paragraph, and how far its rows are reviewed.

    `Imdelltra US PI 2025-11, Table 4; seed S3; D-19. Row R2. Not yet clinically reviewed.`
    """
    return _citation(tuple(rows), tuple(row for row in rows if is_of_the_label(row, regimen)), regimen.label)


@lru_cache(maxsize=512)
def _citation(rows: tuple[Row, ...], of_the_label: tuple[Row, ...], label: str) -> str:
    said: list[str] = []
    labels = _unique(topic for row in of_the_label for topic in row.cite.label.split(", "))
    if labels:
        said.append(f"{label}, {', '.join(labels)}")
    if any(row.origin is Origin.LOCAL for row in rows):
        said.append("local rule")
    statements = sorted(_unique(statement for row in rows for statement in row.cite.statements), key=_by_number)
    if statements:
        said.append(f"seed {', '.join(statements)}")
    differences = sorted(_unique(difference for row in rows for difference in row.cite.differences), key=_by_number)
    if differences:
        said.append(", ".join(differences))
    if rows[0].cite.why:
        said.append(rows[0].cite.why)
    named = f"Row{'' if len(rows) == 1 else 's'} {', '.join(row.id for row in rows)}."
    return f"{escaped('; '.join(said))}. {named} {_review(rows)}"


def _by_number(name: str) -> int:
    """`S11` after `S3`."""
    return int(re.sub(r"\D", "", name) or 0)


def _review(rows: Sequence[Row]) -> str:
    if any(row.reviewed is None for row in rows):
        return UNREVIEWED
    return (
        "Reviewed by " + ", ".join(_unique(f"{r.reviewed.who} ({r.reviewed.when})" for r in rows if r.reviewed)) + "."
    )


def is_of_the_label(row: Row, regimen: Regimen) -> bool:
    """Whether the label says it: a local or seed row names the label only to compare."""
    says = row.origin in {Origin.LABEL, Origin.BOTH} and regimen.sources is Sources.SEED_AND_LABEL
    return says and bool(row.cite.label)


def _source_label(row: Row, regimen: Regimen) -> str:
    if is_of_the_label(row, regimen):
        return f"{regimen.label}, {row.cite.label}"
    if row.cite.statements and row.origin is not Origin.LOCAL:
        return f"Commissioning text, {', '.join(row.cite.statements)}"
    return "Local rule of this service"


# --- for programs ----------------------------------------------------------------------------------------------


def _extension(group: Sequence[Advice], rows: Sequence[Row], assessment: Assessment) -> wire.Advice:
    lead = group[0]
    expected = _unique(advice.expected for advice in group if advice.expected is not None)
    because = _unique(b for advice in group for b in advice.because if b.reference)
    return wire.Advice(
        topic=lead.topic,
        action=lead.action,
        rows=tuple(row.id for row in rows),
        statements=_unique(statement for row in rows for statement in row.cite.statements),
        orders=_unique(plain(advice.order) for advice in group if advice.order),
        expected=tuple(
            wire.Expected(order=plain(e.order) or None, dose=str(e.dose), position=e.position, due_on=e.due_on)
            for e in expected
        ),
        evidence=tuple(wire.Evidence(reference=plain(b.reference), shows=plain(b.shows)) for b in because),
        as_of=assessment.as_of,
        knowledge=assessment.regimen.version,
    )
