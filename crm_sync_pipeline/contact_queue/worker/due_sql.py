"""Is there work for a run? What is due, left behind, or claimed by a run. Each walks an index and stops early."""

from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import NOW, DestinationColumns, built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import deliveries
from crm_sync_pipeline.contact_queue.worker.settle_sql import has_expired, stranded


@built_once
def due_now(columns: DestinationColumns) -> sa.Executable:
    """How many deliveries are due, counted up to :limit: walks the index, never the table."""
    return sa.select(sa.func.count()).select_from(_first_due(columns))


def _first_due(columns: DestinationColumns) -> sa.Subquery:
    return (
        sa.select(sa.literal_column("1"))
        .select_from(columns.table)
        .where(columns.is_queued, columns.is_due)
        .order_by(columns.steering, columns.table.c.updated_at)
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .subquery()
    )


@built_once
def work_for_a_run(columns: DestinationColumns) -> sa.Select[Any]:
    """How many deliveries are due, counted up to :limit; where none is, whether dead runs left something behind."""
    counted = sa.select(sa.func.count().label("due")).select_from(_first_due(columns)).subquery()
    needs_recovery = sa.case((counted.c.due == 0, _is_left_behind(columns)), else_=sa.false())
    return sa.select(counted.c.due, needs_recovery.label("needs_recovery"))


@built_once
def work_for_runs(several: tuple[DestinationColumns, ...]) -> sa.Executable:
    """What a run would find for each of several destinations: how many deliveries are due, counted up to :limit.

    Where none is, whether dead runs left something behind. One row per destination, with its `number` from 0.
    """
    each = enumerate(work_for_a_run(columns).subquery() for columns in several)
    rows = [
        sa.select(sa.literal_column(str(number)).label("number"), work.c.due, work.c.needs_recovery)
        for number, work in each
    ]
    return rows[0] if len(rows) == 1 else sa.union_all(*rows)


@built_once
def left_behind(columns: DestinationColumns) -> sa.Executable:
    """Whether a claim has run out, or something stands Processing, a lease long, that is not claimed.

    The first of each by its index, and not EXISTS, for which PostgreSQL may think that reading the table is quicker.
    """
    return sa.select(_is_left_behind(columns))


def _is_left_behind(columns: DestinationColumns) -> sa.ColumnElement[bool]:
    expired = (
        sa.select(deliveries.c.contact_id)
        .where(deliveries.c.destination == literal(columns.crm.name), has_expired())
        .order_by(deliveries.c.lease_expires_at)
    )
    return sa.or_(*(each.limit(1).scalar_subquery().is_not(None) for each in (expired, stranded(columns))))


@built_once
def live_claim_of_run(destination: str) -> sa.Executable:
    """Whether the run :run_id has a live claim."""
    live = (
        sa.select(deliveries.c.contact_id)
        .where(
            deliveries.c.destination == literal(destination),
            deliveries.c.claim_token.is_not(None),
            deliveries.c.lease_expires_at > NOW,
            deliveries.c.run_id == sa.bindparam("run_id", type_=sa.Text),
        )
        .order_by(deliveries.c.lease_expires_at)
        .limit(1)
    )
    return sa.select(live.scalar_subquery().is_not(None))
