"""What the journal knows of contacts that got a doubtful answer."""

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import UUID_TYPE, built_once
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
