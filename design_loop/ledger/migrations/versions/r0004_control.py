"""Requests to pause and stop, amendments, and forks with the labels that they took over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create `requests`, `amendments`, `lineage` and `inherited_labels`."""
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("answered", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_requests_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
    )
    op.create_index(op.f("ix_requests_campaign_id"), "requests", ["campaign", "id"], unique=False)
    op.create_table(
        "amendments",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=True),
        sa.Column("budget", sa.Integer(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_amendments_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", "number", name=op.f("pk_amendments")),
    )
    op.create_table(
        "lineage",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("parent", sa.String(length=80), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("adapter", sa.String(length=128), nullable=True),
        sa.Column("surrogate", sa.String(length=128), nullable=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_lineage_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["parent"], ["campaigns.id"], name=op.f("fk_lineage_parent_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", name=op.f("pk_lineage")),
    )
    op.create_index(op.f("ix_lineage_parent"), "lineage", ["parent"], unique=False)
    op.create_table(
        "inherited_labels",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("candidate", sa.String(length=64), nullable=False),
        sa.Column("configuration", sa.JSON(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("oracle_key", sa.String(length=128), nullable=True),
        sa.Column("origin", sa.String(length=80), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_inherited_labels_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["oracle_key"],
            ["oracle_calls.key"],
            name=op.f("fk_inherited_labels_oracle_key_oracle_calls"),
        ),
        sa.ForeignKeyConstraint(
            ["origin"], ["campaigns.id"], name=op.f("fk_inherited_labels_origin_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", "candidate", name=op.f("pk_inherited_labels")),
    )
