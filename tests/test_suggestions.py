"""What cards offer to do: the right thing, on the right order, and never something worse than what was ordered."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import pytest

from cds_service import cards, wire
from cds_service.engine.advice import Assessment
from cds_service.fhir_validity import adds_no_problem, problems
from cds_service.knowledge.loader import load
from cds_service.knowledge.regimen import Sources
from cds_service.suggestions import Orders, is_for, marks
from fhir_mappings.facts import DrugAllergy, NotRecorded, PregnancyFinding, Reading
from tests.engine.builders import (
    AT,
    HOOK_INSTANCE,
    WOMAN,
    ZONE,
    between,
    course,
    crs,
    give,
    mg,
    neuro,
    order,
    pregnancy,
    read,
    rulebook,
    state_of,
    steroid,
)
from tests.test_fhir_content import problems as problems_by_both_validators
from tests.traceability.codes import shipped
from tests.traceability.forms import complaint
from tests.vignettes.build import Case, load_vignettes
from tests.vignettes.compare import act, kind, suggestion, worded
from tests.vignettes.test_vignettes import application, cards_for

Json = dict[str, Any]
REGIMEN: Final = load()


def draft(amount: str = "10", entry: int = 0, **more: Any) -> Json:
    quantity = {"value": Decimal(amount), "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
    return {
        "resourceType": "MedicationRequest",
        "id": f"d{entry}",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"text": "tarlatamab"},
        "subject": {"reference": "Patient/p"},
        "dosageInstruction": [{"doseAndRate": [{"doseQuantity": quantity}]}],
    } | more


def assessed(*facts: Any, **more: Any) -> Assessment:
    incomplete = more.pop("incomplete", False)
    return rulebook().assess(state_of(*facts, **more), at=AT, zone=ZONE, details_may_be_missing=incomplete)


def offered(assessment: Assessment, *drafts: Mapping[str, Any], patient: str = "p") -> dict[str, list[str]]:
    """What each card offers, in the vignettes' words; a draft's place is named as there."""
    rendered = rendered_cards(assessment, *drafts, patient=patient)
    return {worded(kind(card)): [suggestion(one) for one in card.get("suggestions", [])] for card in rendered}


def rendered_cards(assessment: Assessment, *drafts: Mapping[str, Any], patient: str = "p") -> list[Json]:
    orders = Orders(patient_id=patient, drafts=drafts)
    told = cards.render(assessment, hook_instance=HOOK_INSTANCE, orders=orders)
    found: list[Json] = wire.as_json(wire.CdsResponse(cards=told))["cards"]
    return found


LATE: Final = (order("10"), give(-15, "1"))
RESTART: Final = "dose/restart-step-up critical"
MONITOR: Final = "monitoring/monitor info"


# --- the order itself --------------------------------------------------------------------------------------------


def test_a_late_dose_offers_the_same_order_at_the_due_amount_and_its_removal_and_recommends_the_first() -> None:
    """C74, C76."""
    change, remove = rendered_cards(assessed(*LATE), draft())[0]["suggestions"]
    expected = copy.deepcopy(draft())
    expected["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] = 1
    (update,), (delete,) = change["actions"], remove["actions"]
    assert (change["label"], change["isRecommended"]) == ("Change this order to 1 mg.", True)
    assert update["type"] == "update"
    assert update["resource"] == expected
    assert update["description"] == (
        "Change the dose of the tarlatamab order for 2026-01-20 from 10 mg to 1 mg. "
        "Nothing else of it changes: check that the product fits."
    )
    assert "isRecommended" not in remove
    assert delete == {
        "type": "delete",
        "description": "Remove the tarlatamab order for 2026-01-20, 10 mg, to order it anew with the dose that is due.",
        "resourceId": "MedicationRequest/d0",
    }


def test_without_the_drafts_nothing_is_offered() -> None:
    assert set(map(tuple, offered(assessed(*LATE)).values())) >= {()}
    assert offered(assessed(*LATE))[RESTART] == []


@pytest.mark.parametrize(
    "other", [draft(id="x"), draft() | {"id": ""}, draft(id="d0_")], ids=["another", "none", "no id of FHIR"]
)
def test_nothing_is_changed_or_removed_that_is_not_among_the_drafts(other: Json) -> None:
    """C78."""
    assert offered(assessed(*LATE), other)[RESTART] == []


def test_two_drafts_with_one_id_are_neither_changed_nor_removed() -> None:
    assert offered(assessed(*LATE), draft(), draft("1"))[RESTART] == []


def test_an_amount_is_never_raised() -> None:
    """Row 10 and an amount below the step dose: only the removal is offered."""
    assert offered(assessed(order("1"), give(-7, "1")), draft("1"))["dose/change-dose warning"] == ["remove ?"]
    assert offered(assessed(order("0.5")), draft("0.5"))["dose/change-dose critical"] == ["remove ?"]


def test_an_amount_above_the_largest_is_lowered_to_the_due_one() -> None:
    assert offered(assessed(order("20"), *course(4, -14)), draft("20"))["dose/change-dose critical"] == [
        "change ? to 10 mg",
        "remove ?",
    ]


@pytest.mark.parametrize(("days", "expected"), [(-12, ["remove ?"]), (-13, ["change ? to 10 mg", "remove ?"])])
def test_no_order_is_kept_before_the_day_before_it_is_due(days: int, expected: list[str]) -> None:
    """k=1 of a restarted course: due after 14 days, too early only before 7; 13 days after is the day before."""
    given = [*(give(n, a) for n, a in ((-120, "1"), (-113, "10"), (-106, "10"), (-92, "10"))), give(days - 7, "1")]
    assessment = assessed(order("20"), *given, give(days, "10"))
    assert offered(assessment, draft("20"))["dose/change-dose critical"] == expected


def test_a_dose_that_is_too_much_and_too_early_carries_no_suggestion() -> None:
    found = offered(assessed(order("20"), *course(4, -5)), draft("20"))
    assert found["dose/change-dose critical"] == []
    assert found["dose/wait warning"] == []


def test_beside_an_allergy_to_the_drug_the_dose_cards_carry_no_suggestion() -> None:
    allergy = DrugAllergy(reference="AllergyIntolerance/a", name="tarlatamab")
    assert offered(assessed(*LATE, allergy), draft())[RESTART] == []


def test_an_order_that_is_held_is_removed_and_not_changed() -> None:
    found = offered(assessed(*LATE, crs(2, -3)), draft())
    assert found["crs/withhold critical"] == ["remove ?"]
    assert found[RESTART] == ["remove ?"]


def test_a_stop_offers_the_removal_once_whatever_the_number_of_its_reasons() -> None:
    assessment = assessed(order("10"), *course(4, -14), crs(4, -50, -45), crs(3, -100, -95), crs(3, -30, -25))
    assert offered(assessment, draft())["crs/discontinue critical"] == ["remove ?"]


def test_for_a_pregnant_woman_nothing_is_offered_that_keeps_the_order() -> None:
    assessment = assessed(order("10"), pregnancy(PregnancyFinding.PREGNANT, -5), patient=WOMAN, companions=())
    found = offered(assessment, draft())
    assert found["dose/change-dose critical"] == ["remove ?"]
    assert found["premedication/order warning"] == []
    assert found[MONITOR] == []


def test_a_removal_that_is_only_a_question_is_not_recommended() -> None:
    rendered = rendered_cards(assessed(order("10"), *course(2, -14), crs(2, -20)), draft())
    (remove,) = next(c for c in rendered if worded(kind(c)) == "crs/withhold warning")["suggestions"]
    assert "isRecommended" not in remove


def test_an_order_of_the_oldest_fhir_is_removed_and_not_changed() -> None:
    old = draft() | {"resourceType": "MedicationOrder"}
    assessment = assessed(replace(LATE[0], order="MedicationOrder/d0"), LATE[1])
    assert offered(assessment, old)[RESTART] == ["remove ?"]


def test_what_a_client_adds_of_its_own_does_not_lose_the_change() -> None:
    """The sandbox's `category` is an object and not a list; a vendor's member is none of FHIR's."""
    strange = draft(category={"coding": [{"code": "community"}]}, vendorMember={"x": 1})
    assert problems(strange)
    assert offered(assessed(*LATE), strange)[RESTART] == ["change ? to 1 mg", "remove ?"]


def test_a_change_that_would_make_an_order_invalid_is_seen() -> None:
    assert not adds_no_problem(draft(status=7), draft())
    assert adds_no_problem(draft(status=7), draft(status=8))
    assert not adds_no_problem({"resourceType": "MedicationOrder"}, {"resourceType": "MedicationOrder"})
    assert not adds_no_problem(draft(status=7), {"resourceType": "MedicationOrder"})


@pytest.mark.parametrize("note", ["10 mg " * 50_000, "dexamethasone 8 mg, " * 200, "10 mg " + "x" * 5_000])
def test_a_text_without_end_takes_no_time_and_only_the_removal_is_offered(note: str) -> None:
    started = time.perf_counter()
    assert offered(assessed(*LATE), draft(note=[{"text": note}]))[RESTART] == ["remove ?"]
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        ({"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}, ["remove ?"]),
        ({"repeat": {"frequency": 1, "period": 2, "periodUnit": "wk"}}, ["remove ?"]),
        ({"repeat": {"dayOfWeek": ["mon"]}}, ["remove ?"]),
        ({"code": {"text": "every 14 days"}}, ["remove ?"]),
        ({"repeat": {"frequency": 1, "period": 1, "periodUnit": "d", "count": 1}}, ["change ? to 1 mg", "remove ?"]),
        (
            {"event": ["2026-01-20"], "repeat": {"duration": 60, "durationUnit": "min"}},
            ["change ? to 1 mg", "remove ?"],
        ),
    ],
)
def test_an_order_that_repeats_is_not_kept_at_an_amount_that_is_due_once(timing: Json, expected: list[str]) -> None:
    repeating = draft()
    repeating["dosageInstruction"][0]["timing"] = timing
    assert offered(assessed(*LATE), repeating)[RESTART] == expected


# --- what is ordered beside it -----------------------------------------------------------------------------------


def created(assessment: Assessment, card: str, *drafts: Mapping[str, Any]) -> list[Json]:
    """The resources that this card offers to create."""
    rendered = [c for c in rendered_cards(assessment, *(drafts or (draft(),))) if worded(kind(c)) == card]
    actions = [a for c in rendered for one in c.get("suggestions", []) for a in one["actions"]]
    return [action["resource"] for action in actions if action["type"] == "create"]


def test_the_missing_premedication_is_ordered_with_the_dose_and_time_of_the_label() -> None:
    """C75; label, Table 3."""
    dexamethasone, saline = created(assessed(order("10"), give(-7, "1"), companions=()), "premedication/order warning")
    route = {"coding": [{"system": "http://snomed.info/sct", "code": "47625008"}], "text": "Intravenous"}
    ucum = "http://unitsofmeasure.org"
    assert dexamethasone == {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "3264"}],
            "text": "dexamethasone",
        },
        "dosageInstruction": [
            {
                "text": "8 mg intravenously within 1 hour before the tarlatamab infusion",
                "timing": {"event": ["2026-01-20"]},
                "route": route,
                "doseAndRate": [{"doseQuantity": {"value": Decimal(8), "unit": "mg", "system": ucum, "code": "mg"}}],
            }
        ],
    }
    assert saline["medicationCodeableConcept"]["coding"][0]["code"] == "313002"
    assert saline["dosageInstruction"] == [
        {
            "text": "1 L intravenously over 4–5 h right after the tarlatamab infusion",
            "timing": {"event": ["2026-01-20"], "repeat": {"duration": 240, "durationMax": 300, "durationUnit": "min"}},
            "route": route,
            "doseAndRate": [{"doseQuantity": {"value": Decimal(1), "unit": "L", "system": ucum, "code": "L"}}],
        }
    ]


def test_both_are_one_suggestion_whose_label_and_descriptions_name_each() -> None:
    """C72, C74."""
    rendered = rendered_cards(assessed(order("10"), give(-7, "1"), companions=()), draft())
    (one,) = next(c for c in rendered if worded(kind(c)).startswith("premedication"))["suggestions"]
    assert one["label"] == "Order dexamethasone 8 mg IV for C1D8. Order 1 L normal saline IV for C1D8."
    assert [a["description"] for a in one["actions"]] == [
        "Order dexamethasone 8 mg IV within 1 hour before the tarlatamab infusion (C1D8, 2026-01-20).",
        (
            "Order 1 L normal saline IV over 4–5 h right after the tarlatamab infusion (C1D8, 2026-01-20); "
            "mind heart failure and fluid limits."
        ),
    ]


def test_beside_a_dose_that_is_too_small_no_second_one_is_ordered() -> None:
    assessment = assessed(order("10"), give(-7, "1"), companions=(steroid("4"),))
    assert offered(assessment, draft())["premedication/order warning"] == ["order sodium chloride 0.9 % infusion 1 L"]


def test_premedication_of_another_day_does_not_stand_for_this_one() -> None:
    assessment = assessed(order("10"), give(-7, "1"), companions=(steroid("8", 7),))
    assert offered(assessment, draft())["premedication/order warning"] == [
        "order dexamethasone 8 mg and order sodium chloride 0.9 % infusion 1 L"
    ]


@pytest.mark.parametrize("on", [NotRecorded, between(0, 5)], ids=["no day", "one of several days"])
def test_without_a_certain_day_the_orders_have_none(on: Any) -> None:
    assessment = assessed(order("10", on), give(-7, "1"), companions=())
    dexamethasone, saline = created(assessment, "premedication/order warning")
    assert "timing" not in dexamethasone["dosageInstruction"][0]
    assert "event" not in saline["dosageInstruction"][0]["timing"]


def test_the_observation_is_ordered_with_its_hours() -> None:
    (observation,) = created(assessed(order("1")), MONITOR)
    assert observation == {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "code": {"text": "Observation for 22–24 h after the tarlatamab infusion (C1D1)"},
        "occurrenceTiming": {
            "event": ["2026-01-20"],
            "repeat": {"duration": 22, "durationMax": 24, "durationUnit": "h"},
        },
    }


def test_an_observation_of_exactly_two_hours_has_no_longest() -> None:
    (observation,) = created(assessed(order("10"), *course(8, -14)), MONITOR)
    assert observation["occurrenceTiming"]["repeat"] == {"duration": 2, "durationUnit": "h"}


def test_where_the_source_has_no_hours_none_are_ordered() -> None:
    state = state_of(order("10"), give(-14, "1"), give(-7, "10"))
    assessment = rulebook(Sources.SEED).assess(state, at=AT, zone=ZONE)
    assert created(assessment, MONITOR) == []


def test_an_order_that_stands_among_the_drafts_already_is_not_offered_again() -> None:
    assessment = assessed(order("1"))
    (observation,) = created(assessment, MONITOR)
    assert created(assessment, MONITOR, draft("1"), observation | {"id": "accepted"}) == []


def test_severe_neurotoxicity_orders_the_neurological_evaluation_in_words() -> None:
    (evaluation,) = created(assessed(order("10"), give(-7, "1"), neuro(3, -5)), "neurotoxicity/withhold critical")
    assert evaluation["resourceType"] == "ServiceRequest"
    assert evaluation["code"] == {"text": "Neurological evaluation"}
    assert created(assessed(order("10"), give(-7, "1"), neuro(2, -5)), "neurotoxicity/withhold critical") == []


def test_one_pregnancy_test_is_ordered_for_all_drafts_of_the_call() -> None:
    assessment = assessed(order("1"), order("1", 1, entry=1), patient=WOMAN)
    (test,) = created(assessment, "pregnancy/confirm warning", draft("1"), draft("1", entry=1))
    assert test["code"] == {
        "coding": [{"system": "http://loinc.org", "code": "2118-8"}],
        "text": "hCG, presence in serum (pregnancy test)",
    }


@pytest.mark.parametrize(
    "older",
    [
        draft(dosageInstruction=[{"doseQuantity": {"value": 1, "unit": "mg"}}]),
        draft(dosageInstruction=[{"doseRange": {"low": {"value": 1, "unit": "mg"}}}]),
        draft(resourceType="MedicationOrder"),
        draft(medication={"concept": {"text": "tarlatamab"}}),
        draft(medication={"reference": {"reference": "Medication/product"}}),
        {"resourceType": "ServiceRequest", "id": "visit", "code": {"concept": {"text": "Visit"}}},
    ],
    ids=["STU3", "STU3 range", "DSTU2", "R5", "R5 reference", "R5 service"],
)
def test_beside_orders_of_another_fhir_nothing_of_r4_is_created(older: Json) -> None:
    assert created(assessed(order("1")), MONITOR, older) == []
    assert created(assessed(order("1")), MONITOR, draft("1"), older | {"id": "beside"}) == []


def test_beside_orders_of_r4_with_a_code_what_is_missing_is_created() -> None:
    service = {"resourceType": "ServiceRequest", "id": "visit", "code": {"coding": [], "text": "Visit"}}
    assert created(assessed(order("1")), MONITOR, draft("1"), service) != []


def test_for_a_patient_that_is_not_known_nothing_is_ordered() -> None:
    assert offered(assessed(order("1")), draft("1"), patient="")[MONITOR] == []


# --- every vignette ----------------------------------------------------------------------------------------------


def actions_of(case: Case) -> Iterator[tuple[Json, Json]]:
    for card in cards_for(case):
        for one in card.get("suggestions", []):
            assert card["selectionBehavior"] == "any"
            for action in one["actions"]:
                yield one, action


@pytest.mark.parametrize("case", load_vignettes(), ids=lambda case: str(case.id))
def test_whatever_a_vignette_offers_is_fhir_and_about_its_own_drafts(case: Case) -> None:
    drafts = {f"{d['resourceType']}/{d['id']}": d for d in case.drafts() if "id" in d}
    for one, action in actions_of(case):
        assert one["label"]
        assert action["description"]
        if action["type"] == "delete":
            assert action["resourceId"] in drafts
            continue
        resource = action["resource"]
        assert problems_by_both_validators(resource) == []
        if action["type"] == "create":
            assert "id" not in resource
            assert resource["subject"] == {"reference": f"Patient/{case.patient_id}"}
            continue
        received = drafts[f"{resource['resourceType']}/{resource['id']}"]
        assert {**resource, "dosageInstruction": 0} == {**received, "dosageInstruction": 0}
        assert act(action).startswith("change order")


@pytest.mark.parametrize("name", ["V2", "V4", "V5b", "V6b", "V25b"])
def test_a_card_whose_suggestion_was_taken_does_not_come_back(name: str) -> None:
    case = next(case for case in load_vignettes() if case.id == name)
    for wanted in [c for c in cards_for(case) if c.get("suggestions") and kind(c)[0] in {"dose", "premedication"}]:
        call = case.request()
        for action in wanted["suggestions"][0]["actions"]:
            apply(action, call["context"]["draftOrders"]["entry"])
        after = [kind(card)[:2] for card in answered(case, call)]
        assert kind(wanted)[:2] not in after
        assert ("dose", "clarify") not in after


def apply(action: Json, entries: list[Json]) -> None:
    if action["type"] == "create":
        entries.append({"resource": action["resource"] | {"id": f"accepted-{len(entries)}"}})
    for entry in entries:
        if action["type"] == "update" and entry["resource"]["id"] == action["resource"]["id"]:
            entry["resource"] = action["resource"]


def answered(case: Case, call: Json) -> list[Json]:
    client = application(case.now.isoformat(), case.timezone, case.sources).test_client()
    told: list[Json] = client.post(f"/cds-services/{case.service}", json=call).json["cards"]  # type: ignore[index]
    return told


# --- the table ---------------------------------------------------------------------------------------------------


def test_every_code_that_is_ordered_is_one_that_the_value_sets_have_from_a_source() -> None:
    known = {(code.system, code.code) for code in shipped() if not code.mark}
    for row in REGIMEN.table("suggestions").rows:
        if row.has("code"):
            assert complaint(row.text("system"), row.text("code"), is_prefix=False) == ""
            assert (row.text("system"), row.text("code")) in known


# --- reasons not to follow a card --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "card", "expected"),
    [
        (LATE, RESTART, ["doses-elsewhere", "planned-so", "other-day", "risk-benefit-ratio", "expert-contradicts"]),
        (
            (order("10"), *course(4, -14), crs(4, -50, -45)),
            "crs/discontinue critical",
            ["other-grade", "other-cause", "risk-benefit-ratio", "expert-contradicts", "prefers-alternative"],
        ),
        (
            (order("10"), give(-7, "1"), neuro(3, -5)),
            "neurotoxicity/withhold critical",
            ["resolved", "other-grade", "other-cause", "risk-benefit-ratio", "expert-contradicts"],
        ),
    ],
    ids=["restart", "stop", "hold"],
)
def test_a_critical_card_has_reasons_that_a_clinician_would_choose(
    facts: tuple[Any, ...], card: str, expected: list[str]
) -> None:
    rendered = next(c for c in rendered_cards(assessed(*facts)) if worded(kind(c)) == card)
    assert [reason["code"] for reason in rendered["overrideReasons"]] == expected
    assert all(reason["display"] and reason["system"] for reason in rendered["overrideReasons"])


HL7: Final = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"


def test_the_codes_of_hl7_have_the_displays_of_their_code_system() -> None:
    """HL7/cds-hooks, commit 16b2bfc, input/vocabulary/CodeSystem-non-adherence-reason-codes.json."""
    said = {
        row.text("code"): row.say["label"]
        for row in REGIMEN.table("override_reasons").rows
        if row.text("system") == HL7
    }
    assert said == {
        "risk-benefit-ratio": "Recipient assessment of risk/benefit ratio",
        "expert-contradicts": "Advice from expert contradicts the recommended action",
        "policy-contradicts": "Institutional policy/guideline contradicts the recommended action",
        "action-completed": "Recommended action was already completed",
        "need-more-info": (
            "Could not address recommended action due to need for more information/pending results/pending consult"
        ),
        "prefers-alternative": "Patient prefers an alternative approach or treatment",
        "wrong-time-workflow": "PC CDS delivered at wrong time in workflow or patient lifecycle",
    }


def test_no_reason_stands_twice_and_each_is_of_hl7_or_of_the_clinic() -> None:
    """C79."""
    rows = REGIMEN.table("override_reasons").rows
    codes = [(row.text("system"), row.text("code")) for row in rows]
    assert len(set(codes)) == len(codes)
    assert {system for system, _ in codes} == {HL7, "https://tarlatamab-cds.example.org/CodeSystem/override-reason"}


# --- marks -------------------------------------------------------------------------------------------------------


def marked(assessment: Assessment, *drafts: Mapping[str, Any]) -> list[Json]:
    return [dict(act.resource or {}) for act in marks(assessment, Orders(patient_id="p", drafts=drafts))]


def test_a_mark_names_knowledge_and_rows_and_touches_nothing_else() -> None:
    (resource,) = marked(assessed(*LATE), draft())
    (mark,) = resource.pop("extension")
    assert resource == draft()
    assert mark["url"] == "https://tarlatamab-cds.example.org/StructureDefinition/checked"
    assert mark["extension"][:2] == [
        {"url": "knowledge", "valueString": "tarlatamab 2026.1"},
        {"url": "row", "valueString": "R2"},
    ]


def test_a_new_mark_takes_the_place_of_the_older_one_and_other_extensions_stay() -> None:
    other = {"url": "https://ehr.example/x", "valueString": "y"}
    (once,) = marked(assessed(*LATE), draft(extension=[other]))
    (again,) = marked(assessed(*LATE), once)
    assert again == once
    assert once["extension"][0] == other
    assert len(once["extension"]) == 2


def test_an_order_that_could_not_be_assessed_or_named_is_not_marked() -> None:
    unread = [read("conditions", Reading.UNAVAILABLE)]
    assert marked(assessed(*LATE, needs=unread), draft()) == []
    assert marked(assessed(*LATE), draft(id="other")) == []
    assert marked(assessed(*LATE), draft() | {"resourceType": "MedicationOrder"}) == []


def test_a_row_with_a_kind_or_a_grade_is_for_advice_of_that_alone() -> None:
    table = REGIMEN.table("suggestions")
    (advice,) = [
        a for a in assessed(order("10"), give(-7, "1"), companions=(steroid("8"),)).advice if a.topic == "premedication"
    ]
    assert not is_for(table.row("OFFER-STEROID"), advice)
    assert is_for(table.row("OFFER-SALINE"), advice)
    assert not is_for(table.row("OFFER-SALINE"), replace(advice, action="monitor"))


def test_an_unreadable_amount_offers_no_change() -> None:
    assert offered(assessed(order(mg(None, doubt="it is a volume")), give(-15, "1")), draft()) == {
        "dose/clarify critical": [],
        MONITOR: ["order Observation for 22–24 h after the tarlatamab infusion (C1D1)"],
    }
