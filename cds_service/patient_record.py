"""What is known of one patient at one call: the prefetch first, and what is absent there from the FHIR server.

Every need of the contract comes back with how far it was read, and why not wholly. Resources are sorted by what they
are, not by the key they came under. What is not certainly this patient's is not used, and said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cds_service.bundles import (
    QUERY_FAILED,
    Contents,
    bundle_contents,
    contents,
    entries,
    full_url_of,
    place_of,
    proposed,
    resource_of,
    with_id,
)
from cds_service.errors import NothingReadable
from cds_service.fhir_client import Answer, FhirReader, Question
from cds_service.fhir_failure import Failure
from cds_service.ownership import Owner, owner
from cds_service.prefetch import CLINICAL_OBSERVATIONS, NOT_IN_DSTU2, PREFETCH, RENAMED, Template, is_patient_id
from fhir_mappings.chart import Chart, Resource
from fhir_mappings.elements import objects, part, reference, reference_of, words
from fhir_mappings.facts import DRAFT, VISIT, Need, Reading, Unknown
from fhir_mappings.medications import medication_reference

NO_SERVER: Final = "it was not prefetched, and the call names no FHIR server"
NO_PATIENT_ID: Final = "it was not prefetched, and the patient's id can stand in no query"
ANOTHER_PATIENT: Final = "it belongs to another patient and was not used"
NO_PATIENT: Final = "it names no patient and was not used"
NESTED: Final = "a Bundle inside the call is nested too deep to be read"
TWO_VERSIONS: Final = "it came in two versions that differ, and neither says when it was updated"
NO_SUCH_TYPE: Final = "its version of FHIR has no such resource"
NO_RESOURCE: Final = "an entry is no FHIR resource"

_READ: Final = (*PREFETCH, CLINICAL_OBSERVATIONS)
_SHOWING: Final = frozenset({"medicationRequests", "medicationAdministrations", "procedures"})
SHOWS_THE_DRUG: Final = tuple(template for template in PREFETCH if template.key in _SHOWING)
"""Without the drug in these, nobody has ordered, given or claimed it as far as the EHR knows."""
_OBSERVATIONS: Final = "observations"
_GIVEN: Final = "medicationAdministrations"
_TYPE: Final = re.compile(r"[A-Z][A-Za-z]{1,63}")
_MEDICATION: Final = re.compile(r"Medication/([A-Za-z0-9._-]{1,128})")
_MOST_MEDICATIONS: Final = 120
_MEDICATIONS_A_SEARCH: Final = 30
_MAY_MEAN_NO_SUCH_TYPE: Final = frozenset(
    {NO_SERVER, QUERY_FAILED, Failure.NOT_SUPPORTED.value, Failure.NOT_FOUND.value, Failure.REFUSED.value}
)
"""How a query for a resource that a version of FHIR does not have may end; one that fails or is late says nothing."""
_UNSUPPORTED: Final = frozenset({Failure.NOT_SUPPORTED, Failure.REFUSED, Failure.MALFORMED, Failure.FORBIDDEN})


def gather(
    *,
    patient_id: str,
    draft_orders: Mapping[str, Any] | None,
    selections: Iterable[str] | None,
    prefetch: Mapping[str, Any] | None,
    reader: Reader | None,
    appointments: Sequence[Any] = (),
    search_texts: bool = False,
) -> Chart:
    """Everything received and read for this patient.

    Shape: `draft_orders` is the Bundle of the context, `appointments` the entries of one; `reader` is None where the
    call names no FHIR server. `search_texts`: also beside `observations` that were prefetched, if the patient may be
    treated: a grade that stands in a text has none of their codes.
    Unknown: entries that are no resource, resources of another patient (`foreign`) or of no stated one.
    Raises: NothingReadable if none of the needed keys could be had, with the reason for each.
    Source: contract, section 3; conformance C32 to C46.
    """
    record = _Record(patient_id=patient_id, search_texts=search_texts)
    drafts = record.take_drafts(draft_orders or {})
    found = _read(prefetch or {}, reader, record, _READ)
    needs = {template.key: record.take(template, found[template.key]) for template in PREFETCH}
    _require_something(needs)
    record.take_others(prefetch or {}, _READ)
    if reader is not None:
        record.take_medications(reader, drafts)
    return Chart(
        patient_id=patient_id,
        draft_orders=drafts,
        appointments=record.take_appointments(appointments),
        resources=tuple(record.resources.values()),
        medications=record.medications,
        needs=needs,
        selections=selected(selections, draft_orders or {}),
        unknowns=tuple(record.unknowns),
    )


def selected(selections: Iterable[str] | None, bundle: Mapping[str, Any]) -> frozenset[str] | None:
    """The drafts that are selected, as `Type/id`; None for all of them.

    A selection may be a reference, an id or a `fullUrl`. One that is none of the Bundle's is skipped if its type is not
    one that a drug is ordered by (K6); else it leaves open which is meant: then all are.
    """
    if selections is None:
        return None
    named: dict[str, str] = {}
    for number, entry in enumerate(proposed(entries(bundle)), start=1):
        resource = resource_of(entry)
        if resource is not None and resource["resourceType"] != "Medication":
            full_url = full_url_of(entry)
            draft = _named(resource, full_url, number)
            names = (full_url, words(draft.get("id")), reference_of(draft))
            named |= dict.fromkeys((name for name in names if name), reference_of(draft))
    places = [(one, named.get(one) or named.get(reference(one))) for one in selections]
    found = [place for one, place in places if place is not None or _may_be_an_order(one)]
    known = frozenset(place for place in found if place is not None)
    return known if len(known) == len(set(found)) else None


def _may_be_an_order(selection: str) -> bool:
    """Whether a selection may be of a drug: by its type, or because it has none."""
    kind, slash, _ = reference(selection).partition("/")
    return not slash or kind in {"Medication", *RENAMED, *RENAMED.values()}


def _named(draft: Resource, full_url: str, number: int) -> Resource:
    """A draft with an id: its own, that of its `fullUrl`, or else its place in the Bundle, which no id looks like."""
    draft = with_id(draft, full_url)
    return draft if words(draft.get("id")) else {**draft, "id": f"#{number}"}


def gather_of_the_drug(*, patient_id: str, prefetch: Mapping[str, Any], reader: Reader | None) -> Chart:
    """Only what shows whether the patient has to do with the drug: what came with the call, and three needs.

    Nothing else is asked of the FHIR server. Raises nothing: what could not be had is in `needs`.
    """
    record = _Record(patient_id=patient_id)
    found = _read(prefetch, reader, record, SHOWS_THE_DRUG)
    needs = {template.key: record.take(template, found[template.key]) for template in SHOWS_THE_DRUG}
    record.take_others(prefetch, SHOWS_THE_DRUG)
    if reader is not None:
        record.take_medications(reader, ())
    return Chart(
        patient_id=patient_id,
        resources=tuple(record.resources.values()),
        medications=record.medications,
        needs=needs,
        unknowns=tuple(record.unknowns),
    )


class OneReading:
    """A FHIR server that is asked each question once in a call: asked again, the same answer counts, also a failure."""

    def __init__(self, reader: FhirReader) -> None:
        self._reader = reader
        self._known: dict[Question, Answer] = {}

    def answers(self, questions: Mapping[str, Question]) -> dict[str, Answer]:
        """As FhirReader.answers; only what was not asked yet goes to the server."""
        new = {key: question for key, question in questions.items() if question not in self._known}
        if new:
            asked = self._reader.answers(new)
            self._known |= {question: asked[key] for key, question in new.items() if key in asked}
        return {key: self._known[question] for key, question in questions.items() if question in self._known}

    def reaches(self, link: str) -> bool:
        """As FhirReader.reaches."""
        return self._reader.reaches(link)


Reader = FhirReader | OneReading


def _require_something(needs: Mapping[str, Need]) -> None:
    needed = [needs[template.key] for template in PREFETCH if template.needed]
    if all(need.reading is Reading.UNAVAILABLE for need in needed):
        raise NothingReadable({need.key: need.why for need in needed})


# --- prefetch and FHIR server ---------------------------------------------------------------------------------------


def _read(
    prefetch: Mapping[str, Any], reader: Reader | None, record: _Record, wanted: Sequence[Template]
) -> dict[str, Contents]:
    """The contents of each key, with one round of questions to the FHIR server for what is absent or goes on."""
    came = {template.key: contents(prefetch[template.key], template) for template in wanted if template.key in prefetch}
    questions = _questions(came, record, wanted) if reader is not None else {}
    answers = reader.answers(questions) if reader is not None and questions else {}
    found = {
        template.key: _together(template, came.get(template.key), answers.get(template.key), record)
        if reader is not None
        else _without_reader(came.get(template.key))
        for template in wanted
    }
    if wanted is not _READ:
        return found
    by_category = found[CLINICAL_OBSERVATIONS.key]
    if by_category.reading is Reading.UNAVAILABLE and _OBSERVATIONS in came and CLINICAL_OBSERVATIONS.key not in came:
        record.by_code_only.add(_OBSERVATIONS)
    elif CLINICAL_OBSERVATIONS.key in came or CLINICAL_OBSERVATIONS.key in answers:
        found[_OBSERVATIONS] = _joined(found[_OBSERVATIONS], by_category)
    return found


def _questions(came: Mapping[str, Contents], record: _Record, wanted: Sequence[Template]) -> dict[str, Question]:
    """What is to be asked. Beside `observations` that came, a grade in a text is searched where one may be."""
    asked = {
        template.key: question
        for template in wanted
        if (question := _question(template, came.get(template.key), record)) is not None
    }
    beside = record.search_texts and _may_be_treated(came)
    if CLINICAL_OBSERVATIONS.key not in came and _OBSERVATIONS not in asked and not beside:
        asked.pop(CLINICAL_OBSERVATIONS.key, None)
    return asked


def _may_be_treated(came: Mapping[str, Contents]) -> bool:
    """Whether the drug may have been given: something was ordered, given or done, or that is yet to be read."""
    shown = [came[template.key] for template in SHOWS_THE_DRUG if template.key in came]
    return _GIVEN not in came or any(one.resources or one.reading is not Reading.COMPLETE for one in shown)


def _joined(by_code: Contents, by_category: Contents) -> Contents:
    """Two searches for one need: wholly read only if both were, and not at all only if neither was."""
    readings = {by_code.reading, by_category.reading}
    joined = Contents(
        resources=[*by_code.resources, *by_category.resources], broken=[*by_code.broken, *by_category.broken]
    )
    if readings != {Reading.COMPLETE}:
        lacking = by_code if by_code.reading is not Reading.COMPLETE else by_category
        joined.lacks(Reading.UNAVAILABLE if readings == {Reading.UNAVAILABLE} else Reading.PARTIAL, lacking.why)
    return joined


def _without_reader(came: Contents | None) -> Contents:
    if came is None:
        return Contents(reading=Reading.UNAVAILABLE, why=NO_SERVER)
    if came.next:
        came.lacks(Reading.PARTIAL, "the answer goes on, and the call names no FHIR server to read the rest from")
    return came


def _question(template: Template, came: Contents | None, record: _Record) -> Question | None:
    """What is still to be asked about this key, if anything."""
    if came is not None and _goes_on(came):
        return Question(query=came.next)
    if (came is None or came.may_be_asked) and is_patient_id(record.patient_id):
        return Question(
            query=template.for_patient(record.patient_id, in_dstu2=record.in_dstu2),
            resource_type=template.resource_type if template.is_read else "Bundle",
        )
    return None


def _together(template: Template, came: Contents | None, answer: Answer | None, record: _Record) -> Contents:
    """The contents of one key: what came with the call, what the server answered, or both."""
    if answer is None:
        return came if came is not None else Contents(reading=Reading.UNAVAILABLE, why=NO_PATIENT_ID)
    if answer.unfiltered:
        record.unfiltered.add(_OBSERVATIONS if template is CLINICAL_OBSERVATIONS else template.key)
    first = came.pages if came is not None and _goes_on(came) else ()
    found = bundle_contents([*first, *answer.pages], template)
    if answer.failure is not None:
        found.next = ""
        found.lacks(Reading.PARTIAL if first or answer.pages else Reading.UNAVAILABLE, answer.failure.value)
    if came is not None and not first:
        _add(came, found)
    return found


def _goes_on(came: Contents) -> bool:
    """Whether the rest of it is to be read. A query that failed is not asked again, not even for its next page."""
    return bool(came.next) and not came.may_be_asked and came.reading is not Reading.UNAVAILABLE


def _add(came: Contents, found: Contents) -> None:
    """Resources that came in a wrong shape count beside what the server answers, and instead of no answer."""
    found.resources = [*came.resources, *found.resources]
    found.broken = [*came.broken, *found.broken]
    if found.reading is Reading.UNAVAILABLE and came.reading is Reading.PARTIAL:
        found.reading = Reading.PARTIAL


# --- sorting --------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Record:
    """What has been accepted so far."""

    patient_id: str
    resources: dict[str, Resource] = field(default_factory=dict)
    medications: dict[str, Resource] = field(default_factory=dict)
    unknowns: list[Unknown] = field(default_factory=list)
    unfiltered: set[str] = field(default_factory=set)
    """Keys whose answer may hold other patients' data because the server knows no such search."""
    in_dstu2: bool = False
    """A draft is of a type that only DSTU2 has: so is the server (C46)."""
    search_texts: bool = False
    """Whether a grade in a text is searched for beside `observations` that came."""
    by_code_only: set[str] = field(default_factory=set)
    """Keys that came without the search that finds what has no code."""

    def take_drafts(self, bundle: Mapping[str, Any]) -> tuple[Resource, ...]:
        """The draft orders of this patient; one that names no patient is this patient's, by its context."""
        drafts = []
        for number, entry in enumerate(proposed(entries(bundle)), start=1):
            resource = self._proposed_in(entry, DRAFT)
            if resource is None:
                continue
            full_url = full_url_of(entry)
            if resource["resourceType"] == "Medication":
                self._take_medication(with_id(resource, full_url), full_url)
                continue
            self.in_dstu2 = self.in_dstu2 or resource["resourceType"] in RENAMED
            resource = _named(resource, full_url, number)
            if owner(resource, self.patient_id) is Owner.ANOTHER_PATIENT:
                self._leave_out(resource, DRAFT, ANOTHER_PATIENT, foreign=True)
            else:
                drafts.append(resource)
        return tuple(drafts)

    def take_appointments(self, given: Sequence[Any]) -> tuple[Resource, ...]:
        """The proposed appointments, each with an id; whose they are is asked where they are read."""
        taken = []
        for number, entry in enumerate(proposed(given), start=1):
            resource = self._proposed_in(entry, VISIT)
            if resource is not None:
                taken.append(_named(resource, full_url_of(entry), number))
        return tuple(taken)

    def _proposed_in(self, entry: Any, what: str) -> Resource | None:
        """What an entry of the call proposes; None, and an Unknown, where that cannot be told."""
        resource = resource_of(entry)
        if resource is not None and resource["resourceType"] != "Bundle":
            return resource
        why = NO_RESOURCE if resource is None else NESTED
        self.unknowns.append(Unknown(what=what, why=why, reference=place_of(entry)))
        return None

    def take(self, template: Template, found: Contents) -> Need:
        """Sort the contents of one key, and say how far it was read."""
        for place in found.broken:
            self.unknowns.append(Unknown(what=template.resource_type, why=NO_RESOURCE, reference=place))
        owners = [
            self._take(resource, full_url, is_reported=template.key not in self.unfiltered)
            for resource, full_url in found.resources
        ]
        asked = [
            whose
            for (resource, _), whose in zip(found.resources, owners, strict=True)
            if template.asks_for(resource["resourceType"])
        ]
        if asked and Owner.THIS_PATIENT not in asked and template.key not in self.unfiltered:
            self._distrust(template, found, asked)
        if self._is_of_no_such_type(template, found):
            return Need(key=template.key, reading=Reading.COMPLETE, why=NO_SUCH_TYPE)
        by_code_only = template.key in self.by_code_only
        return Need(key=template.key, reading=found.reading, why=found.why, by_code_only=by_code_only)

    def _is_of_no_such_type(self, template: Template, found: Contents) -> bool:
        """Whether nothing came because the EHR's version of FHIR has no such resource: that is no gap in the record."""
        is_later = self.in_dstu2 and template.resource_type in NOT_IN_DSTU2
        return is_later and found.reading is Reading.UNAVAILABLE and found.why in _MAY_MEAN_NO_SUCH_TYPE

    def take_others(self, prefetch: Mapping[str, Any], asked: Sequence[Template]) -> None:
        """Resources under keys that nobody asked for: they are no need, but they count."""
        known = {template.key for template in asked}
        other = Template(key="", query="?")
        for key, value in prefetch.items():
            if key in known:
                continue
            found = contents(value, other)
            for place in found.broken:
                self.unknowns.append(Unknown(what="prefetch", why=NO_RESOURCE, reference=place))
            for resource, full_url in found.resources:
                self._take(resource, full_url, is_reported=True)

    def take_medications(self, reader: Reader, drafts: tuple[Resource, ...]) -> None:
        """Read the Medications that orders and administrations refer to, the drafts' first, in the rest of the budget.

        One that cannot be had stays unresolved; whoever reads the order then says so.
        """
        wanted = list(self._missing_medications(reader, drafts))
        groups = [
            tuple(wanted[start : start + _MEDICATIONS_A_SEARCH])
            for start in range(0, len(wanted), _MEDICATIONS_A_SEARCH)
        ]
        if not groups:
            return
        answers = reader.answers(
            {",".join(group): Question(query=f"Medication?_id={','.join(group)}") for group in groups}
        )
        self._take_answers(answers.values())
        unsupported = {key for key, answer in answers.items() if answer.failure in _UNSUPPORTED}
        singly = [
            identity
            for group in groups
            if ",".join(group) in unsupported
            for identity in group
            if f"Medication/{identity}" not in self.medications
        ]
        if singly:
            one_by_one = reader.answers(
                {identity: Question(query=f"Medication/{identity}", resource_type="Medication") for identity in singly}
            )
            self._take_answers(one_by_one.values())

    def _take_answers(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            for resource, full_url in bundle_contents(answer.pages, _MEDICATIONS).resources:
                if resource["resourceType"] == "Medication":
                    self._take_medication(resource, full_url)

    def _missing_medications(self, reader: Reader, drafts: tuple[Resource, ...]) -> Iterator[str]:
        seen: set[str] = set()
        stated = (r for r in (*drafts, *self.resources.values()) if "medicationReference" in r or "medication" in r)
        for resource in stated:
            found = _MEDICATION.fullmatch(medication_reference(resource) or "")
            if found is None or found[0] in self.medications or found[1] in seen or not is_patient_id(found[1]):
                continue
            if len(seen) < _MOST_MEDICATIONS and _points_here(resource, reader):
                seen.add(found[1])
                yield found[1]

    def _take(self, resource: Resource, full_url: str, *, is_reported: bool) -> Owner:
        resource = with_id(resource, full_url)
        if resource["resourceType"] == "Medication":
            self._take_medication(resource, full_url)
            return Owner.NOBODY
        whose = owner(resource, self.patient_id)
        if whose is Owner.ANOTHER_PATIENT:
            if is_reported:
                self._leave_out(resource, _type_of(resource), ANOTHER_PATIENT, foreign=True)
        elif whose is Owner.UNNAMED:
            self._leave_out(resource, _type_of(resource), NO_PATIENT, foreign=False)
        else:
            self._keep(resource)
        return whose

    def _keep(self, resource: Resource) -> None:
        """The same `Type/id` once: the newest `meta.lastUpdated`, else the first, and that they differ is said."""
        place = reference_of(resource) or f"#{len(self.resources)}"
        known = self.resources.get(place)
        if known is None or _is_newer(resource, known):
            self.resources[place] = resource
        elif known != resource and not _is_newer(known, resource):
            self._leave_out(resource, _type_of(resource), TWO_VERSIONS, foreign=False)

    def _take_medication(self, resource: Resource, full_url: str) -> None:
        for place in (reference_of(resource), full_url if full_url.startswith("urn:") else ""):
            if place:
                self.medications.setdefault(place, resource)

    def _leave_out(self, resource: Resource, what: str, why: str, *, foreign: bool) -> None:
        self.unknowns.append(Unknown(what=what, why=why, reference=reference_of(resource), foreign=foreign))

    @staticmethod
    def _distrust(template: Template, found: Contents, asked: list[Owner]) -> None:
        """Nothing of this patient where something was found: that is no answer about this patient."""
        if template.is_read:
            if Owner.ANOTHER_PATIENT in asked:
                found.lacks(Reading.UNAVAILABLE, "the patient received is another one than the call is about")
            else:
                found.lacks(Reading.UNAVAILABLE, "the patient received has no id")
        elif set(asked) == {Owner.ANOTHER_PATIENT}:
            found.lacks(Reading.PARTIAL, "the answer holds only resources of another patient")


_MEDICATIONS: Final = Template(key="", query="Medication?_id=")


def _type_of(resource: Resource) -> str:
    """The resource type, if it is spelt as one: it may stand in a log line."""
    kind = words(resource.get("resourceType"))
    return kind if _TYPE.fullmatch(kind) else "resource"


def _points_here(resource: Resource, reader: Reader) -> bool:
    """Whether the medication reference is relative or of the call's own server: ids mean nothing on another one."""
    for holder in objects(resource.get("medicationReference")) + objects(part(resource, "medication", "reference")):
        text = words(holder.get("reference"))
        if "://" in text and not reader.reaches(text):
            return False
    return True


def _is_newer(resource: Resource, known: Resource) -> bool:
    new, old = _updated(resource), _updated(known)
    return new is not None and (old is None or new > old)


def _updated(resource: Resource) -> datetime | None:
    try:
        moment = datetime.fromisoformat(words(part(resource, "meta", "lastUpdated")))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
