"""docs/codes.md: every code that the value sets ship, with its system, meaning, source and mark."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.traceability.forms import TEXT, complaint
from tests.traceability.tables import heading, line

VALUE_SETS: Final = Path(__file__).resolve().parents[2] / "fhir_mappings" / "valuesets"
PROJECT: Final = "https://tarlatamab-cds.example.org"
NAMES: Final[Mapping[str, str]] = {
    "http://hl7.org/fhir/sid/ndc": "NDC",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "HCPCS",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://www.whocc.no/atc": "ATC",
    "http://fdasis.nlm.nih.gov": "UNII",
    "http://www.drugbank.ca": "DrugBank",
    "urn:oid:2.16.840.1.113883.6.61": "CAS",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
    "http://terminology.hl7.org/CodeSystem/icd-o-3": "ICD-O-3",
    "http://snomed.info/sct": "SNOMED CT",
    "http://loinc.org": "LOINC",
    "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl": "NCI Thesaurus",
    "https://www.meddra.org": "MedDRA",
    "http://hl7.org/fhir/us/ctcae/CodeSystem/ctcae-grade-code-system": "CTCAE grades",
    "http://unitsofmeasure.org": "UCUM",
    TEXT: "SNOMED CT, met as a bare text",
    "urn:ietf:rfc:3986": "Other names of code systems",
}
INTRODUCTION: Final = """\
# Every code that ships

Written from [`fhir_mappings/valuesets`](../fhir_mappings/valuesets/README.md) by
`.venv/bin/python -m tests.traceability`, never by hand; the tests fail when it is stale.

**Mark**: K general reference knowledge, not read in a source · local: for a site's pharmacist to confirm · unverified:
recalled, in no source; such a code may only make advice more cautious · – read in the source named. `C34…` stands for
every code that begins so. **Means** is the meaning that the programs know, in the file named; "if words say so": words
beside the code are read in its place.

What the sources say of these codes, and why the unverified ones are kept, stands in
[knowledge-sources.md](knowledge-sources.md) and in the README of the value sets. The form of every code and, for
SNOMED CT, LOINC, UNII and CAS, its check digit are tested; that a code means what is said here only a terminology
server or a person can confirm.
"""


@dataclass(frozen=True, kw_only=True)
class Code:
    """One code of a value set, with what it shares with its group."""

    file: str
    system: str
    code: str
    display: str
    meaning: str
    source: str
    mark: str
    is_prefix: bool

    @property
    def is_word(self) -> bool:
        """Whether it is a wording or a spelling of the project and no code."""
        return self.system.startswith(PROJECT) and not re.fullmatch(r"[\d-]{6,}", self.code)

    @property
    def complaint(self) -> str:
        """What is wrong with it, with its file; "" if nothing is."""
        found = complaint(self.system, self.code, is_prefix=self.is_prefix)
        return f"{self.file}.json: {found}" if found else ""


def shipped(folder: Path = VALUE_SETS) -> tuple[Code, ...]:
    """Every concept of every value set, words too."""
    return tuple(code for path in sorted(folder.glob("*.json")) for code in _codes(path))


def _codes(path: Path) -> Iterator[Code]:
    for include in json.loads(path.read_text(encoding="utf-8"))["compose"]["include"]:
        for concept in include["concept"]:
            said = {**_extensions(include), **_extensions(concept)}
            yield Code(
                file=path.stem,
                system=include["system"],
                code=concept["code"],
                display=concept.get("display", ""),
                meaning=_meaning(said),
                source=said.get("source", ""),
                mark=said.get("mark", ""),
                is_prefix=said.get("prefix", False),
            )


def _extensions(element: Mapping[str, Any]) -> dict[str, Any]:
    """The project's extensions by the last part of their URL."""
    return {
        extension["url"].removeprefix(f"{PROJECT}/StructureDefinition/"): value
        for extension in element.get("extension", ())
        for key, value in extension.items()
        if key.startswith("value")
    }


def _meaning(said: Mapping[str, Any]) -> str:
    """The meaning, with the grade or scale that it carries."""
    meaning = f"grade {said['meaning']}" if str(said["meaning"]).isdecimal() else str(said["meaning"])
    parts = [meaning, f"grade {said['grade']}" if "grade" in said else "", said.get("scale", "")]
    parts.append("if words say so" if said.get("by-words") else "")
    return ", ".join(part for part in parts if part)


# --- the page ------------------------------------------------------------------------------------------------------


def page(codes: Sequence[Code]) -> str:
    """The whole of docs/codes.md: one table for each code system."""
    coded = [code for code in codes if not code.is_word]
    marks = [code.mark or "–" for code in coded]
    figures = ", ".join(f"{marks.count(mark)} {mark}" for mark in ("–", "K", "local", "unverified") if mark in marks)
    words = len(codes) - len(coded)
    odd = ", ".join(f"`{code.code}` ({NAMES.get(code.system, code.system)})" for code in coded if code.complaint)
    lines = [INTRODUCTION, f"{len(coded)} codes ({figures}); beside them {words} wordings and spellings of units.", ""]
    if odd:
        lines += [f"No codes of their system by their form, but met in data as such: {odd}.", ""]
    for system in (*NAMES, *sorted({code.system for code in coded} - NAMES.keys())):
        of_system = [code for code in coded if code.system == system]
        if of_system:
            lines += [*_table(system, of_system), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(system: str, codes: Sequence[Code]) -> Iterator[str]:
    yield from (f"## {NAMES.get(system, system.rpartition('/')[2])}", "", f"`{system}`", "")
    yield from heading(["Code", "Means", "In", "Read in", "Mark"])
    groups: dict[tuple[str, ...], list[Code]] = {}
    for code in codes:
        groups.setdefault((code.meaning, code.file, code.source, code.mark or "–"), []).append(code)
    for (meaning, *rest), members in groups.items():
        yield line([", ".join(_shown(code) for code in members), meaning, *rest])


def _shown(code: Code) -> str:
    shown = f"`{code.code}{'…' if code.is_prefix else ''}`"
    return f"{shown} {code.display}" if code.display else shown
