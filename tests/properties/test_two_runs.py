"""The same call gets the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties.calls import CASES, NAMES, reply, request, request_text
from tests.properties.profiles import examples
from tests.vignettes.test_vignettes import application

ROOT = Path(__file__).parents[2]


@pytest.mark.conforms("C57", "C86")
@examples(ci=25, long=400)
@given(name=st.sampled_from(NAMES))
def test_two_calls_over_http_give_identical_bytes(name: str) -> None:
    case = CASES[name]
    web = application(case.now.isoformat(), case.timezone, case.sources)
    first, second = (
        web.test_client().post(
            f"/cds-services/{case.service}", data=request_text(name), content_type="application/json"
        )
        for _ in range(2)
    )
    assert first.get_data() == second.get_data()
    assert first.get_data() == reply(case, request(name))


def bytes_with_hash_seed(seed: str, names: list[str]) -> str:
    """The answers of a process of its own, in which sets and dicts of strings are ordered otherwise."""
    code = (
        "import sys; from tests.properties.calls import *\n"
        "for name in sys.argv[1:]: print(reply(CASES[name], request(name)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return ran.stdout


def test_two_processes_give_identical_bytes() -> None:
    names = list(NAMES[::12])
    first = bytes_with_hash_seed("1", names)
    assert first.count("\n") == len(names)
    assert first == bytes_with_hash_seed("2", names)
