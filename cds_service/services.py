"""The services on offer, and one short function for each hook. The only place that reads the clock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from cds_service import cards, dialects, fhir_knowledge, limits, wire
from cds_service.bundles import proposed, resource_of
from cds_service.clients import ANYBODY, Caller
from cds_service.engine.advice import Assessment
from cds_service.engine.case import Occasion
from cds_service.engine.rulebook import Rulebook
from cds_service.fhir_client import FhirClient, FhirReader, Question
from cds_service.fhir_failure import Failure
from cds_service.knowledge import sheet, sign_off
from cds_service.knowledge.regimen import Regimen
from cds_service.knowledge.statements import paraphrases
from cds_service.patient_record import OneReading, Reader, gather, gather_of_the_drug
from cds_service.prefetch import PREFETCH, templates_by_key
from cds_service.smart_registrations import AppLinks
from cds_service.store import Decision, Shown
from cds_service.suggestions import Orders, marks
from fhir_mappings import treatment_state
from fhir_mappings.administrations import is_claimed
from fhir_mappings.appointments import may_be_an_infusion
from fhir_mappings.chart import Chart, Resource
from fhir_mappings.drugs import asks_for_the_drug
from fhir_mappings.elements import all_texts, code_of, reference_of, words
from fhir_mappings.facts import ANOTHER_KIND, DRAFT, VISIT, Reading, TreatmentState, Unknown
from fhir_mappings.medications import Recognition, recognise

MEDICATION_ORDERS: Final = frozenset({"MedicationRequest", "MedicationOrder"})
"""The draft orders of a drug that are assessed, in R4 and DSTU2; of others only those called by the drug are said."""

CAN_BE_THE_DRUG: Final = MEDICATION_ORDERS | {"MedicationAdministration"}

KINDS: Final = (
    MEDICATION_ORDERS
    | {template.resource_type for template in PREFETCH}
    | {"Medication", DRAFT, ANOTHER_KIND, VISIT, "prefetch"}
)


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """What an answer rests on: the facts as they were read, and all that the rules found at that moment."""

    state: TreatmentState
    assessment: Assessment
    at: datetime
    zone: ZoneInfo


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back, and what the log may say of it: ids of rows, and how many unknowns of which kind.

    `grounds`: for the pages that show why; None where the call was answered without reading the patient's record.
    """

    response: wire.CdsResponse
    rows: tuple[str, ...] = ()
    unknowns: Mapping[str, int] = field(default_factory=dict)
    grounds: Grounds | None = None


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One entry of the discovery with the function that answers its calls, and the version of what it knows."""

    entry: wire.Service
    answer: Callable[[wire.HookRequest], Answer]
    knowledge: str = ""


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """The rules in force as people and as programs read them, and what the log says of them at the start."""

    markdown: str
    data: Mapping[str, Any]
    fhir: Mapping[str, Any] = field(default_factory=dict)
    sheet: Mapping[str, Any] | None = None

    @property
    def start_line(self) -> Mapping[str, Any]:
        """`acceptedBy` is there where somebody answers for rows that nobody has reviewed."""
        named = ("version", "sources", "unreviewed", "acceptedBy")
        return {"event": "start", **{name: self.data[name] for name in named if name in self.data}}


def knowledge_of(regimen: Regimen, accepted_by: str, entries: Sequence[wire.Service]) -> Knowledge:
    """The knowledge page's content; `entries` are the services that act by it."""
    return Knowledge(
        markdown=sign_off.as_markdown(regimen, accepted_by),
        data=sign_off.as_data(regimen, accepted_by),
        fhir=fhir_knowledge.as_fhir(regimen, entries, accepted_by),
        sheet=sheet.as_sheet(regimen, accepted_by, paraphrases()),
    )


NOTHING_TO_SAY: Final = Answer(response=wire.CdsResponse(cards=()))


OCCASIONS: Final[Mapping[str, Occasion]] = {
    "order-sign": Occasion.ORDERS,
    "order-select": Occasion.ORDERS,
    "patient-view": Occasion.STATUS,
    "encounter-discharge": Occasion.DISCHARGE,
    "appointment-book": Occasion.BOOKING,
}
"""What the rules are asked at each hook."""


@dataclass(frozen=True, kw_only=True)
class DrugReview:
    """Answers each hook from the patient's record, at the clock's reading in the clinic's zone.

    `caller` says what the client understands of the answer, which FHIR servers are asked for it, and in which zone it
    counts days if not the clinic's; the rules do not know it. `app`: where the SMART app can be launched, if it is
    registered anywhere.
    """

    rulebook: Rulebook
    fhir: FhirClient
    zone: ZoneInfo
    clock: Callable[[], datetime]
    caller: Caller = ANYBODY
    app: AppLinks | None = None

    def order_sign(self, call: wire.HookRequest) -> Answer:
        """What is to be said before these orders are signed?"""
        return self._on_orders(call, details_may_be_missing=False)

    def order_select(self, call: wire.HookRequest) -> Answer:
        """What is to be said of the selected orders while they are being filled in?"""
        return self._on_orders(call, details_may_be_missing=True)

    def patient_view(self, call: wire.HookRequest) -> Answer:
        """Where does the course of this patient stand?"""
        return self._on_patient(call)

    def encounter_discharge(self, call: wire.HookRequest) -> Answer:
        """Is the patient observed to the end, and what is to be heeded at home?"""
        return self._on_patient(call)

    def appointment_book(self, call: wire.HookRequest) -> Answer:
        """Are these infusions proposed for days on which they can be given?"""
        if not any(map(_may_be_an_infusion, proposed(call.context.visits()))):
            return NOTHING_TO_SAY
        return self._assessed(call, self.chart(call))

    def _on_orders(self, call: wire.HookRequest, *, details_may_be_missing: bool) -> Answer:
        if not may_order_the_drug(call, details_may_be_missing=details_may_be_missing):
            return NOTHING_TO_SAY
        chart = self.chart(call, details_may_be_missing=details_may_be_missing)
        return self._assessed(call, chart, details_may_be_missing=details_may_be_missing)

    def _on_patient(self, call: wire.HookRequest) -> Answer:
        """Most patients have nothing to do with the drug: for them only what would show it is read."""
        server = self._reader(call)
        reader = None if server is None else OneReading(server)
        showing = gather_of_the_drug(patient_id=call.context.patient_id, prefetch=call.prefetch, reader=reader)
        if not may_have_had_the_drug(showing):
            return NOTHING_TO_SAY
        return self._assessed(call, self.chart(call, reader=reader))

    def _assessed(self, call: wire.HookRequest, chart: Chart, *, details_may_be_missing: bool = False) -> Answer:
        zone = self.caller.zone or self.zone
        at = self.clock().astimezone(zone)
        limits.check_record(len(chart.resources))
        state = treatment_state.read(chart, zone=zone, at=at)
        limits.check_doses(sum(dose.in_draft_orders for dose in state.orders))
        assessment = self.rulebook.assess(
            state,
            at=at,
            zone=zone,
            selections=chart.selections,
            details_may_be_missing=details_may_be_missing,
            occasion=OCCASIONS[call.hook],
        )
        orders = Orders(patient_id=call.context.patient_id, drafts=chart.draft_orders)
        told = cards.render(
            assessment,
            hook_instance=call.hook_instance,
            orders=orders,
            profile=self.caller.profile,
            app_url=self.app.of(call.fhir_server) if self.app else None,
        )
        signed = (
            () if details_may_be_missing else marks(assessment, orders)
        )  # an order still being written is unchecked
        return Answer(
            response=dialects.response(told, signed, self.caller.profile),
            rows=assessment.fired,
            unknowns=kinds_of(state.unknowns),
            grounds=Grounds(state=state, assessment=assessment, at=at, zone=zone),
        )

    def patient(self, call: wire.HookRequest) -> Resource | Failure:
        """The Patient of the call, to be shown above what is said of it, or why it cannot be had."""
        patient_id, reader = call.context.patient_id, self._reader(call)
        if reader is None:
            return Failure.ADDRESS_NOT_ALLOWED
        asked = Question(query=f"Patient/{patient_id}", resource_type="Patient")
        answer = reader.answers({"patient": asked})["patient"]
        if answer.failure is not None:
            return answer.failure
        is_it = [page for page in answer.pages if page["resourceType"] == "Patient" and page.get("id") == patient_id]
        return is_it[0] if is_it else Failure.MALFORMED

    def _reader(self, call: wire.HookRequest) -> FhirReader | None:
        token = call.fhir_authorization.access_token.get_secret_value() if call.fhir_authorization else None
        return self.fhir.reader(call.fhir_server, token, only=self.caller.fhir_servers)

    def chart(
        self, call: wire.HookRequest, *, details_may_be_missing: bool = False, reader: Reader | None = None
    ) -> Chart:
        """What the call proposes and the patient's record, as far as they can be had.

        `reader` is one whose time is already running, and which knows what it was asked.
        Raises: NothingReadable where none of the needed data can be had.
        """
        chart = gather(
            patient_id=call.context.patient_id,
            draft_orders={"entry": list(call.context.drafts())},
            selections=call.context.selected(),
            appointments=call.context.visits(),
            prefetch=call.prefetch,
            reader=reader or self._reader(call),
            search_texts=self.caller.search_texts,
        )
        chart = with_orders_of_another_kind(chart)
        return chart if details_may_be_missing else with_nameless_drafts(chart)


def with_orders_of_another_kind(chart: Chart) -> Chart:
    """The chart; without an order of the drug, what is called by it and is no medication order is an unknown."""
    may_be = {Recognition.DRUG, Recognition.UNREADABLE}
    found = [draft for draft in chart.draft_orders if _recognised(draft, chart.medications) in may_be]
    if any(_is_medication_order(draft) for draft in found):
        return chart
    others = tuple(
        Unknown(what=ANOTHER_KIND, why="only medication orders are assessed", reference=reference_of(draft))
        for draft in found
        if chart.selections is None or reference_of(draft) in chart.selections
    )
    return replace(chart, unknowns=(*chart.unknowns, *others))


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
    drafts = [resource_of(entry) for entry in proposed(call.context.drafts())]
    in_bundle = {reference_of(draft): draft for draft in drafts if draft is not None}
    return any(_recognised(draft, in_bundle) not in of_no_concern for draft in drafts)


def _recognised(draft: Resource | None, medications: Mapping[str, Resource]) -> Recognition:
    if draft is None or draft["resourceType"] == "Bundle":
        return Recognition.UNREADABLE
    if _is_medication_order(draft):
        return recognise(draft, medications)
    is_order = draft["resourceType"] != "Medication"
    return Recognition.DRUG if is_order and asks_for_the_drug(draft) else Recognition.OTHER


def _is_medication_order(draft: Resource) -> bool:
    return words(draft["resourceType"]) in MEDICATION_ORDERS


def may_have_had_the_drug(showing: Chart) -> bool:
    """Whether the record shows the drug, ordered, given or claimed, or leaves open that it does.

    False answers the call: nothing else of the patient is read.
    """
    if any(need.reading is not Reading.COMPLETE for need in showing.needs.values()):
        return True
    if any(unknown.what in CAN_BE_THE_DRUG | {"Procedure"} and not unknown.foreign for unknown in showing.unknowns):
        return True
    return any(_shows_the_drug(resource, showing) for resource in showing.resources)


def _shows_the_drug(resource: Resource, showing: Chart) -> bool:
    kind = words(resource["resourceType"])
    if kind == "Procedure":
        code = resource.get("code")
        return is_claimed(resource) or not (all_texts(code) or code_of(code))
    return kind in CAN_BE_THE_DRUG and recognise(resource, showing.medications) is not Recognition.OTHER


def _may_be_an_infusion(entry: Any) -> bool:
    appointment = resource_of(entry)
    return appointment is None or appointment["resourceType"] == "Bundle" or may_be_an_infusion(appointment)


def kinds_of(unknowns: Iterable[Unknown]) -> Mapping[str, int]:
    """How many unknowns of which kind, for the log: a kind that we did not name ourselves is not repeated there."""
    return Counter(unknown.what if unknown.what in KINDS else "other" for unknown in unknowns)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What discovery says of the service of one hook. `needs_also` is what it needs beside what all of them need."""

    title: str
    description: str
    needs_also: str = ""


NEEDS: Final = (
    "Prefetch or read access for Patient, Condition, MedicationRequest, MedicationAdministration, Medication, "
    "Observation, Procedure, AdverseEvent and AllergyIntolerance. The call gets 412 only where given doses, orders "
    "and conditions can all three not be had."
)
DRUG_FIRST: Final = " Orders, given doses and procedures come first: without tarlatamab in them nothing else is read."
CATALOGUE: Final[Mapping[str, Entry]] = {
    "order-sign": Entry(
        title="Tarlatamab: check before signing",
        description=(
            "Checks an order for tarlatamab against the step-up schedule, delays, CRS and neurotoxicity, "
            "monitoring and premedication, pregnancy, contraception and lactation."
        ),
    ),
    "order-select": Entry(
        title="Tarlatamab: check while ordering",
        description="Says early what stands against tarlatamab for this patient, and which dose is due on which day.",
    ),
    "patient-view": Entry(
        title="Tarlatamab: where the course stands",
        description=(
            "For a patient with tarlatamab on record: doses given, position, next due day, last day before a "
            "restart, and what withholds or stops it. No card for anybody else."
        ),
        needs_also=DRUG_FIRST,
    ),
    "encounter-discharge": Entry(
        title="Tarlatamab: check before discharge",
        description=(
            "Says when the observation after the last tarlatamab dose is complete, what is to be heeded at "
            "home, and whether CRS or neurotoxicity is still active."
        ),
        needs_also=(
            f"{DRUG_FIRST} Given doses need their clock times, or the observation is counted from the end of their day."
        ),
    ),
    "appointment-book": Entry(
        title="Tarlatamab: check an infusion appointment",
        description=(
            "Checks proposed appointments for tarlatamab infusions against the due day and the last day before "
            "a restart."
        ),
        needs_also=(
            " An appointment is one for tarlatamab if its service type, reason, description or comment "
            "names it, or the medication order that it is based on is one for it; others get no card."
        ),
    ),
}
"""The services by their hooks, in the order in which discovery lists them."""


def offers(review: DrugReview) -> tuple[Offer, ...]:
    """The catalogue with the function that answers each hook's calls."""
    answers: Mapping[str, Callable[[wire.HookRequest], Answer]] = {
        "order-sign": review.order_sign,
        "order-select": review.order_select,
        "patient-view": review.patient_view,
        "encounter-discharge": review.encounter_discharge,
        "appointment-book": review.appointment_book,
    }
    prefetch = dict(templates_by_key())
    return tuple(
        Offer(
            entry=wire.Service(
                hook=hook,
                id=f"tarlatamab-{hook}",
                title=entry.title,
                description=entry.description,
                prefetch=prefetch,
                usage_requirements=NEEDS + entry.needs_also,
            ),
            answer=answers[hook],
            knowledge=review.rulebook.regimen.version,
        )
        for hook, entry in CATALOGUE.items()
    )


# --- records of what was decided ------------------------------------------------------------------------------


def decision(
    offer: Offer, answer: Answer, *, hook_instance: str, status: int, milliseconds: float, client: str = ""
) -> Decision:
    """The record of a call that was answered so, and nothing of the patient."""
    at = now()
    return Decision(
        id=uuid4().hex,
        decided_at=at,
        client=client,
        service=offer.entry.id,
        hook_instance=hook_instance,
        status=status,
        knowledge=offer.knowledge,
        row_ids=answer.rows,
        unknowns=answer.unknowns,
        milliseconds=milliseconds,
        cards=shown(offer, answer, at=at, client=client),
    )


def shown(offer: Offer, answer: Answer, *, at: datetime, client: str = "") -> tuple[Shown, ...]:
    """The records of the cards in an answer: which rows spoke."""
    return tuple(
        Shown(
            card=card.uuid,
            client=client,
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


def topic(card: wire.Card) -> str:
    """What a card is about, as the contract names it."""
    return card.extension.advice.topic if card.extension else "none"


def now() -> datetime:
    """The machine's clock, for records; `CDS_NOW` moves the clinical one only."""
    return datetime.now(UTC)


def clock(fixed: datetime | None) -> Callable[[], datetime]:
    """The clinical clock: `fixed` (`CDS_NOW`), or the machine's."""
    return (lambda: fixed) if fixed is not None else (lambda: datetime.now(UTC))


def milliseconds() -> float:
    """A monotonic reading, for durations."""
    return time.perf_counter() * 1000
