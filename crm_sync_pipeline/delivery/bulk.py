"""The work of one run whose batch is long: many contacts in one request, where the destination takes them so.

What is sent is written down before, and waited for afterwards, by this run or by the one that adopts it. What no
import takes, or what it leaves unclear at once, goes one by one in the same run: `door` sees to that.
"""

import asyncio
import logging
from uuid import uuid4

import httpx

from crm_sync_pipeline.contact_queue.bulk.imports import Entry, Import
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.engine import Engine, Way
from crm_sync_pipeline.delivery.importer import DownError, Finding, Importer, Load, OneByOneError
from crm_sync_pipeline.delivery.lease import LeaseLostError, StoppedError
from crm_sync_pipeline.destinations.bulk import BulkImport
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.batch import Attempt, Batch
from crm_sync_pipeline.domain.bulk import address_hash
from crm_sync_pipeline.domain.delivered import fields_as_text

logger = logging.getLogger("crm_sync_pipeline")

BODY_MARGIN_BYTES = 1024
SEPARATOR_BYTES = 2


def way_by_import(queue: ContactQueue, destination: HttpDestination, batch: Batch) -> Way | None:
    """By import what goes so: of a batch that is long enough, and what an import holds that was begun before.

    None where nothing does. Whatever no import takes is left for single calls.
    """
    if not (bulk := destination.bulk()):
        return None
    threshold = destination.bulk_threshold
    wanted = threshold is not None and batch.size >= threshold
    pending = queue.imports.of(batch.token)
    if not wanted and not pending:
        return None

    async def by_import(engine: Engine, client: httpx.AsyncClient) -> None:
        await _ByImport(engine, client, bulk).run(pending, wanted)

    return by_import


class _ByImport:
    def __init__(self, engine: Engine, client: httpx.AsyncClient, bulk: BulkImport) -> None:
        self._engine = engine
        self._importer = Importer(engine, client, bulk)
        self._imports = engine.queue.imports
        self._destination = engine.destination
        self._bulk = bulk
        self._addresses: set[str] = set()

    async def run(self, pending: Import | None, wanted: bool) -> None:
        """Finish an import that was begun, then send others for as long as there is something to send.

        An import that is in progress at the end, for whatever reason, is left to the next claim, at once.
        """
        try:
            if pending:
                await self._journal(await self._importer.results(pending))
            if wanted:
                await self._import_all()
        except (LeaseLostError, StoppedError, DownError):
            pass  # what is in progress is adopted by the next claim
        except OneByOneError as why:
            logger.warning("import_left destination=%s reason=%s", self._destination.name, why)
        else:
            if self._importer.has_answered:
                self._engine.verdicts.has_answered()
        finally:
            await asyncio.to_thread(self._imports.abandon, self._engine.token)

    async def _import_all(self) -> None:
        """One import after another. While one is in progress, the one before is journaled and the next is prepared.

        A run that dies meanwhile leaves two: each is adopted by a claim of its own.
        """
        load = await self._next_load()
        found: Finding | None = None
        try:
            while load.entries:
                pending = await self._importer.send(load)
                journaling, found = asyncio.ensure_future(self._journal(found)), None
                following = asyncio.ensure_future(self._next_load())
                try:
                    found = await self._importer.results(pending) if pending else None
                except BaseException:
                    following.cancel()
                    raise
                finally:
                    await journaling
                load = await following
                if pending and not found:
                    self._addresses.clear()
                    load = load if load.entries else await self._next_load()
        finally:
            await self._journal(found)

    async def _journal(self, found: Finding | None) -> None:
        if found:
            await self._importer.journal(found)
        self._engine.report()

    async def _next_load(self) -> Load:
        load = await asyncio.to_thread(self._load)
        if load.ended:  # at once, or the next look would find them again
            await self._engine.journal.write(load.ended)
            for attempt in load.ended:
                self._engine.tally.count(attempt.outcome)
        return load

    def _load(self) -> Load:
        """The contacts of one import, in id order. Of those with one address the first, the others go by themselves.

        The first import is half as long as one may be: while the destination works on it, the next is prepared.
        """
        load, size = Load(uuid4()), BODY_MARGIN_BYTES
        most_bytes = self._bulk.most_bytes if self._addresses else self._bulk.most_bytes // 2
        for candidate in self._imports.candidates(self._engine.token):
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
