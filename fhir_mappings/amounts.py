"""How much of the drug: a Dosage as R4, STU3 and DSTU2 write it, and what its texts say instead.

Product strength is never the dose; it is read only where the order counts vials.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import groupby, pairwise
from typing import Any, Final

from fhir_mappings.elements import all_texts, number, objects, part, words
from fhir_mappings.facts import Amount
from fhir_mappings.quantities import measured, quantity_text, unit_in
from fhir_mappings.terminology import Mention, normalised, units, value_set

MG: Final = "mass"
NO_AMOUNT: Final = Amount(mg=None, doubt="no amount is stated", absent=True)


# --- amounts in texts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Said:
    """An amount in a text, in mg, and why it must be confirmed beyond being only a text."""

    mg: Decimal
    why: str = ""
    recorded: str


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    def spelled(dimension: str) -> str:
        return "|".join(re.escape(u) for u in sorted(units(dimension).spellings, key=len, reverse=True))

    figure, mass, vial = r"\d[\d,]*(?:\.\d+)?", spelled(MG), spelled("vial")
    plain = re.compile(
        rf"(?<![\w.,/-])(?P<low>{figure})(?:\s*(?:-|to)\s*(?P<high>{figure}))?\s*(?P<unit>{mass})(?![a-z])"
        rf"(?!\s*/\s*[a-z])(?!\s*per\b)(?!\s*(?:single-dose\s*)?(?:{vial})(?![a-z]))"
    )
    of_vials = re.compile(
        rf"(?<![\w.,/-])(?P<count>\d+)\s*(?:(?:x|\*)|(?:{vial})\s*(?:of|x|\*)?)\s*(?P<low>{figure})\s*(?P<unit>{mass})(?![a-z])"
        rf"(?!\s*/\s*[a-z])"
    )
    strength = re.compile(rf"(?<![\w.,/-])(?P<low>{figure})\s*(?P<unit>{mass})(?![a-z])(?!\s*/\s*\d*\.?\d*\s*[a-z])")
    return plain, of_vials, strength


def figure_of(text: str) -> Decimal:
    """Decimal commas and thousands: "0,9" is a fraction, "10,000" and "1,000" are thousands."""
    head, comma, tail = text.partition(",")
    if comma and "," not in tail and "." not in tail and not (len(tail) == 3 and head != "0"):
        return Decimal(f"{head}.{tail or 0}")
    return Decimal(text.replace(",", ""))


def as_plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower().replace("–", "-").replace("—", "-").replace("×", "x")


def said_amounts(texts: Iterable[str]) -> tuple[Said, ...]:
    """The amounts of the drug in these texts; those that follow another drug's name are that one's."""
    found: dict[tuple[Decimal, str], Said] = {}
    plain, of_vials, _ = _patterns()
    for text in map(as_plain, texts):
        taken: list[tuple[int, int]] = []
        for match in of_vials.finditer(text):
            taken.append(match.span())
            said = _said(match, Decimal(match["count"]), "it is counted in vials")
            found.setdefault((said.mg, said.why), said)
        for match in _not_of_another(text, plain.finditer(text)):
            if any(start <= match.start() < end for start, end in taken):
                continue
            said = _said(match, Decimal(1), "it is a range" if match["high"] else "")
            found.setdefault((said.mg, said.why), said)
    return tuple(said for said in found.values() if said.mg > 0)


def _said(match: re.Match[str], count: Decimal, why: str) -> Said:
    unit = units(MG).spellings[match["unit"]]
    figure = (match.groupdict().get("high") or match["low"])[:20]
    return Said(mg=unit.converted(figure_of(figure)) * count, why=why, recorded=match.group()[:80])


_MOST_RESTATED: Final = 20
_LONGEST_RESTATED: Final = 4000
"""Each amount is read together with all before it: a text without end would take time without end."""


def restated(text: str, old: Decimal, new: Decimal) -> str | None:
    """The text with the one amount that it states changed from `old` to `new`; as it is where it states none.

    Units: mg. None where that cannot be done with certainty: another amount than `old`, several, a range, vials, a
    strength, another unit than mg, an amount in words, the same figure once more, or a text that is
    longer than anybody reads. Amounts that follow another drug's name are that one's and stay.
    """
    plain, of_vials, _ = _patterns()
    read = as_plain(text)
    masses = len(_mass_unit().findall(read))
    if not masses:
        return text
    if masses > _MOST_RESTATED or len(text) > _LONGEST_RESTATED:
        return None
    found = list(plain.finditer(read))
    own = list(_not_of_another(read, found))
    counted = of_vials.search(read) or re.search(rf"(?<![a-z])(?:{_vial_words()})(?![a-z])", read)
    if len(read) != len(text) or counted or len(found) != masses:
        return None
    if not own:
        return text
    (match, *more) = own
    said = _said(match, Decimal(1), "")
    if more or match["high"] or units(MG).spellings[match["unit"]].converted(Decimal(1)) != 1 or said.mg != old:
        return None
    start, end = match.span("low")
    again = re.compile(rf"(?<![\d.,]){re.escape(match['low'])}(?!\d|[.,]\d)")
    if again.search(read[:start]) or again.search(read[end:]):
        return None
    return f"{text[:start]}{new.normalize():f}{text[end:]}"


@cache
def _mass_unit() -> re.Pattern[str]:
    spelled = "|".join(re.escape(u) for u in sorted(units(MG).spellings, key=len, reverse=True))
    return re.compile(rf"(?<![a-z])(?:{spelled})(?![a-z])")


_CLAUSE_END: Final = re.compile(r"[;,\n]|\.\s")


def _not_of_another(text: str, amounts: Iterable[re.Match[str]]) -> Iterator[re.Match[str]]:
    """The amounts that follow no other drug's name in their clause, or the drug's own name after it.

    Each clause is looked at once, however many amounts it has.
    """
    begins = [0, *(end.end() for end in _CLAUSE_END.finditer(text))]
    for begin, found in groupby(amounts, key=lambda match: begins[bisect_right(begins, match.start()) - 1]):
        in_clause = list(found)
        for match, of_another in zip(in_clause, _of_another(text, begin, in_clause), strict=True):
            if not of_another:
                yield match


def _of_another(text: str, begin: int, amounts: list[re.Match[str]]) -> Iterator[bool]:
    """Whether each of these amounts of one clause is another drug's."""
    pieces = [normalised(text[start:stop]) for start, stop in pairwise((begin, *(m.start() for m in amounts)))]
    clause, places = "", []
    for piece in pieces:
        clause = f"{clause} {piece}".strip()
        places.append(len(clause))
    own = value_set("drug", "drug").mentions(clause)
    others = [value_set(name, *kinds).mentions(clause) for name, kinds in _NAMED.items()]
    for place in places:
        yield max(_last_end(mentions, place) for mentions in others) > _last_end(own, place)


def _last_end(mentions: tuple[Mention, ...], place: int) -> int:
    """Where the last of these mentions ends that does not reach beyond this place; 0 without one."""
    found = bisect_right(mentions, place, key=lambda mention: mention.end)
    return mentions[found - 1].end if found else 0


_NAMED: Final[Mapping[str, tuple[str, ...]]] = {"premedication": ("steroid",), "other-drugs": ()}


# --- amounts ----------------------------------------------------------------------------------------------------------


def texts_of(dosage: Any) -> tuple[str, ...]:
    """The sentences of a dosage: its text, its instructions and what its timing says."""
    if isinstance(dosage, str):
        return (words(dosage),) if words(dosage) else ()
    found = [words(part(dosage, "text")), words(part(dosage, "patientInstruction"))]
    found += [text for entry in objects(part(dosage, "additionalInstruction")) for text in all_texts(entry)]
    found += [text for entry in objects(part(dosage, "additionalInstructions")) for text in all_texts(entry)]
    return tuple(text for text in found if text)


def amount_of(dosage: Any, notes: Iterable[str], medication_names: Iterable[str], dispensed: Any = None) -> Amount:
    """The amount of one dosage in mg, with what makes it doubtful.

    `notes` speak where the dosage's own texts name no amount; `dispensed` is the quantity to dispense, which counts
    only as vials. The larger of two amounts that contradict each other is taken.
    Source: clinical rules, Given doses 8.
    """
    names = tuple(medication_names)
    structured = _structured(dosage, names)
    said = said_amounts(texts_of(dosage))
    if structured is None:
        return _only_said(said or said_amounts(notes)) or _vials(dispensed, names) or NO_AMOUNT
    if structured.mg is None:
        return _instead(structured, _only_said(said or said_amounts(notes)))
    if said and structured.mg not in {found.mg for found in said}:
        largest = max((found.mg for found in said), default=structured.mg)
        return Amount(
            mg=max(structured.mg, largest),
            doubt="the quantity and the text contradict each other",
            recorded=f"{structured.recorded}; {said[0].recorded}",
        )
    return structured


def _instead(unusable: Amount, said: Amount | None) -> Amount:
    if said is None:
        return unusable
    return Amount(
        mg=said.mg,
        doubt=f"{unusable.doubt}; {said.doubt}",
        recorded=f"{unusable.recorded}; {said.recorded}".strip("; "),
    )


def _only_said(said: tuple[Said, ...]) -> Amount | None:
    if not said:
        return None
    recorded = ", ".join(found.recorded for found in said)
    if len({found.mg for found in said}) > 1:
        return Amount(mg=None, doubt="it is found only in text, and the text names several amounts", recorded=recorded)
    why = next((found.why for found in said if found.why), "")
    return Amount(mg=said[0].mg, doubt="it is found only in text" + (f", and {why}" if why else ""), recorded=recorded)


def _structured(dosage: Any, names: tuple[str, ...]) -> Amount | None:
    """The amount in the dosage's own elements; None if it has none there."""
    found = [
        amount
        for holder in (*rated(dosage), dosage)
        for amount in (_quantity(holder, "doseQuantity", names), _range(part(holder, "doseRange")))
        if amount is not None
    ]
    if not found:
        return Amount(mg=None, doubt="it could not be read") if _is_junk(dosage) else None
    known = {amount.mg for amount in found if amount.mg is not None}
    if len(known) > 1:
        recorded = ", ".join(amount.recorded for amount in found)
        return Amount(
            mg=max(known), doubt="the dosage states two amounts that contradict each other", recorded=recorded
        )
    return next((amount for amount in found if amount.mg is not None and not amount.doubt), found[0])


def rated(dosage: Any) -> tuple[Mapping[str, Any], ...]:
    return objects(part(dosage, "doseAndRate"))


def _is_junk(dosage: Any) -> bool:
    """Whether doseAndRate is there and is no object with anything known in it."""
    rated = part(dosage, "doseAndRate")
    return rated is not None and rated != [] and not objects(rated)


def _quantity(holder: Any, name: str, names: tuple[str, ...]) -> Amount | None:
    quantity = part(holder, name)
    if quantity is None:
        return None
    return quantity_amount(quantity, names)


def quantity_amount(quantity: Any, names: tuple[str, ...]) -> Amount:
    """A dose Quantity in mg: by its unit, as vials of a stated strength, or why not."""
    if isinstance(quantity, str):
        said = _only_said(said_amounts((quantity,)))
        return said or Amount(mg=None, doubt="it could not be read", recorded=words(quantity)[:80])
    found = measured(quantity, MG)
    if found.value is not None:
        if found.value <= 0:
            return Amount(mg=None, doubt="it is not above zero", recorded=found.recorded)
        doubt = "it is only a bound" if found.comparator else ""
        return Amount(mg=found.value, doubt=doubt, recorded=found.recorded)
    vials = _vials(quantity, names)
    if vials is not None:
        return vials
    return Amount(mg=None, doubt=_why_no_mass(quantity, found.refused), recorded=found.recorded)


def _why_no_mass(quantity: Any, refused: str) -> str:
    if number(part(quantity, "value")) is None:
        return refused
    if not isinstance(unit_in("volume", quantity), str):
        return "it is a volume, not an amount of drug"
    if not isinstance(unit_in("piece", quantity), str):
        return "it counts pieces, not an amount of drug"
    return refused


def _vials(quantity: Any, names: tuple[str, ...]) -> Amount | None:
    """Vials times their strength, from the unit's own text or the product's name; always to be confirmed."""
    count, unit = number(part(quantity, "value")), as_plain(words(part(quantity, "unit")))
    named = re.search(rf"(?<![a-z])(?:{_vial_words()})(?![a-z])", unit) is not None
    if count is None or not (named or not isinstance(unit_in("vial", quantity), str)):
        return None
    recorded = quantity_text(quantity)
    strengths = {
        _said(m, Decimal(1), "").mg for text in (unit, *map(as_plain, names)) for m in _patterns()[2].finditer(text)
    }
    if len(strengths) != 1 or count <= 0:
        return Amount(mg=None, doubt="it is counted in vials of unknown strength", recorded=recorded)
    return Amount(mg=count * strengths.pop(), doubt="it is counted in vials", recorded=recorded)


@cache
def _vial_words() -> str:
    return "|".join(re.escape(word) for word in sorted(units("vial").spellings, key=len, reverse=True))


def _range(value: Any) -> Amount | None:
    if value is None:
        return None
    ends = [measured(part(value, name), MG) for name in ("low", "high") if part(value, name) is not None]
    recorded = " to ".join(end.recorded for end in ends)
    known = {end.value for end in ends if end.value is not None and end.value > 0}
    if not known:
        return Amount(mg=None, doubt="it is a range that could not be read", recorded=recorded)
    if len(ends) == 2 and len(known) == 1 and ends[0].value == ends[1].value:
        return Amount(mg=ends[0].value, recorded=recorded)
    return Amount(mg=max(known), doubt="it is a range", recorded=recorded)
