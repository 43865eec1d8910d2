"""An R4 resource as FHIR DSTU2, STU3 and R5 write it: the same clinical story, element by element.

Sources: the resource pages of hl7.org/fhir/DSTU2, /STU3, /R4 and /R5. DSTU2 has no AdverseEvent: it stays as in STU3.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Resource = dict[str, Any]
Version = Callable[[Resource], Resource]


def moved(resource: Resource, names: Mapping[str, str]) -> Resource:
    """The resource with its elements under other names."""
    return {names.get(name, name): value for name, value in resource.items()}


def one(value: Any) -> Any:
    """A single object where R4 has a list."""
    return value[0] if isinstance(value, list) else value


def bare(concept: Any) -> Any:
    """A code where R4 has a CodeableConcept."""
    return concept["coding"][0]["code"] if isinstance(concept, dict) else concept


def changed(resource: Resource, change: Callable[[Any], Any], *names: str) -> None:
    for name in names:
        if name in resource:
            resource[name] = change(resource[name])


def sentence(notes: Any) -> str:
    return " ".join(note["text"] for note in notes)


# --- dosages ----------------------------------------------------------------------------------------------------------


def flat_dosage(dosage: Resource) -> Resource:
    """Dose and rate beside each other, as before R4."""
    made = {name: value for name, value in dosage.items() if name != "doseAndRate"}
    for rated in dosage.get("doseAndRate", []):
        made |= rated
    return made


def dstu2_dosage(dosage: Resource) -> Resource:
    made = moved(flat_dosage(dosage), {"additionalInstruction": "additionalInstructions"})
    made.pop("sequence", None)
    repeat = made.get("timing", {}).get("repeat")
    if repeat is not None:
        made["timing"]["repeat"] = moved(repeat, {"durationUnit": "durationUnits", "periodUnit": "periodUnits"})
    rate = made.pop("rateQuantity", None)
    if rate is not None:  # DSTU2 has ratios and ranges only
        amount, over = rate["unit"].split("/")
        ucum = {"system": rate["system"]}
        made["rateRatio"] = {
            "numerator": {"value": rate["value"], "unit": amount, "code": amount} | ucum,
            "denominator": {"value": 1, "unit": over, "code": over} | ucum,
        }
    return made


# --- DSTU2 ------------------------------------------------------------------------------------------------------------

_PATIENT: Final = {"subject": "patient"}


def _order_2(made: Resource) -> Resource:
    made = moved(
        made, _PATIENT | {"authoredOn": "dateWritten", "statusReason": "reasonEnded", "requester": "prescriber"}
    )
    made = moved(made, {"reasonCode": "reasonCodeableConcept"}) | {"resourceType": "MedicationOrder"}
    made.pop("intent", None)
    changed(made, one, "reasonCodeableConcept")
    changed(made, sentence, "note")
    changed(made, lambda dosages: [dstu2_dosage(d) for d in dosages], "dosageInstruction")
    return made


def _administration_2(made: Resource) -> Resource:
    made = moved(
        made,
        _PATIENT
        | {
            "effectiveDateTime": "effectiveTimeDateTime",
            "effectivePeriod": "effectiveTimePeriod",
            "request": "prescription",
        },
    )
    changed(made, sentence, "note")
    changed(made, lambda dosage: moved(dosage, {"dose": "quantity"}), "dosage")
    return _said_apart(made, "not-done", "wasNotGiven")


def _said_apart(made: Resource, status: str, name: str) -> Resource:
    """What R4 says by a status stands in an element of its own."""
    return made | {"status": "completed", name: True} if made.get("status") == status else made


def _condition_2(made: Resource) -> Resource:
    made = moved(made, _PATIENT | {"recordedDate": "dateRecorded", "note": "notes"})
    changed(made, sentence, "notes")
    changed(made, bare, "clinicalStatus", "verificationStatus")
    changed(made, one, "category", "stage")
    return made


def _observation_2(made: Resource) -> Resource:
    made = moved(made, {"note": "comments"})
    changed(made, sentence, "comments")
    changed(made, one, "category")
    for holder in (made, *made.get("component", [])):
        if "valueInteger" in holder:
            holder["valueQuantity"] = {"value": holder.pop("valueInteger")}
        for limits in holder.get("referenceRange", []):
            if "type" in limits:
                limits["meaning"] = limits.pop("type")
    return made


def _procedure_2(made: Resource) -> Resource:
    made = moved(made, {"note": "notes"})
    return _aborted(_said_apart(made, "not-done", "notPerformed"))


def _aborted(made: Resource) -> Resource:
    return made | {"status": "aborted"} if made.get("status") == "stopped" else made


def _allergy_2(made: Resource) -> Resource:
    made = moved(made, {"code": "substance", "recordedDate": "onset"})
    verified, clinical = bare(made.pop("verificationStatus", None)), bare(made.pop("clinicalStatus", None))
    made["status"] = verified if verified in ("refuted", "entered-in-error") else clinical
    return made


# --- STU3 -------------------------------------------------------------------------------------------------------------


def _order_3(made: Resource) -> Resource:
    made = moved(made, {"encounter": "context"})
    changed(made, one, "category")
    reason = made.pop("statusReason", None)
    if reason is not None:  # STU3 has no place for it but a note
        made["note"] = [*made.get("note", []), {"text": reason["text"]}]
    changed(made, lambda dosages: [flat_dosage(d) for d in dosages], "dosageInstruction")
    return made


def _administration_3(made: Resource) -> Resource:
    return _said_apart(moved(made, {"request": "prescription", "encounter": "context"}), "not-done", "notGiven")


def _condition_3(made: Resource) -> Resource:
    made = moved(made, {"recordedDate": "assertedDate", "encounter": "context"})
    changed(made, bare, "clinicalStatus", "verificationStatus")
    changed(made, one, "stage")
    return made


def _observation_3(made: Resource) -> Resource:
    category = made.get("category")
    made = moved(_observation_2(made), {"comments": "comment"})
    return made | ({"category": category} if category else {})


def _procedure_3(made: Resource) -> Resource:
    return _aborted(_said_apart(made, "not-done", "notDone"))


def _allergy_3(made: Resource) -> Resource:
    changed(made, bare, "clinicalStatus", "verificationStatus")
    return made


def _event_3(made: Resource) -> Resource:
    made = moved(made, {"event": "type", "severity": "seriousness"})
    made["category"] = "PAE" if made.pop("actuality", "actual") == "potential" else "AE"
    return made


# --- R5 ---------------------------------------------------------------------------------------------------------------


def _medication_5(made: Resource) -> Resource:
    for name, member in (("medicationCodeableConcept", "concept"), ("medicationReference", "reference")):
        if name in made:
            made["medication"] = {member: made.pop(name)}
    return made


def _order_5(made: Resource) -> Resource:
    made = _medication_5(moved(made, {"reasonCode": "reason"}))
    changed(made, lambda reasons: [{"concept": reason} for reason in reasons], "reason")
    return made


def _administration_5(made: Resource) -> Resource:
    names = {"effectiveDateTime": "occurenceDateTime", "effectivePeriod": "occurencePeriod"}  # R5 spells it so
    return _medication_5(moved(made, names))


def _procedure_5(made: Resource) -> Resource:
    return moved(made, {"performedDateTime": "occurrenceDateTime", "performedPeriod": "occurrencePeriod"})


def _event_5(made: Resource) -> Resource:
    made = moved(made, {"event": "code", "date": "occurrenceDateTime", "severity": "seriousness"})
    made["status"] = "completed"
    changed(made, lambda outcome: [outcome], "outcome")
    for entity in made.get("suspectEntity", []):
        entity["instanceReference"] = entity.pop("instance")
    return made


# --- whole calls ------------------------------------------------------------------------------------------------------


def _service_2(made: Resource) -> Resource:
    del made["intent"]
    return made | {"resourceType": "ProcedureRequest"}


def _service_3(made: Resource) -> Resource:
    return made | {"resourceType": "ProcedureRequest"}


def _service_5(made: Resource) -> Resource:
    return made | {"code": {"concept": made["code"]}}


def _same(made: Resource) -> Resource:
    return made


VERSIONS: Final[Mapping[str, Mapping[str, Version]]] = {
    "DSTU2": {
        "MedicationRequest": _order_2,
        "ServiceRequest": _service_2,
        "MedicationAdministration": _administration_2,
        "Condition": _condition_2,
        "Observation": _observation_2,
        "Procedure": _procedure_2,
        "AllergyIntolerance": _allergy_2,
        "AdverseEvent": _event_3,
    },
    "STU3": {
        "MedicationRequest": _order_3,
        "ServiceRequest": _service_3,
        "MedicationAdministration": _administration_3,
        "Condition": _condition_3,
        "Observation": _observation_3,
        "Procedure": _procedure_3,
        "AllergyIntolerance": _allergy_3,
        "AdverseEvent": _event_3,
    },
    "R5": {
        "MedicationRequest": _order_5,
        "ServiceRequest": _service_5,
        "MedicationAdministration": _administration_5,
        "Procedure": _procedure_5,
        "AdverseEvent": _event_5,
    },
}


def written_in(version: str, resource: Resource) -> Resource:
    """The R4 resource as this version of FHIR writes it; R4 leaves it as it is."""
    return VERSIONS.get(version, {}).get(resource["resourceType"], _same)(copy.deepcopy(resource))


def call_in(version: str, body: Mapping[str, Any]) -> Resource:
    """A CDS Hooks request with every resource and every reference of this version."""

    def translated(value: Any) -> Any:
        if isinstance(value, dict):
            inner = {name: translated(member) for name, member in value.items()}
            return written_in(version, inner) if "resourceType" in inner else inner
        return [translated(member) for member in value] if isinstance(value, list) else value

    return json.loads(renamed(version, json.dumps(translated(body))))  # type: ignore[no-any-return]


def renamed(version: str, text: str) -> str:
    """References to R4's orders as this version names them."""
    if version in {"DSTU2", "STU3"}:
        text = re.sub(r"ServiceRequest(?=[/:])", "ProcedureRequest", text)
    return re.sub(r"MedicationRequest(?=[/:])", "MedicationOrder", text) if version == "DSTU2" else text
