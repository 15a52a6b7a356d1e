"""How fast a run sends, and when it stops."""

import threading
from collections import Counter
from datetime import timedelta

import pytest

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.simulators.brevo import BrevoConfig, BrevoLimits, BrevoSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.delivery.watching import Crowd, journaled, states


@pytest.mark.parametrize("concurrency", [1, 3])
def test_so_many_requests_are_in_the_air_and_never_more(
    world: World, brevo: Brevo, simulator: BrevoSimulator, crowd: Crowd, concurrency: int
) -> None:
    world.add_many(18)
    simulator.inject("latency=20")
    queue = world.queue()
    batch = queue.claim(18)
    tally = deliver_batch(queue, brevo.model_copy(update={"concurrency": concurrency}), batch)
    assert tally.outcomes == Counter(synced=18)
    assert crowd.most == concurrency


def test_the_pace_is_kept_and_a_limiter_of_that_rate_never_refuses(world: World, brevo: Brevo) -> None:
    per_second, count = 50, 75
    world.add_many(count)
    simulator = BrevoSimulator(BrevoConfig(limits=BrevoLimits.per_second(per_second)))
    queue = world.queue()
    with running(simulator.app) as server:
        paced = brevo.model_copy(update={"base_url": f"{server.base_url}/v3", "requests_per_second": per_second})
        tally = deliver_batch(queue, paced, queue.claim(count))
    assert simulator.requests.statuses() == {"201": count}
    assert tally.rate_limited == 0
    took = (simulator.requests[-1].received_at - simulator.requests[0].received_at).total_seconds()
    assert took >= 0.9 * (count - 1) / per_second
    half_a_second = timedelta(seconds=0.5)
    times = [request.received_at for request in simulator.requests]
    busiest = max(sum(start <= time < start + half_a_second for time in times) for start in times)
    assert busiest <= per_second, "twice the pace, for half a second, would be a burst"


def test_a_429_costs_a_contact_nothing_and_it_is_tried_again_in_the_same_run(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(6)
    simulator.inject("status-429:times=4:retry-after=0.1")
    queue = world.queue()
    batch = queue.claim(6)
    tally = deliver_batch(queue, brevo, batch)
    queue.settle(batch.token)
    assert tally.outcomes == Counter(synced=6)
    assert (tally.rate_limited, tally.requests) == (4, 10)
    assert simulator.requests.statuses() == {"201": 6, "429": 4}
    assert states(world) == {("Complete", "Complete", 0): 6}
    assert world.rows("SELECT outcome, number, count(*) AS total FROM crm_sync.attempts GROUP BY 1, 2") == [
        {"outcome": "synced", "number": 1, "total": 6}
    ]


def test_after_a_429_everybody_pauses_as_long_as_it_says(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(3)
    simulator.inject("status-429:times=1:retry-after=0.4")
    queue = world.queue()
    deliver_batch(queue, brevo.model_copy(update={"concurrency": 1}), queue.claim(3))
    refused, retried = simulator.requests[0], simulator.requests[1]
    assert (refused.status, retried.status) == (429, 201)
    assert refused.email == retried.email, "the same contact, at once when the pause is over"
    assert (retried.received_at - refused.received_at).total_seconds() >= 0.39


def test_two_runs_beside_each_other_send_every_contact_once(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(60)
    queues = [world.queue(), world.queue()]
    batches = [queue.claim(30) for queue in queues]
    workers = [
        threading.Thread(target=deliver_batch, args=(queue, brevo, batch))
        for queue, batch in zip(queues, batches, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for queue, batch in zip(queues, batches, strict=True):
        queue.settle(batch.token)
    assert Counter(request.status for request in simulator.requests) == Counter({201: 60})
    assert states(world) == {("Complete", "Complete", 0): 60}


def test_two_runs_keep_one_pace_between_them(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    """Brevo is unlimited here, so that nothing but the pace itself slows them down."""
    per_second, count = 20, 60
    world.add_many(count)
    batches = [(queue, queue.claim(count // 2)) for queue in (world.queue(), world.queue())]
    paced = brevo.model_copy(update={"requests_per_second": per_second})
    workers = [threading.Thread(target=deliver_batch, args=(queue, paced, batch)) for queue, batch in batches]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert simulator.requests.statuses() == {"201": count}
    times = [request.received_at for request in simulator.requests]
    shortest = timedelta(seconds=count / per_second)
    assert max(times) - min(times) > 0.8 * shortest, "each for itself they would take half of it"


# When to stop


def test_a_wrong_key_costs_no_more_requests_than_were_in_the_air_and_no_contact_a_retry(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(200)
    queue = world.queue()
    batch = queue.claim(200)
    tally = deliver_batch(queue, brevo.model_copy(update={"api_key": "wrong"}), batch)
    assert 1 <= simulator.requests.total <= brevo.concurrency
    assert journaled(world) == simulator.requests.total
    assert tally.down is not None
    assert tally.down.startswith("Brevo is down: Brevo API error (401): Key not found")
    down = queue.breaker.state()
    assert down is not None
    assert down.reason == "wrong_api_key"
    queue.settle(batch.token)
    assert states(world) == {("Queued", "Queued", 0): 200}


def test_five_failures_in_a_row_stop_the_run_and_the_rest_is_given_back_untouched(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(50)
    simulator.inject("status-503")
    queue = world.queue()
    batch = queue.claim(50)
    tally = deliver_batch(queue, brevo.model_copy(update={"concurrency": 1}), batch)
    assert simulator.requests.total == 5
    assert journaled(world) == 5
    assert tally.outcomes == Counter(failed=5)
    assert tally.down is not None
    queue.settle(batch.token)
    assert states(world) == {("Queued", "Queued", 1): 5, ("Queued", "Queued", 0): 45}
    assert world.value("SELECT count(*) FROM contacts WHERE next_retry_at IS NOT NULL") == 5


def test_four_failures_and_a_success_do_not_stop_the_run(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(12)
    simulator.inject("status-503:times=4")
    queue = world.queue()
    tally = deliver_batch(queue, brevo.model_copy(update={"concurrency": 1}), queue.claim(12))
    assert tally.outcomes == Counter(failed=4, synced=8)
    assert tally.down is None
    assert queue.breaker.state() is None


def test_one_failed_probe_keeps_the_destination_down_and_the_next_waits_longer(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    queue = world.queue()
    queue.breaker.open("http_503", "Brevo API error (503)")
    simulator.inject("status-503")
    for probe, wait in enumerate((2, 4, 8), start=1):
        world.pass_time(timedelta(minutes=wait / 2))
        batch = queue.claim(20)
        assert batch.size == 1
        tally = deliver_batch(queue, brevo, batch)
        queue.settle(batch.token)
        assert tally.down is not None
        assert simulator.requests.total == probe
        down = queue.breaker.state()
        assert down is not None
        assert timedelta(minutes=wait - 0.2) < down.next_probe_in <= timedelta(minutes=wait)
        assert queue.claim(20).size == 0


def test_a_probe_that_gets_through_closes_the_breaker(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(3)
    queue = world.queue()
    queue.breaker.open("http_503", "Brevo API error (503)")
    world.pass_time(timedelta(minutes=1))
    batch = queue.claim(3)
    tally = deliver_batch(queue, brevo, batch)
    queue.settle(batch.token)
    assert (simulator.requests.total, tally.down, queue.breaker.state()) == (1, None, None)
    assert queue.claim(3).size == 2
