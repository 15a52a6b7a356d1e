"""What a worker sent that had lost its lease."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add a column that is NULL nearly always: no row is rewritten."""
    late = sa.Column("late_payload_hash", sa.Text, comment="of JSON sent by a worker without a lease since this claim")
    op.add_column("deliveries", late, schema="crm_sync")


def downgrade() -> None:
    """Remove it."""
    op.drop_column("deliveries", "late_payload_hash", schema="crm_sync")
