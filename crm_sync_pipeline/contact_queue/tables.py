"""Our tables in schema `crm_sync`, and the user's contacts table as it was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

SCHEMA = "crm_sync"

metadata = sa.MetaData(schema=SCHEMA)

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
    sa.Index("deliveries_claimed", "claim_token", "contact_id", postgresql_where=sa.text("claim_token IS NOT NULL")),
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
)


@dataclass(frozen=True, slots=True)
class Crm:
    """A CRM's columns on the contacts table. `holds_address`: its id column holds the e-mail address that was sent."""

    name: str
    title: str
    id_column: str
    holds_address: bool = False

    @property
    def sync_status(self) -> str:
        """The decision column's name."""
        return f"{self.name}_sync_status"

    @property
    def processing_status(self) -> str:
        """The state column's name."""
        return f"{self.name}_processing_status"

    @property
    def processing_error(self) -> str:
        """The error column's name."""
        return f"{self.name}_processing_error"


CRMS: Mapping[str, Crm] = {
    crm.name: crm
    for crm in (
        Crm("brevo", "Brevo", "brevo_contact_id", holds_address=True),
        Crm("hubspot", "HubSpot", "hubspot_contact_id"),
        Crm("mautic", "Mautic", "mautic_contact_id"),
        Crm("n8n", "n8n", "n8n_workflow_id"),
    )
}
"""The CRMs that the contacts table can have columns for."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as PostgreSQL describes it. `type` as format_type() writes it; `labels` of an enum, else None."""

    name: str
    type: str
    not_null: bool
    type_name: str
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ContactsTable:
    """The user's contacts table: what it is called, and which columns it has."""

    schema: str
    name: str
    columns: Mapping[str, Column]

    @property
    def clause(self) -> sa.TableClause:
        """The table for statements; its columns carry no type, so that enum and text statuses read alike."""
        return sa.table(self.name, *(sa.column(name) for name in self.columns), schema=self.schema)

    @property
    def qualified(self) -> str:
        """schema.name, quoted where PostgreSQL needs it."""
        return _PREPARER.format_table(self.clause)

    def has(self, crm: Crm) -> bool:
        """Whether the table has this CRM's two status columns, so that contacts can be selected for it."""
        return crm.sync_status in self.columns and crm.processing_status in self.columns


_PREPARER = pg.dialect().identifier_preparer  # type: ignore[no-untyped-call] # SQLAlchemy leaves dialect() untyped


def quoted(name: str) -> str:
    """An identifier, quoted where PostgreSQL needs it."""
    return str(_PREPARER.quote(name))


_FIND_TABLE = sa.text(
    """
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = :schema END
    """
)

_FIND_COLUMNS = sa.text(
    """
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
           format_type(a.atttypid, NULL) AS type_name,
           (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
            FROM pg_enum e WHERE e.enumtypid = a.atttypid) AS labels
    FROM pg_attribute a WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
    """
)


_OTHER_KINDS = {"p": "a partitioned table", "v": "a view", "m": "a materialized view", "f": "a foreign table"}


def other_kind(connection: sa.Connection, name: str) -> str | None:
    """What `name` (or schema.name) is, where it is there and no ordinary table: "a view" and the like."""
    found = _find(connection, name)
    return None if found is None else _OTHER_KINDS.get(found.kind)


def _find(connection: sa.Connection, name: str) -> Any:
    schema, _, table = name.rpartition(".")
    return connection.execute(_FIND_TABLE, {"schema": schema or None, "name": table}).one_or_none()


def find_contacts_table(connection: sa.Connection, name: str) -> ContactsTable | None:
    """The table `name` (or schema.name) as it is now; None where there is no ordinary table of that name."""
    found = _find(connection, name)
    if found is None or found.kind != "r":
        return None
    rows = connection.execute(_FIND_COLUMNS, {"oid": found.oid})
    columns = {
        row.name: Column(row.name, row.type, row.not_null, row.type_name, tuple(row.labels) if row.labels else None)
        for row in rows
    }
    return ContactsTable(found.schema, found.name, columns)


def literal(text: str) -> sa.ColumnElement[Any]:
    """A quoted SQL literal of no type: it fits enum and text columns, and lets a generic plan use partial indexes."""
    escaped = text.replace("'", "''")
    return sa.literal_column(f"'{escaped}'")
