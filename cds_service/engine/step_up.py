"""Does the ordered dose fit the schedule? The questions of the tables `dose` and `delay`, and which answer leads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from cds_service.engine.advice import Because, Finding, Line
from cds_service.engine.case import Case, dose_after, position_slots
from cds_service.engine.episodes import Episode, State
from cds_service.engine.history import Doubt, GivenDose
from cds_service.engine.words import clock_text, count_text, day_text, listed, mg_text, shows
from cds_service.knowledge.regimen import Row
from fhir_mappings.facts import Course, Syndrome, When

Question = Callable[[Case, Row], Finding | None]


def above_largest(case: Case, row: Row) -> Finding | None:
    """Step 3: is more ordered than is ever given?"""
    if case.ordered is None or case.ordered <= case.regimen.doses["largest"].mg:
        return None
    return case.found(row, because=_ordered(case))


def _ordered(case: Case) -> tuple[Because, ...]:
    return (Because(reference=case.order.order, shows=f"{mg_text(case.ordered)} ordered for {day_text(case.on)}"),)


def given_that_day(case: Case, row: Row) -> Finding | None:
    """Step 4: was a dose given, or may one have been given, on the planned day?"""
    given = [dose for dose in case.same_day if not dose.projected]
    if not given:
        return None
    said = listed(_given_text(case, dose) for dose in given)
    because = tuple(b for dose in given for b in dose.because(_given_text(case, dose)))
    return _wait(case, case.found(row, because=because, what=_sentence(said), last_dose=mg_text(given[-1].mg)))


def _wait(case: Case, finding: Finding) -> Finding:
    """What is due after the wait is told for the day on which it can be given."""
    due = case.after_waiting
    return replace(finding, slots=dict(finding.slots) | position_slots(due), expected=case.expected(due))


def _given_text(case: Case, dose: GivenDose) -> str:
    if case.order.order in dose.requests:
        return f"this order was already given or started on {day_text(dose.day)}{clock_text(dose.day)}"
    return f"{mg_text(dose.mg)} on record for {day_text(dose.day)}{clock_text(dose.day)}"


def ordered_twice(case: Case, row: Row) -> Finding | None:
    """Step 4: does another order of the drug take the same day?"""
    others = [dose for dose in case.same_day if dose.projected]
    if not others:
        return None
    because = tuple(b for dose in others for b in dose.because(f"planned for {day_text(dose.day)}"))
    what = f"Another order takes {case.slots['day']} already: {mg_text(others[0].mg)} is due then."
    return _wait(case, case.found(row, because=_ordered(case) + because, what=what))


def is_early(case: Case) -> bool:
    """Less than the interval, with its tolerance, since the last exposure?"""
    days = case.days_since_exposure
    if days is None or (case.call.details_may_be_missing and case.day_missing):
        return False
    return days < case.earliest_after


def _nearest(case: Case) -> GivenDose:
    return max(case.earlier, key=lambda dose: dose.day.latest)


def _early(case: Case, row: Row) -> Finding:
    last = _nearest(case)
    days = count_text(case.days_since_exposure or 0, "day")
    because = () if last.projected else last.because(f"{mg_text(last.mg)} on {day_text(last.day)}, {days} before")
    return _wait(case, case.found(row, because=because, days=days))


def early_in_step_up(case: Case, row: Row) -> Finding | None:
    """Step 4: less than a week (one day tolerated) since the last exposure while stepping up?"""
    return _early(case, row) if is_early(case) and not _in_treatment(case) else None


def early_for_a_restart(case: Case, row: Row) -> Finding | None:
    """Step 4: too early in two-weekly treatment, and then a restart is due?"""
    return _early(case, row) if is_early(case) and _in_treatment(case) and _restarts(case) else None


def early_in_treatment(case: Case, row: Row) -> Finding | None:
    """Step 4: less than the interval since the last exposure during two-weekly treatment?"""
    return _early(case, row) if is_early(case) and _in_treatment(case) and not _restarts(case) else None


def _in_treatment(case: Case) -> bool:
    """k of 2 or more: the schedule's last row."""
    treatment = case.regimen.table("schedule").rows[-1]
    return bool(case.course.completed) and case.course.treatment_doses in treatment.range("treatment_doses")


def _restarts(case: Case) -> bool:
    """Whether what is due after the wait is the step dose again."""
    due = case.after_waiting
    return due is not None and due.is_restart


def nothing_completed(case: Case, row: Row) -> Finding | None:
    """Step 5: is a first dose ordered at another amount than the step dose?"""
    if case.history_uncertain or case.course.completed or case.ordered is None or case.step_ordered:
        return None
    because = tuple(
        b
        for dose in case.course.doses
        if not dose.projected
        for b in dose.because(f"{mg_text(dose.mg)}, not completed")
    )
    return case.found(row, because=_ordered(case) + because)


def delayed(case: Case, row: Row) -> Finding | None:
    """Step 6: is the delay limit passed and another amount than the step dose ordered? `row` is the delay table's."""
    position = case.position
    if position is None or position.delay is not row or case.ordered is None or case.step_ordered:
        return None
    return case.found(row, because=case.last_dose_because())


def restart_after_crs(case: Case, row: Row) -> Finding | None:
    """Step 7: does a resolved CRS grade 3 ask for a restart that is not what is ordered?"""
    if case.position is None or case.ordered is None or case.step_ordered:
        return None
    return _severe_crs(case, row, because=case.last_dose_because())


def crs_behind_the_restart(case: Case) -> Finding | None:
    """Does the restart that is due rest on a resolved CRS grade 3, whatever is ordered? The finding of step 7."""
    row = next(row for row in case.regimen.table("dose").rows if row.text("question") == SEVERE_CRS)
    return _severe_crs(case, row, because=())


def _severe_crs(case: Case, row: Row, *, because: tuple[Because, ...]) -> Finding | None:
    episode = case.severe_crs
    if episode is None:
        return None
    return case.found(
        row,
        because=shows(episode.records) + because,
        lines=_label_after_crs(case),
        onset=onset_text(episode),
        grade=str(episode.recorded_grade),
    )


def _label_after_crs(case: Case) -> tuple[Line, ...]:
    """What the label would allow instead, as long as its delay limit has not passed."""
    position, about = case.position, "the label after a severe CRS"
    if position is None or position.limit_day is None or not case.has_line(about):
        return ()
    is_over = position.delay is not None and position.delay.flag("restart")
    return () if is_over else (case.line(about, limit_day=position.limit_day.isoformat()),)


def onset_text(episode: Episode) -> str:
    return day_text(episode.onset) if episode.onset is not None else "not recorded"


def stopped_for_toxicity(case: Case, row: Row) -> Finding | None:
    """Step 8: was an earlier order of the drug ended for toxicity?"""
    stopped = [order for order in case.state.orders if order.stopped_for_toxicity and not order.in_draft_orders]
    if not stopped:
        return None
    because = tuple(Because(reference=o.order, shows=f"{o.status or 'no status'}: {o.status_reason}") for o in stopped)
    said = listed(
        f"{o.status or 'without a status'}{f' ({o.status_reason})' if o.status_reason else ''}" for o in stopped
    )
    return case.found(row, because=because, what=f"The earlier order is {said}.")


def allergy_on_record(case: Case, row: Row) -> Finding | None:
    """Step 8: is an allergy or intolerance to the drug on record?"""
    if not case.state.allergies:
        return None
    because = tuple(Because(reference=a.reference, shows=a.name) for a in case.state.allergies)
    return case.found(row, because=because, what="Clarify the reaction and its severity.")


def _doubted(case: Case, row: Row, doubts: Iterable[Doubt]) -> Finding | None:
    said = tuple(doubts)
    if not said:
        return None
    because = tuple(b for doubt in said for b in doubt.because())
    return case.found(row, because=because, what=" ".join(dict.fromkeys(doubt.why for doubt in said)))


def history_in_doubt(case: Case, row: Row) -> Finding | None:
    """Step 8: are the doses on record too uncertain to tell the position?"""
    return _doubted(case, row, case.call.history.uncertain)


def later_order_completed(case: Case, row: Row) -> Finding | None:
    """Step 8: is an order or claim completed after the last dose on record?"""
    return _doubted(case, row, case.call.history.later_orders)


def unreadable_first_dose(case: Case, row: Row) -> Finding | None:
    """Step 8: can no amount be read where the step dose is due?"""
    due_is_step = case.position is not None and case.position.due == case.regimen.doses["step"]
    return _unreadable(case, row) if case.ordered is None and due_is_step else None


def unreadable_dose(case: Case, row: Row) -> Finding | None:
    """Step 8: can no amount be read where another dose, or an unknown one, is due?"""
    due_is_step = case.position is not None and case.position.due == case.regimen.doses["step"]
    return _unreadable(case, row) if case.ordered is None and not due_is_step else None


def _unreadable(case: Case, row: Row) -> Finding:
    why = case.order.amount.doubt or "The order states no amount."
    recorded = case.order.amount.recorded or "no amount"
    because = (Because(reference=case.order.order, shows=f"ordered: {recorded}"),)
    return case.found(row, because=because, what=_sentence(why))


def doubtful_amount(case: Case, row: Row) -> Finding | None:
    """Step 8: can an amount be read, but not with certainty?"""
    amount = case.order.amount
    if amount.mg is None or not amount.doubt:
        return None
    because = (Because(reference=case.order.order, shows=f"ordered: {amount.recorded or mg_text(amount.mg)}"),)
    return case.found(row, because=because, what=_sentence(amount.doubt))


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def partial_dose(case: Case, row: Row) -> Finding | None:
    """Step 8: is the last exposure no completed dose of the regimen?"""
    return None if case.history_uncertain else _doubted(case, row, case.call.history.partial)


def summed_doses(case: Case, row: Row) -> Finding | None:
    """Step 8: were several rows of one day taken as one dose?"""
    return None if case.history_uncertain else _doubted(case, row, case.call.history.summed)


def step_not_on_record(case: Case, row: Row) -> Finding | None:
    """Step 8: are treatment doses on record without a step dose?"""
    if case.history_uncertain or not case.course.completed or case.course.step_on_record:
        return None
    return case.found(row, because=case.last_dose_because())


def several_undated(case: Case, row: Row) -> Finding | None:
    """Step 8: do several drafts of the call lack a day?"""
    return case.found(row) if case.undated and not case.call.details_may_be_missing else None


def resolved_ungraded(case: Case, row: Row) -> Finding | None:
    """Step 8: has CRS or neurotoxicity resolved without a grade (or only "severe") and no dose since?"""
    ungraded = [
        episode
        for syndrome in (Syndrome.CRS, Syndrome.NEUROTOXICITY)
        for episode in case.call.episodes(syndrome.value)
        if episode.state is State.RESOLVED
        and _grade_is_open(episode, row.integer("grade"))
        and not dose_after(episode, case.course)
    ]
    if not ungraded:
        return None
    what = listed(SHORT[episode.syndrome] for episode in ungraded)
    return case.found(row, because=tuple(b for e in ungraded for b in shows(e.records)), what=what)


SHORT: Final = {Syndrome.CRS: "CRS", Syndrome.NEUROTOXICITY: "neurotoxicity"}


def _grade_is_open(episode: Episode, severe: int) -> bool:
    """No grade, or only a severity that may hide a graver one."""
    return episode.grade is None or (episode.grade_is_lower_bound and episode.grade >= severe)


def new_neurological_sign(case: Case, row: Row) -> Finding | None:
    """Step 8: is a seizure or confusion without cause on record since the last dose?"""
    last = case.call.course.last_completed
    signs = [
        record
        for record in case.call.toxicities
        if record.syndrome is Syndrome.POSSIBLE_NEUROTOXICITY
        and record.course is not Course.RESOLVED
        and (last is None or not isinstance(record.onset, When) or record.onset.latest >= last.day.earliest)
    ]
    if not signs:
        return None
    return case.found(row, because=shows(signs), what="a new seizure or confusion")


def delay_without_rule(case: Case, row: Row) -> Finding | None:
    """Step 8, seed alone: is the dose later than due plus the tolerance, with no rule to say what then?"""
    position, last = case.position, case.course.last_completed
    if position is None or last is None or position.is_restart or case.days_since_completed is None:
        return None
    late = (case.on.latest - position.due_on).days
    if late <= int(case.regimen.numbers["early_tolerance_days"]):
        return None
    return case.found(row, because=case.last_dose_because())


def other_amount(case: Case, row: Row) -> Finding | None:
    """Step 9: is an amount ordered that is neither dose of the regimen?"""
    doses = {case.regimen.doses["step"].mg, case.regimen.doses["treatment"].mg}
    if case.ordered is None or case.ordered in doses:
        return None
    return case.found(row, because=_ordered(case))


def step_already_done(case: Case, row: Row) -> Finding | None:
    """Step 10: is the step dose ordered while the treatment dose is due?"""
    position = case.position
    if position is None or not case.step_ordered or position.due == case.regimen.doses["step"]:
        return None
    return case.found(row, because=_ordered(case) + case.last_dose_because())


STOPPED_FOR_TOXICITY: Final = "an earlier order was stopped for toxicity"
ALLERGY: Final = "allergy to the drug"
MAY_END_TREATMENT: Final = frozenset({STOPPED_FOR_TOXICITY, ALLERGY})
"""What may have ended the drug for good, and is asked about before another dose is so much as booked."""
NEUROLOGICAL_SIGN: Final = "a new neurological sign without cause"
SEVERE_CRS: Final = "severe CRS resolved and not restarted"
QUESTIONS: Final[Mapping[str, Question]] = {
    "ordered above the largest dose": above_largest,
    "a dose was given on that day": given_that_day,
    "another order for that day": ordered_twice,
    "too early in the step-up": early_in_step_up,
    "too early and a restart is due": early_for_a_restart,
    "too early in treatment": early_in_treatment,
    "nothing completed and not the step dose": nothing_completed,
    SEVERE_CRS: restart_after_crs,
    STOPPED_FOR_TOXICITY: stopped_for_toxicity,
    ALLERGY: allergy_on_record,
    "the history of doses is in doubt": history_in_doubt,
    "a completed order or claim after the last dose on record": later_order_completed,
    "no amount can be read and the step dose is due": unreadable_first_dose,
    "no amount can be read": unreadable_dose,
    "the amount is in doubt": doubtful_amount,
    "a partial dose without a completed one after it": partial_dose,
    "several doses of one day": summed_doses,
    "step-up not on record": step_not_on_record,
    "several orders without a day": several_undated,
    "a resolved toxicity without a grade": resolved_ungraded,
    NEUROLOGICAL_SIGN: new_neurological_sign,
    "later than due and no delay rule": delay_without_rule,
    "neither regimen dose": other_amount,
    "step dose ordered while the treatment dose is due": step_already_done,
}
DELAY_STEP: Final = 6
CLARIFY_STEP: Final = 8


def step_of(row: Row) -> int:
    return row.integer("step") if row.has("step") else DELAY_STEP


def leading(case: Case, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that become cards: the first step that holds, what may stand beside it, and what is always said.

    Whatever else was found is kept as a line in the first card: nothing is lost because something graver was found.
    """
    held = sorted(findings, key=lambda finding: step_of(finding.row))
    if case.dose_missing:
        held = [finding for finding in held if finding.row.flag("without_dose")]
    always = [finding for finding in held if finding.row.flag("goes_on")]
    ranked = [finding for finding in held if not finding.row.flag("goes_on")]
    if not ranked:
        return tuple(always)
    first = step_of(ranked[0].row)
    kept = [f for f in ranked if _leads(f, first) or _stands_beside(f, first)]
    kept = [
        f for i, f in enumerate(kept) if step_of(f.row) == CLARIFY_STEP or step_of(f.row) not in map(_step, kept[:i])
    ]
    lost = [finding for finding in ranked if finding not in kept and "line" in finding.row.say]
    also = tuple(Line(row=finding.row, slots=finding.slots) for finding in lost)
    notes = tuple(case.line("an assumption about days", what=note) for note in case.notes)
    return (replace(kept[0], lines=kept[0].lines + also + notes), *kept[1:], *always)


def _step(finding: Finding) -> int:
    return step_of(finding.row)


def _leads(finding: Finding, first: int) -> bool:
    return step_of(finding.row) == first


def _stands_beside(finding: Finding, first: int) -> bool:
    return finding.row.has("beside") and str(first) in finding.row.texts("beside")
