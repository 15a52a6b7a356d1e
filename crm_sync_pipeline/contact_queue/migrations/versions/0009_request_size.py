"""How many contacts the request of an attempt carried, so that figures of calls count calls."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

COMMENT = "contacts in the request that carried this one"


def upgrade() -> None:
    """Add the column; every request before it carried one contact."""
    column = sa.Column("request_size", sa.Integer, nullable=False, server_default="1", comment=COMMENT)
    op.add_column("attempts", column, schema="crm_sync")


def downgrade() -> None:
    """Remove it."""
    op.drop_column("attempts", "request_size", schema="crm_sync")
