"""`crm-sync db upgrade`: schema crm_sync by Alembic, the indexes, and a contacts table where there is none."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from crm_sync_pipeline.contact_queue.indexes import indexes_for, is_built, outdated_indexes_for
from crm_sync_pipeline.contact_queue.schema import SchemaError, faults_of
from crm_sync_pipeline.contact_queue.tables import CRMS, SCHEMA, ContactsTable, find_contacts_table, other_kind, quoted
from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus

_LOCK_KEY = 0x63726D5F  # "crm_": any number that is the same for every upgrade
_POLL_SECONDS = 0.1

Say = Callable[[str], None]


def upgrade(engine: sa.Engine, contacts_name: str, say: Say = lambda _line: None) -> ContactsTable:
    """Bring the database up to date; returns the contacts table. Safe to run twice, and by two processes at once.

    `engine` must have no statement time-out. `say` is told of each step that changed something.
    """
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        _one_at_a_time(connection, say),
    ):
        contacts = find_contacts_table(connection, contacts_name)
        if kind := other_kind(connection, contacts_name):
            raise SchemaError(
                f"{contacts_name} is {kind}; the queue needs an ordinary table, whose rows it can lock. "
                "Nothing was done. Name the table behind it with CRM_SYNC_CONTACTS_TABLE."
            )
        if contacts is None:
            contacts = _create_contacts(connection, contacts_name)
            say(f"created table {contacts.qualified}")
        _migrate(engine, connection, say)
        _build_indexes(connection, contacts, say)
        return contacts


@contextmanager
def _one_at_a_time(connection: sa.Connection, say: Say) -> Iterator[None]:
    """Hold the upgrade's lock.

    It is polled: a session that waits inside pg_advisory_lock() keeps a snapshot, and a concurrent index build in the
    other session would wait for that snapshot for ever.
    """
    key = {"key": _LOCK_KEY}
    waited = False
    while not connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), key).scalar_one():
        if not waited:
            say("another upgrade is under way; waiting for it")
            waited = True
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), key)


def _migrate(engine: sa.Engine, connection: sa.Connection, say: Say) -> None:
    found = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
    if connection.execute(found, {"name": SCHEMA}).one_or_none() is None:
        connection.execute(sa.schema.CreateSchema(SCHEMA))
        say(f"created schema {SCHEMA}")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.begin() as migration:
        config.attributes["connection"] = migration
        before = _version(migration)
        command.upgrade(config, "head")
        after = _version(migration)
    if before != after:
        say(f"migrated schema {SCHEMA} from {before or 'nothing'} to {after}")


def _version(connection: sa.Connection) -> str | None:
    if connection.execute(sa.text("SELECT to_regclass(:name)"), {"name": f"{SCHEMA}.alembic_version"}).scalar() is None:
        return None
    return connection.execute(sa.text(f"SELECT version_num FROM {SCHEMA}.alembic_version")).scalar_one_or_none()


def _build_indexes(connection: sa.Connection, contacts: ContactsTable, say: Say) -> None:
    for crm in CRMS.values():
        if not contacts.has(crm) or faults_of(contacts, crm):
            continue  # absent, or named by `db check` with what mends it
        for index in indexes_for(contacts, crm):
            built = is_built(connection, contacts, index)
            if built is False:
                connection.execute(sa.text(index.drop))
                say(f"dropped index {index.name}, which an interrupted upgrade left half built")
            if not built:
                connection.execute(sa.text(index.create.replace(":", r"\:")))
                say(f"built index {index.name}")
        for index in outdated_indexes_for(contacts, crm):
            if is_built(connection, contacts, index) is not None:
                connection.execute(sa.text(index.drop))
                say(f"dropped index {index.name}, which an older version needed")


def _create_contacts(connection: sa.Connection, name: str) -> ContactsTable:
    schema, _, table = name.rpartition(".")
    statuses = ", ".join(f"'{status.value}'" for status in SyncStatus)
    states = ", ".join(f"'{status.value}'" for status in ProcessingStatus)
    of_crms = "".join(
        f"""
        {crm.sync_status} text NOT NULL DEFAULT 'New' CHECK ({crm.sync_status} IN ({statuses})),
        {crm.processing_status} text CHECK ({crm.processing_status} IN ({states})),
        {crm.processing_error} text,
        {crm.id_column} varchar,"""
        for crm in CRMS.values()
    )
    full_name = f"{quoted(schema)}.{quoted(table)}" if schema else quoted(table)
    if schema:
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}"))
    connection.execute(
        sa.text(
            f"""
    CREATE TABLE {full_name} (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        domain_id uuid,
        page_id uuid,
        email text NOT NULL,
        email_type text CHECK (email_type IN ('SERVICE', 'CORPORATE', 'FREE', 'UNKNOWN')),
        has_gmail boolean DEFAULT false,
        context text,
        source_url text,
        source_job_id uuid,
        name varchar,
        phone_number varchar,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),{of_crms}
        retry_count integer NOT NULL DEFAULT 0,
        next_retry_at timestamptz,
        last_retry_at timestamptz,
        last_failed_crm varchar,
        UNIQUE (domain_id, email)
    )"""
        )
    )
    created = find_contacts_table(connection, name)
    if created is None:
        raise SchemaError(f"{name} was created but can't be found: is its schema in the search_path?")
    return created
