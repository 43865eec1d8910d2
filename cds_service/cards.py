"""Advice → cards: the words of the rows with their slots filled, one card per topic, action and indicator.

Text that comes from the record is escaped: a card never carries raw HTML or Markdown that a record put there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from cds_service import wire
from cds_service.engine.advice import Advice, Assessment, Because
from cds_service.engine.words import NOT_KNOWN
from cds_service.knowledge.regimen import Origin, Regimen, Row, Sources

ROW_SYSTEM: Final = "https://tarlatamab-cds.example.org/CodeSystem/row"
LONGEST_FACT: Final = 300
LINK: Final = re.compile(r"(?i)\b(https?|ftp|mailto|www)(?=[:.])")
SEPARATORS: Final = frozenset({"Cc", "Zl", "Zp"})
UNSEEN: Final = frozenset({"Cf", "Co", "Cn", "Cs"})
UNREVIEWED: Final = "Not yet clinically reviewed."
_Item = TypeVar("_Item", bound=Hashable)
SECTION_TITLES: Final = {"why": "**Why**", "source": "**Source**"}


def render(assessment: Assessment, *, hook_instance: str) -> tuple[wire.Card, ...]:
    """The cards of an assessment, worst first; the same call gives the same bytes.

    Source: contract section 4; CDS Hooks C57, C61, C64, C65, C68.
    """
    groups: dict[tuple[str, str, str], list[Advice]] = {}
    for advice in assessment.advice:
        groups.setdefault((advice.topic, advice.action, advice.indicator), []).append(advice)
    return tuple(_card(group, assessment, hook_instance) for group in groups.values())


def _card(group: Sequence[Advice], assessment: Assessment, hook_instance: str) -> wire.Card:
    lead, regimen = group[0], assessment.regimen
    rows = _unique(row for advice in group for row in (advice.row, *advice.rows))
    return wire.Card(
        uuid=str(_uuid(hook_instance, group)),
        summary=shortened(_summary(group)),
        detail=_detail(group, rows, regimen),
        indicator=lead.indicator,
        source=wire.Source(
            label=_source_label(lead.row, regimen),
            url=regimen.label_url,
            topic=wire.Topic(system=ROW_SYSTEM, code=lead.row.id, display=f"{lead.topic}: {lead.action}"),
        ),
        extension=wire.CardExtension(advice=_extension(group, rows, assessment)),
    )


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
    line = " ".join(re.sub(r"[<>]", " ", visible(text)).split())
    return LINK.sub(r"\1 ", line).replace("](", "] (")


def escaped(text: str) -> str:
    """Text of the record as literal GitHub Markdown: no markup, no HTML, no links, on one line, bounded."""
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
    said: list[str] = []
    labels = _unique(row.cite.label for row in rows if _is_of_the_label(row, regimen))
    if labels:
        said.append(f"{regimen.label}, {', '.join(labels)}")
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


def _is_of_the_label(row: Row, regimen: Regimen) -> bool:
    """Whether the label says it: a local or seed row names the label only to compare."""
    says = row.origin in {Origin.LABEL, Origin.BOTH} and regimen.sources is Sources.SEED_AND_LABEL
    return says and bool(row.cite.label)


def _source_label(row: Row, regimen: Regimen) -> str:
    if _is_of_the_label(row, regimen):
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
