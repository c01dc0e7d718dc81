"""Amendments: whose budget it is, where an oracle has stages, and from which round on it counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns.

    What was recorded before could only change the first stage's budget. It counted from the first
    round on whose selection began later.
    """
    op.add_column("amendments", sa.Column("stage", sa.Integer(), nullable=True))
    op.add_column("amendments", sa.Column("first_round", sa.Integer(), nullable=True))
    moment = sa.DateTime(timezone=True)
    amendments = sa.table(
        "amendments",
        sa.column("campaign", sa.String()),
        sa.column("time", moment),
        sa.column("budget", sa.Integer()),
        sa.column("stage", sa.Integer()),
        sa.column("first_round", sa.Integer()),
    )
    steps = sa.table(
        "steps",
        sa.column("campaign", sa.String()),
        sa.column("round", sa.Integer()),
        sa.column("name", sa.String()),
        sa.column("started", moment),
    )
    begun = (
        sa.select(sa.func.max(steps.c.round))
        .where(
            steps.c.campaign == amendments.c.campaign,
            steps.c.name == "select",
            steps.c.started < amendments.c.time,
        )
        .scalar_subquery()
    )
    op.execute(
        sa.update(amendments)
        .where(amendments.c.budget.is_not(None))
        .values(stage=1, first_round=sa.func.coalesce(begun, 0) + 1)
    )
