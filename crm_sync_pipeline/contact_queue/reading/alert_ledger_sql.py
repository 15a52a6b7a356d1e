"""What was told of alerts."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import NOW
from crm_sync_pipeline.contact_queue.database.tables import alerts

_KEY = sa.bindparam("key", type_=sa.Text)


open_alerts: sa.Select[Any] = sa.select(alerts).order_by(alerts.c.raised_at, alerts.c.name)

raised: sa.Executable = (
    pg.insert(alerts)
    .values(name=_KEY, message=sa.bindparam("said", type_=sa.Text))
    .on_conflict_do_nothing()
    .returning(alerts.c.name)
)
"""Of all that write it down at the same time, one gets its name back."""

is_over: sa.Executable = sa.delete(alerts).where(alerts.c.name == _KEY).returning(alerts.c.name)
"""Remove an alert that is over; of all that do so at the same time, one gets its name back."""

_seen = pg.insert(alerts).values(name=_KEY, message="")
seen_now: sa.Executable = _seen.on_conflict_do_update(index_elements=["name"], set_={"raised_at": NOW})
seen_ago: sa.Executable = sa.select(sa.extract("epoch", NOW - alerts.c.raised_at)).where(alerts.c.name == _KEY)
"""When something was seen last that nobody is told of: nothing where it never was."""

wait_for_another: sa.Executable = sa.select(sa.func.set_config("lock_timeout", "2s", True))
"""Within this transaction, give up when another is still at it after so long."""
