"""Claiming: which deliveries one run may work on."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import (
    EPOCH,
    IDS,
    LEASE,
    LEASE_SECONDS,
    NOW,
    PLACES,
    SIZE,
    TOKEN,
    UUID_TYPE,
    DestinationColumns,
    built_once,
    is_free,
    of_one,
    rows_of,
)
from crm_sync_pipeline.contact_queue.database.tables import attempts, deliveries, literal
from crm_sync_pipeline.contact_queue.worker.pending_imports_sql import is_attempted, is_under_way

_LATE_CONTACT = sa.bindparam("late_contact", type_=UUID_TYPE)
_SENT_LATE = sa.bindparam("sent_late", type_=sa.Text)
_LATE_FIELDS = sa.bindparam("late_fields", type_=sa.Text)


@built_once
def lock_due(columns: DestinationColumns) -> sa.Executable:
    """Lock at most :size due contacts, those due longest first; rows that others hold are skipped, never waited for.

    FOR NO KEY UPDATE, because FOR UPDATE would skip contacts to which a foreign key was just added. A fresh selection
    forgets the losses.
    """
    lost = sa.select(deliveries.c.lost_count).where(columns.delivery).correlate(columns.table).scalar_subquery()
    lost_count = sa.case((columns.is_fresh, 0), else_=sa.func.coalesce(lost, 0))
    return (
        sa.select(
            columns.id.label("id"),
            columns.place.label("place"),
            lost_count.label("lost_count"),
            columns.is_fresh.label("is_fresh"),
        )
        .where(columns.is_queued, columns.is_due)
        .order_by(columns.steering, columns.table.c.updated_at)
        .limit(SIZE)
        .with_for_update(key_share=True, skip_locked=True, of=columns.table)
    )


@built_once
def lock_one(columns: DestinationColumns) -> sa.Executable:
    """Lock the contact :id, whatever its state, waiting for whoever writes to it now."""
    return (
        sa.select(columns.id.label("id"), columns.place.label("place"))
        .where(columns.id == sa.bindparam("id", type_=UUID_TYPE))
        .with_for_update(key_share=True)
    )


@built_once
def mark_claimed(columns: DestinationColumns) -> sa.Update:
    """Put the locked contacts :ids at :places under :token. One that another live claim holds after all stays as it is.

    So does one that waits for a retry, or is on hold, after all: between lock_due's snapshot and its lock, another run
    may have claimed the contact, and even settled it. A fresh selection starts with no retries done. As many rows count
    as updated as were claimed. They are found by their places, because in a large table each look at an index of random
    ids is one at a page that no processor has at hand; a table that inherits from contacts may have others there.
    """
    chosen = (
        sa.select(
            columns.id.label("id"), columns.is_fresh.label("fresh"), columns.table.c.updated_at.label("decided_at")
        )
        .where(columns.place == sa.any_(PLACES), of_one(columns.id == sa.any_(IDS)))
        .cte("chosen")
    )
    insert = pg.insert(deliveries).from_select(
        ["contact_id", "destination", "claim_token", "lease_expires_at", "run_id", "selected_at"],
        sa.select(
            chosen.c.id,
            literal(columns.crm.name),
            TOKEN,
            NOW + LEASE,
            sa.bindparam("run_id", type_=sa.Text),
            sa.case((chosen.c.fresh, chosen.c.decided_at)),
        ),
    )
    fresh = insert.excluded.selected_at.is_not(None)
    taken = (
        insert.on_conflict_do_update(
            index_elements=["contact_id", "destination"],
            set_={
                "claim_token": insert.excluded.claim_token,
                "lease_expires_at": insert.excluded.lease_expires_at,
                "run_id": insert.excluded.run_id,
                "selected_at": sa.func.coalesce(insert.excluded.selected_at, deliveries.c.selected_at),
                "retry_count": sa.case((fresh, 0), else_=deliveries.c.retry_count),
                "lost_count": sa.case((fresh, 0), else_=deliveries.c.lost_count),
                "next_retry_at": None,
                "late_payload_hash": None,
            },
            where=sa.and_(
                deliveries.c.held_at.is_(None),
                is_free(),
                sa.or_(fresh, deliveries.c.next_retry_at.is_(None), deliveries.c.next_retry_at <= NOW),
            ),
        )
        .returning(deliveries.c.contact_id)
        .cte("taken")
    )
    return (
        sa.update(columns.table)
        .values(
            {
                columns.crm.sync_status: literal("Processing"),
                columns.crm.processing_status: literal("Processing"),
                "updated_at": NOW,
            }
        )
        .where(columns.place == sa.any_(PLACES), of_one(columns.id.in_(sa.select(taken.c.contact_id))))
    )


@built_once
def held_by(destination: str) -> sa.Executable:
    """How many deliveries :token holds: not 0 after a COMMIT whose answer was lost."""
    return (
        sa.select(sa.func.count())
        .select_from(deliveries)
        .where(deliveries.c.destination == destination, deliveries.c.claim_token == TOKEN)
    )


@built_once
def contacts_of(columns: DestinationColumns) -> sa.Executable:
    """The contacts claimed under :token that are as the claim left them: who was unselected since is not sent.

    Nor is what the token has attempted already, or waits for in an import.
    """
    its_contact = (  # with LIMIT 1 each is looked up by its id: a join might read the whole table
        sa.select(columns.id.label("id"), *columns.sent_fields())
        .where(columns.id == deliveries.c.contact_id, columns.is_held)
        .limit(1)
        .lateral("its_contact")
    )
    return (
        sa.select(its_contact)
        .select_from(deliveries.join(its_contact, sa.true()))
        .where(
            deliveries.c.destination == literal(columns.crm.name),
            deliveries.c.claim_token == TOKEN,
            ~is_attempted(),
            ~is_under_way(),
        )
        .order_by(deliveries.c.contact_id)
    )


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
}
EXTENDED_EVERY = 1 / 60
"""Of a lease: one of 300 s is written anew every 5 s, and not with each of a hundred small writes to the journal."""


@built_once
def write_down(columns: DestinationColumns) -> sa.Select[Any]:
    """Journal the attempts :done, each once, and extend the lease of :token; one row that says what it still holds.

    An attempt's number is read from the delivery: retries done so far, plus one. A lease that was extended a moment ago
    is left as it is: `lease_seconds` is how long it lasts. A lost lease stays lost. `not_held` are those of :done that
    the token does not hold: it never did, or another run took them up when the lease had run out. `taken_back` are
    those of the token that a person unselected, selected anew or deleted since the claim; NULL unless :look.

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
    not_held = sa.select(done.c.contact_id).where(of_its_delivery(deliveries.c.claim_token.is_distinct_from(TOKEN)))
    is_held = sa.select(columns.is_held).where(columns.id == deliveries.c.contact_id).scalar_subquery()
    taken_back = sa.select(deliveries.c.contact_id).where(ours, sa.not_(sa.func.coalesce(is_held, sa.false())))
    return (
        sa.select(
            (now_extended.c.total + fresh.c.total).label("total"),
            sa.func.least(LEASE_SECONDS, sa.extract("epoch", fresh.c.until - NOW)).label("lease_seconds"),
            _array(not_held).label("not_held"),
            sa.case((sa.bindparam("look", type_=sa.Boolean), _array(taken_back))).label("taken_back"),
        )
        .select_from(now_extended.join(fresh, sa.true()))
        .add_cte(written)
    )


def _array(ids: sa.Select[Any]) -> sa.ColumnElement[Any]:
    return sa.func.array(ids.scalar_subquery(), type_=pg.ARRAY(UUID_TYPE))


@built_once
def note_late_call(destination: str) -> sa.Update:
    """Tell whoever holds the contact :late_contact now that :sent_late was sent meanwhile, and may have landed last."""
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
