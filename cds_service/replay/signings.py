"""The orders of one patient as they were signed, each with the chart as it was known then. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cds_service.replay.as_it_was import as_it_was, draft_of
from cds_service.replay.assumptions import Assumption
from cds_service.replay.moment import Known, Moment, knowledge_of, last_updated, moment_of
from fhir_mappings.chart import Resource
from fhir_mappings.drugs import Recognition
from fhir_mappings.elements import reference, reference_of, status_of, words
from fhir_mappings.facts import Unknown
from fhir_mappings.medications import recognise

ORDERS: Final = frozenset({"MedicationRequest", "MedicationOrder"})
_ITS_ORDER: Final = ("request", "prescription")
_WRITTEN_LATE: Final = timedelta(hours=1)
"""A version that was written within an hour of the signing is the one signed: systems write a little later."""
_ONE_ACT: Final = timedelta(seconds=60)
"""The orders of one signature are written one after the other."""
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
Versions = tuple[Resource, ...]


@dataclass(frozen=True, kw_only=True)
class Signing:
    """Orders that were signed together, and the chart as it was known at that moment.

    `orders` are those of the drug, or that cannot be told not to be; `drafts` all of the signing, those among them.
    `chart` is everything else of the patient, in receipt order, each `Type/id` in one version unless no version says
    when it was written.
    """

    moment: Moment
    orders: tuple[Resource, ...]
    drafts: tuple[Resource, ...]
    chart: tuple[Resource, ...]
    assumed: Mapping[Assumption, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NotReplayed:
    """An order of the drug without a moment, and why."""

    order: Resource
    why: str


def signings(resources: Iterable[Resource], zone: ZoneInfo) -> Iterator[Signing | NotReplayed]:
    """Each signing with an order of the drug in it, the earliest first; then the orders that have no moment.

    Shape: `resources` are those of one patient in all exported versions, and the Medications that they refer to.
    """
    histories = _histories(resources)
    medications = {place: versions[-1] for place, versions in histories.items() if place.startswith("Medication/")}
    placed = {
        place: (as_signed(versions), moment_of(as_signed(versions), zone))
        for place, versions in histories.items()
        if words(versions[0].get("resourceType")) in ORDERS
    }
    moments: dict[str, Moment] = {}
    for place, (order, moment) in placed.items():
        if recognise(order, medications) is Recognition.OTHER:
            continue
        if isinstance(moment, Unknown):
            yield NotReplayed(order=order, why=moment.why)
        else:
            moments[place] = moment
    for moment, of_the_drug in _signed_together(moments):
        beside = [p for p, (_, other) in placed.items() if p not in moments and _is_one_act(other, moment)]
        signed = {place: placed[place][0] for place in (*of_the_drug, *beside)}
        yield _signing(moment, of_the_drug, histories, signed, {p: placed[p][1] for p in signed})


def _signed_together(moments: Mapping[str, Moment]) -> Iterator[tuple[Moment, list[str]]]:
    """The orders of the drug by the act that signed them, at the moment of its last order."""
    group: list[str] = []
    for place in sorted(moments, key=lambda one: moments[one].at):
        if group and not _is_one_act(moments[place], moments[group[0]]):
            yield moments[group[-1]], group
            group = []
        group.append(place)
    if group:
        yield moments[group[-1]], group


def _is_one_act(one: Moment | Unknown, other: Moment) -> bool:
    """Whether two orders were signed together: in one minute, or on one day where neither has a time."""
    if isinstance(one, Unknown) or one.is_certain is not other.is_certain:
        return False
    return abs(one.at - other.at) <= _ONE_ACT


def _signing(
    moment: Moment,
    of_the_drug: Sequence[str],
    histories: Mapping[str, Versions],
    signed: Mapping[str, Resource],
    written: Mapping[str, Moment | Unknown],
) -> Signing:
    """`signed` are the orders of the act, those of the drug first."""
    assumed: Counter[Assumption] = Counter()
    chart = tuple(_as_known({p: v for p, v in histories.items() if p not in signed}, moment, assumed))
    if not moment.is_certain:
        assumed[Assumption.ORDER_DAY_ONLY] += len(of_the_drug)
    is_exact = {place: moment.is_certain and written[place] == moment for place in signed}
    assumed[Assumption.SIGNED_TOGETHER] += len(signed) - max(1, sum(is_exact.values()))
    assumed[Assumption.ORDER_AS_EXPORTED] += sum(_may_have_changed(signed[place], moment) for place in of_the_drug)
    return Signing(
        moment=moment,
        orders=tuple(draft_of(signed[place]) for place in of_the_drug),
        drafts=tuple(draft_of(order) for order in signed.values()),
        chart=chart,
        assumed={which: number for which, number in assumed.items() if number},
    )


def _may_have_changed(order: Resource, moment: Moment) -> bool:
    updated = last_updated(order)
    return updated is None or updated > moment.at + _WRITTEN_LATE


# --- versions ---------------------------------------------------------------------------------------------------------


def _histories(resources: Iterable[Resource]) -> dict[str, Versions]:
    """The different versions of each `Type/id`; what has no id stands for itself."""
    found: dict[str, list[Resource]] = {}
    for number, resource in enumerate(resources):
        versions = found.setdefault(reference_of(resource) or f"#{number}", [])
        if resource not in versions:
            versions.append(resource)
    return {place: tuple(versions) for place, versions in found.items()}


def as_signed(versions: Versions) -> Resource:
    """The version of an order that is nearest to its signing: the oldest."""
    return min(versions, key=lambda version: last_updated(version) or _NEVER)


def version_at(versions: Versions, moment: Moment) -> tuple[Versions, bool]:
    """The newest version of before the moment, or else the oldest; True if that was written later.

    Where a version does not say when it was written, all are given: that they differ is for the reader to say.
    """
    if len(versions) == 1:
        return versions, False
    written = [last_updated(version) for version in versions]
    dates = [date for date in written if date is not None]
    if len(dates) < len(versions):
        return versions, False
    before = [date for date in dates if date <= moment.earliest]
    chosen = max(before) if before else min(dates)
    return (versions[written.index(chosen)],), not before


# --- the chart as it was known ----------------------------------------------------------------------------------------


def _as_known(histories: Mapping[str, Versions], moment: Moment, assumed: Counter[Assumption]) -> Iterator[Resource]:
    known: list[Resource] = []
    carried_out_later: set[str] = set()
    for versions in histories.values():
        chosen, is_later_version = version_at(versions, moment)
        for resource in chosen:
            found = knowledge_of(resource, moment)
            assumed.update(found.assumed)
            if found.known is Known.LATER:
                carried_out_later |= _order_of_a_dose(resource)
                continue
            assumed[Assumption.LATER_VERSION_USED] += is_later_version
            known.append(resource)
    for resource in known:
        then = as_it_was(resource, moment, carried_out_later=frozenset(carried_out_later))
        assumed.update(then.assumed)
        yield then.resource


def _order_of_a_dose(resource: Resource) -> set[str]:
    """The order (`Type/id`) that a dose was given on."""
    if words(resource.get("resourceType")) != "MedicationAdministration" or status_of(resource) == "entered-in-error":
        return set()
    return {reference(resource[name]) for name in _ITS_ORDER if name in resource} - {""}
