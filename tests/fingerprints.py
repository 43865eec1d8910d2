"""Whole answers, so that a test that looks at one card also notices what becomes of all the others.

While a test of the engine or of the FHIR mappings runs, every whole answer it asked for is noted; afterwards their
fingerprint is compared with the one in `fingerprints.txt`. A test says what must be so; the fingerprint says that
nothing else changed either. After a change that is meant: read it on the pages of the vignettes, then

    python -m pytest tests/engine tests/fhir_mappings --write-fingerprints
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import pytest

FILE: Final = Path(__file__).with_name("fingerprints.txt")
_noted: list[object] = []


def note(answer: object) -> None:
    """Count this answer to the fingerprint of the running test."""
    _noted.append(answer)


def plain(value: object) -> object:
    """The value in a form whose text is the same in every process."""
    if isinstance(value, Enum):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, [(field.name, plain(getattr(value, field.name))) for field in fields(value)]
    if isinstance(value, Mapping):
        return [(plain(key), plain(member)) for key, member in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(repr(plain(member)) for member in value)
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    return value


def _known() -> dict[str, str]:
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.is_file() else []
    return {test: print_ for print_, _, test in (line.partition(" ") for line in lines)}


KNOWN: Final = _known()
_written: dict[str, str] = {}


@pytest.fixture(autouse=True)
def nothing_else_has_changed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare, or write, the fingerprint of the whole answers of this test."""
    _noted.clear()
    yield
    if _noted:
        found = hashlib.sha256(repr(plain(_noted)).encode()).hexdigest()[:16]
        if request.config.getoption("--write-fingerprints"):
            _written[request.node.nodeid] = found
        elif request.node.nodeid not in KNOWN:
            pytest.fail("this test has no fingerprint yet: run it with --write-fingerprints", pytrace=False)
        elif found != KNOWN[request.node.nodeid]:
            why = "an answer has changed in a part that this test does not look at: tests/fingerprints.py"
            pytest.fail(why, pytrace=False)


def write() -> None:
    """Keep the fingerprints of the tests that ran."""
    if _written:
        folders = {test.split("/")[1] for test in _written}
        kept = {test: known for test, known in KNOWN.items() if test.split("/")[1] not in folders}
        lines = [f"{found} {test}" for test, found in sorted((kept | _written).items())]
        FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
