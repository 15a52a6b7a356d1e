"""An import is settled as everything is: which version of a row was read is not asked any more."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Remove the column; what is in progress is settled by its fingerprints."""
    op.drop_column("import_contacts", "row_version", schema="crm_sync")


def downgrade() -> None:
    """Add it, as a version that no row has: so nothing that is in progress is settled without a comparison."""
    column = sa.Column(
        "row_version", sa.Text, nullable=False, server_default="", comment="xmin of the contacts row that was read"
    )
    op.add_column("import_contacts", column, schema="crm_sync")
    op.alter_column("import_contacts", "row_version", server_default=None, schema="crm_sync")
