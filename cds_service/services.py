"""The services on offer, and one short function for each hook. The only place that reads the clock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from cds_service import cards, dialects, fhir_knowledge, wire
from cds_service.bundles import resource_of
from cds_service.clients import Profile
from cds_service.engine.rulebook import Rulebook
from cds_service.fhir_client import FhirClient
from cds_service.knowledge import sign_off
from cds_service.knowledge.regimen import Regimen
from cds_service.patient_record import gather
from cds_service.prefetch import PREFETCH, templates_by_key
from cds_service.store import Shown
from cds_service.suggestions import Orders, marks
from fhir_mappings import treatment_state
from fhir_mappings.chart import Chart, Resource
from fhir_mappings.elements import reference_of, words
from fhir_mappings.facts import DRAFT, Unknown
from fhir_mappings.medications import Recognition, recognise

MEDICATION_ORDERS: Final = frozenset({"MedicationRequest", "MedicationOrder"})
"""The draft orders that can be of a drug, in R4 and DSTU2; all others are none of this service's business."""

KINDS: Final = MEDICATION_ORDERS | {template.resource_type for template in PREFETCH} | {"Medication", DRAFT, "prefetch"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back, and what the log may say of it: ids of rows, and how many unknowns of which kind."""

    response: wire.CdsResponse
    rows: tuple[str, ...] = ()
    unknowns: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One entry of the discovery with the function that answers its calls."""

    entry: wire.Service
    answer: Callable[[wire.HookRequest], Answer]


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """The rules in force as people and as programs read them, and what the log says of them at the start."""

    markdown: str
    data: Mapping[str, Any]
    fhir: Mapping[str, Any] = field(default_factory=dict)

    @property
    def start_line(self) -> Mapping[str, Any]:
        """`acceptedBy` is there where somebody answers for rows that nobody has reviewed."""
        named = ("version", "sources", "unreviewed", "acceptedBy")
        return {"event": "start", **{name: self.data[name] for name in named if name in self.data}}


def knowledge_of(regimen: Regimen, accepted_by: str, entries: Sequence[wire.Service]) -> Knowledge:
    """The knowledge page's content; `entries` are the services that act by it.

    Raises: KnowledgeError where it cannot be written as FHIR.
    """
    return Knowledge(
        markdown=sign_off.as_markdown(regimen, accepted_by),
        data=sign_off.as_data(regimen, accepted_by),
        fhir=fhir_knowledge.as_fhir(regimen, entries, accepted_by),
    )


NOTHING_TO_SAY: Final = Answer(response=wire.CdsResponse(cards=()))


@dataclass(frozen=True, kw_only=True)
class OrderReview:
    """Reviews draft orders of the drug against the patient's record, at the clock's reading in the clinic's zone.

    `profile` says what the client understands of the answer; the rules do not know it.
    """

    rulebook: Rulebook
    fhir: FhirClient
    zone: ZoneInfo
    clock: Callable[[], datetime]
    profile: Profile = cards.ANY_CLIENT

    def order_sign(self, call: wire.HookRequest) -> Answer:
        """What is to be said before these orders are signed?"""
        return self._review(call, details_may_be_missing=False)

    def order_select(self, call: wire.HookRequest) -> Answer:
        """What is to be said of the selected orders while they are being filled in?"""
        return self._review(call, details_may_be_missing=True)

    def _review(self, call: wire.HookRequest, *, details_may_be_missing: bool) -> Answer:
        if not may_order_the_drug(call, details_may_be_missing=details_may_be_missing):
            return NOTHING_TO_SAY
        at = self.clock().astimezone(self.zone)
        chart = self.chart(call, details_may_be_missing=details_may_be_missing)
        state = treatment_state.read(chart, zone=self.zone, at=at)
        assessment = self.rulebook.assess(
            state,
            at=at,
            zone=self.zone,
            selections=chart.selections,
            details_may_be_missing=details_may_be_missing,
        )
        orders = Orders(patient_id=call.context.patient_id, drafts=chart.draft_orders)
        told = cards.render(assessment, hook_instance=call.hook_instance, orders=orders, profile=self.profile)
        signed = (
            () if details_may_be_missing else marks(assessment, orders)
        )  # an order still being written is unchecked
        return Answer(
            response=dialects.response(told, signed, self.profile),
            rows=assessment.fired,
            unknowns=kinds_of(state.unknowns),
        )

    def chart(self, call: wire.HookRequest, *, details_may_be_missing: bool) -> Chart:
        """The draft orders and the patient's record, as far as they can be had.

        Raises: NothingReadable where none of the needed data can be had.
        """
        token = call.fhir_authorization.access_token.get_secret_value() if call.fhir_authorization else None
        chart = gather(
            patient_id=call.context.patient_id,
            draft_orders={"entry": list(call.context.draft_orders.entry)},
            selections=call.context.selected(),
            prefetch=call.prefetch,
            reader=self.fhir.reader(call.fhir_server, token),
        )
        return chart if details_may_be_missing else with_nameless_drafts(chart)


def with_nameless_drafts(chart: Chart) -> Chart:
    """The chart, its drafts without any medication among the unknowns: about to be signed, they may be of the drug."""
    nameless = tuple(
        Unknown(what=DRAFT, why="it states no medication", reference=reference_of(draft))
        for draft in chart.draft_orders
        if _recognised(draft, chart.medications) is Recognition.NONE
    )
    return replace(chart, unknowns=(*chart.unknowns, *nameless))


def may_order_the_drug(call: wire.HookRequest, *, details_may_be_missing: bool) -> bool:
    """Whether a draft is of the drug, or cannot be told not to be. False answers the call without any reading.

    While an order is being filled in, a draft without a medication yet is not of the drug.
    """
    of_no_concern = {Recognition.OTHER, Recognition.NONE} if details_may_be_missing else {Recognition.OTHER}
    drafts = [resource_of(entry) for entry in call.context.draft_orders.entry]
    in_bundle = {reference_of(draft): draft for draft in drafts if draft is not None}
    return any(_recognised(draft, in_bundle) not in of_no_concern for draft in drafts)


def _recognised(draft: Resource | None, medications: Mapping[str, Resource]) -> Recognition:
    if draft is None:
        return Recognition.UNREADABLE
    return recognise(draft, medications) if words(draft["resourceType"]) in MEDICATION_ORDERS else Recognition.OTHER


def kinds_of(unknowns: Iterable[Unknown]) -> Mapping[str, int]:
    """How many unknowns of which kind, for the log: a kind that we did not name ourselves is not repeated there."""
    return Counter(unknown.what if unknown.what in KINDS else "other" for unknown in unknowns)


def offers(review: OrderReview) -> tuple[Offer, ...]:
    """The catalogue, in the order in which discovery lists it."""
    prefetch = dict(templates_by_key())
    needs = (
        "Prefetch or read access for Patient, Condition, MedicationRequest, MedicationAdministration, Medication, "
        "Observation, Procedure, AdverseEvent and AllergyIntolerance. The call gets 412 only where given doses, orders "
        "and conditions can all three not be had."
    )
    return (
        Offer(
            entry=wire.Service(
                hook="order-sign",
                id="tarlatamab-order-sign",
                title="Tarlatamab: check before signing",
                description=(
                    "Checks an order for tarlatamab against the step-up schedule, delays, CRS and neurotoxicity, "
                    "monitoring and premedication, pregnancy, contraception and lactation."
                ),
                prefetch=prefetch,
                usage_requirements=needs,
            ),
            answer=review.order_sign,
        ),
        Offer(
            entry=wire.Service(
                hook="order-select",
                id="tarlatamab-order-select",
                title="Tarlatamab: check while ordering",
                description=(
                    "Says early what stands against tarlatamab for this patient, and which dose is due on which day."
                ),
                prefetch=prefetch,
                usage_requirements=needs,
            ),
            answer=review.order_select,
        ),
    )


# --- records of what was shown ------------------------------------------------------------------------------


def shown(offer: Offer, answer: Answer) -> tuple[Shown, ...]:
    """The records of the cards in an answer: which rows spoke, and nothing of the patient."""
    at = now()
    return tuple(
        Shown(
            card=card.uuid,
            service=offer.entry.id,
            hook=offer.entry.hook,
            leading_row=leading_row(card),
            topic=card.extension.advice.topic,
            action=card.extension.advice.action,
            indicator=card.indicator,
            knowledge=card.extension.advice.knowledge,
            shown_at=at,
        )
        for card in answer.response.cards
        if card.uuid and card.extension
    )


def leading_row(card: wire.Card) -> str:
    """The row that a card's feedback counts for."""
    return card.source.topic.code if card.source.topic else "none"


def now() -> datetime:
    """The machine's clock, for records; `CDS_NOW` moves the clinical one only."""
    return datetime.now(UTC)


def clock(fixed: datetime | None) -> Callable[[], datetime]:
    """The clinical clock: `fixed` (`CDS_NOW`), or the machine's."""
    return (lambda: fixed) if fixed is not None else (lambda: datetime.now(UTC))


def milliseconds() -> float:
    """A monotonic reading, for durations."""
    return time.perf_counter() * 1000
