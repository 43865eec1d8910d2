"""Which appointments are infusions of the drug, and on which day? Clinical rules, The other hooks."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fhir_mappings.appointments import may_be_an_infusion, visit_of
from fhir_mappings.chart import Chart
from fhir_mappings.facts import ProposedVisit, Unknown, When
from fhir_mappings.medications import Recognition
from fhir_mappings.treatment_state import read
from tests.fhir_mappings.charts import BERLIN, CLINIC, HCPCS, NOW, US, Resource, code, order

START = "2026-01-27T10:00:00+01:00"
FOR_THE_DRUG = {"text": "Tarlatamab infusion"}


def appointment(**more: Any) -> Resource:
    return {"resourceType": "Appointment", "id": "v1", "status": "proposed", "start": START} | more


def nothing_on_record(_pointer: str) -> None:
    return None


def visit(resource: Resource, *orders: Resource) -> ProposedVisit | Unknown | None:
    """What is read of one appointment beside these orders on record."""
    chart = Chart(patient_id="p1", appointments=(resource,), resources=orders)
    state = read(chart, zone=BERLIN, at=NOW)
    found: tuple[ProposedVisit | Unknown, ...] = (*state.visits, *state.unknowns)
    return found[0] if found else None


ON_27_JANUARY = When(earliest=date(2026, 1, 27), latest=date(2026, 1, 27))


@pytest.mark.parametrize(
    "said",
    [
        {"description": "Imdelltra 10 mg IV"},
        {"comment": "for tarlatamab, C1D8"},
        {"patientInstruction": "You get Tarlatamab-dlle over an hour"},
        {"note": [{"text": "tarlatamab"}]},
        {"serviceType": [FOR_THE_DRUG]},
        {"serviceType": [{"concept": FOR_THE_DRUG}]},
        {"serviceCategory": [FOR_THE_DRUG]},
        {"serviceType": [code(HCPCS, "J9026")]},
        {"reasonCode": [FOR_THE_DRUG]},
        {"reason": [{"concept": FOR_THE_DRUG}]},
        {"basedOn": [{"display": "tarlatamab 10 mg"}]},
        {"reasonReference": [{"reference": "Condition/c1", "display": "tarlatamab C1D8"}]},
    ],
)
def test_an_appointment_that_names_the_drug_in_its_own_words_or_codes_is_one_for_it(said: Resource) -> None:
    found = visit(appointment(**said))
    assert may_be_an_infusion(appointment(**said))
    assert isinstance(found, ProposedVisit)
    assert found.reference == "Appointment/v1"
    assert (found.day.earliest, found.day.latest) == (ON_27_JANUARY.earliest, ON_27_JANUARY.latest)


@pytest.mark.parametrize("element", ["basedOn", "reasonReference", "supportingInformation"])
@pytest.mark.parametrize("pointer", ["MedicationRequest/d1", "https://ehr.example/fhir/MedicationRequest/d1"])
def test_an_appointment_based_on_an_order_of_the_drug_is_one_for_it(element: str, pointer: str) -> None:
    asked = appointment(**{element: [{"reference": pointer}]})
    other = order(medicationCodeableConcept={"text": "Carboplatin"})
    assert may_be_an_infusion(asked)
    assert isinstance(visit(asked, order()), ProposedVisit)
    assert visit(asked, other) is None


def test_the_reference_of_r5_stands_one_level_deeper() -> None:
    asked = appointment(reason=[{"reference": {"reference": "MedicationRequest/d1"}}])
    assert isinstance(visit(asked, order()), ProposedVisit)


def test_a_contained_order_tells_it_too() -> None:
    inner = {"resourceType": "MedicationRequest", "id": "o", "medicationCodeableConcept": {"text": "tarlatamab"}}
    other = inner | {"medicationCodeableConcept": {"text": "Carboplatin"}}
    based = {"basedOn": [{"reference": "#o"}]}
    assert isinstance(visit(appointment(contained=[inner], **based)), ProposedVisit)
    assert visit(appointment(contained=[other], **based)) is None
    assert visit(appointment(contained=[{"resourceType": "ServiceRequest", "id": "o"}], **based)) is None
    assert visit(appointment(**based)) is None


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"description": "Chemotherapy chair"},
        {"serviceType": [code(HCPCS, "J9045")]},
        {"basedOn": [{"reference": "ServiceRequest/s1"}]},
    ],
)
def test_an_appointment_that_cannot_be_told_to_be_for_the_drug_is_none_of_ours(said: Resource) -> None:
    assert not may_be_an_infusion(appointment(**said))
    assert visit(appointment(**said), order()) is None


@pytest.mark.parametrize("status", ["cancelled", "noshow", "entered-in-error"])
def test_an_appointment_that_will_not_take_place_is_not_read(status: str) -> None:
    asked = appointment(serviceType=[FOR_THE_DRUG], status=status)
    assert not may_be_an_infusion(asked)
    assert visit(asked) is None


def test_another_resource_among_the_appointments_is_not_read() -> None:
    asked = appointment(serviceType=[FOR_THE_DRUG], resourceType="AppointmentResponse")
    assert not may_be_an_infusion(asked)
    assert visit(asked) is None


def test_an_order_that_is_not_on_record_may_be_of_the_drug() -> None:
    found = visit(appointment(basedOn=[{"reference": "MedicationRequest/elsewhere"}]))
    assert isinstance(found, Unknown)
    assert (found.what, found.why) == ("proposed appointment", "the order that it is based on could not be read")


def test_an_order_whose_medication_cannot_be_read_may_be_of_the_drug() -> None:
    asked = appointment(basedOn=[{"reference": "MedicationRequest/d1"}])
    found = visit_of(asked, lambda _pointer: Recognition.UNREADABLE, CLINIC)
    assert isinstance(found, Unknown)


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ({"start": "2026-01-27"}, "2026-01-27", "2026-01-27"),
        ({"start": "2026-01-26T23:30:00Z"}, "2026-01-27", "2026-01-27"),
        (
            {"start": None, "requestedPeriod": [{"start": "2026-01-27", "end": "2026-02-01"}]},
            "2026-01-27",
            "2026-02-01",
        ),
        ({"start": None, "requestedPeriod": [{"start": "2026-01-27"}]}, "2026-01-27", "2026-01-27"),
        (
            {"start": None, "requestedPeriod": [{"start": "2026-01-27", "end": "2026-01-20"}]},
            "2026-01-27",
            "2026-01-27",
        ),
    ],
)
def test_the_day_is_that_of_its_start_or_all_days_of_the_requested_period(
    said: Resource, first: str, last: str
) -> None:
    found = visit(appointment(serviceType=[FOR_THE_DRUG], **said))
    assert isinstance(found, ProposedVisit)
    assert (found.day.earliest.isoformat(), found.day.latest.isoformat()) == (first, last)


@pytest.mark.parametrize("said", [{"start": None}, {"start": "soon"}, {"start": None, "requestedPeriod": [{}]}])
def test_an_infusion_without_a_day_is_said_to_be_unread(said: Resource) -> None:
    found = visit(appointment(serviceType=[FOR_THE_DRUG], **said))
    assert isinstance(found, Unknown)
    assert (found.what, found.reference) == ("proposed appointment", "Appointment/v1")


def test_the_infusion_of_another_patient_is_not_used_and_said() -> None:
    here, there = {"actor": US}, {"actor": {"reference": "Patient/p2"}}
    room = {"actor": {"reference": "Location/room-7"}}
    asked = appointment(serviceType=[FOR_THE_DRUG])
    assert isinstance(visit(asked | {"participant": [room, here, there]}), ProposedVisit)
    assert isinstance(visit(asked | {"participant": [room]}), ProposedVisit)
    assert isinstance(visit(asked | {"subject": US}), ProposedVisit)
    assert isinstance(visit(asked | {"participant": [room, there]}), Unknown)
    assert isinstance(visit(asked | {"subject": {"reference": "Patient/p2"}}), Unknown)
