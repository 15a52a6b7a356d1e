"""What is known of a destination's copies of the contacts that a run is about to send."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.addresses import key_of
from crm_sync_pipeline.contact_queue.database.columns import TOKEN, DestinationColumns, built_once
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import deliveries

_WANTED = ("Selected", "Queued", "Processing", "Complete")
_EVERYTHING = sa.bindparam("everything", type_=sa.Boolean)


def known_of_copy(columns: DestinationColumns) -> list[sa.ColumnElement[Any]]:
    """Of a delivery: `delivered_to`, `remote_id`, `remote_fields` and `delivered_last`.

    The last is the hash of the payload that need not be sent again: of everything with :everything, else of what was
    selected only if changed.
    """
    asked_for = deliveries.c.changed_only_at == deliveries.c.selected_at
    return [
        columns.delivered_to.label("delivered_to"),
        deliveries.c.remote_id,
        deliveries.c.remote_fields,
        sa.case((sa.or_(_EVERYTHING, asked_for), deliveries.c.payload_hash)).label("delivered_last"),
    ]


@built_once
def delivered_before(columns: DestinationColumns) -> sa.Executable:
    """What is known of the copies of those that :token has claimed and the destination may have, one row each.

    See `known_of_copy`. Each contact is looked up by its id: a join might read the whole table.
    """
    its_copy = (
        sa.select(*known_of_copy(columns)).where(columns.id == deliveries.c.contact_id).limit(1).lateral("its_copy")
    )
    return (
        sa.select(deliveries.c.contact_id, its_copy)
        .select_from(deliveries.join(its_copy, sa.true()))
        .where(
            deliveries.c.destination == literal(columns.crm.name),
            deliveries.c.claim_token == TOKEN,
            sa.or_(deliveries.c.synced_at.is_not(None), deliveries.c.remote_fields.is_not(None)),
        )
    )


@built_once
def wanted_with_address(columns: DestinationColumns) -> sa.Executable:
    """The addresses of rows that are wanted at the destination and may have one of the addresses :keys.

    Read by a look at every row, so it is asked for what has moved alone. PostgreSQL knows nothing of international
    domains: every address that holds anything but visible ASCII is among them.
    """
    email = sa.cast(columns.table.c.email, sa.Text)
    keys = sa.bindparam("keys", type_=pg.ARRAY(sa.Text))
    wanted = [literal(each) for each in _WANTED]
    return sa.select(email.label("email")).where(
        columns.sync.in_(wanted), sa.or_(key_of(email) == sa.any_(keys), email.regexp_match(literal("[^!-~]")))
    )


@built_once
def wanted_with_copy(columns: DestinationColumns) -> sa.Executable:
    """The contacts that are wanted at the destination and have one of the copies :remote_ids there, a row each.

    Read by a look at every delivery, so it is asked for what has moved alone.
    """
    is_wanted = (
        sa.select(sa.true())
        .where(columns.id == deliveries.c.contact_id, columns.sync.in_([literal(each) for each in _WANTED]))
        .limit(1)
        .lateral("is_wanted")
    )
    return (
        sa.select(deliveries.c.contact_id, deliveries.c.remote_id)
        .select_from(deliveries.join(is_wanted, sa.true()))
        .where(
            deliveries.c.destination == literal(columns.crm.name),
            deliveries.c.remote_id == sa.any_(sa.bindparam("remote_ids", type_=pg.ARRAY(sa.Text))),
        )
    )
