"""Ordered doses: day, parts, route, duration, position, reasons. Now is 2026-01-20, 12:00 in Berlin."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from fhir_mappings.facts import NotRecorded, OrderedDose, Route, Unknown, When
from tests.fhir_mappings.charts import HCPCS, SNOMED, UCUM, code, day, dose, mg, order, state


def doses(*resources: Any) -> tuple[OrderedDose, ...]:
    return state(drafts=resources).orders


def one(resource: Any) -> OrderedDose:
    (found,) = doses(resource)
    return found


def recorded(resource: Any) -> OrderedDose:
    (found,) = state(resource).orders
    return found


def at(*events: Any) -> dict[str, Any]:
    return dose(mg(10)) | {"timing": {"event": list(events)}}


def repeating(start: Any, **repeat: Any) -> dict[str, Any]:
    bounds = {"start": start} | ({"end": repeat.pop("end")} if "end" in repeat else {})
    return dose(mg(10)) | {"timing": {"repeat": {"boundsPeriod": bounds} | repeat}}


# --- D0 ---------------------------------------------------------------------------------------------------------------


def test_a_drafts_day_is_its_event() -> None:
    assert one(order(at("2026-01-27"))).day == day("2026-01-27")
    assert one(order(at("2026-01-20"))).day_note == ""


def test_a_drafts_past_day_is_taken_as_today_and_said() -> None:
    found = one(order(at("2026-01-19")))
    assert found.day == When(earliest=date(2026, 1, 20), latest=date(2026, 1, 20))
    assert found.day_note == "planned day 2026-01-19 is past: taken as today"


def test_a_drafts_month_that_has_begun_begins_today() -> None:
    found = one(order(at("2026-01")))
    assert found.day == When(earliest=date(2026, 1, 20), latest=date(2026, 1, 31), recorded="2026-01")
    assert found.day_note == "planned day 2026-01 is taken as not before today"


def test_an_unreadable_day_is_unknown_and_none_is_not_recorded() -> None:
    assert isinstance(one(order(at("1970-02-30"))).day, Unknown)
    assert one(order(dose(mg(10)))).day is NotRecorded
    assert isinstance(one(order(repeating("soon"))).day, Unknown)


def test_a_draft_is_not_dated_by_its_signing() -> None:
    assert one(order(dose(mg(10)), authoredOn="2026-01-19")).day is NotRecorded
    assert one(order(dose(mg(10)), authoredOn="2026-01-19")).authored == day("2026-01-19")


@pytest.mark.parametrize(
    ("start", "repeat", "expected"),
    [
        ("2026-01-06", {"frequency": 1, "period": 2, "periodUnit": "wk"}, "2026-01-20"),
        ("2026-01-05", {"frequency": 1, "period": 2, "periodUnit": "wk"}, "2026-02-02"),
        ("2026-01-05", {"period": 14, "periodUnit": "d"}, "2026-02-02"),
        ("2026-01-05", {"period": 14, "periodUnits": "d"}, "2026-02-02"),
        ("2025-12-31", {"period": 1, "periodUnit": "mo"}, "2026-01-31"),
        ("2025-11-19", {"period": 1, "periodUnit": "mo"}, "2026-02-19"),
        ("2025-02-01", {"period": 1, "periodUnit": "a"}, "2026-02-01"),
        ("2026-01-05", {"period": 2, "periodUnit": "wk", "end": "2026-02-02"}, "2026-02-02"),
    ],
)
def test_a_repeating_drafts_day_is_its_next_occurrence(start: str, repeat: dict[str, Any], expected: str) -> None:
    found = one(order(repeating(start, **repeat)))
    assert found.day == When(earliest=date.fromisoformat(expected), latest=date.fromisoformat(expected))
    assert found.day_note == f"next repetition of the order that began {start}"


@pytest.mark.parametrize(
    "repeat",
    [
        {},
        {"period": 2, "periodUnit": "wk", "end": "2026-02-01"},
        {"period": 2, "periodUnit": "wk", "frequency": 3},
        {"period": Decimal("1.5"), "periodUnit": "wk"},
        {"period": 0, "periodUnit": "d"},
        {"period": 2, "periodUnit": "h"},
        {"period": 10**9, "periodUnit": "d"},
        {"period": 10**9, "periodUnit": "a"},
        {"period": "two", "periodUnit": "wk"},
    ],
)
def test_a_past_start_without_a_readable_repetition_is_taken_as_today(repeat: dict[str, Any]) -> None:
    found = one(order(repeating("2026-01-05", **repeat)))
    assert found.day == When(earliest=date(2026, 1, 20), latest=date(2026, 1, 20))
    assert found.day_note == "planned day 2026-01-05 is past: taken as today"


def test_a_future_start_is_kept_and_a_partial_one_is_not_repeated() -> None:
    assert one(order(repeating("2026-02-03", period=2, periodUnit="wk"))).day == day("2026-02-03")
    assert (
        one(order(repeating("2025-12", period=2, periodUnit="wk"))).day_note
        == "planned day 2025-12-31 is past: taken as today"
    )


def test_orders_of_the_record_keep_their_day() -> None:
    assert recorded(order(at("2026-01-19"), status="active")).day == day("2026-01-19")
    assert recorded(order(repeating("2026-01-05", period=2, periodUnit="wk"), status="active")).day == day("2026-01-05")
    assert recorded(order(dose(mg(10)), status="active", authoredOn="2026-01-19")).day is NotRecorded


def test_a_completed_order_without_timing_is_dated_by_its_authoring() -> None:
    assert recorded(order(dose(mg(10)), status="completed", authoredOn="2026-01-06")).day == day("2026-01-06")
    assert recorded(order(dose(mg(10)), status="completed", dateWritten="2026-01-06")).day == day("2026-01-06")
    assert recorded(order(at("2026-01-07"), status="completed", authoredOn="2026-01-06")).day == day("2026-01-07")


# --- parts ------------------------------------------------------------------------------------------------------------


def test_dosages_by_sequence_and_events_in_order_are_one_dose_each() -> None:
    found = doses(
        order(
            {"sequence": 2} | at("2026-01-27", "2026-02-03"),
            {"sequence": 1} | dose(mg(1)) | {"timing": {"event": ["2026-01-20"]}},
        )
    )
    assert [(d.part, d.amount.mg, d.day) for d in found] == [
        (0, 1, day("2026-01-20")), (1, 10, day("2026-01-27")), (2, 10, day("2026-02-03"))
    ]  # fmt: skip


def test_dosages_without_a_sequence_follow_in_the_order_of_receipt() -> None:
    found = doses(order(dose(mg(10)), dose(mg(2)) | {"sequence": "1"}, dose(mg(3))))
    assert [d.amount.mg for d in found] == [2, 10, 3]


def test_an_order_without_a_dosage_is_one_dose_without_an_amount() -> None:
    for resource in (order(), order(dosageInstruction=None), order(dosageInstruction=[None])):
        assert one(resource).amount.absent


@pytest.mark.conforms("K4")
def test_a_dosage_that_is_an_object_or_an_event_that_is_no_list_is_read() -> None:
    found = one(order(dosageInstruction=dose(mg(10)) | {"timing": {"event": "2026-01-27"}}))
    assert (found.amount.mg, found.day) == (10, day("2026-01-27"))


def test_an_entry_of_words_only_instructs_the_others() -> None:
    found = one(order(dose(mg(10)), {"text": "Give IV over 60 minutes. C1D8"}))
    assert (found.amount.mg, found.route, found.minutes, found.position_named) == (10, Route.INTRAVENOUS, 60, "C1D8")


def test_an_entry_with_an_amount_or_a_time_of_its_own_is_a_dose() -> None:
    assert len(doses(order(dose(mg(1)), {"text": "then 10 mg"}))) == 2
    assert len(doses(order(dose(mg(1)), {"text": "next", "timing": {"event": ["2026-01-27"]}}))) == 2
    assert len(doses(order(dose(mg(1)), {}))) == 2
    assert len(doses(order({"text": "as planned"}, {"text": "by pump"}))) == 2


def test_drafts_are_told_by_their_place_and_record_orders_by_none() -> None:
    found = state(
        order(id="r1", status="active"), drafts=[order(id="d1"), order(id="d2", status="Draft", intent="Order")]
    )
    assert [(o.order, o.entry, o.in_draft_orders, o.status, o.intent) for o in found.orders] == [
        ("MedicationRequest/d1", 0, True, "draft", "order"),
        ("MedicationRequest/d2", 1, True, "draft", "order"),
        ("MedicationRequest/r1", -1, False, "active", "order"),
    ]


def test_an_order_entered_in_error_is_dropped() -> None:
    assert state(order(status="entered-in-error")).orders == ()


@pytest.mark.conforms("C46", "K4")
def test_a_dstu2_order_is_read() -> None:
    found = one(
        {
            "resourceType": "MedicationOrder",
            "id": "m1",
            "status": "draft",
            "patient": {"reference": "Patient/p1"},
            "dateWritten": "2026-01-20",
            "medicationCodeableConcept": {"text": "Imdelltra"},
            "dosageInstruction": [{"doseQuantity": mg(1), "timing": {"repeat": {"duration": 1, "durationUnits": "h"}}}],
        }
    )
    assert (found.order, found.amount.mg, found.minutes) == ("MedicationOrder/m1", 1, 60)


# --- route ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "route",
    [code(SNOMED, "47625008"), {"text": "IV"}, {"text": "IVPB"}, {"text": "Intravenous"}, {"text": "I.V."}, {"text": "intravenous infusion"},
     code("http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration", "IVPB"), code("urn:oid:1", "IV"),
     code("urn:oid:1", "9", "Intravenous route"), "IV"],
)  # fmt: skip
def test_intravenous_by_code_or_wording(route: Any) -> None:
    assert one(order(dose(mg(10)) | {"route": route})).route is Route.INTRAVENOUS


@pytest.mark.parametrize(
    ("route", "shown"),
    [
        ({"text": "SC"}, "SC"),
        ({"text": "subcutaneous"}, "subcutaneous"),
        (code(SNOMED, "34206005"), "34206005"),
        ({"text": "IV or SC"}, "IV or SC"),
        ({"text": "per protocol"}, "per protocol"),
    ],
)
def test_any_other_stated_route_is_other(route: Any, shown: str) -> None:
    found = one(order(dose(mg(10)) | {"route": route}))
    assert (found.route, found.route_recorded) == (Route.OTHER, shown)


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("10 mg IV", Route.INTRAVENOUS),
        ("10 mg SC weekly", Route.OTHER),
        ("10 mg IV, not SC", Route.NOT_GIVEN),
        ("10 mg", Route.NOT_GIVEN),
    ],
)
def test_without_a_route_the_text_says_it_if_it_names_one(text: str, route: Route) -> None:
    assert one(order({"text": text})).route is route


def test_an_empty_route_is_none() -> None:
    assert one(order(dose(mg(10)) | {"route": {}})).route is Route.NOT_GIVEN


# --- duration ---------------------------------------------------------------------------------------------------------


def lasting(**repeat: Any) -> dict[str, Any]:
    return dose(mg(10)) | {"timing": {"repeat": repeat}}


def at_rate(quantity: Any, dose_quantity: Any = None) -> dict[str, Any]:
    return {"doseAndRate": [{"doseQuantity": dose_quantity or mg(10), "rateQuantity": quantity}]}


ML_H = {"value": 250, "unit": "mL/h", "system": UCUM, "code": "mL/h"}


@pytest.mark.parametrize(
    ("dosage", "minutes"),
    [
        (lasting(duration=1, durationUnit="h"), 60),
        (lasting(duration=60, durationUnit="min"), 60),
        (lasting(duration=30, durationUnit="min"), 30),
        (at_rate(ML_H), 60),
        (at_rate({"value": 500, "unit": "mL/hr"}), 30),
        (at_rate(ML_H) | {"text": "in 125 mL"}, 30),
        (at_rate(ML_H, {"value": 500, "unit": "mL"}), 120),
        (at_rate({"value": 10, "unit": "mg/h"}), 60),
        (at_rate({"value": 7, "unit": "mg/h"}), Decimal("85.71")),
        (
            {
                "doseAndRate": [
                    {
                        "doseQuantity": mg(10),
                        "rateRatio": {
                            "numerator": {"value": 250, "unit": "mL"},
                            "denominator": {"value": 1, "unit": "h"},
                        },
                    }
                ]
            },
            60,
        ),
        ({"doseQuantity": mg(10), "rateQuantity": ML_H}, 60),
        (dose(mg(10)) | {"text": "over 60 minutes"}, 60),
        (dose(mg(10)) | {"text": "Infuse over 1 hour"}, 60),
        (dose(mg(10)) | {"text": "over about one hour"}, 60),
        (dose(mg(10)) | {"text": "over 1-hour"}, 60),
        (dose(mg(10)) | {"text": "over 0.5 h"}, 30),
        (lasting(duration=1, durationUnit="h") | {"text": "over 60 min"}, 60),
        (lasting(duration=1, durationUnit="fortnight") | {"text": "over 60 min"}, 60),
    ],
)
def test_the_duration_is_stated_computed_from_the_rate_or_said(dosage: Any, minutes: Any) -> None:
    assert one(order(dosage)).minutes == minutes


@pytest.mark.parametrize(
    "dosage",
    [
        lasting(duration=1),
        lasting(duration="an", durationUnit="h"),
        lasting(duration=1, durationUnit="h") | {"text": "over 30 minutes"},
        dose(mg(10)) | {"text": "over 30-60 minutes"},
        dose(mg(10)) | {"text": "over 30 minutes, or over 1 hour"},
        at_rate({"value": 250}),
        at_rate({"value": 0, "unit": "mL/h"}),
        {"doseAndRate": [{"doseQuantity": mg(10), "rateRange": {"low": ML_H}}]},
        {"doseAndRate": [{"doseQuantity": mg(10), "rateRatio": {"numerator": {"value": 250, "unit": "mL"}}}]},
        {
            "doseAndRate": [
                {"doseQuantity": {"value": 1, "unit": "{pill}"}, "rateQuantity": {"value": 10, "unit": "mg/h"}}
            ]
        },
    ],
)
def test_a_duration_that_is_there_and_not_clear_is_unknown(dosage: Any) -> None:
    assert isinstance(one(order(dosage)).minutes, Unknown)


def test_no_duration_is_not_recorded() -> None:
    assert one(order(dose(mg(10)))).minutes is NotRecorded
    assert one(order(dose(mg(10)) | {"text": "give for 14 days"})).minutes is NotRecorded


# --- position, reason, claim ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"note": [{"text": "Tarlatamab C4D1"}]},
        {"dosageInstruction": [{"text": "cycle 4, day 1"}]},
        {"dosageInstruction": [{"text": "Cycle 4 Day 1"}]},
        {"medicationCodeableConcept": {"text": "tarlatamab (C4 D1)"}},
        {"groupIdentifier": {"value": "IMDELLTRA-C4D1"}},
        {"category": [{"text": "C4D1"}]},
        {"extension": [{"url": "x", "valueString": "C4D1"}]},
        {"basedOn": [{"display": "Plan, C4D1"}]},
        {"note": [{"text": "C3D15 given, now C4D1"}]},
    ],
)
def test_a_position_is_read_from_any_text(more: Any) -> None:
    assert one(order(dose(mg(10))) | more).position_named == "C4D1"


def test_a_position_named_by_a_dosage_is_that_doses_alone() -> None:
    found = doses(order(dose(mg(1)) | {"text": "C1D1"}, dose(mg(10)) | {"text": "C1D8"}))
    assert [d.position_named for d in found] == ["C1D1", "C1D8"]


def test_several_positions_for_several_doses_name_none() -> None:
    found = doses(order(dose(mg(1)), dose(mg(10)), note=[{"text": "C1D1, C1D8"}]))
    assert [d.position_named for d in found] == ["", ""]
    found = doses(order(dose(mg(1)), dose(mg(10)), note=[{"text": "C4D1"}]))
    assert [d.position_named for d in found] == ["C4D1", "C4D1"]


def test_no_position_is_read_into_other_words() -> None:
    assert one(order(dose(mg(10)), note=[{"text": "ABC1D15X, covid19"}])).position_named == ""


@pytest.mark.parametrize(
    ("more", "stopped"),
    [
        ({"status": "stopped", "statusReason": {"text": "CRS grade 4"}}, True),
        ({"status": "cancelled", "statusReason": {"text": "toxicity"}}, True),
        ({"status": "ended", "statusReason": {"text": "Adverse reaction"}}, True),
        ({"status": "on-hold", "note": [{"text": "ICANS"}]}, True),
        (
            {
                "status": "stopped",
                "statusReason": code("http://terminology.hl7.org/CodeSystem/medicationrequest-status-reason", "sintol"),
            },
            True,
        ),
        ({"status": "stopped", "reasonEnded": {"text": "toxicity"}}, True),
        ({"status": "stopped", "statusReason": {"text": "patient moved away"}}, False),
        ({"status": "stopped", "statusReason": {"text": "no toxicity; plan changed"}}, False),
        ({"status": "completed", "statusReason": {"text": "toxicity"}}, False),
        ({"status": "active", "note": [{"text": "toxicity"}]}, False),
        ({"status": None, "note": [{"text": "given up: CRS grade 3"}]}, True),
        ({"status": "unknown", "note": [{"text": "given up: CRS grade 3"}]}, True),
        ({"status": 7, "note": [{"text": "given up: CRS grade 3"}]}, True),
        ({"status": None, "note": [{"text": "given up: patient moved away"}]}, False),
    ],
)
def test_an_order_that_ended_or_may_have_is_stopped_for_toxicity_only_if_it_says_so(more: Any, stopped: bool) -> None:
    assert recorded(order(dose(mg(10))) | more).stopped_for_toxicity is stopped


def test_the_reason_is_kept_as_its_text() -> None:
    assert recorded(order(status="stopped", statusReason={"text": "CRS grade 4"})).status_reason == "CRS grade 4"


def test_an_order_coded_as_a_claim_says_so() -> None:
    assert recorded(order(status="completed", medicationCodeableConcept=code(HCPCS, "J9026"))).is_claim
    assert not recorded(order(status="completed")).is_claim


def test_identifiers_are_kept() -> None:
    assert one(order(identifier=[{"system": "urn:x", "value": "7"}])).identifiers == {"urn:x|7"}


def test_drafts_of_no_medication_are_nothing_but_an_unreadable_one_is_said() -> None:
    nothing = order(medicationCodeableConcept=None)
    assert state(drafts=[nothing]).unknowns == ()
    (said,) = state(drafts=[order(medicationCodeableConcept={})]).unknowns
    assert (said.what, said.reference) == ("draft order", "MedicationRequest/d1")


def test_an_order_of_the_record_without_a_readable_medication_is_said() -> None:
    nameless: tuple[Any, ...] = (None, {})
    for value in nameless:
        (said,) = state(order(status="active", medicationCodeableConcept=value)).unknowns
        assert said.what == "MedicationRequest"
    assert state(order(status="entered-in-error", medicationCodeableConcept={})).unknowns == ()


def test_other_drafts_are_no_orders_of_the_drug() -> None:
    assert state(drafts=[{"resourceType": "ServiceRequest", "subject": {"reference": "Patient/p1"}}]).orders == ()
