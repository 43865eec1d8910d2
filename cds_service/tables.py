"""The tables of the store as the code sees them; `cds_service/migrations/` makes them. They agree, or a test fails.

Texts are unbounded and times are in UTC, so that every database takes them alike. No table holds anything of a
patient, but `comment`, `extension` and `entry` are a client's free text and may.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, Float, Index, Integer, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    """All tables are in its `metadata`."""


class DecisionMade(Table):
    """One call and what was decided: also one without cards, and one that failed (by its `status`).

    `row_ids` is a JSON list, `unknowns` a JSON object of kinds and their numbers.
    """

    __tablename__ = "decision"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    decided_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    client: Mapped[str] = mapped_column(Text)
    service: Mapped[str] = mapped_column(Text)
    hook_instance: Mapped[str] = mapped_column(Text)
    status: Mapped[int] = mapped_column(Integer)
    knowledge: Mapped[str] = mapped_column(Text)
    row_ids: Mapped[str] = mapped_column(Text)
    unknowns: Mapped[str] = mapped_column(Text)
    milliseconds: Mapped[float] = mapped_column(Float)
    __table_args__ = (Index("decision_hook_instance", "hook_instance"), Index("decision_decided_at", "decided_at"))


class DecisionCard(Table):
    """A card that a decision sent. A retry of a call is a decision of its own with the same cards."""

    __tablename__ = "decision_card"
    decision: Mapped[str] = mapped_column(Text, primary_key=True)
    card: Mapped[str] = mapped_column(Text, primary_key=True)
    __table_args__ = (Index("decision_card_card", "card"),)


class CardShown(Table):
    """A card that was sent, once for all retries of its call."""

    __tablename__ = "card_shown"
    client: Mapped[str] = mapped_column(Text, primary_key=True)
    card: Mapped[str] = mapped_column(Text, primary_key=True)
    service: Mapped[str] = mapped_column(Text)
    hook: Mapped[str] = mapped_column(Text)
    leading_row: Mapped[str] = mapped_column(Text)
    topic: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    indicator: Mapped[str] = mapped_column(Text)
    knowledge: Mapped[str] = mapped_column(Text)
    shown_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    __table_args__ = (Index("card_shown_shown_at", "shown_at"),)


class FeedbackGiven(Table):
    """What was done with a card, known or not; `key` is a digest of client, card, outcome, moment and suggestions."""

    __tablename__ = "feedback"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    client: Mapped[str] = mapped_column(Text)
    service: Mapped[str] = mapped_column(Text)
    card: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    outcome_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    suggestions: Mapped[str] = mapped_column(Text)
    reason_system: Mapped[str | None] = mapped_column(Text)
    reason_code: Mapped[str | None] = mapped_column(Text)
    reason_display: Mapped[str | None] = mapped_column(Text)
    comment: Mapped[str | None] = mapped_column(Text)
    extension: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    __table_args__ = (Index("feedback_card", "client", "card"), Index("feedback_received_at", "received_at"))


class FeedbackRejected(Table):
    """An entry that could not be read, and the kind of mistake in it."""

    __tablename__ = "feedback_rejected"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    client: Mapped[str] = mapped_column(Text)
    service: Mapped[str] = mapped_column(Text)
    mistake: Mapped[str] = mapped_column(Text)
    entry: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class TokenSeen(Table):
    """A client's token that was used, until it expires: the second use is a replay (C105)."""

    __tablename__ = "token_seen"
    client: Mapped[str] = mapped_column(Text, primary_key=True)
    jti: Mapped[str] = mapped_column(Text, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    __table_args__ = (Index("token_seen_expires_at", "expires_at"),)
