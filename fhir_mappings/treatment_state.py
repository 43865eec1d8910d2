"""A chart → the facts that the rules ask for: one pass over the resources, each read by what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, cached_property
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from fhir_mappings.administrations import administration, claim
from fhir_mappings.appointments import visit_of
from fhir_mappings.characteristics import person_of, uterus_by_sex
from fhir_mappings.chart import Chart, Resource
from fhir_mappings.companions import companions_of
from fhir_mappings.conditions import holding, is_dropped
from fhir_mappings.diagnoses import (
    cancer_observed,
    cancer_records,
    dialysis_procedure,
    drug_allergy,
    organ_records,
    platinum_medication,
    platinum_procedure,
)
from fhir_mappings.drugs import Medication, Recognition, kind_of, known_as, medication_of
from fhir_mappings.elements import (
    Clinic,
    CodeableConcept,
    all_texts,
    belongs_elsewhere,
    code_of,
    in_set,
    is_mentioned,
    read_concept,
    reference_of,
    status_of,
    unreadable,
    words,
)
from fhir_mappings.facts import (
    DRAFT,
    Administration,
    CancerRecord,
    Claim,
    Companion,
    DrugAllergy,
    FeedingRecord,
    FertilityFinding,
    FertilityRecord,
    LabResult,
    OrderedDose,
    OrganRecord,
    OtherEngager,
    Person,
    PregnancyFinding,
    PregnancyRecord,
    ProposedVisit,
    Support,
    ToxicityRecord,
    TreatmentState,
    Unknown,
    VitalSign,
)
from fhir_mappings.feeding import delivery_event, feeding_condition, feeding_observed
from fhir_mappings.fertility import contraception_observed, contraceptive_order, fertility_record
from fhir_mappings.graded_observations import of_observation
from fhir_mappings.laboratory import ANALYTES, laboratory_results, vital_signs
from fhir_mappings.medications import MOST_DOSES, ordered_doses
from fhir_mappings.observations import is_usable, value_of
from fhir_mappings.pregnancy import pregnancy_condition, pregnancy_observed
from fhir_mappings.supports import (
    breathing_support,
    breathing_support_observed,
    engager_medication,
    engager_procedure,
    pressor_given,
    pressor_ordered,
)
from fhir_mappings.terminology import ValueSet, anything_in
from fhir_mappings.toxicities import of_adverse_event, of_condition
from fhir_mappings.versions import NOTES, REASONS

_ORDERS: Final = ("MedicationRequest", "MedicationOrder")
_ADMINISTRATION: Final = "MedicationAdministration"
_NOT_COUNTED: Final = ("entered-in-error", "not-done")
_Fact = TypeVar("_Fact")


@dataclass
class _Findings:
    """The facts so far, in order of receipt."""

    people: list[Person] = field(default_factory=list)
    orders: list[OrderedDose] = field(default_factory=list)
    administrations: list[Administration] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    companions: list[Companion] = field(default_factory=list)
    toxicities: list[ToxicityRecord] = field(default_factory=list)
    engagers: list[OtherEngager] = field(default_factory=list)
    labs: list[LabResult] = field(default_factory=list)
    vitals: list[VitalSign] = field(default_factory=list)
    supports: list[Support] = field(default_factory=list)
    pregnancy: list[PregnancyRecord] = field(default_factory=list)
    fertility: list[FertilityRecord] = field(default_factory=list)
    feeding: list[FeedingRecord] = field(default_factory=list)
    organs: list[OrganRecord] = field(default_factory=list)
    cancer: list[CancerRecord] = field(default_factory=list)
    allergies: list[DrugAllergy] = field(default_factory=list)
    visits: list[ProposedVisit] = field(default_factory=list)
    unknowns: list[Unknown] = field(default_factory=list)
    nameless: list[str] = field(default_factory=list)

    @cached_property
    def doses_of_orders(self) -> Mapping[str, tuple[OrderedDose, ...]]:
        """The doses of each order by its reference. Asked for once all orders are read."""
        by_order: dict[str, list[OrderedDose]] = {}
        for dose in self.orders:
            by_order.setdefault(dose.order, []).append(dose)
        return {order: tuple(doses) for order, doses in by_order.items()}

    def keep(self, place: list[_Fact], found: Iterable[_Fact | Unknown] | _Fact | Unknown | None) -> None:
        """Put facts into their place and Unknowns into theirs; nothing found is nothing kept."""
        if found is None:
            return
        for fact in found if isinstance(found, tuple) else (found,):
            if isinstance(fact, Unknown):
                self.unknowns.append(fact)
            else:
                place.append(fact)


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """One reading of a chart: where and when, what the medications are, and what was found."""

    clinic: Clinic
    chart: Chart
    medications: Mapping[int, Medication]  # by the identity of the resource
    kinds: Mapping[int, Recognition]
    recognised: Callable[[str], Recognition | None]
    found: _Findings


def read(chart: Chart, *, zone: ZoneInfo, at: datetime) -> TreatmentState:
    """Everything the chart says that a rule asks for.

    Units/shape: days in `zone`, amounts as the facts name them; tuples in order of receipt.
    Unknown: a resource that could not be read and whose type matters; another patient's, which is never used.
    """
    clinic = Clinic(zone=zone, at=at.astimezone(zone), patient_id=chart.patient_id)
    found = _Findings(unknowns=list(chart.unknowns))
    drafts = tuple(
        (entry, order)
        for entry, order in enumerate(chart.draft_orders)
        if _type_if_ours(order, clinic, found, is_draft=True)
    )
    resources = [(kind, one) for one in chart.resources if (kind := _type_if_ours(one, clinic, found)) in _READERS]
    on_record = tuple(resource for kind, resource in resources if kind in _ORDERS)
    given = tuple(resource for kind, resource in resources if kind == _ADMINISTRATION)
    drafted = (order for _, order in drafts if words(order.get("resourceType")) in (*_ORDERS, _ADMINISTRATION))
    of_medications = (*drafted, *on_record, *given)
    medications = {id(resource): medication_of(resource, chart.medications) for resource in of_medications}
    kinds = {identity: kind_of(medication) for identity, medication in medications.items()}
    reading = _Reading(
        clinic=clinic,
        chart=chart,
        medications=medications,
        kinds=kinds,
        recognised=_recogniser(chart, of_medications, kinds),
        found=found,
    )
    _read_orders(drafts, on_record, reading)
    for kind, resource in resources:
        _READERS[kind](resource, reading)
    for appointment in chart.appointments:
        found.keep(found.visits, visit_of(appointment, reading.recognised, clinic))
    return _state(chart, found)


def _type_if_ours(resource: Any, clinic: Clinic, found: _Findings, *, is_draft: bool = False) -> str:
    """The type of a resource of this patient; "" for what is none or another's, which becomes an Unknown."""
    kind = words(resource.get("resourceType")) if isinstance(resource, dict) else ""
    if not kind:
        found.unknowns.append(Unknown(what="resource", why="it is no FHIR resource"))
        return ""
    elsewhere = belongs_elsewhere(resource, clinic)
    if elsewhere is not None:
        found.unknowns.append(replace(elsewhere, what=DRAFT) if is_draft else elsewhere)
        return ""
    return kind


def _recogniser(
    chart: Chart, of_medications: Sequence[Resource], kinds: Mapping[int, Recognition]
) -> Callable[[str], Recognition | None]:
    """Whether what a reference points to is the drug; None for what the chart does not hold."""
    known = {reference_of(resource): kinds[id(resource)] for resource in of_medications}

    def recognised(pointer: str) -> Recognition | None:
        if pointer in known:
            return known[pointer]
        if pointer in chart.medications:
            return kind_of(medication_of({"medicationReference": {"reference": pointer}}, chart.medications))
        return None

    return recognised


def _state(chart: Chart, found: _Findings) -> TreatmentState:
    """Everything found. Without a Patient resource the person has no reference: there is nothing to show."""
    return TreatmentState(
        patient=next(iter(found.people), Person(reference="")),
        needs=chart.needs,
        orders=tuple(found.orders),
        administrations=tuple(found.administrations),
        claims=tuple(found.claims),
        companions=tuple(found.companions),
        toxicities=tuple(found.toxicities),
        engagers=tuple(found.engagers),
        labs=tuple(found.labs),
        vitals=tuple(found.vitals),
        supports=tuple(found.supports),
        pregnancy=tuple(found.pregnancy),
        fertility=tuple(found.fertility),
        feeding=tuple(found.feeding),
        organs=tuple(found.organs),
        cancer=tuple(found.cancer),
        allergies=tuple(found.allergies),
        unknowns=tuple(dict.fromkeys(found.unknowns)),
        nameless=tuple(found.nameless),
        visits=tuple(found.visits),
    )


# --- orders -----------------------------------------------------------------------------------------------------------


def _read_orders(drafts: tuple[tuple[int, Resource], ...], on_record: tuple[Resource, ...], reading: _Reading) -> None:
    """The drug's orders first, drafts before the record: administrations and companions refer to them."""
    orders = (*drafts, *((-1, order) for order in on_record))
    for entry, order in orders:
        medication = reading.medications.get(id(order))
        if medication is None or _forbids(order) or (entry < 0 and code_of(order.get("status")) == "entered-in-error"):
            continue
        match reading.kinds[id(order)]:
            case Recognition.DRUG:
                doses = ordered_doses(order, medication, reading.clinic, entry=entry)
                reading.found.orders += doses
                if entry < 0 and len(doses) > MOST_DOSES:  # a draft's surplus is asked about like any unclear dose
                    reading.found.unknowns.append(unreadable(order, doses[-1].amount.doubt))
            case Recognition.UNREADABLE:
                unknown = unreadable(order, "its medication could not be read")
                reading.found.unknowns.append(replace(unknown, what=DRAFT) if entry >= 0 else unknown)
            case Recognition.NONE if entry < 0:
                reading.found.unknowns.append(unreadable(order, "it states no medication"))
            case _:
                pass
    for entry, order in orders:
        _read_companion(order, reading, is_draft=entry >= 0)


def _forbids(order: Resource) -> bool:
    """Whether an order says that something is not to be given."""
    return order.get("doNotPerform") is True


def _read_companion(order: Resource, reading: _Reading, *, is_draft: bool) -> None:
    medication = reading.medications.get(id(order))
    if medication is None or _forbids(order) or not _is_of_interest(order, reading):
        return
    if not is_draft and code_of(order.get("status")) != "active":
        return
    reading.found.companions += companions_of(order, medication, reading.clinic, is_draft=is_draft)


def _is_of_interest(resource: Resource, reading: _Reading) -> bool:
    """Whether a medication is another one that a rule names: a look that most orders end with."""
    identity = id(resource)
    if reading.kinds[identity] is not Recognition.OTHER:
        return False
    return known_as(reading.medications[identity], anything_in("premedication", "other-drugs")) is not None


def _read_other_order(order: Resource, reading: _Reading) -> None:
    """What an order of another medication says beside being one."""
    medication, clinic, found = reading.medications[id(order)], reading.clinic, reading.found
    if not _is_of_interest(order, reading):
        return
    found.keep(found.supports, pressor_ordered(order, medication, clinic))
    found.keep(found.engagers, engager_medication(order, medication, clinic))
    found.keep(found.cancer, platinum_medication(order, medication, clinic))
    found.keep(found.fertility, contraceptive_order(order, medication, clinic))


def _read_administration(resource: Resource, reading: _Reading) -> None:
    medication, clinic, found = reading.medications[id(resource)], reading.clinic, reading.found
    match reading.kinds[id(resource)]:
        case Recognition.DRUG:
            found.administrations.append(administration(resource, medication, found.doses_of_orders, clinic))
        case Recognition.OTHER if _is_of_interest(resource, reading):
            found.keep(found.supports, pressor_given(resource, medication, clinic))
            found.keep(found.engagers, engager_medication(resource, medication, clinic))
            found.keep(found.cancer, platinum_medication(resource, medication, clinic))
        case Recognition.UNREADABLE | Recognition.NONE:
            if status_of(resource) not in _NOT_COUNTED:
                found.unknowns.append(unreadable(resource, "its medication could not be read"))
        case _:
            pass


# --- other resources --------------------------------------------------------------------------------------------------


def _read_patient(patient: Resource, reading: _Reading) -> None:
    found = reading.found
    if words(patient.get("id")) != reading.clinic.patient_id:
        found.unknowns.append(unreadable(patient, "it is another patient and was not used", foreign=True))
        return
    found.people.append(person_of(patient, reading.clinic))
    found.fertility += uterus_by_sex(patient)


_SUBJECTS: Final = (
    "toxicities",
    "pregnancy",
    "fertility",
    "feeding",
    "organs",
    "lung-cancer",
    "drug",
    "other-drugs",
)


@cache
def _of_a_condition() -> ValueSet:
    return anything_in(*_SUBJECTS)


@cache
def _of_a_procedure() -> ValueSet:
    return anything_in(*_SUBJECTS, "supports")


@cache
def _of_an_observation() -> ValueSet:
    return anything_in(*_SUBJECTS, "supports", "laboratory-tests", "vital-signs")


@cache
def _measurements() -> ValueSet:
    return anything_in("laboratory-tests", "vital-signs")


def _may_mean_something(concept: CodeableConcept, known: ValueSet) -> bool:
    """Whether a concept could mean anything in these value sets: a look that most resources end with.

    A concept that says nothing at all is something: it must become an Unknown.
    """
    return is_mentioned(concept, known) or in_set(concept, known) is not None or concept.is_empty


def _read_condition(condition: Resource, reading: _Reading) -> None:
    clinic, found = reading.clinic, reading.found
    beside = condition.get("stage") is not None or condition.get("extension") is not None
    if not read_concept(condition.get("code")).answer(_may_mean_something, _of_a_condition()):
        if _is_nameless(condition, clinic):
            found.nameless.append(reference_of(condition))
        if not beside:
            return
    found.keep(found.toxicities, of_condition(condition, reading.recognised, clinic))
    if is_dropped(condition):
        return
    pregnancy = pregnancy_condition(condition, clinic)
    if pregnancy is not None:
        _keep_pregnancy(pregnancy, found)
    found.keep(found.fertility, fertility_record(condition, clinic))
    found.keep(found.feeding, feeding_condition(condition, clinic))
    found.keep(found.organs, organ_records(condition, clinic))
    found.keep(found.cancer, cancer_records(condition, clinic))


def _is_nameless(condition: Resource, clinic: Clinic) -> bool:
    """Whether an open condition has a code that is not known here and no name: it may be anything."""
    code = condition.get("code")
    is_nameless = not all_texts(code) and code_of(code) != ""
    return is_nameless and not is_dropped(condition) and holding(condition, clinic).is_open


def _keep_pregnancy(pregnancy: PregnancyRecord, found: _Findings) -> None:
    """A pregnancy on record is evidence of a uterus, too."""
    found.pregnancy.append(pregnancy)
    if pregnancy.finding is PregnancyFinding.PREGNANT:
        found.fertility.append(
            FertilityRecord(
                reference=pregnancy.reference,
                finding=FertilityFinding.UTERUS_EVIDENCE,
                name="pregnancy on record",
                day=pregnancy.day,
            )
        )


def _read_observation(observation: Resource, reading: _Reading) -> None:
    """By its code first: results and vital signs are many, and nothing else is asked of them."""
    clinic, found, concept = reading.clinic, reading.found, read_concept(observation.get("code"))
    if not is_usable(observation):
        return
    measurement = concept.answer(in_set, _measurements())
    if measurement is not None and measurement.meaning in ANALYTES:
        found.keep(found.labs, laboratory_results(observation, clinic))
        return
    if measurement is not None:
        found.keep(found.vitals, vital_signs(observation, clinic))
        if not observation.keys().isdisjoint(_BESIDE_AN_OBSERVATION):
            found.keep(found.supports, breathing_support_observed(observation, clinic))
        return
    if concept.is_empty:
        found.unknowns.append(unreadable(observation, "it does not say what was observed"))
        return
    if not concept.answer(_may_mean_something, _of_an_observation()) and not _speaks_beside_its_code(observation):
        return
    found.keep(found.labs, laboratory_results(observation, clinic))
    found.keep(found.vitals, vital_signs(observation, clinic))
    found.keep(found.toxicities, of_observation(observation, clinic))
    found.keep(found.supports, breathing_support_observed(observation, clinic))
    found.keep(found.cancer, cancer_observed(observation, clinic))
    feeding, pregnancy = feeding_observed(observation, clinic), pregnancy_observed(observation, clinic)
    found.keep(found.feeding, feeding)
    found.keep(found.fertility, contraception_observed(observation, clinic))
    if pregnancy is not None:
        _keep_pregnancy(pregnancy, found)
    if (feeding or pregnancy) and value_of(observation) in (None, "", {}, []):
        found.unknowns.append(unreadable(observation, "its value is missing"))


def _speaks_beside_its_code(observation: Resource) -> bool:
    beside = observation.keys() & {"valueCodeableConcept", *_BESIDE_AN_OBSERVATION}
    return any(observation[name] is not None for name in beside)


def _read_adverse_event(event: Resource, reading: _Reading) -> None:
    reading.found.keep(reading.found.toxicities, of_adverse_event(event, reading.recognised, reading.clinic))


_BESIDE_A_PROCEDURE: Final = (*NOTES, *REASONS, "usedCode", "used")
_BESIDE_AN_OBSERVATION: Final = (*NOTES, "device", "component")


def _read_procedure(procedure: Resource, reading: _Reading) -> None:
    clinic, found = reading.clinic, reading.found
    concept = read_concept(procedure.get("code"))
    if concept.is_empty:
        if status_of(procedure) not in _NOT_COUNTED:
            found.unknowns.append(unreadable(procedure, "it names no procedure"))
        return
    beside = any(procedure.get(name) is not None for name in _BESIDE_A_PROCEDURE)
    if not beside and not concept.answer(_may_mean_something, _of_a_procedure()):
        return
    found.keep(found.claims, claim(procedure, clinic))
    found.keep(found.supports, breathing_support(procedure, clinic))
    found.keep(found.engagers, engager_procedure(procedure, clinic))
    found.keep(found.fertility, fertility_record(procedure, clinic))
    found.keep(found.feeding, delivery_event(procedure, clinic))
    found.keep(found.organs, dialysis_procedure(procedure, clinic))
    found.keep(found.cancer, platinum_procedure(procedure, clinic))


def _read_encounter(encounter: Resource, reading: _Reading) -> None:
    reading.found.keep(reading.found.feeding, delivery_event(encounter, reading.clinic))


def _read_allergy(allergy: Resource, reading: _Reading) -> None:
    reading.found.keep(reading.found.allergies, drug_allergy(allergy))


_READERS: Final[Mapping[str, Callable[[Resource, _Reading], None]]] = {
    "Patient": _read_patient,
    "MedicationRequest": _read_other_order,
    "MedicationOrder": _read_other_order,
    "MedicationAdministration": _read_administration,
    "Condition": _read_condition,
    "Observation": _read_observation,
    "AdverseEvent": _read_adverse_event,
    "Procedure": _read_procedure,
    "Encounter": _read_encounter,
    "AllergyIntolerance": _read_allergy,
}
