"""How many calls of this project's functions one order-sign call makes: a measure that no busy machine disturbs.

`python -m bench.budget` writes bench/budget.json anew; tests/test_call_budget.py compares with it. Comprehensions are
not counted: whether they are calls depends on the version of Python.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

from flask.testing import FlaskClient

from app import build
from bench.patients import NOW, PATIENTS, ROOT
from cds_service.settings import read_settings

BUDGET: Final = Path(__file__).with_name("budget.json")
COUNTED: Final = ("small", "typical", "intensive care")
OURS: Final = tuple(str(ROOT / package) for package in ("cds_service", "fhir_mappings"))
PATH: Final = "/cds-services/tarlatamab-order-sign"


def client() -> FlaskClient:
    """The service in this process, on the day of the patients."""
    return build(read_settings({"CDS_NOW": NOW})).test_client()


def functions_called(service: FlaskClient, body: bytes) -> int:
    """The calls of our functions for this body, once what is kept is there. Raises: RuntimeError without cards."""
    _post(service, body)
    return _counted(lambda: _post(service, body))


def _post(service: FlaskClient, body: bytes) -> None:
    answer = service.post(PATH, data=body, content_type="application/json")
    if answer.status_code != 200 or not answer.get_json()["cards"]:
        raise RuntimeError(f"the call was answered with {answer.status_code}, or without cards")


def _counted(work: Callable[[], None]) -> int:
    number = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal number
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(OURS) and not code.co_name.startswith("<"):
            number += 1

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # what it lets go of when it comes by chance, and what that calls, belongs to nobody's call
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return number


def budget() -> Mapping[str, int]:
    """The numbers of the last time that they were written."""
    found: Mapping[str, int] = json.loads(BUDGET.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Count anew, and write it."""
    service = client()
    found = {name: functions_called(service, PATIENTS[name]()) for name in COUNTED}
    BUDGET.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
