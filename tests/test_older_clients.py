"""The vignettes' calls as EHRs on other versions of FHIR send them: every card is the one that the call in R4 gets."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.fhir_versions import VERSIONS, call_in, renamed
from tests.support.hostile_server import answers, hostile_server
from tests.vignettes.build import Case, load_vignettes
from tests.vignettes.test_vignettes import RESPONSE, application

CASES: Final = tuple(case for case in load_vignettes() if not case.open and "fhir" not in case.when)
NO_ADVERSE_EVENTS: Final = {("DSTU2", "failed"), ("DSTU2", "absent")}
"""A search for what a version of FHIR does not have is no gap: V66m to V66o say what is told then."""
QUESTIONS: Final = tuple(dict.fromkeys(case.question for case in CASES))


OF_THE_ORDER: Final = frozenset({"uuid", "suggestions", "selectionBehavior"})


def answer(case: Case, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The cards without their uuid, which is made of the orders' names, and without what they offer.

    An offer hands the order itself back, in its own form, or is not made at all: tests/test_suggestions.py.
    """
    client = application(case.now.isoformat(), case.timezone, case.sources).test_client()
    reply = client.post(f"/cds-services/{case.service}", json=body)
    assert reply.status_code == 200, reply.get_data(as_text=True)
    RESPONSE.validate(reply.get_json())
    return [
        {name: value for name, value in card.items() if name not in OF_THE_ORDER} for card in reply.get_json()["cards"]
    ]


BY_ID: Final = {case.id: case for case in CASES}


@functools.cache
def _said_of(identity: str) -> str:
    return json.dumps(answer(BY_ID[identity], BY_ID[identity].request()))


def usual(case: Case) -> list[dict[str, Any]]:
    """The cards of the vignette as it stands; it is asked once for all tests that compare with them."""
    cards: list[dict[str, Any]] = json.loads(_said_of(case.id))
    return cards


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question[:40])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_story_in_another_version_of_fhir_gets_the_same_cards(version: str, question: str) -> None:
    for case in (case for case in CASES if case.question == question):
        if (version, case.given.get("reading", {}).get("adverseEvents")) in NO_ADVERSE_EVENTS:
            continue
        expected = json.loads(renamed(version, json.dumps(usual(case))))
        assert answer(case, call_in(version, case.request())) == expected, case.id


def kinds_of_actions(case: Case, version: str) -> set[str]:
    """What the cards of a case offer to do in this version of FHIR."""
    client = application(case.now.isoformat(), case.timezone, case.sources).test_client()
    body = case.request() if version == "R4" else call_in(version, case.request())
    cards = client.post(f"/cds-services/{case.service}", json=body).get_json()["cards"]
    return {act["type"] for card in cards for one in card.get("suggestions", []) for act in one["actions"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_k5_no_resource_of_r4_is_created_beside_drafts_of_another_version(version: str) -> None:
    created_in_r4 = [case for case in CASES if "create" in kinds_of_actions(case, "R4")][:12]
    assert created_in_r4
    for case in created_in_r4:
        assert "create" not in kinds_of_actions(case, version), case.id


# --- what may be in draftOrders (conformance, section K) --------------------------------------------------------------

LATE: Final = next(case for case in CASES if case.id == "V5b")  # 10 mg is ordered, 1 mg is due
FIRST: Final = next(case for case in CASES if case.id == "V1")
MEDICATION: Final = "tarlatamab-product"
URN: Final = "urn:uuid:8f3c2f60-1111-4222-8333-944455556666"
Body = dict[str, Any]


def drafts(body: Body) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = body["context"]["draftOrders"]["entry"]
    return entries


def with_medication_of(body: Body, reference: str) -> Body:
    """Put a reference in place of the first draft's medication: the Medication that was there."""
    draft = drafts(body)[0]["resource"]
    code = draft.pop("medicationCodeableConcept")
    draft["medicationReference"] = {"reference": reference}
    return {"resourceType": "Medication", "id": MEDICATION, "code": code}


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("version", ["R4", *VERSIONS])
@pytest.mark.parametrize(
    ("reference", "full_url"),
    [
        (f"Medication/{MEDICATION}", None),
        (f"Medication/{MEDICATION}/_history/2", None),
        (f"https://ehr.example/fhir/Medication/{MEDICATION}", f"https://ehr.example/fhir/Medication/{MEDICATION}"),
        (f"Medication/{MEDICATION}", f"https://ehr.example/fhir/Medication/{MEDICATION}"),
        (URN, URN),
    ],
)
def test_k1_a_medication_may_be_an_entry_of_the_bundle(
    reference: str, full_url: str | None, version: str, place: int
) -> None:
    body = LATE.request()
    medication = with_medication_of(body, reference)
    drafts(body).insert(place, {"resource": medication} | ({"fullUrl": full_url} if full_url else {}))
    if full_url:
        del medication["id"]
    expected = json.loads(renamed(version, json.dumps(usual(LATE))))
    assert answer(LATE, call_in(version, body)) == expected


def test_k1_a_medication_may_be_contained_or_come_with_the_prefetch() -> None:
    body = LATE.request()
    medication = with_medication_of(body, f"#{MEDICATION}")
    drafts(body)[0]["resource"]["contained"] = [medication]
    assert answer(LATE, body) == usual(LATE)
    body = LATE.request()
    medication = with_medication_of(body, f"Medication/{MEDICATION}")
    body["prefetch"]["medications"] = {"resourceType": "Bundle", "entry": [{"resource": medication}]}
    assert answer(LATE, body) == usual(LATE)


@pytest.mark.parametrize("version", ["R4", *VERSIONS])
def test_k1_a_medication_that_is_only_displayed_is_read_and_one_that_cannot_be_had_is_said(version: str) -> None:
    body = LATE.request()
    with_medication_of(body, "Medication/nowhere")
    (card,) = answer(LATE, call_in(version, body))
    assert (card["source"]["topic"]["code"], card["indicator"]) == ("REC-DRAFT", "critical")
    drafts(body)[0]["resource"]["medicationReference"]["display"] = "tarlatamab 10 mg"
    expected = json.loads(renamed(version, json.dumps(usual(LATE))))
    assert answer(LATE, call_in(version, body)) == expected


@pytest.mark.parametrize(
    "kind",
    [
        "NutritionOrder",
        "VisionPrescription",
        "ServiceRequest",
        "DeviceRequest",
        "ProcedureRequest",
        "DiagnosticOrder",
        "ReferralRequest",
        "DeviceUseRequest",
        "Appointment",
        "OrderOfTheFuture",
    ],
)
def test_k1_orders_of_other_kinds_change_nothing(kind: str) -> None:
    body = LATE.request()
    patient = {"reference": f"Patient/{LATE.patient_id}"}
    drafts(body).insert(0, {"resource": {"resourceType": kind, "id": "1", "status": "draft", "patient": patient}})
    assert answer(LATE, body) == usual(LATE)


def of_another_kind(kind: str, **said: Any) -> Body:
    """The late order alone and as another kind of resource, which is called so."""
    body = LATE.request()
    subject = {"reference": f"Patient/{LATE.patient_id}"}
    body["context"]["draftOrders"]["entry"] = [
        {"resource": {"resourceType": kind, "id": "1", "status": "draft", "subject": subject, **said}}
    ]
    return body


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ServiceRequest", {"code": {"text": "Infusion of Imdelltra 10 mg"}}),
        ("ServiceRequest", {"code": {"concept": {"coding": [{"display": "tarlatamab-dlle 10 mg IV"}]}}}),
        ("ServiceRequest", {"code": {"coding": [{"system": "http://hl7.org/fhir/sid/ndc", "code": "55513-077"}]}}),
        ("ProcedureRequest", {"code": {"text": "Tarlatamab"}}),
        ("MedicationDispense", {"medicationCodeableConcept": {"text": "tarlatamab 10 mg"}}),
        ("RequestGroup", {"description": "Tarlatamab cycle 1"}),
        ("CarePlan", {"title": "Tarlatamab C1D8"}),
    ],
)
def test_k1_an_order_of_another_kind_that_is_called_by_the_drug_is_said_not_to_be_assessed(
    kind: str, said: dict[str, Any]
) -> None:
    (card,) = answer(LATE, of_another_kind(kind, **said))
    assert (card["source"]["topic"]["code"], card["indicator"]) == ("REC-ANOTHER-KIND", "warning")
    assert f"{kind}/1: only medication orders are assessed" in card["detail"].replace("\\", "")


@pytest.mark.parametrize(
    "text",
    ["Infusion chair", "Observation for 22–24 h after the tarlatamab infusion (C1D1)", "CBC before tarlatamab", ""],
)
def test_k1_an_order_of_another_kind_about_the_time_around_a_dose_is_none_of_the_drug(text: str) -> None:
    assert answer(LATE, of_another_kind("ServiceRequest", code={"text": text})) == []


@pytest.mark.parametrize("place", [0, 1])
def test_k1_another_order_under_the_same_id_hides_none_of_the_drug(place: int) -> None:
    body = of_another_kind("ServiceRequest", code={"text": "Tarlatamab infusion"})
    drafts(body).insert(place, drafts(of_another_kind("ServiceRequest", code={"text": "Infusion chair"}))[0])
    (card,) = answer(LATE, body)
    assert card["source"]["topic"]["code"] == "REC-ANOTHER-KIND"


def test_k1_beside_the_medication_order_an_order_of_another_kind_changes_nothing() -> None:
    body = LATE.request()
    drafts(body).extend(drafts(of_another_kind("ServiceRequest", code={"text": "Tarlatamab infusion visit"})))
    assert answer(LATE, body) == answer(LATE, LATE.request())


@pytest.mark.parametrize(("selections", "is_said"), [(["ServiceRequest/1"], True), (["NutritionOrder/2"], False)])
def test_k1_while_orders_are_selected_only_a_selected_one_of_another_kind_is_said(
    selections: list[str], is_said: bool
) -> None:
    body = of_another_kind("ServiceRequest", code={"text": "Tarlatamab infusion"}) | {"hook": "order-select"}
    drafts(body).append({"resource": {"resourceType": "NutritionOrder", "id": "2"}})
    body["context"]["selections"] = selections
    assert ["REC-ANOTHER-KIND" in card["source"]["topic"]["code"] for card in selecting(body)] == [True] * is_said


@pytest.mark.parametrize("status", ["draft", "active", "on-hold", None])
@pytest.mark.parametrize("intent", ["order", "plan", "proposal", None])
def test_k3_a_draft_is_judged_whatever_its_status_and_intent(status: str | None, intent: str | None) -> None:
    body = LATE.request()
    drafts(body)[0]["resource"] |= {"status": status, "intent": intent}
    assert answer(LATE, body) == usual(LATE)


@pytest.mark.parametrize(
    "bundle",
    [{"type": None}, {"type": "batch"}, {"id": "x", "total": 9, "link": []}, {"resourceType": "Bundle"}],
    ids=str,
)
def test_k3_the_bundle_may_say_nothing_of_itself(bundle: dict[str, Any]) -> None:
    body = LATE.request()
    body["context"]["draftOrders"] = {"entry": [{"resource": entry["resource"]} for entry in drafts(body)]} | bundle
    assert answer(LATE, body) == usual(LATE)


@pytest.mark.parametrize("entry", [None, {}, 7, [], {"resource": None}, {"fullUrl": URN}, {"resource": {"id": "1"}}])
@pytest.mark.parametrize("place", [0, 1])
def test_k3_an_entry_that_is_no_resource_is_said_and_the_others_are_judged(entry: Any, place: int) -> None:
    body = LATE.request()
    drafts(body).insert(place, entry)
    found, expected = answer(LATE, body), usual(LATE)
    assert [card for card in expected if card not in found] == []
    assert [card["source"]["topic"]["code"] for card in found if card not in expected] == ["REC-DRAFT"]


@pytest.mark.parametrize("entry", [None, {}, {"resource": None}])
def test_k3_a_prefetched_entry_that_is_no_resource_is_said(entry: Any) -> None:
    body = LATE.request()
    body["prefetch"]["medicationAdministrations"]["entry"].append(entry)
    found = [(card["source"]["topic"]["code"], card["indicator"]) for card in answer(LATE, body)]
    assert found == [("CLARIFY-HISTORY", "critical"), ("REC-ADMINISTRATIONS", "critical")]


@pytest.mark.parametrize("dosage", ["list", "object", "both", "flat"])
def test_k4_the_dose_may_stand_where_stu3_has_it_and_in_an_object(dosage: str) -> None:
    body = LATE.request()
    (instruction,) = drafts(body)[0]["resource"]["dosageInstruction"]
    if dosage != "list":
        drafts(body)[0]["resource"]["dosageInstruction"] = instruction
    if dosage == "both":
        instruction |= instruction["doseAndRate"][0]
    if dosage == "flat":
        instruction |= instruction.pop("doseAndRate")[0]
    assert answer(LATE, body) == usual(LATE)


def test_k4_two_doses_that_contradict_each_other_are_asked_about() -> None:
    body = LATE.request()
    (instruction,) = drafts(body)[0]["resource"]["dosageInstruction"]
    instruction["doseQuantity"] = instruction["doseAndRate"][0]["doseQuantity"] | {"value": 1}
    found = [card["source"]["topic"]["display"] for card in answer(LATE, body)]
    assert found[:2] == ["dose: restart-step-up", "dose: clarify"]


@pytest.mark.parametrize("form", ["Patient/{}", "https://ehr.example/fhir/Patient/{}", "Patient/{}/_history/4"])
@pytest.mark.parametrize("names", [("subject",), ("patient",), ("subject", "patient")])
def test_k4_the_patient_may_be_named_by_either_element_and_any_reference(names: tuple[str, ...], form: str) -> None:
    body = LATE.request()
    for entry in [*drafts(body), *(e for key in body["prefetch"].values() for e in key.get("entry", []))]:
        resource = entry["resource"]
        resource.pop("subject", resource.pop("patient", None))
        resource |= {name: {"reference": form.format(LATE.patient_id)} for name in names}
    assert answer(LATE, body) == usual(LATE)


@pytest.mark.parametrize("draft", ["STU3", "R5", "R4"])
@pytest.mark.parametrize("record", ["DSTU2", "STU3", "R5"])
def test_k5_a_context_of_another_version_than_the_record_gets_the_same_cards(draft: str, record: str) -> None:
    body = LATE.request()
    mixed = body | {"context": call_in(draft, body)["context"], "prefetch": call_in(record, body)["prefetch"]}
    assert answer(LATE, mixed) == answer(LATE, body)


@pytest.mark.parametrize("version", ["R4", *VERSIONS])
def test_k6_a_draft_without_a_medication_yet_is_no_mistake_and_gets_no_card(version: str) -> None:
    body = FIRST.request() | {"hook": "order-select"}
    body["context"]["selections"] = [f"MedicationRequest/{drafts(body)[0]['resource']['id']}"]
    for entry in drafts(body):
        entry["resource"] = {
            name: value for name, value in entry["resource"].items() if name in ("resourceType", "id", "subject")
        }
    assert selecting(call_in(version, body)) == []


def selecting(body: Body) -> list[dict[str, Any]]:
    client = application(FIRST.now.isoformat(), FIRST.timezone, FIRST.sources).test_client()
    reply = client.post("/cds-services/tarlatamab-order-select", json=body)
    assert reply.status_code == 200
    RESPONSE.validate(reply.get_json())
    cards: list[dict[str, Any]] = reply.get_json()["cards"]
    return cards


@pytest.mark.parametrize(
    ("selections", "is_judged"),
    [
        ([], False),
        (["ServiceRequest/nowhere"], False),
        (["{steroid}", "ServiceRequest/nowhere"], False),
        (["{steroid}", "https://ehr.example/fhir/NutritionOrder/1/_history/2"], False),
        (["{drug}", "ServiceRequest/nowhere"], True),
        (["{steroid}", "{drug}/_history/3"], True),
        (["{steroid}", "MedicationRequest/nowhere"], True),
        (["{steroid}", "MedicationOrder/nowhere"], True),
        (["{steroid}", "Medication/product"], True),
        (["{steroid}", "nowhere"], True),
        (["{steroid}", "urn:uuid:0c6a4f2e-5a0b-4d7e-9a3e-2f6b1c8d7e90"], True),
        (["urn:oid:2.16.840.1.113883.3.1"], True),
        (["#103"], True),
    ],
)
@pytest.mark.parametrize("version", ["R4", *VERSIONS])
def test_k6_a_selection_that_points_to_no_entry_is_skipped_unless_it_may_be_of_the_drug(
    version: str, selections: list[str], is_judged: bool
) -> None:
    body = FIRST.request() | {"hook": "order-select"}
    drug, steroid = (f"MedicationRequest/{entry['resource']['id']}" for entry in drafts(body)[:2])
    body["context"]["selections"] = [one.format(drug=drug, steroid=steroid) for one in selections]
    medication = with_medication_of(body, "Medication/product") | {"id": "product"}
    drafts(body).append({"resource": medication})
    assert bool(selecting(call_in(version, body))) is is_judged


# --- a FHIR server of DSTU2 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "asked"),
    [
        ("R4", "MedicationRequest"),
        ("STU3", "MedicationRequest"),
        ("R5", "MedicationRequest"),
        ("DSTU2", "MedicationOrder"),
    ],
)
def test_c46_the_server_is_asked_for_orders_by_the_name_that_the_drafts_have(version: str, asked: str) -> None:
    body = call_in(version, LATE.request())
    orders = body["prefetch"].pop("medicationRequests")
    with hostile_server(**{asked: answers(orders)}) as server:
        found = answer(LATE, body | {"fhirServer": server.url})
    assert found == json.loads(renamed(version, json.dumps(usual(LATE))))
    assert server.paths(asked) == [f"/fhir/{asked}?patient={LATE.patient_id}"]


# --- the reference Sandbox --------------------------------------------------------------------------------------------

ROOT: Final = Path(__file__).resolve().parent
SANDBOX: Final = json.loads((ROOT / "cds_hooks" / "sandbox_requests.json").read_text(encoding="utf-8"))
ORDERS: Final = [
    pytest.param(call, id=f"{hook}-{number}")
    for hook, calls in SANDBOX.items()
    for number, call in enumerate(calls)
    if "arlatamab" in json.dumps(call["context"])
]
MG: Final = {"system": "http://unitsofmeasure.org", "code": "mg"}


def advice_on(call: Body) -> list[tuple[str, str, str]]:
    """Topic, action and indicator of each card, on the day on which the Sandbox's calls were recorded."""
    client = application("2026-11-22T12:00:00+00:00", "UTC", "seed+label").test_client()
    reply = client.post(f"/cds-services/tarlatamab-{call['hook']}", json=call)
    assert reply.status_code == 200, reply.get_data(as_text=True)
    RESPONSE.validate(reply.get_json())
    extensions = [card["extension"]["org.tarlatamab-cds.advice"] for card in reply.get_json()["cards"]]
    indicators = [card["indicator"] for card in reply.get_json()["cards"]]
    return [(e["topic"], e["action"], i) for e, i in zip(extensions, indicators, strict=True)]


def at_the_sandbox(call: Body, *, value: Any, unit: dict[str, str], given_on: str | None = None) -> Body:
    """The recorded call with this dose, and with a record that could be read: 1 mg given on this day, or nothing."""
    made: Body = copy.deepcopy(call)
    made.pop("fhirServer")
    made["prefetch"] |= {"medicationRequests": None, "medicationAdministrations": None}
    (dosage,) = drafts(made)[0]["resource"]["dosageInstruction"]
    dosage["doseAndRate"][0]["doseQuantity"] = {"value": value} | unit
    if given_on is not None:
        row: Body = {"resourceType": "MedicationAdministration", "id": "a1", "status": "completed"}
        row |= {"subject": {"reference": "Patient/p1"}, "medicationCodeableConcept": {"text": "tarlatamab"}}
        row |= {"effectiveDateTime": given_on, "dosage": {"dose": {"value": 1} | MG}}
        made["prefetch"]["medicationAdministrations"] = {"resourceType": "Bundle", "entry": [{"resource": row}]}
    return made


@pytest.mark.parametrize("call", ORDERS)
@pytest.mark.parametrize("version", ["R4", *VERSIONS])
@pytest.mark.parametrize(
    ("value", "given_on", "expected"),
    [
        (1, None, []),
        (10, None, [("dose", "change-dose", "critical")]),
        (10, "2026-11-15", []),
        (10, "2026-11-07", [("dose", "restart-step-up", "critical")]),
        (1, "2026-11-15", [("dose", "change-dose", "warning")]),
    ],
)
def test_an_order_made_at_the_sandbox_is_judged_in_every_version_of_fhir(
    version: str, call: Body, value: int, given_on: str | None, expected: list[tuple[str, str, str]]
) -> None:
    made = at_the_sandbox(call, value=value, unit=MG, given_on=given_on)
    found = advice_on(call_in(version, made))
    assert [said for said in found if said[0] == "dose"] == expected
    assert found == advice_on(made)


@pytest.mark.parametrize("call", ORDERS)
@pytest.mark.parametrize("version", ["R4", *VERSIONS])
def test_an_order_that_counts_the_sandboxs_pills_is_asked_about(version: str, call: Body) -> None:
    made = at_the_sandbox(call, value=1, unit={"system": "http://unitsofmeasure.org", "code": "{pill}"})
    assert ("dose", "clarify") in [(topic, action) for topic, action, _ in advice_on(call_in(version, made))]


@pytest.mark.parametrize("version", ["R4", *VERSIONS])
def test_the_first_call_of_the_sandbox_without_a_medication_gets_no_card(version: str) -> None:
    assert advice_on(call_in(version, SANDBOX["order-select"][0])) == []


def test_the_sandboxs_draft_is_named_as_it_came() -> None:
    call = json.loads((ROOT.parent / "examples" / "order-sign-sandbox-dstu2.json").read_text(encoding="utf-8"))
    client = application("2026-01-20T09:00:00+00:00", "UTC", "seed+label").test_client()
    card, *_ = client.post("/cds-services/tarlatamab-order-sign", json=call).get_json()["cards"]
    advice = card["extension"]["org.tarlatamab-cds.advice"]
    assert (advice["topic"], advice["action"], card["indicator"]) == ("dose", "restart-step-up", "critical")
    assert advice["orders"] == ["MedicationOrder/order-123"]
    assert advice["expected"] == [
        {"order": "MedicationOrder/order-123", "dose": "1 mg", "position": "C1D1", "dueOn": "2026-01-20"}
    ]
    assert [found["reference"] for found in advice["evidence"]] == ["MedicationAdministration/first-dose"]
