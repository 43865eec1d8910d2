"""Statuses and ends that came after a moment, taken back; and what is assumed where nobody says when. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cds_service.replay.assumptions import Assumption
from cds_service.replay.moment import Known, Moment, is_later, known, last_updated, without_later_notes
from fhir_mappings.chart import Resource
from fhir_mappings.dates import first_when, when
from fhir_mappings.elements import Clinic, code_of, extension_value, extensions, part, reference_of, status_of, words
from fhir_mappings.facts import MaybeWhen, When
from fhir_mappings.medications import dosages_of
from fhir_mappings.planned_day import planned_days

_CLOSED: Final = frozenset({"inactive", "remission", "resolved"})
_WITHDRAWN: Final = frozenset({"entered-in-error", "refuted", "cancelled", "not-done"})
_ENDED_ORDERS: Final = frozenset({"completed", "stopped", "ended", "on-hold", "cancelled"})
_OVER: Final = frozenset({"resolved", "resolvedwithsequelae", "recovered", "fatal"})
_RESOLVED_ON: Final = "adverse-event-resolved-date"
_WHY_ENDED: Final = ("statusReason", "reasonEnded", "statusChanged", "dateEnded")
_PERIODS: Final = (
    "effectivePeriod",
    "effectiveTimePeriod",
    "occurencePeriod",
    "occurrencePeriod",
    "performedPeriod",
)


@dataclass(frozen=True, kw_only=True)
class AsItWas:
    """A resource as it stood, and what had to be assumed for that."""

    resource: Resource
    assumed: tuple[Assumption, ...] = ()


def as_it_was(resource: Resource, moment: Moment, *, carried_out_later: frozenset[str] = frozenset()) -> AsItWas:
    """The resource as it stood at the moment, as far as it says so itself.

    A version that was last written before the moment stood so. `carried_out_later` are the orders (`Type/id`) that a
    dose was given on after the moment: they had not ended.
    """
    updated = last_updated(resource)
    if updated is not None and updated <= moment.earliest:
        return AsItWas(resource=resource)
    resource = without_later_notes(resource, moment)
    kind = words(resource.get("resourceType"))
    if kind in ("MedicationRequest", "MedicationOrder"):
        return _order(resource, moment, carried_out_later)
    return _BY_TYPE[kind](resource, moment) if kind in _BY_TYPE else AsItWas(resource=resource)


def draft_of(order: Resource) -> Resource:
    """The order as it was about to be signed."""
    return {**{name: value for name, value in order.items() if name not in _WHY_ENDED}, "status": "draft"}


# --- conditions, allergies, adverse events ----------------------------------------------------------------------------


def _condition(resource: Resource, moment: Moment) -> AsItWas:
    end = _abatement(resource, moment)
    if is_later(end, moment):
        return AsItWas(resource=_reopened(resource), assumed=_withdrawn(resource))
    if isinstance(end, When):
        is_unclear = known(end, moment) is Known.UNCLEAR
        assumed = (Assumption.END_DAY_UNCLEAR,) if is_unclear else ()
    else:
        assumed = (Assumption.CLOSED_UNDATED,) if _is_closed(resource) else ()
    return AsItWas(resource=resource, assumed=(*assumed, *_withdrawn(resource)))


def _abatement(resource: Resource, moment: Moment) -> MaybeWhen:
    end = resource.get("abatementDateTime")
    return when(part(resource, "abatementPeriod", "end") if end is None else end, moment.zone)


def _is_closed(resource: Resource) -> bool:
    has_an_end = any(name.startswith("abatement") for name in resource)
    return has_an_end or code_of(resource.get("clinicalStatus")) in _CLOSED


def _reopened(resource: Resource) -> Resource:
    """Without its end, and active again where it was closed; the status keeps the shape of its version of FHIR."""
    kept = {name: value for name, value in resource.items() if not name.startswith("abatement")}
    if code_of(resource.get("clinicalStatus")) in _CLOSED:
        kept["clinicalStatus"] = _code_like(resource["clinicalStatus"], "active")
    return kept


def _code_like(value: Any, code: str) -> Any:
    """A code in the shape of another one: a text before R4, else a CodeableConcept of the same system."""
    if isinstance(value, str):
        return code
    system = words(part(value, "coding", "system"))
    return {"coding": [{"system": system, "code": code} if system else {"code": code}]}


def _withdrawn(resource: Resource) -> tuple[Assumption, ...]:
    stated = (status_of(resource), code_of(resource.get("verificationStatus")))
    return (Assumption.WITHDRAWN_UNDATED,) if _WITHDRAWN.intersection(stated) else ()


def _adverse_event(resource: Resource, moment: Moment) -> AsItWas:
    """A patient who got an order afterwards had not died of it."""
    stated = [extension_value(found) for found in extensions(resource, _RESOLVED_ON)]
    end = when(stated[0] if stated else None, moment.zone)
    outcome = code_of(resource.get("outcome")).replace(" ", "").replace("-", "")
    if is_later(end, moment) or outcome == "fatal":
        return AsItWas(resource=_still_going_on(resource), assumed=_withdrawn(resource))
    if isinstance(end, When) and known(end, moment) is Known.UNCLEAR:
        assumed: tuple[Assumption, ...] = (Assumption.END_DAY_UNCLEAR,)
    else:
        assumed = (Assumption.CLOSED_UNDATED,) if outcome in _OVER and not isinstance(end, When) else ()
    return AsItWas(resource=resource, assumed=(*assumed, *_withdrawn(resource)))


def _still_going_on(resource: Resource) -> Resource:
    dated = extensions(resource, _RESOLVED_ON)
    kept = {name: value for name, value in resource.items() if name not in ("outcome", "extension")}
    rest = [found for found in resource.get("extension", ()) if found not in dated]
    if "outcome" in resource:
        kept["outcome"] = _code_like(resource["outcome"], "ongoing")
    return {**kept, "extension": rest} if rest else kept


# --- what takes time, and what was observed ---------------------------------------------------------------------------


def _period(resource: Resource, moment: Moment) -> AsItWas:
    """An infusion or a procedure that ended after the moment was going on then, without an end."""
    for name in _PERIODS:
        if is_later(when(part(resource.get(name), "end"), moment.zone), moment):
            running = {**resource, name: {"start": part(resource[name], "start")}}
            if status_of(resource) in ("completed", "stopped"):
                running["status"] = "in-progress"
            return AsItWas(resource=running, assumed=_withdrawn(resource))
    return AsItWas(resource=resource, assumed=_withdrawn(resource))


def _observation(resource: Resource, _: Moment) -> AsItWas:
    return AsItWas(resource=resource, assumed=_withdrawn(resource))


_BY_TYPE: Final[Mapping[str, Callable[[Resource, Moment], AsItWas]]] = {
    "AdverseEvent": _adverse_event,
    "AllergyIntolerance": _condition,
    "Condition": _condition,
    "MedicationAdministration": _period,
    "Observation": _observation,
    "Procedure": _period,
}


# --- other orders -----------------------------------------------------------------------------------------------------


def _order(order: Resource, moment: Moment, carried_out_later: frozenset[str]) -> AsItWas:
    """An order that ended after the moment was active then."""
    status = status_of(order)
    if status == "entered-in-error":
        return AsItWas(resource=order, assumed=(Assumption.WITHDRAWN_UNDATED,))
    if status not in _ENDED_ORDERS:
        return AsItWas(resource=order)
    ended = first_when(order, moment.zone, "statusChanged", "dateEnded")
    if isinstance(ended, When) and known(ended, moment) is Known.YES:
        return AsItWas(resource=order)
    was_open = is_later(ended, moment) or reference_of(order) in carried_out_later
    if was_open or (status == "completed" and _is_planned_later(order, moment)):
        kept = {name: value for name, value in order.items() if name not in _WHY_ENDED}
        return AsItWas(resource={**kept, "status": "active"})
    return AsItWas(resource=order, assumed=(Assumption.ORDER_STATUS_AS_EXPORTED,))


def _is_planned_later(order: Resource, moment: Moment) -> bool:
    """Whether a dose was still to come: what is completed had it then before it."""
    clinic = Clinic(zone=moment.zone, at=moment.at, patient_id="")
    return any(
        is_later(planned.day, moment)
        for dosage, _ in dosages_of(order)
        for planned in planned_days(order, dosage, clinic, is_draft=False)
    )
