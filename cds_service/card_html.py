"""Cards as a prescriber sees them: the Markdown of a detail as HTML, in which nothing of a record can be markup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from markdown_it import MarkdownIt
from markupsafe import Markup

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False})
"""Raw HTML stays text, and a link leads only where a browser may safely go."""


def detail(card: Mapping[str, Any]) -> Markup:
    """The detail of a card (as in the response's JSON); empty where it has none."""
    return Markup(_MARKDOWN.render(card.get("detail", "")))  # noqa: S704 - made of escaped text by the line above
