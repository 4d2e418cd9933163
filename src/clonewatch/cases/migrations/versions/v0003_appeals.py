"""Measures against accounts, appeals of their holders with attachments, and what other systems carried out."""

import sqlalchemy as sa
from alembic import op

revision = "0003_appeals"
down_revision = "0002_people"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "containments",
        sa.Column("containment", sa.String(16), nullable=False),
        sa.Column("case_id", sa.String(16), nullable=False),
        sa.Column("request", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("until", sa.String(10), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"]),
        sa.ForeignKeyConstraint(["request"], ["approvals.entry"]),
        sa.PrimaryKeyConstraint("containment"),
    )
    op.create_index("containments_by_state", "containments", ["state"])
    op.create_index("containments_by_case", "containments", ["case_id"])
    op.create_index("containments_by_request", "containments", ["request"])
    op.create_table(
        "holders",
        sa.Column("containment", sa.String(16), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("measure", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("token_until", sa.String(20), nullable=False),
        sa.ForeignKeyConstraint(["containment"], ["containments.containment"]),
        sa.PrimaryKeyConstraint("containment", "number"),
    )
    op.create_index("holders_by_account", "holders", ["account"])
    op.create_index("holders_by_token", "holders", ["token"], unique=True)
    op.create_table(
        "appeals",
        sa.Column("appeal", sa.String(16), nullable=False),
        sa.Column("containment", sa.String(16), nullable=False),
        sa.Column("holder", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("deadline", sa.String(20), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["containment"], ["containments.containment"]),
        sa.PrimaryKeyConstraint("appeal"),
    )
    op.create_index("appeals_by_state", "appeals", ["state", "deadline"])
    op.create_index("appeals_by_containment", "appeals", ["containment", "holder"], unique=True)
    op.create_table(
        "attachments",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "attached",
        sa.Column("entry", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["attachments.digest"]),
        sa.ForeignKeyConstraint(["entry"], ["entries.number"]),
        sa.PrimaryKeyConstraint("entry", "number"),
    )
    op.create_table(
        "carried",
        sa.Column("containment", sa.String(16), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("at", sa.String(20), nullable=False),
        sa.ForeignKeyConstraint(["containment"], ["containments.containment"]),
        sa.PrimaryKeyConstraint("containment", "number", "target"),
    )
