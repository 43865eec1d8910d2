"""What was received and read for one patient, still as FHIR: the input of `treatment_state.read`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fhir_mappings.facts import Need, Unknown

Resource: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The resources of one patient, sorted by nothing: an Observation counts under whatever key it came.

    `draft_orders` are the entries of `context.draftOrders` in their order, the patient's only.
    `appointments` are the entries of `context.appointments` in their order, none of them booked yet.
    `resources` are those of prefetch and FHIR server, the same `Type/id` once, of this patient only (Medication has no
    subject).
    `medications` maps `Medication/id` to a Medication from the draft Bundle, the prefetch or a read.
    `selections` are the `Type/id` that cards may be about; None means all drafts (order-sign).
    `unknowns` are entries that are no resource, or could not be attributed or fetched.
    """

    patient_id: str
    draft_orders: tuple[Resource, ...] = ()
    appointments: tuple[Resource, ...] = ()
    resources: tuple[Resource, ...] = ()
    medications: Mapping[str, Resource] = field(default_factory=dict)
    needs: Mapping[str, Need] = field(default_factory=dict)
    selections: frozenset[str] | None = None
    unknowns: tuple[Unknown, ...] = ()
