"""The three partial indexes that we add to the contacts table for each CRM, and nothing else."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable, literal, quoted
from crm_sync_pipeline.domain.crm import Crm

LONGEST_NAME = 63
"""Bytes: PostgreSQL cuts a longer one off, and then two indexes would have one name."""


@dataclass(frozen=True, slots=True)
class PartialIndex:
    """An index by name, and the statement that builds it without blocking writers."""

    name: str
    create: str
    drop: str


def indexes_for(contacts: ContactsTable, crm: Crm) -> tuple[PartialIndex, ...]:
    """What claim, sensor and recovery walk: the queued ones as they fall due, and those Processing, oldest first.

    The third holds what is in Error, which is to be few, so that it can be counted without reading the table.
    """
    columns = DestinationColumns.of(contacts, crm)
    due = _index(
        contacts, f"crm_sync_{crm.name}_queued", [columns.steering, contacts.clause.c.updated_at], columns.is_queued
    )
    processing = _index(
        contacts,
        f"crm_sync_{crm.name}_processing_since",
        [contacts.clause.c.updated_at],
        columns.processing == literal("Processing"),
    )
    error = _index(
        contacts,
        f"crm_sync_{crm.name}_error_since",
        [contacts.clause.c.updated_at],
        columns.processing == literal("Error"),
    )
    return due, processing, error


def outdated_indexes_for(contacts: ContactsTable, crm: Crm) -> tuple[PartialIndex, ...]:
    """What an older version walked, and nothing does now."""
    due = _index(contacts, f"crm_sync_{crm.name}_due", [contacts.clause.c.updated_at], sa.true())
    return due, _index(contacts, f"crm_sync_{crm.name}_processing", [contacts.clause.c.id], sa.true())


def _index(
    contacts: ContactsTable, suffix: str, keys: list[sa.ColumnElement[Any]], where: sa.ColumnElement[bool]
) -> PartialIndex:
    beginning = contacts.name.encode()[: LONGEST_NAME - len(suffix) - 1].decode(errors="ignore")
    name = f"{beginning}_{suffix}"
    on = ", ".join(f"({_text(key)})" for key in keys)
    create = f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {contacts.qualified} ({on}) WHERE {_text(where)}"
    return PartialIndex(name, create, f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(contacts.schema)}.{quoted(name)}")


def _text(expression: sa.ColumnElement[Any]) -> str:
    dialect = pg.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves dialect() untyped
    return str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


_VALID = sa.text(
    """
    SELECT i.indisvalid
    FROM pg_class x JOIN pg_index i ON i.indexrelid = x.oid JOIN pg_namespace n ON n.oid = x.relnamespace
    WHERE x.relname = :name AND n.nspname = :schema
    """
)


def is_built(connection: sa.Connection, contacts: ContactsTable, index: PartialIndex) -> bool | None:
    """True: usable. False: left half built by a build that was interrupted. None: not there."""
    return connection.execute(_VALID, {"name": index.name, "schema": contacts.schema}).scalar_one_or_none()
