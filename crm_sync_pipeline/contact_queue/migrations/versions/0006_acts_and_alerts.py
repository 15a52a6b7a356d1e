"""What people do beyond selecting: hold and release, a record of each act, and alerts that are raised."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the mark of a hold, and two tables."""
    op.add_column(
        "deliveries",
        sa.Column("held_at", pg.TIMESTAMP(timezone=True), comment="a person put it on hold then; NULL: it may go"),
        schema="crm_sync",
    )
    op.create_table(
        "acts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("acted_at", pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column(
            "actor", sa.Text, nullable=False, comment="the person, as Dagster or the operating system knows them"
        ),
        sa.Column("run_id", sa.Text, comment="the Dagster run; NULL: crm-sync"),
        sa.Column("verb", sa.Text, nullable=False, comment="select, unselect, requeue, hold, release, resume, ..."),
        sa.Column("destinations", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("scope", sa.Text, nullable=False, comment="which contacts, for people; holds no personal data"),
        sa.Column("contacts", sa.Integer, nullable=False, comment="how many were changed"),
        schema="crm_sync",
    )
    op.create_table(
        "alerts",
        sa.Column("name", sa.Text, primary_key=True, comment="channel and condition, such as webhook/down:brevo"),
        sa.Column("raised_at", pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("message", sa.Text, nullable=False, comment="what was said; holds no personal data"),
        schema="crm_sync",
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("alerts", schema="crm_sync")
    op.drop_table("acts", schema="crm_sync")
    op.drop_column("deliveries", "held_at", schema="crm_sync")
