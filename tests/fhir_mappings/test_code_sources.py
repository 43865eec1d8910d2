"""Every code ships from a source of the project, or stands in the value sets' README and can end no warning."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
VALUE_SETS = ROOT / "fhir_mappings" / "valuesets"
PROJECT = "https://tarlatamab-cds.example.org"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
# the specification itself, a grammar, and names of code systems: said in the README
OTHERS = (
    "http://terminology.hl7.org/CodeSystem/",
    "http://hl7.org/fhir/administrative-gender",
    "http://unitsofmeasure.org",
)
THIRD_PARTY = "http://terminology.hl7.org/CodeSystem/icd-o-3"  # HL7 only names this system
WARNING = {
    "pregnant",
    "breastfeeding",
    "uncertain",
    "positive",
    "female",
    "temperature",
    "crs",
    "neurotoxicity",
}


def extension(element: Any, name: str) -> Any:
    found = (e for e in element.get("extension", ()) if e["url"] == f"{PROJECT}/StructureDefinition/{name}")
    return next((value for e in found for key, value in e.items() if key.startswith("value")), None)


def shipped() -> Iterator[tuple[str, str, str, str]]:
    """System, code, meaning and mark of every concept that is a code, also of a code that stands among the words."""
    for file in sorted(VALUE_SETS.glob("*.json")):
        for include in json.loads(file.read_text(encoding="utf-8"))["compose"]["include"]:
            for concept in include["concept"]:
                meaning, mark = (extension(concept, n) or extension(include, n) or "" for n in ("meaning", "mark"))
                is_word = include["system"].startswith(PROJECT) and not re.fullmatch(r"[\d-]{6,}", concept["code"])
                if not is_word and file.name != "code-systems.json":
                    yield include["system"], concept["code"], meaning, mark


CODES = list(shipped())
CODED = [c for c in CODES if c[0].startswith(THIRD_PARTY) or not c[0].startswith(OTHERS)]
TABLES = (ROOT / "docs" / "knowledge-sources.md").read_text(encoding="utf-8").partition("## Codes")[2]
README = (VALUE_SETS / "README.md").read_text(encoding="utf-8").partition("# Codes that stand in no source")[2]
LISTED = {code for row in re.findall(r"^\| (`.+?) \| ", README, re.MULTILINE) for code in re.findall(r"`([^`]+)`", row)}


def stands_in_the_tables(code: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9.-]){re.escape(code)}(?![A-Za-z0-9]|\.\d)", TABLES) is not None


def test_every_code_stands_in_the_tables_of_the_sources_or_in_the_list_of_the_readme() -> None:
    assert TABLES
    without = {code for _, code, _, _ in CODED if code not in LISTED and not stands_in_the_tables(code)}
    assert without == {"C34"}  # C34.00 to C34.92


def test_the_list_of_the_readme_names_no_code_that_does_not_ship() -> None:
    assert LISTED
    assert not LISTED - {code for _, code, _, _ in CODED}


def test_a_code_of_the_list_is_marked_and_nothing_else_bears_that_mark() -> None:
    marked = {code for _, code, _, mark in CODED if mark == "unverified"}
    assert marked == LISTED - {"O"}
    assert {mark for _, code, _, mark in CODED if code == "O"} == {"K"}


def test_an_unverified_code_can_only_warn_or_be_asked_about() -> None:
    assert {meaning for _, _, meaning, mark in CODED if mark == "unverified"} <= WARNING


def test_every_mark_is_one_that_the_readme_explains() -> None:
    assert {mark for _, _, _, mark in CODES} <= {"", "K", "local", "unverified"}


# typed from the tables: what bears [K] there, or stands in a row whose marks are not told apart
GENERAL = re.findall(
    r"\S+",
    """
J9026 C9170 DB17256 2307488-83-9 J1100 J7030 J7040 J7050 9863 2555 40048 8041/3 10052015
Z33.1 Z34 Z3A Z32.00 Z32.01 Z32.02 Z30 Z97.5 Z79.3 Z98.51 Z30.2 Z90.710 Z90.711 Z90.712 Z78.0 N95
146799005 255604002 6736007 24484000
26515-7 30313-1 20509-6 1743-4 1744-2 30239-8 42719-5 14631-6 88294-4 94677-2 2164-2
""",
)


@pytest.mark.parametrize("code", GENERAL)
def test_what_the_tables_call_general_knowledge_ships_with_its_mark(code: str) -> None:
    assert {mark for _, shipped, _, mark in CODED if shipped == code} == {"K"}


@pytest.mark.parametrize(
    "code", ["Z37", "Z39.0", "Z39.2", "236973005", "248153007", "85353-1", "8867-4", "9279-1", "saig"]
)
def test_a_code_without_a_source_that_could_end_a_warning_or_serves_nothing_is_left_out(code: str) -> None:
    assert code not in {shipped for _, shipped, _, _ in CODES}
