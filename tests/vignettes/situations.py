"""The vignettes as facts, read once through the service's own reading: for whoever asks the rules many times."""

from __future__ import annotations

import functools
import json
from typing import Final

from cds_service import wire
from cds_service.engine.rulebook import Rulebook
from cds_service.fhir_client import FhirClient
from cds_service.knowledge import loader
from cds_service.knowledge.regimen import Sources
from cds_service.services import OCCASIONS, DrugReview
from cds_service.situations import Situation
from fhir_mappings import treatment_state
from tests.vignettes.build import Case, load_vignettes

BUDGET_MS: Final = 1_000
"""For no read: everything a vignette needs is prefetched."""


@functools.cache
def _rulebook(sources: Sources) -> Rulebook:
    return Rulebook(loader.load(sources=sources))


def situation_of(case: Case) -> Situation:
    """The facts of a vignette's call."""
    call = wire.read_request(json.dumps(case.request()).encode(), case.hook)
    zone, is_select = case.clock.zone, case.hook == "order-select"
    with FhirClient(budget_ms=BUDGET_MS) as fhir:
        rulebook = _rulebook(Sources(case.sources))
        review = DrugReview(rulebook=rulebook, fhir=fhir, zone=zone, clock=lambda: case.now)
        chart = review.chart(call, details_may_be_missing=is_select)
    return Situation(
        words=f"{case.id}: {case.question} {case.says}".strip(),
        state=treatment_state.read(chart, zone=zone, at=case.now.astimezone(zone)),
        at=case.now,
        zone=zone,
        selections=chart.selections,
        details_may_be_missing=is_select,
        occasion=OCCASIONS[case.hook],
    )


def situations(sources: Sources) -> list[Situation]:
    """Those of all vignettes of these sources."""
    return [situation_of(case) for case in load_vignettes() if case.sources == sources.value]
