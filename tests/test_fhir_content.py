"""Every fixture, example and value set is FHIR R4, by two validators that know nothing of each other.

fhir.resources checks types and cardinalities of R4B, fhirkit those of R4 with the path of every problem.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import fhirkit
import pytest
from fhir.resources import get_fhir_model_class as r5_model
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.STU3 import get_fhir_model_class as stu3_model
from pydantic import ValidationError

from tests.support.fhir_versions import written_in
from tests.vignettes.build import Case, load_vignettes

ROOT: Final = Path(__file__).parents[1]
EXAMPLES: Final = sorted(path for path in (ROOT / "examples").glob("*.json") if not path.stem.endswith("-dstu2"))
VALUE_SETS: Final = sorted((ROOT / "fhir_mappings" / "valuesets").glob("*.json"))


def problems(resource: Mapping[str, Any]) -> list[str]:
    """What either validator has against a resource."""
    found = [str(issue) for issue in fhirkit.validate(dict(resource))]
    try:
        get_fhir_model_class(str(resource["resourceType"])).model_validate(resource)
    except ValidationError as error:
        found += [str(one["loc"]) for one in error.errors()]
    return found


def resources_of(call: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield call["context"]["draftOrders"]
    yield from (value for value in call["prefetch"].values() if value is not None)


@pytest.mark.parametrize("case", load_vignettes(), ids=lambda case: str(case.id))
def test_every_resource_of_a_vignette_is_fhir(case: Case) -> None:
    for resource in (*case.resources(), *case.drafts()):
        if "resourceType" in resource:  # a vignette about entries that are none has them
            assert problems(resource) == [], resource


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.stem))
def test_every_resource_of_an_example_is_fhir(path: Path) -> None:
    for resource in resources_of(json.loads(path.read_text(encoding="utf-8"))):
        assert problems(resource) == []


@pytest.mark.parametrize("path", VALUE_SETS, ids=lambda path: str(path.stem))
def test_every_value_set_is_fhir(path: Path) -> None:
    assert problems(json.loads(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(("version", "model"), [("STU3", stu3_model), ("R5", r5_model)])
def test_the_vignettes_in_another_version_of_fhir_are_resources_of_that_version(
    version: str, model: Callable[[str], Any]
) -> None:
    """One of each type and set of elements; what a vignette leaves out on purpose is left out."""
    written = [
        written_in(version, resource)
        for case in load_vignettes()
        for resource in (*case.resources(), *case.drafts())
        if "resourceType" in resource
    ]
    of_each_shape = {(resource["resourceType"], *sorted(resource)): resource for resource in written}
    assert len(of_each_shape) > 20
    for resource in of_each_shape.values():
        if resource["resourceType"] != "Condition" or "clinicalStatus" in resource:  # R5 requires it
            model(resource["resourceType"]).model_validate(resource)


def test_both_validators_refuse_what_is_none() -> None:
    wrong = {"resourceType": "Observation", "status": "final", "valueString": "x"}
    assert problems(wrong) == ["error at Observation.code: required element missing", "('code',)"]
