"""Which rows of the knowledge the vignettes touch: measured, by putting each of them to the service in this process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from cds_service import wire
from cds_service.cards import filled, override_reasons
from cds_service.engine.advice import Assessment
from cds_service.engine.rulebook import Rulebook
from cds_service.fhir_client import FhirClient
from cds_service.knowledge.loader import load
from cds_service.knowledge.regimen import Hit, Row, Sources
from cds_service.services import DrugReview, offers
from cds_service.suggestions import Orders
from cds_service.suggestions import offers as offers_of
from tests.vignettes.build import Case, load_vignettes

APPLIED: Final = frozenset(
    {
        "schedule",
        "lab_grades",
        "crs_grades",
        "ice_grades",
        "observation",
        "observation_after_toxicity",
        "course",
        "lines",
    }
)
RENDERED: Final = frozenset({"suggestions", "override_reasons"})
"""Tables that no rule asks: what a card offers, and why it may not be followed. Their rows speak in cards."""


class Recorder(Rulebook):
    """A rulebook that keeps its last assessment."""

    kept: Assessment | None = None

    def assess(self, *given: Any, **more: Any) -> Assessment:
        self.kept = super().assess(*given, **more)
        return self.kept


@dataclass(frozen=True, kw_only=True)
class Touched:
    """The rows that fired in one vignette and those that might have and did not; which statements it is about."""

    vignette: str
    about: frozenset[str] = frozenset()
    fired: frozenset[str]
    silent: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The vignettes in which a row, or one of several, fired, and those in which all that were asked kept silent."""

    fired: tuple[str, ...]
    silent: tuple[str, ...]

    @property
    def shows_the_border(self) -> bool:
        """Whether it fires in one variant of a vignette and keeps silent in another of the same."""
        return not {family(vignette) for vignette in self.fired}.isdisjoint(map(family, self.silent))


@cache
def _recorder(sources: str) -> Recorder:
    return Recorder(load(sources=Sources(sources)))


def assessment_of(case: Case) -> Assessment | None:
    """What the rulebook says to a vignette. None where the service need not ask it: no draft is of the drug."""
    recorder = _recorder(case.sources)
    recorder.kept = None
    review = DrugReview(
        rulebook=recorder, fhir=FhirClient(budget_ms=1000), zone=case.clock.zone, clock=lambda: case.now
    )
    call = wire.read_request(json.dumps(case.request()).encode(), case.hook)
    next(offer for offer in offers(review) if offer.entry.hook == case.hook).answer(call)
    return recorder.kept


def touched_by(case: Case, assessment: Assessment) -> Touched:
    """Rows that fired; rows asked in vain; and of rows that are looked up or said along, not asked, those not taken.

    A row of a table with one answer counts only where the table was looked up, so where another row was taken.
    """
    fired, silent = frozenset(assessment.fired), set(assessment.silent)
    for table in assessment.regimen.tables.values():
        ids = {row.id for row in table.rows}
        if table.hit is not Hit.UNIQUE or fired & ids:
            silent.update(row.id for row in table.rows if is_applied(row))
    return Touched(vignette=case.id, about=frozenset(case.source), fired=fired, silent=frozenset(silent - fired))


def told_along(case: Case, assessment: Assessment) -> Touched:
    """Rows of what the cards of a vignette offer, and of the reasons for not following them; all others of these tables
    keep silent.
    """
    orders = Orders(patient_id=case.patient_id, drafts=tuple(case.drafts()))
    tables = [assessment.regimen.table(name) for name in sorted(RENDERED)]
    reasons = assessment.regimen.table("override_reasons").rows
    fired: set[str] = set()
    for advice in assessment.advice:
        fired.update(*(offer.about.split("|") for offer in offers_of((advice,), assessment, orders, _plainly)))
        fired.update(row.id for row in reasons if override_reasons((row,), advice.topic, advice.action))
    known = frozenset(row.id for table in tables for row in table.rows)
    return Touched(vignette=case.id, fired=known & fired, silent=known - fired)


def _plainly(sentence: str, slots: Mapping[str, str]) -> str:
    return filled(sentence, slots, markdown=False)


def _measured(case: Case, assessment: Assessment) -> Touched:
    asked, told = touched_by(case, assessment), told_along(case, assessment)
    return replace(asked, fired=asked.fired | told.fired, silent=asked.silent | told.silent)


def is_applied(row: Row) -> bool:
    """Whether no question is asked about the row: it is looked up, or said in the card of another."""
    return not row.flag("restart") if row.table == "delay" else row.table in APPLIED


@cache
def measured() -> tuple[Touched, ...]:
    """All vignettes that hold, in their order; one with an open question proves nothing yet."""
    cases = [case for case in load_vignettes() if not case.open]
    assessments = ((case, assessment_of(case)) for case in cases)
    return tuple(_measured(case, assessment) for case, assessment in assessments if assessment is not None)


def coverage(rows: Iterable[str], touched: Sequence[Touched], statement: str = "") -> Coverage:
    """Where one of these rows fired, vignettes about the statement first; where some were asked and none fired, the
    neighbours of the firing ones first.
    """
    wanted = frozenset(rows)
    firing = sorted((one for one in touched if one.fired & wanted), key=lambda one: statement not in one.about)
    fired = [one.vignette for one in firing]
    silent = [one.vignette for one in touched if one.silent & wanted and not one.fired & wanted]
    near = {family(vignette) for vignette in fired}
    silent.sort(key=lambda vignette: family(vignette) not in near)
    return Coverage(fired=tuple(fired), silent=tuple(silent))


def family(vignette: str) -> str:
    """The file of a vignette: V5b and V5a are variants of one question."""
    return re.sub(r"(?<=\d)[a-z]+\d*$", "", vignette)
