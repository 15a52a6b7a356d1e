"""What the harness does to the database itself: it lets waits be over, and looks.

Only waits are shortened (retries, probes); a lease runs by PostgreSQL's clock, as it does for a user.
"""

import time
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline_tests.builders import World

_RETRIES = (
    # Like every writer of `deliveries`, it locks the contact first.
    """
    SELECT c.id FROM contacts c JOIN crm_sync.deliveries d ON d.contact_id = c.id AND d.destination = :destination
    WHERE d.next_retry_at > now() AND d.claim_token IS NULL ORDER BY c.id FOR NO KEY UPDATE OF c
    """,
    """
    UPDATE crm_sync.deliveries SET next_retry_at = now()
    WHERE contact_id = ANY(:ids) AND destination = :destination AND claim_token IS NULL AND next_retry_at > now()
    """,
    "UPDATE contacts SET next_retry_at = now() WHERE id = ANY(:ids) AND next_retry_at > now()",
)
_PROBES = "UPDATE crm_sync.destinations SET next_probe_at = now() WHERE next_probe_at > now()"
_UNFINISHED = """
SELECT (SELECT count(*) FROM contacts WHERE {processing_status} IN ('Queued', 'Processing'))
     + (SELECT count(*) FROM crm_sync.deliveries WHERE claim_token IS NOT NULL)
"""
_IDLE = """
SELECT max(extract(epoch FROM clock_timestamp() - state_change)) FROM pg_stat_activity
WHERE state LIKE 'idle in transaction%' AND datname = current_database()
"""
_CLAIMED = (
    "SELECT run_id, contact_id FROM crm_sync.deliveries WHERE claim_token IS NOT NULL AND lease_expires_at > now()"
)
_UNJOURNALED = """
 AND EXISTS (SELECT FROM crm_sync.attempts a WHERE a.claim_token = deliveries.claim_token)
 AND NOT EXISTS (
    SELECT FROM crm_sync.attempts a
    WHERE a.claim_token = deliveries.claim_token AND a.contact_id = deliveries.contact_id
)
"""
_HARMLESS = (sa.exc.DBAPIError, DatabaseError)


class Clockwork:
    """`idle_in_transaction` has each sight of a transaction that was idle for more than a second: when, how long."""

    def __init__(self, world: World, crm: Crm) -> None:
        self.idle_in_transaction: list[tuple[float, float]] = []
        self._crm = crm
        self._engine = world.engine

    def let_retries_be_due(self) -> None:
        """Whatever waits for a retry is due now."""
        lock, *updates = _RETRIES
        try:
            with self._engine.begin() as connection:
                parameters: dict[str, object] = {"destination": self._crm.name}
                parameters["ids"] = list(connection.execute(sa.text(lock), parameters).scalars())
                if parameters["ids"]:
                    for update in updates:
                        connection.execute(sa.text(update), parameters)
        except _HARMLESS:
            pass  # a deadlock, or the database is away: the next time will do

    def let_probes_be_due(self) -> None:
        """A breaker that is open lets one contact through now."""
        try:
            with self._engine.begin() as connection:
                connection.exec_driver_sql(_PROBES)
        except _HARMLESS:
            pass

    def unfinished(self) -> int | None:
        """How much is queued, processing or claimed; None where the database does not answer."""
        try:
            with self._engine.begin() as connection:
                query = _UNFINISHED.format(processing_status=self._crm.processing_status)
                return int(connection.exec_driver_sql(query).scalar_one())
        except _HARMLESS:
            return None

    def claimed(self) -> dict[str, set[UUID]]:
        """What each worker has claimed now; nothing where the database does not answer."""
        return self._by_worker(_CLAIMED)

    def claimed_amid_a_batch(self) -> dict[str, set[UUID]]:
        """What each worker has claimed and has not journaled yet, of those that have journaled something."""
        return self._by_worker(_CLAIMED + _UNJOURNALED)

    def _by_worker(self, query: str) -> dict[str, set[UUID]]:
        found: dict[str, set[UUID]] = {}
        try:
            with self._engine.begin() as connection:
                for worker, contact in connection.exec_driver_sql(query):
                    found.setdefault(worker, set()).add(contact)
        except _HARMLESS:
            pass
        return found

    def look_for_idle_transactions(self) -> None:
        """Note the one that has been idle longest, if that is more than a second."""
        try:
            with self._engine.begin() as connection:
                seconds = float(connection.exec_driver_sql(_IDLE).scalar() or 0)
        except _HARMLESS:
            return
        if seconds > 1:
            self.idle_in_transaction.append((time.monotonic(), seconds))
