"""The person: birth, sex, pregnancy, fertility, contraception, feeding. Now is 2026-01-20, 12:00 in Berlin."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from fhir_mappings.facts import (
    FeedingFinding,
    FertilityFinding,
    NotRecorded,
    Person,
    PregnancyFinding,
    Sex,
    Unknown,
    When,
)
from tests.fhir_mappings.charts import (
    ICD,
    LOINC,
    SNOMED,
    UCUM,
    code,
    condition,
    day,
    observation,
    order,
    procedure,
    state,
)

P, F = PregnancyFinding, FertilityFinding


def person(**more: Any) -> Person:
    return state({"resourceType": "Patient", "id": "p1"} | more).patient


# --- Patient ----------------------------------------------------------------------------------------------------------


def test_a_birth_date_may_be_partial_missing_or_unreadable() -> None:
    assert person(birthDate="1960-05-01").born == day("1960-05-01")
    assert person(birthDate="2008").born == When(earliest=date(2008, 1, 1), latest=date(2008, 12, 31), recorded="2008")
    assert person().born is NotRecorded
    assert isinstance(person(birthDate="0000-01-01").born, Unknown)


@pytest.mark.parametrize(
    ("gender", "sex"),
    [
        ("female", Sex.FEMALE),
        ("male", Sex.MALE),
        ("other", Sex.OTHER),
        ("unknown", Sex.NOT_RECORDED),
        (None, Sex.NOT_RECORDED),
        ("M", Sex.MALE),
        ("F", Sex.FEMALE),
        (5, Sex.NOT_RECORDED),
    ],
)
def test_gender(gender: Any, sex: Sex) -> None:
    assert person(gender=gender).sex is sex


BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
FOR_USE = "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse"


def for_use(value: Any) -> dict[str, Any]:
    return {"url": FOR_USE, "extension": [{"url": "value", "valueCodeableConcept": value}]}


def test_the_sex_at_birth_stands_in_for_a_missing_gender() -> None:
    assert person(extension=[{"url": BIRTH_SEX, "valueCode": "M"}]).sex is Sex.MALE
    assert person(gender="female", extension=[{"url": BIRTH_SEX, "valueCode": "M"}]).sex is Sex.FEMALE
    assert person(gender="unknown", extension=[{"url": BIRTH_SEX, "valueCode": "UNK"}]).sex is Sex.NOT_RECORDED


@pytest.mark.parametrize(
    "extension",
    [{"url": BIRTH_SEX, "valueCode": "F"}, for_use(code("x", "female-typical")), for_use({"text": "Female-typical"})],
)
def test_a_female_sex_beside_the_gender_is_evidence_of_a_uterus(extension: Any) -> None:
    found = state({"resourceType": "Patient", "id": "p1", "gender": "male", "extension": [extension]})
    assert found.patient.sex is Sex.MALE
    assert [f.finding for f in found.fertility] == [F.UTERUS_EVIDENCE]


def test_of_the_snomed_codes_for_sex_only_the_one_that_warns_is_read() -> None:
    female = {"extension": [{"url": BIRTH_SEX, "valueCode": "248152002"}]}
    assert person(**female).sex is Sex.FEMALE
    male = code(SNOMED, "248153007")
    assert person(extension=[for_use(male)]).sex is Sex.NOT_RECORDED
    assert person(extension=[for_use(male | {"text": "Male"})]).sex is Sex.MALE


def test_no_female_sex_is_no_evidence() -> None:
    assert (
        state(
            {
                "resourceType": "Patient",
                "id": "p1",
                "gender": "female",
                "extension": [for_use(code("x", "male-typical"))],
            }
        ).fertility
        == ()
    )


def test_without_a_patient_resource_nothing_is_known_of_the_person() -> None:
    assert state().patient == Person(reference="")


def test_another_patient_is_never_used() -> None:
    found = state({"resourceType": "Patient", "id": "p2", "birthDate": "1990-01-01"})
    assert found.patient == Person(reference="")
    assert [(u.what, u.foreign) for u in found.unknowns] == [("Patient", True)]


# --- pregnancy --------------------------------------------------------------------------------------------------------

STATUS, HCG = code(LOINC, "82810-3"), code(LOINC, "2106-3")


def pregnancy(resource: Any) -> PregnancyFinding:
    (found,) = state(resource).pregnancy
    return found.finding


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ({"valueCodeableConcept": code(SNOMED, "77386006")}, P.PREGNANT),
        ({"valueCodeableConcept": code(SNOMED, "60001007")}, P.NOT_PREGNANT),
        ({"valueCodeableConcept": code(SNOMED, "146799005")}, P.UNCERTAIN),
        ({"valueCodeableConcept": code(LOINC, "LA15173-0")}, P.PREGNANT),
        ({"valueCodeableConcept": code(LOINC, "LA26683-5")}, P.UNCERTAIN),
        ({"valueCodeableConcept": code(LOINC, "LA26683-5", "Not pregnant")}, P.NOT_PREGNANT),
        ({"valueCodeableConcept": code(LOINC, "LA26683-5") | {"text": "Pregnant"}}, P.PREGNANT),
        ({"valueCodeableConcept": code(SNOMED, "373067005")}, P.UNCERTAIN),
        ({"valueCodeableConcept": code(SNOMED, "373067005", "No")}, P.NOT_PREGNANT),
        ({"valueCodeableConcept": code(LOINC, "LA4489-6")}, P.UNCERTAIN),
        ({"valueCodeableConcept": {"text": "Pregnant"}}, P.PREGNANT),
        ({"valueCodeableConcept": {"text": "Not pregnant"}}, P.NOT_PREGNANT),
        ({"valueString": "pregnant"}, P.PREGNANT),
        ({"valueString": "possibly pregnant"}, P.UNCERTAIN),
        ({"valueCodeableConcept": code("urn:oid:1", "1", "Pregnant")}, P.PREGNANT),
        ({"valueCodeableConcept": code("urn:oid:1", "1", "Not pregnant")}, P.UNCERTAIN),
        ({"valueBoolean": True}, P.PREGNANT),
        ({"valueBoolean": False}, P.NOT_PREGNANT),
        ({"valueString": "yes"}, P.PREGNANT),
        ({"valueString": "No"}, P.NOT_PREGNANT),
        ({"valueString": "?"}, P.UNCERTAIN),
        ({}, P.UNCERTAIN),
        ({"valueInteger": 1}, P.UNCERTAIN),
    ],
)
def test_a_pregnancy_status(value: Any, finding: PregnancyFinding) -> None:
    assert pregnancy(observation(STATUS, **value)) is finding


@pytest.mark.parametrize("loinc", ["2106-3", "2112-1", "80384-1", "2118-8", "21198-7", "19080-1"])
def test_each_hcg_test_is_read(loinc: str) -> None:
    assert pregnancy(observation(code(LOINC, loinc), valueString="Positive")) is P.POSITIVE_TEST


MIU = {"unit": "mIU/mL", "system": UCUM, "code": "m[IU]/mL"}
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ({"valueCodeableConcept": code(SNOMED, "10828004")}, P.POSITIVE_TEST),
        ({"valueCodeableConcept": code(SNOMED, "10828004", "Negative")}, P.POSITIVE_TEST),
        ({"valueCodeableConcept": code(SNOMED, "260385009")}, P.UNCERTAIN),
        ({"valueCodeableConcept": code(SNOMED, "260385009", "Negative")}, P.NEGATIVE_TEST),
        ({"valueCodeableConcept": code(SNOMED, "260385009", "Negative (qualifier value)")}, P.NEGATIVE_TEST),
        ({"valueCodeableConcept": code(SNOMED, "260385009") | {"text": "not detected"}}, P.NEGATIVE_TEST),
        ({"valueCodeableConcept": code(SNOMED, "260385009", "Positive")}, P.POSITIVE_TEST),
        ({"valueCodeableConcept": code(LOINC, "LA6577-6")}, P.UNCERTAIN),
        ({"valueCodeableConcept": code(LOINC, "LA6577-6", "Negative")}, P.NEGATIVE_TEST),
        ({"valueCodeableConcept": code(SNOMED, "82334004")}, P.UNCERTAIN),
        ({"valueCodeableConcept": code("urn:oid:1", "1", "Positive")}, P.POSITIVE_TEST),
        ({"valueCodeableConcept": code("urn:oid:1", "1", "Negative")}, P.UNCERTAIN),
        ({"valueString": "Negative"}, P.NEGATIVE_TEST),
        ({"valueString": "not detected"}, P.NEGATIVE_TEST),
        ({"valueString": "see comment"}, P.UNCERTAIN),
        ({"valueBoolean": True}, P.POSITIVE_TEST),
        ({"valueBoolean": False}, P.NEGATIVE_TEST),
        ({"valueQuantity": {"value": Decimal("4.9")} | MIU}, P.NEGATIVE_TEST),
        ({"valueQuantity": {"value": 5} | MIU}, P.UNCERTAIN),
        ({"valueQuantity": {"value": 5, "comparator": "<"} | MIU}, P.NEGATIVE_TEST),
        ({"valueQuantity": {"value": 24} | MIU}, P.UNCERTAIN),
        ({"valueQuantity": {"value": 25} | MIU}, P.POSITIVE_TEST),
        ({"valueQuantity": {"value": 25, "comparator": ">"} | MIU}, P.POSITIVE_TEST),
        ({"valueQuantity": {"value": 25, "comparator": "<"} | MIU}, P.UNCERTAIN),
        ({"valueQuantity": {"value": 1, "comparator": ">"} | MIU}, P.UNCERTAIN),
        ({"valueQuantity": {"value": 3}}, P.UNCERTAIN),
        ({"valueString": "<5 mIU/mL"}, P.NEGATIVE_TEST),
        ({"interpretation": [code(INTERPRETATION, "POS")]}, P.POSITIVE_TEST),
        ({"interpretation": [{"text": "?"}, code(INTERPRETATION, "NEG")], "valueString": "see"}, P.NEGATIVE_TEST),
        ({"interpretation": [code(INTERPRETATION, "POS")], "valueString": "borderline"}, P.POSITIVE_TEST),
        ({"interpretation": [code(INTERPRETATION, "NEG")], "valueString": "borderline"}, P.UNCERTAIN),
        ({}, P.UNCERTAIN),
    ],
)
def test_a_pregnancy_test(value: Any, finding: PregnancyFinding) -> None:
    assert pregnancy(observation(HCG, **value)) is finding


def test_a_named_test_and_a_named_status_are_read_too() -> None:
    assert pregnancy(observation("Urine pregnancy test", valueString="negative")) is P.NEGATIVE_TEST
    assert pregnancy(observation("Pregnancy status", valueString="pregnant")) is P.PREGNANT


def test_a_status_said_to_be_absent_is_none() -> None:
    assert state(observation(STATUS, dataAbsentReason={"text": "refused"})).pregnancy == ()


def test_a_pregnancy_is_evidence_of_a_uterus_and_a_test_is_not() -> None:
    assert [f.finding for f in state(observation(STATUS, valueBoolean=True)).fertility] == [F.UTERUS_EVIDENCE]
    assert state(observation(HCG, valueString="positive")).fertility == ()


@pytest.mark.parametrize(
    ("concept", "finding"),
    [
        (code(ICD, "Z33.1"), P.PREGNANT),
        (code(ICD, "O09.90"), P.PREGNANT),
        (code(ICD, "Z34.00"), P.PREGNANT),
        (code(ICD, "Z3A.20"), P.PREGNANT),
        (code(ICD, "Z32.01"), P.POSITIVE_TEST),
        (code(ICD, "Z32.02"), P.NEGATIVE_TEST),
        (code(ICD, "Z32.00"), P.UNCERTAIN),
        (code(SNOMED, "77386006"), P.PREGNANT),
        ("Intrauterine pregnancy", P.PREGNANT),
        (code("urn:oid:1", "1", "Pregnancy"), P.PREGNANT),
        ("not pregnant", P.NOT_PREGNANT),
    ],
)
def test_a_pregnancy_by_a_condition(concept: Any, finding: PregnancyFinding) -> None:
    assert pregnancy(condition(concept)) is finding


@pytest.mark.parametrize(
    "concept",
    [
        code(ICD, "Z33.2"),
        "pregnancy test",
        "wife pregnant",
        "family history of pregnancy",
        "no pregnancy",
        "Hypertension",
        code("urn:oid:1", "1", "Not pregnant"),
    ],
)
def test_what_is_no_pregnancy(concept: Any) -> None:
    assert state(condition(concept)).pregnancy == ()


def test_the_day_and_the_end_of_a_pregnancy() -> None:
    (open_,) = state(condition("pregnancy", onsetDateTime="2025-10-01")).pregnancy
    assert (open_.day, open_.end) == (day("2025-10-01"), NotRecorded)
    (recorded,) = state(condition("pregnancy", recordedDate="2025-10-02")).pregnancy
    assert recorded.day == day("2025-10-02")
    (ended,) = state(condition("pregnancy", abatementDateTime="2025-12-01")).pregnancy
    assert ended.end == day("2025-12-01")
    (closed,) = state(condition("pregnancy", clinicalStatus="resolved")).pregnancy
    assert isinstance(closed.end, Unknown)


@pytest.mark.parametrize(
    ("during", "after"),
    [
        ("O07.4", "O03.9"),
        ("O02.1", "O04.80"),
        ("O00.90", "O08.9"),
        ("O75.9", "O80"),
        ("O75.82", "O82"),
        ("O77.9", "O85"),
        ("O88.011", "O86.12"),
        ("O88.02", "O87.0"),
        ("O88.03", "O89.9"),
        ("O90.3", "O90.4"),
        ("O91.211", "O91.22"),
        ("O92.011", "O92.79"),
        ("O99.89", "O92.20"),
    ],
)
def test_what_stands_for_the_time_after_a_pregnancy_is_asked_about(during: str, after: str) -> None:
    assert pregnancy(condition(code(ICD, during))) is P.PREGNANT
    assert pregnancy(condition(code(ICD, after))) is P.UNCERTAIN


def test_a_code_for_the_time_after_a_pregnancy_closes_none_and_is_evidence_of_a_uterus() -> None:
    found = state(
        condition(code(ICD, "Z33.1"), id="c1", onsetDateTime="2025-09-01"),
        condition(code(ICD, "O80"), id="c2", onsetDateTime="2026-01-10"),
    )
    assert [(p.finding, p.end) for p in found.pregnancy] == [(P.PREGNANT, NotRecorded), (P.UNCERTAIN, NotRecorded)]
    assert found.feeding == ()
    assert {f.finding for f in found.fertility} == {F.UTERUS_EVIDENCE}


def test_an_unsure_pregnancy_is_uncertain() -> None:
    assert pregnancy(condition("pregnancy", verificationStatus="provisional")) is P.UNCERTAIN
    assert state(condition("pregnancy", verificationStatus="refuted")).pregnancy == ()


# --- fertility and contraception --------------------------------------------------------------------------------------


def fertility(*resources: Any) -> list[FertilityFinding]:
    return [f.finding for f in state(*resources).fertility]


@pytest.mark.parametrize(
    ("concept", "finding"),
    [
        (code(ICD, "Z90.710"), F.NO_UTERUS),
        (code(ICD, "Z90.711"), F.NO_UTERUS),
        (code(ICD, "Z90.712"), F.UTERUS_EVIDENCE),
        (code(ICD, "Z78.0"), F.MENOPAUSE),
        (code(ICD, "N95.1"), F.MENOPAUSE),
        (code(ICD, "Z98.51"), F.STERILISED),
        (code(ICD, "Z30.2"), F.STERILISED),
        (code(ICD, "Z97.5"), F.EFFECTIVE_CONTRACEPTION),
        (code(ICD, "Z79.3"), F.EFFECTIVE_CONTRACEPTION),
        (code(ICD, "Z30.09"), F.OTHER_CONTRACEPTION),
        (code(SNOMED, "76498008"), F.MENOPAUSE),
        (code(SNOMED, "309606002"), F.UTERUS_EVIDENCE),
        ("Postmenopausal", F.MENOPAUSE),
        ("tubal ligation", F.STERILISED),
        ("IUD in place", F.EFFECTIVE_CONTRACEPTION),
    ],
)
def test_a_condition_on_reproductive_potential(concept: Any, finding: FertilityFinding) -> None:
    assert fertility(condition(concept)) == [finding]


@pytest.mark.parametrize(
    "resource",
    [
        condition("no hysterectomy"),
        condition(code("urn:oid:1", "1", "Hysterectomy")),
        condition("hysterectomy", verificationStatus="unconfirmed"),
        condition("IUD in place", clinicalStatus="resolved"),
        condition("IUD removal"),
        condition("contraceptive counseling"),
        condition("Sterilization counseling"),
        condition("Injection site reaction"),
        procedure("Injection of corticosteroid into knee"),
        procedure("Cochlear implant"),
        procedure("Vaginal pessary ring"),
        procedure("hysterectomy", status="not-done"),
        procedure("hysterectomy", status="preparation"),
        procedure("dental implant"),
    ],
)
def test_what_proves_nothing_about_it(resource: Any) -> None:
    assert fertility(resource) == []


def test_a_hysterectomy_stays_one_after_the_condition_is_closed() -> None:
    assert fertility(condition("hysterectomy", clinicalStatus="resolved")) == [F.NO_UTERUS]
    assert fertility(condition("premenopausal", clinicalStatus="resolved")) == []


def test_procedures_count_with_their_day() -> None:
    (found,) = state(procedure(code(SNOMED, "236886002"))).fertility
    assert (found.finding, found.day) == (F.NO_UTERUS, day("2026-01-19"))


@pytest.mark.parametrize(
    ("method", "finding"),
    [("IUD", F.EFFECTIVE_CONTRACEPTION), ("Male sterilization", F.OTHER_CONTRACEPTION), ("vasectomy", F.OTHER_CONTRACEPTION), ("implant", F.EFFECTIVE_CONTRACEPTION), ("injection", F.EFFECTIVE_CONTRACEPTION), ("pill", F.EFFECTIVE_CONTRACEPTION), ("patch", F.EFFECTIVE_CONTRACEPTION), ("vaginal ring", F.EFFECTIVE_CONTRACEPTION), ("male condom", F.OTHER_CONTRACEPTION)],
)  # fmt: skip
def test_a_contraceptive_method_is_effective_or_not(method: str, finding: FertilityFinding) -> None:
    for value in ({"valueString": method}, {"valueCodeableConcept": code("urn:oid:1", "1", method)}):
        assert fertility(observation(code(LOINC, "86649-1"), **value)) == [finding]
    assert fertility(observation("Contraceptive method", valueString=method)) == [finding]


def test_sterilisation_as_a_method_ends_fertility_only_by_own_words() -> None:
    method = code(LOINC, "86649-1")
    assert fertility(observation(method, valueString="female sterilization")) == [F.STERILISED]
    shown = code("urn:oid:1", "1", "female sterilization")
    assert fertility(observation(method, valueCodeableConcept=shown)) == [F.EFFECTIVE_CONTRACEPTION]


@pytest.mark.parametrize(
    "value", [{"valueString": "none"}, {}, {"valueString": "no IUD"}, {"valueString": "IUD removal"}]
)
def test_no_method_is_none(value: Any) -> None:
    assert fertility(observation(code(LOINC, "86649-1"), **value)) == []


def test_a_contraceptive_on_an_active_order_is_a_method() -> None:
    pill = order(
        status="active", authoredOn="2026-01-02", medicationCodeableConcept={"text": "drospirenone / ethinyl estradiol"}
    )
    (found,) = state(pill).fertility
    assert (found.finding, found.day) == (F.EFFECTIVE_CONTRACEPTION, day("2026-01-02"))
    assert fertility(pill | {"status": "stopped"}) == []
    assert fertility(pill | {"medicationCodeableConcept": {"text": "cisplatin"}}) == []


# --- feeding ----------------------------------------------------------------------------------------------------------

FEEDING = code(LOINC, "63895-7")
B = FeedingFinding


def feeding(*resources: Any) -> list[FeedingFinding]:
    return [f.finding for f in state(*resources).feeding]


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ({"valueCodeableConcept": code(LOINC, "LA29252-6")}, B.BREASTFEEDING),
        ({"valueCodeableConcept": code(LOINC, "LA29253-4")}, B.UNCERTAIN),
        ({"valueCodeableConcept": code(LOINC, "LA29253-4", "Not currently breastfeeding")}, B.NOT_BREASTFEEDING),
        ({"valueCodeableConcept": code(LOINC, "LA29253-4", "Currently breastfeeding")}, B.BREASTFEEDING),
        ({"valueCodeableConcept": code("urn:oid:1", "1", "Not breastfeeding")}, B.UNCERTAIN),
        ({"valueCodeableConcept": code("urn:oid:1", "1", "Breastfeeding")}, B.BREASTFEEDING),
        ({"valueCodeableConcept": {"coding": code(LOINC, "LA29253-4")["coding"] + code(SNOMED, "413712001")["coding"]}}, B.BREASTFEEDING),
        ({"valueCodeableConcept": code(LOINC, "LA32-8")}, B.UNCERTAIN),
        ({"valueCodeableConcept": code(LOINC, "LA32-8", "No")}, B.NOT_BREASTFEEDING),
        ({"valueString": "bottle feeding"}, B.UNCERTAIN),
        ({"valueCodeableConcept": code(LOINC, "LA4489-6")}, B.UNCERTAIN),
        ({"valueCodeableConcept": code(SNOMED, "413712001")}, B.BREASTFEEDING),
        ({"valueCodeableConcept": {"text": "Currently breastfeeding"}}, B.BREASTFEEDING),
        ({"valueCodeableConcept": {"text": "Not breastfeeding"}}, B.NOT_BREASTFEEDING),
        ({"valueCodeableConcept": code(SNOMED, "373066001")}, B.BREASTFEEDING),
        ({"valueString": "yes"}, B.BREASTFEEDING),
        ({"valueString": "no"}, B.NOT_BREASTFEEDING),
        ({"valueBoolean": True}, B.BREASTFEEDING),
        ({"valueBoolean": False}, B.NOT_BREASTFEEDING),
        ({"valueString": "?"}, B.UNCERTAIN),
        ({}, B.UNCERTAIN),
    ],
)  # fmt: skip
def test_a_breastfeeding_status(value: Any, finding: FeedingFinding) -> None:
    assert feeding(observation(FEEDING, **value)) == [finding]


@pytest.mark.parametrize("said", ["lactation counseling", "suppression of lactation", "breastfed as infant"])
def test_a_feeding_status_that_only_names_breastfeeding_is_uncertain(said: str) -> None:
    """Advice on breastfeeding, its end, or the patient's own infancy: none says that she breastfeeds."""
    assert feeding(observation(FEEDING, valueString=said)) == [B.UNCERTAIN]
    assert feeding(observation(FEEDING, valueCodeableConcept={"text": said})) == [B.UNCERTAIN]


def test_a_feeding_status_said_to_be_absent_is_none() -> None:
    assert feeding(observation(FEEDING, dataAbsentReason={"text": "x"})) == []


@pytest.mark.parametrize(
    "concept", [code(SNOMED, "413712001"), code(ICD, "Z39.1"), "Breastfeeding", "lactating mother"]
)
def test_breastfeeding_by_a_condition_until_it_has_ended(concept: Any) -> None:
    (found,) = state(condition(concept, onsetDateTime="2025-12-01")).feeding
    assert (found.finding, found.day) == (B.BREASTFEEDING, day("2025-12-01"))
    (ended,) = state(condition(concept, onsetDateTime="2025-12-01", abatementDateTime="2026-01-10")).feeding
    assert (ended.finding, ended.day) == (B.NOT_BREASTFEEDING, day("2026-01-10"))
    (closed,) = state(condition(concept, onsetDateTime="2025-12-01", clinicalStatus="resolved")).feeding
    assert (closed.finding, closed.day) == (B.NOT_BREASTFEEDING, day("2025-12-01"))


@pytest.mark.parametrize(
    "concept",
    [code(ICD, "O92.79"), "lactation counseling", "no breastfeeding", code("urn:oid:1", "1", "Not breastfeeding")],
)
def test_what_is_no_proof_of_breastfeeding(concept: Any) -> None:
    assert feeding(condition(concept)) == []


@pytest.mark.parametrize(
    "concept",
    [
        "Vaginal delivery",
        "Cesarean section",
        "delivery",
        code(ICD, "O80", "Encounter for full-term uncomplicated delivery"),
        code(ICD, "Z37.0", "Single live birth"),
        code("urn:oid:1", "1", "Normal delivery"),
    ],
)
def test_a_delivery_by_condition_procedure_or_encounter(concept: Any) -> None:
    assert feeding(condition(concept)) == [B.DELIVERY]
    assert feeding(procedure(concept)) == [B.DELIVERY]
    encounter = {"resourceType": "Encounter", "id": "n1", "status": "finished", "period": {"start": "2025-09-20"}}
    concept = {"text": concept} if isinstance(concept, str) else concept
    for name in ("type", "reasonCode"):
        (found,) = state(encounter | {name: [concept]}).feeding
        assert (found.finding, found.day) == (B.DELIVERY, day("2025-09-20"))


@pytest.mark.parametrize(
    "resource",
    [
        procedure("Oxygen delivery"),
        procedure("delivery", status="not-done"),
        {"resourceType": "Encounter", "status": "planned", "type": [{"text": "delivery"}]},
        {"resourceType": "Encounter"},
        procedure("no delivery"),
        procedure(code(SNOMED, "236973005")),
        condition(code(ICD, "Z37.0")),
        condition(code(ICD, "Z39.2")),
    ],
)
def test_what_is_no_delivery(resource: Any) -> None:
    assert feeding(resource) == []
