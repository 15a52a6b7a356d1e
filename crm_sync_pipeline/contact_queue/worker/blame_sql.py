"""What the journal knows of contacts that got a doubtful answer."""

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import NOW, UUID_TYPE, built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import attempts

LOOKED_AT = 10_000
"""How many attempts after the contact's own are read: a range of the primary key needs no statistics."""


@built_once
def earlier_refusal(destination: str) -> sa.Executable:
    """The last attempt at the contact :id, if it was Deferred or Rejected, and whether another got through since."""
    is_ours = attempts.c.destination == literal(destination)
    last = (
        sa.select(attempts.c.id, attempts.c.outcome, attempts.c.reason)
        .where(attempts.c.contact_id == sa.bindparam("id", type_=UUID_TYPE), is_ours)
        .order_by(attempts.c.id.desc())
        .limit(1)
        .subquery("last")
    )
    since = attempts.alias("since")
    others = sa.exists().where(
        since.c.id > last.c.id,
        since.c.id <= last.c.id + LOOKED_AT,
        since.c.destination == literal(destination),
        since.c.outcome == literal("synced"),
    )
    return sa.select(last.c.outcome, last.c.reason, others.correlate(last).label("others_since")).where(
        last.c.outcome.in_([literal("deferred"), literal("rejected")])
    )


@built_once
def failing_for(destination: str) -> sa.Executable:
    """How many seconds ago the contact :id failed for :reason first, of the attempts that failed so one after another.

    NULL where its last attempt ended otherwise, and where another contact has got through since that first one.
    """
    ours = sa.and_(
        attempts.c.contact_id == sa.bindparam("id", type_=UUID_TYPE), attempts.c.destination == literal(destination)
    )
    failed_so = sa.and_(
        attempts.c.outcome == literal("failed"), attempts.c.reason == sa.bindparam("reason", type_=sa.Text)
    )
    last_other = sa.select(sa.func.max(attempts.c.id)).where(ours, sa.not_(failed_so)).scalar_subquery()
    first = (
        sa.select(attempts.c.id, attempts.c.attempted_at)
        .where(ours, failed_so, attempts.c.id > sa.func.coalesce(last_other, 0))
        .order_by(attempts.c.id)
        .limit(1)
        .subquery("first")
    )
    since = attempts.alias("since")
    others = sa.exists().where(
        since.c.id > first.c.id,
        since.c.id <= first.c.id + LOOKED_AT,
        since.c.destination == literal(destination),
        since.c.outcome == literal("synced"),
    )
    seconds = sa.extract("epoch", NOW - first.c.attempted_at).label("seconds")
    return sa.select(seconds).where(~others.correlate(first))
