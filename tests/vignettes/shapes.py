"""FHIR R4 resources as EHRs send them, one function for each thing a vignette can say.

Every function takes the `Clock` of its case: days are counted from the case's today, in its zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

Resource = dict[str, Any]

UCUM: Final = "http://unitsofmeasure.org"
LOINC: Final = "http://loinc.org"
SNOMED: Final = "http://snomed.info/sct"
ICD10: Final = "http://hl7.org/fhir/sid/icd-10-cm"
NDC: Final = "http://hl7.org/fhir/sid/ndc"
HCPCS: Final = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
CTCAE: Final = "http://hl7.org/fhir/us/ctcae"


class VignetteError(ValueError):
    """A vignette file says something that the builder does not know."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Now and the clinic's zone of one case."""

    now: datetime

    @property
    def today(self) -> date:
        return self.now.date()

    def moment(self, said: str) -> str:
        """A day as FHIR writes it: "-14" is a date, "-14 23:30" a local dateTime with its offset, else as it stands."""
        if re.fullmatch(r"-\d{1,5}|\d{1,3}", said):
            return (self.today + timedelta(days=int(said))).isoformat()
        match = re.fullmatch(r"(-\d{1,5}|\d{1,3}) (\d\d:\d\d)", said)
        if match is None:
            return said
        day = self.today + timedelta(days=int(match[1]))
        return datetime.combine(day, time.fromisoformat(match[2]), self.zone).isoformat()

    @property
    def zone(self) -> ZoneInfo:
        assert isinstance(self.now.tzinfo, ZoneInfo)
        return self.now.tzinfo


def number(text: str) -> int | float:
    """A JSON number that prints as it was typed."""
    value = Decimal(text)
    return int(value) if value == value.to_integral_value() and "." not in text else float(value)


def concept(text: str, *codings: tuple[str, str]) -> Resource:
    coding = [{"system": system, "code": code} for system, code in codings]
    if not text:  # a code alone
        return {"coding": coding}
    return {"coding": coding, "text": text} if coding else {"text": text}


def code_system(code: str) -> str:
    """ICD-10-CM codes begin with a letter, SNOMED CT ones are digits."""
    return ICD10 if code[0].isalpha() else SNOMED


def quantity(said: str) -> Resource:
    """ "10 mg", "10 mL", "10" (no unit), "10 mcg" (a spelling that is not UCUM), "1 {pill}" (an annotation)."""
    amount, _, unit = said.partition(" ")
    made: Resource = {"value": number(amount)}
    if unit:
        made["unit"] = unit.strip("{}")
    if unit and unit != "mcg":
        made |= {"system": UCUM, "code": unit}
    return made


def subject(patient: str) -> Resource:
    return {"reference": f"Patient/{patient}"}


INTRAVENOUS: Final[Resource] = concept("Intravenous route", (SNOMED, "47625008"))
SUBCUTANEOUS: Final[Resource] = concept("Subcutaneous route", (SNOMED, "34206005"))
ORAL: Final[Resource] = concept("Oral route", (SNOMED, "26643006"))
ROUTES: Final = {"IV": INTRAVENOUS, "SC": SUBCUTANEOUS, "oral": ORAL}


def route(said: str) -> Resource:
    return ROUTES[said] if said in ROUTES else concept(said)


def drug(amount: str) -> Resource:
    """Tarlatamab by NDC and text: the 1 mg kit for small amounts, the 10 mg kit otherwise."""
    small = re.fullmatch(r"(0\.\d+|1) mg", amount) is not None
    return concept("tarlatamab-dlle (IMDELLTRA) IV infusion", (NDC, "55513-059-01" if small else "55513-077-01"))


# --- orders -------------------------------------------------------------------------------------------------------


def dosage(clock: Clock, said: dict[str, Any], sequence: int) -> Resource:
    """One dosageInstruction of an order of the drug."""
    made: Resource = {"sequence": sequence}
    timing = dosage_timing(clock, said)
    if timing:
        made["timing"] = timing
    if "text" in said:
        made["text"] = said["text"]
    if said.get("route", "IV") != "none":
        made["route"] = route(said.get("route", "IV"))
    amount = said.get("amount", "none")
    between = re.fullmatch(r"(\d+) to (\d+) mg", amount)
    if between is not None:
        ends = {"low": quantity(f"{between[1]} mg"), "high": quantity(f"{between[2]} mg")}
        made["doseAndRate"] = [{"doseRange": ends}]
    elif amount != "none":
        made["doseAndRate"] = [{"doseQuantity": quantity(amount)}]
    return made


def dosage_timing(clock: Clock, said: dict[str, Any]) -> Resource:
    days = said.get("days", [said.get("day", "0")])
    timing: Resource = {}
    if "period" in said:
        timing["repeat"] = {"boundsPeriod": {"start": clock.moment(said["period"])}}
    elif days != ["none"]:
        timing["event"] = [clock.moment(day) for day in days]
    if said.get("minutes", "60") != "none":
        duration = {"duration": number(said.get("minutes", "60")), "durationUnit": "min"}
        timing["repeat"] = timing.get("repeat", {}) | duration
    return timing


def order(clock: Clock, patient: str, identity: str, said: dict[str, Any]) -> Resource:
    """An order of the drug, draft or on record."""
    parts = [said | part for part in said.get("dosages", [{}])]
    made: Resource = {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": said.get("status", "draft"),
        "intent": "order",
        "medicationCodeableConcept": concept("Carboplatin AUC 5") if said.get("drug") == "other" else drug(""),
        "subject": subject(said.get("patient", patient)),
        "authoredOn": clock.moment(said.get("authored", "0")),
        "dosageInstruction": [dosage(clock, part, place + 1) for place, part in enumerate(parts)],
    }
    if said.get("drug", "tarlatamab") == "tarlatamab":
        made["medicationCodeableConcept"] = drug(parts[0].get("amount", ""))
    if "reason" in said:
        made["statusReason"] = concept(said["reason"])
    if "note" in said:
        made["note"] = [{"text": said["note"]}]
    return made


DEXAMETHASONE: Final = concept(
    "dexamethasone sodium phosphate injection",
    ("http://www.nlm.nih.gov/research/umls/rxnorm", "3264"),
    (HCPCS, "J1100"),
)
SALINE: Final = concept("sodium chloride 0.9 % infusion", (HCPCS, "J7030"))


def companion(clock: Clock, patient: str, identity: str, said: dict[str, Any]) -> Resource:
    """Premedication steroid, or saline after the infusion: draft, or active on record."""
    saline = said["what"] == "saline"
    known = {"saline": SALINE, "dexamethasone": DEXAMETHASONE}
    amount = said.get("amount", "1000 mL" if saline else "8 mg")
    dose: Resource = {"doseQuantity": quantity(amount)}
    instruction: Resource = {
        "sequence": 1,
        "text": "right after the infusion" if saline else "within 1 hour before tarlatamab",
        "route": route(said.get("route", "IV")),
        "doseAndRate": [dose],
    }
    if said.get("day", "0") != "none":
        instruction["timing"] = {"event": [clock.moment(said.get("day", "0"))]}
    if saline and "hours" in said:
        spread = {"duration": number(said["hours"]), "durationUnit": "h"}
        instruction["timing"] = instruction.get("timing", {}) | {"repeat": spread}
    elif saline:
        dose["rateQuantity"] = {"value": 240, "unit": "mL/h", "system": UCUM, "code": "mL/h"}
    return {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": "active" if said.get("on record") == "yes" else "draft",
        "intent": "order",
        "medicationCodeableConcept": known.get(said["what"], concept(said["what"])),
        "subject": subject(patient),
        "authoredOn": clock.moment("0"),
        "dosageInstruction": [instruction],
    }


# --- what was given -----------------------------------------------------------------------------------------------


def service(patient: str, identity: str, text: str) -> Resource:
    """An order of a service that is called so, and has no code."""
    return {
        "resourceType": "ServiceRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "code": {"text": text},
        "subject": subject(patient),
    }


def appointment(clock: Clock, patient: str, identity: str, said: dict[str, Any]) -> Resource:
    """A proposed appointment of an hour at 10:00, or for some time from one day to another."""
    day = said.get("day", "0")
    made: Resource = {
        "resourceType": "Appointment",
        "id": identity,
        "status": said.get("status", "proposed"),
        "description": said["what"],
        "participant": [{"actor": subject(said.get("patient", patient)), "status": "needs-action"}],
    }
    if "for" in said:
        made["basedOn"] = [{"reference": f"MedicationRequest/{patient}-{said['for']}"}]
    if "to" in said:
        made["requestedPeriod"] = [{"start": clock.moment(day), "end": clock.moment(said["to"])}]
    elif day != "none":
        start = datetime.fromisoformat(clock.moment(day if " " in day else f"{day} 10:00"))
        made |= {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
    return made


def administration(clock: Clock, patient: str, identity: str, said: dict[str, Any]) -> Resource:
    """A row of the administration record for the drug."""
    made: Resource = {
        "resourceType": "MedicationAdministration",
        "id": identity,
        "identifier": [{"system": "https://hospital.example/emar", "value": said.get("identifier", identity)}],
        "status": said.get("status", "completed"),
        "medicationCodeableConcept": drug(said["amount"]),
        "subject": subject(said.get("patient", patient)),
        **administration_time(clock, said),
    }
    if "request" in said:
        made["request"] = {"reference": f"MedicationRequest/{patient}-{said['request']}"}
    if said["amount"] != "none":
        made["dosage"] = {"route": INTRAVENOUS, "dose": quantity(said["amount"])}
    return made


def administration_time(clock: Clock, said: dict[str, Any]) -> Resource:
    day = said["day"]
    if re.fullmatch(r"-?\d+", day) is None and re.fullmatch(r"-?\d+ \d\d:\d\d", day) is None:
        return {"effectiveDateTime": day}
    if said.get("time") == "none":
        return {"effectiveDateTime": clock.moment(day)}
    start = datetime.fromisoformat(clock.moment(day if " " in day else f"{day} 10:00"))
    period = {"start": start.isoformat()}
    if said.get("status", "completed") not in {"in-progress", "not-done"}:
        period["end"] = (start.astimezone(clock.zone) + timedelta(hours=1)).isoformat()
    return {"effectivePeriod": period}


def running(clock: Clock, patient: str, identity: str, name: str, since: str) -> Resource:
    """Another drug that is running now, for example a pressor."""
    return {
        "resourceType": "MedicationAdministration",
        "id": identity,
        "status": "in-progress",
        "medicationCodeableConcept": concept(f"{name} infusion"),
        "subject": subject(patient),
        "effectivePeriod": {"start": clock.moment(since)},
    }


# --- conditions, procedures, adverse events, allergies ------------------------------------------------------------

CRS_CODES: Final = ("D89.839", "D89.831", "D89.832", "D89.833", "D89.834", "D89.835")
ICANS_CODES: Final = ("G92.00", "G92.01", "G92.02", "G92.03", "G92.04", "G92.05")


def condition(clock: Clock, patient: str, identity: str, said: dict[str, Any]) -> Resource:
    """A problem or an encounter diagnosis. With `to` it is resolved, without it active."""
    status = said.get("status", "resolved" if "to" in said else "active")
    category = "encounter-diagnosis" if said.get("list") == "encounter" else "problem-list-item"
    codings = [(code_system(said["code"]), said["code"])] if "code" in said else []
    made: Resource = {
        "resourceType": "Condition",
        "id": identity,
        "category": [concept(category, (f"{TERMINOLOGY}/condition-category", category))],
        "code": concept(said["text"], *codings),
        "subject": subject(patient),
    }
    if status != "none":
        made["clinicalStatus"] = {"coding": [{"system": f"{TERMINOLOGY}/condition-clinical", "code": status}]}
    verification = said.get("verification", "confirmed")
    made["verificationStatus"] = {"coding": [{"system": f"{TERMINOLOGY}/condition-ver-status", "code": verification}]}
    if "from" in said:
        made["onsetDateTime"] = clock.moment(said["from"])
    if "to" in said:
        made["abatementDateTime"] = clock.moment(said["to"])
    return made


def toxicity(said: dict[str, Any]) -> dict[str, Any]:
    """ "CRS grade 2" as a Condition whose ICD-10-CM code carries the grade, or the unspecified one."""
    match = re.fullmatch(r"(CRS|ICANS)(?: grade ([1-5]))?", said["what"])
    if match is None:
        raise VignetteError(f"unknown toxicity {said['what']!r}: write for example 'CRS grade 2 from day -8 to day -4'")
    grade = int(match[2] or 0)
    name = {
        "CRS": "Cytokine release syndrome",
        "ICANS": "Immune effector cell-associated neurotoxicity syndrome",
    }[match[1]]
    worded = f"{name}, grade {grade}" if grade else f"{name}, grade unspecified"
    return {"text": worded, "code": (CRS_CODES if match[1] == "CRS" else ICANS_CODES)[grade], **said}


def adverse_event(clock: Clock, patient: str, identity: str, said: dict[str, Any]) -> Resource:
    made: Resource = {
        "resourceType": "AdverseEvent",
        "id": identity,
        "actuality": "actual",
        "event": concept(said["event"]),
        "subject": subject(patient),
        "date": clock.moment(said["day"]),
    }
    extensions = []
    if "grade" in said:
        system = f"{CTCAE}/CodeSystem/ctcae-grade-code-system"
        grade = {"coding": [{"system": system, "code": said["grade"]}]}
        extensions.append({"url": f"{CTCAE}/StructureDefinition/ctcae-grade", "valueCodeableConcept": grade})
    if "resolved" in said:
        url = f"{CTCAE}/StructureDefinition/adverse-event-resolved-date"
        extensions.append({"url": url, "valueDateTime": clock.moment(said["resolved"])})
    if extensions:
        made["extension"] = extensions
    for element in ("severity", "outcome"):
        if element in said:
            made[element] = {"coding": [{"system": f"{TERMINOLOGY}/adverse-event-{element}", "code": said[element]}]}
    if "cause" in said:
        made["suspectEntity"] = [{"instance": {"display": said["cause"]}}]
    return made


def procedure(clock: Clock, patient: str, identity: str, code: Resource, day: str) -> Resource:
    return {
        "resourceType": "Procedure",
        "id": identity,
        "status": "completed",
        "code": code,
        "subject": subject(patient),
        "performedDateTime": clock.moment(day),
    }


def allergy(patient: str, identity: str, name: str) -> Resource:
    return {
        "resourceType": "AllergyIntolerance",
        "id": identity,
        "clinicalStatus": {"coding": [{"system": f"{TERMINOLOGY}/allergyintolerance-clinical", "code": "active"}]},
        "verificationStatus": {
            "coding": [{"system": f"{TERMINOLOGY}/allergyintolerance-verification", "code": "confirmed"}]
        },
        "code": concept(name),
        "patient": subject(patient),
    }


# --- observations -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Test:
    """A laboratory test: its LOINC code, unit, uneventful value, and its range."""

    __test__ = False

    loinc: str
    unit: str
    usual: str
    low: str = ""
    high: str = ""


TESTS: Final = {
    "neutrophils": Test(loinc="751-8", unit="10*9/L", usual="4.2", low="1.8", high="7.7"),
    "platelets": Test(loinc="777-3", unit="10*9/L", usual="240", low="150", high="400"),
    "haemoglobin": Test(loinc="718-7", unit="g/dL", usual="13.5", low="12.0", high="17.5"),
    "ALT": Test(loinc="1742-6", unit="U/L", usual="24", high="40"),
    "AST": Test(loinc="1920-8", unit="U/L", usual="22", high="40"),
    "bilirubin": Test(loinc="1975-2", unit="mg/dL", usual="0.6", high="1.2"),
    "creatinine": Test(loinc="2160-0", unit="mg/dL", usual="0.9", low="0.7", high="1.3"),
    "eGFR": Test(loinc="98979-8", unit="mL/min/{1.73_m2}", usual="95"),
}


def observation(
    clock: Clock, patient: str, identity: str, *, category: str, code: Resource, day: str, value: Resource
) -> Resource:
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "category": [concept(category, (f"{TERMINOLOGY}/observation-category", category))],
        "code": code,
        "subject": subject(patient),
        "effectiveDateTime": clock.moment(day),
        **value,
    }


def laboratory(clock: Clock, patient: str, identity: str, name: str, said: str, day: str) -> Resource:
    """One result: "0.99", "4 x ULN" or "124 umol/L", with the range of its test."""
    if name not in TESTS:
        raise VignetteError(f"unknown laboratory test {name!r}: one of {', '.join(TESTS)}")
    test = TESTS[name]
    times = re.fullmatch(r"([\d.]+) x ULN", said)
    if times is not None:
        said = str(Decimal(times[1]) * Decimal(test.high))
    amount, _, unit = said.partition(" ")
    value = {"value": number(amount), "unit": unit or test.unit, "system": UCUM, "code": unit or test.unit}
    made = observation(
        clock,
        patient,
        identity,
        category="laboratory",
        code=concept(name, (LOINC, test.loinc)),
        day=f"{day} 07:00",
        value={"valueQuantity": value},
    )
    limits = {"low": test.low, "high": test.high}
    known = {
        end: {"value": number(limit), "unit": test.unit, "system": UCUM, "code": test.unit}
        for end, limit in limits.items()
        if limit
    }
    if known and not unit:
        made["referenceRange"] = [known]
    return made


def coded(text: str, *codings: tuple[str, str]) -> Resource:
    return {"valueCodeableConcept": concept(text, *codings)}


NAMED_OBSERVATIONS: Final[dict[str, tuple[str, Resource, Resource]]] = {
    "pregnant": (
        "social-history",
        concept("Pregnancy status", (LOINC, "82810-3")),
        coded("Pregnant", (SNOMED, "77386006")),
    ),
    "not pregnant": (
        "social-history",
        concept("Pregnancy status", (LOINC, "82810-3")),
        coded("Not pregnant", (SNOMED, "60001007")),
    ),
    "negative pregnancy test": (
        "laboratory",
        concept("hCG urine, qualitative", (LOINC, "2106-3")),
        coded("Negative", (SNOMED, "260385009")),
    ),
    "positive pregnancy test": (
        "laboratory",
        concept("hCG urine, qualitative", (LOINC, "2106-3")),
        coded("Positive", (SNOMED, "10828004")),
    ),
    "breastfeeding": (
        "social-history",
        concept("Breastfeeding status", (LOINC, "63895-7")),
        coded("Yes", (LOINC, "LA33-6")),
    ),
    "not breastfeeding": (
        "social-history",
        concept("Breastfeeding status", (LOINC, "63895-7")),
        coded("No", (LOINC, "LA32-8")),
    ),
    "progression": (
        "exam",
        concept("Cancer disease status", (LOINC, "97509-4")),
        coded("Progressive disease", (SNOMED, "271299001")),
    ),
    "stable disease": (
        "exam",
        concept("Cancer disease status", (LOINC, "97509-4")),
        coded("Stable disease", (SNOMED, "359746009")),
    ),
}

NAMED_PROCEDURES: Final[dict[str, Resource]] = {
    "delivery": concept("Vaginal delivery"),
    "CAR-T": concept("CAR-T cell infusion (axicabtagene ciloleucel)"),
    "claim": concept("Injection, tarlatamab-dlle, 1 mg", (HCPCS, "J9026")),
    "oxygen by face mask": concept("Oxygen therapy by face mask"),
    "CPAP": concept("Continuous positive airway pressure (CPAP)"),
}


def finding(clock: Clock, patient: str, identity: str, said: str) -> Resource:
    """One line under `findings`: "pregnant on day -10", "ICE 8 on day -1", "temperature 38.4 Cel on day 0 07:00" ..."""
    what, _, day = said.partition(" on day ")
    if what in NAMED_OBSERVATIONS:
        category, code, value = NAMED_OBSERVATIONS[what]
        return observation(clock, patient, identity, category=category, code=code, day=day, value=value)
    if what in NAMED_PROCEDURES:
        return procedure(clock, patient, identity, NAMED_PROCEDURES[what], day)
    if allergen := re.fullmatch(r"allergy to (.+)", what):
        return allergy(patient, identity, allergen[1])
    if pressor := re.fullmatch(r"(.+) running since day (.+)", said):
        return running(clock, patient, identity, pressor[1], pressor[2])
    return measured(clock, patient, identity, what, day)


def component(text: str, loinc: str, amount: str) -> Resource:
    """One value of a panel, as US Core sends blood pressure and the oxygen given during pulse oximetry."""
    return {"code": concept(text, (LOINC, loinc)), "valueQuantity": quantity(amount)}


def measured(clock: Clock, patient: str, identity: str, what: str, day: str) -> Resource:
    category, code = "exam", concept(what)
    value: Resource
    if temperature := re.fullmatch(r"temperature (.+)", what):
        category, code = "vital-signs", concept("Body temperature", (LOINC, "8310-5"))
        value = {"valueQuantity": quantity(temperature[1])}
    elif pressure := re.fullmatch(r"blood pressure (\d+)/(\d+)", what):
        category, code = "vital-signs", concept("Blood pressure panel", (LOINC, "85354-9"))
        ends = [("Systolic blood pressure", "8480-6"), ("Diastolic blood pressure", "8462-4")]
        amounts = [f"{pressure[1]} mm[Hg]", f"{pressure[2]} mm[Hg]"]
        value = {"component": [component(*end, amount) for end, amount in zip(ends, amounts, strict=True)]}
    elif oxygen := re.fullmatch(r"SpO2 (\d+) % with oxygen ([\d.]+) L/min", what):
        category = "vital-signs"
        code = concept("Oxygen saturation by pulse oximetry", (LOINC, "59408-5"), (LOINC, "2708-6"))
        flow = component("Inhaled oxygen flow rate", "3151-8", f"{oxygen[2]} L/min")
        value = {"valueQuantity": quantity(f"{oxygen[1]} %"), "component": [flow]}
    elif score := re.fullmatch(r"ICE (\d+)", what):
        code, value = concept("ICE score"), {"valueInteger": int(score[1])}
    elif grade := re.fullmatch(r"(CRS|ICANS) grade (\d) observed", what):
        code, value = concept(f"{grade[1]} grade"), {"valueInteger": int(grade[2])}
    else:
        raise VignetteError(f"unknown finding {what!r}: see README.md, 'findings'")
    return observation(clock, patient, identity, category=category, code=code, day=day, value=value)
