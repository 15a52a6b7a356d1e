"""Waiting that is longer than a lease: the claim is kept alive meanwhile, and a run that is told to stop does stop."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from crm_sync_pipeline.delivery.engine import GRACE_SECONDS, Engine

T = TypeVar("T")

EXTENSIONS_PER_LEASE = 3


class LeaseLostError(Exception):
    """Another run may have claimed these contacts by now: nothing more is sent or written."""


class StoppedError(Exception):
    """The run was told to stop."""


class LeaseKeeper:
    """Keeps the claim of a run alive while something else is waited for; its tally counts how long that takes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._every_seconds = engine.queue.lease.total_seconds() / EXTENSIONS_PER_LEASE
        self._extended_at = float("-inf")

    async def heartbeat(self) -> None:
        """Extend the lease, if it is time. LeaseLostError if it is lost, StoppedError if the run is to stop."""
        if self._engine.stopping.is_set():
            raise StoppedError
        if time.monotonic() - self._extended_at < self._every_seconds:
            return
        asked_at = time.monotonic()
        if not await self._engine.journal.heartbeat():
            raise LeaseLostError
        self._extended_at = asked_at

    async def sleep(self, seconds: float) -> None:
        """Sleep for this long."""
        with suppress(asyncio.TimeoutError):
            await self.while_waiting_for(lambda: asyncio.wait_for(self._engine.stopping.wait(), seconds))
        if self._engine.stopping.is_set():
            raise StoppedError

    async def while_waiting_for(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`. Once the run is told to stop, it gets ten seconds.

        The claim is looked at before it begins: a process that slept beyond its lease is to send nothing.
        """
        began_at = time.monotonic()
        await self.heartbeat()
        task = asyncio.ensure_future(work())
        told = asyncio.ensure_future(self._engine.stopping.wait())
        try:
            while not told.done():
                await asyncio.wait({task, told}, timeout=self._every_seconds, return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    return task.result()
                if not told.done():
                    await self.heartbeat()
            await asyncio.wait({task}, timeout=GRACE_SECONDS)
            if not task.done():
                raise StoppedError
            return task.result()
        finally:
            task.cancel()
            told.cancel()
            self._engine.tally.waited_seconds += time.monotonic() - began_at
