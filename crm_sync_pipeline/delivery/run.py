"""The work of one run: read what a token claimed, call the destination, journal each outcome as it arrives.

`deliver` begins here, and is entered by `door`: by the op `sync_to_<destination>`, `crm-sync sync-now` and all others.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import httpx

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.journal_writer import JournalWriter
from crm_sync_pipeline.delivery.throttle import Traffic
from crm_sync_pipeline.delivery.unchanged import Line, set_apart
from crm_sync_pipeline.delivery.verdicts import Verdicts
from crm_sync_pipeline.destinations.http import TIMED_OUT, HttpDestination, Prepared, unchanged
from crm_sync_pipeline.domain.batch import Attempt, Batch, Tally
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown

GRACE_SECONDS = 10
"""What calls in the air get once a run is told to stop."""

LONGEST_LEASE_MARGIN_SECONDS = 5.0

Progress = Callable[[Tally, int], None]


def deliver(
    queue: ContactQueue,
    destination: HttpDestination,
    batch: Batch,
    run_id: str | None = None,
    progress: Progress | None = None,
    *,
    sends_unchanged: bool = False,
) -> Tally:
    """Attempt every contact of the batch once; returns what the attempts came to. Nothing is settled here.

    What could not be tried (the breaker opened, the lease ran short) is simply not journaled: settling gives it back.
    With `sends_unchanged` it is all sent, whether or not the destination has it as it is.
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
    delivery = _Delivery(queue, destination, batch, run_id, progress, sends_unchanged)
    try:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="delivery") as thread:
            work = thread.submit(asyncio.run, delivery.run())
            try:
                return work.result()
            finally:
                delivery.stop()
    finally:
        delivery.journal.write_the_rest()


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
        sends_unchanged: bool,
    ) -> None:
        self._queue = queue
        self._destination = destination
        self._batch = batch
        self._progress = progress
        self._verdicts = Verdicts(queue.breaker, self._note)
        self._tally = Tally()
        self.journal = JournalWriter(queue, batch.token, run_id, self._tell, self._send_no_more)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._traffic: Traffic | None = None
        self._before: Mapping[UUID, Delivered] = {}
        self._sends_unchanged = sends_unchanged
        self._unchanged: deque[Sequence[Prepared]] = deque()
        self._waiting: deque[Line] = deque()
        self._stopping = asyncio.Event()
        self._may_go_on = True

    async def run(self) -> Tally:
        started = time.monotonic()
        self._loop = asyncio.get_running_loop()
        if not await self.journal.extend():
            return self._tally  # the lease ran out between the claim and now
        contacts = await asyncio.to_thread(self._queue.contacts_of, self._batch.token)
        self._before = await asyncio.to_thread(self._known_before, contacts)
        await self._verdicts.begin()
        lines = _one_line_an_address(contacts)
        if not self._sends_unchanged:
            groups, lines = set_apart(self._destination, lines, self._before)
            self._unchanged.extend(groups)
        self._waiting.extend(lines)
        self._traffic = traffic = Traffic(
            self._queue.pace, self._destination.requests_per_second, self._destination.concurrency, len(contacts)
        )
        journal = asyncio.create_task(self.journal.keep())
        try:
            async with self._destination.client() as client:
                workers = min(self._destination.concurrency, len(contacts))
                await self._until_done_or_stopped([self._work(client, traffic) for _ in range(workers)])
                await self._until_done_or_stopped([self._try_again(client, traffic, contacts)])
                await self._verdicts.end(was_stopped=not self._may_go_on)
        finally:
            self.journal.end()
            await journal
        if said := await asyncio.to_thread(self._verdicts.remember):
            self._tally.down = f"{self._destination.title} is down: {said}"
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
        self.journal.release()
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

    def _known_before(self, contacts: Sequence[Contact]) -> Mapping[UUID, Delivered]:
        """What is known of the copies, and of those with another address now whether another row has the old one."""
        known = self._queue.delivered_before(self._batch.token, self._destination.skip_unchanged)
        addresses = {contact.id: contact.address for contact in contacts}
        moved = [each for each in known if each in addresses and known[each].has_moved_to(addresses[each])]
        if moved:
            shared = self._queue.wanted_addresses({known[each].address for each in moved})
            known |= {each: replace(known[each], is_shared=True) for each in moved if known[each].address in shared}
        return known

    async def _work(self, client: httpx.AsyncClient, traffic: Traffic) -> None:
        try:
            while self._unchanged:
                if not await self._confirm(client, traffic, self._unchanged.popleft()):
                    return
            while self._waiting:
                for contact in self._waiting.popleft():
                    if not await self._attempt(client, traffic, contact):
                        return
        except BaseException:
            self._send_no_more()
            raise

    async def _try_again(self, client: httpx.AsyncClient, traffic: Traffic, contacts: Sequence[Contact]) -> None:
        """After all others, one by one, those whose answer turned out to be about them alone."""
        by_id = {contact.id: contact for contact in contacts}
        for contact_id in self._verdicts.to_try_again():
            self._waiting.append([by_id[contact_id]])
            await self._work(client, traffic)

    async def _confirm(self, client: httpx.AsyncClient, traffic: Traffic, group: Sequence[Prepared]) -> bool:
        """Note those that the destination still has, and let the others be sent; returns whether to go on."""
        await traffic.take_off()
        try:
            if not self._may_send():
                return False
            missing = await self._destination.missing(client, [str(each.before.remote_id) for each in group])
        finally:
            traffic.land(False)
        self._tally.requests += 1
        for prepared in group:
            if prepared.before.remote_id in missing:
                self._waiting.append([prepared.contact])
            elif not await self._without_a_call(prepared.contact, unchanged(prepared)):
                return False
        return True

    async def _attempt(self, client: httpx.AsyncClient, traffic: Traffic, contact: Contact) -> bool:
        """Deliver one contact, by one request or more; returns whether to go on.

        A 429 costs the contact nothing: the request is sent again.
        """
        prepared = self._destination.prepare(contact, self._before.get(contact.id, NEVER))
        if isinstance(prepared, Attempt):
            return await self._without_a_call(contact, prepared)
        while True:
            await self.journal.until_written_down()
            await traffic.take_off()
            pushed_back = False
            try:
                if not self._may_send():
                    return False
                if contact.id in self.journal.taken_back:
                    return True
                attempt = await self._destination.send(client, prepared)
                pushed_back = attempt.http_status == 429 or attempt.outcome.reason == TIMED_OUT
            finally:
                traffic.land(pushed_back)
            self._tally.requests += 1
            self._tally.call_times.note(attempt.milliseconds)
            outcome = attempt.outcome
            self._verdicts.observe(outcome)
            is_rate_limited = isinstance(outcome, Deferred) and not isinstance(outcome, DestinationDown)
            following = self._destination.next_request(prepared, outcome)
            if not is_rate_limited and not following:
                await self._verdicts.take(attempt)
            if self._verdicts.is_open:
                traffic.stop()
            if attempt.pause:
                await traffic.pause(attempt.pause.total_seconds())
            if following:
                prepared = following
                continue
            if not is_rate_limited:
                return True
            self._tally.rate_limited += 1

    async def _without_a_call(self, contact: Contact, attempt: Attempt) -> bool:
        """Note what is known without asking the destination, which says nothing of the destination either."""
        await self.journal.until_written_down()
        if not self._may_send():
            return False
        if contact.id not in self.journal.taken_back:
            self._note(attempt)
        return True

    def _note(self, attempt: Attempt) -> None:
        self._tally.count(attempt.outcome)
        self.journal.note(attempt)

    def _may_send(self) -> bool:
        needed = self._destination.timeout_seconds + lease_margin_seconds(self._queue.lease)
        in_time = time.monotonic() + needed < self.journal.deadline
        return in_time and self._may_go_on and not self._verdicts.is_open

    def _tell(self) -> None:
        if self._progress:
            self._progress(self._tally, self._batch.size)


def _one_line_an_address(contacts: Sequence[Contact]) -> list[Line]:
    """Contacts with the same address, in one line, are sent one after another and always in the same order."""
    ordered = sorted(contacts, key=lambda contact: (contact.address, contact.id))
    return [list(line) for _, line in groupby(ordered, key=lambda contact: contact.address)]
