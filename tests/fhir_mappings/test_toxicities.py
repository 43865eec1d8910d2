"""Toxicity records: which syndrome, which grade and scale, whether over. Now is 2026-01-20, 12:00 in Berlin."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from fhir_mappings.facts import (
    Course,
    Grade,
    GradeSource,
    NotRecorded,
    Scale,
    Syndrome,
    ToxicityRecord,
    Unknown,
    When,
)
from tests.fhir_mappings.charts import (
    ICD,
    LOINC,
    NCIT,
    SNOMED,
    code,
    condition,
    day,
    event,
    given,
    observation,
    order,
    state,
)

CRS, NEURO = Syndrome.CRS, Syndrome.NEUROTOXICITY
GRADES = "http://hl7.org/fhir/us/ctcae/CodeSystem/ctcae-grade-code-system"


def records(*resources: Any) -> tuple[ToxicityRecord, ...]:
    return state(*resources).toxicities


def one(*resources: Any) -> ToxicityRecord:
    (found,) = records(*resources)
    return found


def graded(resource: Any) -> tuple[int, Scale, GradeSource, bool]:
    grade = one(resource).grade
    assert isinstance(grade, Grade)
    return grade.value, grade.scale, grade.source, grade.at_least


# --- syndrome ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("concept", "syndrome"),
    [
        (code(ICD, "D89.832"), CRS),
        (code(ICD, "D89.839"), CRS),
        (code(NCIT, "C143394"), CRS),
        (code("http://terminology.hl7.org/CodeSystem/MDRAE", "10052015"), CRS),
        (code("https://www.meddra.org", "10052015"), CRS),
        ("Cytokine release syndrome", CRS),
        ("CRS", CRS),
        (code(SNOMED, "1", "Cytokine release syndrome"), CRS),
        (code(ICD, "G92.00"), NEURO),
        (code(NCIT, "C146699"), NEURO),
        (code(NCIT, "C146700"), NEURO),
        (code(NCIT, "C146785"), NEURO),
        ("ICANS", NEURO),
        ("Immune effector cell-associated neurotoxicity syndrome", NEURO),
        ("neurotoxicity", NEURO),
        ("New seizure", Syndrome.POSSIBLE_NEUROTOXICITY),
        ("confusion", Syndrome.POSSIBLE_NEUROTOXICITY),
        ("seizure due to tarlatamab", Syndrome.POSSIBLE_NEUROTOXICITY),
        ("Pneumonia", Syndrome.INFECTION),
        ("sepsis", Syndrome.INFECTION),
        ("Febrile neutropenia", Syndrome.FEBRILE_NEUTROPENIA),
        (code(NCIT, "C143481"), Syndrome.FEBRILE_NEUTROPENIA),
        ("neutropenia", Syndrome.NEUTROPENIA),
        (code(NCIT, "C143764"), Syndrome.THROMBOCYTOPENIA),
        ("anemia", Syndrome.ANAEMIA),
        (code(NCIT, "C143325"), Syndrome.LIVER),
        ("transaminitis", Syndrome.LIVER),
    ],
)
def test_a_condition_names_its_syndrome_by_code_or_words(concept: Any, syndrome: Syndrome) -> None:
    assert one(condition(concept)).syndrome is syndrome


@pytest.mark.parametrize(
    "concept",
    [
        "Peripheral neuropathy",
        "peripheral neurotoxicity",
        "no evidence of CRS",
        "rule out CRS",
        "family history of infection",
        "CRS prophylaxis",
        "COVID-19 vaccination",
        "seizure due to alcohol withdrawal",
        "hepatic encephalopathy",
        "iron deficiency anemia",
        "Hypertension",
        code(ICD, "I10"),
        code(ICD, "D89.89"),
    ],
)
def test_what_only_looks_like_a_toxicity_is_none(concept: Any) -> None:
    found = state(condition(concept))
    assert (found.toxicities, found.unknowns) == ((), ())


def test_a_condition_without_any_name_is_said() -> None:
    nameless: tuple[Any, ...] = (None, {}, 5, [], {"text": ""})
    for concept in nameless:
        (said,) = state(condition("x") | {"code": concept}).unknowns
        assert (said.what, said.reference) == ("Condition", "Condition/c1")


def test_two_syndromes_in_one_text_are_two_records_each_with_its_grade() -> None:
    found = records(condition("CRS grade 1. ICANS grade 3"))
    assert [(r.syndrome, r.grade.value) for r in found if isinstance(r.grade, Grade)] == [(CRS, 1), (NEURO, 3)]
    found = records(condition("CRS and ICANS, grade 3"))
    assert [r.grade.value for r in found if isinstance(r.grade, Grade)] == [3, 3]


def test_a_denied_mention_does_not_hide_a_stated_one() -> None:
    assert [r.course for r in records(condition("history of CRS; CRS grade 2"))] == [Course.OPEN]
    assert [r.syndrome for r in records(condition("confusion, ICANS"))] == [NEURO]


def test_whether_it_was_found_only_in_text() -> None:
    assert one(condition(code(ICD, "D89.832"))).from_text is False
    assert one(condition(code(ICD, "D89.839") | {"text": "grade 2"})).from_text is True
    assert one(condition("CRS")).from_text is True


def test_the_label_is_its_text_or_the_name_of_its_code() -> None:
    assert one(condition("CRS grade 2")).label == "CRS grade 2"
    assert one(condition(code(ICD, "D89.832"))).label == "Cytokine release syndrome, grade 2"


# --- grade ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("icd", "value", "scale"),
    [("D89.831", 1, Scale.ASTCT_CRS), ("D89.832", 2, Scale.ASTCT_CRS), ("D89.833", 3, Scale.ASTCT_CRS), ("D89.834", 4, Scale.ASTCT_CRS),
     ("D89.835", 5, Scale.ASTCT_CRS), ("G92.01", 1, Scale.ASTCT_ICANS), ("G92.02", 2, Scale.ASTCT_ICANS), ("G92.03", 3, Scale.ASTCT_ICANS),
     ("G92.04", 4, Scale.ASTCT_ICANS), ("G92.05", 5, Scale.ASTCT_ICANS)],
)  # fmt: skip
def test_the_code_carries_the_grade(icd: str, value: int, scale: Scale) -> None:
    assert graded(condition(code(ICD, icd))) == (value, scale, GradeSource.CONDITION_CODE, False)


@pytest.mark.parametrize(
    ("text", "value"),
    [("CRS grade 3", 3), ("CRS G3", 3), ("CRS gr. III", 3), ("CRS grade III", 3), ("grade IV ICANS", 4), ("CRS (Grade 2)", 2),
     ("CRS grade2", 2), ("CRS grade 2-3", 3), ("CRS grade 3/4", 4), ("CRS grade 1 to 2", 2), ("Grade 1 CRS, max grade 3", 3)],
)  # fmt: skip
def test_a_text_names_the_grade(text: str, value: int) -> None:
    assert graded(condition(text)) == (value, Scale.NOT_STATED, GradeSource.TEXT, False)


@pytest.mark.parametrize("text", ["CRS", "CRS 3", "CRS grade 6", "CRS on day 3", "CRS grade 10"])
def test_what_is_no_grade_is_none(text: str) -> None:
    assert one(condition(text)).grade is NotRecorded


@pytest.mark.parametrize(
    ("text", "scale"),
    [("CRS grade 2 (ASTCT)", Scale.ASTCT_CRS), ("ICANS grade 2 ASTCT", Scale.ASTCT_ICANS), ("CRS grade 2 CTCAE v5", Scale.CTCAE),
     ("pneumonia grade 2 ASTCT", Scale.NOT_STATED), ("CRS grade 2 ASTCT/CTCAE", Scale.NOT_STATED)],
)  # fmt: skip
def test_the_scale_is_kept_where_it_is_named(text: str, scale: Scale) -> None:
    assert graded(condition(text))[1] is scale


def test_the_code_is_trusted_before_stage_text_and_severity() -> None:
    everything = condition(
        code(ICD, "D89.832") | {"text": "CRS grade 4"},
        stage=[{"summary": {"text": "Grade 3"}}],
        severity=code(SNOMED, "24484000"),
    )
    assert graded(everything)[0] == 2
    without_code = everything | {"code": {"text": "CRS grade 4"}}
    assert graded(without_code) == (3, Scale.NOT_STATED, GradeSource.CONDITION_STAGE, False)
    without_stage = without_code | {"stage": None}
    assert graded(without_stage) == (4, Scale.NOT_STATED, GradeSource.TEXT, False)
    assert graded(without_stage | {"code": {"text": "CRS"}}) == (3, Scale.NOT_STATED, GradeSource.SEVERITY, True)


def test_the_highest_of_several_stages_counts_with_its_scale() -> None:
    found = condition(
        "CRS", stage=[{"summary": {"text": "Grade 1"}}, {"summary": code(NCIT, "C41340")}, {"summary": {"text": "x"}}]
    )
    assert graded(found)[:2] == (3, Scale.CTCAE)
    typed = condition("CRS", stage=[{"summary": {"text": "2"}, "type": {"text": "ASTCT"}}])
    assert graded(typed)[:2] == (2, Scale.ASTCT_CRS)


def test_a_grade_extension_on_a_condition_counts_as_its_code() -> None:
    found = condition("CRS", extension=[{"url": "http://x/ctcae-grade", "valueCodeableConcept": code(GRADES, "3")}])
    assert graded(found)[0] == 3


@pytest.mark.parametrize(
    ("severity", "value"),
    [
        (code(SNOMED, "255604002"), 1),
        (code(SNOMED, "6736007"), 2),
        (code(SNOMED, "24484000"), 3),
        ({"text": "Severe"}, 3),
        ({"text": "moderate to severe"}, 2),
        (code("urn:oid:1", "severe"), 3),
        ("mild", 1),
        (code("urn:oid:1", "9", "Moderate"), 2),
    ],
)
def test_a_severity_is_a_lower_bound(severity: Any, value: int) -> None:
    assert graded(condition("CRS", severity=severity)) == (value, Scale.NOT_STATED, GradeSource.SEVERITY, True)


@pytest.mark.parametrize("severity", [None, {}, {"text": "x"}, 5, code(SNOMED, "1")])
def test_no_readable_severity_is_no_grade(severity: Any) -> None:
    assert one(condition("CRS", severity=severity)).grade is NotRecorded


# --- status -----------------------------------------------------------------------------------------------------------


def status(value: str) -> dict[str, Any]:
    return code("http://terminology.hl7.org/CodeSystem/condition-clinical", value)


@pytest.mark.parametrize(
    "value", [None, status("active"), status("recurrence"), status("relapse"), "active", {}, status("??")]
)
def test_active_or_missing_without_an_end_is_open(value: Any) -> None:
    assert one(condition("CRS", clinicalStatus=value)).course is Course.OPEN


@pytest.mark.parametrize("value", ["inactive", "remission", "resolved"])
def test_inactive_remission_and_resolved_are_resolved(value: str) -> None:
    assert one(condition("CRS", clinicalStatus=status(value))).course is Course.RESOLVED
    assert one(condition("CRS", clinicalStatus=status(value))).end is NotRecorded


@pytest.mark.parametrize(
    ("more", "course", "end"),
    [
        ({"abatementDateTime": "2026-01-20"}, Course.RESOLVED, day("2026-01-20")),
        ({"abatementDateTime": "2026-01-21"}, Course.OPEN, day("2026-01-21")),
        ({"abatementDateTime": "2026-01-19", "clinicalStatus": status("active")}, Course.RESOLVED, day("2026-01-19")),
        ({"abatementPeriod": {"start": "2026-01-10", "end": "2026-01-12"}}, Course.RESOLVED, day("2026-01-12")),
        ({"abatementPeriod": {"start": "2026-01-10"}}, Course.OPEN, NotRecorded),
        ({"abatementString": "resolved"}, Course.RESOLVED, NotRecorded),
        ({"abatementString": "2026-01-12, after steroids"}, Course.RESOLVED, day("2026-01-12")),
        ({"abatementString": "expected 2026-02-01"}, Course.OPEN, day("2026-02-01")),
        ({"abatementString": "ongoing"}, Course.OPEN, NotRecorded),
        ({"abatementString": "not yet"}, Course.OPEN, NotRecorded),
        ({"abatementBoolean": True}, Course.RESOLVED, NotRecorded),
        ({"abatementBoolean": False}, Course.OPEN, NotRecorded),
        ({"abatementAge": {"value": 64}}, Course.RESOLVED, NotRecorded),
        ({"abatementRange": {"low": {"value": 1}}}, Course.RESOLVED, NotRecorded),
        ({"abatementString": "unknown"}, Course.OPEN, NotRecorded),
        ({"abatementString": "zq9x"}, Course.OPEN, NotRecorded),
        ({"abatementAge": {}}, Course.OPEN, NotRecorded),
        ({"abatementRange": {"low": {}}}, Course.OPEN, NotRecorded),
        ({"abatementString": "resolved", "clinicalStatus": status("active")}, Course.OPEN, NotRecorded),
        ({"abatementBoolean": True, "clinicalStatus": status("active")}, Course.OPEN, NotRecorded),
        ({"abatementAge": {"value": 99}, "clinicalStatus": status("relapse")}, Course.OPEN, NotRecorded),
        ({"abatementRange": {"high": {"value": 1}}, "clinicalStatus": status("recurrence")}, Course.OPEN, NotRecorded),
        (
            {"abatementRange": {"high": {"value": 1}}, "clinicalStatus": status("resolved")},
            Course.RESOLVED,
            NotRecorded,
        ),
    ],
)
def test_every_kind_of_abatement_is_read(more: Any, course: Course, end: Any) -> None:
    found = one(condition("CRS", **more))
    assert (found.course, found.end) == (course, end)


def test_an_unreadable_abatement_leaves_it_open_with_an_unknown_end() -> None:
    found = one(condition("CRS", abatementDateTime="1970-02-30"))
    assert found.course is Course.OPEN
    assert isinstance(found.end, Unknown)


@pytest.mark.parametrize("value", ["refuted", "entered-in-error"])
def test_refuted_and_erroneous_ones_are_dropped(value: str) -> None:
    assert records(condition("CRS grade 4", verificationStatus=status(value))) == ()


@pytest.mark.parametrize(
    ("value", "confirmed"),
    [("confirmed", True), ("unconfirmed", False), ("provisional", False), ("differential", False)],
)
def test_unsure_ones_are_kept_as_such(value: str, confirmed: bool) -> None:
    assert one(condition("CRS", verificationStatus=status(value))).confirmed is confirmed
    assert one(condition("CRS")).confirmed is True


@pytest.mark.parametrize(
    ("text", "more", "course"),
    [
        ("history of CRS grade 4", {"clinicalStatus": status("active")}, Course.RESOLVED),
        ("CRS grade 2 resolved", {}, Course.RESOLVED),
        ("CRS grade 2 resolved", {"clinicalStatus": status("active")}, Course.OPEN),
        ("CRS not resolved", {}, Course.OPEN),
    ],
)
def test_a_text_may_say_that_it_is_over(text: str, more: Any, course: Course) -> None:
    assert one(condition(text, **more)).course is course


@pytest.mark.parametrize(
    ("text", "acute"),
    [
        ("pneumonia", True),
        ("chronic hepatitis B", False),
        ("latent tuberculosis", False),
        ("hepatitis B carrier", False),
        ("history of pneumonia", False),
    ],
)
def test_chronic_states_are_not_acute(text: str, acute: bool) -> None:
    assert one(condition(text)).acute is acute


# --- onset ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [{"onsetDateTime": "2026-01-12"}, {"onsetPeriod": {"start": "2026-01-12", "end": "2026-01-14"}}, {"onsetString": "about 2026-01-12"}, {"code": {"text": "CRS since 2026-01-12"}}],
)  # fmt: skip
def test_the_onset_is_stated_or_named_in_a_text(more: Any) -> None:
    assert one(condition("CRS") | more).onset == day("2026-01-12")


def test_a_partial_date_in_the_text_is_the_onset_where_none_is_recorded() -> None:
    found = one(condition("grade IV ICANS 2025-10"))
    assert found.onset == When(earliest=date(2025, 10, 1), latest=date(2025, 10, 31), recorded="2025-10")
    assert isinstance(found.grade, Grade)
    assert found.grade.value == 4
    assert one(condition("grade IV ICANS 2025-10", onsetDateTime="2025-11-02")).onset == day("2025-11-02")


def test_no_onset_or_several_dates_are_not_recorded() -> None:
    assert one(condition("CRS", recordedDate="2026-01-12")).onset is NotRecorded
    assert one(condition("CRS 2026-01-12 to 2026-01-14")).onset is NotRecorded
    assert isinstance(one(condition("CRS", onsetDateTime="soon")).onset, Unknown)


# --- attribution ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("concept", "more", "attributed"),
    [
        ("CRS", {}, None),
        ("CRS due to tarlatamab", {}, True),
        ("CRS after CAR-T", {}, False),
        ("CRS after blinatumomab, again with tarlatamab", {}, True),
        (
            "CRS",
            {
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/condition-dueTo",
                        "valueCodeableConcept": {"text": "Imdelltra"},
                    }
                ]
            },
            True,
        ),
        (
            "CRS",
            {
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/condition-dueTo",
                        "valueCodeableConcept": {"text": "sepsis"},
                    }
                ]
            },
            False,
        ),
        (
            "CRS",
            {
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/condition-dueTo",
                        "valueReference": {"reference": "Condition/x"},
                    }
                ]
            },
            None,
        ),
    ],
)
def test_a_condition_may_name_its_cause(concept: Any, more: Any, attributed: bool | None) -> None:
    assert one(condition(concept, **more)).attributed is attributed


@pytest.mark.parametrize(
    ("instance", "attributed"),
    [
        ({"reference": "MedicationAdministration/a1"}, True),
        ({"reference": "MedicationRequest/other"}, False),
        ({"display": "Imdelltra 1 mg"}, True),
        ({"display": "carboplatin"}, False),
        ({"reference": "Medication/m1"}, True),
        ({"reference": "Medication/unknown"}, None),
        ({"reference": "#inside"}, True),
        ({"reference": "#order"}, False),
        ({}, None),
        (None, None),
    ],
)
def test_a_suspect_is_the_drug_another_or_neither(instance: Any, attributed: bool | None) -> None:
    suspected = event(
        "CRS",
        suspectEntity=[{"instance": instance}],
        contained=[
            {"resourceType": "Medication", "id": "inside", "code": {"text": "tarlatamab"}},
            {"resourceType": "MedicationRequest", "id": "order", "medicationCodeableConcept": {"text": "carboplatin"}},
        ],
    )
    other = order(id="other", status="active", medicationCodeableConcept={"text": "carboplatin"})
    medications = {"Medication/m1": {"resourceType": "Medication", "code": {"text": "AMG 757"}}}
    (found,) = state(suspected, given(), other, medications=medications).toxicities
    assert found.attributed is attributed


def test_one_suspect_of_ours_among_others_is_enough() -> None:
    found = one(
        event("CRS", suspectEntity=[{"instance": {"display": "carboplatin"}}, {"instance": {"display": "tarlatamab"}}])
    )
    assert found.attributed is True
    assert one(event("CRS after Imdelltra")).attributed is True


# --- AdverseEvent -----------------------------------------------------------------------------------------------------


def with_grade(value: Any, url: str = "http://hl7.org/fhir/us/ctcae/StructureDefinition/ctcae-grade") -> list[Any]:
    return [{"url": url, "valueCodeableConcept": value}]


@pytest.mark.parametrize(
    "url",
    [
        "http://hl7.org/fhir/us/ctcae/StructureDefinition/ctcae-grade",
        "http://hl7.org/fhir/us/mcode/StructureDefinition/ctcae-grade",
    ],
)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (code(GRADES, "0"), 0),
        (code(GRADES, "3"), 3),
        (code(NCIT, "C41337"), 4),
        (code("http://ncit.nci.nih.gov", "C75533"), 0),
        ({"text": "Grade 3"}, 3),
        ({"text": "3"}, 3),
        (code("urn:oid:1", "2"), 2),
    ],
)
def test_the_grade_extension_is_read_under_both_paths(url: str, value: Any, expected: int) -> None:
    assert graded(event("CRS", extension=with_grade(value, url))) == (
        expected,
        Scale.CTCAE,
        GradeSource.ADVERSE_EVENT_GRADE,
        False,
    )


def test_the_extension_is_trusted_first_and_the_highest_of_two_counts() -> None:
    assert graded(event("CRS grade 4", extension=with_grade(code(GRADES, "2")) + with_grade(code(GRADES, "3"))))[0] == 3
    assert graded(event(code(ICD, "D89.832") | {"text": "grade 4"}))[2] is GradeSource.CONDITION_CODE
    assert graded(event("CRS grade 4", extension=with_grade({"text": "x"})))[2] is GradeSource.TEXT


def test_a_severity_alone_is_a_lower_bound() -> None:
    severity = code("http://terminology.hl7.org/CodeSystem/adverse-event-severity", "severe")
    assert graded(event("CRS", severity=severity)) == (3, Scale.NOT_STATED, GradeSource.SEVERITY, True)
    assert one(event("CRS")).grade is NotRecorded


RESOLVED_ON = "http://hl7.org/fhir/us/ctcae/StructureDefinition/adverse-event-resolved-date"


def outcome(value: str) -> dict[str, Any]:
    return code("http://terminology.hl7.org/CodeSystem/adverse-event-outcome", value)


@pytest.mark.parametrize(
    ("said", "resolved", "course"),
    [
        (None, None, Course.OUTCOME_MISSING),
        (outcome("unknown"), None, Course.OUTCOME_MISSING),
        (outcome("ongoing"), None, Course.OPEN),
        (outcome("recovering"), None, Course.OPEN),
        ({"text": "Not recovered"}, None, Course.OPEN),
        (outcome("ongoing"), "2026-01-10", Course.OPEN),
        (outcome("resolved"), None, Course.RESOLVED),
        (outcome("resolvedWithSequelae"), None, Course.RESOLVED),
        (outcome("fatal"), None, Course.FATAL),
        (None, "2026-01-20", Course.RESOLVED),
        (None, "2026-01-21", Course.OPEN),
        (outcome("unknown"), "2026-01-10", Course.RESOLVED),
        (None, "soon", Course.OUTCOME_MISSING),
    ],
)
def test_the_outcome_and_the_resolved_date_say_whether_it_is_over(
    said: Any, resolved: str | None, course: Course
) -> None:
    extension = [{"url": RESOLVED_ON, "valueDateTime": resolved}] if resolved else []
    found = one(event("CRS", outcome=said, extension=extension))
    assert found.course is course
    assert isinstance(found.end, When) is (resolved is not None and resolved != "soon")


def test_onset_actuality_and_label_of_an_adverse_event() -> None:
    found = one(event("CRS", date="2026-01-12", actuality="potential"))
    assert (found.onset, found.confirmed, found.label) == (day("2026-01-12"), False, "CRS")
    assert one(event("CRS 2026-01-12")).onset == day("2026-01-12")
    assert one(event("CRS", detected="2026-01-12")).onset == day("2026-01-12")


def test_an_event_that_no_syndrome_covers_is_other() -> None:
    found = one(
        event("Rash", extension=with_grade(code(GRADES, "3")), suspectEntity=[{"instance": {"display": "tarlatamab"}}])
    )
    assert (found.syndrome, found.attributed, found.from_text) == (Syndrome.OTHER, True, False)


def test_a_denied_event_is_none_and_an_unnamed_one_is_said() -> None:
    assert records(event("no CRS")) == ()
    (said,) = state(event({})).unknowns
    assert said.what == "AdverseEvent"
    assert records(event("CRS", status="entered-in-error")) == ()


def test_older_fhir_describes_the_event_in_words() -> None:
    assert one(event(None, description="CRS grade 2")).syndrome is CRS
    assert one(event(None, type={"text": "ICANS"})).syndrome is NEURO


# --- Observation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CRS grade", {"valueInteger": 2}, (CRS, 2)),
        ("CRS Grade (ASTCT)", {"valueQuantity": {"value": Decimal("3")}}, (CRS, 3)),
        ("ICANS grade", {"valueString": "Grade 3"}, (NEURO, 3)),
        ("ICANS grade", {"valueString": "III"}, (NEURO, 3)),
        ("ICANS", {"valueCodeableConcept": {"text": "Grade 0"}}, (NEURO, 0)),
        ("CRS grade", {"valueCodeableConcept": code(GRADES, "1")}, (CRS, 1)),
        ("CRS present", {"valueBoolean": False}, (CRS, 0)),
        ("Neutropenia grade", {"valueInteger": 4}, (Syndrome.NEUTROPENIA, 4)),
        (code(NCIT, "C143394"), {"valueInteger": 2}, (CRS, 2)),
        (code("urn:oid:1", "X1", "ICANS grade"), {"valueInteger": 1}, (NEURO, 1)),
    ],
)
def test_a_grade_observation_is_a_point_with_its_grade(name: Any, value: Any, expected: tuple[Syndrome, int]) -> None:
    found = one(observation(name, **value))
    assert isinstance(found.grade, Grade)
    assert (found.syndrome, found.grade.value) == expected
    assert (found.grade.source, found.course, found.onset) == (GradeSource.OBSERVATION, Course.POINT, day("2026-01-19"))


def test_the_scale_of_a_grade_observation_is_its_names_or_methods() -> None:
    assert graded(observation("CRS grade ASTCT", valueInteger=2))[1] is Scale.ASTCT_CRS
    assert graded(observation("CRS grade", valueInteger=2, method={"text": "CTCAE v5"}))[1] is Scale.CTCAE
    assert graded(observation("CRS grade", valueInteger=2))[1] is Scale.NOT_STATED


def test_a_present_toxicity_without_a_grade_is_a_record_without_one() -> None:
    assert one(observation("CRS present", valueBoolean=True)).grade is NotRecorded


@pytest.mark.parametrize("value", [0, 8, 10, "8", "8/10", Decimal("8"), {"value": 8}])
def test_an_ice_score_is_kept_for_the_engine_to_grade(value: Any) -> None:
    name = "valueQuantity" if isinstance(value, dict) else "valueString" if isinstance(value, str) else "valueInteger"
    found = one(observation("ICE score", **{name: value}))
    assert found.syndrome is NEURO
    assert found.ice_score == (value if isinstance(value, int) else 8)
    assert (found.grade, found.course) == (NotRecorded, Course.POINT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ICE score", {"valueInteger": 11}),
        ("ICE score", {"valueInteger": -1}),
        ("ICE score", {"valueString": "good"}),
        ("ICE score", {"valueQuantity": {"value": 7.5}}),
        ("ICE score", {}),
        ("CRS grade", {"valueInteger": 6}),
        ("CRS grade", {"valueString": "x"}),
        ("CRS grade", {}),
        ("CRS grade", {"valueQuantity": {"value": 1.5}}),
    ],
)
def test_an_unreadable_score_or_grade_is_said(name: str, value: Any) -> None:
    found = state(observation(name, **value))
    assert found.toxicities == ()
    assert [u.what for u in found.unknowns] == ["Observation"]


def test_a_value_said_to_be_absent_is_missing_not_unreadable() -> None:
    for name in ("ICE score", "CRS grade"):
        found = state(observation(name, dataAbsentReason={"text": "not asked"}))
        assert (found.toxicities, found.unknowns) == ((), ())


def test_components_are_read_each_by_its_own_code() -> None:
    found = records(
        observation("ICANS assessment", component=[{"code": {"text": "ICE score"}, "valueInteger": 5}, {"code": {"text": "ICANS grade"}, "valueInteger": 2}])
    )  # fmt: skip
    assert [(r.ice_score, r.grade.value if isinstance(r.grade, Grade) else None) for r in found] == [
        (5, None),
        (None, 2),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "COVID-19 test",
        "Influenza A antibody",
        "Risk of infection grade",
        "ECOG grade",
        code(LOINC, "89247-1"),
        "peripheral neuropathy grade",
    ],
)
def test_other_observations_are_no_grades(name: Any) -> None:
    found = state(observation(name, valueInteger=2))
    assert (found.toxicities, found.unknowns) == ((), ())


@pytest.mark.parametrize("status_", ["entered-in-error", "cancelled", "registered"])
def test_erroneous_and_cancelled_observations_are_dropped(status_: str) -> None:
    assert records(observation("CRS grade", valueInteger=2, status=status_)) == ()


def test_an_observation_of_nothing_is_said() -> None:
    (said,) = state(observation({}, valueInteger=1)).unknowns
    assert said.why == "it does not say what was observed"
