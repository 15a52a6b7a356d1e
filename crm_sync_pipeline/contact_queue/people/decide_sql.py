"""Decisions of people: select, unselect, requeue. Each sets both statuses at once."""

from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import IDS, NOW, DestinationColumns, built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import deliveries


def _fresh_start(columns: DestinationColumns) -> dict[str, Any]:
    """The shared retry columns, cleared where the last failure was this destination's own."""
    table = columns.table
    ours = table.c.last_failed_crm == literal(columns.crm.name)
    return {
        "retry_count": sa.case((ours, 0), else_=table.c.retry_count),
        "next_retry_at": sa.case((ours, None), else_=table.c.next_retry_at),
        "last_failed_crm": sa.case((ours, None), else_=table.c.last_failed_crm),
        "updated_at": NOW,
    }


def _decide(columns: DestinationColumns, sync: sa.ColumnElement[Any], processing: sa.ColumnElement[Any]) -> sa.Update:
    return sa.update(columns.table).values(
        {
            columns.crm.sync_status: sync,
            columns.crm.processing_status: processing,
            columns.crm.processing_error: None,
            **_fresh_start(columns),
        }
    )


@built_once
def select_now(columns: DestinationColumns) -> sa.Update:
    """Select :ids with fresh retries, whatever their state: the claim starts a Selected one from 0."""
    return _decide(columns, literal("Selected"), literal("Queued")).where(columns.id == sa.any_(IDS))


@built_once
def select(columns: DestinationColumns) -> sa.Update:
    """Select :ids; one that is already in the queue stays as it is, with its retries and its wait."""
    return select_now(columns).where(sa.not_(sa.func.coalesce(columns.is_queued, sa.false())))


@built_once
def unselect(columns: DestinationColumns) -> sa.Update:
    """Take :ids back; a result that arrives later changes nothing."""
    return _decide(columns, literal("New"), sa.null()).where(columns.id == sa.any_(IDS))


def is_new(columns: DestinationColumns) -> sa.ColumnElement[bool]:
    """Nobody has decided anything of it yet."""
    return sa.and_(columns.sync == literal("New"), columns.processing.is_(None))


def is_wanted_still(columns: DestinationColumns) -> sa.ColumnElement[bool]:
    """It waits, or is being delivered."""
    return columns.processing.in_([literal("Queued"), literal("Processing")])


def has_failed(columns: DestinationColumns) -> sa.ColumnElement[bool]:
    """It is in Error or waits for a retry, and nobody has given it a fresh start since."""
    has_retries = sa.or_(deliveries.c.retry_count > 0, deliveries.c.next_retry_at > NOW)
    waiting = sa.select(has_retries).where(columns.delivery).scalar_subquery()
    return sa.or_(columns.processing == literal("Error"), sa.and_(columns.is_queued, ~columns.is_fresh, waiting))


@built_once
def requeue(columns: DestinationColumns) -> sa.Update:
    """Of :ids, those in Error or waiting for a retry: due now, with fresh retries."""
    return select_now(columns).where(has_failed(columns))
