"""The pace that runs share, and selections that skip what has not changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add two columns that are NULL at first: no row is rewritten."""
    paced_until = sa.Column(
        "paced_until", pg.TIMESTAMP(timezone=True), comment="the account's time is handed out until then"
    )
    changed_only_at = sa.Column(
        "changed_only_at", pg.TIMESTAMP(timezone=True), comment="the selection that skips what has not changed"
    )
    op.add_column("destinations", paced_until, schema="crm_sync")
    op.add_column("deliveries", changed_only_at, schema="crm_sync")


def downgrade() -> None:
    """Remove them."""
    op.drop_column("deliveries", "changed_only_at", schema="crm_sync")
    op.drop_column("destinations", "paced_until", schema="crm_sync")
