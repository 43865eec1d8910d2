"""A field that is blanked never turns advice into silence (clinical-rules.md, What may never happen, point 3).

What may be silent stands in `silent_blanks.yaml`, each with its reason. `python -m tests.properties` tries all blanks.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties.blanks import (
    WAYS,
    Allowed,
    Blank,
    blanks,
    exceptions,
    facts,
    is_place,
    silenced,
    unexpected,
    with_facts,
)
from tests.properties.profiles import examples


@examples(ci=400, long=20_000)
@given(data=st.data())
def test_a_blanked_field_never_turns_advice_into_silence(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(with_facts()))
    resource = data.draw(st.sampled_from(sorted(facts(case))))
    path = data.draw(st.sampled_from(facts(case)[resource]))
    blank = Blank(case=case, resource=resource, path=path, way=data.draw(st.sampled_from(sorted(WAYS))))
    assert unexpected(blank) == ""


@pytest.mark.parametrize("allowed", exceptions(), ids=lambda allowed: allowed.places[0])
def test_every_exception_occurs_in_its_example_for_each_of_its_ways(allowed: Allowed) -> None:
    concerned = [blank for blank in blanks(allowed.example) if allowed.is_about(blank)]
    silent = {blank.way for blank in concerned if (topics := silenced(blank)) and allowed.allows(blank, topics)}
    assert silent == set(allowed.ways)
    assert len(allowed.reason) > 20


@pytest.mark.parametrize(
    ("pattern", "place", "expected"),
    [
        ("Condition.code", "Condition.code", True),
        ("Condition.code", "Condition.code.text", False),
        ("Condition.code…", "Condition.code.text", True),
        ("Condition.code…", "Condition.codes", False),
        ("*.resourceType", "Observation.resourceType", True),
        ("Observation.component.[*]", "Observation.component.*", True),
        ("Observation.component.[*]", "Observation.component.*.code", False),
    ],
)
def test_a_place_is_matched_as_a_whole(pattern: str, place: str, expected: bool) -> None:
    assert is_place(place, pattern) is expected
