"""Must the drug be stopped for good, or withheld now? The questions of the tables `stop`, `hold` and `resume`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from cds_service.engine.advice import Because, Finding, Line
from cds_service.engine.case import Case, dose_after, position_slots
from cds_service.engine.course import months_after, on_day
from cds_service.engine.episodes import Episode, State, grade_value, ice_rows, is_lower_bound
from cds_service.engine.grading import (
    CrsHint,
    age_days,
    crs_hint,
    grade_of,
    grading_row,
    is_above_normal,
    result_day,
    result_text,
)
from cds_service.engine.monitoring import lengthens
from cds_service.engine.step_up import SHORT, onset_text
from cds_service.engine.words import NOT_KNOWN, day_text, listed, record_text, shows
from cds_service.knowledge.regimen import Row
from fhir_mappings.facts import Analyte, Course, LabResult, OrganFinding, Syndrome, ToxicityRecord, When

Question = Callable[[Case, Row], Finding | None]
CYTOPENIAS: Final = frozenset({Syndrome.NEUTROPENIA, Syndrome.THROMBOCYTOPENIA, Syndrome.ANAEMIA})


# --- what is asked of episodes ---------------------------------------------------------------------------------


def _graded(case: Case, row: Row) -> list[Episode]:
    """Episodes of the row's syndrome whose worst grade is the row's or worse."""
    return [e for e in case.call.episodes(row.text("syndrome")) if (e.grade or 0) >= row.integer("grade_from")]


def _about_episode(case: Case, row: Row, episodes: Sequence[Episode], *, confirmed: bool = True) -> Finding:
    """The row holds because of these episodes; the last one is named."""
    named = episodes[-1]
    records = [record for episode in episodes for record in (*episode.records, *episode.closings)]
    return case.found(
        row,
        because=shows(records),
        lines=_remarks(case, episodes),
        rows=ice_rows(records, case.regimen),
        confirmed=confirmed,
        grade=_grade_text(named),
        onset=onset_text(named),
        until=_by_day(row, named),
        ended=day_text(named.ended) if named.ended is not None else "end not recorded",
        found=f"On record: {listed(_episode_text(episode) for episode in episodes)}.",
    )


def _by_day(row: Row, episode: Episode) -> str:
    """The last day on which an improvement that the row asks for is in time."""
    if not row.has("within_days") or episode.onset is None:
        return NOT_KNOWN
    return (episode.onset.earliest + timedelta(days=row.integer("within_days"))).isoformat()


def _grade_text(episode: Episode) -> str:
    if episode.grade is None:
        return "not recorded"
    return f"{episode.grade} or worse" if episode.grade_is_lower_bound else str(episode.grade)


def _episode_text(episode: Episode) -> str:
    ended = f", ended {day_text(episode.ended)}" if episode.ended is not None else f", {episode.state.value}"
    grade = "without a grade" if episode.grade is None else f"grade {_grade_text(episode)}"
    return f"{SHORT[episode.syndrome]} {grade}, onset {onset_text(episode)}{ended}"


def _remarks(case: Case, episodes: Sequence[Episode]) -> tuple[Line, ...]:
    lines: list[Line] = []
    records = [record for episode in episodes for record in episode.records]
    if any(record.from_text for record in records):
        lines.append(case.line("found only in text"))
    if any(episode.joined_without_onset for episode in episodes):
        lines.append(case.line("one event recorded twice"))
    first = case.call.history.first
    if first is None or any(_before(record, first.day) for record in records):
        lines.append(case.line("toxicity counted without a dose before it"))
    return tuple(lines)


def _before(record: ToxicityRecord, day: When) -> bool:
    return isinstance(record.onset, When) and record.onset.latest < day.earliest


# --- stop ------------------------------------------------------------------------------------------------------


def grade_ever(case: Case, row: Row) -> Finding | None:
    """Has this grade ever been recorded?"""
    episodes = _graded(case, row)
    if not episodes:
        return None
    return _about_the_surest(case, row, episodes)


def second_episode(case: Case, row: Row) -> Finding | None:
    """Are there two distinct episodes of this grade?"""
    episodes = _graded(case, row)
    if len(episodes) < 2:
        return None
    confirmed = sum(episode.is_confirmed(row.integer("grade_from")) for episode in episodes) > 1
    return _about_episode(case, row, episodes, confirmed=confirmed)


def new_episode_after(case: Case, row: Row) -> Finding | None:
    """Did a new episode of any grade follow one of this grade?"""
    episodes = case.call.episodes(row.text("syndrome"))
    graver = [i for i, e in enumerate(episodes) if (e.grade or 0) >= row.integer("grade_from")]
    if not graver or graver[0] == len(episodes) - 1:
        return None
    sure = [i for i in graver if episodes[i].is_confirmed(row.integer("grade_from"))]
    later = [e for e in episodes[sure[0] + 1 :] if e.is_confirmed_at_all] if sure else []
    pair = (episodes[sure[0]], later[-1]) if later else (episodes[graver[0]], episodes[-1])
    return _about_episode(case, row, pair, confirmed=bool(later))


def not_improved_in_time(case: Case, row: Row) -> Finding | None:
    """Was it still above the milder grade more than so many days after onset, counted to now?"""
    return _late(case, row, grade_to=row.integer("grade_to"))


def not_improved_at_all_in_time(case: Case, row: Row) -> Finding | None:
    """The seed's reading: was there no fall of the grade at all within so many days?"""
    return _late(case, row, grade_to=row.integer("grade_from") - 1)


def _late(case: Case, row: Row, *, grade_to: int) -> Finding | None:
    late = [
        episode
        for episode in _graded(case, row)
        if _is_late(episode, row, case.call.today, episode.improved_on(grade_to))
        and not episode.is_open_question(grade_to, row.integer("within_days"))
    ]
    return _about_the_surest(case, row, late) if late else None


def _about_the_surest(case: Case, row: Row, episodes: Sequence[Episode]) -> Finding:
    """About the latest of these episodes with a confirmed record of the row's grade; else the latest, unconfirmed."""
    sure = [episode for episode in episodes if episode.is_confirmed(row.integer("grade_from"))]
    return _about_episode(case, row, (sure or episodes)[-1:], confirmed=bool(sure))


def _is_late(episode: Episode, row: Row, today: date, improved: When | None) -> bool:
    """Counted from the first day it can have begun to the last day it can have improved, or to now."""
    if episode.onset is None:
        return False
    until = improved.latest if improved is not None else today
    return (until - episode.onset.earliest).days > row.integer("within_days")


def grade_ever_in_treatment(case: Case, row: Row) -> Finding | None:
    """Has this grade of another toxicity begun after the first exposure?"""
    records = _records_in_treatment(case, row, active_only=False)
    if not records:
        return None
    return _about_records(case, row, records, confirmed=any(record.confirmed for record in records))


def _syndromes(name: str) -> frozenset[Syndrome]:
    return CYTOPENIAS if name == "cytopenia" else frozenset({Syndrome(name)})


def _records_in_treatment(case: Case, row: Row, *, active_only: bool) -> list[ToxicityRecord]:
    low, high = row.integer("grade_from"), row.integer("grade_to") if row.has("grade_to") else None
    return [
        record
        for record in _records_since_first(case, row)
        if (grade_value(record) or 0) >= low
        and (high is None or (grade_value(record) or 0) <= high)
        and grade_value(record) != 0
        and not (active_only and record.course is Course.RESOLVED)
    ]


def _records_since_first(case: Case, row: Row) -> list[ToxicityRecord]:
    """Records of the row's syndrome that did not begin before the first exposure; none without an exposure."""
    first, wanted = case.call.history.first, _syndromes(row.text("syndrome"))
    if first is None:
        return []
    return [r for r in case.call.toxicities if r.syndrome in wanted and not _before(r, first.day)]


def _about_records(case: Case, row: Row, records: Sequence[ToxicityRecord], *, confirmed: bool = True) -> Finding:
    worst = max(records, key=lambda record: grade_value(record) or 0)
    grade = grade_value(worst)
    lines = (case.line("found only in text"),) if any(record.from_text for record in records) else ()
    return case.found(
        row,
        because=shows(records),
        lines=lines,
        confirmed=confirmed,
        what=worst.syndrome.value,
        grade="not recorded" if grade is None else f"{grade}{' or worse' if is_lower_bound(worst) else ''}",
        onset=day_text(worst.onset),
        found=f"On record: {listed(record_text(record) for record in records)}.",
    )


# --- laboratory ------------------------------------------------------------------------------------------------


def _results(case: Case, analyte: Analyte) -> tuple[LabResult, ...]:
    """Usable results of an analyte after the first exposure, oldest first."""
    return case.call.results.get(analyte, ())


def _grading_rows(case: Case, results: Sequence[LabResult]) -> tuple[Row, ...]:
    rows = [grading_row(result, case.regimen) for result in results]
    return tuple(dict.fromkeys(row for row in rows if row is not None))


def _result_because(result: LabResult) -> Because:
    shows = f"{result.analyte.value} {result_text(result)}, {day_text(result.day)}"
    return Because(reference=result.reference, shows=shows)


def _about_result(case: Case, row: Row, results: Sequence[LabResult]) -> Finding:
    named = results[-1]
    said = listed(f"{r.analyte.value} {result_text(r)} on {day_text(r.day)}" for r in results)
    return case.found(
        row,
        because=tuple(_result_because(result) for result in results),
        lines=_baseline_lines(case, results),
        rows=_grading_rows(case, results),
        what=named.analyte.value,
        value=result_text(named),
        grade=str(grade_of(named, case.regimen)),
        onset=day_text(named.day),
        found=f"On record: {said}.",
    )


def _baseline_lines(case: Case, results: Sequence[LabResult]) -> tuple[Line, ...]:
    """The CTCAE grade against an abnormal result of before the first exposure: told, while the stricter one counts."""
    lines: list[Line] = []
    for result in results:
        baseline = case.call.baseline(result.analyte)
        if baseline is not None and is_above_normal(baseline, Decimal(1)) and result.upper_normal is not None:
            grade = grade_of(replace(result, upper_normal=baseline.value), case.regimen)
            what = f"{result.analyte.value} was {result_text(baseline)} on {day_text(baseline.day)}"
            told = str(grade) if grade else f"less than {_lowest_grade(case)}"
            lines.append(case.line("against an abnormal baseline", what=what, grade=told))
    return tuple(lines)


def _lowest_grade(case: Case) -> int:
    return min(row.integer("grade") for row in case.regimen.table("lab_grades").rows)


def _analytes(row: Row) -> tuple[Analyte, ...]:
    return tuple(Analyte(name) for name in row.texts("analytes"))


def laboratory_grade_ever(case: Case, row: Row) -> Finding | None:
    """Has any result (or record) since the first exposure had this grade?"""
    level = row.integer("grade_from")
    for analyte in _analytes(row):
        graded = [r for r in _results(case, analyte) if grade_of(r, case.regimen) >= level]
        if graded:
            return _about_result(case, row, graded[-1:])
    return grade_ever_in_treatment(case, row)


def laboratory_grade_recurrent(case: Case, row: Row) -> Finding | None:
    """Has this grade come back after a result of the milder grade or better, or after a record that is resolved?"""
    first: _Graded | None = None
    recovered = False
    for seen in sorted(_graded_days(case, row), key=lambda seen: seen.on):
        if seen.grade >= row.integer("grade_from"):
            if first is not None and recovered:
                because = (_because_of(first), _because_of(seen))
                found = f"On record: {listed(b.shows for b in because)}."
                return case.found(row, because=because, onset=seen.on.isoformat(), found=found)
            first, recovered = first or seen, False
        elif first is not None and seen.grade <= row.integer("grade_to"):
            recovered = True
    return None


@dataclass(frozen=True, kw_only=True)
class _Graded:
    """A grade on a day: of a result, of a record at its onset, or 0 at its end."""

    on: date
    grade: int
    source: LabResult | ToxicityRecord


def _because_of(seen: _Graded) -> Because:
    source = seen.source
    return _result_because(source) if isinstance(source, LabResult) else shows([source])[0]


def _graded_days(case: Case, row: Row) -> list[_Graded]:
    seen = [
        _Graded(on=result_day(result), grade=grade_of(result, case.regimen), source=result)
        for analyte in _analytes(row)
        for result in _results(case, analyte)
    ]
    for record in _records_since_first(case, row):
        grade = grade_value(record)
        if grade is not None and record.confirmed and isinstance(record.onset, When):
            seen.append(_Graded(on=record.onset.latest, grade=grade, source=record))
            if record.course is Course.RESOLVED and isinstance(record.end, When):
                seen.append(_Graded(on=record.end.latest, grade=0, source=record))
    return seen


def transaminase_and_bilirubin(case: Case, row: Row) -> Finding | None:
    """Hy's law: a transaminase and bilirubin both high, within a few days of each other?"""
    transaminases = [r for a in _analytes(row)[:-1] for r in _results(case, a)]
    high = [r for r in transaminases if is_above_normal(r, row.number("transaminase_above_uln"))]
    bilirubin = [r for r in _results(case, _analytes(row)[-1]) if is_above_normal(r, row.number("bilirubin_above_uln"))]
    together = int(case.regimen.numbers["together_days"])
    for enzyme in reversed(high):
        for other in reversed(bilirubin):
            if abs((result_day(enzyme) - result_day(other)).days) <= together:
                return _with_other_causes(case, _about_result(case, row, (enzyme, other)))
    return None


def _with_other_causes(case: Case, finding: Finding) -> Finding:
    """Conditions that may explain the results: named, for it is a person who establishes the cause."""
    causes = [organ for organ in case.state.organs if organ.finding is OrganFinding.OTHER_LIVER_CAUSE]
    if not causes:
        return finding
    because = tuple(
        Because(reference=c.reference, shows=f"{c.name or c.finding.value}, {day_text(c.day)}") for c in causes
    )
    line = case.line("another cause of liver injury", what=listed(b.shows for b in because))
    return replace(finding, because=finding.because + because, lines=(*finding.lines, line))


def newest_laboratory_grade(case: Case, row: Row) -> Finding | None:
    """Is the newest result of this grade: recent (a hold), or too old to decide (repeat it)?"""
    oldest = int(case.regimen.numbers["lab_age_days"])
    bad: list[LabResult] = []
    for analyte in _analytes(row):
        result = case.call.newest_in_treatment.get(analyte)
        if result is None or grade_of(result, case.regimen) < row.integer("grade_from"):
            continue
        if (age_days(result, case.call.today) > oldest) == row.flag("stale"):
            bad.append(result)
    return _about_result(case, row, bad) if bad else None


# --- hold ------------------------------------------------------------------------------------------------------


def _last_completed_day(case: Case) -> date | None:
    last = case.call.course.last_completed
    return last.day.earliest if last is not None else None


def _is_older_than_last_dose(episode: Episode, case: Case) -> bool:
    last, onset = _last_completed_day(case), episode.latest_onset
    known = all(isinstance(record.onset, When) for record in episode.records)
    return last is not None and onset is not None and known and onset.latest < last


def _is_left_open(episode: Episode, case: Case, mild: int) -> bool:
    """Open only for want of a closing entry: from before the last dose, and mild, or a record that knows no end."""
    if not _is_older_than_last_dose(episode, case):
        return False
    if episode.state is not State.ACTIVE:
        return episode.is_active
    is_known = all(grade_value(r) is not None for r in episode.records if r.course in {Course.OPEN, Course.FATAL})
    return is_known and (episode.grade or 0) <= mild and not episode.grade_is_lower_bound


def _mild(case: Case) -> int:
    """The highest grade that a resolved episode resumes after: one below the severe one of the dose table."""
    return min(row.integer("grade") for row in case.regimen.table("dose").rows if row.has("grade")) - 1


def _active(case: Case, row: Row) -> list[Episode]:
    """Active episodes that hold, but for those that are asked about in rows of their own."""
    return [
        episode
        for episode in case.call.episodes(row.text("syndrome"))
        if episode.is_active
        and not _is_left_open(episode, case, _mild(case))
        and not _asked_by_day_seven(episode, case)
    ]


def _asked_by_day_seven(episode: Episode, case: Case) -> bool:
    """Without an outcome, and a grave one of which it is asked in a row of its own whether it improved in time."""
    if episode.state is not State.OUTCOME_MISSING:
        return False
    asking = [row for row in case.regimen.table("hold").rows if row.text("question") == ASKED_BY_DAY_SEVEN]
    return any(episode.syndrome.value == row.text("syndrome") and episode in _undocumented(case, row) for row in asking)


def active(case: Case, row: Row) -> Finding | None:
    """Is an episode of this grade active now?"""
    held = [
        e
        for e in _active(case, row)
        if e.grade is not None and row.integer("grade_from") <= e.grade <= row.integer("grade_to")
    ]
    return _held(case, row, held)


def active_without_a_grade(case: Case, row: Row) -> Finding | None:
    """Is an episode without any grade active now?"""
    return _held(case, row, [episode for episode in _active(case, row) if episode.grade is None])


def _held(case: Case, row: Row, episodes: Sequence[Episode]) -> Finding | None:
    if not episodes:
        return None
    finding = _about_episode(case, row, episodes[-1:])
    extra = _later_day(case) + _worse_signs(case, episodes[-1])
    because = finding.because + tuple(b for _, more in extra for b in more)
    lines = finding.lines + _what_the_episode_asks(case, episodes[-1]) + tuple(line for line, _ in extra)
    return replace(finding, because=because, lines=lines)


def _what_the_episode_asks(case: Case, episode: Episode) -> tuple[Line, ...]:
    """By when it must improve, how long the next dose is observed, and no driving: as far as a source in force says."""
    stops = case.regimen.table("stop").rows
    lines = [
        Line(row=row, slots=case.slots)
        for row in stops
        if row.has("within_days")
        and row.text("syndrome") == episode.syndrome.value
        and (episode.grade or 0) >= row.integer("grade_from")
    ]
    lines += [
        Line(row=row, slots=case.slots, sentence="beside")
        for row in case.regimen.table("observation_after_toxicity").rows
        if row.text("syndrome") == episode.syndrome.value and lengthens(episode, row)
    ]
    if episode.syndrome is Syndrome.NEUROTOXICITY and case.has_line("driving"):
        lines.append(case.line("driving"))
    return tuple(lines)


def _later_day(case: Case) -> list[tuple[Line, tuple[Because, ...]]]:
    return [(case.line("a later day"), ())] if case.on.earliest > case.call.today else []


def _worse_signs(case: Case, episode: Episode) -> list[tuple[Line, tuple[Because, ...]]]:
    """Signs of a higher grade than the record of this episode has."""
    if episode.syndrome is not Syndrome.CRS:
        return []
    hint = _hint(case)
    recorded = episode.grade or 0
    if hint is None or hint.grade <= recorded or not case.has_line("vital signs worse than the grade"):
        return []
    what = listed(shown for _, shown in hint.findings)
    because = tuple(Because(reference=reference, shows=shown) for reference, shown in hint.findings)
    return [(case.line("vital signs worse than the grade", grade=str(hint.grade), what=what), because)]


def left_open(case: Case, row: Row) -> Finding | None:
    """Is a record from before the last completed dose still open, most likely never closed?"""
    episodes = [
        episode
        for episode in case.call.episodes(row.text("syndrome"))
        if episode.is_active and _is_left_open(episode, case, _mild(case)) and not _asked_by_day_seven(episode, case)
    ]
    return _about_episode(case, row, episodes[-1:]) if episodes else None


def _undocumented(case: Case, row: Row) -> list[Episode]:
    """Grave episodes of which no record says whether they improved in time."""
    return [
        episode
        for episode in _graded(case, row)
        if episode.is_open_question(row.integer("grade_to"), row.integer("within_days"))
        and not _improved_in_time(episode, row)
    ]


def _improved_in_time(episode: Episode, row: Row) -> bool:
    improved = episode.improved_on(row.integer("grade_to"))
    if improved is None or episode.onset is None:
        return False
    return (improved.latest - episode.onset.earliest).days <= row.integer("within_days")


def improvement_not_documented(case: Case, row: Row) -> Finding | None:
    """Must be asked whether a grave neurotoxicity improved in time, with no dose since?"""
    episodes = [e for e in _undocumented(case, row) if not dose_after(e, case.call.course)]
    return _about_episode(case, row, episodes[-1:]) if episodes else None


def improvement_not_documented_but_treated(case: Case, row: Row) -> Finding | None:
    """The same, with a completed dose since."""
    episodes = [e for e in _undocumented(case, row) if dose_after(e, case.call.course)]
    return _about_episode(case, row, episodes[-1:]) if episodes else None


def recorded_as_active(case: Case, row: Row) -> Finding | None:
    """Is another toxicity of this grade, begun since the first exposure, recorded as active?"""
    if row.flag("step_up_only") and not _in_step_up(case):
        return None
    records = [record for record in _records_in_treatment(case, row, active_only=True) if record.acute]
    return _about_records(case, row, records) if records else None


def _in_step_up(case: Case) -> bool:
    """Fewer than two treatment doses since the step dose, or about to step up again."""
    if case.position is not None and case.position.is_restart:
        return True
    treatment = case.regimen.table("schedule").rows[-1]
    return case.call.course.treatment_doses not in treatment.range("treatment_doses")


def recorded_as_caused(case: Case, row: Row) -> Finding | None:
    """Is a grave reaction that the record attributes to the drug active?"""
    records = [r for r in _records_in_treatment(case, row, active_only=True) if r.attributed]
    return _about_records(case, row, records) if records else None


def _hint(case: Case, since: When | None = None) -> CrsHint | None:
    """What signs after `since` suggest, after the last exposure if not said."""
    last = case.call.course.last_exposure
    if last is None:
        return None
    hours = int(case.regimen.numbers["inferred_crs_hours"])
    return crs_hint(case.state, case.regimen, since or last.day, case.call.at - timedelta(hours=hours))


def worse_than_recorded(case: Case) -> list[tuple[Line, tuple[Because, ...]]]:
    """Signs of a higher grade than that of a CRS which came after the last dose and is over."""
    return [said for episode in _since_last_dose(case, Syndrome.CRS.value)[-1:] for said in _worse_signs(case, episode)]


def _since_last_dose(case: Case, syndrome: str) -> list[Episode]:
    last = case.call.course.last_exposure
    return [
        episode
        for episode in case.call.episodes(syndrome)
        if last is not None and (episode.latest_onset is None or episode.latest_onset.latest >= last.day.earliest)
    ]


def vital_signs_suggest(case: Case, row: Row) -> Finding | None:
    """Do vital signs since the last dose suggest CRS that no record covers: none since then, or one that was over?"""
    last = case.call.course.last_exposure
    if last is None:
        return None
    covering = _since_last_dose(case, row.text("syndrome"))
    ends = [episode.ended for episode in covering if episode.ended is not None]
    if len(ends) < len(covering):
        return None
    since = _after(max(ends, key=lambda end: end.latest)) if ends else last.day
    hint = _hint(case, since)
    if hint is None:
        return None
    because = tuple(Because(reference=reference, shows=shown) for reference, shown in hint.findings)
    return case.found(row, because=because, rows=hint.rows, grade=str(hint.grade))


def _after(end: When) -> When:
    """From when on a sign is certainly later than this end."""
    return end if end.instant is not None else on_day(end.latest + timedelta(days=1))


def no_question_of_its_own(_case: Case, _row: Row) -> Finding | None:
    """Rows that are fired by an unconfirmed stop, not asked themselves."""
    return None


STOP_QUESTIONS: Final[Mapping[str, Question]] = {
    "grade ever": grade_ever,
    "second episode": second_episode,
    "new episode after": new_episode_after,
    "not improved in time": not_improved_in_time,
    "not improved at all in time": not_improved_at_all_in_time,
    "grade ever in treatment": grade_ever_in_treatment,
    "laboratory grade ever": laboratory_grade_ever,
    "laboratory grade recurrent": laboratory_grade_recurrent,
    "transaminase and bilirubin together": transaminase_and_bilirubin,
}
ASKED_BY_DAY_SEVEN: Final = "improvement in time not documented"
VITAL_SIGNS: Final = "vital signs suggest it"
UNCONFIRMED: Final = "a stop rests on an unconfirmed record"
HOLD_QUESTIONS: Final[Mapping[str, Question]] = {
    UNCONFIRMED: no_question_of_its_own,
    "active": active,
    "active without a grade": active_without_a_grade,
    "left open before the last dose": left_open,
    ASKED_BY_DAY_SEVEN: improvement_not_documented,
    "improvement in time not documented but treated since": improvement_not_documented_but_treated,
    VITAL_SIGNS: vital_signs_suggest,
    "newest laboratory grade": newest_laboratory_grade,
    "recorded as active": recorded_as_active,
    "recorded as active and caused by the drug": recorded_as_caused,
}


def to_confirm(case: Case, stop: Finding) -> Finding:
    """An unconfirmed stop as the critical hold that asks to confirm it."""
    for row in case.regimen.table("hold").rows:
        if row.text("question") == UNCONFIRMED and row.text("topic") == stop.row.text("topic"):
            return replace(stop, row=row, slots=dict(stop.slots) | {"what": stop.slots.get("found", "")})
    raise LookupError(f"no hold row confirms {stop.row.id}")


def with_end_of_protection(case: Case, stop: Finding) -> Finding:
    """A stop ends with contraception and breastfeeding until two months after the last dose."""
    until = end_of_protection(case)
    if until is None:
        return stop
    line = case.line(AFTER_TREATMENT, until=until.isoformat())
    return replace(stop, lines=(*stop.lines, line))


AFTER_TREATMENT: Final = "after the end of treatment"


def end_of_protection(case: Case) -> date | None:
    """Until when contraception, and no breastfeeding, are advised if the last exposure was the last; None without one.

    An uncertain day of that dose counts at its latest.
    """
    last = case.call.course.last_exposure
    months = next(
        (r.integer("after_months") for r in case.regimen.table("population").rows if r.has("after_months")), None
    )
    return None if last is None or months is None else months_after(last.day.latest, months)


def holding(case: Case, holds: Sequence[Finding], suspicions: Sequence[Finding]) -> list[Finding]:
    """Holds end with what is due once they are lifted; the first one carries what gets no card beside them."""
    about = "after the hold" if case.position is not None else "after the hold without a position"
    lifted = case.line(about, **position_slots(case.if_lifted))
    due = case.expected(case.if_lifted)
    also = tuple(Line(row=finding.row, slots=finding.slots, sentence="summary") for finding in suspicions)
    lines = (also if index == 0 else () for index in range(len(holds)))
    evidence = (tuple(b for s in suspicions for b in s.because) if index == 0 else () for index in range(len(holds)))
    return [
        replace(hold, because=(*hold.because, *shown), lines=(*hold.lines, *more, lifted), expected=due)
        for hold, more, shown in zip(holds, lines, evidence, strict=True)
    ]


# --- resume ----------------------------------------------------------------------------------------------------


def improved_and_not_treated_since(case: Case, row: Row) -> Finding | None:
    """Did a grave neurotoxicity improve in time and end, with this the first dose after it?"""
    for episode in _graded(case, row):
        in_time = not episode.is_active and _improved_in_time(episode, row)
        if in_time and not dose_after(episode, case.course):
            return _about_episode(case, row, (episode,))
    return None


RESUME_QUESTIONS: Final[Mapping[str, Question]] = {"improved in time and no dose since": improved_and_not_treated_since}
