"""What a card offers to do: advice and the drafts as received → offers, the same for every client (dialects.py).

An offer never makes an order worse than it came: no amount is raised, no order is kept that another card forbids or
that is not due yet, nothing is changed or removed that is not among the drafts, and where an order cannot be changed
with certainty only its removal is offered.
Source: clinical rules, Decision for one order; CDS Hooks C74–C78.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from re import fullmatch
from typing import Any, Final, Literal

import msgspec

from cds_service.engine.advice import Advice, Assessment
from cds_service.fhir_validity import adds_no_problem, problems
from cds_service.knowledge.regimen import Regimen, Row
from fhir_mappings.chart import Resource
from fhir_mappings.elements import items, part, reference_of, words
from fhir_mappings.redosing import Change, redosed
from fhir_mappings.terminology import UCUM

Said = Callable[[str, Mapping[str, str]], str]
"""Fills a sentence of the knowledge with its slots, as plain text."""

SNOMED: Final = "http://snomed.info/sct"
INTRAVENOUS: Final = {"coding": [{"system": SNOMED, "code": "47625008"}], "text": "Intravenous"}
CHECKED: Final = "https://tarlatamab-cds.example.org/StructureDefinition/checked"
FORBIDS: Final = frozenset({"withhold", "discontinue", "avoid"})
OF_THE_DOSE: Final = frozenset({"dose", "steroid", "saline", "observation"})
"""What is of use only if the order is kept."""
REFERS_OR_NAMES_IN_R5: Final = ("medication", "code")
"""Of a medication order and of a service request: R5 has one element for both, as R4 has not."""
REFERS_OR_NAMES: Final = ("concept", "reference")
CHANGES: Final = frozenset({"change-dose", "restart-step-up"})


@dataclass(frozen=True, kw_only=True)
class Orders:
    """The draft orders of a call as received, the patient's only."""

    patient_id: str = ""
    drafts: tuple[Resource, ...] = ()

    @cached_property
    def by_reference(self) -> Mapping[str, Resource]:
        """Those that can be named: with an id of FHIR's form that no other draft has."""
        named = [reference_of(draft) for draft in self.drafts]
        return {
            name: draft
            for name, draft in zip(named, self.drafts, strict=True)
            if named.count(name) == 1 and fullmatch(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}", name)
        }

    @cached_property
    def are_r4(self) -> bool:
        """Whether what is created fits them (C75, K5): DSTU2, STU3 and R5 write orders in another way."""
        return not any(_is_of_another_fhir(draft) for draft in self.drafts)


def _is_of_another_fhir(draft: Resource) -> bool:
    """Whether an element of a draft stands where R4 has none: a client of this version could not take an R4 resource.

    Source: the resource pages of hl7.org/fhir/DSTU2, /STU3 and /R5 (`CodeableReference`).
    """
    if words(draft.get("resourceType")) == "MedicationOrder" or any(
        part(dosage, name) is not None
        for dosage in items(draft.get("dosageInstruction"))
        for name in ("doseQuantity", "doseRange")
    ):
        return True
    return any(
        part(draft.get(element), name) is not None for element in REFERS_OR_NAMES_IN_R5 for name in REFERS_OR_NAMES
    )


NO_ORDERS: Final = Orders()
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing to do. `target` is the draft that is changed or removed; create and update carry a resource."""

    kind: Literal["create", "update", "delete"]
    does: str
    resource: Mapping[str, Any] | None = None
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Acts that belong together. `about` names the offer for ever: row, order and dose."""

    label: str
    recommended: bool
    acts: tuple[Act, ...]
    about: str
    labels: tuple[str, ...] = ()


def offers(group: Sequence[Advice], assessment: Assessment, orders: Orders, said: Said) -> tuple[Offer, ...]:
    """What the card of these advices offers, in the order of the table; what is ordered for one dose is one offer."""
    made: dict[tuple[Any, ...], Offer] = {}
    for advice in group:
        for row in assessment.regimen.table("suggestions").rows:
            if not is_for(row, advice):
                continue
            act = _act(row, advice, assessment, orders, said)
            if act is None:
                continue
            creates = act.kind == "create"
            key = ("create", advice.order, advice.part) if creates else (row.id, advice.order)
            label = said(row.say["label"], _slots(advice))
            about = "|".join((row.id, advice.order, str(advice.part) if creates else ""))
            one = Offer(label=label, recommended=row.flag("recommended"), acts=(act,), about=about, labels=(label,))
            made[key] = _together(made[key], one) if creates and key in made else made.get(key, one)
    told: list[Offer] = []
    for offer in made.values():
        if all(offer.acts != one.acts for one in told):  # one test, one evaluation for all orders of the card
            told.append(offer)
    return tuple(told)


def _together(first: Offer, second: Offer) -> Offer:
    """Both orders of one dose; the same order twice is one."""
    if second.acts[0] in first.acts:
        return first
    labels = (*first.labels, *second.labels)
    return Offer(
        label=" ".join(labels),
        recommended=first.recommended and second.recommended,
        acts=(*first.acts, *second.acts),
        about=f"{first.about}|{second.about}",
        labels=labels,
    )


def is_for(row: Row, advice: Advice) -> bool:
    """Whether a row of suggestions is for the card of this advice."""
    if advice.topic not in row.texts("topics") or advice.action not in row.texts("actions"):
        return False
    if row.has("indicators") and advice.indicator not in row.texts("indicators"):
        return False
    ours, its = row.columns, advice.row.columns
    return all(its.get(name) == ours[name] for name in ("kind", "grade_from") if name in ours)


def _act(row: Row, advice: Advice, assessment: Assessment, orders: Orders, said: Said) -> Act | None:
    does = said(row.say["does"], _slots(advice))
    offered = row.text("offers")
    if offered in OF_THE_DOSE and _is_forbidden(advice.order, assessment):
        return None
    match offered:
        case "dose":
            return _new_dose(row, advice, assessment, orders, said)
        case "removal":
            return _removal(advice, assessment, orders, does)
        case "steroid" | "saline":
            return None if advice.in_part else _created(_infusion(row, advice, orders, said), orders, does)
        case "observation":
            return _created(_observation(row, advice, orders, said), orders, does) if advice.hours else None
        case _:
            return _created(_service(row, advice, orders, said), orders, does)


# --- the order itself ------------------------------------------------------------------------------------------------


def _removal(advice: Advice, assessment: Assessment, orders: Orders, does: str) -> Act | None:
    """Removal of a draft. Beside a critical question or a dose that is to wait, the dose cards carry no suggestion."""
    if advice.order not in orders.by_reference or (advice.action in CHANGES and _is_open(advice.order, assessment)):
        return None
    return Act(kind="delete", does=does, target=advice.order)


def _is_open(order: str, assessment: Assessment) -> bool:
    """Whether the order is to wait or a critical question about it is open: it is not told what to do with it."""
    return any(
        one.action == "wait" or (one.action == "clarify" and one.indicator == "critical")
        for one in assessment.advice
        if one.order == order and one.topic == "dose"
    )


def _is_forbidden(order: str, assessment: Assessment) -> bool:
    """Whether a critical card of the call says that this order is not to be given."""
    return any(one.action in FORBIDS and one.indicator == "critical" for one in assessment.advice if one.order == order)


def _new_dose(row: Row, advice: Advice, assessment: Assessment, orders: Orders, said: Said) -> Act | None:
    """The draft with the amounts that are due, where all of the order's doses that are wrong can be put right."""
    order = advice.order
    if order not in orders.by_reference or _is_open(order, assessment):
        return None
    wrong = [one for one in assessment.advice if one.order == order and is_for(row, one)]
    lower = [one for one in wrong if _is_lower_and_due(one, assessment.regimen)]
    if advice not in lower:
        return None
    changes = {
        one.part: Change(mg=one.expected.dose.mg, position=one.expected.position) for one in lower if one.expected
    }
    received = orders.by_reference[order]
    changed = redosed(received, changes)
    if changed is None or not adds_no_problem(changed, received):
        return None
    does = dict.fromkeys(said(row.say["does"], _slots(one)) for one in lower)
    return Act(kind="update", does=" ".join(does), resource=changed, target=order)


def _is_lower_and_due(advice: Advice, regimen: Regimen) -> bool:
    """No suggestion raises an amount, and none that keeps an order is made before the day before it is due."""
    expected, on = advice.expected, advice.on
    if expected is None or advice.ordered is None or on is None:
        return False
    earliest = expected.due_on - timedelta(days=int(regimen.numbers["early_tolerance_days"]))
    return expected.dose.mg < advice.ordered and on.earliest >= earliest


# --- what is ordered beside it ---------------------------------------------------------------------------------------


def _created(resource: dict[str, Any], orders: Orders, does: str) -> Act | None:
    """The order that is missing, unless the very same is among the drafts already."""
    there = any(all(draft.get(name) == value for name, value in resource.items()) for draft in orders.drafts)
    if not orders.patient_id or not orders.are_r4 or there or not _is_valid(resource):
        return None
    return Act(kind="create", does=does, resource=resource)


def _is_valid(resource: Mapping[str, Any]) -> bool:
    """Whether a created resource is FHIR. Told once for all patients."""
    of_anybody = {**resource, "subject": {"reference": "Patient/anybody"}}
    return _is_valid_json(_ENCODER.encode(of_anybody))


@lru_cache(maxsize=512)
def _is_valid_json(text: bytes) -> bool:
    return problems(msgspec.json.decode(text)) == frozenset()


def _draft(kind: str, orders: Orders) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "status": "draft",
        "intent": "order",
        "subject": {"reference": f"Patient/{orders.patient_id}"},
    }


def _concept(row: Row, text: str) -> dict[str, Any]:
    coding = [{"system": row.text("system"), "code": row.text("code")}] if row.has("code") else []
    return {"coding": coding, "text": text} if coding else {"text": text}


def _timing(advice: Advice, repeat: Mapping[str, Any]) -> dict[str, Any]:
    """On the day of the dose, if it has one for certain."""
    on = _day(advice)
    return {**({"event": [on.isoformat()]} if on else {}), **({"repeat": dict(repeat)} if repeat else {})}


def _day(advice: Advice) -> date | None:
    on = advice.on
    return on.earliest if on is not None and on.is_certain and not advice.day_assumed else None


def _span(low: int, high: int, unit: str) -> dict[str, Any]:
    """FHIR's duration, from and to."""
    return {"duration": low, **({"durationMax": high} if high > low else {}), "durationUnit": unit}


def _infusion(row: Row, advice: Advice, orders: Orders, said: Said) -> dict[str, Any]:
    """The order of what the advice's row misses, with the amount and the time of that row."""
    amount, unit = _amount(advice.row)
    minutes = advice.row.has("minutes_from")
    span = _span(advice.row.integer("minutes_from"), advice.row.integer("minutes_to"), "min") if minutes else {}
    dosage: dict[str, Any] = {"text": said(row.say["instructs"], _slots(advice))}
    timing = _timing(advice, span)
    if timing:
        dosage["timing"] = timing
    dosage["route"] = deepcopy(INTRAVENOUS)
    dosage["doseAndRate"] = [{"doseQuantity": {"value": amount, "unit": unit, "system": UCUM, "code": unit}}]
    return _draft("MedicationRequest", orders) | {
        "medicationCodeableConcept": _concept(row, said(row.say["orders"], _slots(advice))),
        "dosageInstruction": [dosage],
    }


def _amount(row: Row) -> tuple[Decimal, str]:
    return (row.number("steroid_mg"), "mg") if row.has("steroid_mg") else (row.number("litres"), "L")


def _observation(row: Row, advice: Advice, orders: Orders, said: Said) -> dict[str, Any]:
    low, high = advice.hours or (0, 0)
    return _service(row, advice, orders, said) | {"occurrenceTiming": _timing(advice, _span(low, high, "h"))}


def _service(row: Row, advice: Advice, orders: Orders, said: Said) -> dict[str, Any]:
    return _draft("ServiceRequest", orders) | {"code": _concept(row, said(row.say["orders"], _slots(advice)))}


def _slots(advice: Advice) -> Mapping[str, str]:
    """The slots of the advice, and what its row misses: how much, over how many hours."""
    row, more = advice.row, {}
    if row.has("steroid_mg") or row.has("litres"):
        amount, unit = _amount(row)
        more["amount"] = f"{amount.normalize():f} {unit}"
    if row.has("litres"):
        low, high = row.integer("minutes_from"), row.integer("minutes_to")
        more["hours"] = f"{Decimal(low) / 60:f}–{Decimal(high) / 60:f}"
    return {**advice.slots, **more}


# --- marks -----------------------------------------------------------------------------------------------------------


def marks(assessment: Assessment, orders: Orders) -> Iterator[Act]:
    """For each draft that was assessed, the same draft with a mark of it: knowledge and rows. No dose is touched.

    A draft that could not be assessed as it should is not marked; an older mark gives way.
    """
    for order in assessment.orders:
        about = [one for one in assessment.advice if one.order == order]
        if order not in orders.by_reference or any(_is_unassessed(one) for one in about):
            continue
        received = orders.by_reference[order]
        rows = dict.fromkeys(row.id for one in about for row in (one.row, *one.rows))
        marked = {**deepcopy(dict(received)), "extension": [*_others(received), _mark(assessment.regimen, rows)]}
        if adds_no_problem(marked, received):
            does = f"Mark the order as checked by {assessment.regimen.version}."
            yield Act(kind="update", does=does, resource=marked, target=order)


def _is_unassessed(advice: Advice) -> bool:
    return advice.topic == "record" and advice.indicator == "critical"


def _others(received: Resource) -> list[Any]:
    return [deepcopy(one) for one in items(received.get("extension")) if part(one, "url") != CHECKED]


def _mark(regimen: Regimen, rows: Iterable[str]) -> dict[str, Any]:
    inner = [{"url": "knowledge", "valueString": regimen.version}]
    return {"url": CHECKED, "extension": inner + [{"url": "row", "valueString": row} for row in rows]}
