"""What DSTU2, STU3 and R5 keep elsewhere than R4: each resource says the same as its R4 twin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhir_mappings.drugs import Recognition
from fhir_mappings.facts import (
    CancerFinding,
    Course,
    FeedingFinding,
    NotRecorded,
    OrganFinding,
    Route,
    SupportKind,
)
from fhir_mappings.medications import recognise
from tests.fhir_mappings.charts import (
    LOINC,
    SNOMED,
    UCUM,
    US,
    code,
    condition,
    day,
    event,
    given,
    mg,
    observation,
    order,
    procedure,
    state,
)

TARLATAMAB = {"text": "tarlatamab"}


def order_2(*dosages: Any, **more: Any) -> dict[str, Any]:
    """A DSTU2 order of the drug."""
    made = {"resourceType": "MedicationOrder", "id": "d1", "status": "draft", "patient": US}
    return made | {"medicationCodeableConcept": TARLATAMAB, "dosageInstruction": list(dosages)} | more


def given_2(**more: Any) -> dict[str, Any]:
    """A DSTU2 administration of the drug."""
    made = {"resourceType": "MedicationAdministration", "id": "a1", "status": "completed", "patient": US}
    made |= {"medicationCodeableConcept": TARLATAMAB, "effectiveTimeDateTime": "2026-01-06T09:00:00+01:00"}
    return made | more


# --- orders -----------------------------------------------------------------------------------------------------------


def test_an_order_of_dstu2_is_read_to_its_last_element() -> None:
    per_hour = {
        "numerator": {"value": 250, "unit": "mL", "system": UCUM, "code": "mL"},
        "denominator": {"value": 1, "unit": "h", "system": UCUM, "code": "h"},
    }
    dosage = {
        "timing": {"event": ["2026-01-27"], "repeat": {"duration": 60, "durationUnits": "min"}},
        "additionalInstructions": {"text": "C1D8"},
        "route": code(SNOMED, "47625008"),
        "doseQuantity": mg(10),
        "rateRatio": per_hour,
    }
    (found,) = state(drafts=[order_2(dosage, dateWritten="2026-01-20", prescriber={"reference": "x"})]).orders
    assert found.order == "MedicationOrder/d1"
    assert (found.amount.mg, found.amount.doubt) == (10, "")
    assert (found.day, found.authored) == (day("2026-01-27"), day("2026-01-20"))
    assert (found.route, found.minutes, found.position_named) == (Route.INTRAVENOUS, 60, "C1D8")


def test_a_rate_of_dstu2_gives_the_duration() -> None:
    rate = {
        "numerator": {"value": 250, "system": UCUM, "code": "mL"},
        "denominator": {"value": 60, "system": UCUM, "code": "min"},
    }
    (found,) = state(drafts=[order_2({"doseQuantity": mg(10), "rateRatio": rate})]).orders
    assert found.minutes == 60


@pytest.mark.parametrize("dosage", [{"doseQuantity": mg(1)}, {"doseAndRate": {"doseQuantity": mg(1)}}])
def test_a_dosage_that_is_an_object_is_the_only_one(dosage: Any) -> None:
    (found,) = state(drafts=[order(dosageInstruction=dosage, context={"reference": "Encounter/1"})]).orders
    assert (found.amount.mg, found.amount.doubt) == (1, "")


def test_a_dosage_that_mixes_stu3_and_r4_and_contradicts_itself_is_asked_about() -> None:
    mixed = {"doseQuantity": mg(1), "doseAndRate": [{"doseQuantity": mg(10)}]}
    (found,) = state(drafts=[order(mixed)]).orders
    assert found.amount.mg == 10
    assert found.amount.doubt == "the dosage states two amounts that contradict each other"


@pytest.mark.parametrize(
    "reason",
    [
        {"reasonCode": [{"text": "cycle 2 day 1"}]},
        {"reasonCodeableConcept": {"text": "cycle 2 day 1"}},
        {"reason": [{"concept": {"text": "cycle 2 day 1"}}]},
        {"note": "cycle 2 day 1"},
    ],
)
def test_the_position_that_the_reason_names_is_found(reason: dict[str, Any]) -> None:
    (found,) = state(drafts=[order({"doseQuantity": mg(10)}, **reason)]).orders
    assert found.position_named == "C2D1"


@pytest.mark.parametrize(
    ("stopped", "said"),
    [
        ({"statusReason": {"text": "Toxicity"}}, "Toxicity"),
        ({"reasonEnded": {"text": "Toxicity"}}, "Toxicity"),
        ({"note": [{"text": "given up: toxicity"}]}, "given up: toxicity"),
        ({"note": "given up: toxicity"}, "given up: toxicity"),
    ],
)
def test_the_toxicity_that_ended_an_order_is_said_in_its_own_words(stopped: dict[str, Any], said: str) -> None:
    (found,) = state(order_2({"doseQuantity": mg(10)}, status="stopped", **stopped)).orders
    assert (found.stopped_for_toxicity, found.status_reason) == (True, said)


@pytest.mark.parametrize("status", [None, "given up", 7])
def test_before_r4_an_order_without_a_readable_status_may_have_ended_for_the_toxicity_of_its_note(status: Any) -> None:
    """STU3 has no statusReason, and its status may be missing."""
    (found,) = state(order({"doseQuantity": mg(10)}, status=status, note=[{"text": "given up: CRS grade 3"}])).orders
    assert (found.stopped_for_toxicity, found.status_reason) == (True, "given up: CRS grade 3")


def test_a_note_that_names_no_toxicity_is_no_reason() -> None:
    (found,) = state(order_2({"doseQuantity": mg(10)}, status="stopped", note="patient moved")).orders
    assert (found.stopped_for_toxicity, found.status_reason) == (False, "")


def test_an_order_of_r5_may_say_its_dose_in_words_only_and_its_period_beside_them() -> None:
    said = {"renderedDosageInstruction": "10 mg IV over 1 hour", "effectiveDosePeriod": {"start": "2026-01-27"}}
    (found,) = state(drafts=[order(**said)]).orders
    assert (found.amount.mg, found.amount.doubt) == (10, "it is found only in text")
    assert (found.day, found.route, found.minutes) == (day("2026-01-27"), Route.INTRAVENOUS, 60)


def test_what_the_dosage_says_itself_comes_before_the_words_and_the_period_beside_it() -> None:
    dosage = {"doseQuantity": mg(1), "timing": {"repeat": {"boundsPeriod": {"start": "2026-01-28"}}}}
    said = {"renderedDosageInstruction": "10 mg IV", "effectiveDosePeriod": {"start": "2026-01-27"}}
    (found,) = state(drafts=[order(dosage, **said)]).orders
    assert (found.amount.mg, found.amount.doubt, found.day) == (1, "", day("2026-01-28"))


# --- which medication -------------------------------------------------------------------------------------------------

KIT = {"resourceType": "Medication", "id": "kit"}
DRUG = {"resourceType": "Medication", "id": "drug", "code": TARLATAMAB}
OF_IT = {"reference": "Medication/drug"}


@pytest.mark.parametrize(
    "inside",
    [
        {"ingredient": [{"itemCodeableConcept": TARLATAMAB}]},
        {"ingredient": [{"itemReference": OF_IT}]},
        {"ingredient": [{"item": {"concept": TARLATAMAB}}]},
        {"ingredient": [{"item": {"reference": OF_IT}}]},
        {"product": {"ingredient": [{"item": OF_IT}]}},
        {"product": {"ingredient": [{"item": {"display": "tarlatamab"}}]}},
        {"ingredient": [{"item": {"reference": {"display": "tarlatamab"}}}]},
        {"package": {"content": [{"item": OF_IT}]}},
        {"package": {"content": [{"itemCodeableConcept": TARLATAMAB}]}},
    ],
)
def test_the_drug_is_found_in_what_a_medication_is_made_of(inside: dict[str, Any]) -> None:
    resource = order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/kit"})
    assert recognise(resource, {"Medication/kit": KIT | inside, "Medication/drug": DRUG}) is Recognition.DRUG


@pytest.mark.parametrize(
    "pointer",
    [
        "Medication/drug",
        "Medication/drug/_history/3",
        "https://ehr.example/fhir/Medication/drug",
        "https://ehr.example/fhir/Medication/drug/_history/3",
        "urn:uuid:8f3c2f60-1111-4222-8333-944455556666",
        "#drug",
    ],
)
@pytest.mark.parametrize("in_r5", [False, True])
def test_a_medication_is_found_however_it_is_referred_to(pointer: str, in_r5: bool) -> None:
    medications = {"Medication/drug": DRUG, "urn:uuid:8f3c2f60-1111-4222-8333-944455556666": DRUG}
    contained = [DRUG] if pointer == "#drug" else []
    stated = (
        {"medication": {"reference": {"reference": pointer}}}
        if in_r5
        else {"medicationReference": {"reference": pointer}}
    )
    resource = order(medicationCodeableConcept=None, contained=contained, **stated)
    assert recognise(resource, {} if contained else medications) is Recognition.DRUG


# --- doses given ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "older",
    [
        given_2(dosage={"quantity": mg(1)}),
        given(mg(1), context={"reference": "Encounter/1"}),
        {"medication": {"concept": TARLATAMAB}, "occurenceDateTime": "2026-01-06T09:00:00+01:00"}
        | {"resourceType": "MedicationAdministration", "id": "a1", "status": "completed", "subject": US}
        | {"dosage": {"dose": mg(1)}},
    ],
    ids=["DSTU2", "STU3", "R5"],
)
def test_a_dose_given_is_the_same_in_every_version(older: dict[str, Any]) -> None:
    assert state(older).administrations == state(given(mg(1))).administrations


@pytest.mark.parametrize(
    "dosage",
    [
        {"dose": mg(1)},
        {"quantity": mg(1)},
        {"doseQuantity": mg(1)},
        {"doseAndRate": [{"doseQuantity": mg(1)}]},
        [{"quantity": mg(1)}],
    ],
)
def test_how_much_was_given_may_stand_where_an_orders_dosage_has_it(dosage: Any) -> None:
    (found,) = state(given(None, dosage=dosage)).administrations
    assert (found.amount.mg, found.amount.doubt) == (1, "")


@pytest.mark.parametrize("name", ["effectivePeriod", "effectiveTimePeriod", "occurencePeriod", "occurrencePeriod"])
def test_a_dose_that_was_given_over_a_period_has_its_end(name: str) -> None:
    period = {"start": "2026-01-06T09:00:00+01:00", "end": "2026-01-06T10:00:00+01:00"}
    made = {k: v for k, v in given(mg(1)).items() if k != "effectiveDateTime"} | {name: period}
    (found,) = state(made).administrations
    assert found.ended != NotRecorded


@pytest.mark.parametrize("name", ["wasNotGiven", "notGiven"])
@pytest.mark.parametrize(
    ("value", "status"), [(True, "not-done"), ("true", "not-done"), (False, "completed"), ("false", "completed")]
)
def test_a_dose_that_was_not_given_is_none(name: str, value: Any, status: str) -> None:
    (found,) = state(given(mg(1), **{name: value})).administrations
    assert found.status == status


def test_the_dose_of_a_dstu2_prescription_stands_in_for_a_missing_one() -> None:
    prescribed = order_2({"doseQuantity": mg(1)}, status="completed", dateWritten="2026-01-06")
    (found,) = state(prescribed, given_2(prescription={"reference": "MedicationOrder/d1"})).administrations
    assert found.amount.mg == 1


# --- conditions -------------------------------------------------------------------------------------------------------


def condition_2(text: str, **more: Any) -> dict[str, Any]:
    """A DSTU2 problem: `patient`, and its statuses as plain codes."""
    made = {"resourceType": "Condition", "id": "c1", "patient": US, "code": {"text": text}}
    return made | {"verificationStatus": "confirmed"} | more


@pytest.mark.parametrize(
    ("status", "course"),
    [("active", Course.OPEN), ("relapse", Course.OPEN), ("recurrence", Course.OPEN)]
    + [(status, Course.RESOLVED) for status in ("resolved", "remission", "inactive")],
)
def test_a_clinical_status_that_is_a_code_says_whether_it_is_over(status: str, course: Course) -> None:
    (found,) = state(condition_2("CRS grade 1", clinicalStatus=status)).toxicities
    assert found.course is course


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_a_refuted_condition_of_dstu2_is_none(status: str) -> None:
    assert state(condition_2("CRS grade 1") | {"verificationStatus": status}).toxicities == ()


def test_an_unconfirmed_condition_of_dstu2_is_not_confirmed() -> None:
    (found,) = state(condition_2("CRS grade 1") | {"verificationStatus": "provisional"}).toxicities
    assert not found.confirmed


@pytest.mark.parametrize("notes", [{"note": [{"text": "CRS grade 3"}]}, {"notes": "CRS grade 3"}])
def test_the_grade_in_the_notes_of_a_condition_is_found(notes: dict[str, Any]) -> None:
    (found,) = state(condition("Cytokine release syndrome", **notes)).toxicities
    assert found.grade != NotRecorded


def test_a_stage_that_is_no_list_is_the_grade() -> None:
    (found,) = state(condition("Cytokine release syndrome", stage={"summary": {"text": "grade 3"}})).toxicities
    (in_r4,) = state(condition("Cytokine release syndrome", stage=[{"summary": {"text": "grade 3"}}])).toxicities
    assert found == in_r4


@pytest.mark.parametrize("name", ["recordedDate", "dateRecorded", "assertedDate"])
def test_a_condition_without_an_onset_is_of_the_day_it_was_recorded(name: str) -> None:
    (found,) = state(condition("Chronic kidney disease stage 4", **{name: "2026-01-10"})).organs
    assert (found.finding, found.day) == (OrganFinding.KIDNEY_STAGE_4_OR_5, day("2026-01-10"))


# --- procedures -------------------------------------------------------------------------------------------------------

UNDONE: Any = [{"status": "not-done"}, {"notPerformed": True}, {"notDone": True}, {"status": "aborted"}]


@pytest.mark.parametrize("undone", [*UNDONE, {"status": "stopped"}])
@pytest.mark.parametrize(
    "text", ["Hemodialysis", "CAR-T cell infusion", "CPAP", "Vaginal delivery", "Carboplatin infusion", "Hysterectomy"]
)
def test_a_procedure_that_was_not_performed_says_nothing(text: str, undone: dict[str, Any]) -> None:
    done, not_done = state(procedure(text)), state(procedure(text, **undone))
    assert done != state()
    assert not_done == state()


@pytest.mark.parametrize("undone", UNDONE[:3])
def test_a_claim_of_a_procedure_that_was_not_performed_is_none(undone: dict[str, Any]) -> None:
    coded = code("https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "J9026")
    assert state(procedure(coded)).claims
    assert not state(procedure(coded, **undone)).claims


@pytest.mark.parametrize("undone", UNDONE[:3])
def test_a_procedure_without_a_name_is_unreadable_unless_it_was_not_performed(undone: dict[str, Any]) -> None:
    assert state(procedure({})).unknowns
    assert not state(procedure({}, **undone)).unknowns


@pytest.mark.parametrize("name", ["performedDateTime", "occurrenceDateTime"])
@pytest.mark.parametrize("text", ["Vaginal delivery", "Hysterectomy", "Hemodialysis"])
def test_a_procedure_has_its_day_in_every_version(text: str, name: str) -> None:
    made = procedure(text)
    del made["performedDateTime"]
    found = state(made | {name: "2026-01-10"})
    days = {
        *(record.day for record in found.feeding),
        *(record.day for record in found.fertility),
        *(record.day for record in found.organs),
    }
    assert days == {day("2026-01-10")}


@pytest.mark.parametrize("name", ["performedPeriod", "occurrencePeriod"])
@pytest.mark.parametrize(("end", "is_on"), [("2026-01-20T11:59:00+01:00", False), ("2026-01-20T12:01:00+01:00", True)])
def test_breathing_support_whose_period_is_over_is_none(name: str, end: str, is_on: bool) -> None:
    made = procedure("CPAP", **{name: {"start": "2026-01-19", "end": end}})
    del made["performedDateTime"]
    assert bool(state(made).supports) is is_on


@pytest.mark.parametrize(
    "used",
    [{"usedCode": [{"text": "CPAP mask"}]}, {"used": [{"concept": {"text": "CPAP mask"}}]}],
)
def test_breathing_support_by_what_was_used(used: dict[str, Any]) -> None:
    (found,) = state(procedure("Respiratory therapy", **used)).supports
    assert found.kind is SupportKind.POSITIVE_PRESSURE


@pytest.mark.parametrize(
    "reason",
    [
        {"reasonCode": [{"text": "Vaginal delivery"}]},
        {"reason": [{"text": "Vaginal delivery"}]},
        {"reason": [{"concept": {"text": "Vaginal delivery"}}]},
    ],
)
def test_a_delivery_by_the_reason_of_an_encounter(reason: dict[str, Any]) -> None:
    stay = {"resourceType": "Encounter", "id": "s1", "status": "finished", "period": {"start": "2026-01-10"}}
    ((found,), (in_r5,)) = (
        state(stay | {"patient": US} | reason).feeding,
        state(stay | {"subject": US, "actualPeriod": stay["period"], "period": None} | reason).feeding,
    )
    assert found == in_r5
    assert (found.finding, found.day) == (FeedingFinding.DELIVERY, day("2026-01-10"))


# --- pressors and platinum --------------------------------------------------------------------------------------------

PRESSOR = {"text": "norepinephrine infusion"}


@pytest.mark.parametrize("name", ["effectivePeriod", "effectiveTimePeriod", "occurencePeriod"])
@pytest.mark.parametrize(("end", "is_on"), [("2026-01-20T11:59:00+01:00", False), ("2026-01-20T12:01:00+01:00", True)])
def test_a_pressor_whose_period_is_over_is_not_running(name: str, end: str, is_on: bool) -> None:
    made = given(
        None, status="in-progress", medicationCodeableConcept=PRESSOR, **{name: {"start": "2026-01-19", "end": end}}
    )
    del made["effectiveDateTime"]
    assert [support.at for support in state(made).supports] == ([day("2026-01-19")] if is_on else [])


@pytest.mark.parametrize(
    ("dosage", "is_on"),
    [
        ({"asNeededBoolean": True}, False),
        ({"asNeededCodeableConcept": {"text": "hypotension"}}, False),
        ({"asNeeded": True}, False),
        ({"asNeededFor": [{"text": "hypotension"}]}, False),
        ({"asNeededBoolean": False}, True),
        ({"asNeeded": False}, True),
        ({}, True),
    ],
)
def test_a_pressor_as_needed_is_not_running(dosage: dict[str, Any], is_on: bool) -> None:
    assert bool(state(order(dosage, status="active", medicationCodeableConcept=PRESSOR)).supports) is is_on


@pytest.mark.parametrize("name", ["effectiveDateTime", "effectiveTimeDateTime", "occurenceDateTime"])
def test_platinum_has_its_day_in_every_version(name: str) -> None:
    made = given(None, medicationCodeableConcept={"text": "carboplatin"})
    del made["effectiveDateTime"]
    (found,) = state(made | {name: "2025-10-01"}).cancer
    assert (found.finding, found.day) == (CancerFinding.PLATINUM, day("2025-10-01"))


# --- observations, allergies, adverse events --------------------------------------------------------------------------


@pytest.mark.parametrize("notes", [{"note": [{"text": "on CPAP"}]}, {"comment": "on CPAP"}, {"comments": "on CPAP"}])
@pytest.mark.parametrize("what", [code(LOINC, "59408-5"), {"text": "Breathing"}])
def test_breathing_support_in_the_comment_of_an_observation(what: Any, notes: dict[str, Any]) -> None:
    spo2 = {"value": 95, "unit": "%", "system": UCUM, "code": "%"}
    (found,) = state(observation(what, valueQuantity=spo2, **notes)).supports
    assert found.kind is SupportKind.POSITIVE_PRESSURE


@pytest.mark.parametrize("name", ["type", "meaning"])
def test_only_a_normal_range_is_the_upper_limit_of_normal(name: str) -> None:
    def limit(kind: str, high: int) -> dict[str, Any]:
        return {
            name: {"coding": [{"code": kind}]},
            "high": {"value": high, "unit": "U/L", "system": UCUM, "code": "U/L"},
        }

    ranges = [limit("therapeutic", 400), limit("normal", 40)]
    (found,) = state(
        observation(
            code(LOINC, "1742-6"),
            valueQuantity={"value": 90, "unit": "U/L", "system": UCUM, "code": "U/L"},
            referenceRange=ranges,
        )
    ).labs
    assert found.upper_normal == Decimal(40)


@pytest.mark.parametrize(("status", "counts"), [("confirmed", True), ("active", True), ("refuted", False)])
def test_an_allergy_of_dstu2_counts_unless_it_is_refuted(status: str, counts: bool) -> None:
    allergy = {"resourceType": "AllergyIntolerance", "id": "i1", "patient": US, "substance": TARLATAMAB}
    assert bool(state(allergy | {"status": status}).allergies) is counts


@pytest.mark.parametrize(("category", "is_confirmed"), [("AE", True), ("PAE", False)])
def test_a_potential_event_of_stu3_is_not_confirmed(category: str, is_confirmed: bool) -> None:
    made = event("CRS grade 2", category=category, type={"text": "CRS grade 2"})
    del made["actuality"], made["event"]
    (found,) = state(made).toxicities
    assert found.confirmed is is_confirmed


def test_how_severe_an_event_was_stands_in_stu3_under_seriousness() -> None:
    found, in_r4, serious = (
        state(event("Cytokine release syndrome", **{name: {"text": text}})).toxicities[0]
        for name, text in (("seriousness", "Severe"), ("severity", "severe"), ("seriousness", "Serious"))
    )
    assert found.grade == in_r4.grade != NotRecorded
    assert serious.grade is NotRecorded
