"""Writes cds_service/demonstration/patients.json from the vignettes: `python -m tests.demonstration`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from cds_service.demonstration.patients import FILE
from tests.vignettes.build import Case, load_vignettes

CHOSEN: Final = Path(__file__).with_suffix(".yaml")


@cache
def cases() -> Mapping[str, Case]:
    """The vignettes by their names."""
    return {case.id: case for case in load_vignettes()}


def chosen() -> Iterator[tuple[str, str, str]]:
    """Group, vignette and name of each example."""
    for group in yaml.safe_load(CHOSEN.read_text(encoding="utf-8")):
        for vignette, name in group["patients"].items():
            yield group["group"], vignette, name


def example(group: str, vignette: str, name: str) -> dict[str, Any]:
    case = cases()[vignette]
    record = [dict(resource) for resource in case.resources()]
    record[0]["name"] = [{"text": name}]
    return {
        "id": case.patient_id,
        "group": group,
        "name": name,
        "question": case.question,
        "hook": case.hook,
        "day": case.now.date().isoformat(),
        "drafts": case.drafts(),
        "visits": case.visits(),
        "record": record,
    }


def text() -> str:
    """The file as it should be: one resource a line."""
    return "[\n" + ",\n".join(_lines(example(*one)) for one in chosen()) + "\n]\n"


def _lines(said: Mapping[str, Any]) -> str:
    parts = []
    for name, value in said.items():
        if isinstance(value, list) and value:
            inner = ",\n   ".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in value)
            parts.append(f'  "{name}": [\n   {inner}\n  ]')
        else:
            parts.append(f'  "{name}": {json.dumps(value, ensure_ascii=False)}')
    return " {\n" + ",\n".join(parts) + "\n }"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
