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
from typing import Any
from uuid import UUID

import httpx

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.journal_writer import JournalWriter
from crm_sync_pipeline.delivery.requests import Waiting, halves_of, lines_of, requests_of
from crm_sync_pipeline.delivery.throttle import Traffic
from crm_sync_pipeline.delivery.unchanged import set_apart
from crm_sync_pipeline.delivery.verdicts import Verdicts
from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.destinations.http import HttpDestination, Sent, unchanged
from crm_sync_pipeline.domain.batch import Attempt, Batch, Tally
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered
from crm_sync_pipeline.domain.errors import CrmSyncError

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
        self._unchanged: deque[Sequence[Record]] = deque()
        self._waiting = Waiting()
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
        lines = lines_of(contacts)
        if not self._sends_unchanged:
            groups, lines = set_apart(self._destination, lines, self._before)
            self._unchanged.extend(groups)
        self._waiting.add(lines)
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
            while contacts := self._waiting.take(self._destination.limits.contacts_per_request):
                requests = deque(await self._requests_for(contacts))
                while requests:
                    further = await self._request(client, traffic, requests.popleft())
                    if further is None:
                        return
                    requests.extendleft(reversed(further))
        except BaseException:
            self._send_no_more()
            raise

    async def _try_again(self, client: httpx.AsyncClient, traffic: Traffic, contacts: Sequence[Contact]) -> None:
        """After all others, one by one, those whose answer turned out to be about them alone."""
        by_id = {contact.id: contact for contact in contacts}
        for contact_id in self._verdicts.to_try_again():
            self._waiting.add([[by_id[contact_id]]])
            await self._work(client, traffic)

    async def _confirm(self, client: httpx.AsyncClient, traffic: Traffic, group: Sequence[Record]) -> bool:
        """Note those that the destination still has, and let the others be sent; returns whether to go on."""
        await traffic.take_off()
        try:
            if not self._may_send():
                return False
            missing = await self._destination.missing(client, [str(each.before.remote_id) for each in group])
        finally:
            traffic.land(False)
        self._tally.requests += 1
        for record in group:
            if record.before.remote_id in missing:
                self._waiting.add([[record.contact]])
            elif not await self._without_a_call(record.contact, unchanged(record)):
                return False
        return True

    async def _requests_for(self, contacts: Sequence[Contact]) -> list[list[Record]]:
        """The requests that deliver these contacts; those that none can be made for have their result at once."""
        records = []
        for contact in contacts:
            prepared = self._destination.prepare(contact, self._before.get(contact.id, NEVER))
            if isinstance(prepared, Record):
                records.append(prepared)
            elif await self._without_a_call(contact, prepared):
                self._waiting.finish(contact)
        return requests_of(records, self._destination.limits)

    async def _request(
        self, client: httpx.AsyncClient, traffic: Traffic, records: Sequence[Record]
    ) -> list[list[Record]] | None:
        """Send one request; returns what is to be sent after it for the same contacts, None to send nothing more.

        A 429 costs the contacts nothing: the same request is sent again. One that is refused as a whole is halved.
        """
        await self.journal.until_written_down()
        await traffic.take_off()
        was_pushed_back = False
        try:
            if not self._may_send():
                return None
            records = self._without_those_taken_back(records)
            if not records:
                return []
            sent = await self._destination.send(client, records)
            was_pushed_back = sent.was_pushed_back
        finally:
            traffic.land(was_pushed_back)
        self._tally.requests += 1
        self._tally.call_times.note(sent.milliseconds)
        self._verdicts.observe(sent.outcome)
        further = halves_of(records) if sent.is_split else await self._results(records, sent)
        if self._verdicts.is_open:
            traffic.stop()
        if sent.pause:
            await traffic.pause(sent.pause.total_seconds())
        if sent.is_rate_limited:
            self._tally.rate_limited += 1
        return further

    def _without_those_taken_back(self, records: Sequence[Record]) -> Sequence[Record]:
        """Struck just before the request goes: a person has decided otherwise, and settling honours that."""
        for record in records:
            if record.contact.id in self.journal.taken_back:
                self._waiting.finish(record.contact)
        return [record for record in records if record.contact.id not in self.journal.taken_back]

    async def _results(self, records: Sequence[Record], sent: Sent) -> list[list[Record]]:
        """Note what became of each contact; returns what is still to be sent for some of them."""
        if sent.is_rate_limited:
            return [list(records)]
        further = []
        for record, attempt in zip(records, sent.attempts, strict=True):
            following = self._destination.next_request(record, attempt.outcome)
            if following:
                further.append(following)
            else:
                await self._verdicts.take(attempt)
                self._waiting.finish(record.contact)
        return requests_of(further, self._destination.limits)

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
