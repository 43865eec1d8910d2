"""Where each version of FHIR keeps an element that is read here: R4's name first, then those of DSTU2, STU3 and R5.

One resource is of one version, so the first name that is there is the one meant.
Source: the resource pages of hl7.org/fhir/DSTU2, /STU3, /R4 and /R5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WRITTEN: Final = ("authoredOn", "dateWritten")
"""When an order was written."""

GIVEN: Final = (
    "effectiveDateTime",
    "effectivePeriod",
    "effectiveTimeDateTime",
    "effectiveTimePeriod",
    "occurenceDateTime",  # R5 spells it so
    "occurencePeriod",
    "occurrenceDateTime",
    "occurrencePeriod",
)
"""When a medication was given."""

DOSE_GIVEN: Final = (("dose",), ("quantity",), ("doseQuantity",), ("doseAndRate", "doseQuantity"))
"""How much was given, inside `dosage`: R4 and STU3, DSTU2, and what an order's dosage has in its place."""

PERFORMED: Final = ("performedDateTime", "performedPeriod", "occurrenceDateTime", "occurrencePeriod")
"""When a procedure was performed."""

RECORDED: Final = ("recordedDate", "dateRecorded", "assertedDate")
"""When a condition was recorded."""

NOTES: Final = ("note", "notes", "comment", "comments")
"""Annotations: DSTU2 and STU3 write some of them as one text."""

DOSAGES: Final = ("dosageInstruction", "renderedDosageInstruction")
"""How an order is to be given; R5 may say it in words only."""

REASONS: Final = ("reasonCode", "reasonCodeableConcept", "reason")
"""Why it is ordered; R5 refers and names in one."""

NOT_DONE: Final = ("wasNotGiven", "notGiven", "notPerformed", "notDone")
"""True where R4 has the status not-done."""

STATUSES: Final[Mapping[str, str]] = {"aborted": "stopped", "suspended": "on-hold"}
"""Statuses of DSTU2 and STU3 as R4 calls them."""

INGREDIENTS: Final = (("ingredient",), ("product", "ingredient"), ("package", "content"))
"""Of what a Medication is made, or what is in its package."""
