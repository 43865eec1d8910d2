"""A file that a setting names, read as strictly as the knowledge: every value a text, one line for what is wrong.

`off` is off and 2.0 is "2.0" there; anchors, tags, unknown keys and keys that stand twice are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cds_service.errors import KnowledgeError, SettingError
from cds_service.knowledge.loader import Node, document

_Model = TypeVar("_Model", bound=BaseModel)


def parse(text: str, file: str, model: type[_Model], *, setting: str, context: Mapping[str, Any]) -> _Model:
    """What a file of this setting says.

    Raises: SettingError, one line with setting, file, line, place and what is expected there; never the value.
    """
    try:
        root = document(text, file)
        return model.model_validate(root.plain(), context=dict(context))
    except KnowledgeError as error:
        raise SettingError(f"{setting}: {error}") from None
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        place = [step for step in found["loc"] if step != "function-after"]
        said = found["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        named = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")
        where = f"{file}:{_line(root, place)}{f' {named}' if named else ''}"
        raise SettingError(f"{setting}: {where}: {said}") from None


def text_at(path: Path, *, setting: str) -> str:
    """The text of the file. Raises: SettingError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{setting}: {path.name} cannot be read: {type(error).__name__}") from None


def _line(node: Node, place: list[int | str]) -> int:
    """The line of this place, or of the nearest thing around it that is there."""
    for step in place:
        if isinstance(step, int) and isinstance(node.node, yaml.SequenceNode):
            node = node.items()[step]
        elif isinstance(node.node, yaml.MappingNode) and step in node.mapping():
            node = node.mapping()[str(step)]
    return node.line
