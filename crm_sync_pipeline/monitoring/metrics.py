"""The queue's figures for Prometheus, read from PostgreSQL when they are asked for."""

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.reading.counting import CALL_SECONDS, AttemptCounter, Totals
from crm_sync_pipeline.contact_queue.reading.figures import COUNTED_UP_TO
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.domain.errors import CrmSyncError

logger = logging.getLogger("crm_sync_pipeline")

STATES = ("due", "waiting", "held", "processing", "error")


class QueueCollector(Collector):
    """Asks the database at each scrape; where it can't be asked, `crm_sync_up` is 0, and nothing else is said.

    Attempts are counted from when this was made, as Prometheus expects of a process.
    """

    def __init__(self, database: Database, crms: Sequence[str]) -> None:
        self._database = database
        self._crms = crms
        self._counter: AttemptCounter | None = None
        self._counts_since = 0.0
        self._one_at_a_time = threading.Lock()
        self._problem = ""

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering asks no database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they are now."""
        with self._one_at_a_time:
            try:
                found = list(self._read())
            except CrmSyncError as error:
                if str(error) != self._problem:
                    logger.warning("metrics_unavailable %s", error)
                self._problem, found = str(error), []
            else:
                self._problem = ""
        yield GaugeMetricFamily("crm_sync_up", "Whether the database can be asked.", 0 if self._problem else 1)
        yield from found

    def _read(self) -> Iterator[Metric]:
        if self._counter is None:
            counter = AttemptCounter(self._database.engine)
            counter.begin()
            self._counter, self._counts_since = counter, time.time()
        yield from _of_queues([self._database.queue(crm) for crm in self._crms])
        yield from _of_attempts(self._counter.totals(), self._counts_since)


def _of_queues(queues: Sequence[ContactQueue]) -> Iterator[Metric]:
    contacts = GaugeMetricFamily(
        "crm_sync_contacts",
        f"Contacts by where they stand: due (the queue's depth), waiting for a retry, held, processing, error; each "
        f"counted up to {COUNTED_UP_TO}.",
        labels=["crm", "state"],
    )
    lag = GaugeMetricFamily("crm_sync_lag_seconds", "How long the oldest due contact has been due.", labels=["crm"])
    down = GaugeMetricFamily("crm_sync_destination_down", "1 while nothing gets through to it.", labels=["crm"])
    for queue in queues:
        now = queue.figures.now()
        for state in STATES:
            contacts.add_metric([queue.crm.name, state], getattr(now, state))
        lag.add_metric([queue.crm.name], now.lag_seconds or 0)
        down.add_metric([queue.crm.name], 1 if queue.breaker.state() else 0)
    yield from (contacts, lag, down)


def _of_attempts(totals: Totals, since: float) -> Iterator[Metric]:
    attempts = CounterMetricFamily(
        "crm_sync_attempts",
        "Attempts journaled since this process began to count.",
        labels=["crm", "outcome", "reason"],
    )
    by_reason: Counter[tuple[str, str, str]] = Counter()
    calls: dict[str, Counter[int]] = defaultdict(Counter)
    seconds: Counter[str] = Counter()
    for kind, total in totals.attempts.items():
        by_reason[kind.crm, kind.outcome, kind.reason] += total
        calls[kind.crm][kind.bucket] += totals.calls[kind]
        seconds[kind.crm] += totals.milliseconds[kind]
    for labels, total in sorted(by_reason.items()):
        attempts.add_metric(list(labels), total, created=since)
    histogram = HistogramMetricFamily(
        "crm_sync_call_seconds", "How long calls to the CRM took, since this process began to count.", labels=["crm"]
    )
    for crm, in_bucket in sorted(calls.items()):
        up_to = [
            (str(bound), float(sum(in_bucket[each] for each in range(index + 1))))
            for index, bound in enumerate([*CALL_SECONDS, "+Inf"])
        ]
        histogram.add_metric([crm], up_to, sum_value=seconds[crm] / 1000)
    yield from (attempts, histogram)
