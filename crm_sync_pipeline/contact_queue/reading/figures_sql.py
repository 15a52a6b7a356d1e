"""How the queue stands, in numbers that cost the same in a table of millions: each walks an index, and stops."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import (
    EPOCH,
    LEASE,
    NOW,
    UUID_TYPE,
    DestinationColumns,
    built_once,
)
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import attempts, deliveries
from crm_sync_pipeline.contact_queue.worker.settle_sql import has_expired, stranded

LOOKED_AT_FOR_LAG = 100

_LIMIT = sa.bindparam("limit", type_=sa.Integer)
_DAY: sa.ColumnElement[Any] = sa.literal_column("interval '1 day'")


@built_once
def standing(columns: DestinationColumns) -> sa.Executable:
    """Due, waiting for a retry, on hold, Processing and in Error, each counted up to :limit; the lag in seconds.

    What waits or is on hold is looked for among the :limit queued ones that are due last.
    """
    due = _queued(columns).where(columns.is_due).order_by(*_by_due(columns)).limit(_LIMIT).subquery()
    last = _queued(columns).order_by(*(each.desc() for each in _by_due(columns))).limit(_LIMIT).subquery()
    return sa.select(
        sa.select(sa.func.count()).select_from(due).scalar_subquery().label("due"),
        _how_many(last, last.c.stands == literal("waiting")).label("waiting"),
        _how_many(last, last.c.stands == literal("held")).label("held"),
        _in_state(columns, "Processing").label("processing"),
        _in_state(columns, "Error").label("error"),
        sa.extract("epoch", NOW - sa.func.least(*_oldest_due(columns))).label("lag_seconds"),
    )


def _by_due(columns: DestinationColumns) -> tuple[sa.ColumnElement[object], sa.ColumnElement[object]]:
    return columns.steering, columns.table.c.updated_at


def _queued(columns: DestinationColumns) -> sa.Select[str]:
    """Where each queued contact stands: its delivery is looked up by its key, as a join might read all of them."""
    waits = sa.and_(~columns.is_fresh, deliveries.c.next_retry_at > NOW)
    stands = sa.case((deliveries.c.held_at.is_not(None), literal("held")), (waits, literal("waiting")))
    looked_up = sa.select(stands).where(columns.delivery).correlate(columns.table).scalar_subquery()
    return sa.select(looked_up.label("stands")).select_from(columns.table).where(columns.is_queued)


def _how_many(found: sa.Subquery, which: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(found).where(which).scalar_subquery()


def _in_state(columns: DestinationColumns, state: str) -> sa.ScalarSelect[int]:
    some = (
        sa.select(columns.id.label("id"))
        .where(columns.processing == literal(state))
        .order_by(columns.table.c.updated_at)
        .limit(_LIMIT)
        .subquery()
    )
    return sa.select(sa.func.count()).select_from(some).scalar_subquery()


def _oldest_due(columns: DestinationColumns) -> list[sa.ScalarSelect[object]]:
    """When the oldest of the first due ones fell due: of those that wait for nothing, and of those whose wait is over.

    Some, and not one: what failed at another destination since stands among the former, where its wait is unknown.
    """
    waited = sa.select(deliveries.c.next_retry_at).where(columns.delivery, ~columns.is_fresh).correlate(columns.table)
    since = sa.func.greatest(columns.table.c.updated_at, columns.steering, waited.scalar_subquery()).label("since")
    first = (
        sa.select(since)
        .select_from(columns.table)
        .where(columns.is_queued, columns.is_due)
        .order_by(*_by_due(columns))
        .limit(LOOKED_AT_FOR_LAG)
    )
    both = (first, first.where(columns.steering > EPOCH))
    return [sa.select(sa.func.min(each.subquery().c.since)).scalar_subquery() for each in both]


@built_once
def ended_lately(columns: DestinationColumns) -> sa.Executable:
    """Of the contacts in the newest :limit attempts that were attempted in the last day: how many ended, and how."""
    newest = (
        sa.select(attempts.c.contact_id, attempts.c.destination, attempts.c.attempted_at)
        .order_by(attempts.c.id.desc())
        .limit(_LIMIT)
        .subquery()
    )
    lately = (
        sa.select(newest.c.contact_id)
        .distinct()
        .where(newest.c.destination == literal(columns.crm.name), newest.c.attempted_at > NOW - _DAY)
        .subquery()
    )
    state = sa.select(sa.cast(columns.processing, sa.Text)).where(columns.id == lately.c.contact_id).scalar_subquery()
    states = sa.select(state.label("state")).select_from(lately).subquery()
    return sa.select(
        sa.func.count().filter(states.c.state.in_([literal("Complete"), literal("Error")])).label("ended"),
        sa.func.count().filter(states.c.state == literal("Error")).label("error"),
    )


@built_once
def first_due(columns: DestinationColumns) -> sa.Executable:
    """What may be sent of the first :limit contacts that are due."""
    return (
        sa.select(columns.id.label("id"), *columns.sent_fields())
        .select_from(columns.table)
        .where(columns.is_queued, columns.is_due)
        .order_by(*_by_due(columns))
        .limit(_LIMIT)
    )


@built_once
def delivered_lately(columns: DestinationColumns) -> sa.Executable:
    """What may be sent of the contacts that were delivered in the newest :limit attempts, as their rows are now."""
    newest = (
        sa.select(attempts.c.contact_id, attempts.c.destination, attempts.c.outcome)
        .order_by(attempts.c.id.desc())
        .limit(_LIMIT)
        .subquery()
    )
    ids = (
        sa.select(newest.c.contact_id)
        .distinct()
        .where(newest.c.destination == literal(columns.crm.name), newest.c.outcome == literal("synced"))
        .subquery()
    )
    its_contact = (
        sa.select(columns.id.label("id"), *columns.sent_fields())
        .where(columns.id == ids.c.contact_id)
        .limit(1)
        .lateral("its_contact")
    )
    return sa.select(*its_contact.c).select_from(ids.join(its_contact, sa.true()))


@built_once
def next_retry(columns: DestinationColumns) -> sa.Executable:
    """When the first contact that waits for a retry is due; no row where none waits.

    It is the first in the index that is not due. What failed at another destination since stands elsewhere in it, and
    is not seen.
    """
    is_on_hold = sa.select(deliveries.c.held_at).where(columns.delivery).correlate(columns.table).scalar_subquery()
    return (
        sa.select(columns.steering)
        .select_from(columns.table)
        .where(columns.is_queued, columns.steering > NOW, is_on_hold.is_(None))
        .order_by(*_by_due(columns))
        .limit(1)
    )


@built_once
def longest_expired(columns: DestinationColumns) -> sa.Executable:
    """What has stood Processing longest past its lease: for how many seconds, and in which run; no row if nothing has.

    Its claim is dead, or it has none and nothing has touched it for :lease_seconds.
    """
    expired = (
        sa.select(deliveries.c.lease_expires_at.label("until"), deliveries.c.run_id)
        .where(deliveries.c.destination == literal(columns.crm.name), has_expired())
        .order_by(deliveries.c.lease_expires_at)
        .limit(1)
    )
    left = stranded(columns).with_only_columns((columns.table.c.updated_at + LEASE).label("until"), sa.null())
    both = sa.union_all(expired, left.limit(1)).subquery()
    seconds_ago = sa.extract("epoch", NOW - both.c.until)
    return sa.select(seconds_ago.label("seconds"), both.c.run_id).order_by(both.c.until).limit(1)


@built_once
def failures_of(columns: DestinationColumns) -> sa.Executable:
    """The first :limit attempts under :tokens that failed or were refused, and what happens next; nothing personal."""
    its_delivery = sa.and_(
        deliveries.c.contact_id == attempts.c.contact_id, deliveries.c.destination == literal(columns.crm.name)
    )
    next_retry = sa.select(deliveries.c.next_retry_at).where(its_delivery).correlate(attempts).scalar_subquery()
    state = sa.select(sa.cast(columns.processing, sa.Text)).where(columns.id == attempts.c.contact_id)
    return (
        sa.select(
            attempts.c.contact_id,
            attempts.c.reason,
            attempts.c.number,
            next_retry.label("next_retry_at"),
            state.scalar_subquery().label("state"),
        )
        .where(
            attempts.c.claim_token == sa.any_(sa.bindparam("tokens", type_=pg.ARRAY(UUID_TYPE))),
            attempts.c.outcome.in_([literal("failed"), literal("rejected")]),
        )
        .order_by(attempts.c.claim_token, attempts.c.contact_id)
        .limit(_LIMIT)
    )
