"""The named points of the way of a contact, at which a worker may kill itself.

All is done from outside: the product's functions are wrapped in the worker's process, and SQLAlchemy tells when a
transaction is about to be committed. The product has no switch for it.
"""

import os
import random
import re
import signal
import threading
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline_tests.chaos.trace import Trace

POINTS = (
    "before_claim",
    "claim_not_committed",
    "claimed",
    "before_call",
    "after_call_before_journal",
    "in_lease_extension",
    "journal_not_committed",
    "journaled",
    "mid_batch",
    "before_settle",
    "settle_not_committed",
    "settled",
    "in_recovery",
    "import_begun",
    "import_posted",
    "import_noted",
    "adoption_not_committed",
)

_WRITES = {
    "claim_not_committed": re.compile(r"INSERT INTO crm_sync\.deliveries"),
    "journal_not_committed": re.compile(r"INSERT INTO crm_sync\.attempts"),
    "settle_not_committed": re.compile(r"UPDATE crm_sync\.deliveries SET .*claim_token=NULL", re.DOTALL),
    "adoption_not_committed": re.compile(r"UPDATE crm_sync\.imports SET .*taken_up=", re.DOTALL),
}
_EXTENDS = re.compile(r"UPDATE crm_sync\.deliveries SET lease_expires_at=")


class _Thread(threading.local):
    """What this thread's transaction has written so far, and whether it settles what others left behind."""

    writes: str | None = None
    recovers: bool = False


class Points:
    """Kills this process where the dice say so. `odds` has the probability of each point, 0 for those not named."""

    def __init__(self, trace: Trace, seed: str, odds: Mapping[str, float]) -> None:
        self._trace = trace
        self._dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
        self._odds = odds
        self._thread = _Thread()

    def chance(self, probability: float) -> bool:
        """Draw from the worker's own dice."""
        return self._dice.random() < probability

    def passed(self, point: str) -> None:
        """Die here, perhaps."""
        if self.chance(self._odds.get(point, 0)):
            self.die(point)

    def die(self, point: str) -> None:
        """Die here: nothing is cleaned up, nothing flushed, nobody told but the trace."""
        self._trace.note("killed", point=point)
        os.kill(os.getpid(), signal.SIGKILL)

    def calm(self) -> None:
        """Kill no more from now on."""
        self._odds = {}

    def recovering(self, now: bool) -> None:
        """Tell whether this thread settles what others left behind, and not its own."""
        self._thread.recovers = now

    def listen(self) -> None:
        """Watch the transactions of every engine of this process."""
        sa.event.listen(sa.Engine, "after_cursor_execute", self._executed)
        sa.event.listen(sa.Engine, "commit", self._committing)
        sa.event.listen(sa.Engine, "rollback", self._forget)

    def _executed(self, _connection: sa.Connection, _cursor: Any, statement: str, *_: Any) -> None:
        for point, pattern in _WRITES.items():
            if pattern.search(statement):
                self._thread.writes = point
        if _EXTENDS.search(statement):
            self.passed("in_lease_extension")

    def _committing(self, _: sa.Connection) -> None:
        point, self._thread.writes = self._thread.writes, None
        if point == "settle_not_committed" and self._thread.recovers:
            point = "in_recovery"
        if point:
            self.passed(point)

    def _forget(self, _: sa.Connection) -> None:
        self._thread.writes = None
