"""The tables of the store as the code sees them; `cds_service/migrations/` makes them. They agree, or a test fails.

Texts are unbounded and times are in UTC, so that every database takes them alike. No table holds anything of a
patient, but `comment`, `extension` and `entry` are a client's free text and may.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, DateTime, Float, Index, Integer, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

METADATA: Final = MetaData()
"""All tables. They are plain ones: nothing here is mapped to objects, and that part of SQLAlchemy costs 6 MB."""

MOMENT: Final = DateTime(timezone=True)


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _said(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = Text) -> Column[Any]:
    return Column(name, kind, nullable=False)


DECISION: Final = Table(
    "decision",
    METADATA,
    _key("id"),
    _said("decided_at", MOMENT),
    _said("client"),
    _said("service"),
    _said("hook_instance"),
    _said("status", Integer),
    _said("knowledge"),
    _said("row_ids"),
    _said("unknowns"),
    _said("milliseconds", Float),
    Index("decision_hook_instance", "hook_instance"),
    Index("decision_decided_at", "decided_at"),
)
"""One call and what was decided: also one without cards, and one that failed (by its `status`).

`row_ids` is a JSON list, `unknowns` a JSON object of kinds and their numbers.
"""

DECISION_CARD: Final = Table(
    "decision_card",
    METADATA,
    _key("decision"),
    _key("card"),
    Index("decision_card_card", "card"),
)
"""A card that a decision sent. A retry of a call is a decision of its own with the same cards."""

CARD_SHOWN: Final = Table(
    "card_shown",
    METADATA,
    _key("client"),
    _key("card"),
    _said("service"),
    _said("hook"),
    _said("leading_row"),
    _said("topic"),
    _said("action"),
    _said("indicator"),
    _said("knowledge"),
    _said("shown_at", MOMENT),
    Index("card_shown_shown_at", "shown_at"),
)
"""A card that was sent, once for all retries of its call."""

FEEDBACK: Final = Table(
    "feedback",
    METADATA,
    _key("key"),
    _said("client"),
    _said("service"),
    _said("card"),
    _said("outcome"),
    _said("outcome_at", MOMENT),
    _said("suggestions"),
    Column("reason_system", Text),
    Column("reason_code", Text),
    Column("reason_display", Text),
    Column("comment", Text),
    Column("extension", Text),
    _said("received_at", MOMENT),
    Index("feedback_card", "client", "card"),
    Index("feedback_received_at", "received_at"),
)
"""What was done with a card, known or not; `key` is a digest of client, card, outcome, moment and suggestions."""

FEEDBACK_REJECTED: Final = Table(
    "feedback_rejected",
    METADATA,
    _key("key"),
    _said("client"),
    _said("service"),
    _said("mistake"),
    _said("entry"),
    _said("received_at", MOMENT),
)
"""An entry that could not be read, and the kind of mistake in it."""

TOKEN_SEEN: Final = Table(
    "token_seen",
    METADATA,
    _key("client"),
    _key("jti"),
    _said("expires_at", MOMENT),
    Index("token_seen_expires_at", "expires_at"),
)
"""A client's token that was used, until it expires: the second use is a replay (C105)."""
