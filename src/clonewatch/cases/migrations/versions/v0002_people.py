"""People who sign in, their sessions and saved views, requests for a second person, and what the queue sorts by."""

import sqlalchemy as sa
from alembic import op

revision = "0002_people"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    for column in (
        sa.Column("outcome", sa.String(16), nullable=False, server_default=""),
        sa.Column("ruling", sa.String(16), nullable=False, server_default=""),
        sa.Column("size", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("exchanges", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("odds_bits", sa.Double(), nullable=True),
        sa.Column("whole_bits", sa.Integer(), nullable=True),
        sa.Column("last", sa.String(32), nullable=False, server_default=""),
    ):
        op.add_column("cases", column)
    op.create_index("cases_by_odds", "cases", ["status", "outcome", "whole_bits", "exchanges"])
    op.create_table(
        "people",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("link", sa.String(64), nullable=False),
        sa.Column("link_until", sa.String(20), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.String(20), nullable=False),
        sa.Column("made", sa.String(20), nullable=False),
        sa.Column("seen", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("people_by_subject", "people", ["subject"])
    op.create_index("people_by_link", "people", ["link"])
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("made", sa.String(20), nullable=False),
        sa.Column("seen", sa.String(20), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.name"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("sessions_by_person", "sessions", ["person"])
    op.create_table(
        "saved_views",
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.name"]),
        sa.PrimaryKeyConstraint("person", "name"),
    )
    op.create_table(
        "approvals",
        sa.Column("entry", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("case_id", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("at", sa.String(20), nullable=False),
        sa.Column("decided_entry", sa.Integer(), nullable=True),
        sa.Column("decided_by", sa.String(64), nullable=False),
        sa.Column("decided_at", sa.String(20), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"]),
        sa.ForeignKeyConstraint(["entry"], ["entries.number"]),
        sa.PrimaryKeyConstraint("entry"),
    )
    op.create_index("approvals_by_state", "approvals", ["state"])
    op.create_index("approvals_by_case", "approvals", ["case_id"])
    _fill()


def _fill() -> None:
    """Give the new columns of the cases there are what their bodies say."""
    import msgspec

    from clonewatch.cases.records import Case
    from clonewatch.cases.tables import row_of

    connection = op.get_bind()
    new = ("outcome", "ruling", "size", "exchanges", "odds_bits", "whole_bits", "last")
    cases = sa.table("cases", sa.column("case_id"), sa.column("body"), *(sa.column(name) for name in new))
    for (body,) in connection.execute(sa.select(cases.c.body)).all():
        row = row_of(msgspec.json.decode(body, type=Case))
        values = {name: row[name] for name in new}
        connection.execute(sa.update(cases).where(cases.c.case_id == row["case_id"]).values(**values))
