"""The work of one run: read what a token claimed, call the destination, journal each outcome as it arrives.

The op `sync_to_<destination>`, `crm-sync sync-now` and every other worker go through `deliver`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import httpx

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.destinations.base import TIMED_OUT, HttpDestination, unchanged
from crm_sync_pipeline.domain.batch import Attempt, Batch, Held, Tally
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.health import FAILURES_UNTIL_OPEN, Breaker
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Rejected, Synced
from crm_sync_pipeline.traffic import Traffic

GRACE_SECONDS = 10
"""What calls in the air get once a run is told to stop."""

LONGEST_LEASE_MARGIN_SECONDS = 5.0

KEPT_APART_SECONDS = 60

GROUPED_SECONDS = 0.02
"""How long the journal waits for more answers to come before it writes: a COMMIT costs the same for one and for fifty."""

UNWRITTEN_SECONDS = 0.1
"""How old an answer may be that is not in the journal yet, before nothing more is sent."""

LOOK_EVERY_SECONDS = 0.2
"""How often a run looks for contacts that a person took back. It costs PostgreSQL a look at each one of the batch."""

Progress = Callable[[Tally, int], None]


def deliver(
    queue: ContactQueue,
    destination: HttpDestination,
    batch: Batch,
    run_id: str | None = None,
    progress: Progress | None = None,
) -> Tally:
    """Attempt every contact of the batch once; returns what the attempts came to. Nothing is settled here.

    What could not be tried (the breaker opened, the lease ran short) is simply not journaled: settling gives it back.
    `progress` is told the tally so far and the size, after each write to the journal.

    The calls run in a thread of their own, because an interrupt (Terminate, Ctrl-C, SIGTERM) strikes the main thread
    wherever it is: then no new call starts, those in the air get ten seconds, what they came to is journaled, and the
    interrupt goes on its way.
    """
    if not batch.size:
        return Tally()
    needed = destination.timeout_seconds + lease_margin_seconds(queue.lease)
    if queue.lease.total_seconds() <= needed:
        raise CrmSyncError(
            f"A lease of {queue.lease.total_seconds():g} s is too short for calls that may take "
            f"{destination.timeout_seconds:g} s. Nothing was sent. Set CRM_SYNC_LEASE_SECONDS well above {needed:g}."
        )
    delivery = _Delivery(queue, destination, batch, run_id, progress)
    try:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="delivery") as thread:
            work = thread.submit(asyncio.run, delivery.run())
            try:
                return work.result()
            finally:
                delivery.stop()
    finally:
        delivery.journal_the_rest()


def deliver_those_kept_apart(queue: ContactQueue, destination: HttpDestination, tally: Tally, run_id: str) -> None:
    """One contact after another that is claimed alone, each under its own claim, settled before the next; for a minute.

    After a machine died twice in the middle of a large batch, all of it is kept apart, and a run for each would take an
    hour. Should one of them kill this worker, those before it are done. What they came to is added to `tally`.
    """
    ends_at = time.monotonic() + KEPT_APART_SECONDS
    while not tally.down and time.monotonic() < ends_at:
        batch = queue.claim(1, run_id=run_id, only_alone=True)
        if not batch.size:
            return
        try:
            tally.add(deliver(queue, destination, batch, run_id))
        finally:
            tally.settled.add(queue.settle(batch.token))


def lease_margin_seconds(lease: timedelta) -> float:
    """What is kept free at a lease's end, beyond the time limit of one call, for journaling what it came to."""
    return min(LONGEST_LEASE_MARGIN_SECONDS, lease.total_seconds() / 6)


class _Delivery:
    def __init__(
        self,
        queue: ContactQueue,
        destination: HttpDestination,
        batch: Batch,
        run_id: str | None,
        progress: Progress | None,
    ) -> None:
        self._queue = queue
        self._destination = destination
        self._batch = batch
        self._run_id = run_id
        self._progress = progress
        self._breaker = Breaker()
        self._is_probe = False
        self._has_answered = False
        self._tally = Tally()
        self._arrived: list[Attempt] = []
        self._arrived_since = 0.0
        self._being_written: Sequence[Attempt] = ()
        self._writing_since = 0.0
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._traffic: Traffic | None = None
        self._delivered: Mapping[UUID, str] = {}
        self._stopping = asyncio.Event()
        self._written = asyncio.Event()
        self._may_go_on = True
        self._taken_back: frozenset[UUID] = frozenset()
        self._looked_at = float("-inf")
        self._is_over = False
        self._deadline = 0.0

    async def run(self) -> Tally:
        started = time.monotonic()
        self._loop = asyncio.get_running_loop()
        held = await asyncio.to_thread(self._journal, ())
        if not held.total:
            return self._tally  # the lease ran out between the claim and now
        self._extend(started, held)
        contacts = await asyncio.to_thread(self._queue.contacts_of, self._batch.token)
        self._delivered = await asyncio.to_thread(
            self._queue.delivered_last, self._batch.token, self._destination.skip_unchanged
        )
        if await asyncio.to_thread(self._queue.breaker.state):
            self._is_probe = True
            self._breaker = Breaker(FAILURES_UNTIL_OPEN - 1)  # one more failure, and it stays down
        waiting = _one_line_an_address(contacts)
        self._traffic = traffic = Traffic(
            self._queue.pace, self._destination.requests_per_second, self._destination.concurrency, len(contacts)
        )
        journal = asyncio.create_task(self._keep_journal())
        try:
            async with self._destination.client() as client:
                workers = min(self._destination.concurrency, len(contacts))
                await self._until_done_or_stopped([self._work(client, traffic, waiting) for _ in range(workers)])
        finally:
            self._is_over = True
            self._wake.set()
            await journal
        await asyncio.to_thread(self._remember_health)
        self._tally.seconds = time.monotonic() - started
        return self._tally

    def stop(self) -> None:
        """Start no new call. From another thread; harmless once all is done."""
        self._may_go_on = False
        if self._loop:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._stopping.set)
                self._loop.call_soon_threadsafe(self._send_no_more)

    def _send_no_more(self) -> None:
        self._may_go_on = False
        self._written.set()
        if self._traffic:
            self._traffic.stop()

    async def _until_done_or_stopped(self, work: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Wait for all workers, or, once told to stop, for what is in the air. One worker's error stops the others."""
        workers = [asyncio.ensure_future(each) for each in work]
        limit = asyncio.ensure_future(self._end_after_grace(workers))
        results = await asyncio.gather(*workers, return_exceptions=True)
        limit.cancel()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    async def _end_after_grace(self, workers: Sequence[asyncio.Future[None]]) -> None:
        await self._stopping.wait()
        await asyncio.sleep(GRACE_SECONDS)
        for worker in workers:
            worker.cancel()

    async def _work(self, client: httpx.AsyncClient, traffic: Traffic, waiting: Iterator[Sequence[Contact]]) -> None:
        try:
            for line in waiting:
                for contact in line:
                    if not await self._attempt(client, traffic, contact):
                        return
        except BaseException:
            self._send_no_more()
            raise

    async def _attempt(self, client: httpx.AsyncClient, traffic: Traffic, contact: Contact) -> bool:
        """Deliver one contact; returns whether to go on. A 429 costs the contact nothing: it is tried again."""
        prepared = self._destination.prepare(contact)
        if isinstance(prepared, Attempt):
            return await self._without_a_call(contact, prepared)
        if self._delivered.get(contact.id) == prepared.payload_hash:
            return await self._without_a_call(contact, unchanged(prepared))
        while True:
            await self._until_written_down()
            await traffic.take_off()
            pushed_back = False
            try:
                if not self._may_send():
                    return False
                if contact.id in self._taken_back:
                    return True
                attempt = await self._destination.send(client, prepared)
                pushed_back = attempt.http_status == 429 or attempt.outcome.reason == TIMED_OUT
            finally:
                traffic.land(pushed_back)
            self._tally.requests += 1
            outcome = attempt.outcome
            self._breaker.observe(outcome)
            if self._breaker.is_open:
                traffic.stop()
            self._has_answered = self._has_answered or isinstance(outcome, (Synced, Rejected))
            if attempt.pause:
                await traffic.pause(attempt.pause.total_seconds())
            if isinstance(outcome, Deferred) and not isinstance(outcome, DestinationDown):
                self._tally.rate_limited += 1
                continue
            self._note(attempt)
            return True

    async def _without_a_call(self, contact: Contact, attempt: Attempt) -> bool:
        """Note what is known without asking the destination, which says nothing of the destination either."""
        await self._until_written_down()
        if not self._may_send():
            return False
        if contact.id not in self._taken_back:
            self._note(attempt)
        return True

    def _note(self, attempt: Attempt) -> None:
        self._tally.count(attempt.outcome)
        if not self._arrived:
            self._arrived_since = time.monotonic()
        self._arrived.append(attempt)
        self._wake.set()

    async def _until_written_down(self) -> None:
        """Let the journal keep up: what a run has sent and not written down goes out again if it dies."""
        while self._may_go_on and self._unwritten_for() > UNWRITTEN_SECONDS:
            self._written.clear()
            await self._written.wait()

    def _unwritten_for(self) -> float:
        """Seconds since the oldest answer came that is not in the journal yet."""
        if self._being_written:
            return time.monotonic() - self._writing_since
        return time.monotonic() - self._arrived_since if self._arrived else 0.0

    def _may_send(self) -> bool:
        needed = self._destination.timeout_seconds + lease_margin_seconds(self._queue.lease)
        in_time = time.monotonic() + needed < self._deadline
        return in_time and self._may_go_on and not self._breaker.is_open

    def _extend(self, asked_at: float, held: Held) -> None:
        """The lease runs from when PostgreSQL answered; counting from when it was asked errs on the safe side."""
        self._deadline = asked_at + held.lease_seconds

    async def _keep_journal(self) -> None:
        """Group commit: what came in while the last write ran goes into the next."""
        try:
            while not self._is_over or self._arrived:
                await self._wake.wait()
                self._wake.clear()
                if not self._is_over:
                    await asyncio.sleep(GROUPED_SECONDS)
                if self._arrived:
                    await self._write()
        except BaseException:
            self._send_no_more()  # what can't be written down must not be sent
            raise

    async def _write(self) -> None:
        asked_at = time.monotonic()
        self._being_written, self._arrived, self._writing_since = self._arrived, [], self._arrived_since
        held = await asyncio.to_thread(self._journal, self._being_written)
        self._being_written = ()
        self._written.set()
        if held.taken_back is not None:
            self._taken_back, self._looked_at = held.taken_back, asked_at
        if held.total:
            self._extend(asked_at, held)
        else:
            self._send_no_more()  # the lease is lost: another run may hold these contacts by now
        if self._progress:
            self._progress(self._tally, self._batch.size)

    def _journal(self, attempts: Sequence[Attempt]) -> Held:
        look = time.monotonic() - self._looked_at >= LOOK_EVERY_SECONDS
        return self._queue.journal(self._batch.token, attempts, self._run_id, look=look)

    def journal_the_rest(self) -> None:
        """What arrived and could not be written before: once more. Writing an attempt twice writes it once."""
        if rest := [*self._being_written, *self._arrived]:
            self._journal(rest)

    def _remember_health(self) -> None:
        if opened_by := self._breaker.opened_by:
            self._queue.breaker.open(opened_by.reason, opened_by.message, after_probe=self._is_probe)
            self._tally.down = f"{self._destination.title} is down: {opened_by.message}"
        elif self._is_probe and self._has_answered:
            self._queue.breaker.close()


def _one_line_an_address(contacts: Sequence[Contact]) -> Iterator[Sequence[Contact]]:
    """Contacts with the same address, in one line, are sent one after another and always in the same order."""
    ordered = sorted(contacts, key=lambda contact: (contact.address, contact.id))
    return iter([list(line) for _, line in groupby(ordered, key=lambda contact: contact.address)])
