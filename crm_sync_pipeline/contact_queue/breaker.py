"""The circuit breaker's memory: one row of `crm_sync.destinations`."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.tables import destinations
from crm_sync_pipeline.contact_queue.transactions import in_transaction
from crm_sync_pipeline.domain.health import Down, probe_delay

_NOW = sa.func.now()


class BreakerRecord:
    """Whether one destination is down, since when, why, and when the next probe may go out."""

    def __init__(self, engine: sa.Engine, destination: str) -> None:
        self._engine = engine
        self._destination = destination

    def state(self) -> Down | None:
        """None while the breaker is closed."""
        until_probe = sa.extract("epoch", destinations.c.next_probe_at - _NOW)
        query = sa.select(
            destinations.c.reason, destinations.c.message, destinations.c.probes_done, until_probe.label("seconds")
        ).where(destinations.c.destination == self._destination, destinations.c.down_since.is_not(None))
        row = in_transaction(self._engine, lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        return Down(row.reason, row.message, row.probes_done, timedelta(seconds=float(row.seconds or 0)))

    def open(self, reason: str, message: str) -> timedelta:
        """Note that nothing gets through; returns the wait until the next probe, longer with every probe that fails."""
        before = self.state()
        probes_done = (
            before.probes_done + 1 if before and before.probe_is_due else (before.probes_done if before else 0)
        )
        wait = probe_delay(probes_done)
        row = {
            "reason": reason,
            "message": message,
            "probes_done": probes_done,
            "next_probe_at": _NOW + sa.func.make_interval(0, 0, 0, 0, 0, 0, wait.total_seconds()),
        }
        insert = pg.insert(destinations).values(destination=self._destination, down_since=_NOW, **row)
        upsert = insert.on_conflict_do_update(
            index_elements=["destination"],
            set_=row | {"down_since": sa.func.coalesce(destinations.c.down_since, _NOW)},
        )
        in_transaction(self._engine, lambda connection: connection.execute(upsert))
        return wait

    def close(self) -> bool:
        """Note that the destination answers again; returns whether it was down."""
        update = (
            sa.update(destinations)
            .values(down_since=None, reason=None, message=None, probes_done=0, next_probe_at=None)
            .where(destinations.c.destination == self._destination, destinations.c.down_since.is_not(None))
        )
        return in_transaction(self._engine, lambda connection: connection.execute(update).rowcount) > 0
