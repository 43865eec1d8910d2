"""`/timeline`: the course of the patient of a posted call or record, to look at, to embed, or as data.

A call is read and answered as its own service would; a plain FHIR Bundle is taken for all that is on record of its one
patient. Nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from flask import Response, request
from markupsafe import Markup

from cds_service import pages, timeline_svg, wire
from cds_service.bundles import entries, resource_of
from cds_service.errors import Mistake, RequestError
from cds_service.fhir_answer import next_link
from cds_service.openapi import HTML, JSON, SVG
from cds_service.prefetch import PREFETCH
from cds_service.services import Answer
from cds_service.timeline import Mark, Timeline, timeline
from fhir_mappings.chart import Resource

PATIENT_VIEW: Final = "patient-view"
FORMS: Final = (HTML, SVG, JSON)
NO_DRUG: Final = "No tarlatamab on record."
NOT_PROPOSED: Final = "The call proposes no tarlatamab: the record was not read."
OF_A_PATIENT: Final = frozenset({PATIENT_VIEW, "encounter-discharge"})


# --- what is posted ----------------------------------------------------------------------------------------------


class _Named(msgspec.Struct):
    """The only member that is looked at before the caller is known."""

    hook: str = ""


def service_of(body: bytes, by_hook: Mapping[str, str]) -> str:
    """The id of the service whose door this call comes to: that of its hook, else patient-view's, else any."""
    try:
        hook = msgspec.json.decode(body, type=_Named).hook
    except (msgspec.MsgspecError, ValueError, RecursionError):
        hook = ""
    return by_hook.get(hook) or by_hook.get(PATIENT_VIEW) or next(iter(by_hook.values()))


def read_call(body: bytes, hook: str) -> wire.HookRequest:
    """The call as posted, or a patient-view of the posted Bundle.

    Raises: RequestError for what is neither, and for a Bundle of no patient or of several; TooMuch.
    """
    beyond: list[str] = []
    posted = wire.decode(body, beyond)
    if posted.get("resourceType") == "Bundle":
        return wire.request_of(as_call(posted), PATIENT_VIEW, beyond)
    return wire.request_of(posted, hook, beyond)


def as_call(bundle: Resource) -> Mapping[str, Any]:
    """A patient-view whose prefetch is this Bundle: what it does not hold is not on record.

    A Bundle that says that more of it is elsewhere makes every key partial: that link is handed on.
    """
    found = [resource for entry in entries(bundle) if (resource := resource_of(entry)) is not None]
    patients = {str(one.get("id", "")) for one in found if one["resourceType"] == "Patient"}
    if len(patients) != 1:
        number = "no Patient" if not patients else "more than one Patient"
        raise RequestError(Mistake(path="entry", what=f"the Bundle holds {number}: it must be one patient's record"))
    (patient_id,) = patients
    return {
        "hook": PATIENT_VIEW,
        "hookInstance": "timeline",
        "context": {"userId": "Practitioner/timeline", "patientId": patient_id},
        "prefetch": _by_key(bundle),
    }


def _by_key(bundle: Resource) -> Mapping[str, Any]:
    """Each entry under the first key that asks for its type, or under the last: entries are sorted by what they are."""
    rest = {"link": bundle["link"]} if next_link(bundle) else {}
    keys: dict[str, list[Any]] = {template.key: [] for template in PREFETCH}
    for entry in entries(bundle):
        resource = resource_of(entry)
        kind = "" if resource is None else str(resource["resourceType"])
        key = next((template.key for template in PREFETCH if template.asks_for(kind)), OTHERS_UNDER)
        keys[key].append(entry)
    return {key: {"resourceType": "Bundle", "type": "searchset", "entry": own, **rest} for key, own in keys.items()}


OTHERS_UNDER: Final = "medicationRequests"
"""Where Medications and whatever else stand: beside what refers to them."""


# --- what is shown -----------------------------------------------------------------------------------------------


def shown(answer: Answer, hook: str) -> Response:
    """The timeline behind an answer in the form that is accepted; without grounds, why there is none."""
    wanted = request.accept_mimetypes.best_match(FORMS, default=HTML)
    grounds = answer.grounds
    if grounds is None:
        return _nothing(NO_DRUG if hook in OF_A_PATIENT else NOT_PROPOSED, wanted)
    line = timeline(grounds.state, grounds.assessment, at=grounds.at, zone=grounds.zone)
    if wanted == JSON:
        return _sent(msgspec.json.encode(as_data(line)), JSON)
    if wanted == SVG:
        return _sent(timeline_svg.svg(line), SVG)
    return _in_html(timeline_svg.fragment(line))


def _nothing(why: str, wanted: str) -> Response:
    if wanted == JSON:
        return _sent(msgspec.json.encode({"headline": why, "marks": []}), JSON)
    if wanted == SVG:
        return _sent(timeline_svg.only_words(why), SVG)
    return _in_html(Markup("<p>{}</p>").format(why))


def _in_html(content: Markup) -> Response:
    if request.args.get("part") == "1":
        return _sent(content, HTML)
    return pages.page("timeline_page.html", here="/timeline", content=content)


def _sent(body: bytes | str, form: str) -> Response:
    return Response(body, mimetype=form, headers=dict(pages.POLICY))


def as_data(line: Timeline) -> Mapping[str, Any]:
    """The timeline for programs; days and moments as ISO 8601."""
    return {
        "today": line.today,
        "zone": line.zone,
        "drug": line.drug,
        "headline": line.headline,
        "dayOne": line.day_one,
        "marks": [_mark(mark) for mark in line.marks],
        "notes": line.notes,
        "empty": [{"lane": name.value, "why": why} for name, why in timeline_svg.empty_lanes(line)],
    }


def _mark(mark: Mark) -> Mapping[str, Any]:
    return {
        "lane": mark.lane.value,
        "kind": mark.kind.name.lower().replace("_", "-"),
        "label": mark.label,
        "says": mark.says,
        "place": mark.place,
        "first": mark.first,
        "last": mark.last,
        "startKnown": mark.start_known,
        "endKnown": mark.end_known,
        "goesOn": mark.goes_on,
        "begins": mark.begins,
        "ends": mark.ends,
        "references": mark.references,
        "rows": mark.rows,
    }
