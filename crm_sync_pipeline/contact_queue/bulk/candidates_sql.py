"""Which of the contacts that a token claimed may go into an import."""

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import SIZE, TOKEN, UUID_TYPE, DestinationColumns, built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import deliveries
from crm_sync_pipeline.contact_queue.worker.delivered_sql import known_of_copy
from crm_sync_pipeline.contact_queue.worker.journal_sql import is_attempted
from crm_sync_pipeline.contact_queue.worker.pending_imports_sql import is_in_import
from crm_sync_pipeline.domain.transition import LOSSES_UNTIL_QUARANTINE


@built_once
def page(columns: DestinationColumns) -> sa.Executable:
    """The next :size contacts of :token behind :after, in id order; `goes` tells those that may go into an import.

    They are as the claim left them, and the token has not attempted them. It is their first attempt since they were
    selected: one that failed goes by itself, so that imports can't fail it for its neighbours' sake. So does one that
    two workers in a row lost.
    What is known of their copies is read as by `known_of_copy`.
    """
    claimed = (
        sa.select(deliveries.c.contact_id)
        .where(deliveries.c.claim_token == TOKEN, deliveries.c.contact_id > sa.bindparam("after", type_=UUID_TYPE))
        .order_by(deliveries.c.contact_id)
        .limit(SIZE)
        .cte("claimed")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    its_contact = (
        sa.select(
            columns.is_claimed.label("is_claimed"),
            *known_of_copy(columns),
            *columns.sent_fields(),
        )
        .where(columns.id == claimed.c.contact_id)
        .limit(1)
        .lateral("its_contact")
    )
    goes = sa.and_(
        its_contact.c.is_claimed,
        deliveries.c.retry_count == 0,
        deliveries.c.lost_count < LOSSES_UNTIL_QUARANTINE,
        ~is_attempted(),
        ~is_in_import(),
    )
    return (
        sa.select(
            claimed.c.contact_id.label("id"),
            goes.label("goes"),
            *its_contact.c,
        )
        .select_from(
            claimed.join(
                deliveries,
                sa.and_(
                    deliveries.c.contact_id == claimed.c.contact_id,
                    deliveries.c.destination == literal(columns.crm.name),
                ),
            ).outerjoin(its_contact, sa.true())
        )
        .order_by(claimed.c.contact_id)
    )
