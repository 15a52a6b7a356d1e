"""Imports whose run is gone: who waits for them next."""

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.bulk.imports_sql import IMPORT, RUN
from crm_sync_pipeline.contact_queue.database.columns import (
    LEASE,
    NOW,
    TOKEN,
    UUID_TYPE,
    DestinationColumns,
    built_once,
    opaque_to_planner,
    seconds,
)
from crm_sync_pipeline.contact_queue.database.tables import deliveries, import_contacts, imports
from crm_sync_pipeline.contact_queue.worker.pending_imports_sql import DELIVERY_OF_ENTRY, IS_IN_PROGRESS
from crm_sync_pipeline.domain.transition import LOSSES_UNTIL_QUARANTINE


def _has_live_lease() -> sa.ColumnElement[bool]:
    return (
        sa.exists()
        .select_from(import_contacts.join(deliveries, DELIVERY_OF_ENTRY))
        .where(
            import_contacts.c.import_id == imports.c.id,
            deliveries.c.claim_token == imports.c.claim_token,
            opaque_to_planner(deliveries.c.lease_expires_at > NOW),
        )
        .correlate(imports)
    )


@built_once
def lock_left_behind(destination: str) -> sa.Executable:
    """Lock the oldest import whose run is gone; one that another run adopts now is skipped."""
    return (
        sa.select(
            imports.c.id,
            imports.c.claim_token,
            imports.c.taken_up,
            sa.extract("epoch", NOW - imports.c.posted_at).label("age_seconds"),
        )
        .where(imports.c.destination == destination, IS_IN_PROGRESS, ~_has_live_lease())
        .order_by(imports.c.posted_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


@built_once
def is_waited_for(destination: str) -> sa.Executable:
    """Whether the lease on import :the_import is alive. Asked under its lock, this sees the truth."""
    return sa.select(sa.exists().where(imports.c.id == IMPORT, imports.c.destination == destination, _has_live_lease()))


@built_once
def lock_contacts(columns: DestinationColumns) -> sa.Executable:
    """Lock the contacts of import :the_import in id order, as every writer of their deliveries does first."""
    return (
        sa.select(columns.id)
        .select_from(columns.table.join(import_contacts, import_contacts.c.contact_id == columns.id))
        .where(import_contacts.c.import_id == IMPORT, import_contacts.c.destination == columns.crm.name)
        .order_by(columns.id)
        .with_for_update(key_share=True, of=columns.table)
    )


@built_once
def move_deliveries(destination: str) -> sa.Update:
    """Put what import :the_import holds under :token with a new lease, unless the lease of :old_token is alive.

    It counts as a loss, up to the number from which a contact goes into no import: or a worker that dies whenever it
    imports, for want of memory, would be followed by another one for ever.
    """
    losses = sa.func.least(deliveries.c.lost_count + 1, LOSSES_UNTIL_QUARANTINE)
    return (
        sa.update(deliveries)
        .values(claim_token=TOKEN, run_id=RUN, lease_expires_at=NOW + LEASE, lost_count=losses)
        .where(
            DELIVERY_OF_ENTRY,
            import_contacts.c.import_id == IMPORT,
            deliveries.c.destination == destination,
            deliveries.c.claim_token == sa.bindparam("old_token", type_=UUID_TYPE),
            opaque_to_planner(deliveries.c.lease_expires_at <= NOW),
        )
    )


@built_once
def adopt(destination: str) -> sa.Update:
    """From now on :token waits for import :the_import."""
    return (
        sa.update(imports)
        .values(claim_token=TOKEN, run_id=RUN, taken_up=imports.c.taken_up + 1)
        .where(imports.c.id == IMPORT, imports.c.destination == destination)
    )


@built_once
def abandon(destination: str) -> sa.Update:
    """End the lease of what the import of :token holds, so that the next claim adopts it."""
    return (
        sa.update(deliveries)
        .values(lease_expires_at=NOW - seconds(sa.literal(1.0)))
        .where(
            DELIVERY_OF_ENTRY,
            import_contacts.c.import_id == imports.c.id,
            imports.c.claim_token == TOKEN,
            deliveries.c.claim_token == TOKEN,
            deliveries.c.destination == destination,
            opaque_to_planner(deliveries.c.lease_expires_at > NOW),
        )
    )
