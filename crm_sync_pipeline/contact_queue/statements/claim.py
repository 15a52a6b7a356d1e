"""Claiming: which deliveries one run may work on."""

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
    is_free,
)
from crm_sync_pipeline.contact_queue.tables import attempts, deliveries, literal

_LATE_CONTACT = sa.bindparam("late_contact", type_=UUID_TYPE)
_SENT_LATE = sa.bindparam("sent_late", type_=sa.Text)


def lock_due(columns: DestinationColumns) -> sa.Executable:
    """Lock at most :size due contacts, those due longest first; rows that others hold are skipped, never waited for.

    FOR NO KEY UPDATE, because FOR UPDATE would skip contacts to which a foreign key was just added. A fresh selection
    forgets the losses.
    """
    lost_count = sa.case((columns.is_fresh, 0), else_=sa.func.coalesce(deliveries.c.lost_count, 0))
    return (
        sa.select(columns.id.label("id"), lost_count.label("lost_count"))
        .select_from(columns.table.outerjoin(deliveries, columns.delivery))
        .where(columns.is_queued, columns.is_ready)
        .order_by(columns.steering, columns.table.c.updated_at)
        .limit(SIZE)
        .with_for_update(key_share=True, skip_locked=True, of=columns.table)
    )


def lock_one(columns: DestinationColumns) -> sa.Executable:
    """Lock the contact :id, whatever its state, waiting for whoever writes to it now."""
    return (
        sa.select(columns.id.label("id"))
        .where(columns.id == sa.bindparam("id", type_=UUID_TYPE))
        .with_for_update(key_share=True)
    )


def mark_claimed(columns: DestinationColumns) -> sa.Update:
    """Put the locked contacts :ids under :token. One that another live claim holds after all stays as it is.

    So does one that waits for a retry after all: between lock_due's snapshot and its lock, another run may have claimed
    the contact, and even settled it. A fresh selection starts with no retries done. Returns the ids that were claimed.
    """
    chosen = (
        sa.select(
            columns.id.label("id"), columns.is_fresh.label("fresh"), columns.table.c.updated_at.label("decided_at")
        )
        .where(columns.id == sa.any_(IDS))
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
                is_free(), sa.or_(fresh, deliveries.c.next_retry_at.is_(None), deliveries.c.next_retry_at <= NOW)
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
        .where(columns.id == taken.c.contact_id)
        .returning(columns.id)
    )


def held_by(destination: str) -> sa.Executable:
    """How many deliveries :token holds: not 0 after a COMMIT whose answer was lost."""
    return (
        sa.select(sa.func.count())
        .select_from(deliveries)
        .where(deliveries.c.destination == destination, deliveries.c.claim_token == TOKEN)
    )


def contacts_of(columns: DestinationColumns) -> sa.Executable:
    """The contacts claimed under :token that are as the claim left them: who was unselected since is not sent."""
    return (
        sa.select(columns.id.label("id"), *columns.sent_fields())
        .select_from(columns.table.join(deliveries, columns.delivery))
        .where(deliveries.c.claim_token == TOKEN, columns.is_held)
        .order_by(columns.id)
    )


def taken_back(columns: DestinationColumns) -> sa.Executable:
    """Those under :token that a person unselected, selected anew or deleted since the claim."""
    return (
        sa.select(deliveries.c.contact_id)
        .select_from(deliveries.outerjoin(columns.table, deliveries.c.contact_id == columns.id))
        .where(
            deliveries.c.destination == columns.crm.name,
            deliveries.c.claim_token == TOKEN,
            sa.not_(sa.func.coalesce(columns.is_held, sa.false())),
        )
    )


def extend_lease(destination: str) -> sa.Update:
    """Move the lease of :token to :lease_seconds from now; returns what it still holds. A lost lease stays lost."""
    return (
        sa.update(deliveries)
        .values(lease_expires_at=NOW + LEASE)
        .where(
            deliveries.c.destination == destination,
            deliveries.c.claim_token == TOKEN,
            deliveries.c.lease_expires_at > NOW,
        )
    )


def add_attempts(destination: str) -> sa.Insert:
    """Journal attempts, each once; the number is read from the delivery: retries done so far, plus one."""
    number = (
        sa.select(deliveries.c.retry_count + 1)
        .where(
            deliveries.c.contact_id == sa.bindparam("of_contact", type_=UUID_TYPE),
            deliveries.c.destination == destination,
        )
        .scalar_subquery()
    )
    return (
        pg.insert(attempts)
        .values(destination=destination, number=sa.func.coalesce(number, 1))
        .on_conflict_do_nothing(index_elements=["claim_token", "contact_id"])
    )


def no_longer_held(destination: str) -> sa.Executable:
    """Those of :ids that :token does not hold: it never did, or another run took them up when the lease had run out."""
    return sa.select(deliveries.c.contact_id).where(
        deliveries.c.destination == destination,
        deliveries.c.contact_id == sa.any_(IDS),
        deliveries.c.claim_token.is_distinct_from(TOKEN),
    )


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
