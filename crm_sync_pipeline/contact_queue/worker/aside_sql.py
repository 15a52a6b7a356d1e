"""Putting aside: contacts that the database refuses to change stay out of the claims' way for a while."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import (
    IDS,
    LEASE,
    NOW,
    TOKEN,
    UUID_TYPE,
    DestinationColumns,
    built_once,
    is_free,
    rows_of,
)
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import attempts, deliveries
from crm_sync_pipeline.domain.outcome import NOT_CLAIMED


@built_once
def not_marked(columns: DestinationColumns) -> sa.Select[Any]:
    """Of :ids, those that mark_claimed put under :token without putting them on Processing: a trigger kept it out."""
    processing = sa.select(columns.is_processing).where(columns.id == deliveries.c.contact_id).scalar_subquery()
    return sa.select(deliveries.c.contact_id).where(
        deliveries.c.destination == literal(columns.crm.name),
        deliveries.c.claim_token == TOKEN,
        deliveries.c.contact_id == sa.any_(IDS),
        sa.not_(sa.func.coalesce(processing, sa.false())),
    )


_REFUSED: Mapping[str, sa.types.TypeEngine[Any]] = {"contact_id": UUID_TYPE, "message": sa.Text()}


@built_once
def put_aside(destination: str) -> sa.Insert:
    """Keep the contacts :refused out of every claim for :lease_seconds, under the token :aside; journal why.

    Only what is claimed by nobody else, or by :token.
    """
    refused = sa.select(rows_of("refused", _REFUSED)).cte("refused")
    aside = sa.bindparam("aside", type_=UUID_TYPE)
    of_run = sa.bindparam("of_run", type_=sa.Text)
    insert = pg.insert(deliveries).from_select(
        ["contact_id", "destination", "claim_token", "lease_expires_at", "run_id"],
        sa.select(refused.c.contact_id, literal(destination), aside, NOW + LEASE, of_run),
    )
    taken = (
        insert.on_conflict_do_update(
            index_elements=["contact_id", "destination"],
            set_={
                "claim_token": insert.excluded.claim_token,
                "lease_expires_at": insert.excluded.lease_expires_at,
                "run_id": insert.excluded.run_id,
            },
            where=sa.or_(is_free(), deliveries.c.claim_token == TOKEN),
        )
        .returning(deliveries.c.contact_id, deliveries.c.retry_count)
        .cte("taken")
    )
    journaled = sa.select(
        taken.c.contact_id,
        literal(destination),
        aside,
        of_run,
        taken.c.retry_count + 1,
        literal("deferred"),
        literal(NOT_CLAIMED),
        refused.c.message,
        literal(""),
    ).select_from(taken.join(refused, refused.c.contact_id == taken.c.contact_id))
    names = ("contact_id", "destination", "claim_token", "run_id", "number", "outcome", "reason", "message")
    return pg.insert(attempts).from_select([*names, "contact_hash"], journaled)


@built_once
def end_aside(destination: str) -> sa.Update:
    """Let the contact :id be claimed at once where it was put aside: a person wants to see whether it works now."""
    mine = sa.and_(attempts.c.claim_token == deliveries.c.claim_token, attempts.c.contact_id == deliveries.c.contact_id)
    return (
        sa.update(deliveries)
        .values(lease_expires_at=NOW)
        .where(
            deliveries.c.destination == literal(destination),
            deliveries.c.contact_id == sa.bindparam("id", type_=UUID_TYPE),
            sa.exists().where(mine, attempts.c.reason == literal(NOT_CLAIMED)),
        )
    )
