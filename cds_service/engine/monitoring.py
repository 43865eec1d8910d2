"""How is this dose given and watched? Observation, premedication, administration, and the lines of the ordinary day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

from cds_service.engine.advice import Because, Finding, Line
from cds_service.engine.case import Case, dose_after, has_resolved_from
from cds_service.engine.course import due_after, limit_day, schedule_row
from cds_service.engine.episodes import Episode, grade_value, ice_rows
from cds_service.engine.grading import age_days, graded_text, refusals
from cds_service.engine.history import DoseKind, GivenDose
from cds_service.engine.step_up import onset_text
from cds_service.engine.words import day_text, listed, mg_text, record_text, shows
from cds_service.knowledge.regimen import Regimen, Row
from fhir_mappings.facts import (
    Analyte,
    Companion,
    CompanionKind,
    Course,
    LabResult,
    Reading,
    Route,
    Syndrome,
    When,
)

Question = Callable[[Case, Row], Finding | None]
BLOOD_COUNT: Final = (Analyte.NEUTROPHILS, Analyte.PLATELETS, Analyte.HAEMOGLOBIN)
LIVER_TESTS: Final = (Analyte.ALT, Analyte.AST, Analyte.BILIRUBIN)
ORDERS_READ: Final = ("medicationRequests",)
NAMED_ABOVE: Final = frozenset({Syndrome.CRS, Syndrome.NEUROTOXICITY, Syndrome.POSSIBLE_NEUROTOXICITY})
MOST_NAMED: Final = 5
TOXICITY_READ: Final = ("conditions", "adverseEvents", "observations")


# --- observation -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Hours:
    """An observation time, the row it comes from, and what it rests on. Without hours where the source has none."""

    low: int
    high: int
    row: Row
    because: tuple[Because, ...] = ()

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}–{self.high}"

    @property
    def span(self) -> tuple[int, int] | None:
        return (self.low, self.high) if self.high else None


def _hours(row: Row, because: tuple[Because, ...] = ()) -> Hours:
    low, high = (row.integer("hours_from"), row.integer("hours_to")) if row.has("hours_from") else (0, 0)
    return Hours(low=low, high=high, row=row, because=because)


def longest_of_all(regimen: Regimen) -> Hours:
    """The longest time that any dose is observed: for a dose whose number is not known."""
    return max((_hours(row) for row in regimen.table("observation").rows), key=lambda time: (time.high, time.low))


def _by_number(case: Case, number: int) -> Hours:
    for row in case.regimen.table("observation").rows:
        if number in row.range("dose_number"):
            return _hours(row)
    raise LookupError(f"no observation row for dose {number}")


def _after_toxicity(case: Case) -> list[Hours]:
    """Longer observation of the first dose completed after a toxicity (D-7)."""
    return [
        _hours(row, shows(episode.records))
        for row in case.regimen.table("observation_after_toxicity").rows
        for episode in case.call.episodes(row.text("syndrome"))
        if lengthens(episode, row) and not dose_after(episode, case.course)
    ]


def lengthens(episode: Episode, row: Row) -> bool:
    """An ungraded episode lengthens too: its grade may be the row's."""
    return episode.grade is None or episode.grade in row.range("grade") or episode.grade_is_lower_bound


def _episode_slots(episode: Episode) -> dict[str, str]:
    grade = "not recorded" if episode.grade is None else str(episode.grade)
    ended = day_text(episode.ended) if episode.ended else "end not recorded"
    return {"grade": grade, "onset": onset_text(episode), "ended": ended}


def observation(case: Case, resume: Sequence[Finding]) -> Hours | None:
    """The longest of the due dose's, the ordered dose's, and what an earlier toxicity asks for; None if not known."""
    if case.position is None:
        return None
    times = [_by_number(case, case.position.number)]
    if case.step_ordered:
        times.append(_by_number(case, 1))
    times += _after_toxicity(case)
    times += [_hours(finding.row, finding.because) for finding in resume]
    return max(times, key=lambda time: (time.high, time.low))


def monitoring(case: Case, resume: Sequence[Finding], *, fits: bool) -> tuple[Finding, str] | None:
    """The monitoring finding of this dose and the name of its summary sentence. None without a position.

    Source: seed S11, S15-S22; label 2.2 Table 1; clinical-rules "Monitoring".
    """
    longest = observation(case, resume)
    if longest is None or case.position is None:
        return None
    row = _by_number(case, 1 if case.step_ordered else case.position.number).row
    if not row.flag("step_up"):
        row = _by_number(case, case.position.number).row
    slots = case.slots | {"hours": str(longest)}
    because = case.last_dose_because() + longest.because
    lines = toxicity_observation_lines(case) + _early_line(case, fits=fits) + ordinary_lines(case)
    applied = (*_ice_rows(case), longest.row)
    watched = Finding(row=row, slots=slots, because=because, lines=lines, rows=applied, hours=longest.span)
    if resume:
        lead = resume[0]
        told = dict(lead.slots) | slots
        return replace(watched, row=lead.row, slots=told, because=because + lead.because), "summary"
    return watched, "summary" if fits else "beside"


def _ice_rows(case: Case) -> tuple[Row, ...]:
    """The rows that grade the ICE scores told in the lines."""
    episodes = case.call.episodes(Syndrome.NEUROTOXICITY.value)
    return ice_rows((record for e in episodes for record in (*e.records, *e.closings)), case.regimen)


def _early_line(case: Case, *, fits: bool) -> tuple[Line, ...]:
    """Earlier than due, within what is allowed: said, so that nobody takes the day for the due day."""
    is_early = case.position is not None and case.on.latest < case.position.due_on and not case.undated
    return (case.line("earlier than due"),) if fits and is_early else ()


def observation_lines(case: Case) -> tuple[Line, ...]:
    """The observation of this dose in lines, where no card is about it. None without a position."""
    longest = observation(case, ())
    if longest is None or case.position is None:
        return ()
    row = _by_number(case, case.position.number).row
    slots = case.slots | {"hours": str(longest)}
    return (Line(row=row, slots=slots, sentence="beside"), *toxicity_observation_lines(case))


def toxicity_observation_lines(case: Case) -> tuple[Line, ...]:
    """Which earlier toxicities lengthen the observation of this dose, or did so before."""
    lines: list[Line] = []
    for row in case.regimen.table("observation_after_toxicity").rows:
        for episode in case.call.episodes(row.text("syndrome")):
            if lengthens(episode, row):
                sentence = "line" if dose_after(episode, case.course) else "summary"
                lines.append(Line(row=row, slots=case.slots | _episode_slots(episode), sentence=sentence))
    return tuple(lines)


# --- the lines of the ordinary day -----------------------------------------------------------------------------


def ordinary_lines(case: Case) -> tuple[Line, ...]:
    """What a pharmacist wants to see at every dose: infusion, toxicities, results, premedication, next dose."""
    lines = [case.line("infusion")]
    lines += _support_line(case)
    lines += _position_lines(case)
    lines += _toxicity_lines(case)
    lines += _before_first_dose_lines(case)
    lines += _laboratory_lines(case)
    lines += _premedication_lines(case)
    lines += _administration_lines(case)
    lines += _next_lines(case)
    return tuple(lines)


def _support_line(case: Case) -> list[Line]:
    return [case.line("support")] if case.has_line("support") else []


def _position_lines(case: Case) -> list[Line]:
    position = case.position
    lines: list[Line] = []
    if position is not None and position.is_restarted_course and case.has_line("a restarted course"):
        lines.append(case.line("a restarted course"))
    if position is not None and position.delay is not None and not position.is_restart:
        lines.append(Line(row=position.delay, slots=case.slots))
    named = case.order.position_named
    if position is not None and named and named != position.name:
        lines.append(case.line("position named in the order", what=named))
    return lines + [case.line("an assumption about days", what=note) for note in case.notes]


def _toxicity_lines(case: Case) -> list[Line]:
    lines: list[Line] = []
    episodes = [*case.call.episodes(Syndrome.CRS.value), *case.call.episodes(Syndrome.NEUROTOXICITY.value)]
    if episodes:
        said = listed(record_text(record) for episode in episodes for record in (*episode.records, *episode.closings))
        lines.append(case.line("earlier toxicity", what=said))
        lines += _restart_done_lines(case, episodes)
    elif case.call.was_read(*TOXICITY_READ):
        lines.append(case.line("no toxicity"))
    lines += by_code_only_line(case)
    if case.call.not_ours:
        lines.append(
            case.line("toxicity of another treatment", what=listed(record_text(r) for r in case.call.not_ours))
        )
    events = case.call.need("adverseEvents")
    if events.reading is Reading.COMPLETE and events.why:
        lines.append(case.line("adverse events cannot be on record", what=events.why))
    return lines + _ungraded_lines(case) + _nameless_lines(case)


def by_code_only_line(case: Case) -> tuple[Line, ...]:
    """That grades which stand in a text were not searched for, where they were not."""
    need = case.call.need("observations")
    said = need.by_code_only and need.reading is not Reading.UNAVAILABLE
    return (case.line("observations searched by code only"),) if said else ()


def _nameless_lines(case: Case) -> list[Line]:
    """Open conditions that may be anything."""
    nameless = case.state.nameless
    if not nameless:
        return []
    more = f" and {len(nameless) - MOST_NAMED} more" if len(nameless) > MOST_NAMED else ""
    return [case.line("conditions without a name", what=listed(nameless[:MOST_NAMED]) + more)]


def _ungraded_lines(case: Case) -> list[Line]:
    """Other toxicities since the first exposure whose grade is missing or cannot be read."""
    ungraded = [
        record
        for record in case.call.toxicities
        if record.syndrome not in NAMED_ABOVE
        and grade_value(record) is None
        and case.call.history.is_after_first(record.onset)
    ]
    return [case.line("toxicity without a grade", what=listed(record_text(r) for r in ungraded))] if ungraded else []


def _before_first_dose_lines(case: Case) -> list[Line]:
    """Infections, cytopenias and the like that are active before the first dose: the holds do not apply yet."""
    if case.call.history.first is not None:
        return []
    active = [r for r in case.call.toxicities if r.syndrome not in NAMED_ABOVE and r.course is not Course.RESOLVED]
    return [case.line("toxicity before the first dose", what=listed(record_text(r) for r in active))] if active else []


def _restart_done_lines(case: Case, episodes: Sequence[Episode]) -> list[Line]:
    """A resolved CRS grade 3 after which treatment already went on: said, no longer advised."""
    severe = [row.integer("grade") for row in case.regimen.table("dose").rows if row.has("syndrome")]
    lines: list[Line] = []
    for episode in episodes:
        is_past = any(has_resolved_from(episode, grade) for grade in severe) and dose_after(episode, case.course)
        if episode.syndrome is Syndrome.CRS and is_past:
            since = episode.ended or episode.latest_onset
            done = [d for d in case.course.completed if since is not None and d.day.earliest > since.latest]
            what = listed(f"{mg_text(d.mg)} on {day_text(d.day)}" for d in done[:1])
            slots = {"onset": onset_text(episode), "grade": str(episode.recorded_grade), "what": what}
            lines.append(case.line("severe CRS with a restart done", **slots))
    return lines


def _laboratory_lines(case: Case) -> list[Line]:
    oldest = int(case.regimen.numbers["lab_age_days"])
    results = [(a, case.call.newest.get(a)) for a in (*BLOOD_COUNT, *LIVER_TESTS)]
    by_day: dict[str, list[str]] = {}
    for analyte, result in results:
        if result is not None:
            by_day.setdefault(day_text(result.day), []).append(f"{analyte.value} {graded_text(result, case.regimen)}")
    said = "; ".join(f"{day}: {listed(named)}" for day, named in by_day.items())
    lines = [case.line("laboratory", what=f"Newest results of {said}")] if said else []
    missing = [a.value for a, r in results if r is None or age_days(r, case.call.today) > oldest]
    if missing and not case.call.course.doses and case.has_line("laboratory missing before the first dose"):
        lines.append(case.line("laboratory missing before the first dose", what=listed(missing)))
    refused = [f"{r.analyte.value} of {day_text(r.day)} ({why})" for r, why in _refused_in_a_line(case)]
    return lines + ([case.line("results not used", what=listed(refused))] if refused else [])


def _refused_in_a_line(case: Case) -> list[tuple[LabResult, str]]:
    """Refused results that decide no stop and no hold: before the first dose all, later the kidney's."""
    warned = {n for row in case.regimen.table("record").rows if row.has("analytes") for n in row.texts("analytes")}
    analytes = [a for a in Analyte if not case.call.course.doses or a.value not in warned]
    return [said for analyte in analytes for said in refusals(case.call.labs.get(analyte, ()), case.regimen)]


def _next_lines(case: Case) -> list[Line]:
    """The next due day and the last day before a restart, both counted from this dose's day, as if given as due."""
    position = case.position
    if position is None or (case.undated and case.course.doses and case.course.doses[-1].undated):
        return []
    kind = DoseKind.STEP if position.due == case.regimen.doses["step"] else DoseKind.TREATMENT
    given = GivenDose(day=case.on, mg=position.due.mg, kind=kind, references=(case.order.order,), projected=True)
    after = case.course.with_dose(given)
    row = schedule_row(after, case.regimen)
    due = (case.on.latest + timedelta(days=due_after(after, row, case.regimen))).isoformat()
    limit = limit_day(after, case.regimen)
    if limit is None:
        return [case.line("next dose without a limit", next_due=due)]
    return [case.line("next dose", next_due=due, next_limit=limit.isoformat())]


# --- premedication ---------------------------------------------------------------------------------------------


def _serves(companion: Companion, case: Case) -> bool:
    """A dated companion serves its own day, an undated one all drafts of the call."""
    if not isinstance(companion.day, When):
        return True
    return companion.day.earliest <= case.on.latest and case.on.earliest <= companion.day.latest


def _companions(case: Case, kind: CompanionKind) -> list[Companion]:
    return [companion for companion in case.state.companions if companion.kind is kind]


def _is_enough(companion: Companion, row: Row) -> bool:
    if companion.kind is CompanionKind.STEROID:
        enough = companion.dexamethasone_mg is not None and companion.dexamethasone_mg >= row.number("steroid_mg")
    else:
        enough = _is_a_litre(companion, row) and _runs_in_time([companion], row)
    return enough and companion.route is not Route.OTHER


def _is_a_litre(companion: Companion, row: Row) -> bool:
    return companion.litres is not None and companion.litres >= row.number("litres")


def _runs_in_time(bags: Sequence[Companion], row: Row) -> bool:
    """Whether the bags together run as long as they should; a duration that nobody ordered is only said."""
    minutes = [bag.minutes for bag in bags if isinstance(bag.minutes, Decimal)]
    low, high = row.integer("minutes_from"), row.integer("minutes_to")
    return len(minutes) < len(bags) or low <= sum(minutes) <= high or all(low <= one <= high for one in minutes)


def _litres_together(case: Case, row: Row) -> bool:
    """Whether several bags for the day add up to the volume."""
    bags = [c for c in _companions(case, CompanionKind.SALINE) if _serves(c, case) and c.route is not Route.OTHER]
    litres = sum((bag.litres for bag in bags if bag.litres is not None), Decimal(0))
    return litres >= row.number("litres") and _runs_in_time(bags, row)


def _needs_premedication(case: Case, row: Row) -> bool:
    """Dose numbers 1 and 2, the first dose after CRS grade 3, or every dose by the row."""
    if row.flag("every_dose"):
        return True
    if case.position is None:
        return case.step_ordered
    step_up = [r for r in case.regimen.table("observation").rows if r.flag("step_up")]
    return any(case.position.number in r.range("dose_number") for r in step_up) or case.severe_crs is not None


def _is_ordered(case: Case, row: Row, kind: CompanionKind) -> bool:
    """Whether what the row asks for is there for this dose, in one order or, of saline, in several bags."""
    enough = any(_is_enough(c, row) for c in _companions(case, kind) if _serves(c, case))
    return enough or (kind is CompanionKind.SALINE and _litres_together(case, row))


def _missing(case: Case, row: Row, kind: CompanionKind) -> Finding | None:
    if case.call.details_may_be_missing or not _needs_premedication(case, row):
        return None
    if _is_ordered(case, row, kind) or not case.call.was_read(*ORDERS_READ):
        return None
    serving = [companion for companion in _companions(case, kind) if _serves(companion, case)]
    other_day = [companion for companion in _companions(case, kind) if companion not in serving]
    found = [_companion_text(c) for c in (*serving, *other_day)]
    what = f"Found instead: {listed(found)}." if found else "None is among the drafts or active orders."
    because = tuple(Because(reference=c.reference, shows=_companion_text(c)) for c in (*serving, *other_day))
    return replace(case.found(row, because=because, what=what), in_part=bool(serving))


def _companion_text(companion: Companion) -> str:
    day = f" for {day_text(companion.day)}" if isinstance(companion.day, When) else ""
    route = "" if companion.route is Route.INTRAVENOUS else f", route {companion.route.value}"
    return f"{companion.name} {companion.recorded}".strip() + day + route


def steroid_missing(case: Case, row: Row) -> Finding | None:
    """Is the steroid before the infusion missing, too little or for another day?"""
    return _missing(case, row, KINDS[STEROID_MISSING])


def saline_missing(case: Case, row: Row) -> Finding | None:
    """Is the saline after the infusion missing, too little or for another day?"""
    return _missing(case, row, KINDS[SALINE_MISSING])


STEROID_MISSING: Final = "steroid missing"
SALINE_MISSING: Final = "saline missing"
KINDS: Final = {STEROID_MISSING: CompanionKind.STEROID, SALINE_MISSING: CompanionKind.SALINE}
PREMEDICATION_QUESTIONS: Final[Mapping[str, Question]] = {
    STEROID_MISSING: steroid_missing,
    SALINE_MISSING: saline_missing,
}


def _premedication_lines(case: Case) -> list[Line]:
    rows = [row for row in case.regimen.table("premedication").rows if _needs_premedication(case, row)]
    if not rows:
        return [case.line("premedication of later doses")] if case.has_line("premedication of later doses") else []
    serving = [c for c in case.state.companions if _serves(c, case)]
    found = [case.line("premedication found", what=listed(_companion_text(c) for c in serving))] if serving else []
    if case.call.details_may_be_missing:
        return found or [Line(row=row, slots=case.slots) for row in rows]
    is_there = all(_is_ordered(case, row, KINDS[row.text("question")]) for row in rows)
    if is_there or case.call.was_read(*ORDERS_READ):
        return found
    return [*found, case.line("premedication not readable")]


# --- administration --------------------------------------------------------------------------------------------


def route_not_intravenous(case: Case, row: Row) -> Finding | None:
    """Is another route than intravenous ordered?"""
    if case.order.route is not Route.OTHER:
        return None
    recorded = case.order.route_recorded
    because = (Because(reference=case.order.order, shows=f"route {recorded}"),)
    return case.found(row, because=because, what=recorded)


def duration_is_another(case: Case, row: Row) -> Finding | None:
    """Is a duration ordered that is not the infusion's?"""
    minutes = case.order.minutes
    if not isinstance(minutes, Decimal) or minutes == row.integer("minutes"):
        return None
    because = (Because(reference=case.order.order, shows=f"over {minutes.normalize():f} minutes"),)
    return case.found(row, because=because, what=f"{minutes.normalize():f} minutes")


def saline_rate(case: Case, row: Row) -> Finding | None:
    """Does the saline of this day run outside its time, where the dose needs it?"""
    needing = [r for r in case.regimen.table("premedication").rows if r.has("litres")]
    if case.call.details_may_be_missing or not any(_needs_premedication(case, r) for r in needing):
        return None
    off = [
        (c, c.minutes)
        for c in _companions(case, CompanionKind.SALINE)
        if _serves(c, case)
        and isinstance(c.minutes, Decimal)
        and any(_is_a_litre(c, r) for r in needing)
        and not row.integer("minutes_from") <= c.minutes <= row.integer("minutes_to")
    ]
    if not off:
        return None
    said = listed(f"{minutes.normalize():f} minutes" for _, minutes in off)
    because = tuple(
        Because(reference=c.reference, shows=f"{_companion_text(c)} over {m.normalize():f} minutes") for c, m in off
    )
    return case.found(row, because=because, what=said)


ADMINISTRATION_QUESTIONS: Final[Mapping[str, Question]] = {
    "route is not intravenous": route_not_intravenous,
    "duration is another": duration_is_another,
    "saline runs too fast or too slow": saline_rate,
}


def _saline_without_duration(case: Case) -> bool:
    """Whether saline is ordered for a dose that needs it, and none of it says over how long."""
    needing = [r for r in case.regimen.table("premedication").rows if r.has("litres") and _needs_premedication(case, r)]
    serving = [c for c in _companions(case, CompanionKind.SALINE) if _serves(c, case)]
    return bool(needing and serving) and not any(isinstance(c.minutes, Decimal) for c in serving)


def _administration_lines(case: Case) -> list[Line]:
    """What the order leaves open: said, not warned of."""
    open_points = {
        "route is not intravenous": case.order.route is Route.NOT_GIVEN,
        "duration is another": not isinstance(case.order.minutes, Decimal),
        "saline runs too fast or too slow": _saline_without_duration(case),
    }
    rows = case.regimen.table("administration").rows
    return [Line(row=row, slots=case.slots) for row in rows if open_points.get(row.text("question"), False)]
