"""Condition and AdverseEvent → toxicity records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fhir_mappings.causes import Recognised, cause_in, suspected_in
from fhir_mappings.chart import Resource
from fhir_mappings.conditions import Holding, date_in, holding, is_dropped
from fhir_mappings.dates import first_when, is_over, when
from fhir_mappings.elements import (
    Clinic,
    all_texts,
    code_of,
    extension_value,
    extensions,
    objects,
    reference_of,
    texts_of_notes,
    unreadable,
    words,
)
from fhir_mappings.facts import (
    Course,
    Grade,
    GradeSource,
    MaybeWhen,
    NotRecorded,
    NotRecordedType,
    Scale,
    Syndrome,
    ToxicityRecord,
    When,
)
from fhir_mappings.grades import (
    grade_in_extension,
    grade_in_text,
    grade_of_code,
    grade_of_severity,
    scale_in,
    value_grade,
)
from fhir_mappings.syndromes import ASTCT, Found, Named, known_toxicities, label_of, named_in
from fhir_mappings.terminology import normalised
from fhir_mappings.wording import Standing, says, statements

# --- Condition --------------------------------------------------------------------------------------------------------


def of_condition(condition: Resource, recognised: Recognised, clinic: Clinic) -> tuple[Found, ...]:
    """The toxicities that a Condition names; refuted and erroneous ones are dropped.

    Unknown: a Condition without any code or text.
    Source: clinical rules, Toxicity records.
    """
    if is_dropped(condition):
        return ()
    concept = condition.get("code")
    if not all_texts(concept) and code_of(concept) == "":
        return (unreadable(condition, "it names no condition"),)
    named = named_in(concept)
    if not named:
        return ()
    held = holding(condition, clinic)
    return tuple(_of_condition(condition, found, held, recognised, len(named) > 1) for found in named)


def _of_condition(
    condition: Resource, named: Named, held: Holding, recognised: Recognised, is_one_of_several: bool
) -> ToxicityRecord:
    texts = all_texts(condition.get("code"))
    grade = _grade_of_condition(condition, named, texts, is_one_of_several)
    standing = named.statement.standing if named.statement else Standing.SAID
    is_past = standing is Standing.PAST or (standing is Standing.OVER and not held.is_stated)
    is_open = held.is_open and not is_past
    return ToxicityRecord(
        reference=reference_of(condition),
        syndrome=named.syndrome,
        grade=grade,
        onset=held.onset,
        end=held.end,
        course=Course.OPEN if is_open else Course.RESOLVED,
        confirmed=held.is_confirmed,
        from_text=named.code is None or (isinstance(grade, Grade) and grade.source is GradeSource.TEXT),
        attributed=cause_in(condition, texts, recognised),
        acute=not any(says(normalised(text), "chronic") for text in texts),
        label=label_of(condition.get("code")),
    )


def _grade_of_condition(
    condition: Resource, named: Named, texts: tuple[str, ...], is_one_of_several: bool
) -> Grade | NotRecordedType:
    """Code, stage, text, severity: the first that has one."""
    astct = ASTCT.get(named.syndrome, Scale.NOT_STATED)
    in_extension = grade_in_extension(condition)
    in_code = grade_of_code(named.code)
    return next(
        (
            grade
            for grade in (
                replace(in_extension, source=GradeSource.CONDITION_CODE) if in_extension else None,
                in_code,
                _stage(condition, astct),
                _text_grade(named, (*texts, *texts_of_notes(condition)), astct, is_one_of_several),
                grade_of_severity(condition.get("severity")),
            )
            if grade is not None
        ),
        NotRecorded,
    )


def _stage(condition: Resource, astct: Scale) -> Grade | None:
    found = [
        value_grade(
            stage.get("summary"), GradeSource.CONDITION_STAGE, scale=scale_in(all_texts(stage.get("type")), astct=astct)
        )
        for stage in objects(condition.get("stage"))
    ]
    return max((grade for grade in found if grade), key=lambda grade: grade.value, default=None)


def _text_grade(named: Named, texts: tuple[str, ...], astct: Scale, is_one_of_several: bool) -> Grade | None:
    """The grade in the clause that names the syndrome, if the texts name several; else the highest in the texts."""
    own = grade_in_text((named.statement.clause,)) if named.statement and is_one_of_several else None
    value = own if own is not None else grade_in_text(texts)
    if value is None:
        return None
    return Grade(value=value, scale=scale_in(texts, astct=astct), source=GradeSource.TEXT)


# --- AdverseEvent -----------------------------------------------------------------------------------------------------


def of_adverse_event(event: Resource, recognised: Recognised, clinic: Clinic) -> tuple[Found, ...]:
    """The toxicities of an AdverseEvent; one that no syndrome covers is OTHER.

    Unknown: an event that is not named at all.
    """
    if code_of(event.get("status")) == "entered-in-error":
        return ()
    concept = event.get("event") or event.get("type") or event.get("code")
    texts = (*all_texts(concept), words(event.get("description")))
    if not any(texts) and code_of(concept) == "":
        return (unreadable(event, "it names no event"),)
    named = named_in(concept) or named_in(words(event.get("description")))
    if not named and _is_denied_or_excluded(texts):
        return ()
    course, end = _course(event, clinic)
    return tuple(
        _of_event(event, found, concept, course, end, recognised, clinic, len(named) > 1)
        for found in (named or (Named(syndrome=Syndrome.OTHER),))
    )


def _is_denied_or_excluded(texts: tuple[str, ...]) -> bool:
    found = statements(texts, known_toxicities())
    return bool(found) and all(statement.standing is Standing.DENIED for statement in found)


def _of_event(
    event: Resource,
    named: Named,
    concept: Any,
    course: Course,
    end: MaybeWhen,
    recognised: Recognised,
    clinic: Clinic,
    is_one_of_several: bool,
) -> ToxicityRecord:
    texts = tuple(text for text in (*all_texts(concept), words(event.get("description"))) if text)
    astct = ASTCT.get(named.syndrome, Scale.NOT_STATED)
    grade = next(
        (
            found
            for found in (
                grade_in_extension(event),
                grade_of_code(named.code),
                _text_grade(named, texts, astct, is_one_of_several),
                grade_of_severity(event.get("severity") or event.get("seriousness")),  # STU3: how severe
            )
            if found is not None
        ),
        None,
    )
    onset = first_when(
        event, clinic.zone, "date", "detected", "occurrenceDateTime", "occurrencePeriod", "effectDateTime"
    )
    is_potential = code_of(event.get("actuality")) == "potential" or code_of(event.get("category")) == "pae"  # STU3
    return ToxicityRecord(
        reference=reference_of(event),
        syndrome=named.syndrome,
        grade=NotRecorded if grade is None else grade,
        onset=date_in(texts, clinic) if onset is NotRecorded else onset,
        end=end,
        course=course,
        confirmed=not is_potential,
        from_text=(named.code is None and named.statement is not None)
        or (grade is not None and grade.source is GradeSource.TEXT),
        attributed=suspected_in(event, texts, recognised),
        acute=not any(says(normalised(text), "chronic") for text in texts),
        label=label_of(concept),
    )


def _course(event: Resource, clinic: Clinic) -> tuple[Course, MaybeWhen]:
    """Outcome and resolved date; an outcome that says it goes on outweighs a date."""
    resolved = [extension_value(found) for found in extensions(event, "adverse-event-resolved-date")]
    end = when(resolved[0], clinic.zone, "AdverseEvent", reference_of(event)) if resolved else NotRecorded
    outcome = code_of(event.get("outcome")).replace(" ", "").replace("-", "")
    if outcome == "fatal":
        return Course.FATAL, end
    if outcome in ("ongoing", "recovering", "notrecovered", "notresolved"):
        return Course.OPEN, end
    if outcome in ("resolved", "resolvedwithsequelae", "recovered") or is_over(end, clinic):
        return Course.RESOLVED, end
    return (Course.OPEN if isinstance(end, When) else Course.OUTCOME_MISSING), end
