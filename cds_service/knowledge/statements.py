"""What the cited statements and differences say, for readers of the rows: paraphrases from statements.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

_TEXTS: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # that of libyaml, if it was built with it
FILE: Final = Path(__file__).with_name("statements.yaml")
DIFFERENCE: Final = "{topic}. Seed: {seed}. Label: {label}. Here: {behaviour}."


def paraphrases(file: Path = FILE) -> Mapping[str, str]:
    """By the number with which rows cite them: `S3`, `D-19`. Statements of the label are cited by table, not here."""
    sections = yaml.load(file.read_text(encoding="utf-8"), Loader=_TEXTS)["sections"]  # noqa: S506 - it makes texts only
    return {
        statement["id"]: _text(statement, section)
        for section in sections
        if section["source"] in {"seed", "differences"}
        for statement in section["statements"]
    }


def _text(statement: Mapping[str, str], section: Mapping[str, Any]) -> str:
    text = DIFFERENCE.format(**statement) if section["source"] == "differences" else statement["text"]
    return text.replace("**", "").replace("▲", "(more cautious) ")
