"""Oracles of several stages, labels from outside, and what an oracle found besides numbers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add `stage_calls`, `oracle_calls.details` and `labels.origin`."""
    op.add_column("oracle_calls", sa.Column("details", sa.JSON(), nullable=True))
    op.add_column("labels", sa.Column("origin", sa.String(length=128), nullable=True))
    op.create_table(
        "stage_calls",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("candidate", sa.String(length=64), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("oracle_key", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_stage_calls_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["campaign", "round"],
            ["rounds.campaign", "rounds.number"],
            name=op.f("fk_stage_calls_campaign_round_rounds"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign", "candidate"],
            ["candidates.campaign", "candidates.key"],
            name=op.f("fk_stage_calls_campaign_candidate_candidates"),
        ),
        sa.ForeignKeyConstraint(
            ["oracle_key"],
            ["oracle_calls.key"],
            name=op.f("fk_stage_calls_oracle_key_oracle_calls"),
        ),
        sa.PrimaryKeyConstraint(
            "campaign", "round", "stage", "candidate", name=op.f("pk_stage_calls")
        ),
    )
