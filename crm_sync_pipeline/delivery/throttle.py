"""When a run's next request may go out: at the account's pace, and with no more in flight than is good."""

import asyncio
import time
from contextlib import suppress

from crm_sync_pipeline.contact_queue.worker.pace import SharedPace
from crm_sync_pipeline.domain.pacing import SHARE_OF_LIMIT, InFlight, Pace, clamp_pause

SHORT_SLEEP_SECONDS = 0.05


class Throttle:
    """Spaces the requests of one run, and limits how many are in flight. Made within the event loop that it is used in.

    `waiting` is how many requests are still to come: no more of the account's time is asked for.
    """

    def __init__(self, shared: SharedPace, requests_per_second: float, concurrency: int, waiting: int = 1) -> None:
        self._shared = shared
        self._pace = Pace(requests_per_second * SHARE_OF_LIMIT)
        self._in_flight = InFlight(concurrency)
        self.waiting = waiting
        self._stopping = asyncio.Event()
        self._released = asyncio.Event()
        self._asking = asyncio.Lock()
        self._granted_at = float("-inf")

    def stop(self) -> None:
        """Let no further request begin; those that wait return."""
        self._stopping.set()
        self._released.set()

    async def acquire(self) -> None:
        """Wait for a place. Returns at once when stopped. Each call needs its `release`."""
        while not self._in_flight.acquire() and not self._stopping.is_set():
            self._released.clear()
            await self._released.wait()
        while not self._stopping.is_set() and not await self._has_a_place():
            pass
        self.waiting -= 1

    async def _has_a_place(self) -> bool:
        """Wait for the next place, or for what stands in the way of one."""
        if pause := self._pace.paused_for(time.monotonic()):
            await self._sleep(pause)
            return False
        wait = self._pace.reserve(time.monotonic())
        if wait is None:
            await self._ask_for_places()
            return False
        if not wait:
            return True
        await self._sleep(wait)
        return not self._pace.paused_for(time.monotonic())

    async def _ask_for_places(self) -> None:
        asked_at = time.monotonic()
        async with self._asking:
            if self._granted_at > asked_at:
                return
            places = self._pace.wanted(self.waiting)
            begins_in = await asyncio.to_thread(self._shared.reserve, self._pace.seconds_of(places))
            self._granted_at = time.monotonic()
            self._pace.grant(self._granted_at + begins_in, places)

    def release(self, pushed_back: bool = False) -> None:
        """A request that acquired its place has ended. `pushed_back`: with a 429, or without an answer in time."""
        self._in_flight.release()
        self._in_flight.observe(time.monotonic(), pushed_back)
        self._released.set()

    async def pause(self, seconds: float) -> None:
        """Pause sending in every run for `seconds`, as the destination asked."""
        if self._pace.pause(time.monotonic(), seconds):
            await asyncio.to_thread(self._shared.pause, clamp_pause(seconds))

    async def _sleep(self, seconds: float) -> None:
        """Sleep; wake early on stop."""
        if seconds < SHORT_SLEEP_SECONDS:
            await asyncio.sleep(seconds)
        else:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)
