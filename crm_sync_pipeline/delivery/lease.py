"""Waiting that is longer than a lease: the claim is kept alive meanwhile, and a run that is told to stop does stop."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.run import GRACE_SECONDS

T = TypeVar("T")

EXTENSIONS_A_LEASE = 3


class LeaseLostError(Exception):
    """Another run may hold these contacts by now: nothing more is sent or written."""


class StoppedError(Exception):
    """The run was told to stop."""


class Holding:
    """Keeps one claim alive while something else is waited for. `waited_seconds` is how long that took in all."""

    def __init__(self, queue: ContactQueue, token: UUID, run_id: str | None) -> None:
        self.waited_seconds = 0.0
        self._queue = queue
        self._token = token
        self._run_id = run_id
        self._every_seconds = queue.lease.total_seconds() / EXTENSIONS_A_LEASE
        self._extended_at = float("-inf")
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_told_to_stop = False

    def begin(self) -> None:
        """Within the event loop that it is used in."""
        self._loop = asyncio.get_running_loop()
        if self._is_told_to_stop:
            self._stopping.set()

    def stop(self) -> None:
        """Wait for nothing more. From another thread; harmless before the loop has begun, and once all is done."""
        self._is_told_to_stop = True
        if self._loop:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def extend(self) -> None:
        """See that the lease lasts. LeaseLostError where there is none any more, StoppedError when told to stop."""
        if self._stopping.is_set():
            raise StoppedError
        if time.monotonic() - self._extended_at < self._every_seconds:
            return
        asked_at = time.monotonic()
        held = await asyncio.to_thread(self._queue.journal, self._token, (), self._run_id, look=False)
        if not held.total:
            raise LeaseLostError
        self._extended_at = asked_at

    async def sleep(self, seconds: float) -> None:
        """Do nothing for so long."""
        with suppress(asyncio.TimeoutError):
            await self.while_waiting_for(lambda: asyncio.wait_for(self._stopping.wait(), seconds))
        if self._stopping.is_set():
            raise StoppedError

    async def while_waiting_for(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` comes to. Once the run is told to stop, it gets ten seconds.

        The claim is looked at before it begins: a process that slept beyond its lease is to send nothing.
        """
        began_at = time.monotonic()
        await self.extend()
        task = asyncio.ensure_future(work())
        told = asyncio.ensure_future(self._stopping.wait())
        try:
            while not told.done():
                await asyncio.wait({task, told}, timeout=self._every_seconds, return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    return task.result()
                if not told.done():
                    await self.extend()
            await asyncio.wait({task}, timeout=GRACE_SECONDS)
            if not task.done():
                raise StoppedError
            return task.result()
        finally:
            task.cancel()
            told.cancel()
            self.waited_seconds += time.monotonic() - began_at
