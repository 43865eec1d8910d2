"""Organs, lung cancer and its course, and allergy to the drug."""

from __future__ import annotations

from typing import Any, Final

from fhir_mappings.chart import Resource
from fhir_mappings.conditions import NOT_PERFORMED, holding, is_dropped, recorded_day
from fhir_mappings.dates import first_when
from fhir_mappings.drugs import Medication, Recognition, known_as
from fhir_mappings.elements import (
    Clinic,
    all_texts,
    code_of,
    coded,
    extension_value,
    extensions,
    in_set,
    is_mentioned,
    objects,
    own_texts,
    part,
    read_concept,
    reference_of,
    status_of,
    texts_of_notes,
    unreadable,
)
from fhir_mappings.facts import CancerFinding, CancerRecord, DrugAllergy, OrganFinding, OrganRecord, Unknown
from fhir_mappings.observations import day_of, holders, is_panel, is_said_absent, value_of
from fhir_mappings.terminology import value_set
from fhir_mappings.versions import GIVEN, PERFORMED, WRITTEN
from fhir_mappings.wording import Standing, affirmed, statements

# --- organs -----------------------------------------------------------------------------------------------------------

_ORGANS: Final = {
    "kidney": OrganFinding.KIDNEY_STAGE_4_OR_5,
    "dialysis": OrganFinding.DIALYSIS,
    "child-pugh": OrganFinding.CHILD_PUGH_B_OR_C,
    "other-cause": OrganFinding.OTHER_LIVER_CAUSE,
}
_LONGEST_NAME: Final = 120
_EXCUSING: Final = "other-cause"


def organ_records(condition: Resource, clinic: Clinic) -> tuple[OrganRecord, ...]:
    """The organ conditions that hold now; another cause of liver injury only where it is confirmed and in own words."""
    held = holding(condition, clinic)
    if is_dropped(condition) or not held.is_open:
        return ()
    concept = condition.get("code")
    stages = tuple(stage.get("summary") for stage in objects(condition.get("stage")))
    found = {c.meaning for c in (coded(concept, value_set("organs")),) if c is not None}
    cautious = value_set("organs", "kidney", "dialysis", "child-pugh")
    texts = (*all_texts(concept), *(text for stage in stages for text in all_texts(stage)))
    found |= {s.concept.meaning for s in affirmed(texts, cautious)}
    if held.is_confirmed:
        found |= {s.concept.meaning for s in affirmed(own_texts(concept), value_set("organs", _EXCUSING))}
    name = next(iter(all_texts(concept)), "")[:_LONGEST_NAME]
    return tuple(
        OrganRecord(reference=reference_of(condition), finding=finding, day=recorded_day(condition, clinic), name=name)
        for meaning, finding in _ORGANS.items()
        if meaning in found
    )


def dialysis_procedure(procedure: Resource, clinic: Clinic) -> OrganRecord | None:
    """Dialysis by a Procedure that was performed."""
    if status_of(procedure) in NOT_PERFORMED:
        return None
    if not affirmed(all_texts(procedure.get("code")), value_set("organs", "dialysis")):
        return None
    day = first_when(procedure, clinic.zone, *PERFORMED)
    return OrganRecord(reference=reference_of(procedure), finding=OrganFinding.DIALYSIS, day=day)


# --- lung cancer ------------------------------------------------------------------------------------------------------

_CANCERS: Final = {
    "small-cell-extensive": CancerFinding.SMALL_CELL_EXTENSIVE,
    "small-cell-limited": CancerFinding.SMALL_CELL_LIMITED,
    "small-cell": CancerFinding.SMALL_CELL,
    "small-cell-histology": CancerFinding.SMALL_CELL,
    "not-small-cell": CancerFinding.NOT_SMALL_CELL,
    "lung": CancerFinding.LUNG_UNSPECIFIED,
}
_COURSES: Final = {"progression": CancerFinding.PROGRESSION, "no-progression": CancerFinding.NO_PROGRESSION}
_STAGES: Final = {
    "stage-extensive": CancerFinding.SMALL_CELL_EXTENSIVE,
    "stage-limited": CancerFinding.SMALL_CELL_LIMITED,
}


def cancer_records(condition: Resource, clinic: Clinic) -> tuple[CancerRecord, ...]:
    """Lung cancer by a confirmed Condition, with its histology and stage, and progression if its text names it."""
    if is_dropped(condition) or not holding(condition, clinic).is_confirmed:
        return ()
    concept = condition.get("code")
    finding = _diagnosis(condition, concept)
    day, name = recorded_day(condition, clinic), next(iter(all_texts(concept)), "")[:80]
    found = [CancerRecord(reference=reference_of(condition), finding=finding, day=day, name=name)] if finding else []
    progressed = affirmed(own_texts(concept), value_set("lung-cancer", *_COURSES))
    is_about_cancer = finding is not None or any(
        "disease progression" in s.clause or "progressive disease" in s.clause for s in progressed
    )
    if is_about_cancer and progressed and progressed[0].concept.meaning == "progression":
        found.append(
            CancerRecord(reference=reference_of(condition), finding=CancerFinding.PROGRESSION, day=day, name=name)
        )
    return tuple(found)


def _diagnosis(condition: Resource, concept: Any) -> CancerFinding | None:
    """The most specific of code, histology, own words and stage."""
    known = value_set("lung-cancer", *_CANCERS, "none")
    histology = [
        extension_value(e)
        for e in extensions(condition, "mcode-histology-morphology-behavior", "histology-morphology-behavior")
    ]
    found = [c.meaning for value in (concept, *histology) if (c := coded(value, known)) is not None]
    found += [
        s.concept.meaning
        for value in (concept, *histology)
        for s in statements(own_texts(value), known)
        if s.standing is not Standing.DENIED
    ]
    named = [_CANCERS[meaning] for meaning in _CANCERS if meaning in found]
    if not named:
        return None
    if CancerFinding.NOT_SMALL_CELL in named and not any("small-cell" in m and not m.startswith("not") for m in found):
        return CancerFinding.NOT_SMALL_CELL
    best = named[0]
    if best is CancerFinding.SMALL_CELL:
        return _staged(condition, concept) or best
    return best


def _staged(condition: Resource, concept: Any) -> CancerFinding | None:
    known = value_set("lung-cancer", *_STAGES)
    stages = [text for stage in objects(condition.get("stage")) for text in all_texts(stage.get("summary"))]
    named = [s.concept.meaning for s in affirmed((*own_texts(concept), *stages), known)]
    return _STAGES[named[0]] if named else None


def cancer_observed(observation: Resource, clinic: Clinic) -> tuple[CancerRecord | Unknown, ...]:
    """A disease status, or a histology or diagnosis as an Observation's value.

    Unknown: a disease status without a value, or with one that no value set knows: it may be progression.
    """
    known = value_set("lung-cancer", "disease-status")
    day, reference = day_of(observation, clinic), reference_of(observation)
    found: list[CancerRecord | Unknown] = []
    for holder in holders(observation):
        value, concept = value_of(holder), read_concept(holder.get("code"))
        if concept.answer(in_set, known) is not None or concept.answer(is_mentioned, known):
            course = _course_of(value)
            if course is not None:
                found.append(CancerRecord(reference=reference, finding=course, day=day, name=_name_of(value)))
            elif not is_said_absent(holder) and not (holder is observation and is_panel(observation)):
                found.append(unreadable(observation, "its disease status could not be read"))
        elif (value is not None) and (
            histology := coded(
                value, value_set("lung-cancer", "small-cell-histology", "small-cell", "small-cell-extensive")
            )
        ) is not None:
            finding = _CANCERS[histology.meaning]
            found.append(CancerRecord(reference=reference, finding=finding, day=day, name=_name_of(value)))
    return tuple(found)


def _name_of(value: Any) -> str:
    return next(iter(all_texts(value)), "")[:80]


def _course_of(value: Any) -> CancerFinding | None:
    """Progression in a value's words outweighs everything else in it."""
    known = value_set("lung-cancer", *_COURSES)
    code = coded(value, known)
    found = statements(all_texts(value), known)
    said = {s.concept.meaning for s in found if s.standing is not Standing.DENIED}
    named = said | ({code.meaning} if code else set())
    if "progression" in named:
        return CancerFinding.PROGRESSION
    return CancerFinding.NO_PROGRESSION if found or named else None


def platinum_medication(resource: Resource, medication: Medication, clinic: Clinic) -> CancerRecord | None:
    """Platinum chemotherapy by an order or administration that was not withdrawn."""
    found = known_as(medication, value_set("other-drugs", "platinum"))
    if found is None or status_of(resource) in ("not-done", "entered-in-error", "cancelled", "draft"):
        return None
    day = first_when(resource, clinic.zone, *GIVEN, *WRITTEN)
    return CancerRecord(reference=reference_of(resource), finding=CancerFinding.PLATINUM, day=day, name=found.code)


def platinum_procedure(procedure: Resource, clinic: Clinic) -> CancerRecord | None:
    """Platinum chemotherapy by a Procedure that was performed."""
    if status_of(procedure) in NOT_PERFORMED:
        return None
    texts = (*own_texts(procedure.get("code")), *texts_of_notes(procedure))
    found = affirmed(texts, value_set("other-drugs", "platinum"))
    if not found:
        return None
    day = first_when(procedure, clinic.zone, *PERFORMED)
    return CancerRecord(
        reference=reference_of(procedure), finding=CancerFinding.PLATINUM, day=day, name=found[0].concept.code
    )


# --- allergy ----------------------------------------------------------------------------------------------------------


def drug_allergy(allergy: Resource) -> DrugAllergy | Unknown | None:
    """An allergy or intolerance to the drug; None to anything else.

    Unknown: an allergy to nothing that can be read.
    """
    if is_dropped(allergy):
        return None
    concepts = (
        allergy.get("code"),
        allergy.get("substance"),
        *(part(r, "substance") for r in objects(allergy.get("reaction"))),
    )
    kinds = {_kind(concept) for concept in concepts}
    if Recognition.DRUG in kinds:
        name = next((text for concept in concepts for text in all_texts(concept)), "")[:80]
        return DrugAllergy(reference=reference_of(allergy), name=name)
    if kinds <= {Recognition.NONE, None}:
        return unreadable(allergy, "it names no substance")
    return None


def _kind(concept: Any) -> Recognition | None:
    if concept is None:
        return None
    texts = all_texts(concept)
    drug = value_set("drug", "drug", "claim")
    if coded(concept, drug) is not None:
        return Recognition.DRUG
    found = statements(texts, drug)
    if found:
        return Recognition.OTHER if all(s.standing is Standing.DENIED for s in found) else Recognition.DRUG
    return Recognition.OTHER if texts or code_of(concept) else Recognition.NONE
