"""The queue in numbers: for the sensor, checks, alerts and metrics, which ask often. Report is for people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.database.transactions import in_transaction
from crm_sync_pipeline.contact_queue.reading import figures_sql

COUNTED_UP_TO = 10_000
"""Nothing is counted beyond this, so that no question takes longer as the table grows."""


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """How many contacts stand where, each counted up to COUNTED_UP_TO. `lag_seconds`: None where none is due."""

    due: int
    waiting: int
    held: int
    processing: int
    error: int
    lag_seconds: float | None


@dataclass(frozen=True, slots=True)
class ErrorShare:
    """Of the contacts that were attempted lately: how many ended, and how many of those in Error."""

    ended: int
    error: int

    @property
    def percent(self) -> float:
        """0 where none ended."""
        return 100 * self.error / self.ended if self.ended else 0.0


@dataclass(frozen=True, slots=True)
class Expired:
    """A contact past its lease: for how long, and in which Dagster run, where one claimed it."""

    ago: timedelta
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed or was refused, and what happens next. `state` is None for a contact that is gone."""

    contact_id: UUID
    reason: str
    number: int
    next_retry_at: datetime | None
    state: str | None


class Figures:
    """Reads and changes nothing. Each question walks an index, and stops at COUNTED_UP_TO."""

    def __init__(self, engine: sa.Engine, columns: DestinationColumns, lease: timedelta) -> None:
        self._engine = engine
        self._columns = columns
        self._lease = lease

    def now(self) -> QueueFigures:
        """How the queue stands."""
        row = self._ask(figures_sql.standing, limit=COUNTED_UP_TO).one()
        lag = None if row.lag_seconds is None else max(0.0, float(row.lag_seconds))
        return QueueFigures(row.due, row.waiting, row.held, row.processing, row.error, lag)

    def ended_lately(self) -> ErrorShare:
        """Of the contacts attempted in the last day, by the newest COUNTED_UP_TO attempts."""
        row = self._ask(figures_sql.ended_lately, limit=COUNTED_UP_TO).one()
        return ErrorShare(row.ended, row.error)

    def next_retry_at(self) -> datetime | None:
        """When the first contact that waits for a retry is due; None where none waits."""
        found: datetime | None = self._ask(figures_sql.next_retry).scalar_one_or_none()
        return found

    def longest_expired(self) -> Expired | None:
        """What has stood Processing longest past its lease, or although it is not claimed; None where nothing has."""
        row = self._ask(figures_sql.longest_expired, lease_seconds=self._lease.total_seconds()).one_or_none()
        return None if row is None else Expired(timedelta(seconds=float(row.seconds)), row.run_id)

    def failures(self, tokens: Sequence[UUID], limit: int) -> list[Failure]:
        """Attempts under these tokens that failed or were refused; the contacts are named by their ids alone."""
        rows = self._ask(figures_sql.failures_of, tokens=list(tokens), limit=limit)
        return [Failure(row.contact_id, row.reason, row.number, row.next_retry_at, row.state) for row in rows]

    def _ask(self, statement: Callable[[DestinationColumns], sa.Executable], **parameters: Any) -> sa.Result[Any]:
        def ask(connection: sa.Connection) -> sa.Result[Any]:
            return connection.execute(statement(self._columns), parameters).freeze()()

        return in_transaction(self._engine, ask)
