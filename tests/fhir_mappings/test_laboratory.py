"""Laboratory results, vital signs and supports. Now is 2026-01-20, 12:00 in Berlin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhir_mappings.facts import (
    Analyte,
    Bound,
    LabResult,
    Support,
    SupportKind,
    Vital,
    VitalSign,
)
from tests.fhir_mappings.charts import LOINC, UCUM, code, day, dose, given, mg, observation, order, procedure, state


def lab(loinc: str, value: Any, unit: str = "", **more: Any) -> LabResult:
    quantity = {"value": value} | ({"unit": unit} if unit else {})
    (found,) = state(observation(code(LOINC, loinc), valueQuantity=quantity, **more)).labs
    return found


# --- analytes and units -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loinc", "analyte"),
    [
        ("751-8", Analyte.NEUTROPHILS), ("26499-4", Analyte.NEUTROPHILS), ("753-4", Analyte.NEUTROPHILS),
        ("777-3", Analyte.PLATELETS), ("26515-7", Analyte.PLATELETS),
        ("718-7", Analyte.HAEMOGLOBIN), ("30313-1", Analyte.HAEMOGLOBIN), ("20509-6", Analyte.HAEMOGLOBIN),
        ("1742-6", Analyte.ALT), ("1743-4", Analyte.ALT), ("1744-2", Analyte.ALT),
        ("1920-8", Analyte.AST), ("30239-8", Analyte.AST),
        ("1975-2", Analyte.BILIRUBIN), ("42719-5", Analyte.BILIRUBIN), ("14631-6", Analyte.BILIRUBIN),
        ("2160-0", Analyte.CREATININE), ("38483-4", Analyte.CREATININE), ("14682-9", Analyte.CREATININE),
        ("98979-8", Analyte.EGFR), ("62238-1", Analyte.EGFR), ("33914-3", Analyte.EGFR), ("69405-9", Analyte.EGFR), ("50210-4", Analyte.EGFR),
        ("35591-7", Analyte.CREATININE_CLEARANCE), ("2164-2", Analyte.CREATININE_CLEARANCE),
    ],
)  # fmt: skip
def test_a_test_is_known_by_its_loinc_code(loinc: str, analyte: Analyte) -> None:
    assert lab(loinc, 1).analyte is analyte


def test_or_by_a_bare_coding_in_place_of_the_concept() -> None:
    (found,) = state(observation({"system": LOINC, "code": "751-8"}, valueQuantity=mg(1))).labs
    assert found.analyte is Analyte.NEUTROPHILS


@pytest.mark.parametrize(
    ("name", "analyte"),
    [("Hemoglobin", Analyte.HAEMOGLOBIN), ("ANC", Analyte.NEUTROPHILS), ("Platelet count", Analyte.PLATELETS), ("Creatinine", Analyte.CREATININE)],
)  # fmt: skip
def test_or_by_a_name_that_is_its_whole_text(name: str, analyte: Analyte) -> None:
    (found,) = state(observation(name, valueQuantity={"value": 1, "unit": "x"})).labs
    assert found.analyte is analyte


@pytest.mark.parametrize("name", ["Hemoglobin A1c", "Creatinine, urine", "Platelet antibodies", "anti-ALT"])
def test_longer_names_are_other_tests(name: str) -> None:
    assert state(observation(name, valueQuantity={"value": 1, "unit": "mg/dL"})).labs == ()


def test_a_display_of_an_unknown_code_is_no_name() -> None:
    assert (
        state(observation(code("urn:oid:1", "X", "Hemoglobin"), valueQuantity={"value": 9, "unit": "g/dL"})).labs == ()
    )


@pytest.mark.parametrize(
    ("loinc", "value", "unit", "expected"),
    [
        ("751-8", Decimal("0.9"), "10*9/L", "0.9"),
        ("751-8", Decimal("0.9"), "10*3/uL", "0.9"),
        ("751-8", Decimal("0.9"), "K/uL", "0.9"),
        ("751-8", Decimal("0.9"), "x10E3/uL", "0.9"),
        ("751-8", Decimal("0.9"), "G/L", "0.9"),
        ("751-8", Decimal("0.9"), "/nL", "0.9"),
        ("751-8", Decimal("0.9"), "thou/mcL", "0.9"),
        ("751-8", 900, "/uL", "0.9"),
        ("751-8", 900, "/mm3", "0.9"),
        ("751-8", 900, "cells/uL", "0.9"),
        ("718-7", 80, "g/L", "8"),
        ("718-7", Decimal("8.0"), "g/dL", "8"),
        ("718-7", 5, "mmol/L", "8.055"),
        ("1742-6", 120, "IU/L", "120"),
        ("1742-6", 2, "ukat/L", "120"),
        ("1975-2", Decimal("34.2"), "umol/L", "2"),
        ("1975-2", Decimal("34.2"), "µmol/L", "2"),
        ("2160-0", Decimal("123.76"), "umol/L", "1.4"),
        ("98979-8", 22, "mL/min/{1.73_m2}", "22"),
        ("98979-8", 22, "mL/min/1.73 m2", "22"),
        ("98979-8", 22, "mL/min/1.73m²", "22"),
        ("35591-7", 22, "mL/min", "22"),
    ],
)
def test_a_value_is_converted_by_its_unit(loinc: str, value: Any, unit: str, expected: str) -> None:
    assert lab(loinc, value, unit).value == Decimal(expected)


def test_creatinine_of_124_umol_per_litre_is_1_40_mg_per_decilitre() -> None:
    found = lab("2160-0", 124, "umol/L").value
    assert found is not None
    assert round(found, 2) == Decimal("1.40")


@pytest.mark.parametrize(
    ("loinc", "value", "unit", "refused"),
    [
        ("2160-0", 124, "mg/dL", "it is implausible in its unit: perhaps it is in umol/L"),
        ("2160-0", Decimal("30.1"), "mg/dL", "it is implausible in its unit: perhaps it is in umol/L"),
        ("2160-0", Decimal("0.09"), "mg/dL", "it is implausible in its unit: perhaps it is in umol/L"),
        ("718-7", 120, "g/dL", "it is implausible in its unit: perhaps it is in g/L"),
        ("751-8", 4500, "10*3/uL", "it is implausible in its unit: perhaps it is in cells per uL"),
        ("777-3", 150000, "10*9/L", "it is implausible in its unit: perhaps it is in cells per uL"),
        ("1742-6", -1, "U/L", "it is implausible in its unit"),
        ("2160-0", 1, "", "its unit is missing"),
        ("2160-0", 1, "g/dL", "its unit is not one of this measurement"),
        ("2160-0", "high", "mg/dL", "it has no readable number"),
    ],
)
def test_an_implausible_or_unreadable_value_is_refused_and_stays_visible(
    loinc: str, value: Any, unit: str, refused: str
) -> None:
    found = lab(loinc, value, unit)
    assert (found.value, found.refused) == (None, refused)


@pytest.mark.parametrize(
    ("loinc", "value", "unit"),
    [("2160-0", 30, "mg/dL"), ("2160-0", Decimal("0.1"), "mg/dL"), ("751-8", 0, "10*9/L"), ("718-7", 25, "g/dL")],
)
def test_the_limits_of_plausibility_are_plausible(loinc: str, value: Any, unit: str) -> None:
    assert lab(loinc, value, unit).value == value


@pytest.mark.parametrize(
    ("more", "value", "refused"),
    [
        ({"valueString": "0.9 10*9/L"}, Decimal("0.9"), ""),
        ({"valueString": "0.9"}, None, "its unit is missing"),
        ({"valueString": "clotted"}, None, "it is not a number"),
        ({"valueInteger": 1}, None, "its unit is missing"),
        ({}, None, "it has no value"),
        ({"valueQuantity": "0.9 10*9/L"}, Decimal("0.9"), ""),
    ],
)
def test_values_of_other_types(more: Any, value: Any, refused: str) -> None:
    (found,) = state(observation(code(LOINC, "751-8"), **more)).labs
    assert (found.value, found.refused) == (value, refused)


@pytest.mark.parametrize(
    ("comparator", "bound"),
    [("", Bound.EXACT), ("<", Bound.BELOW), ("<=", Bound.BELOW), (">", Bound.ABOVE), (">=", Bound.ABOVE)],
)
def test_comparators_are_kept_as_bounds(comparator: str, bound: Bound) -> None:
    quantity = {"value": 15, "unit": "mL/min", "comparator": comparator}
    (found,) = state(observation(code(LOINC, "98979-8"), valueQuantity=quantity)).labs
    assert (found.value, found.bound) == (15, bound)


def test_an_unknown_comparator_refuses_the_value() -> None:
    (found,) = state(
        observation(code(LOINC, "98979-8"), valueQuantity={"value": 15, "unit": "mL/min", "comparator": "ad"})
    ).labs
    assert (found.value, found.refused) == (None, "its comparator is not known")


# --- status, day, parts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "preliminary"),
    [
        ("final", False),
        ("amended", False),
        ("corrected", False),
        ("preliminary", True),
        ("unknown", True),
        (None, False),
    ],
)
def test_preliminary_results_are_flagged(status: str | None, preliminary: bool) -> None:
    assert lab("718-7", 9, "g/dL", status=status).preliminary is preliminary


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "registered"])
def test_erroneous_and_cancelled_results_are_dropped(status: str) -> None:
    assert (
        state(observation(code(LOINC, "718-7"), valueQuantity={"value": 7, "unit": "g/dL"}, status=status)).labs == ()
    )


def test_a_value_said_to_be_absent_is_no_result() -> None:
    assert state(observation(code(LOINC, "718-7"), dataAbsentReason={"text": "clotted"})).labs == ()


def test_the_day_is_when_it_was_taken_and_only_else_when_it_was_issued() -> None:
    assert lab("718-7", 9, "g/dL", issued="2026-01-20").day == day("2026-01-19")
    assert lab("718-7", 9, "g/dL", effectiveDateTime=None, issued="2026-01-18").day == day("2026-01-18")
    assert lab("718-7", 9, "g/dL", effectiveDateTime=None, effectivePeriod={"start": "2026-01-17"}).day == day(
        "2026-01-17"
    )


def test_the_components_of_a_panel_are_results() -> None:
    panel = observation(
        "CBC",
        component=[
            {"code": code(LOINC, "718-7"), "valueQuantity": {"value": 9, "unit": "g/dL"}},
            {"code": code(LOINC, "777-3"), "valueQuantity": {"value": 60, "unit": "K/uL"}},
            {"code": code(LOINC, "751-8"), "dataAbsentReason": {"text": "x"}},
        ],
    )
    assert [(r.analyte, r.value) for r in state(panel).labs] == [(Analyte.HAEMOGLOBIN, 9), (Analyte.PLATELETS, 60)]
    named = panel | {"code": code(LOINC, "718-7")}
    assert len(state(named).labs) == 2


def test_a_coding_that_is_half_there_does_not_hide_the_next() -> None:
    concept = {"coding": [{"code": "718-7"}, {"system": 5, "code": "x"}, {"system": LOINC, "code": "718-7"}]}
    assert state(observation(concept, valueQuantity={"value": 9, "unit": "g/dL"})).labs[0].value == 9


def test_any_of_several_codings_names_the_test() -> None:
    concept = {"coding": [{"system": "urn:oid:1", "code": "HGB"}, {"system": LOINC, "code": "718-7"}]}
    assert state(observation(concept, valueQuantity={"value": 9, "unit": "g/dL"})).labs[0].value == 9


# --- reference range --------------------------------------------------------------------------------------------------


def ranged(*ranges: Any, loinc: str = "1742-6") -> tuple[Decimal | None, str]:
    found = lab(loinc, 20, "U/L", referenceRange=list(ranges))
    return found.upper_normal, found.range_refused


@pytest.mark.parametrize(
    ("entry", "upper"),
    [
        ({"high": {"value": 40, "unit": "U/L", "system": UCUM, "code": "U/L"}}, 40),
        ({"low": {"value": 5, "unit": "U/L"}, "high": {"value": 40, "unit": "IU/L"}}, 40),
        ({"high": {"value": 1, "unit": "ukat/L"}}, 60),
        ({"text": "<=40 U/L"}, 40),
        ({"text": "< 41 U/L"}, 41),
        ({"text": "7-40 U/L"}, 40),
        ({"text": "7.0 – 40.0 U/L"}, 40),
        ({"text": "up to 40 U/L"}, 40),
        ({"text": "(0)"}, None),
        ({"low": {"value": 5, "unit": "U/L"}}, None),
        ({}, None),
    ],
)
def test_the_upper_limit_is_read_by_its_own_unit(entry: Any, upper: Any) -> None:
    assert ranged(entry) == (upper, "")


@pytest.mark.parametrize(
    ("entry", "refused"),
    [
        ({"high": {"value": 40}}, "its unit is missing"),
        ({"text": "7-40"}, "its unit is missing"),
        ({"high": {"value": 40, "unit": "mg/dL"}}, "its unit is not one of this measurement"),
        ({"high": {"value": 151, "unit": "U/L"}}, "it is implausible in its unit"),
        ({"high": {"value": 4, "unit": "U/L"}}, "it is implausible in its unit"),
    ],
)
def test_a_range_without_a_fitting_unit_or_size_is_refused(entry: Any, refused: str) -> None:
    assert ranged(entry) == (None, refused)


def test_the_normal_range_counts_and_two_different_ones_do_not() -> None:
    normal = {"type": {"coding": [{"code": "normal"}]}, "high": {"value": 40, "unit": "U/L"}}
    critical = {"type": {"coding": [{"code": "critical"}]}, "high": {"value": 120, "unit": "U/L"}}
    assert ranged(critical, normal) == (40, "")
    assert ranged(normal, {"high": {"value": 45, "unit": "U/L"}}) == (None, "it has several upper limits")
    assert ranged(normal, {"high": {"value": 40, "unit": "IU/L"}}) == (40, "")


def test_value_and_range_are_converted_each_by_its_own_unit() -> None:
    found = lab(
        "1975-2", Decimal("34.2"), "umol/L", referenceRange=[{"high": {"value": Decimal("1.2"), "unit": "mg/dL"}}]
    )
    assert (found.value, found.upper_normal) == (2, Decimal("1.2"))


# --- vital signs ------------------------------------------------------------------------------------------------------


def vitals(*resources: Any) -> list[tuple[Vital, Decimal]]:
    return [(v.vital, v.value) for v in state(*resources).vitals]


@pytest.mark.parametrize(
    ("loinc", "value", "unit", "expected"),
    [
        ("8310-5", Decimal("38.4"), "Cel", (Vital.TEMPERATURE, Decimal("38.4"))),
        ("8310-5", Decimal("100.4"), "[degF]", (Vital.TEMPERATURE, Decimal(38))),
        ("8310-5", Decimal("100.4"), "°F", (Vital.TEMPERATURE, Decimal(38))),
        ("8480-6", 84, "mmHg", (Vital.SYSTOLIC, Decimal(84))),
        ("8480-6", 12, "kPa", (Vital.SYSTOLIC, Decimal("90.0072"))),
        ("3151-8", 6, "L/min", (Vital.OXYGEN_FLOW, Decimal(6))),
        ("59408-5", 92, "%", (Vital.OXYGEN_SATURATION, Decimal(92))),
        ("2708-6", 92, "%", (Vital.OXYGEN_SATURATION, Decimal(92))),
    ],
)
def test_a_vital_sign_is_read_in_its_unit(loinc: str, value: Any, unit: str, expected: tuple[Vital, Decimal]) -> None:
    assert vitals(observation(code(LOINC, loinc), valueQuantity={"value": value, "unit": unit})) == [expected]


def test_a_vital_sign_knows_its_time() -> None:
    (found,) = state(observation(code(LOINC, "8310-5"), valueQuantity={"value": 37, "unit": "Cel"})).vitals
    assert found == VitalSign(
        reference="Observation/o1", vital=Vital.TEMPERATURE, at=day("2026-01-19"), value=Decimal(37)
    )


def test_components_of_blood_pressure_and_oximetry_are_read() -> None:
    pressure = observation(
        code(LOINC, "85354-9"),
        component=[
            {"code": code(LOINC, "8480-6"), "valueQuantity": {"value": 84, "unit": "mm[Hg]"}},
            {"code": code(LOINC, "8462-4"), "valueQuantity": {"value": 50, "unit": "mm[Hg]"}},
        ],
    )
    oximetry = observation(
        {"coding": [{"system": LOINC, "code": "59408-5"}, {"system": LOINC, "code": "2708-6"}]},
        valueQuantity={"value": 91, "unit": "%"},
        component=[{"code": code(LOINC, "3151-8"), "valueQuantity": {"value": 6, "unit": "L/min"}}],
    )
    assert vitals(pressure) == [(Vital.SYSTOLIC, 84)]
    assert vitals(oximetry) == [(Vital.OXYGEN_SATURATION, 91), (Vital.OXYGEN_FLOW, 6)]


def test_a_named_vital_sign_is_read_too() -> None:
    assert vitals(observation("Body temperature", valueQuantity={"value": 39, "unit": "Cel"})) == [
        (Vital.TEMPERATURE, 39)
    ]


@pytest.mark.parametrize(("value", "unit"), [(101, "Cel"), (24, "Cel"), (37, ""), (37, "K"), ("hot", "Cel")])
def test_an_unreadable_or_implausible_vital_sign_is_said(value: Any, unit: str) -> None:
    found = state(observation(code(LOINC, "8310-5"), valueQuantity={"value": value, "unit": unit}))
    assert found.vitals == ()
    (said,) = found.unknowns
    assert said.why.startswith("its temperature could not be read")


def test_vital_signs_without_a_value_or_of_no_rule_are_none() -> None:
    for concept in (code(LOINC, "8310-5"), code(LOINC, "8867-4")):
        found = state(observation(concept, dataAbsentReason={"text": "x"}))
        assert (found.vitals, found.unknowns) == ((), ())
    assert vitals(observation(code(LOINC, "8867-4"), valueQuantity={"value": 80, "unit": "/min"})) == []


# --- supports ---------------------------------------------------------------------------------------------------------


def supports(*resources: Any) -> list[tuple[SupportKind, str]]:
    return [(s.kind, s.name) for s in state(*resources).supports]


def infusion(name: str, **more: Any) -> dict[str, Any]:
    return given(None, medicationCodeableConcept={"text": name}, status="in-progress") | more


@pytest.mark.parametrize(
    "name", ["norepinephrine", "Noradrenaline", "epinephrine", "phenylephrine", "dopamine", "angiotensin II"]
)
def test_a_pressor_being_given_is_a_support(name: str) -> None:
    assert supports(infusion(name)) == [(SupportKind.VASOPRESSOR, name.lower())]


def test_vasopressin_is_told_apart() -> None:
    assert supports(infusion("vasopressin")) == [(SupportKind.VASOPRESSIN, "vasopressin")]


@pytest.mark.parametrize(
    "resource",
    [
        infusion("norepinephrine", status="completed"),
        infusion("norepinephrine", effectiveDateTime=None, effectivePeriod={"start": "2026-01-18", "end": "2026-01-19"}),
        infusion("epinephrine", dosage={"route": {"text": "IM"}}),
        infusion("ondansetron"),
        order(status="completed", medicationCodeableConcept={"text": "norepinephrine"}),
        order({"asNeededBoolean": True}, status="active", medicationCodeableConcept={"text": "epinephrine"}),
        order({"asNeededCodeableConcept": {"text": "anaphylaxis"}}, status="active", medicationCodeableConcept={"text": "epinephrine"}),
        order({"timing": {"repeat": {"boundsPeriod": {"end": "2026-01-19"}}}}, status="active", medicationCodeableConcept={"text": "dopamine"}),
        order(dose(mg(1)) | {"route": {"text": "SC"}}, status="active", medicationCodeableConcept={"text": "epinephrine"}),
    ],
)  # fmt: skip
def test_what_is_not_being_given_is_none(resource: Any) -> None:
    assert supports(resource) == []


def test_an_active_order_of_a_pressor_is_a_support() -> None:
    resource = order(
        {"route": {"text": "IV"}},
        status="active",
        authoredOn="2026-01-19",
        medicationCodeableConcept={"text": "norepinephrine"},
    )
    (found,) = state(resource).supports
    assert found == Support(
        reference="MedicationRequest/d1", kind=SupportKind.VASOPRESSOR, name="norepinephrine", at=day("2026-01-19")
    )
    assert state(drafts=[resource | {"status": "draft"}]).supports == ()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("High flow nasal cannula", SupportKind.HIGH_FLOW_OXYGEN), ("non-rebreather mask", SupportKind.HIGH_FLOW_OXYGEN), ("Venturi mask", SupportKind.HIGH_FLOW_OXYGEN),
     ("CPAP", SupportKind.POSITIVE_PRESSURE), ("BiPAP", SupportKind.POSITIVE_PRESSURE), ("Endotracheal intubation", SupportKind.POSITIVE_PRESSURE),
     ("Mechanical ventilation", SupportKind.POSITIVE_PRESSURE)],
)  # fmt: skip
def test_breathing_support_by_a_procedure(name: str, kind: SupportKind) -> None:
    assert [k for k, _ in supports(procedure(name))] == [kind]
    assert [k for k, _ in supports(procedure("airway care", usedCode=[{"text": name}]))] == [kind]


@pytest.mark.parametrize(
    "more",
    [
        {"status": "not-done"},
        {"status": "preparation"},
        {"status": "stopped"},
        {"performedDateTime": None, "performedPeriod": {"start": "2026-01-18", "end": "2026-01-19"}},
    ],
)
def test_a_procedure_that_is_over_or_was_not_done_is_none(more: Any) -> None:
    assert supports(procedure("CPAP", **more)) == []


def test_a_procedure_that_goes_on_is_one() -> None:
    running = procedure("CPAP", status="in-progress", performedDateTime=None, performedPeriod={"start": "2026-01-18"})
    (found,) = state(running).supports
    assert found.at == day("2026-01-18")
    assert supports(procedure("extubation")) == []
    assert supports(procedure("no intubation needed")) == []


def test_breathing_support_in_the_text_of_an_observation() -> None:
    assert supports(observation("Oxygen delivery device", valueString="Non-rebreather mask")) == [
        (SupportKind.HIGH_FLOW_OXYGEN, "non rebreather mask")
    ]
    assert supports(observation("O2 device", valueCodeableConcept={"text": "BiPAP"})) == [
        (SupportKind.POSITIVE_PRESSURE, "bipap")
    ]
    assert supports(observation("Oxygen device", valueString="nasal cannula")) == []
    assert supports(observation("Diet", valueString="face mask")) == []
    noted = observation(
        code(LOINC, "59408-5"), valueQuantity={"value": 91, "unit": "%"}, note=[{"text": "on high flow nasal cannula"}]
    )
    assert supports(noted) == [(SupportKind.HIGH_FLOW_OXYGEN, "high flow nasal cannula")]
    device = observation(code(LOINC, "59408-5"), valueQuantity={"value": 91, "unit": "%"}, device={"display": "CPAP"})
    assert supports(device) == [(SupportKind.POSITIVE_PRESSURE, "cpap")]
    inside = observation(
        code(LOINC, "59408-5"),
        component=[
            {"code": {"text": "O2 device"}, "valueString": "CPAP"},
            {"code": {"text": "other"}, "valueString": "x"},
        ],
    )
    assert supports(inside) == [(SupportKind.POSITIVE_PRESSURE, "cpap")]


# --- other engagers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["axicabtagene ciloleucel", "tisagenlecleucel", "lisocabtagene", "brexucabtagene", "idecabtagene", "ciltacabtagene", "CAR-T", "blinatumomab", "teclistamab",
     "epcoritamab", "glofitamab", "mosunetuzumab", "talquetamab", "elranatamab", "tebentafusp"],
)  # fmt: skip
def test_another_engager_on_record_is_kept_with_its_day(name: str) -> None:
    (by_procedure,) = state(procedure(f"{name} infusion", performedDateTime="2024-01-10")).engagers
    (by_row,) = state(given(None, medicationCodeableConcept={"text": name}, effectiveDateTime="2024-01-10")).engagers
    (by_order,) = state(
        order(status="completed", medicationCodeableConcept={"text": name}, authoredOn="2024-01-10")
    ).engagers
    assert {by_procedure.day, by_row.day, by_order.day} == {day("2024-01-10")}


@pytest.mark.parametrize(
    "resource",
    [
        procedure("CAR-T infusion", status="not-done"),
        procedure("no CAR-T"),
        procedure("appendectomy", note=[{"text": "x"}]),
        given(None, medicationCodeableConcept={"text": "blinatumomab"}, status="not-done"),
        order(status="cancelled", medicationCodeableConcept={"text": "blinatumomab"}),
    ],
)
def test_one_that_was_not_given_is_none(resource: Any) -> None:
    assert state(resource).engagers == ()


def test_a_coding_without_a_system_does_not_hide_the_one_that_names_the_test() -> None:
    concept = {"coding": [{"code": "751-8"}, {"system": LOINC, "code": "777-3"}]}
    quantity = {"value": 210, "unit": "10*9/L", "code": "10*9/L", "system": UCUM}
    (found,) = state(observation(concept, valueQuantity=quantity)).labs
    assert (found.analyte, found.value) == (Analyte.PLATELETS, Decimal(210))


def test_a_quantity_made_of_anything_is_refused_not_raised() -> None:
    (found,) = state(observation(code(LOINC, "777-3"), valueQuantity={"value": 210, "unit": ["10*9/L"]})).labs
    assert (found.value, found.refused) == (None, "its unit is missing")
