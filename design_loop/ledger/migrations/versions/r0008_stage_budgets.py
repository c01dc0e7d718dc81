"""Amendments: whose budget it is, where an oracle has stages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; what was recorded before could only change the first stage's budget."""
    op.add_column("amendments", sa.Column("stage", sa.Integer(), nullable=True))
    op.execute("UPDATE amendments SET stage = 1 WHERE budget IS NOT NULL")
