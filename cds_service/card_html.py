"""Cards as a prescriber sees them: the Markdown of a detail as HTML, in which nothing of a record can be markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from markdown_it import MarkdownIt
from markupsafe import Markup

from cds_service.errors import Mistake, RequestError, TooMuch

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False})
"""Raw HTML stays text, and a link leads only where a browser may safely go."""

MOST_DRAWN: Final = 200
"""Cards, or suggestions or reasons of one."""

MOST_OF_DETAILS: Final = 50_000
"""Characters of all details that are posted together; those of the demonstration have 2,200. Markdown made to be slow
takes the square of its length: so many take a second.
"""


def detail(card: Mapping[str, Any]) -> Markup:
    """The detail of a card (as in the response's JSON); empty where it has none."""
    return Markup(_MARKDOWN.render(card.get("detail", "")))  # noqa: S704 - made of escaped text by the line above


# --- posted cards ------------------------------------------------------------------------------------------------


class _Source(msgspec.Struct):
    label: str
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/]")] | None = None


class _Suggestion(msgspec.Struct, rename="camel"):
    label: str
    uuid: str
    is_recommended: bool = False


class _Reason(msgspec.Struct):
    code: str
    system: str
    display: str


class _Card(msgspec.Struct, rename="camel"):
    """What a drawn card shows of a card."""

    uuid: str
    summary: str
    indicator: Literal["info", "warning", "critical"]
    source: _Source
    detail: str = ""
    suggestions: Annotated[tuple[_Suggestion, ...], msgspec.Meta(max_length=MOST_DRAWN)] = ()
    override_reasons: Annotated[tuple[_Reason, ...], msgspec.Meta(max_length=MOST_DRAWN)] = ()


class _Posted(msgspec.Struct):
    cards: Annotated[tuple[_Card, ...], msgspec.Meta(max_length=MOST_DRAWN)]


def read(body: bytes) -> Sequence[Mapping[str, Any]]:
    """The cards of a posted `{"cards": [...]}`, with what is drawn of them. Raises: RequestError, TooMuch."""
    try:
        posted = msgspec.json.decode(body, type=_Posted)
    except (msgspec.MsgspecError, ValueError):
        raise RequestError(Mistake(path="cards", what="must be cards as this service answers them")) from None
    if sum(len(card.detail) for card in posted.cards) > MOST_OF_DETAILS:
        raise TooMuch(Mistake(path="cards", what=f"the details have more than {MOST_OF_DETAILS:,} characters"))
    cards: Sequence[Mapping[str, Any]] = msgspec.to_builtins(posted.cards)
    return cards
