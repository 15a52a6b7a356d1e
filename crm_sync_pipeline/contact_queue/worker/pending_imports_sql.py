"""Which deliveries an import holds, for the statements that leave those alone or read around them."""

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.tables import deliveries, import_contacts, imports

IS_IN_PROGRESS = imports.c.finished_at.is_(None)
DELIVERY_OF_ENTRY = sa.and_(
    deliveries.c.contact_id == import_contacts.c.contact_id, deliveries.c.destination == import_contacts.c.destination
)


def is_in_import() -> sa.ColumnElement[bool]:
    """Of a delivery: an import that its own token waits for holds it.

    Whether there is any import at all is asked once, and only then each row, by primary keys, as is_attempted: the plan
    of an anti-join rests on statistics, which a table that is empty most of the time does not have.
    """
    is_any = sa.select(sa.exists().where(IS_IN_PROGRESS)).scalar_subquery()
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
    return sa.case((is_any, sa.func.coalesce(waiting == deliveries.c.claim_token, sa.false())), else_=sa.false())
