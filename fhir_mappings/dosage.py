"""By which route, over how long, in which volume: the rest of a Dosage."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from typing import Any

from fhir_mappings.amounts import as_plain, figure_of, rated, texts_of
from fhir_mappings.elements import all_texts, codings, number, part
from fhir_mappings.facts import NotRecorded, NotRecordedType, Route, Unknown
from fhir_mappings.quantities import measured
from fhir_mappings.terminology import UCUM, normalised, units, value_set
from fhir_mappings.wording import alternatives

# --- route ------------------------------------------------------------------------------------------------------------


def route_of(dosage: Any, instructions: tuple[str, ...] = ()) -> tuple[Route, str]:
    """The route and how it is recorded: by code, by its own words or code, else as the dosage's texts name it."""
    value, known = part(dosage, "route"), value_set("routes")
    found = {
        concept.meaning
        for coding in codings(value)
        if (concept := known.coded(coding.system, coding.code) or known.exactly(normalised(coding.code))) is not None
    }
    texts = all_texts(value)
    shown = next((text for text in (*texts, *(coding.code for coding in codings(value))) if text), "")
    found |= {mention.concept.meaning for text in texts for mention in known.mentions(normalised(text))}
    if not shown:
        return _route_in_text((*texts_of(dosage), *instructions))
    return (Route.INTRAVENOUS if found == {"intravenous"} else Route.OTHER), shown[:80]


def _route_in_text(texts: Iterable[str]) -> tuple[Route, str]:
    known = value_set("routes")
    mentions = [
        (m.concept.meaning, text[m.start : m.end]) for text in map(normalised, texts) for m in known.mentions(text)
    ]
    kinds = {kind for kind, _ in mentions}
    if len(kinds) != 1:
        return Route.NOT_GIVEN, ""
    return (Route.INTRAVENOUS if kinds == {"intravenous"} else Route.OTHER), mentions[0][1]


# --- duration ---------------------------------------------------------------------------------------------------------


def minutes_of(
    dosage: Any, instructions: tuple[str, ...] = (), *, mg: Decimal | None = None, litres: Decimal | None = None
) -> Decimal | NotRecordedType | Unknown:
    """The duration of one infusion, in minutes: stated, computed from the rate, or said in text.

    `litres` is the volume that a rate of volume runs, `mg` the amount that a rate of mass runs.
    Unknown: stated and unreadable, a rate without its volume, or two statements that contradict each other.
    """
    stated, said = _stated_minutes(dosage, mg, litres), _said_minutes((*texts_of(dosage), *instructions))
    if stated is None:
        return said
    if isinstance(stated, Decimal) and isinstance(said, Decimal) and said != stated:
        return Unknown(what="dosage", why="the stated duration and the text contradict each other")
    if isinstance(stated, Unknown) and isinstance(said, Decimal):
        return said
    return stated


def _stated_minutes(dosage: Any, mg: Decimal | None, litres: Decimal | None) -> Decimal | Unknown | None:
    repeat = part(dosage, "timing", "repeat")
    if part(repeat, "duration") is not None:
        unit = part(repeat, "durationUnit") or part(repeat, "durationUnits")
        found = measured({"value": part(repeat, "duration"), "code": unit, "system": UCUM}, "time")
        return found.value if found.value is not None else Unknown(what="dosage", why=f"the duration: {found.refused}")
    rates = [_rate_minutes(holder, mg, litres) for holder in (*rated(dosage), dosage)]
    return next((found for found in rates if found is not None), None)


def _rate_minutes(holder: Any, mg: Decimal | None, litres: Decimal | None) -> Decimal | Unknown | None:
    """The duration from rateQuantity or rateRatio; rateRange is none."""
    quantity, ratio = part(holder, "rateQuantity"), part(holder, "rateRatio")
    by_volume, by_mass = _per_minute(quantity, ratio, "volume"), _per_minute(quantity, ratio, "mass")
    if by_volume and litres is not None:
        return _tidy(litres / by_volume)
    if by_mass and mg is not None:
        return _tidy(mg / by_mass)
    if quantity is not None or ratio is not None or part(holder, "rateRange") is not None:
        return Unknown(what="dosage", why="the rate does not say how long the infusion takes")
    return None


def _per_minute(quantity: Any, ratio: Any, dimension: str) -> Decimal | None:
    if quantity is not None:
        value = measured(quantity, f"{dimension}-rate").value
        return value if value is not None and value > 0 else None
    over = measured(part(ratio, "denominator"), "time").value
    amount = measured(part(ratio, "numerator"), dimension).value
    if over is None or amount is None or over <= 0 or amount <= 0:
        return None
    return amount / over


def _tidy(minutes: Decimal) -> Decimal:
    """A quotient without the dust of division: whole seconds."""
    return minutes.quantize(Decimal("0.01")).normalize() + 0


@cache
def _duration_pattern() -> re.Pattern[str]:
    unit = "|".join(re.escape(u) for u in sorted(units("time").spellings, key=len, reverse=True))
    over, one = alternatives(value_set("wording", "duration")), alternatives(value_set("wording", "one"))
    return re.compile(
        rf"\b(?:{over})\s+(?:about\s+|approximately\s+)?(?P<low>\d{{1,4}}(?:\.\d+)?|{one})"
        rf"(?:\s*(?:-|to)\s*(?P<high>\d{{1,4}}(?:\.\d+)?))?\s*-?\s*(?P<unit>{unit})(?![a-z])"
    )


def _said_minutes(texts: Iterable[str]) -> Decimal | NotRecordedType | Unknown:
    found: set[Decimal] = set()
    for text in map(as_plain, texts):
        for match in _duration_pattern().finditer(text):
            ends = [match["low"], match["high"] or match["low"]]
            unit = units("time").spellings[match["unit"]]
            found |= {unit.converted(number(end) or Decimal(1)) for end in ends}
    if len(found) > 1:
        return Unknown(what="dosage", why="the text names more than one duration")
    return next(iter(found)) if found else NotRecorded


def litres_in(dosage: Any) -> Decimal | None:
    """The volume of the bag: the dose where it is a volume, else the one volume that the text names."""
    for holder in (*rated(dosage), dosage):
        value = measured(part(holder, "doseQuantity"), "volume").value
        if value is not None and value > 0:
            return value
    return litres_said(texts_of(dosage))


def litres_said(texts: Iterable[str]) -> Decimal | None:
    """The one volume that the texts name; rates are none."""
    unit = "|".join(re.escape(u) for u in sorted(units("volume").spellings, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w.,/])(?P<figure>\d[\d,]*(?:\.\d+)?)\s*(?P<unit>{unit})(?![a-z])(?!\s*/)(?!\s*per\b)")
    found = {
        units("volume").spellings[match["unit"]].converted(figure_of(match["figure"][:20]))
        for text in texts
        for match in pattern.finditer(as_plain(text))
    }
    return found.pop() if len(found) == 1 else None
