"""What was decided at each call, and which tokens were used."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    op.create_table(
        "decision",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("client", "service", "hook_instance")),
        sa.Column("status", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("knowledge", "row_ids", "unknowns")),
        sa.Column("milliseconds", sa.Float(), nullable=False),
    )
    op.create_index("decision_hook_instance", "decision", ["hook_instance"])
    op.create_index("decision_decided_at", "decision", ["decided_at"])
    op.create_table(
        "decision_card",
        sa.Column("decision", sa.Text(), primary_key=True),
        sa.Column("card", sa.Text(), primary_key=True),
    )
    op.create_index("decision_card_card", "decision_card", ["card"])
    op.create_table(
        "token_seen",
        sa.Column("client", sa.Text(), primary_key=True),
        sa.Column("jti", sa.Text(), primary_key=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("token_seen_expires_at", "token_seen", ["expires_at"])
