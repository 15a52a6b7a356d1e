"""One import after another at the destination: started, found again, waited for, and its results journaled."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar
from uuid import UUID

import httpx

from crm_sync_pipeline.contact_queue.bulk.imports import Entry, Import
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.lease import Holding
from crm_sync_pipeline.destinations.bulk import Broken, BulkImport, Finished, Stage
from crm_sync_pipeline.destinations.http import HttpDestination
from crm_sync_pipeline.domain.batch import Attempt, Batch, Tally
from crm_sync_pipeline.domain.bulk import Results, address_hash
from crm_sync_pipeline.domain.delivered import fields_of
from crm_sync_pipeline.domain.health import FAILURES_UNTIL_OPEN, Breaker
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Outcome, Rejected, Synced

T = TypeVar("T")

Finding = tuple[Import, Results]
"""An import that is over, and what it came to."""

CONTACTS_A_SECOND = 2000
SHORTEST_WAIT_SECONDS = 2.0
LONGEST_FIRST_WAIT_SECONDS = 15.0
LONGEST_WAIT_SECONDS = 60.0
"""Before a process is looked at: after that, each look comes when it has been under way twice as long as at the last.

Brevo allows 100 looks an hour. How long an import took says when to look at the next.
"""

FIRST_LOOK_OF_LAST = 0.9
"""A little sooner than the last import was seen to be over, or the estimate could never shrink."""

PATIENCE_SECONDS = 3600.0
"""How long an import may be under way before its contacts count as failed."""

MOST_POSTS = 3
MOST_IMPORTS_LOST = 2
MOST_PAUSES = 60
SEARCH_AFTER_SECONDS = (2.0, 8.0)
"""After a POST without an answer: when to look for what it may have started."""


class OneByOneError(Exception):
    """Imports do not work now, for this reason: what is left goes without them."""


class DownError(Exception):
    """The destination is down, by the word of this outcome."""

    def __init__(self, opened_by: Failed | DestinationDown) -> None:
        super().__init__(opened_by.reason)
        self.opened_by = opened_by


@dataclass(slots=True)
class Load:
    """What goes into one import. `ended` are attempts that need no request."""

    import_id: UUID
    rows: list[bytes] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    ended: list[Attempt] = field(default_factory=list)


class Importer:
    """Imports of one claim. What it asks for, and what comes of it, is counted in `tally`."""

    def __init__(
        self,
        queue: ContactQueue,
        destination: HttpDestination,
        bulk: BulkImport,
        batch: Batch,
        run_id: str | None,
        holding: Holding,
    ) -> None:
        self.tally = Tally()
        self.has_answered = False
        self._queue = queue
        self._imports = queue.imports
        self._destination = destination
        self._bulk = bulk
        self._token = batch.token
        self._run_id = run_id
        self._holding = holding
        self._breaker = Breaker()
        self._newest: int | None = None
        self._lost = 0
        self._seconds_a_contact: float | None = None

    def be_a_probe(self) -> None:
        """The destination is down: one more failure, and it stays so."""
        self._breaker = Breaker(FAILURES_UNTIL_OPEN - 1)

    async def send(self, client: httpx.AsyncClient, load: Load) -> Import | None:
        """Start an import of what was made ready, without those whom a person took back since; None: all of them."""
        if self._newest is None:
            self._newest = await self._newest_process(client)
        await self._holding.extend()
        under_way = Import(load.import_id, len(load.entries), self._newest)
        held = await asyncio.to_thread(self._imports.begin, self._token, self._run_id, under_way, load.entries)
        if not held:
            return None
        rows = [row for row, entry in zip(load.rows, load.entries, strict=True) if entry.contact_id in held]
        process_id = await self._post(client, under_way, self._bulk.body(rows))
        return replace(under_way, contacts=len(held), process_id=process_id)

    async def _newest_process(self, client: httpx.AsyncClient) -> int:
        """What a lost answer is told apart from: what is later may be ours."""
        reason = ""
        for _ in range(MOST_POSTS):
            newest = await self._ask(lambda: self._bulk.newest(client))
            if isinstance(newest, int):
                return newest
            reason = newest.reason
        raise OneByOneError(reason)

    async def _post(self, client: httpx.AsyncClient, under_way: Import, body: bytes) -> int:
        """Start an import; its process. Where no answer came it is looked for before it is sent again."""
        try:
            for _ in range(MOST_POSTS):
                wait = await asyncio.to_thread(self._queue.pace.reserve, 1 / self._destination.requests_per_second)
                await self._holding.sleep(wait)
                answer = await self._ask(lambda: self._bulk.post(client, body), paces_all=True)
                process_id = answer if isinstance(answer, int) else None
                if isinstance(answer, Rejected):
                    break  # whatever in it is refused, single calls will tell
                process_id = process_id or await self._search(client, under_way)
                if process_id:
                    await self._note(under_way, process_id)
                    return process_id
        except DownError:
            await asyncio.to_thread(self._imports.give_up, under_way.id)
            raise
        await asyncio.to_thread(self._imports.give_up, under_way.id)
        raise OneByOneError(answer.reason if not isinstance(answer, int) else "")

    async def _note(self, under_way: Import, process_id: int) -> None:
        await asyncio.to_thread(self._imports.note_process, under_way.id, process_id)
        self._newest = max(self._newest or 0, process_id)

    async def _search(self, client: httpx.AsyncClient, under_way: Import) -> int | None:
        """The process of an import whose answer was lost; None where there is none, or no telling which one is it.

        That is so too while another import of ours has no process: either may have become the one that is there.
        """
        for wait in SEARCH_AFTER_SECONDS:
            await self._holding.sleep(wait)
            found = await self._ask(partial(self._bulk.find, client, under_way.after_process_id))
            if isinstance(found, Sequence) and found:
                process_id = await asyncio.to_thread(self._imports.only_its_own, under_way, found)
                if process_id:
                    return process_id
        return None

    async def results(self, client: httpx.AsyncClient, under_way: Import) -> Finding | None:
        """Wait for an import; what it came to, which `journal` writes down. None where nobody knows of it."""
        if under_way.process_id is None:
            process_id = await self._search(client, under_way)
            if process_id:
                await self._note(under_way, process_id)
            under_way = replace(under_way, process_id=process_id)
        results = await self._results(client, under_way) if under_way.process_id else None
        if results:
            return under_way, results
        await asyncio.to_thread(self._imports.give_up, under_way.id)
        self._lost += 1
        if self._lost >= MOST_IMPORTS_LOST:
            raise OneByOneError("process_unknown")
        return None

    async def _results(self, client: httpx.AsyncClient, under_way: Import) -> Results | None:
        """What an import came to; None where the destination does not know it."""
        process_id, asked_from = under_way.process_id or 0, time.monotonic()
        wait = max(self._first_look_seconds(under_way.contacts) - under_way.age_seconds, 0.0)
        age = under_way.age_seconds
        while age < PATIENCE_SECONDS:
            await self._holding.sleep(wait)
            state = await self._ask(lambda: self._bulk.look(client, process_id))
            age = under_way.age_seconds + time.monotonic() - asked_from
            if isinstance(state, Finished):
                self._seconds_a_contact = age / max(under_way.contacts, 1)
                return await self._results_of(under_way, state)
            if isinstance(state, Broken):
                return Results(state.outcome)
            if state is Stage.UNKNOWN:
                return None
            wait = min(max(age, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)
        title = self._destination.title
        minutes = round(PATIENCE_SECONDS / 60)
        return Results(Failed("import_timeout", f"{title}'s import {process_id} came to no end in {minutes} minutes"))

    def _first_look_seconds(self, contacts: int) -> float:
        if self._seconds_a_contact is None:
            return min(max(contacts / CONTACTS_A_SECOND, SHORTEST_WAIT_SECONDS), LONGEST_FIRST_WAIT_SECONDS)
        seconds = FIRST_LOOK_OF_LAST * self._seconds_a_contact * contacts
        return min(max(seconds, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)

    async def _results_of(self, under_way: Import, finished: Finished) -> Results:
        """Everybody is imported but those that are refused by name. Nobody is, where a name can't be told."""
        self.tally.requests += len(finished.refusals)
        refused = await self._holding.while_waiting_for(lambda: self._bulk.refused(finished))
        if isinstance(refused, Failed):
            return Results(refused)
        by_hash: dict[str, Outcome] = {address_hash(each, under_way.id): why for each, why in refused.items()}
        unknown = await asyncio.to_thread(self._imports.unknown, under_way, list(by_hash))
        if not unknown:
            return Results(Synced(reason="imported"), by_hash)
        what = (
            f"{self._destination.title}'s import {under_way.process_id} refused {unknown} contacts that can't be told"
        )
        return Results(Failed("import_unclear", what), by_hash)

    async def journal(self, found: Finding) -> None:
        """Write down what became of each contact of an import."""
        under_way, results = found
        if overtaken := await asyncio.to_thread(self._imports.overtaken, under_way.id, self._token):
            late = [
                Attempt(
                    each.contact_id,
                    results.of(each.address_hash),
                    each.contact_hash,
                    each.payload_hash,
                    remote_fields=fields_of(each.remote_fields),
                )
                for each in overtaken
            ]
            await asyncio.to_thread(self._queue.journal, self._token, late, self._run_id)
        finish = partial(self._imports.finish, under_way, self._token, self._run_id, results)
        for outcome, count in (await asyncio.to_thread(finish)).items():
            self.tally.count(outcome, count)

    async def _ask(self, call: Callable[[], Awaitable[T | Outcome]], paces_all: bool = False) -> T | Outcome:
        """One answer that is no 429. DownError where nothing gets through."""
        for _ in range(MOST_PAUSES):
            answer = await self._holding.while_waiting_for(call)
            self.tally.requests += 1
            if isinstance(answer, Deferred) and not isinstance(answer, DestinationDown):
                self.tally.rate_limited += 1
                if paces_all:
                    await asyncio.to_thread(self._queue.pace.pause, answer.wait.total_seconds())
                await self._holding.sleep(answer.wait.total_seconds())
                continue
            if isinstance(answer, (DestinationDown, Failed)):
                self._breaker.observe(answer)
                if self._breaker.opened_by:
                    raise DownError(self._breaker.opened_by)
            else:
                self._breaker.observe(Synced())
                self.has_answered = True
            return answer
        raise OneByOneError("rate_limited")
