"""What the questions read of the knowledge: columns, sentences and words, checked once at the start.

Beside each question stand the columns that it needs of its row and those that it may find there. A row that lacks one,
or has one that nobody would read, ends the start: at three in the morning it would be a rule that fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Final

from cds_service.engine import booking, discharge, gaps, status
from cds_service.errors import KnowledgeError
from cds_service.knowledge.regimen import Regimen, Row, Sources
from fhir_mappings.facts import Analyte, CompanionKind, SupportKind, Syndrome, Vital

DOSES: Final = frozenset({"step", "treatment", "largest"})
NUMBERS: Final = frozenset(
    {
        "completed_from",
        "completed_to",
        "early_tolerance_days",
        "episode_gap_days",
        "lab_age_days",
        "together_days",
        "inferred_crs_hours",
    }
)
OFFERS: Final = frozenset({"dose", "removal", "steroid", "saline", "observation", "request"})
EPISODES: Final = frozenset({Syndrome.CRS.value, Syndrome.NEUROTOXICITY.value})
RECORDS: Final = frozenset({"cytopenia", *(syndrome.value for syndrome in Syndrome)})
ANALYTES: Final = frozenset(analyte.value for analyte in Analyte)
VITALS: Final = frozenset(vital.value for vital in Vital)
SUPPORTS: Final = frozenset(kind.value for kind in SupportKind)
NEEDS: Final = frozenset(
    {
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
    }
)


@dataclass(frozen=True, kw_only=True)
class Reads:
    """What is read of a row: columns it must have, exactly one of `one_of`, and those it may have.

    `says`: the sentences that it must have. `words`: the texts that may stand in a column.
    """

    needs: frozenset[str] = frozenset()
    one_of: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    says: frozenset[str] = frozenset()
    words: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __add__(self, other: Reads) -> Reads:
        return Reads(
            needs=self.needs | other.needs,
            one_of=self.one_of | other.one_of,
            may=self.may | other.may,
            says=self.says | other.says,
            words={**self.words, **other.words},
        )


def _reads(needs: str = "", *, one_of: str = "", may: str = "", says: str = "", **words: frozenset[str]) -> Reads:
    return Reads(
        needs=frozenset(needs.split()),
        one_of=frozenset(one_of.split()),
        may=frozenset(may.split()),
        says=frozenset(says.split()),
        words=words,
    )


ADVICE: Final = _reads("topic action indicator", says="summary")
EPISODE: Final = _reads("syndrome", syndrome=EPISODES)
GRADED_EPISODE: Final = EPISODE + _reads("grade_from")
IN_TIME: Final = GRADED_EPISODE + _reads("grade_to within_days")
RECORD: Final = _reads("syndrome grade_from", may="grade_to", syndrome=RECORDS)
RESULTS: Final = _reads("analytes", analytes=ANALYTES)
IN_A_LINE: Final = _reads(says="line")
NOTHING_MORE: Final = _reads()

# What every row of a table must have. A table that stands here has no questions, or the same for all of them.
TABLES: Final[Mapping[str, Reads]] = {
    "schedule": _reads("first_dose position dose due_after_days due_after_days_restarted earliest_after_days"),
    "delay": _reads("treatment_doses days_since restart", says="line"),
    "dose": ADVICE + _reads("step question", may="beside goes_on without_dose without_monitoring without_order"),
    "stop": ADVICE + _reads("question"),
    "hold": ADVICE + _reads("question holds"),
    "lab_grades": _reads("analyte grade", one_of="below above_uln", analyte=ANALYTES),
    "crs_grades": _reads("sign grade"),
    "ice_grades": _reads("ice_score grade"),
    "observation": ADVICE + _reads("dose_number step_up", may="hours_from hours_to", says="beside"),
    "observation_after_toxicity": EPISODE + _reads("grade hours_from hours_to", says="summary line beside"),
    "resume": ADVICE + _reads("question", may="hours_from hours_to"),
    "premedication": ADVICE + IN_A_LINE + _reads("question kind every_dose"),
    "administration": ADVICE + IN_A_LINE + _reads("question"),
    "population": ADVICE + _reads("question restart_only", may="without_order"),
    "course": ADVICE + _reads("question"),
    "discharge": ADVICE + _reads("question"),
    "booking": ADVICE + _reads("question"),
    "lines": IN_A_LINE + _reads("about"),
    "record": ADVICE + IN_A_LINE + _reads("question", may="at", at=frozenset({gaps.AT_ORDERS, gaps.AT_OTHERS})),
    "suggestions": _reads("topics actions offers recommended", may="indicators", says="label does", offers=OFFERS),
    "override_reasons": _reads("topics actions system code", says="label"),
}

# What a question, or a kind of row, needs beside that.
QUESTIONS: Final[Mapping[str, Mapping[str, Reads]]] = {
    "schedule": {
        "the first dose": NOTHING_MORE,
        "a later dose": _reads("treatment_doses"),
        "a dose of every cycle": _reads("treatment_doses first_cycle cycle_days"),
    },
    "delay": {"goes on": NOTHING_MORE, "starts again": ADVICE},
    "dose": {
        "severe CRS resolved and not restarted": EPISODE + _reads("grade"),
        "a resolved toxicity without a grade": _reads("grade"),
    },
    "stop": {
        "grade ever": GRADED_EPISODE,
        "second episode": GRADED_EPISODE,
        "new episode after": GRADED_EPISODE,
        "not improved in time": IN_TIME + IN_A_LINE,
        "not improved at all in time": GRADED_EPISODE + IN_A_LINE + _reads("within_days"),
        "grade ever in treatment": RECORD,
        "laboratory grade ever": RECORD + RESULTS,
        "laboratory grade recurrent": RECORD + RESULTS + _reads("grade_to"),
        "transaminase and bilirubin together": RESULTS + _reads("transaminase_above_uln bilirubin_above_uln"),
    },
    "hold": {
        "a stop rests on an unconfirmed record": _reads("syndrome", syndrome=RECORDS),
        "active": GRADED_EPISODE + _reads("grade_to"),
        "active without a grade": EPISODE,
        "left open before the last dose": EPISODE,
        "improvement in time not documented": IN_TIME,
        "improvement in time not documented but treated since": IN_TIME,
        "vital signs suggest it": EPISODE,
        "newest laboratory grade": RESULTS + _reads("grade_from", may="stale"),
        "recorded as active": RECORD + _reads(may="step_up_only"),
        "recorded as active and caused by the drug": RECORD,
    },
    "crs_grades": {
        "a support": _reads("count_from", sign=SUPPORTS),
        "a vital sign": _reads(one_of="at_least below above", sign=VITALS),
    },
    "resume": {"improved in time and no dose since": IN_TIME},
    "premedication": {
        "steroid missing": _reads("steroid_mg", kind=frozenset({CompanionKind.STEROID.value})),
        "saline missing": _reads("litres minutes_from minutes_to", kind=frozenset({CompanionKind.SALINE.value})),
    },
    "administration": {
        "duration is another": _reads("minutes"),
        "saline runs too fast or too slow": _reads("minutes_from minutes_to"),
    },
    "population": {
        "pregnant": _reads("within_days"),
        "pregnancy never closed or contradictory": _reads("within_days ages"),
        "pregnancy status not known": _reads("within_days ages"),
        "no effective contraception on record": _reads("ages after_months"),
        "effective contraception on record": _reads("ages after_months") + IN_A_LINE,
        "breastfeeding": _reads("within_months after_months"),
        "breastfeeding not known": _reads("within_months"),
        "severe renal impairment": _reads("below within_days") + IN_A_LINE,
        "moderate or severe hepatic impairment": _reads("above_uln above within_days") + IN_A_LINE,
        "not certain to be of age": _reads("years"),
        "progression after the last dose": IN_A_LINE,
    },
    "discharge": {
        "the source has no hours": _reads("home_hours"),
        "the first days at home": _reads("home_hours"),
    },
    "record": {
        "need not read": _reads("need kinds", need=NEEDS),
        "draft not read": _reads("kinds"),
        "a result was refused": RESULTS,
    },
    "suggestions": {
        "dose": NOTHING_MORE,
        "removal": NOTHING_MORE,
        "steroid": _reads("kind", may="system code", says="orders instructs", kind=frozenset({"steroid"})),
        "saline": _reads("kind", may="system code", says="orders instructs", kind=frozenset({"saline"})),
        "observation": _reads(may="system code", says="orders"),
        "request": _reads(may="grade_from system code", says="orders"),
    },
}

# Questions whose `grade_to` is the milder grade that was reached.
IMPROVEMENTS: Final = frozenset(
    {
        "not improved in time",
        "laboratory grade recurrent",
        "improvement in time not documented",
        "improvement in time not documented but treated since",
        "improved in time and no dose since",
    }
)
LINES: Final = frozenset(
    {
        "infusion",
        "support",
        "no toxicity",
        "observations searched by code only",
        "earlier toxicity",
        "toxicity of another treatment",
        "toxicity without a grade",
        "adverse events cannot be on record",
        "conditions without a name",
        "against an abnormal baseline",
        "toxicity counted without a dose before it",
        "found only in text",
        "one event recorded twice",
        "laboratory",
        "results not used",
        "organ function missing",
        "next dose",
        "after the hold",
        "after the hold without a position",
        "a later day",
        "after the end of treatment",
        "toxicity before the first dose",
        "earlier than due",
        "severe CRS with a restart done",
        "vital signs worse than the grade",
        "doses taken from orders",
        "an assumption about days",
        "a restarted course",
        "position named in the order",
        "premedication found",
        "premedication not readable",
        "return precautions for CRS",
        "return precautions for neurotoxicity",
        "discharge with a toxicity that is not over",
        "an infusion is booked against it",
    }
)
# Asked for under these sources alone: the seed is silent about them, or the label leaves no room for them.
LINES_OF: Final[Mapping[Sources, frozenset[str]]] = {
    Sources.SEED_AND_LABEL: frozenset(
        {
            "another cause of liver injury",
            "driving",
            "laboratory missing before the first dose",
            "premedication of later doses",
            "the label after a severe CRS",
        }
    ),
    Sources.SEED: frozenset({"next dose without a limit"}),
}


# Tables in which each of these questions must have a row: without it the answer would be silence.
ALL_ASKED: Final[Mapping[str, frozenset[str]]] = {
    "course": frozenset(status.QUESTIONS),
    "discharge": frozenset(discharge.QUESTIONS) - {discharge.NO_HOURS},
    "booking": frozenset(booking.QUESTIONS) - booking.OF_ONE_SOURCE,
}


def refuse_other_names(regimen: Regimen) -> None:
    """Are the tables, doses and numbers of the file those that are asked for?

    Raises: KnowledgeError naming file and line.
    """
    _refuse_names(regimen, "tables", frozenset(regimen.tables), frozenset(TABLES))
    _refuse_names(regimen, "doses", frozenset(regimen.doses), DOSES)
    _refuse_names(regimen, "numbers", frozenset(regimen.numbers), NUMBERS)


def refuse_other_rows(regimen: Regimen) -> None:
    """Has each row what its question reads, and nothing else; and is every row there that is always asked for?

    Raises: KnowledgeError naming file, line and row.
    """
    for table in regimen.tables.values():
        for row in table.rows:
            for mistake in _mistakes(row, regimen):
                raise KnowledgeError(f"{regimen.file}:{row.line} {row.id}: {mistake}")
    for name, mistake in _missing_rows(regimen):
        raise KnowledgeError(f"{regimen.file}:{regimen.table(name).line} {name}: {mistake}")


def _refuse_names(regimen: Regimen, part: str, given: frozenset[str], asked: frozenset[str]) -> None:
    for name in sorted(given - asked):
        place = regimen.places.get(f"{part}.{name}", 0)
        raise KnowledgeError(f"{regimen.file}:{place} {part}: nobody asks for {name!r}")
    for name in sorted(asked - given):
        raise KnowledgeError(f"{regimen.file}:{regimen.places.get(part, 0)} {part}: {name!r} is missing")


def _mistakes(row: Row, regimen: Regimen) -> Iterator[str]:
    asked = _asked(row)
    reads = TABLES[row.table] + QUESTIONS.get(row.table, {}).get(asked, NOTHING_MORE)
    by = f"{row.table!r}{f' asking {asked!r}' if asked else ''}"
    columns = frozenset(row.columns)
    yield from (f"column {name!r} is missing: {by} needs it" for name in sorted(reads.needs - columns))
    if reads.one_of and len(reads.one_of & columns) != 1:
        yield f"{by} needs exactly one of {', '.join(sorted(reads.one_of))}"
    yield from (f"column {n!r} is not read by {by}" for n in sorted(columns - reads.needs - reads.one_of - reads.may))
    yield from (f"sentence {name!r} is missing: {by} says it" for name in sorted(reads.says - row.say.keys()))
    for name, known in reads.words.items():
        for word in _words(row, name) if row.has(name) else ():
            if word not in known:
                yield f"{name} {word!r}; {by} knows {', '.join(sorted(known))}"
    for only_there in (_of_lines, _of_hours, _of_grades, _of_analytes, _of_schedule):
        yield from only_there(row, regimen)


def _asked(row: Row) -> str:
    """The question of a row, or which kind of row it is; "" where all rows of its table are alike."""
    match row.table:
        case "schedule" if row.has("cycle_days") or row.has("first_cycle"):
            return "a dose of every cycle"
        case "schedule":
            return "the first dose" if row.flag("first_dose") else "a later dose"
        case "delay":
            return "starts again" if row.flag("restart") else "goes on"
        case "crs_grades":
            return "a support" if row.has("count_from") else "a vital sign"
        case "suggestions":
            return row.text("offers") if row.has("offers") else ""
        case _:
            return row.text("question") if row.has("question") else ""


def _words(row: Row, name: str) -> tuple[str, ...]:
    value = row.columns[name]
    return value if isinstance(value, tuple) else (str(value),)


def _of_lines(row: Row, regimen: Regimen) -> Iterator[str]:
    if row.table == "lines" and row.text("about") not in LINES | LINES_OF[regimen.sources]:
        yield f"nobody asks for a line about {row.text('about')!r}"


def _of_hours(row: Row, _regimen: Regimen) -> Iterator[str]:
    says = any("{hours}" in sentence for sentence in (*row.say.values(), *row.detail))
    if row.table in {"observation", "resume"} and says and not row.has("hours_from"):
        yield "says {hours}, and has none"


def _of_grades(row: Row, _regimen: Regimen) -> Iterator[str]:
    """`grade_to` is the milder grade of an improvement, else the gravest of a stretch."""
    if row.has("grade_to"):
        is_milder = row.integer("grade_to") < row.integer("grade_from")
        if is_milder is not (_asked(row) in IMPROVEMENTS):
            yield f"grade_to {row.integer('grade_to')} does not go with grade_from {row.integer('grade_from')}"


def _of_analytes(row: Row, _regimen: Regimen) -> Iterator[str]:
    if row.has("transaminase_above_uln"):
        *enzymes, last = row.texts("analytes")
        if not enzymes or last != Analyte.BILIRUBIN.value:
            yield "analytes are the transaminases, then bilirubin"


def _of_schedule(row: Row, regimen: Regimen) -> Iterator[str]:
    if row.table != "schedule":
        return
    due = regimen.doses["step" if row.flag("first_dose") else "treatment"]
    if row.dose("dose") != due:
        yield f"dose {row.dose('dose')}, where {due} is due"
    slots = {name for _, name, _, _ in Formatter().parse(row.text("position")) if name}
    if slots - ({"cycle", "day"} if row.has("cycle_days") else set()):
        yield f"position {row.text('position')!r} counts what the row does not have"


def _missing_rows(regimen: Regimen) -> Iterator[tuple[str, str]]:
    """Rows without which a card could not be written, or a failure would be silent."""
    schedule = regimen.table("schedule").rows
    if not schedule or not schedule[0].flag("first_dose") or not schedule[-1].has("cycle_days"):
        yield "schedule", "the first dose stands first, that of every cycle last"
    for name, questions in ALL_ASKED.items():
        given = {row.text("question") for row in regimen.table(name).rows}
        yield from ((name, f"no row in force asks {question!r}") for question in sorted(questions - given))
    if all(row.text("question") != gaps.RULE_FAILED for row in regimen.table("record").rows):
        yield "record", f"no row in force about {gaps.RULE_FAILED!r}"
    said = [row.text("about") for row in regimen.table("lines").rows]
    yield from (("lines", f"two lines about {about!r}") for about in sorted(said) if said.count(about) > 1)
    asked = LINES | LINES_OF[regimen.sources]
    yield from (("lines", f"no line in force about {about!r}") for about in sorted(asked - set(said)))
    yield from (("override_reasons", f"no reason not to follow {card}") for card in _without_reason(regimen))


def _without_reason(regimen: Regimen) -> list[str]:
    """The critical cards for which no reason can be given."""
    spoken = [r for r in regimen.rows() if r.has("indicator") and r.text("indicator") == "critical"]
    cards = {(row.text("topic"), row.text("action")) for row in spoken if row.has("topic") and row.has("action")}
    reasons = [row for row in regimen.table("override_reasons").rows if row.has("topics") and row.has("actions")]
    return sorted(
        f"{topic}/{action}"
        for topic, action in cards
        if not any(topic in row.texts("topics") and action in row.texts("actions") for row in reasons)
    )
