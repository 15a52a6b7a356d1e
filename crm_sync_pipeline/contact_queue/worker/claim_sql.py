"""Claiming: which deliveries one run may work on."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import (
    IDS,
    LEASE,
    NOW,
    PLACES,
    SIZE,
    TOKEN,
    UUID_TYPE,
    DestinationColumns,
    built_once,
    is_free,
    opaque_to_planner,
)
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import deliveries
from crm_sync_pipeline.contact_queue.worker.journal_sql import is_attempted
from crm_sync_pipeline.contact_queue.worker.pending_imports_sql import is_in_import


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
    """Put the locked contacts :ids at :places under :token.

    Contacts that another live token has claimed in the meantime are left unchanged. So is one that waits for a retry,
    or is on hold, after all: between lock_due's snapshot and its lock, another run
    may have claimed the contact, and even settled it. A fresh selection starts with no retries done. As many rows count
    as updated as were claimed. They are found by their places, because in a large table each look at an index of random
    ids is one at a page that no processor has at hand; a table that inherits from contacts may have others there.
    """
    chosen = (
        sa.select(
            columns.id.label("id"), columns.is_fresh.label("fresh"), columns.table.c.updated_at.label("decided_at")
        )
        .where(columns.place == sa.any_(PLACES), opaque_to_planner(columns.id == sa.any_(IDS)))
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
        .where(columns.place == sa.any_(PLACES), opaque_to_planner(columns.id.in_(sa.select(taken.c.contact_id))))
    )


@built_once
def claimed_by(destination: str) -> sa.Executable:
    """How many deliveries :token has claimed: not 0 after a COMMIT whose answer was lost."""
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
        .where(columns.id == deliveries.c.contact_id, columns.is_claimed)
        .limit(1)
        .lateral("its_contact")
    )
    return (
        sa.select(its_contact, deliveries.c.selected_at)
        .select_from(deliveries.join(its_contact, sa.true()))
        .where(
            deliveries.c.destination == literal(columns.crm.name),
            deliveries.c.claim_token == TOKEN,
            ~is_attempted(),
            ~is_in_import(),
        )
        .order_by(deliveries.c.contact_id)
    )
