"""What every way of delivering shares: one thread, one stop, one throttle, one breaker, one journal, one tally."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import httpx

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.journal_writer import JournalWriter
from crm_sync_pipeline.delivery.throttle import Throttle
from crm_sync_pipeline.delivery.verdicts import Verdicts
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.batch import Attempt, Batch, Tally
from crm_sync_pipeline.domain.errors import CrmSyncError

GRACE_SECONDS = 10
"""What requests in flight get once a run is told to stop."""

LONGEST_LEASE_MARGIN_SECONDS = 5.0

RunProgress = Callable[[Tally, int], None]
Way = Callable[["Engine", httpx.AsyncClient], Awaitable[None]]
"""A way of delivering what was claimed: one by one, or by import."""


class Engine:
    """One run of one claim. It is made in the main thread; everything else happens in the event loop of `run`.

    `progress` gets the tally so far and the size of the batch, after each write to the journal.
    """

    def __init__(
        self,
        queue: ContactQueue,
        destination: HttpDestination,
        batch: Batch,
        run_id: str | None = None,
        progress: RunProgress | None = None,
    ) -> None:
        self.queue, self.destination, self.batch, self.run_id = queue, destination, batch, run_id
        self.tally = Tally()
        self.throttle = Throttle(queue.pace, destination.requests_per_second, destination.concurrency)
        self.journal = JournalWriter(queue, batch.token, run_id, self.report, self.send_no_more)
        self.verdicts = Verdicts(queue.breaker, self.note)
        self.stopping = asyncio.Event()
        self.may_go_on = True
        self._progress = progress
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def token(self) -> UUID:
        """The claim's."""
        return self.batch.token

    def run(self, *ways: Way) -> Tally:
        """Deliver in these ways, one after another, unless the destination is down; returns the tally of the attempts.

        What could not be tried (the breaker opened, the lease ran short) is not journaled: settling gives it back.

        All of it runs in a thread of its own, because an interrupt (Terminate, Ctrl-C, SIGTERM) strikes the main thread
        wherever it is: then no new request starts, those in flight get ten seconds, their results are journaled, and
        the interrupt goes on its way.
        """
        if self.queue.lease.total_seconds() <= self.seconds_needed:
            raise CrmSyncError(
                f"A lease of {self.queue.lease.total_seconds():g} s is too short for calls that may take "
                f"{self.destination.timeout_seconds:g} s. Nothing was sent. Set CRM_SYNC_LEASE_SECONDS well above "
                f"{self.seconds_needed:g}."
            )
        try:
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="delivery") as thread:
                work = thread.submit(asyncio.run, self._run(ways))
                try:
                    return work.result()
                finally:
                    self._stop()
        finally:
            self.journal.write_the_rest()

    @property
    def seconds_needed(self) -> float:
        """How much of the lease must be left before a request may start."""
        return self.destination.timeout_seconds + lease_margin_seconds(self.queue.lease)

    def may_send(self) -> bool:
        """Whether another request may start now."""
        in_time = time.monotonic() + self.seconds_needed < self.journal.deadline
        return in_time and self.may_go_on and not self.verdicts.is_open

    def note(self, attempt: Attempt) -> None:
        """Count an attempt, and journal it with the next write."""
        self.tally.count(attempt.outcome)
        self.journal.note(attempt)

    def report(self) -> None:
        """Say how far the run is."""
        if self._progress:
            self._progress(self.tally, self.batch.size)

    def send_no_more(self) -> None:
        """Start no new request."""
        self.may_go_on = False
        self.journal.stop_waiting()
        self.throttle.stop()

    def _stop(self) -> None:
        """From another thread; harmless before the loop has begun, and once all is done."""
        self.may_go_on = False
        if self._loop:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self.stopping.set)
                self._loop.call_soon_threadsafe(self.send_no_more)

    async def _run(self, ways: tuple[Way, ...]) -> Tally:
        began_at = time.monotonic()
        self._loop = asyncio.get_running_loop()
        if not self.may_go_on:
            self.stopping.set()
        async with self.destination.client() as client:
            for way in ways:
                if self.may_go_on and not self.tally.down:
                    await self._go(way, client)
        self.tally.seconds = time.monotonic() - began_at
        return self.tally

    async def _go(self, way: Way, client: httpx.AsyncClient) -> None:
        self.verdicts = Verdicts(self.queue.breaker, self.note)
        await self.verdicts.begin()
        writing = self.journal.begin()
        try:
            await way(self, client)
        finally:
            self.journal.end()
            await writing
        if said := await asyncio.to_thread(self.verdicts.remember):
            self.tally.down = f"{self.destination.title} is down: {said}"


def lease_margin_seconds(lease: timedelta) -> float:
    """What is kept free at a lease's end, beyond the time limit of one call, for journaling its result."""
    return min(LONGEST_LEASE_MARGIN_SECONDS, lease.total_seconds() / 6)
