"""The harm of a timeline: toxicity episodes with their grades, and what stops or withholds the drug since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

from cds_service.cards import filled
from cds_service.engine.advice import Assessment, Because, Finding
from cds_service.engine.case import Call, Case
from cds_service.engine.episodes import Episode, State, grade_value, is_lower_bound
from cds_service.engine.rulebook import Against
from cds_service.engine.step_up import SHORT
from cds_service.engine.toxicity import UNCONFIRMED, to_confirm
from cds_service.engine.words import day_text, record_text
from cds_service.knowledge.regimen import Row
from cds_service.timeline_marks import Kind, Lane, Mark
from fhir_mappings.facts import Course, MaybeWhen, Syndrome, ToxicityRecord, When

EPISODIC: Final = {Syndrome.CRS: Kind.CRS, Syndrome.NEUROTOXICITY: Kind.NEUROTOXICITY}
TOPICS: Final = {"crs": "CRS", "dose": "record"}
GRAVEST: Final = "critical"
STATES: Final = {
    State.ACTIVE: "still active",
    State.POINT_OPEN: "graded and never closed: its end is not recorded",
    State.OUTCOME_MISSING: "its outcome and end are not recorded",
}


# --- toxicities ----------------------------------------------------------------------------------------------------


def toxicities(call: Call) -> Iterator[Mark]:
    """Episodes of CRS and neurotoxicity, every other toxicity on record, and those not counted against the drug."""
    for syndrome in EPISODIC:
        for episode in call.episodes(syndrome.value):
            yield _episode(episode, call.today)
    for record in call.toxicities:
        if record.syndrome not in EPISODIC:
            yield _record(record, Kind.OTHER_TOXICITY, call.today)
    for record in call.not_ours:
        mark = _record(record, Kind.NOT_COUNTED, call.today)
        yield replace(
            mark, says=f"{mark.says} Not counted against the drug: it was there before, or has another cause."
        )


def _episode(episode: Episode, today: date) -> Mark:
    name, grade = SHORT[episode.syndrome], _grade_text(episode.grade, at_least=episode.grade_is_lower_bound)
    says = f"{name}, {grade}, {_span_text(episode.onset, episode)}."
    if not episode.is_confirmed_at_all:
        says += " Unconfirmed."
    if episode.joined_without_onset:
        says += " A record without an onset is taken for the same event."
    mark = Mark(
        lane=Lane.TOXICITY,
        kind=EPISODIC[episode.syndrome],
        label=f"{name} {_short_grade(episode.grade, at_least=episode.grade_is_lower_bound)}",
        says=says,
        references=tuple(dict.fromkeys(r.reference for r in (*episode.records, *episode.closings) if r.reference)),
    )
    if episode.state is State.RESOLVED:
        return _from_to(mark, episode.onset, episode.ended)
    return replace(_until_today(mark, episode.onset, today), end_known=episode.state is State.ACTIVE)


def _span_text(onset: When | None, episode: Episode) -> str:
    begun = f"onset {_day(onset)}" if onset is not None else "onset not recorded"
    if episode.state is not State.RESOLVED:
        return f"{begun}, {STATES[episode.state]}"
    return f"{begun}, ended {_day(episode.ended)}" if episode.ended is not None else f"{begun}, over, end not recorded"


def _day(when: When) -> str:
    return day_text(when) if when.is_certain else f"on {_since(when)}"


def _since(when: When) -> str:
    return day_text(when) if when.is_certain else f"a day not known ({day_text(when)})"


def _grade_text(grade: int | None, *, at_least: bool) -> str:
    if grade is None:
        return "grade not recorded"
    return f"worst grade {grade}{' or worse' if at_least else ''}"


def _short_grade(grade: int | None, *, at_least: bool) -> str:
    return "grade ?" if grade is None else f"{'≥' if at_least else ''}G{grade}"


def _record(record: ToxicityRecord, kind: Kind, today: date) -> Mark:
    grade = grade_value(record)
    name = record.label or record.syndrome.value
    short = name if record.syndrome is Syndrome.OTHER else SHORT.get(record.syndrome, record.syndrome.value)
    said = record_text(record) + ("" if grade is not None or record.ice_score is not None else ", grade not recorded")
    mark = Mark(
        lane=Lane.TOXICITY,
        kind=kind,
        label=f"{short} {_short_grade(grade, at_least=is_lower_bound(record))}",
        says=f"{said}.",
        references=(record.reference,) if record.reference else (),
    )
    onset = record.onset if isinstance(record.onset, When) else None
    end = record.end if isinstance(record.end, When) else None
    match record.course:
        case Course.POINT:
            return _from_to(mark, onset, onset)
        case Course.RESOLVED:
            return _from_to(mark, onset, end)
        case _:
            return replace(_until_today(mark, onset, today), end_known=record.course is not Course.OUTCOME_MISSING)


def _from_to(mark: Mark, onset: When | None, ended: When | None) -> Mark:
    """The bar of what is over. Without an onset it has no place; without an end it is drawn open from its onset."""
    if onset is None:
        return mark
    return replace(
        mark,
        first=onset.earliest,
        last=max(onset.latest, ended.latest) if ended is not None else onset.latest,
        start_known=onset.is_certain,
        end_known=ended is not None and ended.is_certain,
    )


def _until_today(mark: Mark, since: When | None, today: date) -> Mark:
    """The bar of what is still so; of an unknown beginning it is drawn at today."""
    return replace(
        mark,
        first=min(since.earliest, today) if since is not None else today,
        last=today,
        start_known=since is not None and since.is_certain,
        goes_on=True,
    )


# --- stops and holds -----------------------------------------------------------------------------------------------


def stops_and_holds(case: Case, against: Against, assessment: Assessment) -> Iterator[Mark]:
    """What stops or withholds the drug today and since when, and the times at which a toxicity withheld it."""
    drawn: set[str] = set()
    days = _days_of_facts(case.call)
    for stop in against.stops:
        drawn.add(stop.row.id)
        yield _standing(Kind.STOP, stop, _stopped_since(case, stop, days), case)
    for unsure in against.confirmations:
        drawn.add(unsure.row.id)
        hold = to_confirm(case, unsure)
        yield _standing(Kind.HOLD, hold, _stopped_since(case, unsure, days), case)
    for hold in against.holds:
        drawn.add(hold.row.id)
        kind = Kind.HOLD if hold.row.flag("holds") else Kind.CHECK
        yield _standing(kind, hold, _held_since(case, hold, days), case)
    for check in against.checks:
        drawn.add(check.row.id)
        yield _standing(Kind.CHECK, check, _held_since(case, check, days), case)
    yield from _said_of_an_order(case, assessment, drawn)
    stopped = [_stopped_since(case, stop, days) for stop in against.stops]
    yield from _held_before(case, min((since.earliest for since in stopped if since is not None), default=date.max))


def _said_of_an_order(case: Case, assessment: Assessment, drawn: set[str]) -> Iterator[Mark]:
    """Stops and holds that only an order's own day gave, and critical cards about the patient; no since when."""
    for advice in assessment.advice:
        row = advice.row
        is_grave = row.table == "population" and advice.indicator == GRAVEST
        if not (is_grave or row.table in {"stop", "hold"}) or row.id in drawn or row.text("question") == UNCONFIRMED:
            continue
        drawn.add(row.id)
        kind = Kind.STOP if row.table == "stop" else Kind.HOLD if row.flag("holds") else Kind.CHECK
        yield _standing(kind, Finding(row=row, slots=advice.slots, because=advice.because), None, case)


def _standing(kind: Kind, finding: Finding, since: When | None, case: Case) -> Mark:
    row = finding.row
    topic = row.text("topic")
    words = {Kind.STOP: "STOP", Kind.HOLD: "HOLD", Kind.CHECK: "CHECK"}[kind]
    rests_on = f" Since {_since(since)} by the record." if since is not None else ""
    if since is None and kind is not Kind.CHECK:  # what is only to be cleared up may have a day that was not looked for
        rests_on = " Since when is not recorded."
    mark = Mark(
        lane=Lane.HOLD,
        kind=kind,
        label=f"{words} {TOPICS.get(topic, topic)}",
        says=filled(row.say["summary"], finding.slots, markdown=False) + rests_on,
        references=tuple(dict.fromkeys(b.reference for b in finding.because if b.reference)),
        rows=(row.id,),
    )
    return _until_today(mark, since, case.call.today)


def _days_of_facts(call: Call) -> Mapping[str, MaybeWhen]:
    """The day of each fact that a stop or hold can rest on, by its reference."""
    state = call.state
    days: dict[str, MaybeWhen] = {lab.reference: lab.day for lab in state.labs}
    days |= {record.reference: record.onset for record in state.toxicities}
    days |= {sign.reference: sign.at for sign in state.vitals}
    return days | {support.reference: support.at for support in state.supports}


def _days_behind(because: Sequence[Because], days: Mapping[str, MaybeWhen]) -> list[When]:
    found = (days.get(one.reference) for one in because)
    return [day for day in found if isinstance(day, When)]


def _episodes_behind(case: Case, finding: Finding) -> list[Episode]:
    """The episodes that a stop or hold names."""
    named = {one.reference for one in finding.because}
    syndromes = [syndrome for syndrome in EPISODIC if syndrome.value == finding.row.columns.get("syndrome")]
    return [
        episode
        for syndrome in syndromes
        for episode in case.call.episodes(syndrome.value)
        if any(record.reference in named for record in episode.records)
    ]


def _stopped_since(case: Case, stop: Finding, days: Mapping[str, MaybeWhen]) -> When | None:
    """The day by which all that a stop rests on was there."""
    episodes = _episodes_behind(case, stop)
    if episodes:
        onset = episodes[-1].onset
        return onset if onset is None or not stop.row.has("within_days") else _days_later(onset, stop.row)
    return max(_days_behind(stop.because, days), key=lambda day: day.latest, default=None)


def _days_later(onset: When, row: Row) -> When:
    """The first day after those within which it was to improve."""
    days = timedelta(days=row.integer("within_days") + 1)
    return When(earliest=onset.earliest + days, latest=onset.latest + days)


def _held_since(case: Case, hold: Finding, days: Mapping[str, MaybeWhen]) -> When | None:
    """The day on which the first of what a hold rests on was there."""
    episodes = _episodes_behind(case, hold)
    if episodes:
        return episodes[-1].onset
    return min(_days_behind(hold.because, days), key=lambda day: day.earliest, default=None)


def _held_before(case: Case, stopped: date) -> Iterator[Mark]:
    """Episodes that are over: while they were active the rules withheld the drug, whatever was done then.

    One that began on the day of a stop or later is none: by then the rules had ended the treatment.
    """
    for syndrome in EPISODIC:
        for episode in case.call.episodes(syndrome.value):
            row = _hold_row(case, episode)
            if episode.is_active or row is None or (episode.onset is not None and episode.onset.earliest >= stopped):
                continue
            name = SHORT[syndrome]
            grade = _grade_text(episode.grade, at_least=episode.grade_is_lower_bound)
            mark = Mark(
                lane=Lane.HOLD,
                kind=Kind.HELD,
                label=f"withhold during {name}",
                says=(
                    f"By the rules the drug was to be withheld while {name} ({grade}) was active: "
                    f"{_span_text(episode.onset, episode)}. What was done then is not derived from the record."
                ),
                references=tuple(record.reference for record in episode.records),
                rows=(row.id,),
            )
            yield _from_to(mark, episode.onset, episode.ended)


def _hold_row(case: Case, episode: Episode) -> Row | None:
    """The row that withholds the drug while such an episode is active."""
    for row in case.regimen.table("hold").rows:
        if row.columns.get("syndrome") != episode.syndrome.value:
            continue
        if episode.grade is None and row.text("question") == "active without a grade":
            return row
        graded = row.text("question") == "active" and episode.grade is not None
        if graded and row.integer("grade_from") <= (episode.grade or 0) <= row.integer("grade_to"):
            return row
    return None
