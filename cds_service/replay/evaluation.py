"""The one function that is run for each patient, on one machine or on many: resources in, rows of the report out.

It asks the service itself (`DrugReview.order_sign`), by a call such as an EHR would have sent on that day.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

import msgspec
from pydantic import ValidationError

from cds_service import comparison, wire
from cds_service.engine.rulebook import Rulebook
from cds_service.errors import RequestError, ServiceError
from cds_service.fhir_client import FhirClient
from cds_service.knowledge import loader
from cds_service.knowledge.regimen import Sources
from cds_service.prefetch import CLINICAL_OBSERVATIONS, PREFETCH, Template
from cds_service.replay.export import MEDICATION
from cds_service.replay.signings import ORDERS, NotReplayed, Signing, signings
from cds_service.services import Answer, DrugReview
from fhir_mappings.chart import Resource
from fhir_mappings.elements import part, reference_of, words

HOOK: Final = "order-sign"
MOST_KEPT: Final = 100_000
"""Resources of one patient that are held in memory: twice what the service takes in a call."""
TOO_MANY: Final = f"the patient has more than {MOST_KEPT:,} resources in the export"
NOTHING: Final = "the order could not be read"


class Counted(msgspec.Struct, frozen=True):
    """How many of what: assumptions made for an order, unknowns in its answer."""

    name: str
    number: int


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One card for one order; or an order without a card; or one that was not assessed, with the reason.

    `signing` is the same for orders that were signed together, `card` the place of a card in the answer to them.
    `before` and `after` are what an older knowledge says and the newer one does not, and the other way round.
    """

    patient: str
    order: str
    signing: str
    moment: str
    outcome: str
    reason: str = ""
    hook: str = HOOK
    card: int | None = None
    indicator: str = ""
    topic: str = ""
    action: str = ""
    summary: str = ""
    rows: tuple[str, ...] = ()
    source: str = ""
    knowledge: str = ""
    unknowns: tuple[Counted, ...] = ()
    assumptions: tuple[Counted, ...] = ()
    changed: bool | None = None
    cards_changed: bool | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Question:
    """What every patient is asked; can be sent to another process or machine.

    `exported` are the resource types that the export holds: the others could not have been read, and count as such.
    `salt` makes pseudonyms of ids; None leaves them as they are. `against` is an older knowledge file.
    """

    zone: str
    exported: frozenset[str]
    salt: bytes | None
    sources: str = Sources.SEED_AND_LABEL.value
    knowledge: str | None = None
    against: str | None = None

    def name(self, identity: str) -> str:
        """The id as the report gives it."""
        if self.salt is None:
            return identity
        return hmac.new(self.salt, identity.encode("utf-8", "surrogatepass"), sha256).hexdigest()[:20]


class Evaluation:
    """A question with its rules read, once for each process."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.zone = ZoneInfo(question.zone)
        self._fhir = FhirClient(budget_ms=1)  # never asked: no call names a server

    @cached_property
    def rulebook(self) -> Rulebook:
        """The rules that are tried. Raises: KnowledgeError."""
        return self._rulebook(self.question.knowledge)

    @cached_property
    def older(self) -> Rulebook | None:
        """Those they are compared with. Raises: KnowledgeError."""
        return self._rulebook(self.question.against) if self.question.against else None

    def check(self) -> None:
        """Raises: KnowledgeError where a service would not start with this knowledge."""
        _ = self.rulebook, self.older

    def _rulebook(self, file: str | None) -> Rulebook:
        return Rulebook(loader.load(Path(file) if file else None, Sources(self.question.sources)))

    def rows(self, patient_id: str, lines: Iterable[tuple[str, str]]) -> Iterator[Row]:
        """The rows of every order of the drug of this patient.

        Shape: `lines` are resources as JSON, each after its resource type; orders come first. Nothing here raises for
        what a patient's data hold: an order that could not be assessed says why.
        """
        taken = list(islice(lines, MOST_KEPT + 1))
        is_too_much = len(taken) > MOST_KEPT
        resources, broken = read(filter(_tells_of_orders, taken) if is_too_much else taken, patient_id)
        for found in signings(resources, self.zone):
            if isinstance(found, NotReplayed):
                yield self._not_assessed(patient_id, found.order, found.why)
            elif is_too_much:
                yield from (self._not_assessed(patient_id, order, TOO_MANY, found) for order in found.orders)
            else:
                yield from self._of_signing(patient_id, found, broken)
        for kind in broken:
            if kind in ORDERS:
                yield self._not_assessed(patient_id, {}, NOTHING)

    def _of_signing(self, patient_id: str, signing: Signing, broken: Sequence[str]) -> Iterator[Row]:
        try:
            call = call_of(patient_id, signing, broken, self.question.exported)
            answer = self._answer(self.rulebook, call, signing)
            older = self._answer(self.older, call, signing) if self.older else None
        except ServiceError as error:
            why = str(error)
        except Exception as error:  # as the service answers it with 500; the other patients are still asked
            why = f"a fault of the service: {type(error).__name__}"
        else:
            for order in signing.orders:
                yield from self._answered(patient_id, order, signing, answer, older)
            return
        yield from (self._not_assessed(patient_id, order, why, signing) for order in signing.orders)

    def _answer(self, rulebook: Rulebook, call: wire.HookRequest, signing: Signing) -> Answer:
        review = DrugReview(rulebook=rulebook, fhir=self._fhir, zone=self.zone, clock=lambda: signing.moment.at)
        return review.order_sign(call)

    def _answered(
        self, patient_id: str, order: Resource, signing: Signing, answer: Answer, older: Answer | None
    ) -> Iterator[Row]:
        about = self._row(patient_id, order, signing, outcome="no card")
        about["unknowns"] = tuple(Counted(name, number) for name, number in sorted(answer.unknowns.items()))
        about["knowledge"] = self.rulebook.regimen.version
        mine = of_order(answer, order, signing)
        if older is not None:
            about |= compared(of_order(older, order, signing), mine)
        for place, card in mine.items():
            yield Row(**{**about, "outcome": "card", "card": place, **told(card)})
        if not mine:
            yield Row(**about)

    def _not_assessed(self, patient_id: str, order: Resource, why: str, signing: Signing | None = None) -> Row:
        return Row(**self._row(patient_id, order, signing, outcome="not assessed"), reason=why)

    def _row(self, patient_id: str, order: Resource, signing: Signing | None, *, outcome: str) -> dict[str, Any]:
        moment = signing.moment.at.isoformat() if signing else ""
        counted = sorted(signing.assumed.items()) if signing else ()
        return {
            "patient": self.question.name(patient_id),
            "order": self.question.name(reference_of(order)) if order else "",
            "signing": self.question.name(f"{patient_id} {moment}"),
            "moment": moment,
            "outcome": outcome,
            "assumptions": tuple(Counted(which.value, number) for which, number in counted),
        }


# --- what was exported → a call ---------------------------------------------------------------------------------------


def _tells_of_orders(line: tuple[str, str]) -> bool:
    return line[0] in ORDERS or line[0] == MEDICATION


def read(lines: Iterable[tuple[str, str]], patient_id: str) -> tuple[list[Resource], list[str]]:
    """The resources in these lines, and the types of those that could not be read strictly (a key twice, say)."""
    resources: list[Resource] = []
    broken: list[str] = []
    for kind, line in lines:
        try:
            resources.append(_named(wire.decode(line.encode("utf-8", "surrogatepass")), patient_id))
        except RequestError:
            broken.append(kind)
    return resources, broken


def _named(resource: Resource, patient_id: str) -> Resource:
    """The resource with its patient by id, where an export refers to that id by `urn:uuid:`."""
    for name in ("subject", "patient"):
        if words(part(resource, name, "reference")).lower() == f"urn:uuid:{patient_id}".lower():
            return {**resource, name: {"reference": f"Patient/{patient_id}"}}
    return resource


def call_of(patient_id: str, signing: Signing, broken: Sequence[str], exported: frozenset[str]) -> wire.HookRequest:
    """The call that an EHR would have sent, with the whole chart of that moment as its prefetch.

    Raises: RequestError where no call can be made of it, as of an id that is none.
    """
    try:
        return wire.request_model(HOOK).model_validate(
            {
                "hook": HOOK,
                "hookInstance": str(uuid5(NAMESPACE_URL, f"{patient_id} {signing.moment.at.isoformat()}")),
                "context": {
                    "userId": "Practitioner/unknown",
                    "patientId": patient_id,
                    "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": one} for one in signing.drafts]},
                },
                "prefetch": prefetch_of(signing.chart, broken, exported),
            }
        )
    except ValidationError as error:
        raise RequestError(*wire.mistakes(error)) from None


def prefetch_of(chart: Sequence[Resource], broken: Sequence[str], exported: frozenset[str]) -> dict[str, Any]:
    """The chart under the keys that the service asks for; a type that was not exported is a key that is not there.

    All Observations stand under one key, and those of the other keys are empty: they count by what they are.
    """
    by_type: dict[str, list[Resource]] = {}
    for resource in chart:
        by_type.setdefault(words(resource.get("resourceType")), []).append(resource)
    filled: dict[str, Any] = {}
    for template in (*PREFETCH, CLINICAL_OBSERVATIONS):
        if not any(template.asks_for(kind) for kind in exported):
            continue
        if template.is_read:
            filled |= {template.key: by_type["Patient"][0]} if by_type.get("Patient") else {}
        elif template.resource_type != "Observation" or template.key == "observations":
            filled[template.key] = _bundle(template, by_type, broken)
        else:
            filled[template.key] = _bundle(template, {}, ())
    return filled


def _bundle(template: Template, by_type: Mapping[str, Sequence[Resource]], broken: Sequence[str]) -> Resource:
    found = [resource for kind, some in by_type.items() if template.asks_for(kind) for resource in some]
    unread = [{"fullUrl": ""} for kind in broken if template.asks_for(kind)]
    beside = by_type.get("Medication", ()) if template.key == "medicationRequests" else ()
    entries = [{"resource": resource} for resource in (*found, *beside)]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found) + len(unread),
        "entry": [*entries, *unread],
    }


# --- an answer → rows -------------------------------------------------------------------------------------------------


def of_order(answer: Answer, order: Resource, signing: Signing) -> dict[int, wire.Card]:
    """The cards about this order by their place in the answer: those that name it, or none of the orders signed."""
    signed = {reference_of(one) for one in signing.orders}
    return {
        place: card
        for place, card in enumerate(answer.response.cards, start=1)
        if reference_of(order) in (named := _orders_named(card)) or not signed & named
    }


def _orders_named(card: wire.Card) -> set[str]:
    return set(card.extension.advice.orders) if card.extension else set()


def told(card: wire.Card) -> dict[str, Any]:
    """What a row says of a card."""
    advice = card.extension.advice if card.extension else None
    return {
        "indicator": card.indicator,
        "topic": advice.topic if advice else "",
        "action": advice.action if advice else "",
        "summary": card.summary,
        "rows": advice.rows if advice else (),
        "source": card.source.label,
    }


def compared(older: Mapping[int, wire.Card], newer: Mapping[int, wire.Card]) -> dict[str, Any]:
    """What the two versions say differently of one order."""
    before, after = comparison.said_by(older.values()), comparison.said_by(newer.values())
    change = comparison.change_between("", before, after)
    if change is None:
        return {"changed": False, "cards_changed": False}
    return {"changed": True, "cards_changed": change.is_of_cards, "before": change.before, "after": change.after}
