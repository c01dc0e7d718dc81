"""Oracle calls: claims, kinds and traces of failures, quarantine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add them. What an earlier version gave up for a round is in quarantine from now on."""
    op.create_table(
        "oracle_claims",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["key"], ["oracle_calls.key"], name=op.f("fk_oracle_claims_key_oracle_calls")
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_oracle_claims_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_oracle_claims")),
    )
    op.add_column("oracle_failures", sa.Column("kind", sa.String(length=128), nullable=True))
    op.add_column("oracle_failures", sa.Column("traceback", sa.Text(), nullable=True))
    op.add_column("oracle_calls", sa.Column("forgiven", sa.Integer(), nullable=True))
    op.execute("UPDATE oracle_calls SET state = 'quarantined' WHERE state = 'failed'")
