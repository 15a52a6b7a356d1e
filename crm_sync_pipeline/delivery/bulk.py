"""The work of one run whose batch is long: many contacts in one request, where the destination takes them so.

What is sent is written down before, and waited for afterwards, by this run or by the one that takes it up. What no
import takes, or what it leaves unclear at once, goes one by one in the same run: `door` sees to that.
"""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx

from crm_sync_pipeline.contact_queue.bulk.imports import Entry, Import
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.importer import DownError, Finding, Importer, Load, OneByOneError
from crm_sync_pipeline.delivery.lease import Holding, LeaseLostError, StoppedError
from crm_sync_pipeline.delivery.run import Progress
from crm_sync_pipeline.destinations.bulk import BulkImport
from crm_sync_pipeline.destinations.http import HttpDestination
from crm_sync_pipeline.domain.batch import Attempt, Batch, Tally
from crm_sync_pipeline.domain.bulk import address_hash
from crm_sync_pipeline.domain.delivered import fields_as_text
from crm_sync_pipeline.domain.sentences import sentences

logger = logging.getLogger("crm_sync_pipeline")

BODY_MARGIN_BYTES = 1024
SEPARATOR_BYTES = 2


def deliver_in_bulk(
    queue: ContactQueue, destination: HttpDestination, batch: Batch, run_id: str | None, progress: Progress | None
) -> Tally:
    """Attempt by import what goes so: of a batch that is long enough, and what an import holds that was begun before.

    The tally is empty where nothing does. Whatever no import took is left for single calls.
    """
    if not batch.size or not (bulk := destination.bulk()):
        return Tally()
    threshold = destination.bulk_threshold
    wanted = threshold is not None and batch.size >= threshold
    under_way = queue.imports.of(batch.token)
    if not wanted and not under_way:
        return Tally()
    work = _BulkDelivery(queue, destination, bulk, batch, run_id, progress)
    return _in_a_thread(work, under_way, wanted)


def _in_a_thread(work: "_BulkDelivery", under_way: Import | None, wanted: bool) -> Tally:
    """As `deliver` does, because an interrupt strikes the main thread wherever it is.

    An import that is under way at the end, for whatever reason, is left to the next claim, at once.
    """
    try:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="bulk-delivery") as thread:
            result = thread.submit(asyncio.run, work.run(under_way, wanted))
            try:
                return result.result()
            finally:
                work.holding.stop()
    finally:
        work.let_go()


class _BulkDelivery:
    def __init__(
        self,
        queue: ContactQueue,
        destination: HttpDestination,
        bulk: BulkImport,
        batch: Batch,
        run_id: str | None,
        progress: Progress | None,
    ) -> None:
        self.holding = Holding(queue, batch.token, run_id)
        self._importer = Importer(queue, destination, bulk, batch, run_id, self.holding)
        self._tally = self._importer.tally
        self._queue = queue
        self._destination = destination
        self._bulk = bulk
        self._batch = batch
        self._run_id = run_id
        self._progress = progress
        self._addresses: set[str] = set()

    async def run(self, under_way: Import | None, wanted: bool) -> Tally:
        """See an import through that was begun, then send others for as long as there is something to send."""
        began_at = time.monotonic()
        self.holding.begin()
        is_probe = await asyncio.to_thread(self._queue.breaker.state) is not None
        if is_probe:
            self._importer.be_a_probe()
        try:
            async with self._destination.client() as client:
                if under_way:
                    await self._see_through(client, under_way)
                if wanted:
                    await self._import_all(client)
        except (LeaseLostError, StoppedError):
            pass  # what is under way is taken up by the next claim
        except OneByOneError as why:
            logger.warning("import_left destination=%s reason=%s", self._batch.destination, why)
        except DownError as error:
            said = sentences(error.opened_by.message)
            self._tally.down = f"{self._destination.title} is down: {said}"
            await asyncio.to_thread(self._queue.breaker.open, error.opened_by.reason, said, is_probe)
        else:
            if is_probe and self._importer.has_answered:
                await asyncio.to_thread(self._queue.breaker.close)
        self._tally.seconds = time.monotonic() - began_at
        self._tally.waited_seconds = self.holding.waited_seconds
        return self._tally

    def let_go(self) -> None:
        """What is still under way is the next claim's."""
        self._queue.imports.let_go(self._batch.token)

    async def _import_all(self, client: httpx.AsyncClient) -> None:
        """One import after another. While one is under way, the one before is journaled and the next is made ready.

        A run that dies meanwhile leaves two: each is taken up by a claim of its own.
        """
        load = await self._made_ready()
        found: Finding | None = None
        try:
            while load.entries:
                under_way = await self._importer.send(client, load)
                journaling, found = asyncio.ensure_future(self._journal(found)), None
                following = asyncio.ensure_future(self._made_ready())
                try:
                    found = await self._importer.results(client, under_way) if under_way else None
                except BaseException:
                    following.cancel()
                    raise
                finally:
                    await journaling
                load = await following
                if under_way and not found:
                    self._addresses.clear()
                    load = load if load.entries else await self._made_ready()
        finally:
            await self._journal(found)

    async def _see_through(self, client: httpx.AsyncClient, under_way: Import) -> None:
        await self._journal(await self._importer.results(client, under_way))

    async def _journal(self, found: Finding | None) -> None:
        if found:
            await self._importer.journal(found)
        if self._progress:
            self._progress(self._tally, self._batch.size)

    async def _made_ready(self) -> Load:
        load = await asyncio.to_thread(self._load)
        if load.ended:
            await asyncio.to_thread(self._queue.journal, self._batch.token, load.ended, self._run_id)
            for attempt in load.ended:
                self._tally.count(attempt.outcome)
        return load

    def _load(self) -> Load:
        """The contacts of one import, in id order. Of those with one address the first, the others go by themselves.

        The first import is half as long as one may be: while the destination works on it, the next is made ready.
        """
        load, size = Load(uuid4()), BODY_MARGIN_BYTES
        most_bytes = self._bulk.most_bytes if self._addresses else self._bulk.most_bytes // 2
        for candidate in self._queue.imports.candidates(self._batch.token):
            contact = candidate.contact
            if contact.address in self._addresses:
                continue
            prepared = self._destination.prepare(contact, candidate.before)
            if isinstance(prepared, Attempt):
                load.ended.append(prepared)
                continue
            if not prepared.is_plain:
                continue  # it takes more than one request
            row = self._bulk.row(prepared.call.payload)
            if BODY_MARGIN_BYTES + len(row) > self._bulk.most_bytes:
                continue
            size += len(row) + SEPARATOR_BYTES
            if size > most_bytes and load.rows:
                break
            self._addresses.add(contact.address)
            load.rows.append(row)
            load.entries.append(
                Entry(
                    contact.id,
                    contact.fingerprint(),
                    self._bulk.hash_of(prepared.call.payload, prepared.payload_hash),
                    address_hash(contact.address, load.import_id),
                    self._destination.note_of(prepared),
                    fields_as_text(prepared.fields),
                )
            )
        return load
