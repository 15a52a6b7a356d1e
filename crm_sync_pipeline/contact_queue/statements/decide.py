"""Decisions of people: select, unselect, requeue. Each sets both statuses at once."""

from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.statements.columns import IDS, NOW, SIZE, DestinationColumns, built_once
from crm_sync_pipeline.contact_queue.tables import deliveries, literal


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


@built_once
def all_for(columns: DestinationColumns, selected: bool) -> sa.Update:
    """At most :size of all: select those that are New, or unselect those in the queue. Returns their ids."""
    if selected:
        which = sa.and_(columns.sync == literal("New"), columns.processing.is_(None))
        update = _decide(columns, literal("Selected"), literal("Queued"))
    else:
        which = columns.processing.in_([literal("Queued"), literal("Processing")])
        update = _decide(columns, literal("New"), sa.null())
    some = (
        sa.select(columns.id.label("id")).where(which).order_by(columns.id).limit(SIZE).with_for_update(key_share=True)
    )
    chosen = some.cte("chosen")
    return update.where(columns.id == chosen.c.id).returning(columns.id)


@built_once
def requeue(columns: DestinationColumns, everything: bool) -> sa.Update:
    """Of those in Error or waiting for a retry (all, or :ids): due now, with fresh retries. Returns their ids."""
    waiting = sa.and_(
        columns.is_queued,
        sa.exists().where(columns.delivery, sa.or_(deliveries.c.retry_count > 0, deliveries.c.next_retry_at > NOW)),
    )
    update = _decide(columns, literal("Selected"), literal("Queued")).where(
        sa.or_(columns.processing == literal("Error"), waiting)
    )
    if not everything:
        update = update.where(columns.id == sa.any_(IDS))
    return update.returning(columns.id)
