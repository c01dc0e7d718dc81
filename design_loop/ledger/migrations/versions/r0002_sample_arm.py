"""With which setting a sample was asked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add `samples.arm`; empty for what was sampled before settings were tried side by side."""
    op.add_column("samples", sa.Column("arm", sa.Integer(), nullable=True))
