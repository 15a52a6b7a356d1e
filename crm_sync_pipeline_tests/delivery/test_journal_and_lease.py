"""What came of each call is written down, under a lease that fits the work, whatever breaks meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.delivery.engine import lease_margin_seconds
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Batch, Tally
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, BrevoSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.delivery.watching import Watched, journaled, states


def test_attempts_are_journaled_in_groups_and_no_more_is_sent_than_the_journal_can_take(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    """While the first write hangs, nothing more is sent once the oldest answer is a tenth of a second old."""
    world.add_many(60)
    queue = world.queue()
    paced = brevo.model_copy(update={"requests_per_second": 100})
    sent: list[int] = []

    def hold_the_first_write(number: int) -> None:
        if number == 1:
            time.sleep(0.5)
            sent.append(simulator.requests.total)

    watched = Watched(queue, hold_the_first_write)
    heard: list[tuple[int, int]] = []
    deliver_batch(
        queue, paced, queue.claim(60), progress=lambda tally, size: heard.append((tally.outcomes.total(), size))
    )
    assert heard[-1] == (60, 60)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert sent[0] <= 10 + 2 * brevo.concurrency, "without a bound it would be 50"
    assert sum(watched.sizes) == journaled(world) == 60
    assert watched.sizes[1] > 1, "what came in during the first write goes into the second"


def test_a_lease_lost_to_another_run_stops_the_sending_and_settles_nothing(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(200)
    queue, other = world.queue(), world.queue()
    batch = queue.claim(200)
    taken: list[Batch] = []

    def another_run_takes_over(number: int) -> None:
        if number == 1:
            world.execute("UPDATE crm_sync.deliveries SET lease_expires_at = now() - interval '1 s'")
            taken.append(other.claim(200))

    Watched(queue, another_run_takes_over)
    simulator.inject("latency=10")
    deliver_batch(queue, brevo, batch)
    assert taken[0].size == 200
    assert simulator.requests.total < 200
    before = world.snapshot()
    assert queue.settle(batch.token).total == 0
    assert world.snapshot() == before


def short_lease(world: World, brevo: Brevo, free_seconds: float) -> tuple[ContactQueue, Brevo]:
    """A queue and a client with so many seconds between a lease's start and the last moment to send."""
    queue = replace(world, lease=timedelta(seconds=7)).queue()
    return queue, brevo.model_copy(update={"timeout_seconds": 7 - lease_margin_seconds(queue.lease) - free_seconds})


def test_a_lease_that_ran_out_before_the_first_call_keeps_the_run_from_sending(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    """A worker that slept between claim and delivery: its own clock would know nothing of it."""
    world.add_many(5)
    queue = world.queue()
    batch = queue.claim(5)
    world.pass_time(queue.lease)
    assert deliver_batch(queue, brevo, batch).outcomes == Counter()
    assert simulator.requests.total == 0
    assert queue.claim(5).size == 5


def test_progress_extends_the_lease_so_that_a_long_batch_is_sent_whole(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(40)
    queue, slow = short_lease(world, brevo.model_copy(update={"requests_per_second": 14}), free_seconds=1.2)
    tally = deliver_batch(queue, slow, queue.claim(40))
    took = (simulator.requests[-1].received_at - simulator.requests[0].received_at).total_seconds()
    assert took > 2.4, "it took longer than the lease first gave"
    assert tally.outcomes == Counter(synced=40)


def test_without_progress_sending_ends_before_the_lease_does_and_nothing_is_lost(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(5)
    queue, quick = short_lease(world, brevo, free_seconds=0.4)
    simulator.inject("status-429:retry-after=0.1")
    batch = queue.claim(5)
    tally = deliver_batch(queue, quick, batch)
    assert tally.outcomes == Counter()
    assert tally.rate_limited == simulator.requests.total > 0
    assert world.value("SELECT min(lease_expires_at - now()) FROM crm_sync.deliveries") > timedelta(seconds=5)
    assert queue.settle(batch.token).total == 5
    assert states(world) == {("Queued", "Queued", 0): 5}


def test_a_lease_shorter_than_a_call_is_refused_and_nothing_is_sent(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(1)
    queue = replace(world, lease=timedelta(seconds=30)).queue()
    with pytest.raises(CrmSyncError, match="Set CRM_SYNC_LEASE_SECONDS well above 35"):
        deliver_batch(queue, brevo, queue.claim(1))
    assert simulator.requests.total == 0


# When something breaks


def test_what_cannot_be_written_down_is_not_sent_and_the_run_fails(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(200)
    queue = world.queue()
    batch = queue.claim(200)

    def gone(_number: int) -> None:
        raise ConnectionError("the database is gone")

    Watched(queue, gone)
    simulator.inject("latency=10")
    with pytest.raises(ConnectionError, match="the database is gone"):
        deliver_batch(queue, brevo, batch)
    assert simulator.requests.total <= 4 * brevo.concurrency
    assert world.queue().settle(batch.token).total == 200


def test_a_journal_that_fails_once_loses_no_outcome(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(200)
    queue = world.queue()
    batch = queue.claim(200)

    def once(number: int) -> None:
        if number == 2:
            raise ConnectionError("a hiccup")

    Watched(queue, once)
    simulator.inject("latency=10")
    with pytest.raises(ConnectionError, match="a hiccup"):
        deliver_batch(queue, brevo, batch)
    assert journaled(world) == simulator.requests.total < 200


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_middle_stops_the_sending_and_what_arrived_is_journaled(
    world: World, brevo: Brevo, simulator: BrevoSimulator, error: type[BaseException]
) -> None:
    world.add_many(200)
    queue = world.queue()
    batch = queue.claim(200)

    def stop(_tally: Tally, _size: int) -> None:
        raise error("enough")

    simulator.inject("latency=10")
    with pytest.raises(error, match="enough"):
        deliver_batch(queue, brevo, batch, progress=stop)
    answered = simulator.requests.total
    assert answered <= 6 * brevo.concurrency
    assert answered - brevo.concurrency <= journaled(world) <= answered
    assert journaled(world) >= 1
    settled = queue.settle(batch.token)
    assert settled.total == 200
    complete = states(world)["Complete", "Complete", 0]
    assert complete == journaled(world)
    assert states(world)["Queued", "Queued", 0] == 200 - complete


WORKER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from uuid import UUID
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Batch
url, base_url, key, token = sys.argv[1:]
queue = Database(url=url, crms=CRMS).queue("brevo")
brevo = Brevo(base_url=base_url, api_key=key, requests_per_second=1000, concurrency=4)
deliver_batch(queue, brevo, Batch("brevo", UUID(token), 500))
"""


def test_ctrl_c_in_the_middle_of_a_real_process_journals_what_arrived(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(500)
    queue = world.queue()
    batch = queue.claim(500)
    simulator.inject("latency=20")
    arguments = [sys.executable, "-c", WORKER, world.url, brevo.base_url, DEFAULT_KEY, str(batch.token)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, env=dict(os.environ)) as worker:
        try:
            assert simulator.requests.wait_for(lambda log: log.total >= 20, timeout_seconds=60)
            worker.send_signal(signal.SIGINT)
            _, said = worker.communicate(timeout=30)
        finally:
            worker.kill()
    assert b"KeyboardInterrupt" in said
    answered = simulator.requests.total
    assert answered < 500
    assert journaled(world) == answered, "what was in flight is waited for"
    assert queue.settle(batch.token).total == 500
    assert states(world)["Queued", "Queued", 0] == 500 - journaled(world)
