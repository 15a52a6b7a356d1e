"""What people ask: how the queue stands, what went wrong, and what became of one contact."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.addresses import may_be_address
from crm_sync_pipeline.contact_queue.database.columns import (
    EPOCH,
    NOW,
    UUID_TYPE,
    DestinationColumns,
    built_once,
    plain_text,
)
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import attempts, deliveries
from crm_sync_pipeline.domain.outcome import NOT_CLAIMED

_ADDRESS = literal(r"""[^\s<>"(),;:\[\]]+(@|%40)[^\s<>"(),;:\[\]]+""")


@built_once
def counts_by_state(columns: DestinationColumns) -> sa.Executable:
    """How many contacts stand where, by what a person sees: the processing status, else the sync status.

    `not_wanted` are those of them that are Queued although their sync status says that nobody selected them.
    """
    state = sa.func.coalesce(sa.cast(columns.processing, sa.Text), sa.cast(columns.sync, sa.Text)).label("state")
    is_contradiction = sa.and_(columns.processing == literal("Queued"), ~columns.is_queued)
    not_wanted = sa.func.count().filter(is_contradiction).label("not_wanted")
    return sa.select(state, sa.func.count().label("total"), not_wanted).select_from(columns.table).group_by(state)


@built_once
def error_groups(columns: DestinationColumns, ids_shown: int) -> sa.Executable:
    """The newest attempt of all that waits for a retry, is put aside or is in Error, by reason and state; some ids."""
    newest = (
        sa.select(attempts.c.reason, attempts.c.message)
        .where(attempts.c.contact_id == columns.id, attempts.c.destination == columns.crm.name)
        .order_by(attempts.c.id.desc())
        .limit(1)
        .lateral("newest")
    )
    state = sa.cast(columns.processing, sa.Text).label("state")
    error = plain_text(columns.table.c[columns.crm.processing_error])
    ours = sa.func.substring(
        error, "^(lease_expired|not_recorded): "
    )  # ended by us, whatever the last attempt's result
    reason = sa.func.coalesce(ours, newest.c.reason, "unknown").label("reason")
    said = sa.case((ours.is_not(None), error), else_=sa.func.coalesce(newest.c.message, error))
    is_aside = sa.and_(deliveries.c.lease_expires_at > NOW, newest.c.reason == literal(NOT_CLAIMED))
    has_reason_to_wait = sa.or_(error.is_not(None), is_aside)
    # Without addresses, or each would be a group of its own.
    message = sa.func.regexp_replace(said, _ADDRESS, literal("<address>"), literal("g")).label("message")
    return (
        sa.select(
            reason,
            message,
            state,
            sa.func.count().label("total"),
            sa.func.min(deliveries.c.next_retry_at).label("next_retry_at"),
            sa.func.array_agg(sa.cast(columns.id, sa.Text), type_=pg.ARRAY(sa.Text))[1:ids_shown].label("contact_ids"),
        )
        .select_from(columns.table.outerjoin(deliveries, columns.delivery).outerjoin(newest, sa.true()))
        .where(sa.or_(columns.processing == literal("Error"), sa.and_(columns.is_queued, has_reason_to_wait)))
        .group_by(reason, message, state)
        .order_by(sa.func.count().desc(), reason)
    )


@built_once
def delivery_of(columns: DestinationColumns) -> sa.Executable:
    """One contact's row and its delivery, with PostgreSQL's time.

    The next retry is the later one of ours and the one in the contacts table, which keeps a contact out of claims too.
    """
    its_own = ("contact_id", "destination", "next_retry_at")
    steered = sa.case((deliveries.c.held_at.is_(None), sa.func.nullif(columns.steering, EPOCH)))
    return (
        sa.select(
            columns.table.c.email,
            sa.cast(columns.sync, sa.Text).label("sync_status"),
            sa.cast(columns.processing, sa.Text).label("processing_status"),
            columns.table.c[columns.crm.processing_error].label("error"),
            NOW.label("now"),
            sa.func.greatest(deliveries.c.next_retry_at, steered).label("next_retry_at"),
            *(column for column in deliveries.c if column.name not in its_own),
        )
        .select_from(columns.table.outerjoin(deliveries, columns.delivery))
        .where(columns.id == sa.bindparam("id", type_=UUID_TYPE))
    )


@built_once
def overwritten_by(columns: DestinationColumns) -> sa.Executable:
    """The other contacts that may have the address with this :key and :start (see `may_be_address`).

    Of those that were delivered after :synced_at, with data of their own, the last one first. What one write journaled
    has one time: there the order of the journal tells. There is no index on addresses: this reads the whole table.
    """
    email = plain_text(columns.table.c.email)
    payload = sa.bindparam("payload_hash", type_=sa.Text)
    own_id = sa.bindparam("id", type_=UUID_TYPE)
    synced_at = sa.bindparam("synced_at", type_=pg.TIMESTAMP(timezone=True))

    def last_entry(contact: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
        of_contact = (attempts.c.contact_id == contact, attempts.c.destination == literal(columns.crm.name))
        return sa.select(sa.func.max(attempts.c.id)).where(*of_contact).scalar_subquery()

    return (
        sa.select(columns.id.label("id"), email.label("email"), deliveries.c.synced_at)
        .select_from(columns.table.join(deliveries, columns.delivery))
        .where(
            may_be_address(email),
            columns.id != own_id,
            sa.or_(
                deliveries.c.synced_at > synced_at,
                sa.and_(deliveries.c.synced_at == synced_at, last_entry(columns.id) > last_entry(own_id)),
            ),
            sa.or_(deliveries.c.payload_hash.is_(None), deliveries.c.payload_hash.is_distinct_from(payload)),
        )
        .order_by(deliveries.c.synced_at.desc(), last_entry(columns.id).desc())
    )


@built_once
def history_of(destination: str) -> sa.Executable:
    """The attempts of the contact :id, the oldest first."""
    return (
        sa.select(attempts)
        .where(attempts.c.contact_id == sa.bindparam("id", type_=UUID_TYPE), attempts.c.destination == destination)
        .order_by(attempts.c.id)
    )


@built_once
def attempts_count(destination: str) -> sa.Executable:
    """How many attempts the journal holds."""
    return sa.select(sa.func.count()).select_from(attempts).where(attempts.c.destination == destination)
