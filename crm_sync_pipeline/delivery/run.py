"""One by one: read what a token claimed, call the destination for each contact, journal each outcome as it arrives."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import httpx

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.engine import GRACE_SECONDS, Engine
from crm_sync_pipeline.delivery.requests import Waiting, halves_of, lines_of, requests_of
from crm_sync_pipeline.delivery.unchanged import set_apart
from crm_sync_pipeline.destinations.contract import Record, RequestResult
from crm_sync_pipeline.destinations.destination import HttpDestination, unchanged
from crm_sync_pipeline.domain.batch import Attempt, Batch, Tally
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered


def deliver(
    queue: ContactQueue,
    destination: HttpDestination,
    batch: Batch,
    run_id: str | None = None,
    *,
    sends_unchanged: bool = False,
) -> Tally:
    """Attempt every contact of the batch once, one by one; returns the results of the attempts. Settles nothing."""
    return Engine(queue, destination, batch, run_id).run(partial(one_by_one, sends_unchanged=sends_unchanged))


async def one_by_one(engine: Engine, client: httpx.AsyncClient, *, sends_unchanged: bool = False) -> None:
    """Attempt what was claimed, a request or more for each contact.

    With `sends_unchanged` it is all sent, whether or not the destination has it as it is.
    """
    await _Calls(engine, client).run(sends_unchanged)


class _Calls:
    def __init__(self, engine: Engine, client: httpx.AsyncClient) -> None:
        self._engine = engine
        self._client = client
        self._destination = engine.destination
        self._throttle = engine.throttle
        self._journal = engine.journal
        self._verdicts = engine.verdicts
        self._before: Mapping[UUID, Delivered] = {}
        self._unchanged: deque[Sequence[Record]] = deque()
        self._waiting = Waiting()

    async def run(self, sends_unchanged: bool) -> None:
        if not await self._journal.heartbeat():
            return  # the lease ran out between the claim and now
        contacts = await asyncio.to_thread(self._engine.queue.contacts_of, self._engine.token)
        self._before = await asyncio.to_thread(self._known_before, contacts)
        if sends_unchanged:  # the same data is wanted once more, under another key
            again = str(self._engine.token)
            contacts = [replace(each, selection=again) if each.id in self._before else each for each in contacts]
        lines = lines_of(contacts)
        if not sends_unchanged:
            groups, lines = set_apart(self._destination, lines, self._before)
            self._unchanged.extend(groups)
        self._waiting.add(lines)
        self._throttle.waiting = len(contacts)
        workers = min(self._destination.concurrency, len(contacts))
        await self._until_done_or_stopped([self._work() for _ in range(workers)])
        await self._until_done_or_stopped([self._try_again(contacts)])
        await self._verdicts.end(was_stopped=not self._engine.may_go_on)

    async def _until_done_or_stopped(self, work: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Wait for all workers, or, once told to stop, for what is in flight. One worker's error stops the others."""
        workers = [asyncio.ensure_future(each) for each in work]
        limit = asyncio.ensure_future(self._end_after_grace(workers))
        results = await asyncio.gather(*workers, return_exceptions=True)
        limit.cancel()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    async def _end_after_grace(self, workers: Sequence[asyncio.Future[None]]) -> None:
        await self._engine.stopping.wait()
        await asyncio.sleep(GRACE_SECONDS)
        for worker in workers:
            worker.cancel()

    def _known_before(self, contacts: Sequence[Contact]) -> Mapping[UUID, Delivered]:
        """What is known of the copies, and of those with another address now whether another row has the old one."""
        queue = self._engine.queue
        known = queue.delivered_before(self._engine.token, self._destination.skip_unchanged)
        moved = {each.id: known[each.id] for each in contacts if each.id in known and known[each.id].differs_from(each)}
        if moved:
            addresses = queue.wanted_addresses({each.address for each in moved.values() if each.address})
            ids = queue.shared_copies(
                {each: copy.remote_id for each, copy in moved.items() if copy.remote_id and not copy.address}
            )
            known |= {
                each: replace(copy, is_shared=copy.address in addresses or each in ids) for each, copy in moved.items()
            }
        return known

    async def _work(self) -> None:
        try:
            while self._unchanged:
                if not await self._confirm(self._unchanged.popleft()):
                    return
            while contacts := self._waiting.take(self._destination.limits.contacts_per_request):
                requests = deque(await self._requests_for(contacts))
                while requests:
                    further = await self._request(requests.popleft())
                    if further is None:
                        return
                    requests.extendleft(reversed(further))
        except BaseException:
            self._engine.send_no_more()
            raise

    async def _try_again(self, contacts: Sequence[Contact]) -> None:
        """After all others, one by one, those whose answer turned out to be about them alone."""
        by_id = {contact.id: contact for contact in contacts}
        for contact_id in self._verdicts.to_try_again():
            self._waiting.add([[by_id[contact_id]]])
            await self._work()

    async def _confirm(self, group: Sequence[Record]) -> bool:
        """Note those that the destination still has, and let the others be sent; returns whether to go on."""
        await self._throttle.acquire()
        try:
            if not self._engine.may_send():
                return False
            missing = await self._destination.missing(self._client, [str(each.before.remote_id) for each in group])
        finally:
            self._throttle.release(False)
        self._engine.tally.requests += 1
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

    async def _request(self, records: Sequence[Record]) -> list[list[Record]] | None:
        """Send one request; returns what is to be sent after it for the same contacts, None to send nothing more.

        A 429 costs the contacts nothing: the same request is sent again. One that is refused as a whole is halved.
        """
        await self._journal.until_written_down()
        await self._throttle.acquire()
        was_pushed_back = False
        try:
            if not self._engine.may_send():
                return None
            records = self._without_those_taken_back(records)
            if not records:
                return []
            result = await self._destination.send(self._client, records)
            was_pushed_back = result.was_pushed_back
        finally:
            self._throttle.release(was_pushed_back)
        self._engine.tally.requests += 1
        self._verdicts.observe(result.outcome, len(records))
        further = halves_of(records) if result.is_split else await self._results(records, result)
        if self._verdicts.is_open:
            self._throttle.stop()
        if result.pause:
            await self._throttle.pause(result.pause.total_seconds())
        if result.is_rate_limited:
            self._engine.tally.rate_limited += 1
        return further

    def _without_those_taken_back(self, records: Sequence[Record]) -> Sequence[Record]:
        """Struck just before the request goes: a person has decided otherwise, and settling honours that."""
        for record in records:
            if record.contact.id in self._journal.taken_back:
                self._waiting.finish(record.contact)
        return [record for record in records if record.contact.id not in self._journal.taken_back]

    async def _results(self, records: Sequence[Record], result: RequestResult) -> list[list[Record]]:
        """Note what became of each contact; returns what is still to be sent for some of them."""
        if result.is_rate_limited:
            return [list(records)]
        further = []
        for record, attempt in zip(records, result.attempts, strict=True):
            following = self._destination.next_request(record, attempt.outcome)
            if following:
                further.append(following)
            else:
                await self._verdicts.take(attempt)
                self._waiting.finish(record.contact)
        return requests_of(further, self._destination.limits)

    async def _without_a_call(self, contact: Contact, attempt: Attempt) -> bool:
        """Note what is known without asking the destination, which says nothing of the destination either."""
        await self._journal.until_written_down()
        if not self._engine.may_send():
            return False
        if contact.id not in self._journal.taken_back:
            self._engine.note(attempt)
        return True
