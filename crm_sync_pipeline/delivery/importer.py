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
from crm_sync_pipeline.delivery.engine import Engine
from crm_sync_pipeline.delivery.lease import LeaseKeeper
from crm_sync_pipeline.destinations.bulk import Broken, BulkImport, Finished, Stage
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.bulk import Results, address_hash
from crm_sync_pipeline.domain.delivered import fields_of
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected, Synced, is_rate_limit

T = TypeVar("T")

Finding = tuple[Import, Results]
"""An import that is over, and its result."""

CONTACTS_PER_SECOND = 2000
SHORTEST_WAIT_SECONDS = 2.0
LONGEST_FIRST_WAIT_SECONDS = 15.0
LONGEST_WAIT_SECONDS = 60.0
"""Before a process is looked at: after that, each look comes when it has been in progress twice as long as at the last.

Brevo allows 100 looks an hour. How long an import took says when to look at the next.
"""

FIRST_LOOK_OF_LAST = 0.9
"""A little sooner than the last import was seen to be over, or the estimate could never shrink."""

PATIENCE_SECONDS = 3600.0
"""How long an import may be in progress before its contacts count as failed."""

MAX_POST_ATTEMPTS = 3
MAX_LOST_IMPORTS = 2
MAX_PAUSES = 60
SEARCH_AFTER_SECONDS = (2.0, 8.0)
"""After a POST without an answer: when to look for what it may have started."""


class OneByOneError(Exception):
    """Imports do not work now, for this reason: what is left goes without them."""


class DownError(Exception):
    """Nothing gets through to the destination, as the verdicts of the run say."""


@dataclass(slots=True)
class Load:
    """What goes into one import. `ended` are attempts that need no request."""

    import_id: UUID
    rows: list[bytes] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    ended: list[Attempt] = field(default_factory=list)


class Importer:
    """Imports of one run. What it asks for, and what comes of it, is counted in the run's tally."""

    def __init__(self, engine: Engine, client: httpx.AsyncClient, bulk: BulkImport) -> None:
        self._engine = engine
        self._client = client
        self._bulk = bulk
        self._imports = engine.queue.imports
        self._lease = LeaseKeeper(engine)
        self.has_answered = False
        self._newest: int | None = None
        self._lost = 0
        self._seconds_per_contact: float | None = None

    async def send(self, load: Load) -> Import | None:
        """Start an import of what was prepared, without those whom a person took back since; None: all of them."""
        if self._newest is None:
            self._newest = await self._newest_process()
        await self._lease.heartbeat()
        pending = Import(load.import_id, len(load.entries), self._newest)
        allowed = await asyncio.to_thread(
            self._imports.begin, self._engine.token, self._engine.run_id, pending, load.entries
        )
        if not allowed:
            return None
        rows = [row for row, entry in zip(load.rows, load.entries, strict=True) if entry.contact_id in allowed]
        process_id = await self._post(pending, self._bulk.body(rows))
        return replace(pending, contacts=len(allowed), process_id=process_id)

    async def _newest_process(self) -> int:
        """What a lost answer is told apart from: what is later may be ours."""
        reason = ""
        for _ in range(MAX_POST_ATTEMPTS):
            newest = await self._ask(lambda: self._bulk.newest(self._client))
            if isinstance(newest, int):
                return newest
            reason = newest.reason
        raise OneByOneError(reason)

    async def _post(self, pending: Import, body: bytes) -> int:
        """Start an import; its process. Where no answer came it is looked for before it is sent again."""
        try:
            for _ in range(MAX_POST_ATTEMPTS):
                answer = await self._ask(lambda: self._bulk.post(self._client, body), is_throttled=True)
                process_id = answer if isinstance(answer, int) else None
                if isinstance(answer, Rejected):
                    break  # whatever in it is refused, single calls will tell
                process_id = process_id or await self._search(pending)
                if process_id:
                    await self._note(pending, process_id)
                    return process_id
        except DownError:
            await asyncio.to_thread(self._imports.give_up, pending.id)
            raise
        await asyncio.to_thread(self._imports.give_up, pending.id)
        raise OneByOneError(answer.reason if not isinstance(answer, int) else "")

    async def _note(self, pending: Import, process_id: int) -> None:
        await asyncio.to_thread(self._imports.note_process, pending.id, process_id)
        self._newest = max(self._newest or 0, process_id)

    async def _search(self, pending: Import) -> int | None:
        """The process of an import whose answer was lost; None where there is none, or no telling which one is it.

        That is so too while another import of ours has no process: either may have become the one that is there.
        """
        for wait in SEARCH_AFTER_SECONDS:
            await self._lease.sleep(wait)
            found = await self._ask(partial(self._bulk.find, self._client, pending.after_process_id))
            if isinstance(found, Sequence) and found:
                process_id = await asyncio.to_thread(self._imports.only_its_own, pending, found)
                if process_id:
                    return process_id
        return None

    async def results(self, pending: Import) -> Finding | None:
        """Wait for an import; its result, which `journal` writes down. None where nobody knows of it."""
        if pending.process_id is None:
            process_id = await self._search(pending)
            if process_id:
                await self._note(pending, process_id)
            pending = replace(pending, process_id=process_id)
        results = await self._results(pending) if pending.process_id else None
        if results:
            return pending, results
        await asyncio.to_thread(self._imports.give_up, pending.id)
        self._lost += 1
        if self._lost >= MAX_LOST_IMPORTS:
            raise OneByOneError("process_unknown")
        return None

    async def _results(self, pending: Import) -> Results | None:
        """The result of an import; None where the destination does not know it."""
        process_id, asked_from = pending.process_id or 0, time.monotonic()
        wait = max(self._first_look_seconds(pending.contacts) - pending.age_seconds, 0.0)
        age = pending.age_seconds
        while age < PATIENCE_SECONDS:
            await self._lease.sleep(wait)
            state = await self._ask(lambda: self._bulk.look(self._client, process_id))
            age = pending.age_seconds + time.monotonic() - asked_from
            if isinstance(state, Finished):
                self._seconds_per_contact = age / max(pending.contacts, 1)
                return await self._results_of(pending, state)
            if isinstance(state, Broken):
                return Results(state.outcome)
            if state is Stage.UNKNOWN:
                return None
            wait = min(max(age, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)
        title = self._engine.destination.title
        minutes = round(PATIENCE_SECONDS / 60)
        return Results(
            Failed("import_timeout", f"{title}'s import {process_id} did not finish within {minutes} minutes")
        )

    def _first_look_seconds(self, contacts: int) -> float:
        if self._seconds_per_contact is None:
            return min(max(contacts / CONTACTS_PER_SECOND, SHORTEST_WAIT_SECONDS), LONGEST_FIRST_WAIT_SECONDS)
        seconds = FIRST_LOOK_OF_LAST * self._seconds_per_contact * contacts
        return min(max(seconds, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)

    async def _results_of(self, pending: Import, finished: Finished) -> Results:
        """Everybody is imported but those that are refused by name. Nobody is, where a name can't be told."""
        self._engine.tally.requests += len(finished.refusals)
        refused = await self._lease.while_waiting_for(lambda: self._bulk.refused(finished))
        if isinstance(refused, Failed):
            return Results(refused)
        by_hash: dict[str, Outcome] = {address_hash(each, pending.id): why for each, why in refused.items()}
        unknown = await asyncio.to_thread(self._imports.unknown, pending, list(by_hash))
        if not unknown:
            return Results(Synced(reason="imported"), by_hash)
        title = self._engine.destination.title
        what = f"{title}'s import {pending.process_id} rejected {unknown} contacts that could not be identified"
        return Results(Failed("import_unclear", what), by_hash)

    async def journal(self, found: Finding) -> None:
        """Write down what became of each contact of an import."""
        pending, results = found
        if overtaken := await asyncio.to_thread(self._imports.overtaken, pending.id, self._engine.token):
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
            await asyncio.to_thread(self._engine.queue.journal, self._engine.token, late, self._engine.run_id)
        finish = partial(self._imports.finish, pending, self._engine.token, self._engine.run_id, results)
        for outcome, count in (await asyncio.to_thread(finish)).items():
            self._engine.tally.count(outcome, count)

    async def _ask(self, call: Callable[[], Awaitable[T | Outcome]], is_throttled: bool = False) -> T | Outcome:
        """One answer that is not a 429. DownError if nothing gets through.

        What `is_throttled` counts against the account's rate limit, and its 429 makes all runs wait.
        """
        throttle, verdicts = self._engine.throttle, self._engine.verdicts
        for _ in range(MAX_PAUSES):
            if is_throttled:
                await self._lease.while_waiting_for(throttle.acquire)
            try:
                answer = await self._lease.while_waiting_for(call)
            finally:
                if is_throttled:
                    throttle.release()
            self._engine.tally.requests += 1
            if is_rate_limit(answer):
                self._engine.tally.rate_limited += 1
                if is_throttled:
                    await throttle.pause(answer.wait.total_seconds())
                else:
                    await self._lease.sleep(answer.wait.total_seconds())
                continue
            verdicts.observe_shared(answer if isinstance(answer, (DestinationDown, Failed)) else Synced())
            if verdicts.is_open:
                raise DownError
            self.has_answered = self.has_answered or not isinstance(answer, (DestinationDown, Failed))
            return answer
        raise OneByOneError("rate_limited")
