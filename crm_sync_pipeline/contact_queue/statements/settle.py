"""Settling: what became of the deliveries of a claim, and of those that a dead run left behind."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.statements.columns import (
    IDS,
    LEASE,
    NOW,
    SIZE,
    TOKEN,
    UUID_TYPE,
    DestinationColumns,
    seconds,
)
from crm_sync_pipeline.contact_queue.tables import attempts, deliveries, literal
from crm_sync_pipeline.domain.transition import ProcessingStatus, SharedColumns, SyncStatus


def _claimed_rows(columns: DestinationColumns) -> Any:
    return sa.select(
        columns.id.label("id"),
        deliveries.c.claim_token,
        deliveries.c.retry_count,
        deliveries.c.lost_count,
        deliveries.c.late_payload_hash,
        columns.is_held.label("is_held"),
        *columns.sent_fields(),
    ).select_from(columns.table.join(deliveries, columns.delivery))


def lock_held(columns: DestinationColumns) -> sa.Executable:
    """Lock at most :size deliveries of :token with their contacts, in id order: two settlers cannot deadlock."""
    held: sa.Executable = (
        _claimed_rows(columns)
        .where(deliveries.c.claim_token == TOKEN)
        .order_by(columns.id)
        .limit(SIZE)
        .with_for_update(key_share=True, of=[columns.table, deliveries])
    )
    return held


def lock_expired(columns: DestinationColumns) -> sa.Executable:
    """Lock at most :size deliveries whose lease has run out, checked again under the lock: a live one is not taken."""
    expired: sa.Executable = (
        _claimed_rows(columns)
        .where(deliveries.c.claim_token.is_not(None), deliveries.c.lease_expires_at <= NOW)
        .order_by(columns.id)
        .limit(SIZE)
        .with_for_update(key_share=True, skip_locked=True, of=[columns.table, deliveries])
    )
    return expired


def attempts_of(destination: str) -> sa.Executable:
    """The journaled attempts of :ids under :tokens: at most one for each pair."""
    return sa.select(attempts).where(
        attempts.c.destination == destination,
        attempts.c.claim_token == sa.any_(sa.bindparam("tokens", type_=pg.ARRAY(UUID_TYPE))),
        attempts.c.contact_id == sa.any_(IDS),
    )


def unclaimed_for_a_lease(columns: DestinationColumns) -> sa.ColumnElement[bool]:
    """Of a contact: it stands Processing, nobody holds it, and nothing has touched it for a lease."""
    return sa.and_(
        columns.processing == literal("Processing"),
        columns.table.c.updated_at <= NOW - LEASE,
        ~sa.exists().where(columns.delivery, deliveries.c.claim_token.is_not(None)),
    )


def release_abandoned(columns: DestinationColumns) -> sa.Update:
    """Queue again what stands Processing though nobody holds it: left so, a lease ago, by another program."""
    return (
        sa.update(columns.table)
        .values(
            {
                columns.crm.sync_status: literal("Queued"),
                columns.crm.processing_status: literal("Queued"),
                "updated_at": NOW,
            }
        )
        .where(columns.is_held, unclaimed_for_a_lease(columns))
    )


def honour_decisions(columns: DestinationColumns) -> tuple[sa.Update, sa.Update]:
    """Of :ids, and of what nobody holds: where a person changed the sync status alone, bring the other status after it.

    The first queues what is wanted again, the second takes what is not wanted out of the queue.
    """
    undecided = sa.or_(columns.id == sa.any_(IDS), unclaimed_for_a_lease(columns))
    wanted = columns.sync.in_([literal("Selected"), literal("Queued")])
    unwanted = sa.and_(~wanted, columns.sync != literal("Processing"))

    def bring(state: sa.ColumnElement[Any], which: sa.ColumnElement[bool]) -> sa.Update:
        return (
            sa.update(columns.table)
            .values({columns.crm.processing_status: state, "updated_at": NOW})
            .where(columns.processing == literal("Processing"), which, undecided)
        )

    return bring(literal("Queued"), wanted), bring(sa.null(), unwanted)


def honour_queued(columns: DestinationColumns) -> sa.Update:
    """Of :ids: where a person put the processing status alone back to Queued, bring the sync status after it."""
    return (
        sa.update(columns.table)
        .values({columns.crm.sync_status: literal("Queued"), "updated_at": NOW})
        .where(
            columns.id == sa.any_(IDS),
            columns.processing == literal("Queued"),
            columns.sync == literal("Processing"),
        )
    )


_OUTCOMES = (
    ("id", UUID_TYPE),
    ("token", UUID_TYPE),
    ("error", sa.Text()),
    ("keeps_error", sa.Boolean()),
    ("reference", sa.Text()),
    ("shared", sa.Text()),
    ("retry_count", sa.Integer()),
    ("due_in_seconds", sa.Float()),
    ("lost_count", sa.Integer()),
    ("remote_id", sa.Text()),
    ("payload_hash", sa.Text()),
    ("synced_at", pg.TIMESTAMP(timezone=True)),
)


def settled_parameters(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The arrays that settle_contacts and settle_deliveries take, from one mapping a delivery.

    Their names are not those of columns, which SQLAlchemy keeps for itself in an UPDATE.
    """
    return {f"each_{name}": [entry[name] for entry in entries] for name, _ in _OUTCOMES}


def _settled() -> sa.TableValuedAlias:
    arrays = [sa.bindparam(f"each_{name}", type_=pg.ARRAY(kind)) for name, kind in _OUTCOMES]
    return (
        sa.func.unnest(*(sa.cast(array, array.type) for array in arrays))
        .table_valued(*(sa.column(name, kind) for name, kind in _OUTCOMES), name="settled")
        .render_derived()
    )


def _due_at(settled: sa.TableValuedAlias) -> sa.ColumnElement[Any]:
    return NOW + seconds(settled.c.due_in_seconds)


def settle_contacts(columns: DestinationColumns, sync: SyncStatus, processing: ProcessingStatus) -> sa.Update:
    """Write transitions to contacts that are still Processing: one that a person changed keeps their decision.

    The shared retry columns are a copy for readers: a failure writes them, a success clears them only when the last
    failure was this destination's own.
    """
    settled, table = _settled(), columns.table
    failed = settled.c.shared == SharedColumns.RECORD_FAILURE.value
    cleared = sa.and_(
        settled.c.shared == SharedColumns.CLEAR_IF_OURS.value,
        sa.func.coalesce(table.c.last_failed_crm, literal(columns.crm.name)) == literal(columns.crm.name),
    )
    return (
        sa.update(table)
        .values(
            {
                columns.crm.sync_status: literal(sync.value),
                columns.crm.processing_status: literal(processing.value),
                columns.crm.processing_error: sa.case(
                    (settled.c.keeps_error, table.c[columns.crm.processing_error]), else_=settled.c.error
                ),
                columns.crm.id_column: sa.func.coalesce(settled.c.reference, table.c[columns.crm.id_column]),
                "retry_count": sa.case((failed, settled.c.retry_count), (cleared, 0), else_=table.c.retry_count),
                "last_retry_at": sa.case((failed, NOW), else_=table.c.last_retry_at),
                "next_retry_at": sa.case((failed, _due_at(settled)), (cleared, None), else_=table.c.next_retry_at),
                "last_failed_crm": sa.case(
                    (failed, literal(columns.crm.name)), (cleared, None), else_=table.c.last_failed_crm
                ),
                "updated_at": NOW,
            }
        )
        .where(columns.id == settled.c.id, columns.is_held)
    )


def settle_deliveries(destination: str) -> sa.Update:
    """Write transitions to deliveries and let them go, only under their token: a stale one changes nothing."""
    settled = _settled()
    return (
        sa.update(deliveries)
        .values(
            claim_token=None,
            lease_expires_at=None,
            late_payload_hash=None,
            retry_count=settled.c.retry_count,
            next_retry_at=_due_at(settled),
            lost_count=settled.c.lost_count,
            remote_id=sa.func.coalesce(settled.c.remote_id, deliveries.c.remote_id),
            payload_hash=sa.func.coalesce(settled.c.payload_hash, deliveries.c.payload_hash),
            synced_at=sa.func.coalesce(settled.c.synced_at, deliveries.c.synced_at),
        )
        .where(
            deliveries.c.contact_id == settled.c.id,
            deliveries.c.destination == destination,
            deliveries.c.claim_token == settled.c.token,
        )
    )


def put_aside(destination: str) -> sa.Update:
    """Keep what :token holds of :ids out of every claim's and recovery's way for :lease_seconds."""
    return (
        sa.update(deliveries)
        .values(lease_expires_at=NOW + LEASE)
        .where(
            deliveries.c.destination == destination,
            deliveries.c.claim_token == TOKEN,
            deliveries.c.contact_id == sa.any_(IDS),
        )
    )


def forget_deleted(columns: DestinationColumns) -> sa.Delete:
    """Remove what :token holds of contacts that were deleted meanwhile."""
    return sa.delete(deliveries).where(
        deliveries.c.destination == columns.crm.name,
        deliveries.c.claim_token == TOKEN,
        ~sa.exists().where(columns.id == deliveries.c.contact_id),
    )


def forget_deleted_and_expired(columns: DestinationColumns) -> sa.Delete:
    """Remove what dead claims hold of contacts that were deleted meanwhile."""
    return sa.delete(deliveries).where(
        deliveries.c.destination == columns.crm.name,
        deliveries.c.claim_token.is_not(None),
        deliveries.c.lease_expires_at <= NOW,
        ~sa.exists().where(columns.id == deliveries.c.contact_id),
    )
