"""What arrives as prefetch, in every shape: what counts, what is missing, and what is said of it (C32 to C41)."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.errors import NothingReadable
from cds_service.prefetch import PREFETCH, templates_by_key
from fhir_mappings.facts import DRAFT, Reading
from tests.reading.builders import (
    EMPTY,
    KEYS,
    bundle,
    ids,
    outcome,
    read,
    reading,
    readings,
    resource,
    unknowns,
    whole_prefetch,
)

COMPLETE, PARTIAL, UNAVAILABLE = Reading.COMPLETE, Reading.PARTIAL, Reading.UNAVAILABLE
NO_SERVER = "it was not prefetched, and the call names no FHIR server"


def test_the_keys_and_templates_are_those_of_the_contract() -> None:
    templates = dict(templates_by_key())
    codes = templates.pop("observations")
    assert templates == {
        "patient": "Patient/{{context.patientId}}",
        "conditions": "Condition?patient={{context.patientId}}",
        "medicationRequests": "MedicationRequest?patient={{context.patientId}}",
        "medicationAdministrations": "MedicationAdministration?patient={{context.patientId}}",
        "laboratory": "Observation?patient={{context.patientId}}&category=laboratory&_sort=-date&_count=200",
        "vitalSigns": "Observation?patient={{context.patientId}}&category=vital-signs&_sort=-date&_count=200",
        "procedures": "Procedure?patient={{context.patientId}}",
        "adverseEvents": "AdverseEvent?subject=Patient/{{context.patientId}}",
        "allergies": "AllergyIntolerance?patient={{context.patientId}}",
    }
    assert codes.startswith("Observation?patient={{context.patientId}}&code=")
    assert [template.key for template in PREFETCH if template.needed] == [
        "conditions",
        "medicationRequests",
        "medicationAdministrations",
    ]


def test_each_template_names_its_resource_type_page_size_and_whether_it_reads_one_resource() -> None:
    by_key = {template.key: template for template in PREFETCH}
    assert (by_key["patient"].resource_type, by_key["patient"].is_read) == ("Patient", True)
    assert (by_key["adverseEvents"].resource_type, by_key["adverseEvents"].is_read) == ("AdverseEvent", False)
    assert (by_key["laboratory"].page_size, by_key["conditions"].page_size) == (200, None)


def test_a_whole_prefetch_is_complete_without_any_server() -> None:
    chart = read(whole_prefetch(conditions=bundle(resource("Condition", "c1"))))
    assert ids(chart) == ["Patient/p1", "Condition/c1"]
    assert readings(chart, COMPLETE) == list(KEYS)
    assert chart.unknowns == ()


@pytest.mark.conforms("C34", "C35")
@pytest.mark.parametrize(
    "none",
    [
        None,
        {"resourceType": "Bundle", "type": "searchset", "total": 0},
        {"resourceType": "Bundle", "type": "searchset", "entry": []},
        {"resourceType": "Bundle", "type": "searchset", "entry": None},
        {"resourceType": "Bundle", "total": 0, "entry": [{"resource": outcome("warning", "information")}]},
        outcome("information"),
    ],
)
def test_null_an_empty_bundle_and_a_mere_notice_mean_that_there_is_none(none: Any) -> None:
    chart = read(whole_prefetch(conditions=none))
    assert reading(chart, "conditions") == (COMPLETE, "")
    assert ids(chart) == ["Patient/p1"]


@pytest.mark.conforms("C33")
def test_an_absent_key_without_a_server_is_unavailable() -> None:
    prefetch = whole_prefetch()
    del prefetch["laboratory"]
    assert reading(read(prefetch), "laboratory") == (UNAVAILABLE, NO_SERVER)


@pytest.mark.conforms("C36")
@pytest.mark.parametrize(
    "failed",
    [
        outcome("error"),
        outcome("fatal"),
        outcome("warning", "error"),
        {"resourceType": "OperationOutcome"},
        {"resourceType": "Bundle", "entry": [{"resource": outcome("error"), "search": {"mode": "outcome"}}]},
    ],
)
def test_an_outcome_of_severity_error_or_fatal_means_that_the_query_failed(failed: Any) -> None:
    chart = read(whole_prefetch(conditions=failed))
    assert reading(chart, "conditions") == (UNAVAILABLE, "the EHR reports that the query failed")


@pytest.mark.conforms("C36")
def test_a_warning_beside_data_is_fine_and_one_instead_of_data_leaves_open_what_there_is() -> None:
    beside = bundle(resource("Condition", "c1"), outcome("warning"))
    assert reading(read(whole_prefetch(conditions=beside)), "conditions") == (COMPLETE, "")
    instead = reading(read(whole_prefetch(conditions=outcome("warning"))), "conditions")
    assert instead == (PARTIAL, "the EHR answers with a warning instead of data")


def test_data_beside_an_error_still_counts() -> None:
    chart = read(whole_prefetch(conditions=bundle(resource("Condition", "c1"), outcome("error"))))
    assert ids(chart) == ["Patient/p1", "Condition/c1"]
    assert reading(chart, "conditions")[0] is UNAVAILABLE


@pytest.mark.conforms("C37")
def test_a_next_link_without_a_server_makes_the_key_partial() -> None:
    link = [{"relation": "next", "url": "https://ehr.example/fhir/Condition?page=2"}]
    chart = read(whole_prefetch(conditions=bundle(resource("Condition", "c1"), link=link)))
    assert reading(chart, "conditions") == (
        PARTIAL,
        "the answer goes on, and the call names no FHIR server to read the rest from",
    )
    assert "Condition/c1" in ids(chart)


def test_a_bundle_that_counts_more_than_it_holds_is_partial_and_one_that_holds_all_is_complete() -> None:
    two = (resource("Observation", "o1"), resource("Observation", "o2"))
    short = read(whole_prefetch(laboratory=bundle(*two, total=3)))
    assert reading(short, "laboratory") == (
        PARTIAL,
        "the answer is cut short: it holds fewer entries than it counts",
    )
    assert reading(read(whole_prefetch(laboratory=bundle(*two, total=2))), "laboratory") == (COMPLETE, "")


def test_included_resources_and_notices_do_not_make_up_for_missing_entries() -> None:
    entries = [
        {"resource": resource("MedicationRequest", "m1"), "search": {"mode": "match"}},
        {"resource": {"resourceType": "Medication", "id": "med1"}, "search": {"mode": "include"}},
        {"resource": outcome("warning"), "search": {"mode": "outcome"}},
    ]
    cut = {"resourceType": "Bundle", "type": "searchset", "total": 2, "entry": entries}
    assert reading(read(whole_prefetch(medicationRequests=cut)), "medicationRequests")[0] is PARTIAL
    whole = {**cut, "total": 1}
    assert reading(read(whole_prefetch(medicationRequests=whole)), "medicationRequests")[0] is COMPLETE


def test_without_a_mode_what_is_of_another_type_does_not_make_up_for_missing_entries() -> None:
    cut = bundle(resource("MedicationRequest", "m1"), {"resourceType": "Medication", "id": "med1"}, total=2)
    assert reading(read(whole_prefetch(medicationRequests=cut)), "medicationRequests")[0] is PARTIAL
    whole = bundle(resource("MedicationRequest", "m1"), {"resourceType": "Medication", "id": "med1"}, total=1)
    assert reading(read(whole_prefetch(medicationRequests=whole)), "medicationRequests")[0] is COMPLETE


@pytest.mark.parametrize(("count", "expected"), [(199, COMPLETE), (200, PARTIAL)])
def test_an_answer_as_long_as_the_page_that_says_neither_total_nor_links_may_be_cut(
    count: int, expected: Reading
) -> None:
    many = bundle(*(resource("Observation", f"o{number}") for number in range(count)))
    assert reading(read(whole_prefetch(laboratory=many)), "laboratory")[0] is expected


def test_an_answer_as_long_as_the_page_with_links_and_no_next_one_is_complete() -> None:
    many = [resource("Observation", f"o{number}") for number in range(200)]
    linked = bundle(*many, link=[{"relation": "self", "url": "https://ehr.example/fhir/Observation"}])
    assert reading(read(whole_prefetch(laboratory=linked)), "laboratory")[0] is COMPLETE


@pytest.mark.conforms("C38")
@pytest.mark.parametrize(
    "wrong",
    ["Condition/c1", "", 7, 1.5, True, {}, {"id": "c1"}, [], ["x"], {"resourceType": 7}, {"resourceType": ""}],
)
def test_a_value_that_is_no_fhir_is_unavailable_and_never_an_exception(wrong: Any) -> None:
    for key in KEYS:
        chart = read(whole_prefetch(**{key: wrong}))
        assert reading(chart, key) == (UNAVAILABLE, "the prefetched value is no FHIR resource")


def test_a_bundle_whose_entries_are_no_list_is_read_as_one_entry() -> None:
    value = {"resourceType": "Bundle", "entry": {"resource": resource("Condition", "c1")}}
    chart = read(whole_prefetch(conditions=value))
    assert (ids(chart), reading(chart, "conditions")) == (["Patient/p1", "Condition/c1"], (COMPLETE, ""))


def test_one_resource_where_a_bundle_was_asked_counts_and_the_key_is_partial() -> None:
    chart = read(whole_prefetch(conditions=resource("Condition", "c1")))
    assert "Condition/c1" in ids(chart)
    assert reading(chart, "conditions") == (
        PARTIAL,
        "the prefetched value is one resource instead of a Bundle: it may not be all there is",
    )


def test_a_list_of_resources_counts_and_the_key_is_partial() -> None:
    chart = read(whole_prefetch(conditions=[resource("Condition", "c1"), {"resource": resource("Condition", "c2")}]))
    assert ids(chart) == ["Patient/p1", "Condition/c1", "Condition/c2"]
    assert reading(chart, "conditions")[0] is PARTIAL


@pytest.mark.conforms("C38")
def test_a_bundle_where_the_patient_was_asked_is_unwrapped() -> None:
    chart = read(whole_prefetch(patient=bundle({"resourceType": "Patient", "id": "p1"})))
    assert (ids(chart), reading(chart, "patient")) == (["Patient/p1"], (COMPLETE, ""))


def test_the_old_form_with_response_and_resource_is_unwrapped() -> None:
    old = {"response": {"status": "200 OK"}, "resource": bundle(resource("Condition", "c1"))}
    chart = read(whole_prefetch(conditions=old))
    assert (ids(chart), reading(chart, "conditions")) == (["Patient/p1", "Condition/c1"], (COMPLETE, ""))


def test_another_resource_type_than_asked_counts_but_does_not_answer_the_key() -> None:
    chart = read(whole_prefetch(conditions=bundle(resource("Observation", "o1"))))
    assert "Observation/o1" in ids(chart)
    assert reading(chart, "conditions") == (UNAVAILABLE, "the answer holds other resources than those asked for")
    bare = read(whole_prefetch(conditions=resource("Observation", "o1")))
    assert "Observation/o1" in ids(bare)
    assert reading(bare, "conditions")[0] is UNAVAILABLE


def test_an_observation_counts_under_whatever_key_it_comes_known_or_not() -> None:
    chart = read(
        whole_prefetch(
            vitalSigns=bundle(resource("Observation", "lab")),
            allOfThem=bundle(resource("Observation", "o2")),
            one=resource("Observation", "o3"),
        )
    )
    assert ids(chart) == ["Patient/p1", "Observation/lab", "Observation/o2", "Observation/o3"]
    assert set(chart.needs) == set(KEYS)


@pytest.mark.conforms("C39")
@pytest.mark.parametrize("value", [None, "text", 3, [], {}, {"resourceType": "Practitioner", "id": "dr"}])
def test_unknown_keys_are_no_needs(value: Any) -> None:
    chart = read(whole_prefetch(user=value))
    assert set(chart.needs) == set(KEYS)
    assert chart.unknowns == ()


def test_observations_that_came_by_code_alone_are_said_to_be_so() -> None:
    chart = read(whole_prefetch())
    assert chart.needs["observations"].by_code_only
    assert not chart.needs["laboratory"].by_code_only


@pytest.mark.parametrize(
    ("by_code", "by_category", "need"),
    [
        (EMPTY, EMPTY, (COMPLETE, "")),
        (EMPTY, None, (COMPLETE, "")),
        (EMPTY, outcome("error"), (PARTIAL, "the EHR reports that the query failed")),
        (outcome("error"), EMPTY, (PARTIAL, "the EHR reports that the query failed")),
        (outcome("error"), outcome("fatal"), (UNAVAILABLE, "the EHR reports that the query failed")),
        (EMPTY, {**EMPTY, "total": 7}, (PARTIAL, "the answer is cut short: it holds fewer entries than it counts")),
    ],
)
def test_an_ehr_may_send_the_observations_that_have_no_code_of_ours_beside_the_others(
    by_code: Any, by_category: Any, need: tuple[Reading, str]
) -> None:
    chart = read(whole_prefetch(observations=by_code, clinicalObservations=by_category))
    assert reading(chart, "observations") == need
    assert not chart.needs["observations"].by_code_only
    assert set(chart.needs) == set(KEYS)


def test_a_broken_entry_among_either_observations_is_said() -> None:
    chart = read(
        whole_prefetch(observations=bundle(None), clinicalObservations=bundle(3, resource("Observation", "o")))
    )
    assert unknowns(chart) == [("Observation", "", "an entry is no FHIR resource", False)] * 2
    assert ids(chart) == ["Patient/p1", "Observation/o"]


def test_a_broken_entry_under_an_unknown_key_is_said() -> None:
    chart = read(whole_prefetch(extra=bundle(None, resource("Observation", "o1"))))
    assert unknowns(chart) == [("prefetch", "", "an entry is no FHIR resource", False)]
    assert "Observation/o1" in ids(chart)


@pytest.mark.parametrize(
    ("entry", "reference"),
    [
        (None, ""),
        ("MedicationAdministration/a1", ""),
        ({}, ""),
        ({"resource": None}, ""),
        ({"resource": "a1"}, ""),
        ({"resource": {"id": "a1"}}, ""),
        ({"fullUrl": "https://ehr.example/fhir/MedicationAdministration/a1"}, "MedicationAdministration/a1"),
        ({"fullUrl": "MedicationAdministration/a1/_history/2", "resource": 3}, "MedicationAdministration/a1"),
    ],
)
def test_an_entry_that_is_no_resource_is_an_unknown_and_the_key_is_partial(entry: Any, reference: str) -> None:
    good = {"resource": resource("MedicationAdministration", "a2")}
    value = {"resourceType": "Bundle", "entry": [entry, good]}
    chart = read(whole_prefetch(medicationAdministrations=value))
    assert unknowns(chart) == [("MedicationAdministration", reference, "an entry is no FHIR resource", False)]
    assert reading(chart, "medicationAdministrations") == (
        PARTIAL,
        "an entry of the answer is no FHIR resource",
    )
    assert "MedicationAdministration/a2" in ids(chart)


def test_an_entry_that_is_itself_the_resource_counts() -> None:
    chart = read(whole_prefetch(conditions={"resourceType": "Bundle", "entry": [resource("Condition", "c1")]}))
    assert (ids(chart), reading(chart, "conditions")) == (["Patient/p1", "Condition/c1"], (COMPLETE, ""))


def test_a_bundle_inside_a_bundle_counts_and_its_own_next_link_makes_the_key_partial() -> None:
    inner = bundle(resource("Condition", "c1"))
    assert ids(read(whole_prefetch(conditions=bundle(inner)))) == ["Patient/p1", "Condition/c1"]
    cut = bundle(resource("Condition", "c1"), link=[{"relation": "next", "url": "Condition?page=2"}])
    assert reading(read(whole_prefetch(conditions=bundle(cut))), "conditions")[0] is PARTIAL


def test_a_bundle_whose_type_is_null_is_read_as_one_and_is_no_resource() -> None:
    condition = resource("Condition", "c1")
    chart = read(whole_prefetch(conditions={"resourceType": None, "entry": [{"resource": condition}]}))
    assert "Condition/c1" in ids(chart)
    assert all(isinstance(found["resourceType"], str) for found in chart.resources)


def test_bundles_nested_without_end_are_no_exception() -> None:
    deep: dict[str, Any] = bundle(resource("Condition", "c1"))
    for _ in range(50):
        deep = bundle(deep)
    read(whole_prefetch(conditions=deep))


def test_the_same_resource_twice_counts_once_the_newest_or_else_the_first() -> None:
    old = resource("Condition", "c1", meta={"lastUpdated": "2026-01-02T10:00:00+02:00"}, note="old")
    new = resource("Condition", "c1", meta={"lastUpdated": "2026-01-02T09:00:00Z"}, note="new")
    undated = resource("Condition", "c1", note="undated")
    for first, second, expected in [(old, new, "new"), (new, old, "new"), (undated, new, "new"), (old, undated, "old")]:
        chart = read(whole_prefetch(conditions=bundle(first), extra=bundle(second)))
        assert [found.get("note") for found in chart.resources if found["resourceType"] == "Condition"] == [expected]
    again = resource("Condition", "c1", note="again")
    chart = read(whole_prefetch(conditions=bundle(undated, again)))
    assert [found.get("note") for found in chart.resources if found["resourceType"] == "Condition"] == ["undated"]


def test_two_versions_that_differ_and_do_not_say_which_is_newer_are_said() -> None:
    one, other = resource("Condition", "c1", note="one"), resource("Condition", "c1", note="other")
    chart = read(whole_prefetch(conditions=bundle(one, other, one)))
    assert [found for found in chart.resources if found["resourceType"] == "Condition"] == [one]
    why = "it came in two versions that differ, and neither says when it was updated"
    assert unknowns(chart) == [("Condition", "Condition/c1", why, False)]


def test_resources_without_an_id_take_that_of_their_full_url_and_count_once() -> None:
    bare = {"resourceType": "Condition", "subject": {"reference": "Patient/p1"}}
    entries = [
        {"fullUrl": "https://ehr.example/fhir/Condition/c1", "resource": bare},
        {"resource": resource("Condition", "c1")},
    ]
    chart = read(whole_prefetch(conditions={"resourceType": "Bundle", "entry": entries}))
    assert ids(chart) == ["Patient/p1", "Condition/c1"]
    assert "id" not in bare


def test_resources_without_any_id_all_count() -> None:
    bare = {"resourceType": "Condition", "subject": {"reference": "Patient/p1"}}
    assert ids(read(whole_prefetch(conditions=bundle(bare, dict(bare))))) == [
        "Patient/p1",
        "Condition/None",
        "Condition/None",
    ]


# --- whose it is ----------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C40")
@pytest.mark.parametrize(
    "subject",
    [
        "Patient/p1",
        "https://ehr.example/fhir/Patient/p1",
        "Patient/p1/_history/3",
        "http://other.example/r4/Patient/p1",
    ],
)
def test_relative_and_absolute_references_to_this_patient_are_accepted(subject: str) -> None:
    chart = read(whole_prefetch(conditions=bundle(resource("Condition", "c1", subject))))
    assert "Condition/c1" in ids(chart)
    assert chart.unknowns == ()


@pytest.mark.conforms("C40")
@pytest.mark.parametrize(
    "subject", ["Patient/p2", "https://ehr.example/fhir/Patient/p2", "Patient/p11", "Patient/P1", "xPatient/p1"]
)
def test_the_resource_of_another_patient_is_never_used_and_said(subject: str) -> None:
    ours = resource("Condition", "ours")
    chart = read(whole_prefetch(conditions=bundle(resource("Condition", "c1", subject), ours)))
    assert ids(chart) == ["Patient/p1", "Condition/ours"]
    (found,) = unknowns(chart)
    assert found[:2] == ("Condition", "Condition/c1")
    assert reading(chart, "conditions")[0] is COMPLETE


def test_what_is_said_of_another_patients_resource_marks_it_as_foreign() -> None:
    chart = read(whole_prefetch(allergies=bundle(resource("AllergyIntolerance", "x", "Patient/p2"))))
    assert unknowns(chart) == [
        ("AllergyIntolerance", "AllergyIntolerance/x", "it belongs to another patient and was not used", True)
    ]


def test_an_answer_that_holds_only_another_patients_data_proves_no_absence() -> None:
    chart = read(whole_prefetch(conditions=bundle(resource("Condition", "c1", "Patient/p2"))))
    assert reading(chart, "conditions") == (PARTIAL, "the answer holds only resources of another patient")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"subject": {}},
        {"subject": {"display": "Somebody"}},
        {"subject": {"identifier": {"value": "123"}}},
        {"subject": {"reference": "Group/g1"}},
        {"subject": {"reference": "urn:uuid:6a4b41c3-5d39-4a2f-8e5a-2f3a6a0f2e11"}},
        {"subject": {"reference": "#p1"}},
        {"subject": {"reference": 7}},
        {"subject": ["Patient/p1"]},
    ],
)
def test_a_resource_that_names_no_patient_is_not_used_and_said(more: dict[str, Any]) -> None:
    value = bundle({"resourceType": "Condition", "id": "c1", **more})
    chart = read(whole_prefetch(conditions=value))
    assert ids(chart) == ["Patient/p1"]
    assert unknowns(chart) == [("Condition", "Condition/c1", "it names no patient and was not used", False)]


def test_one_reference_to_another_patient_outweighs_one_to_this_patient() -> None:
    both = resource("Observation", "o1", patient={"reference": "Patient/p2"})
    assert "Observation/o1" not in ids(read(whole_prefetch(observations=bundle(both))))


def test_a_subject_written_as_plain_text_is_read() -> None:
    plain = {"resourceType": "Condition", "id": "c1", "subject": "Patient/p1"}
    assert "Condition/c1" in ids(read(whole_prefetch(conditions=bundle(plain))))


@pytest.mark.conforms("C40")
def test_the_prefetched_patient_who_is_another_makes_the_key_unavailable() -> None:
    chart = read(whole_prefetch(patient={"resourceType": "Patient", "id": "p2", "gender": "female"}))
    assert ids(chart) == []
    assert reading(chart, "patient") == (UNAVAILABLE, "the patient received is another one than the call is about")
    assert unknowns(chart) == [("Patient", "Patient/p2", "it belongs to another patient and was not used", True)]


def test_a_patient_without_an_id_is_not_used() -> None:
    chart = read(whole_prefetch(patient={"resourceType": "Patient", "gender": "female"}))
    assert ids(chart) == []
    assert reading(chart, "patient") == (UNAVAILABLE, "the patient received has no id")


def test_a_type_that_is_no_type_is_not_repeated() -> None:
    chart = read(whole_prefetch(extra=resource("not a type <b>", "x", "Patient/p2")))
    assert [found.what for found in chart.unknowns] == ["resource"]


# --- drafts and medications -----------------------------------------------------------------------------------------


def test_drafts_stand_in_their_order_and_one_without_subject_is_this_patients() -> None:
    drafts = bundle(resource("MedicationRequest", "d2"), {"resourceType": "MedicationRequest", "id": "d1"})
    chart = read(whole_prefetch(), drafts=drafts)
    assert [draft["id"] for draft in chart.draft_orders] == ["d2", "d1"]
    assert chart.selections is None


def test_a_draft_of_another_patient_is_not_used_and_said() -> None:
    drafts = bundle(resource("MedicationRequest", "d1", "Patient/p2"), resource("MedicationRequest", "d2"))
    chart = read(whole_prefetch(), drafts=drafts)
    assert [draft["id"] for draft in chart.draft_orders] == ["d2"]
    assert unknowns(chart) == [(DRAFT, "MedicationRequest/d1", "it belongs to another patient and was not used", True)]


def test_the_rules_know_unreadable_drafts_by_the_name_they_get_here() -> None:
    assert DRAFT == "draft order"


@pytest.mark.parametrize("entry", [None, 3, "x", {}, {"resource": []}, {"resource": {"id": "d1"}}])
def test_a_draft_entry_that_is_no_resource_is_said(entry: Any) -> None:
    chart = read(whole_prefetch(), drafts={"resourceType": "Bundle", "entry": [entry]})
    assert unknowns(chart) == [(DRAFT, "", "an entry is no FHIR resource", False)]


@pytest.mark.conforms("K1")
def test_medications_of_drafts_and_prefetch_are_found_by_their_reference() -> None:
    urn = "urn:uuid:0b1e33ac-6fd0-4a39-9f7d-0f65e3a3f1c5"
    drafts = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": resource("MedicationRequest", "d1")},
            {"resource": {"resourceType": "Medication", "id": "m1", "code": {"text": "draft"}}},
            {"fullUrl": urn, "resource": {"resourceType": "Medication"}},
        ],
    }
    prefetched = bundle(
        resource("MedicationRequest", "r1"),
        {"resourceType": "Medication", "id": "m1", "code": {"text": "prefetch"}},
        {"resourceType": "Medication", "id": "m2"},
    )
    chart = read(whole_prefetch(medicationRequests=prefetched), drafts=drafts)
    assert list(chart.medications) == ["Medication/m1", urn, "Medication/m2"]
    assert chart.medications["Medication/m1"]["code"] == {"text": "draft"}
    assert [draft["id"] for draft in chart.draft_orders] == ["d1"]
    assert ids(chart) == ["Patient/p1", "MedicationRequest/r1"]


def test_what_came_is_not_changed() -> None:
    prefetch = whole_prefetch(conditions=bundle(resource("Condition", "c1")), extra=[None, {"a": 1}])
    before = copy.deepcopy(prefetch)
    read(prefetch)
    assert prefetch == before


# --- nothing at all -------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C43")
def test_nothing_readable_names_the_needed_keys_and_no_patient() -> None:
    with pytest.raises(NothingReadable) as refused:
        read({"patient": {"resourceType": "Patient", "id": "p1"}, "laboratory": EMPTY}, patient_id="secret-id")
    assert refused.value.reasons == {
        "conditions": NO_SERVER,
        "medicationRequests": NO_SERVER,
        "medicationAdministrations": NO_SERVER,
    }
    assert "secret-id" not in str(refused.value)


@pytest.mark.parametrize("key", ["conditions", "medicationRequests", "medicationAdministrations"])
def test_one_needed_key_is_enough_to_go_on(key: str) -> None:
    assert readings(read({key: None}), COMPLETE) == [key]


def test_a_call_without_prefetch_and_server_has_nothing_readable() -> None:
    with pytest.raises(NothingReadable):
        read(None)


# --- anything at all ------------------------------------------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("Patient/p1")
NAMES = st.sampled_from(
    [
        "resourceType",
        "entry",
        "resource",
        "fullUrl",
        "link",
        "relation",
        "url",
        "total",
        "issue",
        "severity",
        "search",
        "mode",
        "id",
        "subject",
        "patient",
        "reference",
        "meta",
        "lastUpdated",
        "medicationReference",
        "x",
    ]
)
TYPES = st.sampled_from(
    ["Bundle", "OperationOutcome", "Patient", "Condition", "Medication", "MedicationRequest", "Odd"]
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    anything = st.dictionaries(NAMES, inner | TYPES, max_size=5)
    typed = st.builds(lambda kind, rest: {**rest, "resourceType": kind}, TYPES, anything)
    return st.lists(inner, max_size=4) | anything | typed


ANYTHING = st.recursive(LEAVES, objects, max_leaves=25)


@pytest.mark.conforms("C38")
@given(key=st.sampled_from([*KEYS, "other"]), value=ANYTHING, entries=ANYTHING)
def test_whatever_comes_is_read_or_said_to_be_unreadable_and_never_an_exception(
    key: str, value: Any, entries: Any
) -> None:
    prefetch = {"conditions": None, **({"procedures": None} if key == "conditions" else {}), key: value}
    try:
        chart = read(prefetch, drafts={"resourceType": "Bundle", "entry": entries})
    except NothingReadable:
        return
    assert set(chart.needs) == set(KEYS)
    assert all(need.why or need.reading is COMPLETE for need in chart.needs.values())
    assert all(isinstance(found["resourceType"], str) for found in (*chart.resources, *chart.draft_orders))
