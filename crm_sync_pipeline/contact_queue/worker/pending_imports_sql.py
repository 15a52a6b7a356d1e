"""Which deliveries an import holds, for the statements that leave those alone or read around them."""

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import deliveries, import_contacts, imports

PLANNED_ANEW = sa.text("SET LOCAL plan_cache_mode = force_custom_plan")
"""For a transaction whose statements look into imports.

PostgreSQL keeps the plan of a statement that it has seen a few times. One that it made while there was no import goes
through all that an import holds, for each of its contacts, once there is one.
"""

IS_UNDER_WAY = imports.c.finished_at.is_(None)
DELIVERY_OF_ENTRY = sa.and_(
    deliveries.c.contact_id == import_contacts.c.contact_id, deliveries.c.destination == import_contacts.c.destination
)


def is_under_way() -> sa.ColumnElement[bool]:
    """Of a delivery: an import that its own token waits for holds it.

    A question for each row, by primary keys, as is_attempted: the plan of an anti-join rests on statistics, which a
    table that is empty most of the time does not have.
    """
    waiting = (
        sa.select(imports.c.claim_token)
        .select_from(import_contacts.join(imports, imports.c.id == import_contacts.c.import_id))
        .where(
            import_contacts.c.contact_id == deliveries.c.contact_id,
            import_contacts.c.destination == deliveries.c.destination,
        )
        .correlate(deliveries)
        .scalar_subquery()
    )
    return sa.func.coalesce(waiting == deliveries.c.claim_token, sa.false())


@built_once
def is_any_under_way(destination: str) -> sa.Executable:
    """Whether there is any import under way."""
    return sa.select(sa.exists().where(imports.c.destination == literal(destination), IS_UNDER_WAY))
