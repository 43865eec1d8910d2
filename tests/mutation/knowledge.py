"""Puts each mutant of the knowledge to the vignettes: at least one of them must go red.

The facts of each vignette are read once. The unchanged knowledge says which vignettes read which value (reads.py); a
mutant is put to those that read what it moves, the ones in which its row speaks first, and only until one goes red.
What a card cannot show, a citation that none of them prints, is put to the check of docs/traceability.md; what a card
offers, and the reasons for not following it, to the sheet offered.yaml.
"""

from __future__ import annotations

import gc
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import yaml

from cds_service import cards, wire
from cds_service.engine.advice import Advice, Assessment
from cds_service.engine.rulebook import Rulebook
from cds_service.errors import KnowledgeError
from cds_service.knowledge.cells import refuse_gaps_and_overlaps
from cds_service.knowledge.checks import refuse_contradictions
from cds_service.knowledge.regimen import Regimen, Sources
from cds_service.situations import Situation
from cds_service.suggestions import Orders
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.offered import departures
from tests.mutation.reads import Read, noting
from tests.traceability.matrix import citation_complaints
from tests.traceability.measure import RENDERED, family
from tests.traceability.statements import read_sources, whole_knowledge
from tests.vignettes.build import Case, load_vignettes
from tests.vignettes.compare import differences
from tests.vignettes.situations import situation_of

EQUIVALENTS: Final = Path(__file__).with_name("equivalents.yaml")
A_PART: Final = 20
"""Mutants that a process takes at once."""


class Killer(Enum):
    """What told a mutant from the knowledge in force."""

    VIGNETTE = "a vignette"
    START = "the start of the service"
    SHEET = "the sheet of what cards offer"
    MATRIX = "the check of docs/traceability.md"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a mutant. `where` is the vignette that went red, or why the start was refused."""

    name: str
    killer: Killer
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Vignette:
    """One case with its facts. `fired`: the rows that the unchanged knowledge fires in it; `shown`: those of its cards.

    `reads`: the values of the knowledge that its answer reads; `said`: its advice; `is_red`: whether it fails already.
    """

    case: Case
    situation: Situation
    fired: frozenset[str]
    shown: frozenset[str]
    reads: frozenset[Read]
    said: tuple[Advice, ...]
    is_red: bool

    @property
    def family(self) -> str:
        """Its file: V5b and V5a are the two sides of a border."""
        return family(self.case.id)

    def goes_red(self, rulebook: Rulebook) -> bool:
        try:
            assessment = _assessed(self.situation, rulebook)
            if assessment.advice == self.said:  # the same advice of the same rows: the same cards
                return False
            return bool(differences(self.case, _answer(assessment, self.case)))
        except (LookupError, ValueError, KnowledgeError):  # the service would answer with an error
            return True


def _assessed(situation: Situation, rulebook: Rulebook) -> Assessment:
    return rulebook.assess(
        situation.state,
        at=situation.at,
        zone=situation.zone,
        selections=situation.selections,
        details_may_be_missing=situation.details_may_be_missing,
        occasion=situation.occasion,
    )


def _answer(assessment: Assessment, case: Case) -> Sequence[Mapping[str, Any]]:
    """The cards as they go over the wire."""
    orders = Orders(patient_id=case.patient_id, drafts=tuple(case.drafts()))
    rendered = cards.render(assessment, hook_instance="", orders=orders)
    body = wire.as_json(wire.CdsResponse(cards=rendered))
    answer: Sequence[Mapping[str, Any]] = json.loads(json.dumps(body, default=str))["cards"]
    return answer


# --- the vignettes ------------------------------------------------------------------------------------------------


class Trial:
    """The unchanged knowledge, its mutants, and the vignettes that judge them."""

    def __init__(self, regimen: Regimen, cases: Sequence[Case]) -> None:
        self.regimen = regimen
        self._cases = cases
        self._killers: dict[str, Vignette] = {}

    @cached_property
    def mutants(self) -> tuple[Mutant, ...]:
        return mutants(self.regimen)

    @cached_property
    def vignettes(self) -> tuple[Vignette, ...]:
        """Those that hold; one with an open question judges nothing yet."""
        views = {sources: View(self.regimen.under(sources)) for sources in Sources}
        return tuple(views[Sources(case.sources)].vignette(case) for case in self._cases if not case.open)

    @cached_property
    def red_already(self) -> list[str]:
        """The vignettes that are red without any change."""
        return [vignette.case.id for vignette in self.vignettes if vignette.is_red]

    def judges(self, mutant: Mutant) -> list[Vignette]:
        """The vignettes that read what is moved: those in which its row speaks first, and of these the terse ones, then
        their neighbours; else the latest first, which were written for a border.

        For a citation those with a card that names the row among its rows: no other card says what the row cites.
        """
        rows = frozenset(mutant.rows)
        if mutant.is_citation:
            return [vignette for vignette in self.vignettes if vignette.shown & rows]
        reading = [vignette for vignette in reversed(self.vignettes) if vignette.reads & mutant.moved]
        firing = [vignette for vignette in reading if vignette.fired & rows]
        near = Counter(vignette.family for vignette in firing)
        silent = [vignette for vignette in reading if not vignette.fired & rows]
        return [
            *sorted(firing, key=lambda vignette: len(vignette.fired)),
            *sorted(silent, key=lambda vignette: (vignette.family not in near, near[vignette.family])),
        ]

    def verdict(self, mutant: Mutant) -> Verdict:
        try:
            refuse_contradictions(mutant.regimen)
            refuse_gaps_and_overlaps(mutant.regimen, "")
            rulebooks = {sources: Rulebook(mutant.regimen.under(sources)) for sources in Sources}
        except KnowledgeError as refused:
            return Verdict(name=mutant.name, killer=Killer.START, where=str(refused))
        if mutant.table in RENDERED:  # what is assessed stays: the sheet lists each kind of card, and a vignette some
            departure = next(departures(mutant.regimen), "")
            return Verdict(name=mutant.name, killer=Killer.SHEET if departure else Killer.NOTHING, where=departure)
        row = " ".join(mutant.rows)
        before = [self._killers[row]] if row in self._killers else []  # what sees one value of a row often sees another
        for vignette in chain(before, self.judges(mutant)):
            if vignette.goes_red(rulebooks[Sources(vignette.case.sources)]):
                self._killers[row] = vignette
                return Verdict(name=mutant.name, killer=Killer.VIGNETTE, where=vignette.case.id)
        if mutant.is_citation and (found := citation_complaints(read_sources(), mutant.regimen.rows())):
            return Verdict(name=mutant.name, killer=Killer.MATRIX, where=found[0])
        return Verdict(name=mutant.name, killer=Killer.NOTHING)


class View:
    """The unchanged knowledge under some sources, once as it is and once so that it notes what is read of it."""

    def __init__(self, regimen: Regimen) -> None:
        self._reads: set[Read] = set()
        self._rulebook, self._noting = Rulebook(regimen), Rulebook(noting(regimen, self._reads))

    def vignette(self, case: Case) -> Vignette:
        """The case with what this knowledge says to it."""
        situation = situation_of(case)
        assessment = _assessed(situation, self._rulebook)
        self._reads.clear()
        answer = _answer(_assessed(situation, self._noting), case)
        return Vignette(
            case=case,
            situation=situation,
            fired=frozenset(assessment.fired),
            shown=frozenset(row.id for one in assessment.advice for row in (one.row, *one.rows)),
            reads=frozenset(self._reads),
            said=assessment.advice,
            is_red=bool(differences(case, answer)),
        )


@cache
def packaged() -> Trial:
    """The knowledge of the service and the vignettes of the project."""
    return Trial(whole_knowledge(), load_vignettes())


# --- all of them --------------------------------------------------------------------------------------------------


def verdicts(chosen: Sequence[str] = ()) -> tuple[Verdict, ...]:
    """What becomes of each mutant, or of those in whose name one of `chosen` stands; on all processors."""
    names = [mutant.name for mutant in packaged().mutants]
    places = [place for place, name in enumerate(names) if not chosen or any(part in name for part in chosen)]
    parts = [places[start : start + A_PART] for start in range(0, len(places), A_PART)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return tuple(verdict for part in pool.map(_verdicts_at, parts) for verdict in part)


def _verdicts_at(places: Sequence[int]) -> list[Verdict]:
    trial = packaged()
    if trial.vignettes and trial.mutants and not gc.get_freeze_count():
        gc.freeze()  # they stay: no need to look through them again and again
    return [trial.verdict(trial.mutants[place]) for place in places]


def equivalents(file: Path = EQUIVALENTS) -> dict[str, str]:
    """The mutants that may survive, each with the reason."""
    groups = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader) or []
    return {name: group["reason"] for group in groups for name in group["mutants"]}


def complaints(found: Sequence[Verdict], allowed: Mapping[str, str]) -> list[str]:
    """Survivors that are not listed, listed mutants that are killed or are none; nothing if all is well."""
    survivors = [verdict.name for verdict in found if verdict.killer is Killer.NOTHING]
    killed = {verdict.name: verdict for verdict in found if verdict.killer is not Killer.NOTHING}
    return [
        *(f"{name}: no vignette goes red" for name in survivors if name not in allowed),
        *(f"{name}: listed, but killed by {killed[name].where}" for name in allowed if name in killed),
        *(f"{name}: listed, and no mutant" for name in allowed if name not in {verdict.name for verdict in found}),
    ]
