"""The tables of version 0.1.0, which made them itself: what is there already stays as it is."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "card_shown",
        sa.Column("client", sa.Text(), primary_key=True),
        sa.Column("card", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("service", "hook", "leading_row", "topic")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("action", "indicator", "knowledge")),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "feedback",
        sa.Column("key", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("client", "service", "card", "outcome")),
        sa.Column("outcome_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("suggestions", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in ("reason_system", "reason_code", "reason_display")),
        *(sa.Column(name, sa.Text()) for name in ("comment", "extension")),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        if_not_exists=True,
    )
    op.create_index("feedback_card", "feedback", ["client", "card"], if_not_exists=True)
    op.create_table(
        "feedback_rejected",
        sa.Column("key", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("client", "service", "mistake", "entry")),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        if_not_exists=True,
    )
