"""When a run's next request may go out."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from crm_sync_pipeline.delivery.throttle import Throttle
from crm_sync_pipeline_tests.builders import World


def in_time(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work, 20)

    asyncio.run(bounded())


def test_places_are_asked_for_in_groups_and_not_one_by_one(world: World) -> None:
    pace = world.queue().pace
    asked: list[float] = []
    original = pace.reserve

    def reserve(slice_seconds: float) -> float:
        asked.append(slice_seconds)
        return original(slice_seconds)

    pace.reserve = reserve  # type: ignore[method-assign] # what a test does

    async def requests() -> None:
        throttle = Throttle(pace, 400, concurrency=4, waiting=300)
        for _ in range(300):
            await throttle.acquire()
            throttle.release()

    in_time(requests())
    assert len(asked) <= 5
    assert all(seconds <= 0.52 for seconds in asked)


def test_after_a_pause_those_that_waited_for_their_turn_wait_again(world: World) -> None:
    """Their places were granted before the destination asked for the pause."""
    pace = world.queue().pace
    left: list[float] = []

    async def requests() -> None:
        throttle = Throttle(pace, 10, concurrency=4, waiting=4)

        async def one() -> None:
            await throttle.acquire()
            left.append(time.monotonic())
            throttle.release()

        waiters = [asyncio.create_task(one()) for _ in range(4)]
        while not left:
            await asyncio.sleep(0.001)
        await throttle.pause(1.0)
        paused_at = time.monotonic()
        await asyncio.gather(*waiters)
        assert all(at >= paused_at + 0.9 for at in left[1:]), left

    in_time(requests())
    assert len(left) == 4


def test_one_run_s_pause_holds_another_run_back(world: World) -> None:
    async def requests() -> None:
        told = Throttle(world.queue().pace, 10, concurrency=1, waiting=1)
        other = Throttle(world.queue().pace, 10, concurrency=1, waiting=1)
        await told.pause(1.0)
        paused_at = time.monotonic()
        await other.acquire()
        assert time.monotonic() - paused_at >= 0.9

    in_time(requests())


def test_when_the_destination_pushes_back_fewer_are_in_the_air(world: World) -> None:
    async def requests() -> None:
        throttle = Throttle(world.queue().pace, 10_000, concurrency=4, waiting=100)
        for _ in range(4):
            await throttle.acquire()
        throttle.release(pushed_back=True)
        third = asyncio.create_task(throttle.acquire())
        await asyncio.sleep(0.05)
        assert not third.done(), "three are in flight and two may be"
        throttle.release()
        throttle.release()
        await third

    in_time(requests())


def test_who_is_stopped_waits_for_nothing(world: World) -> None:
    async def requests() -> None:
        throttle = Throttle(world.queue().pace, 10, concurrency=1, waiting=10)
        await throttle.pause(60)
        waiting = asyncio.create_task(throttle.acquire())
        await asyncio.sleep(0.05)
        throttle.stop()
        await waiting

    in_time(requests())
