"""Contacts that need not be sent, because the destination took the same payload last: who asked for that."""

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import IDS, DestinationColumns, built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import deliveries


@built_once
def mark_changed_only(columns: DestinationColumns) -> sa.Executable:
    """Note that the selection of :ids, made just now, skips what has not changed.

    The selection is identified by its timestamp, which the claim reads from the row: whoever selects or writes the row
    later, with any program, makes another selection of it. A contact never delivered has nothing to skip.
    """
    return (
        sa.update(deliveries)
        .values(changed_only_at=columns.table.c.updated_at)
        .where(
            columns.delivery,
            columns.id == sa.any_(IDS),
            columns.is_queued,
            columns.sync == literal("Selected"),
            columns.table.c.updated_at == sa.func.now(),
        )
    )
