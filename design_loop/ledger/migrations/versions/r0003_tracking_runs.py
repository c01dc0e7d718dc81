"""Where a campaign and its rounds stand on a tracking server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create `tracking_runs`."""
    op.create_table(
        "tracking_runs",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("server", sa.String(length=512), nullable=False),
        sa.Column("experiment", sa.String(length=256), nullable=False),
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("sent", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_tracking_runs_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint(
            "campaign", "server", "experiment", "round", name=op.f("pk_tracking_runs")
        ),
    )
