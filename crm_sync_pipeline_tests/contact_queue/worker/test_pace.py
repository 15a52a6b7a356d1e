"""The pace that runs share through the database."""

import threading

import pytest

from crm_sync_pipeline_tests.builders import World


def test_slices_follow_each_other_and_never_overlap_whoever_asks(world: World) -> None:
    one, other = world.queue().pace, world.queue().pace
    begins = [pace.reserve(10.0) for pace in (one, other, one, other)]
    assert begins == [pytest.approx(expected, abs=2) for expected in (0, 10, 20, 30)]


def test_many_at_once_get_a_slice_each(world: World) -> None:
    begins: list[float] = []
    threads = [threading.Thread(target=lambda: begins.append(world.queue().pace.reserve(10.0))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(begins) == [pytest.approx(10 * place, abs=5) for place in range(8)]


def test_a_pause_moves_the_next_slice_and_a_shorter_one_does_not(world: World) -> None:
    pace = world.queue().pace
    pace.pause(60)
    pace.pause(5)
    assert pace.reserve(1) == pytest.approx(60, abs=3)


def test_time_that_nobody_asked_for_is_not_saved_up(world: World) -> None:
    pace = world.queue().pace
    pace.reserve(1)
    world.execute("UPDATE crm_sync.destinations SET paced_until = now() - interval '1 hour'")
    assert pace.reserve(10) < 1
    assert pace.reserve(10) > 8


def test_a_destination_that_paces_is_not_down(world: World) -> None:
    queue = world.queue()
    queue.pace.reserve(1)
    assert queue.breaker.state() is None
    assert not queue.breaker.close()


def test_each_destination_has_a_pace_of_its_own(world: World) -> None:
    world.queue("brevo").pace.pause(60)
    assert world.queue("hubspot").pace.reserve(1) < 5
