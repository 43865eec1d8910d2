"""Which orders were signed together, and what chart stood beside them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from cds_service.replay.assumptions import Assumption
from cds_service.replay.moment import NO_DATE
from cds_service.replay.signings import NotReplayed, Signing, as_signed, signings, version_at
from tests.replay.story import (
    A_SECOND_LATER,
    BERLIN,
    SIGNED,
    STEROID,
    Resource,
    dose,
    moment,
    order,
    resource,
    status,
    updated,
)

BEFORE = "2026-03-03T09:00:00+01:00"
WRITTEN = updated(SIGNED)


def all_of(*resources: Resource) -> list[Signing | NotReplayed]:
    return list(signings(resources, BERLIN))


def the_signing(*resources: Resource) -> Signing:
    (found,) = all_of(*resources)
    assert isinstance(found, Signing)
    return found


def ids(resources: tuple[Any, ...]) -> list[str]:
    return [found["id"] for found in resources]


def test_the_order_is_a_draft_and_no_part_of_its_own_chart() -> None:
    found = the_signing(order(**WRITTEN))
    assert found.orders == found.drafts == (order(status="draft", **WRITTEN),)
    assert (found.chart, found.assumed) == ((), {})
    assert found.moment == moment()


def test_orders_come_in_the_order_of_their_moments() -> None:
    first, second = all_of(order("second"), order("first", authored=BEFORE))
    assert isinstance(first, Signing)
    assert isinstance(second, Signing)
    assert (ids(first.orders), ids(first.chart)) == (["first"], [])
    assert (ids(second.orders), ids(second.chart)) == (["second"], ["first"])


def test_an_order_without_a_date_is_not_replayed_and_not_lost() -> None:
    (found,) = all_of(order(authored=None))
    assert found == NotReplayed(order=order(authored=None), why=NO_DATE)


def test_an_order_of_another_drug_is_not_replayed_and_one_that_names_none_is() -> None:
    assert all_of(order(medicationCodeableConcept=STEROID)) == []
    nameless = order()
    del nameless["medicationCodeableConcept"]
    assert ids(the_signing(nameless).orders) == ["o"]
    pointing = order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/m"})
    assert ids(the_signing(pointing).orders) == ["o"]


def test_an_order_by_reference_is_of_the_drug_if_its_medication_is() -> None:
    pointing = order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/m"})
    other = {"resourceType": "Medication", "id": "m", "code": STEROID}
    assert ids(the_signing(pointing, {**other, "code": {"text": "tarlatamab"}}).chart) == ["m"]
    assert all_of(pointing, other) == []


@pytest.mark.parametrize(
    ("authored", "is_beside"),
    [
        (SIGNED, True),
        ("2026-03-10T13:59:00+01:00", True),
        ("2026-03-10T13:58:59+01:00", False),
        ("2026-03-10T14:01:00+01:00", True),
        ("2026-03-10T14:01:01+01:00", False),
        ("2026-03-10", False),
    ],
)
def test_orders_of_the_same_minute_were_signed_together(authored: str, is_beside: bool) -> None:
    found = the_signing(order(**WRITTEN), order("steroid", authored=authored, medicationCodeableConcept=STEROID))
    assert ids(found.drafts) == (["o", "steroid"] if is_beside else ["o"])
    expected = 1 if is_beside and authored != SIGNED else 0
    assert found.assumed.get(Assumption.SIGNED_TOGETHER, 0) == expected


def test_two_orders_of_the_drug_of_one_minute_are_one_signing_at_the_moment_of_the_last() -> None:
    found = the_signing(order("a", authored=A_SECOND_LATER, **WRITTEN), order("b", **WRITTEN))
    assert ids(found.orders) == ["b", "a"]
    assert found.moment.at == datetime(2026, 3, 10, 14, 0, 1, tzinfo=BERLIN)
    assert found.assumed == {Assumption.SIGNED_TOGETHER: 1}


def test_orders_of_one_day_without_times_are_one_signing_and_that_is_counted() -> None:
    found = the_signing(
        order("a", authored="2026-03-10", **WRITTEN),
        order("b", authored="2026-03-10", medicationCodeableConcept=STEROID),
        order("c", authored="2026-03-11", medicationCodeableConcept=STEROID),
    )
    assert ids(found.drafts) == ["a", "b"]
    assert found.assumed == {Assumption.ORDER_DAY_ONLY: 1, Assumption.SIGNED_TOGETHER: 1}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (updated("2026-03-10T15:00:00+01:00"), 0),
        (updated("2026-03-10T15:00:01+01:00"), 1),
        ({}, 1),
    ],
)
def test_an_order_that_was_written_over_an_hour_after_may_have_been_changed(written: Resource, expected: int) -> None:
    assert the_signing(order(**written)).assumed.get(Assumption.ORDER_AS_EXPORTED, 0) == expected


# --- versions ---------------------------------------------------------------------------------------------------------

OLD = resource("Condition", "c", recordedDate=BEFORE, clinicalStatus=status("active"), **updated(BEFORE))
AT_IT = {**OLD, **updated(SIGNED, "2"), "severity": {"text": "moderate"}}
NEW = {**OLD, **updated(A_SECOND_LATER, "3"), "clinicalStatus": status("resolved")}


def test_the_newest_version_of_before_counts_and_one_of_a_second_later_does_not() -> None:
    assert version_at((OLD, NEW, AT_IT), moment()) == ((AT_IT,), False)
    assert version_at((OLD, NEW), moment()) == ((OLD,), False)


def test_without_a_version_of_before_the_oldest_counts_and_that_is_counted() -> None:
    later = {**NEW, **updated("2026-03-12T09:00:00+01:00", "4")}
    assert version_at((later, NEW), moment()) == ((NEW,), True)
    assert the_signing(order(**WRITTEN), later, NEW).assumed == {
        Assumption.LATER_VERSION_USED: 1,
        Assumption.CLOSED_UNDATED: 1,
    }


def test_versions_that_do_not_say_when_they_were_written_are_all_given() -> None:
    undated = {name: value for name, value in NEW.items() if name != "meta"}
    assert version_at((OLD, undated), moment()) == ((OLD, undated), False)


def test_the_same_version_twice_counts_once() -> None:
    assert the_signing(order(**WRITTEN), OLD, dict(OLD)).chart == (OLD,)


def test_resources_without_an_id_are_not_taken_for_one_another() -> None:
    first, second = ({"resourceType": "Condition", "recordedDate": BEFORE, "code": {"text": text}} for text in "ab")
    assert the_signing(order(**WRITTEN), first, second).chart == (first, second)


def test_an_order_is_taken_as_it_was_first_written() -> None:
    changed = order(mg=1, **updated("2026-03-11T09:00:00+01:00", "2"))
    assert as_signed((changed, order(**WRITTEN))) == order(**WRITTEN)


# --- the chart --------------------------------------------------------------------------------------------------------


def test_what_came_later_is_not_in_the_chart_and_a_dose_that_did_keeps_its_order_open() -> None:
    earlier = order("earlier", authored=BEFORE)
    given = dose("d", A_SECOND_LATER, request={"reference": "https://ehr.example/fhir/MedicationRequest/earlier"})
    found = all_of(order(**WRITTEN), earlier, given)[-1]
    assert isinstance(found, Signing)
    assert [(one["id"], one["status"]) for one in found.chart] == [("earlier", "active")]
    assert found.assumed == {}


def test_a_dose_that_was_entered_in_error_keeps_no_order_open() -> None:
    earlier = order("earlier", authored=BEFORE)
    wrong = dose("d", A_SECOND_LATER, request={"reference": "MedicationRequest/earlier"}) | {
        "status": "entered-in-error"
    }
    found = all_of(order(**WRITTEN), earlier, wrong)[-1]
    assert isinstance(found, Signing)
    assert found.assumed == {Assumption.ORDER_STATUS_AS_EXPORTED: 1}


def test_a_dose_before_the_order_is_in_the_chart() -> None:
    assert ids(the_signing(order(**WRITTEN), dose("d", SIGNED)).chart) == ["d"]
    assert ids(the_signing(order(**WRITTEN), dose("d", A_SECOND_LATER)).chart) == []
