"""Selection: what lies outside of the surrogate's domain, and the reason of a choice in parts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns; of what was recorded before neither is known."""
    op.add_column("predictions", sa.Column("out_of_domain", sa.Boolean(), nullable=True))
    op.add_column("selections", sa.Column("parts", sa.JSON(), nullable=True))
