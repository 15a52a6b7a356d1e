"""Deliveries, attempts and destinations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0001"
down_revision = None

UUID = pg.UUID(as_uuid=True)
TIME = pg.TIMESTAMP(timezone=True)
BUSY = "(autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)"


def upgrade() -> None:
    """Add our three tables; touches nothing of the user's."""
    op.create_table(
        "deliveries",
        sa.Column("contact_id", UUID, primary_key=True),
        sa.Column("destination", sa.Text, primary_key=True),
        sa.Column("retry_count", sa.Integer, nullable=False, server_default="0", comment="retries scheduled so far"),
        sa.Column("next_retry_at", TIME, comment="not due before; NULL: due when Queued"),
        sa.Column("claim_token", UUID, comment="who may settle this delivery; NULL: nobody holds it"),
        sa.Column("lease_expires_at", TIME, comment="the claim is void after this"),
        sa.Column("lost_count", sa.Integer, nullable=False, server_default="0", comment="claims lost in a row"),
        sa.Column("run_id", sa.Text, comment="the Dagster run of the newest claim"),
        sa.Column("selected_at", TIME, comment="when the selection was made that the claim found"),
        sa.Column("remote_id", sa.Text, comment="the destination's own id of the contact"),
        sa.Column("payload_hash", sa.Text, comment="of the JSON delivered last"),
        sa.Column("synced_at", TIME, comment="when the destination took it last"),
        schema="crm_sync",
    )
    op.create_index(
        "deliveries_claimed",
        "deliveries",
        ["claim_token", "contact_id"],
        schema="crm_sync",
        postgresql_where=sa.text("claim_token IS NOT NULL"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("contact_id", UUID, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("claim_token", UUID, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("number", sa.Integer, nullable=False, comment="the first attempt is 1"),
        sa.Column("outcome", sa.Text, nullable=False, comment="synced, failed, rejected or deferred"),
        sa.Column("reason", sa.Text, nullable=False, comment="stable snake_case cause"),
        sa.Column("message", sa.Text, nullable=False, server_default="", comment="for people; holds no e-mail address"),
        sa.Column("http_status", sa.Integer),
        sa.Column("request_id", sa.Text, comment="the vendor's id of the request"),
        sa.Column("remote_id", sa.Text, comment="the destination's own id of the contact"),
        sa.Column("milliseconds", sa.Integer, nullable=False, server_default="0"),
        sa.Column("contact_hash", sa.Text, nullable=False, comment="of what was read from the contacts row"),
        sa.Column("payload_hash", sa.Text, comment="of the JSON sent"),
        sa.Column("attempted_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("claim_token", "contact_id", name="attempts_once_a_claim"),
        schema="crm_sync",
    )
    op.create_index("attempts_of_contact", "attempts", ["contact_id", "destination", "id"], schema="crm_sync")
    op.create_table(
        "destinations",
        sa.Column("destination", sa.Text, primary_key=True),
        sa.Column("down_since", TIME, comment="NULL: the breaker is closed"),
        sa.Column("reason", sa.Text),
        sa.Column("message", sa.Text, comment="what a person must do"),
        sa.Column("probes_done", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_probe_at", TIME),
        schema="crm_sync",
    )
    op.execute(f"ALTER TABLE crm_sync.deliveries SET {BUSY}")
    op.execute(f"ALTER TABLE crm_sync.attempts SET {BUSY}")


def downgrade() -> None:
    """Remove our three tables, and with them the history of every delivery."""
    for table in ("destinations", "attempts", "deliveries"):
        op.drop_table(table, schema="crm_sync")
