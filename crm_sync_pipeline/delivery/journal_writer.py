"""What came of a run's calls goes into the journal in groups, and the lease lasts by it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.domain.batch import Attempt

GROUPED_SECONDS = 0.02
"""How long the journal waits for more answers before it writes: a COMMIT costs the same for one and for fifty."""

UNWRITTEN_SECONDS = 0.1
"""How old an answer may be that is not in the journal yet, before nothing more is sent."""

LOOK_EVERY_SECONDS = 0.2
"""How often a run looks for contacts that a person took back. It costs PostgreSQL a look at each one of the batch."""


class JournalWriter:
    """Writes down the attempts of one claim. Made within the event loop that it is used in, or before.

    `deadline` is when the lease ends, by the monotonic clock; `taken_back` are contacts that a person took back.
    `on_written` is called after each write, `on_end` when nothing more can be written, or must be.
    """

    def __init__(
        self,
        queue: ContactQueue,
        token: UUID,
        run_id: str | None,
        on_written: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self.deadline = 0.0
        self.taken_back: frozenset[UUID] = frozenset()
        self._queue, self._token, self._run_id = queue, token, run_id
        self._on_written, self._on_end = on_written, on_end
        self._arrived: list[Attempt] = []
        self._arrived_since = 0.0
        self._being_written: Sequence[Attempt] = ()
        self._writing_since = 0.0
        self._looked_at = float("-inf")
        self._wake, self._written = asyncio.Event(), asyncio.Event()
        self._is_over = self._is_closed = False

    def note(self, attempt: Attempt) -> None:
        """This goes into the next write."""
        if not self._arrived:
            self._arrived_since = time.monotonic()
        self._arrived.append(attempt)
        self._wake.set()

    async def until_written_down(self) -> None:
        """Let the journal keep up: what a run has sent and not written down goes out again if it dies."""
        while not self._is_closed and self._unwritten_for() > UNWRITTEN_SECONDS:
            self._written.clear()
            await self._written.wait()

    def _unwritten_for(self) -> float:
        """Seconds since the oldest answer came that is not in the journal yet."""
        if self._being_written:
            return time.monotonic() - self._writing_since
        return time.monotonic() - self._arrived_since if self._arrived else 0.0

    def begin(self) -> asyncio.Task[None]:
        """Write what is noted, in groups, until `end`: what came in while the last write ran goes into the next."""
        self._is_over = False
        return asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        try:
            while not self._is_over or self._arrived:
                await self._wake.wait()
                self._wake.clear()
                if not self._is_over:
                    await asyncio.sleep(GROUPED_SECONDS)
                if self._arrived:
                    await self._write_group()
        except BaseException:
            self._on_end()  # what can't be written down must not be sent
            raise

    async def _write_group(self) -> None:
        self._being_written, self._arrived, self._writing_since = self._arrived, [], self._arrived_since
        is_ours = await self.write(self._being_written)
        self._being_written = ()
        self._written.set()
        if not is_ours:
            self._on_end()  # the lease is lost: another run may have claimed these contacts by now
        self._on_written()

    async def heartbeat(self) -> bool:
        """Extend the lease; whether it was still ours."""
        return await self.write(())

    async def write(self, attempts: Sequence[Attempt]) -> bool:
        """Write attempts down and extend the lease; whether it was still ours."""
        asked_at = time.monotonic()
        look = asked_at - self._looked_at >= LOOK_EVERY_SECONDS
        status = await asyncio.to_thread(self._queue.journal, self._token, attempts, self._run_id, look=look)
        if status.taken_back is not None:
            self.taken_back, self._looked_at = status.taken_back, asked_at
        if status.total:  # counting from when PostgreSQL was asked errs on the safe side
            self.deadline = asked_at + status.lease_seconds
        return status.total > 0

    def stop_waiting(self) -> None:
        """Nobody need wait for the journal any more: nothing more is sent."""
        self._is_closed = True
        self._written.set()

    def end(self) -> None:
        """Nothing more comes: what is there is written, and the task of `begin` ends."""
        self._is_over = True
        self._wake.set()

    def write_the_rest(self) -> None:
        """What arrived and could not be written before: once more. Writing an attempt twice writes it once."""
        if rest := [*self._being_written, *self._arrived]:
            self._queue.journal(self._token, rest, self._run_id)
