"""Hold and release: a contact on hold is not claimed until it is released, whatever is decided of it meanwhile.

`deliveries.held_at` decides. A contact on hold that waits in the queue also stands as Queued with a far next retry, in
the shared columns, so that no claim walks past it; nothing rests on that.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import IDS, NOW, UUID_TYPE, DestinationColumns, built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import deliveries

FAR: sa.ColumnElement[Any] = sa.literal_column("'9999-01-01 00:00:00+00'::timestamptz")
FAR_ENOUGH: sa.ColumnElement[Any] = sa.literal_column("'9000-01-01 00:00:00+00'::timestamptz")
"""No retry waits so long: it is ours. An application may have written the time back in another precision."""


def is_on_hold(columns: DestinationColumns) -> sa.ColumnElement[bool]:
    """Whether a person put it on hold: each delivery is looked up."""
    held_at = sa.select(deliveries.c.held_at).where(columns.delivery).correlate(columns.table).scalar_subquery()
    return held_at.is_not(None)


@built_once
def hold(columns: DestinationColumns) -> sa.Executable:
    """Put :ids on hold from now on. A fresh selection keeps its fresh start, which is written down here."""
    chosen = (
        sa.select(columns.id.label("id"), _fresh_since(columns).label("fresh_since"))
        .where(columns.id == sa.any_(IDS))
        .cte("chosen")
    )
    insert = pg.insert(deliveries).from_select(
        ["contact_id", "destination", "held_at", "selected_at"],
        sa.select(chosen.c.id, literal(columns.crm.name), NOW, chosen.c.fresh_since),
    )
    return insert.on_conflict_do_update(
        index_elements=["contact_id", "destination"],
        set_={
            "held_at": sa.func.coalesce(deliveries.c.held_at, insert.excluded.held_at),
            **_fresh_start(insert.excluded.selected_at),
        },
    )


@built_once
def keep_fresh_start(columns: DestinationColumns) -> sa.Update:
    """Of :ids, those on hold that were selected again: write their fresh start down."""
    fresh_since = _fresh_since(columns)
    return (
        sa.update(deliveries)
        .values(_fresh_start(columns.table.c.updated_at))
        .where(
            columns.delivery,
            deliveries.c.contact_id == sa.any_(IDS),  # hardly any of them is on hold: no need to look at all contacts
            deliveries.c.held_at.is_not(None),
            fresh_since.is_not(None),
        )
        .returning(deliveries.c.contact_id)
    )


def _fresh_since(columns: DestinationColumns) -> sa.ColumnElement[Any]:
    return sa.case((sa.and_(columns.is_queued, columns.is_fresh), columns.table.c.updated_at))


def _fresh_start(since: sa.ColumnElement[Any]) -> dict[str, Any]:
    """What a claim does for a fresh selection, where there is one."""
    is_fresh = since.is_not(None)
    return {
        "selected_at": sa.func.coalesce(since, deliveries.c.selected_at),
        "retry_count": sa.case((is_fresh, 0), else_=deliveries.c.retry_count),
        "lost_count": sa.case((is_fresh, 0), else_=deliveries.c.lost_count),
        "next_retry_at": sa.case((is_fresh, None), else_=deliveries.c.next_retry_at),
    }


@built_once
def shelve(columns: DestinationColumns) -> sa.Update:
    """Of :ids, those on hold that wait, or that a run has claimed and may not have sent yet: Queued, and far behind.

    The shared columns are left alone where another CRM's failure stands in them: then claims walk past it.
    """
    table = columns.table
    may_steer = sa.func.coalesce(table.c.last_failed_crm, literal(columns.crm.name)) == literal(columns.crm.name)
    return (
        sa.update(table)
        .values(
            {
                columns.crm.sync_status: literal("Queued"),
                columns.crm.processing_status: literal("Queued"),
                "next_retry_at": sa.case((may_steer, FAR), else_=table.c.next_retry_at),
                "last_failed_crm": sa.case((may_steer, literal(columns.crm.name)), else_=table.c.last_failed_crm),
                "updated_at": NOW,
            }
        )
        .where(
            columns.delivery,
            columns.id == sa.any_(IDS),
            deliveries.c.held_at.is_not(None),
            sa.or_(columns.is_queued, columns.is_claimed),
        )
    )


@built_once
def unshelve(columns: DestinationColumns) -> sa.Update:
    """Of :ids, those on hold: due when they would have been, and waiting in the queue from now on."""
    table = columns.table
    is_shelved = sa.and_(table.c.last_failed_crm == literal(columns.crm.name), table.c.next_retry_at >= FAR_ENOUGH)
    never_failed = sa.and_(is_shelved, deliveries.c.retry_count == 0)
    return (
        sa.update(table)
        .values(
            next_retry_at=sa.case((is_shelved, deliveries.c.next_retry_at), else_=table.c.next_retry_at),
            last_failed_crm=sa.case((never_failed, None), else_=table.c.last_failed_crm),
            updated_at=NOW,
        )
        .where(
            columns.delivery,
            columns.id == sa.any_(IDS),
            deliveries.c.held_at.is_not(None),
            sa.or_(columns.is_queued, is_shelved),
        )
    )


@built_once
def release(destination: str) -> sa.Update:
    """Let those of :ids go that are on hold."""
    return (
        sa.update(deliveries)
        .values(held_at=None)
        .where(
            deliveries.c.destination == literal(destination),
            deliveries.c.contact_id == sa.any_(IDS),
            deliveries.c.held_at.is_not(None),
        )
    )


@built_once
def on_hold_since(destination: str) -> sa.Executable:
    """Since when the contact :id is on hold; no row or NULL where it is not."""
    return sa.select(deliveries.c.held_at).where(
        deliveries.c.destination == literal(destination),
        deliveries.c.contact_id == sa.bindparam("id", type_=UUID_TYPE),
    )
