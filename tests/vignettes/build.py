"""Vignettes: what a pharmacist wrote in YAML, as FHIR R4 resources and as a CDS Hooks request.

`load_vignettes()` gives one `Case` for every lettered variant. README.md says how a vignette is written.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml

from tests.support.fhir_versions import call_in
from tests.vignettes import shapes
from tests.vignettes.shapes import Clock, Resource, VignetteError

FOLDER: Final = Path(__file__).parent
USUAL_TODAY: Final = "2026-02-10 15:00 America/New_York"
NAMESPACE: Final = uuid.UUID("6f1c1f0e-0f0b-4c1e-9a53-7b8f6a1d2c30")

PREFETCH_KEYS: Final = (
    "patient",
    "conditions",
    "medicationRequests",
    "medicationAdministrations",
    "laboratory",
    "vitalSigns",
    "observations",
    "procedures",
    "adverseEvents",
    "allergies",
    "clinicalObservations",
)
KINDS: Final = {
    "conditions": "Condition",
    "medicationRequests": "MedicationRequest",
    "medicationAdministrations": "MedicationAdministration",
    "laboratory": "Observation",
    "procedures": "Procedure",
    "adverseEvents": "AdverseEvent",
    "allergies": "AllergyIntolerance",
}
OF_THE_CALL: Final = frozenset({"draftOrders", "appointments"})
READING_KEYS: Final = frozenset({*PREFETCH_KEYS, "encounter", *OF_THE_CALL})
"""What can fail: the prefetch, an Encounter that nobody asked for, the draft orders or appointments of the call."""
FILE_KEYS: Final = frozenset({"id", "question", "source", "note", "today", "sources", "given", "when", "then", "cases"})
CASE_KEYS: Final = FILE_KEYS - {"id", "question", "source", "cases"} | {"case", "says", "open"}
GIVEN_KEYS: Final = frozenset(
    {
        "patient",
        "cancer",
        "doses",
        "orders on record",
        "toxicities",
        "conditions",
        "adverse events",
        "labs",
        "earlier labs",
        "findings",
        "reading",
    }
)
WHEN_KEYS: Final = frozenset({"hook", "orders", "with", "services", "select", "visits", "fhir"})
VISIT_KEYS: Final = frozenset({"what", "day", "to", "for", "status", "patient"})
ORDER_HOOKS: Final = frozenset({"order-sign", "order-select"})
CARD_KEYS: Final = frozenset({"card", "summary", "says", "never says", "rows", "cites", "expected", "suggestions"})
DOSE_KEYS: Final = frozenset({"amount", "day", "status", "identifier", "request", "time", "id", "patient"})
COMPANION_KEYS: Final = frozenset({"what", "amount", "day", "route", "hours", "on record"})
CONDITION_KEYS: Final = frozenset({"what", "text", "code", "from", "to", "status", "verification", "list"})
EVENT_KEYS: Final = frozenset({"event", "day", "grade", "severity", "outcome", "resolved", "cause"})
ORDER_KEYS: Final = frozenset(
    {
        "amount",
        "day",
        "days",
        "period",
        "dosages",
        "route",
        "minutes",
        "text",
        "status",
        "reason",
        "note",
        "id",
        "drug",
        "authored",
        "patient",
    }
)


class _Loader(yaml.BaseLoader):
    """All scalars stay the text that was typed (`no` is "no", `14:30` is "14:30"); a key twice is refused."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise VignetteError(f"{node.start_mark}: {', '.join(twice)} stands here twice")
        return super().construct_mapping(node, deep=True)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One entry of a card's `expected`: which draft, which dose, position and due day. "" where not asked for."""

    order: str = ""
    dose: str = ""
    position: str = ""
    due: str = ""

    def as_wire(self) -> dict[str, str]:
        wire = {"order": self.order, "dose": self.dose, "position": self.position, "dueOn": self.due}
        return {name: value for name, value in wire.items() if value}


@dataclass(frozen=True, kw_only=True)
class ExpectedCard:
    """One card that must come back."""

    topic: str
    action: str
    indicator: str
    summary: str = ""
    says: tuple[str, ...] = ()
    never_says: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()
    expected: tuple[Expected, ...] = ()
    no_suggestion: bool = False
    suggestions: tuple[str, ...] = ()

    @property
    def kind(self) -> tuple[str, str, str]:
        return (self.topic, self.action, self.indicator)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One lettered variant of a vignette: a patient, a call, and the cards that must come back, all of them."""

    id: str
    question: str
    says: str
    source: tuple[str, ...]
    note: str
    open: str
    sources: str
    now: datetime
    hook: str
    given: Mapping[str, Any]
    when: Mapping[str, Any]
    then: tuple[ExpectedCard, ...]

    @property
    def timezone(self) -> str:
        return self.clock.zone.key

    @property
    def clock(self) -> Clock:
        return Clock(now=self.now)

    @property
    def patient_id(self) -> str:
        return self.id.lower()

    @property
    def service(self) -> str:
        return f"tarlatamab-{self.hook}"

    def resources(self) -> list[Resource]:
        """What the EHR holds: the patient first; drafts of the call are not in it."""
        return Record(self).resources()

    def drafts(self) -> list[Resource]:
        """The drafts of the call, the drug's first, then its companions, then what is no medication."""
        return draft_orders(self) if self.hook in ORDER_HOOKS else []

    def visits(self) -> list[Resource]:
        """The appointments that the call proposes."""
        return proposed_visits(self)

    def context(self) -> dict[str, Any]:
        """What the hook says beside user and patient."""
        reading = self.given.get("reading", {})
        if self.hook == "appointment-book":
            return {"appointments": collection(self.visits(), is_broken="appointments" in reading)}
        if self.hook not in ORDER_HOOKS:
            return {"encounterId": f"{self.patient_id}-stay"}
        context: dict[str, Any] = {"draftOrders": collection(self.drafts(), is_broken="draftOrders" in reading)}
        if self.hook == "order-select":
            drafts = [f"MedicationRequest/{self.patient_id}-draft-{place}" for place in self.when.get("select", ["1"])]
            context["selections"] = drafts
        return context

    def request(self, *, prefetch: bool = True, fhir_server: str = "") -> dict[str, Any]:
        """The body of the hook's call, with all prefetch keys or with none."""
        context = {"userId": "Practitioner/prescriber", "patientId": self.patient_id, **self.context()}
        body: dict[str, Any] = {
            "hook": self.hook,
            "hookInstance": str(uuid.uuid5(NAMESPACE, self.id)),
            "context": context,
        }
        if fhir_server:
            body["fhirServer"] = fhir_server
        if prefetch:
            body["prefetch"] = prefetched(self)
        return call_in(self.when["fhir"], body) if "fhir" in self.when else body


# --- reading a vignette -------------------------------------------------------------------------------------------


def known(said: Mapping[str, Any], keys: frozenset[str], where: str) -> None:
    unknown = sorted(set(said) - keys)
    if unknown:
        raise VignetteError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(keys))}")


def load_vignettes(folder: Path = FOLDER) -> list[Case]:
    """All cases of all files, in the order of their numbers."""
    cases = [case for path in sorted(folder.glob("v*.yaml")) for case in load_file(path)]
    ids = [case.id.lower() for case in cases]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise VignetteError(f"two cases share an id: {', '.join(twice)}")
    return cases


def load_file(path: Path) -> list[Case]:
    said = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    known(said, FILE_KEYS, path.name)
    variants = said.get("cases", [{}])
    return [read_case(path.name, said, variant) for variant in variants]


def read_case(where: str, said: Mapping[str, Any], variant: Mapping[str, Any]) -> Case:
    known(variant, CASE_KEYS, where)
    name = f"{said['id']}{variant.get('case', '')}"
    where = f"{where} {name}"
    given = {**said.get("given", {}), **variant.get("given", {})}
    when = {**said.get("when", {}), **variant.get("when", {})}
    known(given, GIVEN_KEYS, where)
    known(when, WHEN_KEYS, where)
    now = read_now(variant.get("today", said.get("today", USUAL_TODAY)))
    cards = variant.get("then", said.get("then"))
    if not isinstance(cards, list):
        raise VignetteError(f"{where}: `then` must list the cards that come back; [] for none")
    return Case(
        id=name,
        question=said["question"],
        says=variant.get("says", ""),
        source=tuple(said["source"]),
        note=" ".join(part for part in (said.get("note", ""), variant.get("note", "")) if part),
        open=variant.get("open", ""),
        sources=variant.get("sources", said.get("sources", "seed+label")),
        now=now,
        hook=when.get("hook", "order-sign"),
        given=given,
        when=when,
        then=tuple(read_card(where, name.lower(), now.date(), card) for card in cards),
    )


def read_now(said: str) -> datetime:
    """ "2026-02-10 15:00 America/New_York" """
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d \d\d:\d\d) (\S+)", said)
    if match is None:
        raise VignetteError(f"today is {said!r}; write it as {USUAL_TODAY!r}")
    return datetime.fromisoformat(match[1]).replace(tzinfo=ZoneInfo(match[2]))


def read_card(where: str, patient: str, today: date, said: Mapping[str, Any] | str) -> ExpectedCard:
    whole = {"card": said} if isinstance(said, str) else said
    known(whole, CARD_KEYS, where)
    match = re.fullmatch(r"([a-z-]+)/([a-z-]+) (info|warning|critical)", whole["card"])
    if match is None:
        raise VignetteError(f"{where}: card {whole['card']!r}; write for example 'dose/change-dose critical'")
    return ExpectedCard(
        topic=match[1],
        action=match[2],
        indicator=match[3],
        summary=whole.get("summary", ""),
        says=tuple(whole.get("says", ())),
        never_says=tuple(whole.get("never says", ())),
        rows=tuple(whole.get("rows", ())),
        cites=tuple(whole.get("cites", ())),
        expected=tuple(read_expected(where, patient, today, entry) for entry in whole.get("expected", ())),
        no_suggestion=whole.get("suggestions") == "none",
        suggestions=read_suggestions(where, whole.get("suggestions", "none")),
    )


def read_suggestions(where: str, said: Sequence[str] | str) -> tuple[str, ...]:
    """What a card offers, in its order; `none` means that it offers nothing."""
    if isinstance(said, str):
        if said != "none":
            raise VignetteError(f"{where}: suggestions {said!r}; write none, or a list such as [remove order 1]")
        return ()
    return tuple(said)


PROPOSED: Final = {"order": "MedicationRequest/{}-draft", "visit": "Appointment/{}-visit"}


def read_expected(where: str, patient: str, today: date, said: str) -> Expected:
    """ "order 2: 10 mg C1D8 due on day 7", or "visit 2: …"; what is before the colon and the due day may be missing."""
    match = re.fullmatch(r"(?:(order|visit) (\d+): )?([\d.]+ mg)(?: (C\d+D\d+))?(?: due on day (-?\d+))?", said)
    if match is None:
        raise VignetteError(f"{where}: expected {said!r}; write for example 'order 2: 10 mg C1D8 due on day 7'")
    return Expected(
        order=f"{PROPOSED[match[1]].format(patient)}-{match[2]}" if match[1] else "",
        dose=match[3],
        position=match[4] or "",
        due=(today + timedelta(days=int(match[5]))).isoformat() if match[5] else "",
    )


# --- the call -----------------------------------------------------------------------------------------------------


def draft_orders(case: Case) -> list[Resource]:
    clock, patient = case.clock, case.patient_id
    drafts = []
    for place, said in enumerate(case.when.get("orders", ["10 mg"])):
        whole = read_line(said, "amount")
        known(whole, ORDER_KEYS, f"{case.id} orders")
        drafts.append(shapes.order(clock, patient, f"{patient}-draft-{place + 1}", whole))
    for place, whole in enumerate(companions(case, on_record=False)):
        drafts.append(shapes.companion(clock, patient, f"{patient}-with-{place + 1}", whole))
    for place, text in enumerate(case.when.get("services", [])):
        drafts.append(shapes.service(patient, f"{patient}-service-{place + 1}", text))
    return drafts


def collection(resources: Sequence[Resource], *, is_broken: bool) -> Resource:
    """A Bundle of the context; broken, it has one entry more, without a resource."""
    entries: list[dict[str, Any]] = [{"resource": resource} for resource in resources]
    if is_broken:
        entries.append(broken_entry(len(entries)))
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def proposed_visits(case: Case) -> list[Resource]:
    visits = []
    for place, said in enumerate(case.when.get("visits", [])):
        whole = read_line(said, "what")
        known(whole, VISIT_KEYS, f"{case.id} visits")
        visits.append(shapes.appointment(case.clock, case.patient_id, f"{case.patient_id}-visit-{place + 1}", whole))
    return visits


def companions(case: Case, *, on_record: bool) -> list[dict[str, Any]]:
    """`with:` of the call. A bare name is a draft for today: dexamethasone 8 mg IV, saline 1 L at 240 mL/h."""
    all_of_them = [read_line(said, "what") for said in case.when.get("with", [])]
    for whole in all_of_them:
        known(whole, COMPANION_KEYS, f"{case.id} with")
    return [whole for whole in all_of_them if (whole.get("on record") == "yes") == on_record]


def read_line(said: Mapping[str, Any] | str, name: str) -> dict[str, Any]:
    """ "10 mg on day 7" is {amount: 10 mg, day: 7}; "CRS grade 2 from day -8 to day -4" likewise."""
    if not isinstance(said, str):
        return dict(said)
    match = re.fullmatch(r"(.+?)(?: on day (.+?))?(?: from day (.+?))?(?: to day (.+?))?", said)
    assert match is not None
    parts = {name: match[1], "day": match[2], "from": match[3], "to": match[4]}
    return {key: value for key, value in parts.items() if value is not None}


def prefetched(case: Case) -> dict[str, Any]:
    """All keys of the contract and ours, as the EHR would fill them; `reading` says which of them failed.

    Observations by code and by category come from one place: both fail together unless said otherwise.
    """
    resources = case.resources()
    reading = case.given.get("reading", {})
    known(reading, READING_KEYS, f"{case.id} reading")
    if any(reading.get(key, "broken") != "broken" for key in READING_KEYS.difference(PREFETCH_KEYS)):
        raise VignetteError(f"{case.id} reading: encounter, draftOrders and appointments can only be broken")
    reading = {key: how for key, how in reading.items() if key not in OF_THE_CALL}
    if "observations" in reading:
        reading = {"clinicalObservations": reading["observations"], **reading}
    prefetch: dict[str, Any] = {"patient": resources[0]}
    for key in PREFETCH_KEYS[1:]:
        prefetch[key] = searchset([found for found in resources if key_of(found) == key])
    for key, how in reading.items():
        read_so(prefetch, key, how, case.id)
    return prefetch


def read_so(prefetch: dict[str, Any], key: str, how: str, where: str) -> None:
    """Changes what came under a key to what `reading` says of it."""
    if how == "absent":
        del prefetch[key]
    elif how == "failed":
        prefetch[key] = outcome("exception", "The search could not be done.")
    elif how == "partial":
        prefetch[key]["link"] = [{"relation": "next", "url": "https://ehr.example/fhir/page/2"}]
    elif how == "null":
        prefetch[key] = None
    elif how == "broken":
        bundle = prefetch.setdefault(key, searchset([]))
        bundle["entry"] = [*bundle.get("entry", []), broken_entry(len(bundle.get("entry", [])))]
    elif how.partition(" ")[0] == "unclear":
        kind = how.partition(" ")[2] or KINDS[key]
        prefetch[key].setdefault("entry", []).append({"resource": of_nobody_known(kind)})
    else:
        raise VignetteError(f"{where}: reading {how!r}; one of absent, failed, partial, null, broken, unclear")


def key_of(resource: Resource) -> str:
    kind = resource["resourceType"]
    if kind == "Observation":
        category = resource["category"][0]["text"]
        return {"laboratory": "laboratory", "vital-signs": "vitalSigns"}.get(category, "observations")
    return {
        "Condition": "conditions",
        "MedicationRequest": "medicationRequests",
        "MedicationAdministration": "medicationAdministrations",
        "Procedure": "procedures",
        "AdverseEvent": "adverseEvents",
        "AllergyIntolerance": "allergies",
    }.get(kind, "patient")


def searchset(resources: Sequence[Resource]) -> Resource:
    bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "total": len(resources)}
    if resources:
        bundle["entry"] = [
            {
                "fullUrl": f"https://ehr.example/fhir/{found['resourceType']}/{found['id']}",
                "resource": found,
                "search": {"mode": "match"},
            }
            for found in resources
        ]
    return bundle


def broken_entry(place: int) -> dict[str, Any]:
    """An entry of a Bundle that holds no resource."""
    return {"fullUrl": f"urn:uuid:{uuid.uuid5(NAMESPACE, str(place))}"}


def of_nobody_known(kind: str) -> Resource:
    """A resource that does not tell whose it is."""
    whose = {"reference": "Group/ward-7"}
    element = "patient" if kind in {"AllergyIntolerance", "MedicationOrder"} else "subject"
    return {"resourceType": kind, "id": f"unclear-{kind}", element: whose}


def outcome(code: str, text: str) -> Resource:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code, "diagnostics": text}]}


# --- the record ---------------------------------------------------------------------------------------------------


class Record:
    """The EHR's record of one case: what `given` says, on an uneventful background."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = case.clock
        self.patient = case.patient_id
        self._count = 0

    def resources(self) -> list[Resource]:
        doses = self.doses()
        return [
            self.person(),
            *self.cancer(doses),
            *doses,
            *self.orders_on_record(),
            *self.toxicities(),
            *self.adverse_events(),
            *self.labs(),
            *self.findings(),
        ]

    def identity(self, kind: str) -> str:
        self._count += 1
        return f"{self.patient}-{kind}-{self._count}"

    def said(self, key: str) -> Iterable[Any]:
        value = self.case.given.get(key, [])
        if not isinstance(value, list):
            raise VignetteError(f"{self.case.id}: `{key}` must be a list")
        return value

    def person(self) -> Resource:
        said = self.case.given.get("patient", "man of 64")
        match = re.fullmatch(r"(man|woman|person)(?: of (\d+)| born (.+))?", said)
        if match is None:
            raise VignetteError(f"{self.case.id}: patient {said!r}; write for example 'woman of 34' or 'man born 2008'")
        made: Resource = {"resourceType": "Patient", "id": self.patient, "active": True}
        if match[1] != "person":
            made["gender"] = {"man": "male", "woman": "female"}[match[1]]
        if match[2] or match[3]:
            made["birthDate"] = self.birth(match[2], match[3])
        return made

    def birth(self, age: str | None, said: str | None) -> str:
        """A birthday one month ago for an age; "17 years 11 months ago" to the day; else as it stands."""
        if age is not None:
            return years_before(self.clock.today - timedelta(days=30), int(age)).isoformat()
        match = re.fullmatch(r"(\d+) years(?: (\d+) months)?(?: (and|less) 1 day)? ago", said or "")
        if match is None:
            return said or ""
        born = years_before(self.clock.today, int(match[1]))
        months = born.year * 12 + born.month - 1 - int(match[2] or 0)
        born = born.replace(year=months // 12, month=months % 12 + 1)
        shift = {"and": -1, "less": 1}.get(match[3] or "", 0)
        return (born + timedelta(days=shift)).isoformat()

    def cancer(self, doses: Sequence[Resource]) -> list[Resource]:
        """By default extensive-stage SCLC, carboplatin, and progression 20 days before the first dose or today."""
        said = {
            "diagnosis": "683991000119103 Extensive stage primary small cell carcinoma of lung",
            "platinum": "yes",
            "progression": "yes",
            **self.case.given.get("cancer", {}),
        }
        first = min([self.clock.today, *(day_of(dose) for dose in doses)])
        made = []
        if said["diagnosis"] != "none":
            code, _, text = said["diagnosis"].partition(" ")
            whole = {"code": code, "text": text, "from": (first - timedelta(days=300)).isoformat()}
            made.append(shapes.condition(self.clock, self.patient, self.identity("cancer"), whole))
        if said["platinum"] == "yes":
            carboplatin = {
                "drug": "other",
                "status": "completed",
                "days": [(first - timedelta(days=120)).isoformat()],
                "authored": (first - timedelta(days=121)).isoformat(),
                "amount": "450 mg",
            }
            made.append(shapes.order(self.clock, self.patient, self.identity("carboplatin"), carboplatin))
        if said["progression"] == "yes":
            day = (first - timedelta(days=20)).isoformat()
            made.append(shapes.finding(self.clock, self.patient, self.identity("status"), f"progression on day {day}"))
        return made

    def doses(self) -> list[Resource]:
        lines: list[dict[str, Any]] = []
        for said in self.said("doses"):
            lines.extend(on_schedule(said) or [read_line(said, "amount")])
        made = []
        for line in lines:
            known(line, DOSE_KEYS, f"{self.case.id} doses")
            identity = f"{self.patient}-{line['id']}" if "id" in line else self.identity("dose")
            made.append(shapes.administration(self.clock, self.patient, identity, line))
        return made

    def orders_on_record(self) -> list[Resource]:
        made = []
        for said in self.said("orders on record"):
            line = {"status": "active", **read_line(said, "amount")}
            known(line, ORDER_KEYS, f"{self.case.id} orders on record")
            line.setdefault("authored", line.get("day", "0"))
            identity = f"{self.patient}-{line['id']}" if "id" in line else self.identity("order")
            made.append(shapes.order(self.clock, self.patient, identity, line))
        companions_on_record = companions(self.case, on_record=True)
        return made + [
            shapes.companion(self.clock, self.patient, self.identity("with"), line) for line in companions_on_record
        ]

    def toxicities(self) -> list[Resource]:
        lines = [shapes.toxicity(read_line(said, "what")) for said in self.said("toxicities")]
        for said in self.said("conditions"):
            line = read_line(said, "text")
            match = re.fullmatch(r"([A-Z]\d\d\S*|\d{6,}) (.+)", line["text"])
            lines.append(line | ({"code": match[1], "text": match[2]} if match else {}))
        for line in lines:
            known(line, CONDITION_KEYS, f"{self.case.id} toxicities and conditions")
        return [shapes.condition(self.clock, self.patient, self.identity("condition"), line) for line in lines]

    def adverse_events(self) -> list[Resource]:
        made = []
        for said in self.said("adverse events"):
            known(said, EVENT_KEYS, f"{self.case.id} adverse events")
            made.append(shapes.adverse_event(self.clock, self.patient, self.identity("event"), dict(said)))
        return made

    def labs(self) -> list[Resource]:
        """Uneventful results two days before today, except those that `labs` names."""
        said = self.case.given.get("labs", {})
        chosen: dict[str, str] = {name: test.usual for name, test in shapes.TESTS.items()}
        chosen = {} if said == "none" else {**chosen, **said}
        day = chosen.pop("day", "-2")
        lines = [f"{name} {value} on day {day}" for name, value in chosen.items() if value != "none"]
        return [self.result(line) for line in [*lines, *self.said("earlier labs")]]

    def result(self, said: str) -> Resource:
        name, _, rest = said.partition(" ")
        value, _, day = rest.partition(" on day ")
        return shapes.laboratory(self.clock, self.patient, self.identity("lab"), name, value, day)

    def findings(self) -> list[Resource]:
        return [
            shapes.finding(self.clock, self.patient, self.identity("finding"), said) for said in self.said("findings")
        ]


def on_schedule(said: Mapping[str, Any] | str) -> list[dict[str, Any]]:
    """ "5 on schedule, last on day -14": 1 mg, 10 mg a week later, 10 mg a week later, then every 14 days."""
    match = re.fullmatch(r"(\d+) on schedule, last on day (-\d+)", said) if isinstance(said, str) else None
    if match is None:
        return []
    day, days = int(match[2]), []
    for ordinal in range(int(match[1]), 0, -1):
        days.append(day)
        day -= 14 if ordinal > 3 else 7
    days.reverse()
    return [{"amount": "10 mg" if place else "1 mg", "day": str(at)} for place, at in enumerate(days)]


def day_of(dose: Resource) -> date:
    """The first day that a dose can have been given on, for placing the background before it."""
    text = dose["effectiveDateTime"] if "effectiveDateTime" in dose else dose["effectivePeriod"]["start"]
    return date.fromisoformat((text[:10] + "-01-01")[:10] if len(text) < 7 else (text[:10] + "-01")[:10])


def years_before(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)
