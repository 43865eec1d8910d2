"""Two versions of the knowledge are compared on a vignette at the vignette's own moment."""

from __future__ import annotations

import pytest

from cds_service.comparison import said_in
from cds_service.engine.rulebook import Rulebook
from cds_service.knowledge.regimen import Sources
from tests.traceability.statements import whole_knowledge
from tests.vignettes.build import load_vignettes
from tests.vignettes.situations import situation_of

CASES = {case.id: case for case in load_vignettes()}


@pytest.mark.parametrize(
    ("vignette", "kinds"),
    [
        ("V100a", ("info course: status",)),
        ("V105d", ("warning schedule: rebook",)),
        ("V31", ("info monitoring: monitor",)),
    ],
)
def test_a_chart_that_is_opened_or_an_infusion_that_is_booked_is_not_asked_about_as_an_order(
    vignette: str, kinds: tuple[str, ...]
) -> None:
    rulebook = Rulebook(whole_knowledge().under(Sources.SEED_AND_LABEL))
    assert said_in(situation_of(CASES[vignette]), rulebook).kinds == kinds
