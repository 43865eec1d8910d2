"""Whether a code can be one of its code system: its form and, where the system has them, its check digit.

A form says nothing about what a code means; a mistyped digit is found where a check digit stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

_VERHOEFF_STEP: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_BASE_36: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def has_verhoeff_digit(digits: str) -> bool:
    """Verhoeff's dihedral check over the whole number, the check digit last."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        stepped = int(digit)
        for _ in range(place % 8):
            stepped = _VERHOEFF_STEP[stepped]
        total = _in_dihedral_group(total, stepped)
    return total == 0


def _in_dihedral_group(a: int, b: int) -> int:
    """The product in the group of the ten symmetries of a pentagon: 0 to 4 turn, 5 to 9 turn and mirror."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


def has_luhn_digit(code: str) -> bool:
    """Modulus 10 as the makers of LOINC have it: the check digit last, every second sign before it doubled.

    A letter counts as its place behind the sign 0, and doubled loses nine for each five of it, as digits do.
    """
    total = 0
    for place, sign in enumerate(reversed(code)):
        value = ord(sign) - ord("0")
        total += 2 * value - 9 * (value // 5) if place % 2 else value
    return total % 10 == 0


def is_snomed_ct(code: str) -> bool:
    """6 to 18 digits without a leading zero; a concept's partition (00, or 10 with a namespace); Verhoeff's digit."""
    return re.fullmatch(r"[1-9]\d{2,14}[01]0\d", code) is not None and len(code) >= 6 and has_verhoeff_digit(code)


def is_loinc(code: str) -> bool:
    """A term or an answer (LA…), with its check digit."""
    return re.fullmatch(r"(?:LA)?[1-9]\d{0,6}-\d", code) is not None and has_luhn_digit(code.replace("-", ""))


def is_unii(code: str) -> bool:
    """Ten capitals and digits; the last is the sum of the others modulo 36."""
    if re.fullmatch(r"[0-9A-Z]{10}", code) is None:
        return False
    return sum(map(_BASE_36.index, code[:9])) % 36 == _BASE_36.index(code[9])


def is_cas(code: str) -> bool:
    """Up to seven digits, two, and a check digit: the sum of the digits, each times its place from the right."""
    match = re.fullmatch(r"([1-9]\d{1,6})-(\d\d)-(\d)", code)
    if match is None:
        return False
    weighted = (int(digit) * place for place, digit in enumerate(reversed(match[1] + match[2]), 1))
    return sum(weighted) % 10 == int(match[3])


def is_ucum(code: str) -> bool:
    """Units with exponents and annotations, joined by . and /, as UCUM writes them; not whether the unit exists."""
    atom = r"(?:(?:[A-Za-z%'\"*^]+|\[[^\[\]\s]+\]|10[*^]|\d+)+[+-]?\d*|(?=\{))(?:\{[^{}\s]*\})?"
    return re.fullmatch(rf"/?{atom}(?:[./]{atom})*", code) is not None


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda code: re.fullmatch(pattern, code) is not None


TEXT: Final = "https://tarlatamab-cds.example.org/CodeSystem/text"
"""Wordings; a number among them is a code of SNOMED CT that stands without its system."""
FORMS: Final[Mapping[str, Callable[[str], bool]]] = {
    "http://hl7.org/fhir/sid/icd-10-cm": _matches(r"[A-TV-Z]\d[0-9AB](?:\.[0-9A-Z]{1,4})?"),
    "http://snomed.info/sct": is_snomed_ct,
    "http://loinc.org": is_loinc,
    "http://www.nlm.nih.gov/research/umls/rxnorm": _matches(r"[1-9]\d{0,7}"),
    "http://fdasis.nlm.nih.gov": is_unii,
    "http://hl7.org/fhir/sid/ndc": _matches(r"\d{4}-\d{4}(?:-\d\d)?|\d{5}-(?:\d{3}(?:-\d\d)?|\d{4}(?:-\d\d?)?)|\d{11}"),
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": _matches(r"[A-V]\d{4}"),
    "http://www.whocc.no/atc": _matches(r"[ABCDGHJLMNPRSV]\d\d[A-Z][A-Z]\d\d"),
    "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl": _matches(r"C[1-9]\d{2,6}"),
    "http://www.drugbank.ca": _matches(r"DB\d{5}"),
    "urn:oid:2.16.840.1.113883.6.61": is_cas,
    "http://terminology.hl7.org/CodeSystem/icd-o-3": _matches(r"\d{4}/[0-9]|C\d\d(?:\.\d)?"),
    "https://www.meddra.org": _matches(r"1\d{7}"),
    "http://hl7.org/fhir/us/ctcae/CodeSystem/ctcae-grade-code-system": _matches(r"[0-5]"),
    "http://unitsofmeasure.org": is_ucum,
    TEXT: is_snomed_ct,
    "urn:ietf:rfc:3986": _matches(r"https?://[^\s/]+(?:/\S*)?|urn:oid:[0-2](?:\.(?:0|[1-9]\d*))+"),
}
OF_HL7: Final = ("http://terminology.hl7.org/CodeSystem/", "http://hl7.org/fhir/")
PREFIXES: Final[Mapping[str, Callable[[str], bool]]] = {
    "http://hl7.org/fhir/sid/icd-10-cm": _matches(r"[A-TV-Z](?:\d(?:[0-9AB](?:\.[0-9A-Z]{1,4})?)?)?"),
    "http://hl7.org/fhir/sid/ndc": _matches(r"\d{4}-\d{4}|\d{5}-\d{3,4}"),
}
"""What a code that stands for all that begin with it may be."""


def complaint(system: str, code: str, *, is_prefix: bool = False) -> str:
    """What is wrong with the form of a code; "" if nothing is."""
    form = PREFIXES.get(system) if is_prefix else FORMS.get(system)
    if form is None and not is_prefix and system.startswith(OF_HL7):
        form = _matches(r"[^\s]+( [^\s]+)*")
    if form is None:
        return f"{code}: no form is known for {'beginnings of ' if is_prefix else ''}{system}"
    return "" if form(code) else f"{code} cannot be a code of {system}"
