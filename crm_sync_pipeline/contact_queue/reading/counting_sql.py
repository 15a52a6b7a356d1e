"""What is new in the journal, by its primary key: for counters that only grow."""

from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import NOW
from crm_sync_pipeline.contact_queue.database.tables import attempts

CALL_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets that calls are counted in."""

SURE_AFTER: sa.ColumnElement[Any] = sa.literal_column("interval '3 minutes'")
"""No transaction of ours lasts that long: what has an id below that of so old an attempt is there, or never comes."""

_AFTER = sa.bindparam("after", type_=sa.BigInteger)
_UNTIL = sa.bindparam("until", type_=sa.BigInteger)

newest: sa.Select[Any] = sa.select(sa.func.coalesce(sa.func.max(attempts.c.id), 0))

_is_sure = sa.case((attempts.c.attempted_at < NOW - SURE_AFTER, sa.true()), else_=sa.false())
"""Opaque to the planner, which may think that no attempt is that old, and then begin elsewhere than at the end."""

newest_sure: sa.Select[Any] = (
    sa.select(attempts.c.id).where(attempts.c.id > _AFTER, _is_sure).order_by(attempts.c.id.desc()).limit(1)
)
"""The newest attempt behind :after that has no gap before it which may still be filled; no row where there is none."""

_LIMITS: sa.ColumnElement[Any] = sa.literal_column(
    f"ARRAY[{', '.join(str(round(1000 * each)) for each in CALL_SECONDS)}]"
)
_BUCKET = sa.func.width_bucket(attempts.c.milliseconds - 1, _LIMITS).label("bucket")

_SHARE: sa.ColumnElement[Any] = sa.literal_column("1.0::double precision") / attempts.c.request_size
"""Of one request: those that it carried together make one call."""

counts: sa.Select[Any] = (
    sa.select(
        attempts.c.destination,
        attempts.c.outcome,
        attempts.c.reason,
        _BUCKET,
        sa.func.count().label("total"),
        sa.func.coalesce(sa.func.sum(_SHARE).filter(attempts.c.milliseconds > 0), 0).label("calls"),
        sa.func.sum(attempts.c.milliseconds * _SHARE).label("milliseconds"),
    )
    .where(attempts.c.id > _AFTER, attempts.c.id <= _UNTIL)
    .group_by(attempts.c.destination, attempts.c.outcome, attempts.c.reason, _BUCKET)
)
"""The attempts behind :after up to :until, by destination, outcome, reason and bucket of the call's time."""
