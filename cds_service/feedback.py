"""What clinicians did with cards: the body of a feedback call, read entry by entry.

Liberal: codes we never issued, no `display`, no `system`, card ids that are no UUIDs, Epic's `overrideReasons`, and
whatever else a client adds (C88-C94). An entry that still cannot be read is kept as `Rejected`, never dropped.
`userComment` and every other free text may name a patient: they go into the store and nowhere else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import AliasChoices, BeforeValidator, Field, ValidationError, model_validator

from cds_service import wire
from cds_service.errors import Mistake, RequestError

EPIC_REASON: Final = "com.epic.cdshooks.feedback.overrideReason.reasonDisplay"
"""Where Epic puts a reason that the site, not the service, offered."""

LONGEST_KEPT: Final = 4_000
"""Characters kept of an entry that cannot be read."""

MISTAKES: Final[Mapping[str, str]] = {
    "entry": "must be an object",
    "card": "must be a text of 1 to 256 characters",
    "outcome": "must be accepted or overridden",
    "outcomeTimestamp": "must be a moment as in RFC 3339",
    "acceptedSuggestions": "must be a list of objects with an id",
    "overrideReason": "must be an object with a reason or a userComment",
}
"""The kinds of mistakes in an entry, and what is said of each."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII)


def _storable(value: object) -> object:
    """No database of ours takes NUL in a text."""
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def _text(value: object) -> object:
    """A text; a number is one too, for systems whose codes are numbers."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return _storable(str(value)) if is_number else _storable(value)


def _uuid_in_small_letters(value: object) -> object:
    return value.lower() if isinstance(value, str) and _UUID.fullmatch(value) else value


def _in_small_letters(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _moment(value: object) -> datetime:
    """The moment in UTC, which is also what one without an offset means (C88)."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value.strip()):
        raise ValueError("no moment")
    moment = datetime.fromisoformat(value.strip().upper())
    if not 1900 <= moment.year <= 2200:
        raise ValueError("no time in which a card was shown")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _list(value: object) -> object:
    return () if value is None else [value] if isinstance(value, dict | str) else value


def _first(value: object) -> object:
    return (value[0] if value else None) if isinstance(value, list) else value


Id = Annotated[wire.Bounded, BeforeValidator(_uuid_in_small_letters), BeforeValidator(_text)]
FreeText = Annotated[str, BeforeValidator(_text)]


class AcceptedSuggestion(wire.Incoming):
    id: Id

    @model_validator(mode="before")
    @classmethod
    def _a_bare_id_is_one_too(cls, value: Any) -> Any:
        return {"id": value} if isinstance(value, str) else value


class ChosenReason(wire.Incoming):
    """A Coding; a bare code and a CodeableConcept are read as one."""

    code: FreeText | None = None
    system: FreeText | None = None
    display: FreeText | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_a_coding(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"code": value}
        if isinstance(value, dict) and "coding" in value:
            coding = _first(value["coding"])
            return {"display": value.get("text"), **coding} if isinstance(coding, dict) else coding
        return value


class OverrideReason(wire.Incoming):
    reason: Annotated[ChosenReason | None, BeforeValidator(_first)] = None
    user_comment: FreeText | None = Field(default=None, repr=False)
    extension: Any = Field(default=None, repr=False)

    def chosen(self) -> ChosenReason:
        """The reason, or the one that Epic names in its extension; with nothing in it where there is none."""
        if (
            self.reason is None
            and isinstance(self.extension, dict)
            and isinstance(self.extension.get(EPIC_REASON), str)
        ):
            return ChosenReason(display=self.extension[EPIC_REASON])
        return self.reason or ChosenReason()


class Feedback(wire.Incoming):
    """One entry that could be read. `outcome_timestamp` is in UTC. An acceptance may name no suggestion."""

    card: Id
    outcome: Annotated[Literal["accepted", "overridden"], BeforeValidator(_in_small_letters)]
    outcome_timestamp: Annotated[datetime, BeforeValidator(_moment)]
    accepted_suggestions: Annotated[tuple[AcceptedSuggestion, ...], BeforeValidator(_list)] = ()
    override_reason: Annotated[OverrideReason | None, BeforeValidator(_first)] = Field(
        default=None, validation_alias=AliasChoices("overrideReason", "overrideReasons")
    )

    @property
    def suggestions(self) -> tuple[str, ...]:
        """The ids of the accepted suggestions, each once, in one order."""
        return tuple(sorted({suggestion.id for suggestion in self.accepted_suggestions}))

    def key(self, client: str) -> str:
        """The same for a repeat of the same act: this client's card, outcome, moment and suggestions (C89)."""
        return digest(client, self.card, self.outcome, self.outcome_timestamp.isoformat(), *self.suggestions)


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """An entry that cannot be read: the kind of mistake, where it stands, and the entry as JSON text, bounded."""

    mistake: str
    path: str
    entry: str = field(repr=False)

    def key(self, client: str) -> str:
        """The same for a repeat of the same entry."""
        return digest(client, self.mistake, self.entry)

    def __str__(self) -> str:
        return f"{self.path}: {MISTAKES[self.mistake]}"


def digest(*parts: str) -> str:
    """A short name for these texts together."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def read(body: bytes) -> tuple[Feedback | Rejected, ...]:
    """The entries of a feedback call, in their order.

    Raises: RequestError where the body is not one JSON object with a list `feedback`.
    """
    envelope = wire.decode(body)
    if "feedback" not in envelope:
        raise RequestError(Mistake(path="feedback", what="required, and missing"))
    if not isinstance(envelope["feedback"], list):
        raise RequestError(Mistake(path="feedback", what="must be a list"))
    return tuple(_entry(entry, f"feedback[{number}]") for number, entry in enumerate(envelope["feedback"]))


def _entry(entry: object, path: str) -> Feedback | Rejected:
    if not isinstance(entry, dict):
        return Rejected(mistake="entry", path=path, entry=as_text(entry)[:LONGEST_KEPT])
    try:
        return Feedback.model_validate({name: value for name, value in entry.items() if value is not None})
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        named = str(found[0]["loc"][0]).replace("overrideReasons", "overrideReason")
        return Rejected(mistake=named, path=f"{path}.{named}", entry=as_text(entry)[:LONGEST_KEPT])


def as_text(value: object) -> str:
    """The value as JSON text."""
    return msgspec.json.encode(value).decode()
