"""Counts attempts from now on, for metrics: what grows must never shrink, though history is pruned."""

from collections import Counter
from dataclasses import dataclass, field

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.transactions import NO_PATIENCE, in_transaction
from crm_sync_pipeline.contact_queue.reading import counting_sql

CALL_SECONDS = counting_sql.CALL_SECONDS
_END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """What attempts are counted by. `bucket` is the index of the first of CALL_SECONDS that is not below the call's."""

    crm: str
    outcome: str
    reason: str
    bucket: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Attempts, those of them that made a call, and the milliseconds of these calls."""

    attempts: Counter[Kind] = field(default_factory=Counter)
    calls: Counter[Kind] = field(default_factory=Counter)
    milliseconds: Counter[Kind] = field(default_factory=Counter)

    def plus(self, other: "Totals") -> "Totals":
        """Both together."""
        return Totals(self.attempts + other.attempts, self.calls + other.calls, self.milliseconds + other.milliseconds)

    def or_more(self, other: "Totals") -> "Totals":
        """The larger of the two, each kind for itself."""
        return Totals(self.attempts | other.attempts, self.calls | other.calls, self.milliseconds | other.milliseconds)


class AttemptCounter:
    """How many attempts were journaled since this was made, and how long their calls took.

    The whole journal would be no counter: it shrinks when it is pruned, and a total that falls looks like a restart to
    whoever adds up its growth. So what is there at the beginning is not counted, and of the rest each attempt once: an
    id may become visible after a later one, so the newest few minutes are counted afresh each time, and only what lies
    before them is added for good.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._sure_up_to: int | None = None
        self._sure = Totals()
        self._shown = Totals()

    def begin(self) -> None:
        """Count from here; done by the first `totals` where it was not done before. DatabaseError."""
        if self._sure_up_to is None:
            found = in_transaction(self._engine, lambda one: one.execute(counting_sql.newest).scalar_one(), NO_PATIENCE)
            self._sure_up_to = int(found)

    def totals(self) -> Totals:
        """What was counted up to now; never less than before. DatabaseError."""
        self.begin()
        after = self._sure_up_to or 0

        def read(connection: sa.Connection) -> tuple[int, Totals, Totals]:
            sure = connection.execute(counting_sql.newest_sure, {"after": after}).scalar_one_or_none() or after
            return sure, _count(connection, after, sure), _count(connection, sure, _END)

        self._sure_up_to, added, newest = in_transaction(self._engine, read, NO_PATIENCE)
        self._sure = self._sure.plus(added)
        self._shown = self._shown.or_more(self._sure.plus(newest))
        return self._shown


def _count(connection: sa.Connection, after: int, until: int) -> Totals:
    found = Totals()
    for row in connection.execute(counting_sql.counts, {"after": after, "until": until}):
        kind = Kind(row.destination, row.outcome, row.reason, row.bucket)
        found.attempts[kind] = row.total
        found.calls[kind] = row.calls
        found.milliseconds[kind] = row.milliseconds
    return found
