"""What others are told of the log, and how far that came."""

import sqlalchemy as sa
from alembic import op

revision = "0004_outbox"
down_revision = "0003_appeals"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "targets",
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("next", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("target"),
    )
    op.create_table(
        "deliveries",
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("event", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due", sa.String(20), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("made", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("target", "event"),
    )
    op.create_index("deliveries_by_state", "deliveries", ["state", "target", "due"])
