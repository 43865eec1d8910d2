"""FHIR data types as they come: dates with their precision, quantities with their unit, concepts, references.

Nothing here raises on what it is given. What is absent is `NotRecorded`; what is there and unreadable is `Unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from fhir_mappings.chart import Resource
from fhir_mappings.facts import Unknown
from fhir_mappings.terminology import Concept, ValueSet, normalised, system_uri
from fhir_mappings.versions import NOT_DONE, NOTES, STATUSES

_LONGEST_TEXT: Final = 4000
_LONGEST_KEPT: Final = 400
"""Characters of a concept that is kept; real ones have some hundred."""
_LARGEST_EXPONENT: Final = 12
_LISTS: Final = (list, tuple)  # made once: `list | tuple` in a call makes a new union each time
_NUMBERS: Final = (int, float, Decimal, str)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class Clinic:
    """Where and when the record is read, and whose it is. `at` is in the clinic's zone."""

    zone: ZoneInfo
    at: datetime
    patient_id: str

    @cached_property
    def patient(self) -> str:
        return f"Patient/{self.patient_id}"

    @cached_property
    def today(self) -> date:
        return self.at.date()


# --- shapes -----------------------------------------------------------------------------------------------------------


def words(value: Any) -> str:
    """A text, "" for anything else. Very long ones are cut."""
    return value[:_LONGEST_TEXT].strip() if isinstance(value, str) else ""


def items(value: Any) -> tuple[Any, ...]:
    """The entries of a list; a single value where a list is expected is its only entry."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, _LISTS) else (value,)


def objects(value: Any) -> tuple[Mapping[str, Any], ...]:
    """The objects among the entries."""
    if isinstance(value, dict):  # decoded JSON knows no other mapping; an ABC check costs ten times as much
        return (value,)
    if isinstance(value, _LISTS):
        return tuple([entry for entry in value if isinstance(entry, dict)])
    return ()


def part(value: Any, *path: str) -> Any:
    """What stands at this path, an array taken at its first object; None where it does not lead."""
    for name in path:
        if not isinstance(value, dict):
            found = objects(value)
            if not found:
                return None
            value = found[0]
        value = value.get(name)
    return value


def code_of(value: Any) -> str:
    """A FHIR code in lower case, also where it comes as a CodeableConcept; "" if missing."""
    return value.strip().lower() if isinstance(value, str) else read_concept(value).code


def status_of(resource: Resource) -> str:
    """The status in R4's words and lower case; older versions say "not done" in an element of its own."""
    if any(resource.get(name) in (True, "true") for name in NOT_DONE):
        return "not-done"
    status = code_of(resource.get("status"))
    return STATUSES.get(status, status)


def number(value: Any) -> Decimal | None:
    """A finite number of readable size, also where it comes as a text; None otherwise."""
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return None
    if isinstance(value, int) and value.bit_length() > 64:  # a longer one costs time to write out
        return None
    try:
        found = value if isinstance(value, Decimal) else Decimal(str(value)[:40].strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found.adjusted()) <= _LARGEST_EXPONENT else None


def reference_of(resource: Resource) -> str:
    """`Type/id` of a resource, "" where it has none."""
    kind, identity = words(resource.get("resourceType")), words(resource.get("id"))
    return f"{kind}/{identity}" if kind and identity else ""


def unreadable(resource: Resource, why: str, *, foreign: bool = False) -> Unknown:
    """The Unknown of a resource, naming its type and place."""
    kind = words(resource.get("resourceType")) or "resource"
    return Unknown(what=kind, why=why, reference=reference_of(resource), foreign=foreign)


def identifiers(resource: Resource) -> frozenset[str]:
    """`system|value` of each identifier that has a value."""
    found = ((words(i.get("system")), words(i.get("value"))) for i in objects(resource.get("identifier")))
    return frozenset(f"{system}|{value}" for system, value in found if value)


# --- references -------------------------------------------------------------------------------------------------------

_RELATIVE: Final = re.compile(r"(?:^|/)([A-Z][A-Za-z]{2,63})/([A-Za-z0-9._-]{1,128})(?:/_history/[^/]*)?/?$")


def reference(value: Any) -> str:
    """A Reference as `Type/id`, absolute or relative; `#id` and `urn:` as they are; "" where it points nowhere."""
    text = value.strip() if isinstance(value, str) else words(part(value, "reference"))
    if not text or text.startswith(("#", "urn:")):
        return text
    found = _RELATIVE.search(text)
    return f"{found[1]}/{found[2]}" if found else ""


def concepts(resource: Resource, *names: str) -> tuple[Any, ...]:
    """What stands in these elements, one by one; of R5's CodeableReference its concept."""
    found = [entry for name in names if name in resource for entry in items(resource[name])]
    return tuple([entry["concept"] if isinstance(entry, dict) and "concept" in entry else entry for entry in found])


def contained(resource: Resource, pointer: str) -> Resource | None:
    """The contained resource that `#id` points to."""
    for inner in objects(resource.get("contained")):
        if words(inner.get("id")).lstrip("#") == pointer[1:]:
            return inner
    return None


def belongs_elsewhere(resource: Resource, clinic: Clinic) -> Unknown | None:
    """The Unknown of a resource whose subject is not this patient; None if it is, or if it names no subject."""
    subject = resource.get("subject")
    if isinstance(subject, dict) and subject.get("reference") == clinic.patient and "patient" not in resource:
        return None  # nearly always
    for name in ("subject", "patient"):
        value = resource.get(name)
        if value is None:
            continue
        text = value if isinstance(value, str) else part(value, "reference")
        if text is None or text == "" or text == clinic.patient:
            continue
        pointer = reference(text) if isinstance(text, str) else ""
        if pointer == clinic.patient:
            continue
        if pointer.startswith("Patient/"):
            return unreadable(resource, "it belongs to another patient and was not used", foreign=True)
        return unreadable(resource, "it could not be told whose it is, and it was not used")
    return None


# --- concepts ---------------------------------------------------------------------------------------------------------


class Coding(NamedTuple):
    """One coding as it came; its system by the URI that this project knows it by."""

    system: str
    code: str
    display: str


@dataclass(frozen=True, kw_only=True, eq=False)
class CodeableConcept:
    """What a CodeableConcept, a list of them, a bare Coding or a text says.

    `own_texts` is what it says in words of its own: text, a plain string, and the display of a coding without a code.
    `all_texts` are these and the displays of codes. `code` is its first code in lower case, else its text, "" without.
    """

    codings: tuple[Coding, ...]
    own_texts: tuple[str, ...]
    all_texts: tuple[str, ...]
    code: str
    _answers: dict[Any, Any] = field(default_factory=dict)

    def answer(self, question: Callable[[CodeableConcept, ValueSet], _Answer], known: ValueSet) -> _Answer:
        """The answer to a question about the concept and a value set; found once for as long as the concept is kept."""
        if (question, known) not in self._answers:
            self._answers[question, known] = question(self, known)
        answer: _Answer = self._answers[question, known]
        return answer

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all."""
        return not self.all_texts and not self.code


def in_set(concept: CodeableConcept, known: ValueSet) -> Concept | None:
    """The first of its codings that the value set knows."""
    for coding in concept.codings:
        if coding.code and (found := known.coded(coding.system, coding.code)) is not None:
            return found
    return None


def is_mentioned(concept: CodeableConcept, known: ValueSet) -> bool:
    """Whether one of its texts has a term of the value set in it."""
    return any(known.mentions(normalised(text)) for text in concept.all_texts)


def read_concept(value: Any) -> CodeableConcept:
    """What a concept says. The same ones stand all over a record: those of usual shape and length are read once."""
    if value is None:
        return _NOTHING
    parts = _parts(value)
    try:
        if parts and sum(map(len, parts)) <= _LONGEST_KEPT:
            return _usual_concept(parts)
    except TypeError:  # something else than a text stands where one belongs
        return _read_concept(value)
    return _read_concept(value)


_NOTHING: Final = CodeableConcept(codings=(), own_texts=(), all_texts=(), code="")


def _parts(value: Any) -> tuple[Any, ...]:
    """All that counts of a concept with codings or a text: text, then system, code and display of each coding."""
    if not isinstance(value, dict):
        return ()
    inner = value.get("coding")
    if inner is None:
        if "code" not in value and "display" not in value:
            return (value.get("text"),)
        inner = [value]  # a bare Coding, or a Quantity
    if not isinstance(inner, list):
        return ()
    parts = [value.get("text", "")]
    for coding in inner:
        if not isinstance(coding, dict):
            return ()
        parts += coding.get("system", ""), coding.get("code", ""), coding.get("display", "")
    return tuple(parts) if inner else ()


@lru_cache(maxsize=2048)  # with what they mean some 2 kB each
def _usual_concept(parts: tuple[str, ...]) -> CodeableConcept:
    each = zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    coding = [{"system": system, "code": code, "display": display} for system, code, display in each]
    return _read_concept({"text": parts[0], **({"coding": coding} if coding else {})})


def _read_concept(value: Any) -> CodeableConcept:
    found = _codings(value)
    own = [words(entry) for entry in items(value) if isinstance(entry, str)]
    own += [words(concept.get("text")) for concept in objects(value)]
    own += [coding.display for coding in found if not coding.code]
    own_texts = tuple([text for text in own if text])
    displays = [coding.display for coding in found if coding.code and coding.display]
    code = next((coding.code for coding in found if coding.code), words(part(value, "text")))
    return CodeableConcept(
        codings=found, own_texts=own_texts, all_texts=tuple(dict.fromkeys((*own_texts, *displays))), code=code.lower()
    )


def _codings(value: Any) -> tuple[Coding, ...]:
    found: list[Coding] = []
    for concept in objects(value):
        inner = objects(concept.get("coding")) or ((concept,) if "code" in concept or "display" in concept else ())
        found += [
            Coding(system_uri(words(coding.get("system"))), words(coding.get("code")), words(coding.get("display")))
            for coding in inner
        ]
    return tuple(found)


def codings(value: Any) -> tuple[Coding, ...]:
    """The codings of a CodeableConcept, of a list of them, or of a bare Coding."""
    return read_concept(value).codings


def own_texts(value: Any) -> tuple[str, ...]:
    """What a concept says in words of its own: text, a plain string, and the display of a coding without a code."""
    return read_concept(value).own_texts


def all_texts(value: Any) -> tuple[str, ...]:
    """`own_texts`, and the displays of codes."""
    return read_concept(value).all_texts


def coded(value: Any, known: ValueSet) -> Concept | None:
    """The first coding of the concept that the value set knows."""
    return read_concept(value).answer(in_set, known)


def extensions(element: Any, *ends: str) -> tuple[Mapping[str, Any], ...]:
    """The extensions of an element whose URL ends in one of these segments."""
    return tuple(
        found
        for found in objects(part(element, "extension"))
        if words(found.get("url")).rstrip("/").rpartition("/")[2] in ends
    )


def extension_value(extension: Mapping[str, Any]) -> Any:
    """The value of an extension, of whatever type."""
    return next((value for name, value in extension.items() if name.startswith("value")), None)


def texts_of_notes(resource: Resource) -> tuple[str, ...]:
    """The annotations of a resource."""
    notes = [entry for name in NOTES if name in resource for entry in items(resource[name])]
    found = [words(entry) if isinstance(entry, str) else words(part(entry, "text")) for entry in notes]
    return tuple(text for text in found if text)
