"""The stand-in authorization server in front of the real FHIR server, with the records of three patients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.smart import stand_in
from tests.smart.stand_in import StandIn
from tests.support.fhir_server import RealFhirServer, fhir_server
from tests.vignettes.build import Case, load_vignettes

__all__ = ["fhir_server"]

CASES: Final = {case.id: case for case in load_vignettes()}
COURSE: Final = "V100a"
STOPPED: Final = "V19"
NOBODY: Final = "no-drug-1"


def case(name: str) -> Case:
    return CASES[name]


def person(patient_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": patient_id,
        "name": [{"use": "official", "family": "Example", "given": ["Erika"]}],
        "birthDate": "1957-03-04",
    } | changes


@pytest.fixture(scope="session")
def loaded(fhir_server: RealFhirServer) -> RealFhirServer:
    for name in (COURSE, STOPPED):
        fhir_server.load([*case(name).resources(), person(case(name).patient_id)])
    fhir_server.load([person(NOBODY)])
    return fhir_server


@pytest.fixture(scope="session")
def started(loaded: RealFhirServer) -> Iterator[StandIn]:
    with stand_in.running(loaded) as server:
        yield server


@pytest.fixture
def ehr(started: StandIn) -> Iterator[StandIn]:
    """The stand-in, which knows nothing of earlier tests."""
    yield started
    started.as_at_first()
