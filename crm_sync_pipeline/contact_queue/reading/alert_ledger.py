"""What alerts are about, and which of them were told: the table `crm_sync.alerts`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError, in_transaction, what_happened
from crm_sync_pipeline.contact_queue.reading import alert_ledger_sql
from crm_sync_pipeline.contact_queue.reading.figures import Figures
from crm_sync_pipeline.contact_queue.worker.breaker import BreakerRecord
from crm_sync_pipeline.domain.alerting import Change, JobHealth, QueueHealth
from crm_sync_pipeline.domain.crm import Crm

_OUTAGE = "outage"
"""The channel under which it is noted when a destination was seen down last."""

_LOCK_NOT_AVAILABLE = "55P03"


class Queue(Protocol):
    """What the health of a queue is read from; a ContactQueue is one."""

    crm: Crm
    breaker: BreakerRecord
    figures: Figures


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that was sent by a channel, and whose end was not sent yet."""

    channel: str
    name: str
    since: datetime
    message: str


class AlertLedger:
    """Which alerts were sent, each channel for itself: a row from when one was sent until its end was sent.

    A change is sent within the transaction that writes it down. Of two that check at the same time, one writes the row
    and sends; the other waits for it, finds the row written, and says nothing. When the channel does not take it, the
    transaction is rolled back, and the next check tries again, however often it takes. What was sent to one channel is
    not sent to it again because another one is broken.

    A worker that dies between the channel's answer and COMMIT leaves it to be sent once more: an alert that comes twice
    is better than one that never came.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def open_alerts(self) -> list[OpenAlert]:
        """What was sent and is not over, the oldest first."""
        rows = in_transaction(self._engine, lambda connection: connection.execute(alert_ledger_sql.open_alerts).all())
        found = [(*row.name.partition("/"), row.raised_at, row.message) for row in rows]
        return [OpenAlert(channel, name, since, said) for channel, _, name, since, said in found if channel != _OUTAGE]

    def notify(self, channel: str, change: Change, is_still_so: Callable[[], bool], send: Callable[[], None]) -> bool:
        """Write the change down and `send` it, unless another did; returns whether it was sent.

        `is_still_so` is asked when the row is ours: between our check and that, another may have sent the opposite.
        Nothing is written where it says no, or where `send` raises.
        """
        parameters = {"key": f"{channel}/{change.name}", "said": change.text}
        write = alert_ledger_sql.raised if change.is_raised else alert_ledger_sql.is_over
        try:
            with self._engine.connect() as connection:
                connection.execute(alert_ledger_sql.wait_for_another)
                if connection.execute(write, parameters).one_or_none() is None or not is_still_so():
                    return False
                send()
                connection.commit()
                return True
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                return False  # another one is sending it
            raise DatabaseError(what_happened(self._engine, error)) from None

    def health(self, queue: Queue, job: JobHealth | None = None) -> QueueHealth:
        """One CRM's queue, as alerts see it."""
        crm = queue.crm
        down, now, ended = queue.breaker.state(), queue.figures.now(), queue.figures.ended_lately()
        expired, key = queue.figures.longest_expired(), {"key": f"{_OUTAGE}/{crm.name}"}
        seen_down_ago = in_transaction(
            self._engine, lambda connection: connection.execute(alert_ledger_sql.seen_ago, key).scalar_one_or_none()
        )
        return QueueHealth(
            crm.name,
            crm.title,
            down=down.message if down else None,
            was_down_ago=_span(seen_down_ago),
            lag=_span(now.lag_seconds),
            ended=ended.ended,
            ended_in_error=ended.error,
            expired_ago=expired.ago if expired else None,
            expired_run_id=expired.run_id if expired else None,
            job=job,
        )

    def note_outage(self, crm: str) -> None:
        """Remember that the destination is down now."""
        self._write(alert_ledger_sql.seen_now, f"{_OUTAGE}/{crm}")

    def forget_outage(self, crm: str) -> None:
        """What the outage left behind is gone."""
        self._write(alert_ledger_sql.is_over, f"{_OUTAGE}/{crm}")

    def _write(self, statement: sa.Executable, key: str) -> None:
        in_transaction(self._engine, lambda connection: connection.execute(statement, {"key": key}))


def _span(seconds: Any) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=float(seconds))
