"""Claims on contacts that are gone: the delivery ends when the claim does."""

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import SIZE, TOKEN, DestinationColumns, built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import deliveries
from crm_sync_pipeline.contact_queue.worker.settle_sql import has_expired


@built_once
def forget_deleted(columns: DestinationColumns) -> sa.Delete | sa.Update:
    """Remove what :token has claimed of contacts that were deleted meanwhile.

    Where row-level security hides rows, what can't be seen need not be deleted: only the claim ends.
    """
    ours = deliveries.c.destination == literal(columns.crm.name)
    return _removed_or_unclaimed(columns).where(ours, deliveries.c.claim_token == TOKEN, _is_deleted(columns))


@built_once
def forget_deleted_and_expired(columns: DestinationColumns) -> sa.Delete | sa.Update:
    """Remove, or unclaim, at most :size deliveries under dead claims, of contacts that were deleted meanwhile."""
    ours = deliveries.c.destination == literal(columns.crm.name)
    chosen = (
        sa.select(deliveries.c.contact_id)
        .where(ours, has_expired(), _is_deleted(columns))
        .order_by(deliveries.c.lease_expires_at)
        .limit(SIZE)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    return _removed_or_unclaimed(columns).where(ours, deliveries.c.contact_id == chosen.c.contact_id)


def _removed_or_unclaimed(columns: DestinationColumns) -> sa.Delete | sa.Update:
    """The payload is forgotten: a call may have landed that nobody saw the end of."""
    if not columns.hides_rows:
        return sa.delete(deliveries)
    nothing = dict.fromkeys(("claim_token", "lease_expires_at", "late_payload_hash", "payload_hash"))
    return sa.update(deliveries).values(nothing)


def _is_deleted(columns: DestinationColumns) -> sa.ColumnElement[bool]:
    its_contact = sa.select(columns.id).where(columns.id == deliveries.c.contact_id)
    return its_contact.scalar_subquery().is_(None)
