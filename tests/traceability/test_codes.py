"""Every code of the value sets has the form of its code system, and stands in docs/codes.md."""

from __future__ import annotations

import pytest

from tests.traceability import pages
from tests.traceability.codes import NAMES, shipped
from tests.traceability.forms import FORMS, complaint

SNOMED, LOINC, UNII = "http://snomed.info/sct", "http://loinc.org", "http://fdasis.nlm.nih.gov"
ICD, NDC = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/ndc"
HCPCS, RXNORM = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC, UCUM, CAS = "http://www.whocc.no/atc", "http://unitsofmeasure.org", "urn:oid:2.16.840.1.113883.6.61"
CODES = [code for code in shipped() if not code.is_word]


def test_every_code_has_the_form_of_its_system() -> None:
    met_in_data_as_ucum = ["units.json: mL/min/1.73_m2 cannot be a code of http://unitsofmeasure.org"]
    assert [code.complaint for code in CODES if code.complaint] == met_in_data_as_ucum


def test_every_code_has_a_meaning_and_a_source() -> None:
    assert [f"{code.file}.json: {code.code}" for code in CODES if not (code.meaning and code.source)] == []


def test_the_list_of_codes_is_fresh() -> None:
    assert pages.CODES.read_text(encoding="utf-8") == pages.codes_page(), "run: python -m tests.traceability"


def test_every_code_stands_in_the_list() -> None:
    text = pages.CODES.read_text(encoding="utf-8")
    assert [code.code for code in CODES if f"`{code.code}{'…' if code.is_prefix else ''}`" not in text] == []


def test_every_system_with_a_form_has_a_name() -> None:
    assert FORMS.keys() == NAMES.keys()


# published examples of the systems themselves, and each with one digit changed or two exchanged
@pytest.mark.parametrize(
    ("system", "right", "wrong"),
    [
        (SNOMED, "22298006", "22298005"),  # myocardial infarction
        (SNOMED, "22298006", "22289006"),
        (SNOMED, "731000124108", "731000214108"),  # the module of the US edition
        (SNOMED, "138875005", "138875"),  # the root concept
        (SNOMED, "900000000000207008", "0900000000000207008"),
        (LOINC, "2951-2", "2951-1"),  # sodium
        (LOINC, "2951-2", "2591-2"),
        (LOINC, "LA6568-5", "LA6568-6"),  # not at all
        (LOINC, "LA28397-0", "LA28379-0"),
        (UNII, "R16CO5Y76E", "R16CO5Y76F"),  # aspirin
        (UNII, "R16CO5Y76E", "R16C05Y76E"),
        (CAS, "7732-18-5", "7732-18-4"),  # water
        (CAS, "7732-18-5", "7723-18-5"),
        (ICD, "D89.831", "D89831"),
        (ICD, "T80.82XA", "T80.82XAS1"),
        (ICD, "Z3A.01", "Z3C.01"),
        (ICD, "O9A.11", "09A.11"),
        (NDC, "55513-059-01", "5551-059-01"),
        (NDC, "55513005901", "5551305901"),
        (HCPCS, "J9026", "J926"),
        (RXNORM, "3264", "0003264"),
        (ATC, "L01FX33", "L01F33"),
        (UCUM, "mL/min/{1.73_m2}", "mL/min/1.73 m2"),
        (UCUM, "10*3/uL", "10*3//uL"),
        (UCUM, "[degF]", "[degF"),
        (UCUM, "{pill}", ""),
    ],
)
def test_a_code_of_the_right_form_passes_and_one_beside_it_does_not(system: str, right: str, wrong: str) -> None:
    assert complaint(system, right) == ""
    assert complaint(system, wrong) == f"{wrong} cannot be a code of {system}"


def test_a_beginning_of_a_code_may_be_shorter_than_a_code() -> None:
    assert complaint(ICD, "O", is_prefix=True) == ""
    assert complaint(ICD, "O") == f"O cannot be a code of {ICD}"
    assert complaint(NDC, "55513-059", is_prefix=True) == ""


def test_a_system_without_a_known_form_is_refused() -> None:
    assert complaint("https://example.org/codes", "x") == "x: no form is known for https://example.org/codes"
    assert complaint(LOINC, "29", is_prefix=True) == f"29: no form is known for beginnings of {LOINC}"


@pytest.mark.parametrize(("code", "wrong"), [("POS", ""), ("positive result", "positive  result")])
def test_a_code_of_hl7_is_a_code_as_fhir_defines_it(code: str, wrong: str) -> None:
    system = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
    assert complaint(system, code) == ""
    assert complaint(system, wrong) == f"{wrong} cannot be a code of {system}"
