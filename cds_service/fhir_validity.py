"""What fhir.resources has against a resource that is about to go out. Only the verdict is used, never its dump."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel, ValidationError

MODELS: Final[Mapping[str, type[BaseModel]]] = {
    name: get_fhir_model_class(name) for name in ("MedicationRequest", "ServiceRequest")
}
"""The types that we create or change. R4B has R4's elements of these."""


def problems(resource: Mapping[str, Any]) -> frozenset[str] | None:
    """Where the resource is no FHIR R4, and how; empty where it is. None for a type that we neither create nor change.

    The places and kinds of the problems, never what stands there.
    """
    model = MODELS.get(str(resource.get("resourceType")))
    if model is None:
        return None
    try:
        model.model_validate(resource)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        return frozenset(f"{'.'.join(map(str, one['loc']))}: {one['type']}" for one in found)
    return frozenset()


def adds_no_problem(changed: Mapping[str, Any], received: Mapping[str, Any]) -> bool:
    """Whether a changed resource is as valid as it came: what a client's own members break is not ours to mend."""
    after = problems(changed)
    if not after:
        return after is not None
    before = problems(received)
    return before is not None and after <= before
