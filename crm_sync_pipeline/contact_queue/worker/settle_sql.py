"""Settling: what became of the deliveries of a claim, and of those that a dead run left behind."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import (
    IDS,
    LEASE,
    NOW,
    SIZE,
    TOKEN,
    UUID_TYPE,
    DestinationColumns,
    built_once,
    rows_of,
    seconds,
)
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import attempts, deliveries
from crm_sync_pipeline.contact_queue.worker.pending_imports_sql import is_in_import
from crm_sync_pipeline.domain.transition import ProcessingStatus, SharedColumns, SyncStatus


def _claimed_rows(columns: DestinationColumns) -> Any:
    return sa.select(
        columns.id.label("id"),
        deliveries.c.claim_token,
        deliveries.c.retry_count,
        deliveries.c.lost_count,
        deliveries.c.payload_hash,
        deliveries.c.late_payload_hash,
        deliveries.c.remote_id,
        deliveries.c.remote_fields,
        columns.delivered_to.label("delivered_to"),
        columns.is_claimed.label("is_claimed"),
        *columns.sent_fields(),
    ).select_from(columns.table.join(deliveries, columns.delivery))


@built_once
def lock_claimed(columns: DestinationColumns) -> sa.Executable:
    """Lock at most :size deliveries of :token with their contacts, in id order: two settlers cannot deadlock.

    From the id :first on: those before it are not walked again. What the token waits for in an import is left out.
    """
    chosen = (
        sa.select(deliveries.c.contact_id)
        .where(
            deliveries.c.destination == literal(columns.crm.name),
            deliveries.c.claim_token == TOKEN,
            deliveries.c.contact_id >= sa.bindparam("first", type_=UUID_TYPE),
            ~is_in_import(),
        )
        .order_by(deliveries.c.contact_id)
        .limit(SIZE)
        .cte("chosen")
    )
    claimed: sa.Executable = (
        _claimed_rows(columns)
        .where(deliveries.c.contact_id == chosen.c.contact_id, deliveries.c.claim_token == TOKEN)
        .order_by(columns.id)
        .with_for_update(key_share=True, of=[columns.table, deliveries])
    )
    return claimed


@built_once
def lock_expired(columns: DestinationColumns) -> sa.Executable:
    """Lock at most :size deliveries whose lease has run out, checked again under the lock: a live one is not taken.

    What is in progress in an import is left out: a claim adopts it instead.
    """
    expired: sa.Executable = (
        _claimed_rows(columns)
        .where(has_expired(), ~is_in_import())
        .order_by(deliveries.c.lease_expires_at)
        .limit(SIZE)
        .with_for_update(key_share=True, skip_locked=True, of=[columns.table, deliveries])
    )
    return expired


@built_once
def attempts_of(destination: str) -> sa.Executable:
    """The journaled attempts of :ids under :tokens: at most one for each pair.

    The time is text, because it is only written back: reading a thousand of them would take a while.
    """
    read = (
        *("claim_token", "contact_id", "outcome", "reason", "message"),
        *("remote_id", "contact_hash", "payload_hash", "remote_fields"),
    )
    attempted_at = sa.cast(attempts.c.attempted_at, sa.Text).label("attempted_at")
    return sa.select(*(attempts.c[name] for name in read), attempted_at).where(
        attempts.c.destination == destination,
        attempts.c.claim_token == sa.any_(sa.bindparam("tokens", type_=pg.ARRAY(UUID_TYPE))),
        attempts.c.contact_id == sa.any_(IDS),
    )


@built_once
def stranded(columns: DestinationColumns) -> sa.Select[Any]:
    """The contacts that stand Processing though they are not claimed, and that nothing has touched for a lease."""
    token = sa.select(deliveries.c.claim_token).where(columns.delivery).scalar_subquery()
    return (
        sa.select(columns.id.label("id"))
        .where(columns.processing == literal("Processing"), columns.table.c.updated_at <= NOW - LEASE, token.is_(None))
        .order_by(columns.table.c.updated_at)
    )


@built_once
def recover_stranded(columns: DestinationColumns) -> sa.Update:
    """Of at most :size stranded ones, left so by another program, queue what is wanted or not decided.

    Where a person changed the sync status alone, the other status is brought after it.
    """
    found = stranded(columns).limit(SIZE).with_for_update(key_share=True, skip_locked=True, of=columns.table)
    chosen = found.cte("chosen")
    undecided = columns.sync == literal("Processing")
    wanted = columns.sync.in_([literal("Selected"), literal("Queued")])
    an_enum_as_it_may_be = (columns.processing == literal("Queued"), columns.processing)  # else the CASE is text
    return (
        sa.update(columns.table)
        .values(
            {
                columns.crm.sync_status: sa.case((undecided, literal("Queued")), else_=columns.sync),
                columns.crm.processing_status: sa.case(
                    (sa.or_(undecided, wanted), literal("Queued")), an_enum_as_it_may_be
                ),
                "updated_at": NOW,
            }
        )
        .where(columns.id == chosen.c.id)
    )


@built_once
def honour_decisions(columns: DestinationColumns) -> tuple[sa.Update, sa.Update]:
    """Of :ids: where a person changed the sync status alone, bring the other status after it.

    The first queues what is wanted again, the second takes what is not wanted out of the queue.
    """
    wanted = columns.sync.in_([literal("Selected"), literal("Queued")])
    unwanted = sa.and_(~wanted, columns.sync != literal("Processing"))

    def bring(state: sa.ColumnElement[Any], which: sa.ColumnElement[bool]) -> sa.Update:
        return (
            sa.update(columns.table)
            .values({columns.crm.processing_status: state, "updated_at": NOW})
            .where(columns.id == sa.any_(IDS), columns.is_processing, which)
        )

    return bring(literal("Queued"), wanted), bring(sa.null(), unwanted)


@built_once
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


_SETTLED: Mapping[str, sa.types.TypeEngine[Any]] = {
    "id": UUID_TYPE,
    "token": UUID_TYPE,
    "error": sa.Text(),
    "keeps_error": sa.Boolean(),
    "reference": sa.Text(),
    "shared": sa.Text(),
    "retry_count": sa.Integer(),
    "due_in_seconds": sa.Float(),
    "lost_count": sa.Integer(),
    "remote_id": sa.Text(),
    "payload_hash": sa.Text(),
    "remote_fields": sa.Text(),
    "synced_at": pg.TIMESTAMP(timezone=True),
}


@built_once
def settle_both(columns: DestinationColumns, sync: SyncStatus, processing: ProcessingStatus) -> sa.Update:
    """Write the transitions :settled to contacts that are still Processing, and to their deliveries.

    One that a person changed keeps their decision. The shared retry columns are a copy for readers: a failure writes
    them, a success clears them only when the last failure was this destination's own.
    """
    settled, table = sa.select(rows_of("settled", _SETTLED)).cte("settled"), columns.table
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
        .where(columns.id == settled.c.id, columns.is_claimed)
        .add_cte(_end_claim(settled, columns.crm.name).cte("end_claim"))
    )


@built_once
def settle_deliveries(destination: str) -> sa.Update:
    """Write the transitions :settled to deliveries alone, whose contacts a person changed, and end their claims."""
    return _end_claim(sa.select(rows_of("settled", _SETTLED)).cte("settled"), destination)


def _end_claim(settled: sa.CTE, destination: str) -> sa.Update:
    """Only under their token: a stale one changes nothing."""
    return (
        sa.update(deliveries)
        .values(
            claim_token=None,
            lease_expires_at=None,
            late_payload_hash=None,
            retry_count=settled.c.retry_count,
            next_retry_at=_due_at(settled),
            lost_count=settled.c.lost_count,
            remote_id=settled.c.remote_id,
            payload_hash=settled.c.payload_hash,
            remote_fields=settled.c.remote_fields,
            synced_at=sa.func.coalesce(settled.c.synced_at, deliveries.c.synced_at),
        )
        .where(
            deliveries.c.contact_id == settled.c.id,
            deliveries.c.destination == literal(destination),
            deliveries.c.claim_token == settled.c.token,
        )
    )


def _due_at(settled: sa.CTE) -> sa.ColumnElement[Any]:
    return NOW + seconds(settled.c.due_in_seconds)


@built_once
def put_aside(destination: str) -> sa.Update:
    """Keep what :token has claimed of :ids out of every claim's and recovery's way for :lease_seconds."""
    return (
        sa.update(deliveries)
        .values(lease_expires_at=NOW + LEASE)
        .where(
            deliveries.c.destination == destination,
            deliveries.c.claim_token == TOKEN,
            deliveries.c.contact_id == sa.any_(IDS),
        )
    )


def has_expired() -> sa.ColumnElement[bool]:
    """Of a delivery: its claim is void."""
    return sa.and_(deliveries.c.claim_token.is_not(None), deliveries.c.lease_expires_at <= NOW)
