"""What was told of alerts, and the one figure that only they need."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import NOW, built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import alerts, deliveries
from crm_sync_pipeline.contact_queue.worker.settle_sql import has_expired

_KEY = sa.bindparam("key", type_=sa.Text)


@built_once
def longest_expired(destination: str) -> sa.Executable:
    """The lease that ran out first and was not recovered: how long ago, and in which run; no row where all is well."""
    ago = sa.extract("epoch", NOW - deliveries.c.lease_expires_at)
    return (
        sa.select(ago.label("seconds"), deliveries.c.run_id)
        .where(deliveries.c.destination == literal(destination), has_expired())
        .order_by(deliveries.c.lease_expires_at)
        .limit(1)
    )


told: sa.Select[Any] = sa.select(alerts).order_by(alerts.c.raised_at, alerts.c.name)

raised: sa.Executable = (
    pg.insert(alerts)
    .values(name=_KEY, message=sa.bindparam("said", type_=sa.Text))
    .on_conflict_do_nothing()
    .returning(alerts.c.name)
)
"""Of all that write it down at the same time, one gets its name back."""

is_over: sa.Executable = sa.delete(alerts).where(alerts.c.name == _KEY).returning(alerts.c.name)
"""The same for the end of it."""

_seen = pg.insert(alerts).values(name=_KEY, message="")
seen_now: sa.Executable = _seen.on_conflict_do_update(index_elements=["name"], set_={"raised_at": NOW})
seen_ago: sa.Executable = sa.select(sa.extract("epoch", NOW - alerts.c.raised_at)).where(alerts.c.name == _KEY)
"""When something was seen last that nobody is told of: nothing where it never was."""

wait_for_another: sa.Executable = sa.select(sa.func.set_config("lock_timeout", "2s", True))
"""Within this transaction, give up when another is still at it after so long."""
