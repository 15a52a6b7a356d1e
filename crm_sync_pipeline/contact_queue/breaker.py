"""The circuit breaker's memory: one row of `crm_sync.destinations`."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.statements.columns import NOW, seconds
from crm_sync_pipeline.contact_queue.tables import destinations
from crm_sync_pipeline.contact_queue.transactions import in_transaction
from crm_sync_pipeline.domain.health import Down, probe_delay


class BreakerRecord:
    """Whether one destination is down, since when, why, and when the next probe may go out."""

    def __init__(self, engine: sa.Engine, destination: str) -> None:
        self._engine = engine
        self._destination = destination
        self._is_ours = destinations.c.destination == destination
        self._is_down = sa.and_(self._is_ours, destinations.c.down_since.is_not(None))

    def state(self) -> Down | None:
        """None while the breaker is closed."""
        until_probe = sa.extract("epoch", destinations.c.next_probe_at - NOW)
        query = sa.select(
            destinations.c.reason, destinations.c.message, destinations.c.probes_done, until_probe.label("seconds")
        ).where(self._is_down)
        row = in_transaction(self._engine, lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        return Down(row.reason, row.message, row.probes_done, timedelta(seconds=float(row.seconds or 0)))

    def open(self, reason: str, message: str, after_probe: bool = False) -> None:
        """Note that nothing gets through. The next probe is due in a minute, later with each one that failed.

        A run that finds the breaker open already, and was no probe, was in the air when it opened: the wait stands.
        """

        def write(connection: sa.Connection) -> None:
            connection.execute(pg.insert(destinations).values(destination=self._destination).on_conflict_do_nothing())
            before = connection.execute(sa.select(destinations).where(self._is_ours).with_for_update()).one()
            values: dict[str, object] = {"reason": reason, "message": message}
            if before.down_since is None or after_probe:
                probes_done = 0 if before.down_since is None else before.probes_done + 1
                wait = seconds(sa.literal(probe_delay(probes_done).total_seconds(), sa.Float))
                values |= {"probes_done": probes_done, "next_probe_at": NOW + wait}
            values["down_since"] = sa.func.coalesce(destinations.c.down_since, NOW)
            connection.execute(sa.update(destinations).values(values).where(self._is_ours))

        in_transaction(self._engine, write)

    def take_probe(self, connection: sa.Connection) -> bool:
        """Within a claim: whether this run may probe. Another one may not until this one has had its time."""
        take = (
            sa.update(destinations)
            .values(next_probe_at=NOW + seconds(sa.literal(probe_delay(0).total_seconds(), sa.Float)))
            .where(self._is_down, destinations.c.next_probe_at <= NOW)
        )
        return connection.execute(take).rowcount > 0

    def probe_now(self) -> bool:
        """Let the next run probe, whenever that was due; returns whether the destination is down at all."""
        update = sa.update(destinations).values(next_probe_at=NOW).where(self._is_down)
        return in_transaction(self._engine, lambda connection: connection.execute(update).rowcount) > 0

    def close(self) -> bool:
        """Note that the destination answers again; returns whether it was down."""
        update = (
            sa.update(destinations)
            .values(down_since=None, reason=None, message=None, probes_done=0, next_probe_at=None)
            .where(self._is_down)
        )
        return in_transaction(self._engine, lambda connection: connection.execute(update).rowcount) > 0
