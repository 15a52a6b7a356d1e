"""One look at the database answers for all destinations whose sensors ask at about the same time."""

import time
from functools import lru_cache
from threading import Lock
from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError, in_transaction
from crm_sync_pipeline.contact_queue.worker.breaker import all_down
from crm_sync_pipeline.contact_queue.worker.due_sql import work_for_runs
from crm_sync_pipeline.domain.health import Down, Work

FRESH_SECONDS = 0.25
"""How old an answer may be that another destination's look has brought: as long as a sensor waits between two looks."""

ASKS_SECONDS = 2.0
"""A destination that has not asked for this long is left out of the looks of others."""


class SharedLook:
    """What a run would find for each destination of one database. Usable from any thread.

    Each answer is given once: who asks twice has the database asked twice.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._asked: dict[DestinationColumns, tuple[int, float]] = {}
        self._answers: dict[DestinationColumns, Work] = {}
        self._looked_at = float("-inf")

    def work(self, columns: DestinationColumns, limit: int, lease_seconds: float) -> Work:
        """For this destination, with what is due counted up to `limit` at least."""
        with self._lock:
            now = time.monotonic()
            self._asked[columns] = (limit, now)
            answer = self._answers.pop(columns, None)
            if answer is not None and now - self._looked_at <= FRESH_SECONDS:
                return answer
            self._asked = {each: asked for each, asked in self._asked.items() if now - asked[1] <= ASKS_SECONDS}
            try:
                self._look(lease_seconds)
            except DatabaseError:
                if len(self._asked) == 1:
                    raise
                self._asked = {columns: (limit, now)}  # the table of another destination may be at fault
                self._look(lease_seconds)
            return self._answers.pop(columns)

    def _look(self, lease_seconds: float) -> None:
        several = tuple(self._asked)
        limit = max(limit for limit, _asked_at in self._asked.values())

        def read(connection: sa.Connection) -> dict[DestinationColumns, Work]:
            down = all_down(connection)
            rows = connection.execute(work_for_runs(several), {"limit": limit, "lease_seconds": lease_seconds}).all()
            found = {several[row.number]: row for row in rows}
            return {each: _work(found[each], down.get(each.crm.name)) for each in several}

        self._answers = {}
        self._answers = in_transaction(self._engine, read)
        self._looked_at = time.monotonic()


def _work(row: sa.Row[Any], down: Down | None) -> Work:
    return Work(down) if down and not down.probe_is_due else Work(down, row.due, row.needs_recovery)


@lru_cache(maxsize=16)
def shared_look(engine: sa.Engine) -> SharedLook:
    """The one of this process for the database."""
    return SharedLook(engine)
