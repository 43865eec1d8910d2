"""What a call needs to know of the patient: the prefetch keys of the contract, for discovery and for our own reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from fhir_mappings.characteristics import observation_codes

PATIENT_TOKEN: Final = "{{context.patientId}}"  # noqa: S105 - a place in a template, no secret
_SAFE_ID: Final = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,128}")
_PAGE_SIZE: Final = re.compile(r"[?&]_count=(\d+)")

RENAMED: Final = {"MedicationOrder": "MedicationRequest"}
"""Resource types of DSTU2 that R4 has under another name."""

NOT_IN_DSTU2: Final = frozenset({"AdverseEvent"})
"""Resource types that came later: a server of DSTU2 can hold none. Source: hl7.org/fhir/DSTU2/resourcelist.html."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """One prefetch key: its FHIR query, and whether an answer is impossible without it and its like.

    `query` is a read (`Patient/{{context.patientId}}`) or a search; `resource_type` is what it asks for.
    """

    key: str
    query: str
    needed: bool = False

    @cached_property
    def resource_type(self) -> str:
        return re.split(r"[/?]", self.query, maxsplit=1)[0]

    def asks_for(self, kind: str) -> bool:
        """Whether resources of this type answer the query: also under the name that an older FHIR has for them."""
        return kind == self.resource_type or RENAMED.get(kind) == self.resource_type

    @cached_property
    def is_read(self) -> bool:
        return "?" not in self.query

    @cached_property
    def page_size(self) -> int | None:
        """The number of entries after which the query itself asks to cut its answer."""
        found = _PAGE_SIZE.search(self.query)
        return int(found[1]) if found else None

    def for_patient(self, patient_id: str, *, in_dstu2: bool = False) -> str:
        """The query for this patient. The id must be one (`is_patient_id`): nothing is escaped here."""
        query = self.query.replace(PATIENT_TOKEN, patient_id)
        older = next((old for old, new in RENAMED.items() if in_dstu2 and new == self.resource_type), None)
        return query if older is None else older + query.removeprefix(self.resource_type)


_BY_PATIENT: Final = f"patient={PATIENT_TOKEN}"
_NEWEST: Final = "_sort=-date&_count=200"

PREFETCH: Final[tuple[Template, ...]] = (
    Template(key="patient", query=f"Patient/{PATIENT_TOKEN}"),
    Template(key="conditions", query=f"Condition?{_BY_PATIENT}", needed=True),
    Template(key="medicationRequests", query=f"MedicationRequest?{_BY_PATIENT}", needed=True),
    Template(key="medicationAdministrations", query=f"MedicationAdministration?{_BY_PATIENT}", needed=True),
    Template(key="laboratory", query=f"Observation?{_BY_PATIENT}&category=laboratory&{_NEWEST}"),
    Template(key="vitalSigns", query=f"Observation?{_BY_PATIENT}&category=vital-signs&{_NEWEST}"),
    Template(key="observations", query=f"Observation?{_BY_PATIENT}&code={','.join(observation_codes())}"),
    Template(key="procedures", query=f"Procedure?{_BY_PATIENT}"),
    Template(key="adverseEvents", query=f"AdverseEvent?subject=Patient/{PATIENT_TOKEN}"),
    Template(key="allergies", query=f"AllergyIntolerance?{_BY_PATIENT}"),
)
"""The keys of the contract, section 3, in its order. Discovery shows them, and what is absent is read by them."""

CLINICAL_OBSERVATIONS: Final = Template(
    key="clinicalObservations",
    query=f"Observation?{_BY_PATIENT}&category=exam,survey,therapy,procedure,social-history,activity&{_NEWEST}",
)
"""Observations whose meaning stands in a text only, an ICANS grade say: the codes of `observations` find none of them.

No key of the contract and so not in discovery: asked for beside `observations`, and read where an EHR sends it.
"""


def templates_by_key() -> Mapping[str, str]:
    """The `prefetch` of a service in discovery."""
    return {template.key: template.query for template in PREFETCH}


def is_patient_id(text: str) -> bool:
    """Whether this can stand in a query as it is: a FHIR id, or one of the longer ones that EHRs use."""
    return _SAFE_ID.fullmatch(text) is not None
