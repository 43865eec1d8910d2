"""The indexes by which the quality page finds the cards and the feedback of a period."""

from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    op.create_index("card_shown_shown_at", "card_shown", ["shown_at"])
    op.create_index("feedback_received_at", "feedback", ["received_at"])
