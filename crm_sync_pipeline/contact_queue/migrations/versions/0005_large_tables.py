"""What keeps tables of millions quick: leases by the time they run out, statistics and vacuum that follow the work."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = ("deliveries", "attempts")
FOLLOWS = {
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_analyze_threshold": "1000",
    "autovacuum_vacuum_cost_limit": "1000",
}


def upgrade() -> None:
    """Add an index over what is claimed, which is little, and settings: the default waits for a fifth to change."""
    op.create_index(
        "deliveries_leases",
        "deliveries",
        ["destination", "lease_expires_at"],
        schema="crm_sync",
        postgresql_where=sa.text("lease_expires_at IS NOT NULL"),
    )
    settings = ", ".join(f"{name} = {value}" for name, value in FOLLOWS.items())
    for table in TABLES:
        op.execute(f"ALTER TABLE crm_sync.{table} SET ({settings})")


def downgrade() -> None:
    """Remove them."""
    for table in TABLES:
        op.execute(f"ALTER TABLE crm_sync.{table} RESET ({', '.join(FOLLOWS)})")
    op.drop_index("deliveries_leases", "deliveries", schema="crm_sync")
