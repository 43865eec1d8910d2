"""Observation → toxicity records: grades and ICE scores, each of one day."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any, Final

from fhir_mappings.chart import Resource
from fhir_mappings.drugs import mentions_the_drug
from fhir_mappings.elements import (
    Clinic,
    CodeableConcept,
    all_texts,
    in_set,
    is_mentioned,
    number,
    objects,
    part,
    read_concept,
    reference_of,
    unreadable,
)
from fhir_mappings.facts import Course, Grade, GradeSource, NotRecorded, Scale, Syndrome, ToxicityRecord
from fhir_mappings.grades import scale_in, value_grade
from fhir_mappings.observations import day_of, value_of
from fhir_mappings.syndromes import ASTCT, SYNDROMES, Found, known_toxicities, label_of
from fhir_mappings.terminology import ValueSet, value_set
from fhir_mappings.wording import Standing, statements

_GRADED_BY_NAME: Final = {"crs", "neurotoxicity"}  # an Observation named so is one of the grade
_ICE_HIGHEST: Final = 10


def of_observation(observation: Resource, clinic: Clinic) -> tuple[Found, ...]:
    """The grades and ICE scores that an Observation or its components hold; each knows only its day.

    Unknown: a grade or score is there and unreadable.
    """
    held: list[Found] = []
    for holder in (observation, *objects(observation.get("component"))):
        concept, known = read_concept(holder.get("code")), known_toxicities()
        names, code = concept.answer(_named, known), concept.answer(in_set, known)
        if "ice-score" in names:
            held += _ice(observation, holder, clinic)
        elif code is not None:
            held += _graded(observation, holder, {code.meaning}, clinic)
        elif concept.answer(is_mentioned, _words_of_grade()) or names & _GRADED_BY_NAME:
            held += _graded(observation, holder, names, clinic)
    return tuple(held)


def _named(concept: CodeableConcept, known: ValueSet) -> frozenset[str]:
    """What the texts of a concept name without denying it."""
    said = statements(concept.all_texts, known)
    return frozenset(statement.concept.meaning for statement in said if statement.standing is not Standing.DENIED)


def _point(observation: Resource, holder: Mapping[str, Any], syndrome: Syndrome, clinic: Clinic) -> ToxicityRecord:
    return ToxicityRecord(
        reference=reference_of(observation),
        syndrome=syndrome,
        grade=NotRecorded,
        onset=day_of(observation, clinic),
        end=NotRecorded,
        course=Course.POINT,
        attributed=True if any(mentions_the_drug(text) for text in all_texts(holder.get("code"))) else None,
        label=label_of(holder.get("code")),
    )


def _ice(observation: Resource, holder: Mapping[str, Any], clinic: Clinic) -> tuple[Found, ...]:
    value = value_of(holder)
    if value is None:
        return _without_value(observation, holder, "it is an ICE score without a value")
    figure = (
        number(part(value, "value"))
        if objects(value)
        else number(value.partition("/")[0] if isinstance(value, str) else value)
    )
    if figure is None or figure != int(figure) or not 0 <= figure <= _ICE_HIGHEST:
        return (unreadable(observation, "its ICE score could not be read"),)
    return (replace(_point(observation, holder, Syndrome.NEUROTOXICITY, clinic), ice_score=int(figure)),)


def _graded(observation: Resource, holder: Mapping[str, Any], names: Set[str], clinic: Clinic) -> tuple[Found, ...]:
    """A grade of each syndrome that the Observation's code names; one that is no grade is not about a grade."""
    syndromes = [SYNDROMES[name] for name in sorted(names) if name in SYNDROMES]
    if not syndromes:
        return ()
    value, texts = value_of(holder), all_texts(holder.get("code"))
    if value is None:
        return _without_value(observation, holder, "it is a toxicity grade without a value")
    found: list[Found] = []
    for syndrome in syndromes:
        scale = scale_in((*texts, *all_texts(observation.get("method"))), astct=ASTCT.get(syndrome, Scale.NOT_STATED))
        grade = _grade_of_value(value, scale)
        record = _point(observation, holder, syndrome, clinic)
        if grade is not None:
            found.append(replace(record, grade=grade, from_text=isinstance(value, str)))
        elif value is True:
            found.append(record)
        else:
            found.append(unreadable(observation, "its toxicity grade could not be read"))
    return tuple(found)


def _words_of_grade() -> ValueSet:
    return value_set("grades", "word")


def _grade_of_value(value: Any, scale: Scale) -> Grade | None:
    if isinstance(value, bool):
        return None if value else Grade(value=0, scale=scale, source=GradeSource.OBSERVATION)
    return value_grade(value, GradeSource.OBSERVATION, scale=scale)


def _without_value(observation: Resource, holder: Mapping[str, Any], why: str) -> tuple[Found, ...]:
    """Missing with a reason is missing; missing without one is unreadable; a panel has its values in components."""
    if objects(holder.get("dataAbsentReason")) or objects(observation.get("component")):
        return ()
    return (unreadable(observation, why),)
