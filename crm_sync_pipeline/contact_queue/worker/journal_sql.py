"""The journal: attempts are written down, and the lease of their claim is extended with them."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import (
    EPOCH,
    LEASE,
    LEASE_SECONDS,
    NOW,
    TOKEN,
    UUID_TYPE,
    DestinationColumns,
    built_once,
    rows_of,
)
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import attempts, deliveries

_LATE_CONTACT = sa.bindparam("late_contact", type_=UUID_TYPE)
_SENT_LATE = sa.bindparam("sent_late", type_=sa.Text)
_LATE_FIELDS = sa.bindparam("late_fields", type_=sa.Text)

_DONE: Mapping[str, sa.types.TypeEngine[Any]] = {
    "contact_id": UUID_TYPE,
    "outcome": sa.Text(),
    "reason": sa.Text(),
    "message": sa.Text(),
    "http_status": sa.Integer(),
    "request_id": sa.Text(),
    "remote_id": sa.Text(),
    "milliseconds": sa.Integer(),
    "contact_hash": sa.Text(),
    "payload_hash": sa.Text(),
    "remote_fields": sa.Text(),
    "request_size": sa.Integer(),
}
EXTENDED_EVERY = 1 / 60
"""Of a lease: one of 300 s is written anew every 5 s, and not with each of a hundred small writes to the journal."""


@built_once
def write_down(columns: DestinationColumns) -> sa.Select[Any]:
    """Journal the attempts :done, each once, and extend the lease of :token; one row that says what is still claimed.

    An attempt's number is read from the delivery: retries done so far, plus one. A lease that was extended a moment ago
    is left as it is: `lease_seconds` is how long it lasts. A lost lease stays lost. `not_claimed` are those of :done
    that are not claimed by the token: they never were, or another run claimed them when the lease had run out.
    `taken_back` are those of the token that a person unselected, selected anew or deleted since the claim; NULL unless
    :look.

    One snapshot for all of it is enough: whoever takes a contact over after that calls the destination after what is
    journaled here.
    """
    ours = sa.and_(deliveries.c.destination == literal(columns.crm.name), deliveries.c.claim_token == TOKEN)
    done = sa.select(rows_of("done", _DONE)).cte("done")

    def of_its_delivery(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:  # a join might read them all
        mine = sa.and_(
            deliveries.c.contact_id == done.c.contact_id, deliveries.c.destination == literal(columns.crm.name)
        )
        return sa.select(value).where(mine).scalar_subquery()

    attempted = sa.select(
        literal(columns.crm.name),
        TOKEN,
        sa.bindparam("of_run", type_=sa.Text),
        sa.func.coalesce(of_its_delivery(deliveries.c.retry_count + 1), 1),
        *done.c,
    )
    written = (
        pg.insert(attempts)
        .from_select(["destination", "claim_token", "run_id", "number", *_DONE], attempted)
        .on_conflict_do_nothing(index_elements=["claim_token", "contact_id"])
        .cte("written")
    )
    fresh_until = NOW + LEASE * (1 - EXTENDED_EVERY)
    until = sa.func.coalesce(deliveries.c.lease_expires_at, EPOCH)  # so the index of all leases is not for this
    extended = (
        sa.update(deliveries)
        .values(lease_expires_at=NOW + LEASE)
        .where(ours, until > NOW, until < fresh_until)
        .returning(deliveries.c.contact_id)
        .cte("extended")
    )
    now_extended = sa.select(sa.func.count().label("total")).select_from(extended).subquery("now_extended")
    fresh = (
        sa.select(sa.func.count().label("total"), sa.func.min(until).label("until"))
        .where(ours, until >= fresh_until)
        .subquery("fresh")
    )
    not_claimed = sa.select(done.c.contact_id).where(of_its_delivery(deliveries.c.claim_token.is_distinct_from(TOKEN)))
    is_claimed = sa.select(columns.is_claimed).where(columns.id == deliveries.c.contact_id).scalar_subquery()
    taken_back = sa.select(deliveries.c.contact_id).where(ours, sa.not_(sa.func.coalesce(is_claimed, sa.false())))
    return (
        sa.select(
            (now_extended.c.total + fresh.c.total).label("total"),
            sa.func.least(LEASE_SECONDS, sa.extract("epoch", fresh.c.until - NOW)).label("lease_seconds"),
            _array(not_claimed).label("not_claimed"),
            sa.case((sa.bindparam("look", type_=sa.Boolean), _array(taken_back))).label("taken_back"),
        )
        .select_from(now_extended.join(fresh, sa.true()))
        .add_cte(written)
    )


def _array(ids: sa.Select[Any]) -> sa.ColumnElement[Any]:
    return sa.func.array(ids.scalar_subquery(), type_=pg.ARRAY(UUID_TYPE))


@built_once
def note_late_call(destination: str) -> sa.Update:
    """Tell the run that has claimed :late_contact now that :sent_late was sent meanwhile, and may have landed last."""
    return (
        sa.update(deliveries)
        .values(late_payload_hash=_SENT_LATE)
        .where(
            deliveries.c.destination == destination,
            deliveries.c.contact_id == _LATE_CONTACT,
            deliveries.c.claim_token.is_not(None),
        )
    )


@built_once
def note_late_fields(destination: str) -> sa.Update:
    """Of the contact :late_contact, the fields :late_fields may hold what was sent late."""
    return (
        sa.update(deliveries)
        .values(remote_fields=sa.func.concat_ws(literal(","), deliveries.c.remote_fields, _LATE_FIELDS))
        .where(deliveries.c.destination == destination, deliveries.c.contact_id == _LATE_CONTACT)
    )


@built_once
def send_again(columns: DestinationColumns) -> sa.Update:
    """Queue :late_contact again if it is Complete with another payload than :sent_late, which came later."""
    differs = sa.exists().where(
        columns.delivery,
        deliveries.c.claim_token.is_(None),
        deliveries.c.payload_hash.is_distinct_from(_SENT_LATE),
    )
    return (
        sa.update(columns.table)
        .values(
            {
                columns.crm.sync_status: literal("Queued"),
                columns.crm.processing_status: literal("Queued"),
                "updated_at": NOW,
            }
        )
        .where(
            columns.id == _LATE_CONTACT,
            columns.processing == literal("Complete"),
            columns.sync == literal("Complete"),
            differs,
        )
    )


def is_attempted() -> sa.ColumnElement[bool]:
    """Of a delivery: its token has journaled an attempt at it."""
    attempt = (
        sa.select(attempts.c.id)
        .where(attempts.c.claim_token == deliveries.c.claim_token, attempts.c.contact_id == deliveries.c.contact_id)
        .correlate(deliveries)
        .scalar_subquery()
    )
    return attempt.is_not(None)


@built_once
def forget_payload(destination: str) -> sa.Update:
    """Of the contact :late_contact it is no longer known what the destination holds, unless it is :sent_late anyway."""
    return (
        sa.update(deliveries)
        .values(payload_hash=None)
        .where(
            deliveries.c.contact_id == sa.bindparam("late_contact", type_=UUID_TYPE),
            deliveries.c.destination == destination,
            deliveries.c.payload_hash != sa.bindparam("sent_late", type_=sa.Text),
        )
    )
