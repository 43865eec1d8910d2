"""The whole reading: what is used, what is not, what becomes visible. Junk never raises."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_mappings.chart import Chart
from fhir_mappings.facts import CancerFinding, Need, NotRecorded, Reading, Sex, TreatmentState, Unknown, When
from fhir_mappings.treatment_state import read
from tests.fhir_mappings.charts import (
    BERLIN,
    NOW,
    US,
    code,
    condition,
    dose,
    event,
    mg,
    observation,
    order,
    procedure,
    state,
)
from tests.fhir_mappings.charts import given as row

FIXTURES = Path(__file__).parent / "fixtures"


# --- whose, and what it is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "resource",
    [
        row(mg(1)),
        condition("CRS grade 4"),
        event("CRS"),
        observation("CRS grade", valueInteger=4),
        procedure("CAR-T"),
        order(dose(mg(1)), status="active"),
    ],
)
def test_another_patients_resource_is_never_used(resource: Any) -> None:
    found = state(resource | {"subject": {"reference": "Patient/p2"}})
    assert found == TreatmentState(patient=found.patient, unknowns=found.unknowns)
    assert [(u.what, u.foreign) for u in found.unknowns] == [(resource["resourceType"], True)]


def test_nor_is_another_patients_draft() -> None:
    found = state(drafts=[order(dose(mg(1)), subject={"reference": "Patient/p2"}), order(dose(mg(1)))])
    assert [(o.order, o.entry) for o in found.orders] == [("MedicationRequest/d1", 1)]
    assert [u.foreign for u in found.unknowns] == [True]


@pytest.mark.parametrize("junk", [None, "x", 5, [], {}, {"resourceType": 5}, {"resourceType": ""}])
def test_what_is_no_resource_is_said(junk: Any) -> None:
    assert [u.what for u in state(junk).unknowns] == ["resource"]
    assert [u.what for u in state(drafts=[junk]).unknowns] == ["resource"]


def test_a_resource_of_no_concern_is_passed_over() -> None:
    found = state({"resourceType": "Basic", "id": "b"}, {"resourceType": "Medication", "id": "m"})
    assert found == TreatmentState(patient=found.patient)


def test_needs_and_unknowns_of_the_chart_are_handed_on_and_said_once() -> None:
    need = Need(key="conditions", reading=Reading.PARTIAL, why="cut short")
    unknown = Unknown(what="Condition", why="it could not be fetched")
    chart = Chart(patient_id="p1", needs={"conditions": need}, unknowns=(unknown, unknown))
    found = read(chart, zone=BERLIN, at=NOW)
    assert (found.needs, found.unknowns) == ({"conditions": need}, (unknown,))


def test_the_clock_is_read_in_the_clinics_zone() -> None:
    late = datetime(2026, 1, 20, 23, 30, tzinfo=UTC)  # the 21st in Berlin
    chart = Chart(patient_id="p1", draft_orders=(order({"timing": {"event": ["2026-01-20"]}}),))
    (found,) = read(chart, zone=BERLIN, at=late).orders
    assert isinstance(found.day, When)
    assert found.day.earliest.isoformat() == "2026-01-21"


def test_a_procedure_without_a_name_is_said_unless_it_was_not_done() -> None:
    assert [u.what for u in state(procedure({})).unknowns] == ["Procedure"]
    assert state(procedure({}, status="entered-in-error")).unknowns == ()


def test_an_irrelevant_condition_observation_or_procedure_says_nothing() -> None:
    found = state(condition("Hypertension"), observation("Diet", valueString="soft"), procedure("Appendectomy"))
    assert found == TreatmentState(patient=found.patient)


def test_an_order_named_by_a_suspect_is_recognised_among_the_drafts_too() -> None:
    suspected = event("CRS", suspectEntity=[{"instance": {"reference": "MedicationRequest/d1"}}])
    (found,) = state(suspected, drafts=[order(dose(mg(1)))]).toxicities
    assert found.attributed is True


def test_a_dstu2_order_of_the_record_is_read() -> None:
    made = order(dose(mg(1)), status="active") | {"resourceType": "MedicationOrder"}
    assert [o.order for o in state(made).orders] == ["MedicationOrder/d1"]


def test_equal_charts_give_equal_states() -> None:
    resources = [row(mg(1)), condition("CRS grade 2"), observation("ICE score", valueInteger=8)]
    assert state(*resources) == state(*json.loads(json.dumps(resources)))


def test_numbers_of_any_kind_are_the_same_amount() -> None:
    for value in (1, 1.0, Decimal("1.0"), "1"):
        assert state(row(mg(value))).administrations[0].amount.mg == 1


# --- cancer records as others write them ------------------------------------------------------------------------------


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal)


def read_fixture(name: str) -> TreatmentState:
    resource = fixture(name)
    subject = resource.get("subject", {}).get("reference", f"Patient/{resource['id']}")
    return read(Chart(patient_id=subject.removeprefix("Patient/"), resources=(resource,)), zone=BERLIN, at=NOW)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_a_fixture_is_valid_fhir_and_leaves_nothing_unread(path: Path) -> None:
    resource = json.loads(path.read_text(encoding="utf-8"))
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    assert read_fixture(path.stem).unknowns == ()


@pytest.mark.parametrize(
    ("name", "findings"),
    [
        ("Condition-primary-cancer-condition-nsclc", [CancerFinding.NOT_SMALL_CELL]),
        ("Condition-john-anyperson-chf", []),
        ("Condition-secondary-cancer-condition-brain-mets", []),
        ("MedicationRequest-cancer-related-medication-request-cisplatin", [CancerFinding.PLATINUM]),
        ("MedicationRequest-cancer-related-medication-request-cisplatin-stopped", [CancerFinding.PLATINUM]),
        ("MedicationRequest-cancer-related-medication-request-gefitinib", []),
        ("Observation-cancer-disease-status-improved", [CancerFinding.NO_PROGRESSION]),
        ("Observation-tumor-morphology-report-non-small-cell-intermediate-grade", []),
        ("Procedure-cancer-related-surgical-procedure-lobectomy", []),
    ],
)
def test_cancer_is_read_from_the_published_examples(name: str, findings: list[CancerFinding]) -> None:
    assert [c.finding for c in read_fixture(name).cancer] == findings


def test_people_and_results_are_read_from_the_published_examples() -> None:
    assert read_fixture("Patient-cancer-patient-john-anyperson").patient.sex is Sex.MALE
    (haemoglobin,) = read_fixture("Observation-lab-result-observation-hemoglobin").labs
    published = fixture("Observation-lab-result-observation-hemoglobin")["valueQuantity"]["value"]
    assert haemoglobin.value == published
    assert read_fixture("MedicationRequest-cancer-related-medication-request-cisplatin-stopped").orders == ()


# --- junk -------------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["", " ", "tarlatamab", "10 mg", "2026-01-05", "0000", "1970-02-30", "CRS grade 4", "Patient/p1", "#m", "urn:x", "no", "active", "10 x 1 mg vial",
     "over 1 h", "8041/3", "http://loinc.org", "718-7", "8310-5", "82810-3", "http://hl7.org/fhir/sid/icd-10-cm", "D89.832", "C4D1", "mg", "µg", "<5", "٣"]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.decimals(), WORDS, st.text(max_size=20),
    st.sampled_from([Decimal("1e400"), Decimal("NaN"), Decimal("-Infinity"), 10**4000]),
)  # fmt: skip
NAMES = st.sampled_from(
    ["id", "reference", "text", "coding", "system", "code", "display", "value", "unit", "comparator", "status", "subject", "patient", "url", "extension",
     "valueQuantity", "valueString", "valueCodeableConcept", "valueInteger", "valueDateTime", "component", "referenceRange", "high", "low", "interpretation",
     "dosage", "dose", "dosageInstruction", "doseAndRate", "doseQuantity", "doseRange", "rateQuantity", "rateRatio", "numerator", "denominator", "sequence",
     "timing", "event", "repeat", "boundsPeriod", "start", "end", "period", "periodUnit", "duration", "durationUnit", "route", "medicationCodeableConcept",
     "medicationReference", "contained", "ingredient", "itemCodeableConcept", "itemReference", "request", "effectiveDateTime", "effectivePeriod",
     "clinicalStatus", "verificationStatus", "onsetDateTime", "onsetString", "abatementDateTime", "abatementString", "abatementPeriod", "stage", "summary",
     "severity", "outcome", "suspectEntity", "instance", "note", "birthDate", "gender", "identifier", "reaction", "substance", "statusReason",
     "dispenseRequest", "quantity", "device", "method", "performedPeriod", "usedCode", "type", "reasonCode", "dataAbsentReason", "authoredOn"]
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=25,
)
TYPES = [
    "Patient", "MedicationRequest", "MedicationOrder", "MedicationAdministration", "Medication", "Condition", "Observation", "AdverseEvent", "Procedure",
    "Encounter", "AllergyIntolerance", "Basic",
]  # fmt: skip
KNOWN = st.sampled_from(
    [{"medicationCodeableConcept": {"text": "tarlatamab"}}, {"medicationCodeableConcept": {"text": "dexamethasone"}}, {"medicationCodeableConcept": {"text": "saline 0.9"}},
     {"code": {"text": "CRS grade 3"}}, {"event": {"text": "ICANS"}}, {"code": {"text": "ICE score"}}, {"code": {"text": "pregnancy status"}},
     {"code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]}}, {"code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]}},
     {"code": {"text": "small cell lung cancer"}}, {"code": {"text": "delivery"}}, {"code": {"text": "disease status"}}, {"code": {"text": "IUD"}}, {}]
)  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
@given(junk=st.dictionaries(NAMES, JSON, max_size=8), known=KNOWN, ours=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_json_in_any_resource_ever_raises(
    kind: str, junk: dict[str, Any], known: dict[str, Any], ours: bool
) -> None:
    resource = {"resourceType": kind} | junk | known | ({"subject": US, "patient": US} if ours else {})
    chart = Chart(
        patient_id="p1",
        draft_orders=(resource,),
        resources=(resource,),
        medications={"Medication/m": resource, "#m": resource},
    )
    found = read(chart, zone=BERLIN, at=NOW)
    assert isinstance(found, TreatmentState)
    hash(found.unknowns)


@given(junk=JSON)
@settings(max_examples=60, deadline=None)
def test_nor_does_junk_in_place_of_resources(junk: Any) -> None:
    assert isinstance(state(junk, drafts=[junk]), TreatmentState)


def test_no_unknown_holds_a_text_of_the_record() -> None:
    secret = "Xyzzy"
    found = state(
        condition({}, note=[{"text": secret}], id="c1"),
        observation("CRS grade", valueString=secret),
        observation("ICE score", valueString=secret),
        row(mg(1), effectiveDateTime=secret),
        order(dose(secret) | {"timing": {"event": [secret], "repeat": {"duration": secret}}}, status="active"),
    )
    assert secret not in repr(found.unknowns)
    (given_,) = found.administrations
    assert secret not in repr(given_.start)
    (ordered,) = found.orders
    assert secret not in repr((ordered.day, ordered.minutes))
    assert secret not in ordered.amount.doubt


def test_every_list_of_facts_is_a_tuple() -> None:
    found = state(row(mg(1)), condition("CRS"))
    for name, hint in get_type_hints(TreatmentState).items():
        if get_args(hint)[1:] == (...,):
            assert isinstance(getattr(found, name), tuple), name


def test_a_person_without_a_birth_date_is_of_unknown_age() -> None:
    assert state({"resourceType": "Patient", "id": "p1"}).patient.born is NotRecorded
    assert code("s", "c") == {"coding": [{"system": "s", "code": "c"}]}
