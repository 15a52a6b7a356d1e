"""The earlier implementation's algorithm, on the same table, without the five minutes that it waited between cycles.

Ten contacts a cycle; for each, one after another: marked Processing and committed, sent with a client of its own, its
result written and committed.
"""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import sqlalchemy as sa

from benchmarks.contender import Task, compete

CYCLE_SIZE = 10

_DUE = sa.text(
    "SELECT id FROM contacts WHERE brevo_processing_status = 'Queued'"
    " AND (next_retry_at IS NULL OR next_retry_at <= now()) ORDER BY updated_at LIMIT :size FOR UPDATE SKIP LOCKED"
)
_MARK = sa.text(
    "UPDATE contacts SET brevo_sync_status = 'Processing', brevo_processing_status = 'Processing', updated_at = now()"
    " WHERE id = :id RETURNING *"
)
_COMPLETE = sa.text(
    "UPDATE contacts SET brevo_sync_status = 'Complete', brevo_processing_status = 'Complete',"
    " brevo_processing_error = NULL, brevo_contact_id = email, retry_count = 0, next_retry_at = NULL,"
    " last_failed_crm = NULL, updated_at = now() WHERE id = :id"
)
_FAIL = sa.text(
    "UPDATE contacts SET brevo_sync_status = 'Error', brevo_processing_status = 'Error',"
    " brevo_processing_error = :error, updated_at = now() WHERE id = :id"
)


async def _deliver_all(task: Task) -> int:
    engine = sa.create_engine(sa.make_url(task.database_url).set(drivername="postgresql+psycopg"))
    delivered = 0
    while ids := _due(engine):
        for contact_id in ids:
            delivered += await _deliver_one(engine, task, contact_id)
    engine.dispose()
    return delivered


def _due(engine: sa.Engine) -> list[UUID]:
    with engine.begin() as connection:
        return list(connection.execute(_DUE, {"size": CYCLE_SIZE}).scalars())


async def _deliver_one(engine: sa.Engine, task: Task, contact_id: UUID) -> bool:
    with engine.begin() as connection:
        contact = connection.execute(_MARK, {"id": contact_id}).one()
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(
            f"{task.api_url}/contacts",
            json={"email": contact.email, "attributes": _attributes(contact), "updateEnabled": True},
            headers={"api-key": task.api_key, "Accept": "application/json"},
        )
    is_delivered = answer.status_code in (201, 204)
    with engine.begin() as connection:
        if is_delivered:
            connection.execute(_COMPLETE, {"id": contact_id})
        else:
            connection.execute(_FAIL, {"id": contact_id, "error": f"Brevo API error: {answer.status_code}"})
    return is_delivered


def _attributes(contact: Any) -> dict[str, Any]:
    first, *rest = contact.name.split(" ", 1)
    return {
        "FIRSTNAME": first,
        "LASTNAME": " ".join(rest),
        "SMS": contact.phone_number,
        "DOMAIN_ID": str(contact.domain_id),
        "PAGE_ID": str(contact.page_id),
        "EMAIL_TYPE": contact.email_type,
        "SOURCE_URL": contact.source_url,
        "HAS_GMAIL": contact.has_gmail,
    }


def run(task: Task) -> int:
    """Deliver all that is due; returns how many are Complete."""
    return asyncio.run(_deliver_all(task))


if __name__ == "__main__":
    compete(run)
