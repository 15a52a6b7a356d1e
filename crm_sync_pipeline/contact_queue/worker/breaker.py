"""The circuit breaker's memory: one row of `crm_sync.destinations`, and what the journal says of suspects."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import NOW, built_once, seconds
from crm_sync_pipeline.contact_queue.database.tables import destinations
from crm_sync_pipeline.contact_queue.database.transactions import in_transaction
from crm_sync_pipeline.contact_queue.worker import blame_sql
from crm_sync_pipeline.domain.blame import Earlier
from crm_sync_pipeline.domain.health import Down, probe_delay

_PROBE_IN = seconds(sa.bindparam("probe_in_seconds", type_=sa.Float))


def _is_ours(destination: str) -> sa.ColumnElement[bool]:
    return destinations.c.destination == destination


def _is_down(destination: str) -> sa.ColumnElement[bool]:
    return sa.and_(_is_ours(destination), destinations.c.down_since.is_not(None))


def _state_of() -> sa.Select[Any]:
    return sa.select(
        destinations.c.reason,
        destinations.c.message,
        destinations.c.probes_done,
        sa.extract("epoch", destinations.c.next_probe_at - NOW).label("probe_in_seconds"),
        sa.extract("epoch", NOW - destinations.c.down_since).label("lasted_seconds"),
    )


@built_once
def read_breaker(destination: str) -> sa.Select[Any]:
    """Why the destination is down, since when, and when the next probe is due; no row while the breaker is closed."""
    return _state_of().where(_is_down(destination))


@built_once
def read_all_breakers() -> sa.Select[Any]:
    """The destinations that are down: why, since when, and when the next probe is due."""
    return _state_of().add_columns(destinations.c.destination).where(destinations.c.down_since.is_not(None))


@built_once
def add_breaker(destination: str) -> sa.Insert:
    """The destination's row, with a closed breaker, where it has none yet."""
    return pg.insert(destinations).values(destination=destination).on_conflict_do_nothing()


@built_once
def lock_breaker(destination: str) -> sa.Select[Any]:
    """The destination's row, locked, so that two runs that open the breaker do so one after the other."""
    return sa.select(destinations).where(_is_ours(destination)).with_for_update()


@built_once
def open_breaker(destination: str, sets_probe: bool) -> sa.Update:
    """Open the breaker for :why and :what_to_do. With `sets_probe` the next probe is due after :probe_in_seconds.

    Since when the destination is down stays as it is where the breaker is open already.
    """
    probe = {"probes_done": sa.bindparam("probes", type_=sa.Integer), "next_probe_at": NOW + _PROBE_IN}
    return (
        sa.update(destinations)
        .values(
            reason=sa.bindparam("why", type_=sa.Text),
            message=sa.bindparam("what_to_do", type_=sa.Text),
            down_since=sa.func.coalesce(destinations.c.down_since, NOW),
            **(probe if sets_probe else {}),
        )
        .where(_is_ours(destination))
    )


@built_once
def take_probe(destination: str) -> sa.Update:
    """Take the probe that is due: the next one is due after :probe_in_seconds. No row where none is due."""
    return (
        sa.update(destinations)
        .values(next_probe_at=NOW + _PROBE_IN)
        .where(_is_down(destination), destinations.c.next_probe_at <= NOW)
    )


@built_once
def probe_now(destination: str) -> sa.Update:
    """Let the next probe be due now; no row where the destination is not down."""
    return sa.update(destinations).values(next_probe_at=NOW).where(_is_down(destination))


@built_once
def close_breaker(destination: str) -> sa.Update:
    """Close the breaker; no row where it is not open."""
    return (
        sa.update(destinations)
        .values(down_since=None, reason=None, message=None, probes_done=0, next_probe_at=None)
        .where(_is_down(destination))
    )


def all_down(connection: sa.Connection) -> dict[str, Down]:
    """The destinations that are down, by name."""
    return {row.destination: _down_in(row) for row in connection.execute(read_all_breakers())}


def _down_in(row: sa.Row[Any]) -> Down:
    next_probe_in = timedelta(seconds=float(row.probe_in_seconds or 0))
    lasted = timedelta(seconds=float(row.lasted_seconds or 0))
    return Down(row.reason, row.message, row.probes_done, next_probe_in, lasted)


class BreakerRecord:
    """Whether one destination is down, since when, why, and when the next probe may go out."""

    def __init__(self, engine: sa.Engine, destination: str) -> None:
        self._engine = engine
        self._destination = destination

    def state(self) -> Down | None:
        """None while the breaker is closed."""
        return in_transaction(self._engine, self.read)

    def read(self, connection: sa.Connection) -> Down | None:
        """The state, read within a transaction that asks for more than that."""
        row = connection.execute(read_breaker(self._destination)).one_or_none()
        return None if row is None else _down_in(row)

    def open(self, reason: str, message: str, after_probe: bool = False, wait: timedelta = timedelta(0)) -> None:
        """Note that nothing gets through. The next probe is due in a minute, later with each one that failed.

        It is not due before `wait` is over, for which the destination has asked.

        A run that finds the breaker open already, and was no probe, was in flight when it opened: the wait stands.
        """

        def write(connection: sa.Connection) -> None:
            connection.execute(add_breaker(self._destination))
            before = connection.execute(lock_breaker(self._destination)).one()
            parameters: dict[str, object] = {"why": reason, "what_to_do": message}
            sets_probe = before.down_since is None or after_probe
            if sets_probe:
                probes_done = 0 if before.down_since is None else before.probes_done + 1
                delay = probe_delay(probes_done, wait)
                parameters |= {"probes": probes_done, "probe_in_seconds": delay.total_seconds()}
            connection.execute(open_breaker(self._destination, sets_probe), parameters)

        in_transaction(self._engine, write)

    def take_probe(self, connection: sa.Connection) -> bool:
        """Within a claim: whether this run may probe. Another one may not until this one has had its time."""
        parameters = {"probe_in_seconds": probe_delay(0).total_seconds()}
        return connection.execute(take_probe(self._destination), parameters).rowcount > 0

    def probe_now(self) -> bool:
        """Let the next run probe, whenever that was due; returns whether the destination is down at all."""
        update = probe_now(self._destination)
        return in_transaction(self._engine, lambda connection: connection.execute(update).rowcount) > 0

    def close(self) -> bool:
        """Note that the destination answers again; returns whether it was down."""
        update = close_breaker(self._destination)
        return in_transaction(self._engine, lambda connection: connection.execute(update).rowcount) > 0

    def failing_for(self, contact_id: UUID, reason: str) -> timedelta:
        """For how long this contact has failed for this reason and no other, while no other contact got through."""
        query, parameters = blame_sql.failing_for(self._destination), {"id": contact_id, "reason": reason}
        rows = in_transaction(self._engine, lambda connection: connection.execute(query, parameters).scalars().all())
        return timedelta(seconds=float(sum(rows)))

    def earlier(self, contacts: Iterable[UUID]) -> dict[UUID, Earlier]:
        """The last attempts at these contacts that were Deferred or Rejected; those with another one are left out."""
        query = blame_sql.earlier_refusal(self._destination)

        def read(connection: sa.Connection) -> dict[UUID, Earlier]:
            rows = {each: connection.execute(query, {"id": each}).one_or_none() for each in contacts}
            return {
                each: Earlier(row.reason, row.outcome == "rejected", row.others_since)
                for each, row in rows.items()
                if row is not None
            }

        return in_transaction(self._engine, read)
