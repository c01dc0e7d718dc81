"""The first layout: what a ledger held before there were revisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables; their guards are put on at the end of every upgrade."""
    op.create_table(
        "campaigns",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("config_hash", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("workdir", sa.Text(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
    )
    op.create_table(
        "oracle_calls",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("oracle", sa.JSON(), nullable=False),
        sa.Column("configuration", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_oracle_calls")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("round", sa.Integer(), nullable=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_events_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_campaign_id"), "events", ["campaign", "id"], unique=False)
    op.create_table(
        "leases",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.JSON(), nullable=False),
        sa.Column("acquired", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_leases_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", name=op.f("pk_leases")),
    )
    op.create_table(
        "rounds",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("adapter", sa.String(length=128), nullable=True),
        sa.Column("surrogate", sa.String(length=128), nullable=True),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_rounds_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", "number", name=op.f("pk_rounds")),
    )
    op.create_table(
        "adapters",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "round"],
            ["rounds.campaign", "rounds.number"],
            name=op.f("fk_adapters_campaign_round_rounds"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_adapters_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", "name", name=op.f("pk_adapters")),
    )
    op.create_table(
        "candidates",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("configuration", sa.JSON(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "round"],
            ["rounds.campaign", "rounds.number"],
            name=op.f("fk_candidates_campaign_round_rounds"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_candidates_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", "key", name=op.f("pk_candidates")),
    )
    op.create_index(
        op.f("ix_candidates_campaign_round"), "candidates", ["campaign", "round"], unique=False
    )
    op.create_table(
        "steps",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("info", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign", "round"],
            ["rounds.campaign", "rounds.number"],
            name=op.f("fk_steps_campaign_round_rounds"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_steps_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", "round", "name", name=op.f("pk_steps")),
    )
    op.create_table(
        "surrogates",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "round"],
            ["rounds.campaign", "rounds.number"],
            name=op.f("fk_surrogates_campaign_round_rounds"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_surrogates_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", "version", name=op.f("pk_surrogates")),
    )
    op.create_table(
        "labels",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("candidate", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("oracle_key", sa.String(length=128), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "candidate"],
            ["candidates.campaign", "candidates.key"],
            name=op.f("fk_labels_campaign_candidate_candidates"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign", "round"],
            ["rounds.campaign", "rounds.number"],
            name=op.f("fk_labels_campaign_round_rounds"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_labels_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["oracle_key"], ["oracle_calls.key"], name=op.f("fk_labels_oracle_key_oracle_calls")
        ),
        sa.PrimaryKeyConstraint("campaign", "candidate", "source", name=op.f("pk_labels")),
    )
    op.create_table(
        "oracle_failures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.String(length=64), nullable=False),
        sa.Column("oracle_key", sa.String(length=128), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "candidate"],
            ["candidates.campaign", "candidates.key"],
            name=op.f("fk_oracle_failures_campaign_candidate_candidates"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign", "round"],
            ["rounds.campaign", "rounds.number"],
            name=op.f("fk_oracle_failures_campaign_round_rounds"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_oracle_failures_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["oracle_key"],
            ["oracle_calls.key"],
            name=op.f("fk_oracle_failures_oracle_key_oracle_calls"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oracle_failures")),
    )
    op.create_index(
        op.f("ix_oracle_failures_campaign_round_candidate"),
        "oracle_failures",
        ["campaign", "round", "candidate"],
        unique=False,
    )
    op.create_table(
        "predictions",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("candidate", sa.String(length=64), nullable=False),
        sa.Column("surrogate", sa.String(length=128), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("mean", sa.JSON(), nullable=False),
        sa.Column("std", sa.JSON(), nullable=False),
        sa.Column("surrogate_error", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "candidate"],
            ["candidates.campaign", "candidates.key"],
            name=op.f("fk_predictions_campaign_candidate_candidates"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign", "round"],
            ["rounds.campaign", "rounds.number"],
            name=op.f("fk_predictions_campaign_round_rounds"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign", "surrogate"],
            ["surrogates.campaign", "surrogates.version"],
            name=op.f("fk_predictions_campaign_surrogate_surrogates"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_predictions_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", "candidate", "surrogate", name=op.f("pk_predictions")),
    )
    op.create_index(
        op.f("ix_predictions_campaign_round"), "predictions", ["campaign", "round"], unique=False
    )
    op.create_table(
        "samples",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("finish_reason", sa.String(length=32), nullable=False),
        sa.Column("adapter", sa.String(length=128), nullable=False),
        sa.Column("checked", sa.Boolean(), nullable=False),
        sa.Column("drop_reason", sa.String(length=32), nullable=True),
        sa.Column("drop_detail", sa.Text(), nullable=True),
        sa.Column("candidate", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign", "candidate"],
            ["candidates.campaign", "candidates.key"],
            name=op.f("fk_samples_campaign_candidate_candidates"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign", "round"],
            ["rounds.campaign", "rounds.number"],
            name=op.f("fk_samples_campaign_round_rounds"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_samples_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign", "round", "index", name=op.f("pk_samples")),
    )
    op.create_table(
        "selections",
        sa.Column("campaign", sa.String(length=80), nullable=False),
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("candidate", sa.String(length=64), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("oracle_key", sa.String(length=128), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign", "candidate"],
            ["candidates.campaign", "candidates.key"],
            name=op.f("fk_selections_campaign_candidate_candidates"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign", "round"],
            ["rounds.campaign", "rounds.number"],
            name=op.f("fk_selections_campaign_round_rounds"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_selections_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["oracle_key"], ["oracle_calls.key"], name=op.f("fk_selections_oracle_key_oracle_calls")
        ),
        sa.PrimaryKeyConstraint("campaign", "round", "candidate", name=op.f("pk_selections")),
        sa.UniqueConstraint(
            "campaign", "round", "rank", name=op.f("uq_selections_campaign_round_rank")
        ),
    )
