"""Which fields of a destination may hold what we sent: they are emptied there once they are empty in the row."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = ("deliveries", "attempts", "import_contacts")
COMMENT = "the destination's fields that may hold what we sent, separated by commas; NULL: not known"


def upgrade() -> None:
    """Add the column, unknown for what was delivered before."""
    for table in TABLES:
        op.add_column(table, sa.Column("remote_fields", sa.Text, comment=COMMENT), schema="crm_sync")


def downgrade() -> None:
    """Remove it."""
    for table in TABLES:
        op.drop_column(table, "remote_fields", schema="crm_sync")
