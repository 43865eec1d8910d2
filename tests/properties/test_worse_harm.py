"""More harm never makes the worst indicator milder: a toxicity of a higher grade, a result further from normal."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.engine.rulebook import Rulebook
from cds_service.knowledge import loader
from cds_service.knowledge.regimen import Sources
from cds_service.situations import Situation
from fhir_mappings.facts import Analyte, LabResult, NotRecorded, ToxicityRecord
from tests.properties.calls import CASES, NAMES, RANK
from tests.properties.profiles import examples
from tests.vignettes.situations import situation_of

HIGHEST: Final = 5
WORSE_BY: Final = {
    Analyte.NEUTROPHILS: (Decimal("0.5"), Decimal("0.2"), Decimal("0.05")),
    Analyte.PLATELETS: (Decimal("0.5"), Decimal("0.2"), Decimal("0.05")),
    Analyte.HAEMOGLOBIN: (Decimal("0.8"), Decimal("0.5"), Decimal("0.4")),
    Analyte.ALT: (Decimal(2), Decimal(5), Decimal(20)),
    Analyte.AST: (Decimal(2), Decimal(5), Decimal(20)),
    Analyte.BILIRUBIN: (Decimal(2), Decimal(3), Decimal(12)),
}


@functools.cache
def rulebook(sources: str) -> Rulebook:
    return Rulebook(loader.load(sources=Sources(sources)))


@functools.cache
def situation(name: str) -> Situation:
    return situation_of(CASES[name])


def worst(name: str, asked: Situation) -> int:
    assessment = rulebook(CASES[name].sources).assess(
        asked.state,
        at=asked.at,
        zone=asked.zone,
        selections=asked.selections,
        details_may_be_missing=asked.details_may_be_missing,
        occasion=asked.occasion,
    )
    return max((RANK[advice.indicator] for advice in assessment.advice), default=-1)


def with_toxicity(asked: Situation, place: int, record: ToxicityRecord) -> Situation:
    records = [*asked.state.toxicities]
    records[place] = record
    return dataclasses.replace(asked, state=dataclasses.replace(asked.state, toxicities=tuple(records)))


def graded(record: ToxicityRecord) -> Iterator[ToxicityRecord]:
    """The record with every grade from its own upwards: the first is as it is."""
    if record.ice_score is not None:
        for score in range(record.ice_score, -1, -1):
            yield dataclasses.replace(record, ice_score=score)
    elif record.grade is not NotRecorded:
        for value in range(record.grade.value, HIGHEST + 1):
            yield dataclasses.replace(record, grade=dataclasses.replace(record.grade, value=value))


WITH_TOXICITIES: Final = [name for name in NAMES if any(map(list, map(graded, situation(name).state.toxicities)))]


@pytest.mark.parametrize("name", WITH_TOXICITIES)
def test_a_higher_grade_never_makes_the_worst_indicator_milder(name: str) -> None:
    asked = situation(name)
    for place, record in enumerate(asked.state.toxicities):
        worse = [with_toxicity(asked, place, other) for other in graded(record)]
        ranks = [worst(name, one) for one in worse]
        assert ranks == sorted(ranks), f"{record.label}, {record.grade} and higher"


def with_lab(asked: Situation, place: int, result: LabResult) -> Situation:
    results = [*asked.state.labs]
    results[place] = result
    return dataclasses.replace(asked, state=dataclasses.replace(asked.state, labs=tuple(results)))


def graded_results(asked: Situation) -> list[int]:
    return [p for p, one in enumerate(asked.state.labs) if one.value is not None and one.analyte in WORSE_BY]


WITH_RESULTS: Final = [name for name in NAMES if graded_results(situation(name))]


@examples(ci=250, long=6_000)
@given(name=st.sampled_from(WITH_RESULTS), data=st.data())
def test_a_worse_result_never_makes_the_worst_indicator_milder(name: str, data: st.DataObject) -> None:
    asked = situation(name)
    place = data.draw(st.sampled_from(graded_results(asked)))
    result = asked.state.labs[place]
    assert result.value is not None
    factor = data.draw(st.sampled_from(WORSE_BY[result.analyte]))
    worse = dataclasses.replace(result, value=result.value * factor)
    assert worst(name, with_lab(asked, place, worse)) >= worst(name, asked), f"{result.analyte.value} times {factor}"
