"""Orders beside the drug's: premedication steroid and saline."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhir_mappings.amounts import amount_of, texts_of
from fhir_mappings.chart import Resource
from fhir_mappings.dosage import litres_in, litres_said, minutes_of, route_of
from fhir_mappings.drugs import Medication, known_as, mentions_the_drug
from fhir_mappings.elements import Clinic, reference_of, texts_of_notes
from fhir_mappings.facts import Companion, CompanionKind
from fhir_mappings.medications import dosages_of
from fhir_mappings.planned_day import planned_days
from fhir_mappings.terminology import Concept, normalised, value_set
from fhir_mappings.wording import says


def companions_of(order: Resource, medication: Medication, clinic: Clinic, *, is_draft: bool) -> tuple[Companion, ...]:
    """The steroid or saline that an order is for, one for each planned day; empty if it is neither.

    The drug's own bag is none: the saline that it is diluted in hydrates nobody.
    Units: mg as dexamethasone equivalent, litres, minutes. None where not readable.
    Source: label 2.3 Table 3; equivalents [K].
    """
    known = known_as(medication, value_set("premedication"))
    if known is None:
        return ()
    kind = CompanionKind(known.meaning)
    notes = texts_of_notes(order)
    found: list[Companion] = []
    for dosage, instructions in dosages_of(order):
        if kind is CompanionKind.SALINE and _is_own_bag(order, dosage, medication):
            continue
        amount = amount_of(dosage, notes, medication.names) if kind is CompanionKind.STEROID else None
        litres = _litres(order, dosage, medication, known) if kind is CompanionKind.SALINE else None
        route, _ = route_of(dosage, instructions)
        found += [
            Companion(
                reference=reference_of(order),
                kind=kind,
                in_draft_orders=is_draft,
                name=known.word("name"),
                day=planned.day,
                route=route,
                dexamethasone_mg=None if amount is None or amount.mg is None else _as_dexamethasone(amount.mg, known),
                litres=litres,
                minutes=minutes_of(dosage, instructions, mg=amount.mg if amount else None, litres=litres),
                recorded=_recorded(amount.recorded if amount else "", litres, dosage, medication),
            )
            for planned in planned_days(order, dosage, clinic, is_draft=is_draft)
        ]
    return tuple(found)


def _as_dexamethasone(mg: Decimal, known: Concept) -> Decimal | None:
    equivalent, reference_mg = known.number("equivalent"), known.number("stands-for")
    return None if equivalent is None or reference_mg is None else mg * reference_mg / equivalent


def _litres(order: Resource, dosage: Any, medication: Medication, known: Concept) -> Decimal | None:
    """The volume ordered: the dose, what texts say, the product's name, or the billing code's."""
    in_dose = litres_in(dosage)
    if in_dose is not None:
        return in_dose
    said = litres_said((*texts_of_notes(order), *medication.names))
    return known.number("litres") if said is None else said


def _recorded(amount: str, litres: Decimal | None, dosage: Any, medication: Medication) -> str:
    volume = f"{litres.normalize():f} L" if litres is not None else ""
    return (amount or volume or next(iter(texts_of(dosage)), "") or next(iter(medication.names), ""))[:80]


def _is_own_bag(order: Resource, dosage: Any, medication: Medication) -> bool:
    """Whether this saline is the drug's bag: it names the drug, and itself as what the drug is diluted in."""
    texts = (*medication.names, *texts_of(dosage), *texts_of_notes(order))
    return any(says(normalised(text), "own-bag") and mentions_the_drug(text) for text in texts)
