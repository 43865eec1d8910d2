"""What one order-sign call costs in measures that no busy machine disturbs: calls of functions, memory left behind.

`python -m bench.budget` writes the calls to bench/budget.json anew; tests/test_call_budget.py compares with it.
Comprehensions are not counted: whether they are calls depends on the version of Python.
"""

from __future__ import annotations

import argparse
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
    post(service, body)
    return _counted(lambda: post(service, body))


def blocks_left_behind(work: Callable[[], None], *, times: int) -> int:
    """How many blocks of Python's memory so many runs leave in use, after as many for what is kept on purpose."""
    for _ in range(times):
        work()
    before = _blocks_in_use()
    for _ in range(times):
        work()
    return _blocks_in_use() - before


def _blocks_in_use() -> int:
    gc.collect()
    return sys.getallocatedblocks()


def post(service: FlaskClient, body: bytes) -> None:
    """One call. Raises: RuntimeError without cards."""
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
    argparse.ArgumentParser(prog="bench.budget", description=__doc__).parse_args()
    service = client()
    found = {name: functions_called(service, PATIENTS[name]()) for name in COUNTED}
    BUDGET.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
