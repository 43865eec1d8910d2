import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.test_bootstrap_app import serving


@dataclass(frozen=True)
class Running:
    """A service in a process of its own."""

    base: str


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(CDS_NOW="2026-01-20T09:00:00Z", CDS_FHIR_BUDGET_MS="50") as (base, process):
        assert process.stderr is not None
        threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop the service
        yield Running(base)
