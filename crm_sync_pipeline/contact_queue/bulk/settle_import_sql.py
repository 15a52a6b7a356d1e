"""Settling most of an import where it is journaled: those whose rows nobody has touched since they were read.

A row that was not written since is neither edited nor unselected, so all of them come to the same; none need travel.
The others are settled by what stands in them, as ever.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.bulk.imports_sql import IMPORT
from crm_sync_pipeline.contact_queue.database.columns import NOW, SIZE, TOKEN, DestinationColumns, built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import deliveries, import_contacts
from crm_sync_pipeline.contact_queue.worker.settle_sql import SETTLED, write_transitions
from crm_sync_pipeline.domain.transition import Transition


def _some(destination: str) -> sa.CTE:
    """The same as journal_some takes next."""
    return (
        sa.select(import_contacts)
        .where(import_contacts.c.import_id == IMPORT, import_contacts.c.destination == destination)
        .order_by(import_contacts.c.contact_id)
        .limit(SIZE)
        .cte("some")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )


@built_once
def lock_some(columns: DestinationColumns) -> sa.Select[Any]:
    """Lock the contacts of the first :size of import :the_import in id order; what runs after that sees the truth."""
    some = _some(columns.crm.name)
    locked = (
        sa.select(columns.id.label("id"))
        .where(columns.id == some.c.contact_id)
        .limit(1)
        .with_for_update(key_share=True)
        .lateral("locked")
    )
    return sa.select(sa.func.count()).select_from(some.join(locked, sa.true()))


@built_once
def settle_some(columns: DestinationColumns, becomes: Transition) -> sa.Update:
    """Write one transition to the locked contacts whose row is as it was read, and that no late call has overtaken.

    An address in :came_to has an outcome of its own, and is left out. Questions for each row, by primary keys.
    """
    some = _some(columns.crm.name)
    own = sa.select(sa.cast(sa.bindparam("came_to", type_=sa.Text), pg.JSONB)).scalar_subquery()
    as_read = (
        sa.select(columns.table.c.email)
        .where(
            columns.id == some.c.contact_id,
            sa.cast(sa.literal_column("xmin"), sa.Text) == some.c.row_version,
            columns.is_held,
        )
        .limit(1)
        .lateral("as_read")
    )
    held = (
        sa.select(deliveries.c.contact_id, deliveries.c.remote_id)
        .where(
            deliveries.c.contact_id == some.c.contact_id,
            deliveries.c.destination == literal(columns.crm.name),
            deliveries.c.claim_token == TOKEN,
            sa.func.coalesce(deliveries.c.late_payload_hash, some.c.payload_hash) == some.c.payload_hash,
        )
        .limit(1)
        .lateral("held")
    )
    reference = sa.cast(as_read.c.email, sa.Text) if columns.crm.holds_address else sa.null()
    values: Mapping[str, Any] = {
        "id": some.c.contact_id,
        "token": TOKEN,
        "reference": reference,
        "error": sa.literal(becomes.error, sa.Text),
        "keeps_error": sa.literal(becomes.keeps_error),
        "shared": sa.literal(becomes.shared.value),
        "retry_count": sa.literal(becomes.retry_count),
        "due_in_seconds": sa.null(),
        "lost_count": sa.literal(becomes.losses),
        "remote_id": held.c.remote_id,
        "payload_hash": some.c.payload_hash,
        "remote_fields": some.c.remote_fields,
        "synced_at": NOW,
    }
    settled = (
        sa.select(*(sa.cast(values[name], kind).label(name) for name, kind in SETTLED.items()))
        .select_from(some.join(as_read, sa.true()).join(held, sa.true()))
        .where(own[some.c.address_hash].is_(None))
        .cte("settled")
    )
    return write_transitions(columns, becomes.sync_status, becomes.processing_status, settled)
