"""Our tables in schema `crm_sync`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

SCHEMA = "crm_sync"

metadata = sa.MetaData(schema=SCHEMA)

_REQUEST_SIZE = "contacts in the request that carried this one"
_FIELDS = "the destination's fields that may hold what we sent, separated by commas; NULL: not known"

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("contact_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("retry_count", sa.Integer, nullable=False, server_default="0", comment="retries scheduled so far"),
    sa.Column("next_retry_at", pg.TIMESTAMP(timezone=True), comment="not due before; NULL: due when Queued"),
    sa.Column("claim_token", pg.UUID(as_uuid=True), comment="who may settle this delivery; NULL: nobody holds it"),
    sa.Column("lease_expires_at", pg.TIMESTAMP(timezone=True), comment="the claim is void after this"),
    sa.Column("lost_count", sa.Integer, nullable=False, server_default="0", comment="claims lost in a row"),
    sa.Column("run_id", sa.Text, comment="the Dagster run of the newest claim"),
    sa.Column("selected_at", pg.TIMESTAMP(timezone=True), comment="when the selection was made that the claim found"),
    sa.Column("remote_id", sa.Text, comment="the destination's own id of the contact"),
    sa.Column("payload_hash", sa.Text, comment="of the JSON delivered last"),
    sa.Column("synced_at", pg.TIMESTAMP(timezone=True), comment="when the destination took it last"),
    sa.Column("late_payload_hash", sa.Text, comment="of JSON sent by a worker without a lease since this claim"),
    sa.Column("changed_only_at", pg.TIMESTAMP(timezone=True), comment="the selection that skips what has not changed"),
    sa.Column("held_at", pg.TIMESTAMP(timezone=True), comment="a person put it on hold then; NULL: it may go"),
    sa.Column("remote_fields", sa.Text, comment=_FIELDS),
    sa.Index("deliveries_claimed", "claim_token", "contact_id", postgresql_where=sa.text("claim_token IS NOT NULL")),
    sa.Index(
        "deliveries_leases", "destination", "lease_expires_at", postgresql_where=sa.text("lease_expires_at IS NOT NULL")
    ),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("contact_id", pg.UUID(as_uuid=True), nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("claim_token", pg.UUID(as_uuid=True), nullable=False),
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
    sa.Column("attempted_at", pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("remote_fields", sa.Text, comment=_FIELDS),
    sa.Column("request_size", sa.Integer, nullable=False, server_default="1", comment=_REQUEST_SIZE),
    sa.UniqueConstraint("claim_token", "contact_id", name="attempts_once_a_claim"),
    sa.Index("attempts_of_contact", "contact_id", "destination", "id"),
)

destinations = sa.Table(
    "destinations",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("down_since", pg.TIMESTAMP(timezone=True), comment="NULL: the breaker is closed"),
    sa.Column("reason", sa.Text),
    sa.Column("message", sa.Text, comment="what a person must do"),
    sa.Column("probes_done", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_probe_at", pg.TIMESTAMP(timezone=True)),
    sa.Column("paced_until", pg.TIMESTAMP(timezone=True), comment="the account's time is handed out until then"),
)

imports = sa.Table(
    "imports",
    metadata,
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("claim_token", pg.UUID(as_uuid=True), nullable=False, comment="who waits for it"),
    sa.Column("run_id", sa.Text),
    sa.Column("contacts", sa.Integer, nullable=False, comment="how many were sent"),
    sa.Column("after_process_id", sa.BigInteger, nullable=False, comment="the destination's newest process before it"),
    sa.Column("process_id", sa.BigInteger, comment="the destination's own id of it; NULL: no answer yet"),
    sa.Column("taken_up", sa.Integer, nullable=False, server_default="0", comment="runs that took it up"),
    sa.Column("posted_at", pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("finished_at", pg.TIMESTAMP(timezone=True), comment="NULL: under way"),
    sa.Index("imports_of_process", "destination", "process_id", unique=True),
    sa.Index("imports_under_way", "destination", "posted_at", postgresql_where=sa.text("finished_at IS NULL")),
)

import_contacts = sa.Table(
    "import_contacts",
    metadata,
    sa.Column("contact_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("import_id", pg.UUID(as_uuid=True), sa.ForeignKey(imports.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("contact_hash", sa.Text, nullable=False, comment="of what was read from the contacts row"),
    sa.Column("payload_hash", sa.Text, nullable=False, comment="of the JSON of a single call"),
    sa.Column("address_hash", sa.Text, nullable=False, comment="of the address: failures name addresses"),
    sa.Column("message", sa.Text, nullable=False, server_default="", comment="what was left out"),
    sa.Column("remote_fields", sa.Text, comment=_FIELDS),
    sa.Index("import_contacts_of_import", "import_id", "contact_id"),
)

acts = sa.Table(
    "acts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("acted_at", pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("actor", sa.Text, nullable=False, comment="the person, as Dagster or the operating system knows them"),
    sa.Column("run_id", sa.Text, comment="the Dagster run; NULL: crm-sync"),
    sa.Column("verb", sa.Text, nullable=False, comment="select, unselect, requeue, hold, release, resume, ..."),
    sa.Column("destinations", pg.ARRAY(sa.Text), nullable=False),
    sa.Column("scope", sa.Text, nullable=False, comment="which contacts, for people; holds no personal data"),
    sa.Column("contacts", sa.Integer, nullable=False, comment="how many were changed"),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="channel and condition, such as webhook/down:brevo"),
    sa.Column("raised_at", pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("message", sa.Text, nullable=False, comment="what was said; holds no personal data"),
)
"""A row for each alert that a channel was told, and whose end it was not told yet."""
