"""What removes history: old attempts, and what is left of contacts that are gone. By primary key, some at a time."""

from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import NOW, SIZE, UUID_TYPE, DestinationColumns, built_once
from crm_sync_pipeline.contact_queue.database.tables import attempts, deliveries, import_contacts, imports

_DAYS: sa.ColumnElement[Any] = sa.literal_column("interval '1 day'") * sa.bindparam("days", type_=sa.Float)
_ID = sa.bindparam("id", type_=UUID_TYPE)


def is_any(columns: DestinationColumns) -> sa.Executable:
    """A row where the contacts table holds any."""
    return sa.select(sa.literal_column("1")).select_from(columns.table).limit(1)


def _is_gone(columns: DestinationColumns, contact_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return sa.select(columns.id).where(columns.id == contact_id).scalar_subquery().is_(None)


@built_once
def prune_attempts(columns: DestinationColumns, removes: bool, removes_of_gone: bool) -> sa.Select[Any]:
    """Of the :size attempts behind the id :after, remove what is older than :days, and those of contacts that are gone.

    What belongs to a claim that is not settled yet, or to an import in progress, stays. One row: `looked_at` attempts,
    of which `old` and `of_gone` go; `last` is the id to go on behind. Without `removes` it only counts.
    """
    some = sa.select(attempts).where(attempts.c.id > sa.bindparam("after", type_=sa.BigInteger)).order_by(attempts.c.id)
    chunk = some.limit(SIZE).cte("chunk")
    claim = sa.select(deliveries.c.claim_token).where(
        deliveries.c.contact_id == chunk.c.contact_id, deliveries.c.destination == chunk.c.destination
    )
    in_import = sa.select(import_contacts.c.import_id).where(
        import_contacts.c.contact_id == chunk.c.contact_id, import_contacts.c.destination == chunk.c.destination
    )
    is_needed = sa.or_(
        claim.scalar_subquery() == chunk.c.claim_token,  # NULL, and so not needed, where it is not claimed
        in_import.scalar_subquery().is_not(None),
    )
    is_old = chunk.c.attempted_at < NOW - _DAYS
    is_of_gone = sa.and_(sa.not_(is_old), _is_gone(columns, chunk.c.contact_id)) if removes_of_gone else sa.false()
    doomed = (
        sa.select(chunk.c.id, is_old.label("is_old"))
        .where(sa.or_(is_old, is_of_gone), sa.func.coalesce(is_needed, sa.false()).is_(False))
        .cte("doomed")
    )
    removed = sa.delete(attempts).where(
        attempts.c.id == sa.any_(sa.func.array(sa.select(doomed.c.id).scalar_subquery(), type_=_IDS))
    )
    counts = sa.select(
        sa.select(sa.func.count()).select_from(chunk).scalar_subquery().label("looked_at"),
        sa.select(sa.func.max(chunk.c.id)).scalar_subquery().label("last"),
        sa.select(sa.func.count()).where(doomed.c.is_old).scalar_subquery().label("old"),
        sa.select(sa.func.count()).where(sa.not_(doomed.c.is_old)).scalar_subquery().label("of_gone"),
    )
    return counts.add_cte(removed.cte("removed")) if removes else counts


_IDS = sa.ARRAY(sa.BigInteger)
_CONTACTS = sa.ARRAY(UUID_TYPE)


@built_once
def prune_deliveries(columns: DestinationColumns, removes: bool) -> sa.Select[Any]:
    """Of the deliveries of the :size contacts from the id :first on, remove those of contacts that are gone.

    What is claimed stays until that is settled. One row: `last`, the id to go on behind, NULL at the end, and how
    many are `of_gone`.
    """
    some = (
        sa.select(deliveries.c.contact_id, deliveries.c.claim_token)
        .where(deliveries.c.contact_id > sa.bindparam("after", type_=UUID_TYPE))
        .order_by(deliveries.c.contact_id)
    )
    chunk = some.limit(SIZE).cte("chunk")
    is_doomed = sa.and_(chunk.c.claim_token.is_(None), _is_gone(columns, chunk.c.contact_id))
    doomed = sa.select(chunk.c.contact_id).where(is_doomed).cte("doomed")
    ids = sa.func.array(sa.select(doomed.c.contact_id).scalar_subquery(), type_=_CONTACTS)
    removed = sa.delete(deliveries).where(deliveries.c.contact_id == sa.any_(ids), deliveries.c.claim_token.is_(None))
    last = sa.select(chunk.c.contact_id).order_by(chunk.c.contact_id.desc()).limit(1)
    counts = sa.select(
        last.scalar_subquery().label("last"),
        sa.select(sa.func.count()).select_from(doomed).scalar_subquery().label("of_gone"),
    )
    return counts.add_cte(removed.cte("removed")) if removes else counts


old_imports: sa.Executable = sa.delete(imports).where(imports.c.finished_at < NOW - _DAYS)
"""Imports that ended more than :days ago."""


deliveries_of: sa.Select[Any] = (
    sa.select(deliveries.c.destination, deliveries.c.claim_token, deliveries.c.remote_id)
    .where(deliveries.c.contact_id == _ID)
    .order_by(deliveries.c.destination)
    .with_for_update()
)
"""The deliveries of the contact :id, locked."""

known_ids_of: sa.Select[Any] = (
    sa.select(attempts.c.destination, attempts.c.remote_id)
    .where(attempts.c.contact_id == _ID, attempts.c.remote_id.is_not(None))
    .group_by(attempts.c.destination, attempts.c.remote_id)
    .order_by(attempts.c.destination, sa.func.min(attempts.c.id))
)
"""The destinations' own ids of the contact :id that the journal tells, the oldest first."""

delivered_to: sa.Select[Any] = sa.select(deliveries.c.destination).where(
    deliveries.c.contact_id == _ID, deliveries.c.synced_at.is_not(None)
)
"""Where the contact :id was delivered."""

forget_contact: tuple[sa.Executable, ...] = tuple(
    sa.delete(table).where(table.c.contact_id == _ID) for table in (import_contacts, attempts, deliveries)
)
"""Remove all that we have on the contact :id."""
