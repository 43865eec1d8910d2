"""MedicationRequest and MedicationOrder → ordered doses of the drug."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_mappings.amounts import amount_of, texts_of
from fhir_mappings.chart import Resource
from fhir_mappings.dates import first_when
from fhir_mappings.dosage import litres_in, minutes_of, route_of
from fhir_mappings.drugs import Medication, Recognition, is_claim, kind_of, medication_of
from fhir_mappings.elements import (
    Clinic,
    all_texts,
    code_of,
    coded,
    concepts,
    identifiers,
    items,
    number,
    objects,
    part,
    reference,
    reference_of,
    texts_of_notes,
    unreadable,
    words,
)
from fhir_mappings.facts import Amount, OrderedDose
from fhir_mappings.planned_day import Planned, planned_days
from fhir_mappings.terminology import value_set
from fhir_mappings.versions import DOSAGES, REASONS, WRITTEN
from fhir_mappings.wording import affirmed

__all__ = [
    "MOST_DOSES",
    "Recognition",
    "dosages_of",
    "medication_reference",
    "ordered_doses",
    "positions_in",
    "recognise",
]

_STATUSES: Final = frozenset(
    {"active", "on-hold", "ended", "stopped", "completed", "cancelled", "entered-in-error", "draft", "unknown"}
)
_NOT_ENDED: Final = frozenset({"active", "completed", "draft", "entered-in-error"})
MOST_DOSES: Final = 100  # of one order, a safeguard: each is assessed against all before it


def recognise(resource: Resource, medications: Mapping[str, Resource]) -> Recognition:
    """Whether a MedicationRequest, MedicationOrder or MedicationAdministration is for the drug.

    UNREADABLE: a medication is stated but neither its code nor a name says which.
    Source: clinical rules, Given doses 7.
    """
    return kind_of(medication_of(resource, medications))


def medication_reference(resource: Resource) -> str | None:
    """The `Medication/id` to fetch to know the medication; None where it is inline, contained or not named so."""
    if objects(resource.get("medicationCodeableConcept")):
        return None
    for name in ("medicationReference", "medication"):
        value = resource.get(name)
        pointer = reference(value) or reference(part(value, "reference"))
        if pointer.startswith("Medication/"):
            return pointer
    return None


def ordered_doses(
    order: Resource, medication: Medication, clinic: Clinic, *, entry: int = -1
) -> tuple[OrderedDose, ...]:
    """The doses of one order of the drug: each dosage by `sequence`, each of its event times.

    `entry` is the place in draftOrders; -1 for an order of the record. Of an order with too many doses one more is
    given than are read, with no amount but the reason.
    Source: clinical rules, Days 2, Given doses 8, Several drafts.
    """
    notes = texts_of_notes(order)
    doses: list[OrderedDose] = []
    dosages = dosages_of(order)
    common = _common(order, medication, clinic, entry)
    for dosage, instructions in dosages:
        amount = amount_of(dosage, notes, medication.names, part(order, "dispenseRequest", "quantity"))
        litres = litres_in(dosage)
        minutes = minutes_of(dosage, instructions, mg=amount.mg, litres=_bag_litres() if litres is None else litres)
        route, route_recorded = route_of(dosage, instructions)
        position = _position((*texts_of(dosage), *instructions)) or _position_of_order(order, medication, len(dosages))
        for planned in planned_days(order, dosage, clinic, is_draft=entry >= 0):
            if len(doses) == MOST_DOSES:
                return (*doses, _beyond(order, planned, common, is_draft=entry >= 0))
            doses.append(
                OrderedDose(
                    part=len(doses),
                    day=planned.day,
                    day_note=planned.note,
                    amount=amount,
                    route=route,
                    route_recorded=route_recorded,
                    minutes=minutes,
                    position_named=position,
                    **common,
                )
            )
    return tuple(doses)


def _beyond(order: Resource, planned: Planned, common: Mapping[str, Any], *, is_draft: bool) -> OrderedDose:
    """The first of the doses that are too many to be read stands for all of them, and must be clarified.

    Those of the record have no day together: such an order is asked about, whenever its other doses were.
    """
    why = f"only the first {MOST_DOSES} doses of an order are assessed: this one and all further ones are not"
    return OrderedDose(
        part=MOST_DOSES,
        day=planned.day if is_draft else unreadable(order, why),
        day_note=planned.note,
        amount=Amount(mg=None, doubt=why),
        **common,
    )


def _common(order: Resource, medication: Medication, clinic: Clinic, entry: int) -> dict[str, Any]:
    """What all doses of an order share."""
    status = code_of(order.get("status"))
    status = status if status in _STATUSES else ""  # a word that is none of FHIR's says as much as none
    reason = order.get("statusReason") or order.get("reasonEnded")
    notes = () if status in _NOT_ENDED else texts_of_notes(order)
    stopped_for_toxicity = status not in _NOT_ENDED and _names_toxicity(reason, notes)
    return {
        "order": reference_of(order),
        "entry": entry,
        "in_draft_orders": entry >= 0,
        "status": status,
        "intent": code_of(order.get("intent")),
        "authored": first_when(order, clinic.zone, *WRITTEN),
        "status_reason": next(iter((*all_texts(reason), *(notes if stopped_for_toxicity else ()))), ""),
        "stopped_for_toxicity": stopped_for_toxicity,
        "is_claim": is_claim(medication),
        "identifiers": identifiers(order),
    }


def _names_toxicity(reason: Any, notes: tuple[str, ...]) -> bool:
    known = value_set("wording", "toxicity-reason")
    return coded(reason, known) is not None or bool(affirmed((*all_texts(reason), *notes), known))


def _bag_litres() -> Any:
    return value_set("drug", "bag").meaning("bag")[0].number("litres")


# --- dosages ----------------------------------------------------------------------------------------------------------


def dosages_of(order: Resource) -> tuple[tuple[Any, tuple[str, ...]], ...]:
    """The dosages of an order by `sequence`, then as they come, each with the texts of entries that only instruct.

    An entry with nothing but words, beside entries with a dose, is an instruction for those and no further dose.
    """
    named = (items(order.get(name)) for name in DOSAGES)
    found = [entry for entry in next((entries for entries in named if entries), ()) if entry is not None]
    doses = [entry for entry in found if not _only_instructs(entry)]
    if not doses:
        return tuple((entry, ()) for entry in _in_sequence(found)) or (({}, ()),)
    instructions = tuple(text for entry in found if _only_instructs(entry) for text in texts_of(entry))
    return tuple((entry, instructions) for entry in _in_sequence(doses))


def _in_sequence(dosages: list[Any]) -> Iterator[Any]:
    def place(numbered: tuple[int, Any]) -> tuple[bool, Any, int]:
        sequence = number(part(numbered[1], "sequence"))
        return (sequence is None, sequence or 0, numbered[0])

    return (dosage for _, dosage in sorted(enumerate(dosages), key=place))


def _only_instructs(dosage: Any) -> bool:
    from_fhir = ("doseAndRate", "doseQuantity", "doseRange", "timing")
    if any(part(dosage, name) is not None for name in from_fhir) or not texts_of(dosage):
        return False
    return amount_of(dosage, (), ()).absent


# --- position ---------------------------------------------------------------------------------------------------------

_POSITION: Final = re.compile(r"\bc(?:ycle)?\s*(\d{1,2})\s*[-,/ ]?\s*d(?:ay)?\s*(\d{1,2})\b", re.IGNORECASE)


def positions_in(text: str) -> frozenset[str]:
    """The places in the schedule that a text names: `C4D1` for "cycle 4, day 1"."""
    return frozenset("C{}D{}".format(*found) for found in _positions((text,)))


def _positions(texts: tuple[str, ...]) -> list[tuple[int, int]]:
    """A run of spaces is taken as one: the expression would try every way to share it out."""
    return [(int(cycle), int(day)) for text in texts for cycle, day in _POSITION.findall(" ".join(text.split()))]


def _position(texts: tuple[str, ...]) -> str:
    """The position that the texts name; the latest where they name several."""
    found = _positions(texts)
    return "C{}D{}".format(*max(found)) if found else ""


def _position_of_order(order: Resource, medication: Medication, dosages: int) -> str:
    """The position that the order as a whole names; none where it names several for several doses."""
    texts = [*texts_of_notes(order), *medication.names, words(part(order, "groupIdentifier", "value"))]
    named = concepts(order, "category", *REASONS, "courseOfTherapyType", "performerType")
    texts += [text for concept in named for text in all_texts(concept)]
    texts += [
        words(part(link, "display"))
        for name in ("basedOn", "supportingInformation")
        for link in objects(order.get(name))
    ]
    texts += [words(value) for extension in objects(order.get("extension")) for value in extension.values()]
    found = set(_positions(tuple(texts)))
    return "" if len(found) > 1 and dosages > 1 else _position(tuple(texts))
