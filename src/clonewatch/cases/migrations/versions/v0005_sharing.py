"""What other providers are told, and what they tell."""

import sqlalchemy as sa
from alembic import op

revision = "0005_sharing"
down_revision = "0004_outbox"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "shared",
        sa.Column("direction", sa.String(4), nullable=False),
        sa.Column("document", sa.String(36), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(16), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("peer", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("request", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(20), nullable=False),
        sa.Column("until", sa.String(10), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["entries.number"]),
        sa.PrimaryKeyConstraint("direction", "document", "revision"),
    )
    op.create_index("shared_by_case", "shared", ["case_id"])
    op.create_index("shared_by_peer", "shared", ["peer"])
    op.create_table(
        "heard",
        sa.Column("document", sa.String(36), nullable=False),
        sa.Column("indicator", sa.String(36), nullable=False),
        sa.Column("peer", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("until", sa.String(10), nullable=False),
        sa.Column("confidence", sa.Integer(), nullable=False),
        sa.Column("withdrawn", sa.String(64), nullable=False),
        sa.Column("warned", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("document", "indicator"),
    )
    op.create_index("heard_by_kind", "heard", ["kind"])
    op.create_table(
        "feeds",
        sa.Column("peer", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("peer"),
    )
    op.create_table(
        "relied",
        sa.Column("case_id", sa.String(16), nullable=False),
        sa.Column("document", sa.String(36), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"]),
        sa.ForeignKeyConstraint(["entry"], ["entries.number"]),
        sa.PrimaryKeyConstraint("case_id", "document"),
    )
    op.create_index("relied_by_document", "relied", ["document"])
