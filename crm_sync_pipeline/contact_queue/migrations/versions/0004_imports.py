"""What is delivered by import: which imports there were, and the contacts of those under way."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0004"
down_revision = "0003"

UUID = pg.UUID(as_uuid=True)
TIME = pg.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add two tables; touches nothing that is there."""
    op.create_table(
        "imports",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("claim_token", UUID, nullable=False, comment="who waits for it"),
        sa.Column("run_id", sa.Text),
        sa.Column("contacts", sa.Integer, nullable=False, comment="how many were sent"),
        sa.Column(
            "after_process_id", sa.BigInteger, nullable=False, comment="the destination's newest process before it"
        ),
        sa.Column("process_id", sa.BigInteger, comment="the destination's own id of it; NULL: no answer yet"),
        sa.Column("taken_up", sa.Integer, nullable=False, server_default="0", comment="runs that took it up"),
        sa.Column("posted_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("finished_at", TIME, comment="NULL: under way"),
        schema="crm_sync",
    )
    op.create_index("imports_of_process", "imports", ["destination", "process_id"], unique=True, schema="crm_sync")
    op.create_index(
        "imports_under_way",
        "imports",
        ["destination", "posted_at"],
        schema="crm_sync",
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "import_contacts",
        sa.Column("contact_id", UUID, primary_key=True),
        sa.Column("destination", sa.Text, primary_key=True),
        sa.Column("import_id", UUID, sa.ForeignKey("crm_sync.imports.id", ondelete="CASCADE"), nullable=False),
        sa.Column("contact_hash", sa.Text, nullable=False, comment="of what was read from the contacts row"),
        sa.Column("payload_hash", sa.Text, nullable=False, comment="of the JSON of a single call"),
        sa.Column("address_hash", sa.Text, nullable=False, comment="of the address: failures name addresses"),
        sa.Column("row_version", sa.Text, nullable=False, comment="xmin of the contacts row that was read"),
        sa.Column("message", sa.Text, nullable=False, server_default="", comment="what was left out"),
        schema="crm_sync",
    )
    op.create_index("import_contacts_of_import", "import_contacts", ["import_id", "contact_id"], schema="crm_sync")


def downgrade() -> None:
    """Remove both. No import may be under way: its contacts would be delivered again."""
    op.drop_table("import_contacts", schema="crm_sync")
    op.drop_table("imports", schema="crm_sync")
