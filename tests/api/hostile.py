"""Calls that keep the schema and are hostile all the same: the vignettes' requests with random parts.

Generated from the schema alone, a call hardly ever orders the drug, and so never reaches the rules.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, Final

from hypothesis import strategies as st

from tests.vignettes.build import load_vignettes

JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=8), parts, max_size=3),
    max_leaves=6,
)
KNOWN: Final = st.sampled_from(
    [
        "",
        " ",
        "tarlatamab",
        "<script>alert(1)</script>",
        "[x](javascript:y)",
        "1e999",
        "10 mg",
        "2026-01",
        "2026-02-30",
        "9999-12-31T23:59:60Z",
        "0001-01-01",
        "Patient/other",
        "#contained",
        "MedicationRequest/",
        "x" * 5_000,
        -1,
        0,
        10**30,
        1e-300,
        [],
        {},
        [[[[]]]],
        {"resourceType": "OperationOutcome", "issue": [{"severity": "fatal"}]},
        {"resourceType": "Bundle", "entry": [None, 7, {"resource": []}]},
        {"value": 10, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"},
    ]
)
REQUESTS: Final = tuple(json.dumps(case.request()) for case in load_vignettes())
FREE: Final = (("context", "draftOrders", "entry"), ("prefetch",))
"""The parts of a call that hold FHIR, which the schema leaves open."""

Place = tuple[Any, Any]


def places(value: Any) -> Iterator[Place]:
    """Every member of every object and list in it: its holder and its name or index."""
    steps: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    for step in steps:
        yield value, step
        if isinstance(value[step], dict | list):
            yield from places(value[step])


@st.composite
def hostile_calls(draw: st.DrawFn) -> dict[str, Any]:
    """A vignette's call, up to six places in its FHIR taken away, replaced, or doubled."""
    call: dict[str, Any] = json.loads(draw(st.sampled_from(REQUESTS)))
    for _ in range(draw(st.integers(1, 6))):
        found = [place for path in FREE for place in places(inside(call, path))]
        if not found:
            break
        holder, step = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "known", "remove", "double", "move"])):
            case "replace":
                holder[step] = draw(JSON)
            case "known":
                holder[step] = copy.deepcopy(draw(KNOWN))
            case "remove":
                del holder[step]
            case "double":
                holder[step] = [copy.deepcopy(holder[step])] * 2
            case "move":
                other, there = draw(st.sampled_from(found))
                holder[step] = copy.deepcopy(other[there])
    return call


def inside(call: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = call
    for step in path:
        value = value.get(step, {})
    return value
