"""The work of one run: claimed contacts, real HTTP, the journal in PostgreSQL."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery import deliver, lease_margin_seconds
from crm_sync_pipeline.destinations.brevo import BrevoResource
from crm_sync_pipeline.domain.batch import Attempt, Batch, Held, Tally
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, BrevoConfig, BrevoLimits, BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator, running
from crm_sync_pipeline_tests.builders import World

Journal = Callable[[UUID, Sequence[Attempt], str | None], Held]


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing here speaks TLS, and loading the certificate store takes long."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


@dataclass
class Crowd:
    """An app, watched: how many requests were inside it at the same time, at most."""

    app: ASGIApp
    inside: int = 0
    most: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1


@pytest.fixture
def crowd(simulator: BrevoSimulator) -> Crowd:
    return Crowd(simulator.app)


@pytest.fixture
def brevo_server(crowd: Crowd) -> Iterator[RunningSimulator]:
    with running(crowd) as server:
        yield server


@dataclass
class Watched:
    """A queue's journal, watched: how many attempts each write held. `before` runs first, in the writer's thread."""

    queue: ContactQueue
    before: Callable[[int], None] = lambda _: None
    sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        original = self.queue.journal

        def journal(token: UUID, done: Sequence[Attempt], run_id: str | None = None, *, look: bool = True) -> Held:
            if done:
                self.sizes.append(len(done))
                self.before(len(self.sizes))
            return original(token, done, run_id, look=look)

        self.queue.journal = journal  # type: ignore[method-assign, assignment] # what a test does


def journaled(world: World) -> int:
    count: int = world.value("SELECT count(*) FROM crm_sync.attempts")
    return count


def states(world: World) -> dict[tuple[str, str, int], int]:
    rows = world.rows(
        "SELECT brevo_sync_status AS sync, brevo_processing_status AS state, retry_count, count(*) AS total "
        "FROM contacts GROUP BY 1, 2, 3"
    )
    return {(row["sync"], row["state"], row["retry_count"]): row["total"] for row in rows}


# How fast


@pytest.mark.parametrize("concurrency", [1, 3])
def test_so_many_requests_are_in_the_air_and_never_more(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator, crowd: Crowd, concurrency: int
) -> None:
    world.add_many(18)
    simulator.inject("latency=20")
    queue = world.queue()
    batch = queue.claim(18)
    tally = deliver(queue, brevo.model_copy(update={"concurrency": concurrency}), batch)
    assert tally.outcomes == Counter(synced=18)
    assert crowd.most == concurrency


def test_the_pace_is_kept_and_a_limiter_of_that_rate_never_refuses(world: World, brevo: BrevoResource) -> None:
    per_second, count = 50, 75
    world.add_many(count)
    simulator = BrevoSimulator(BrevoConfig(limits=BrevoLimits.per_second(per_second)))
    queue = world.queue()
    with running(simulator.app) as server:
        paced = brevo.model_copy(update={"base_url": f"{server.base_url}/v3", "requests_per_second": per_second})
        tally = deliver(queue, paced, queue.claim(count))
    assert simulator.requests.statuses() == {"201": count}
    assert tally.rate_limited == 0
    took = (simulator.requests[-1].received_at - simulator.requests[0].received_at).total_seconds()
    assert took >= 0.9 * (count - 1) / per_second
    half_a_second = timedelta(seconds=0.5)
    times = [request.received_at for request in simulator.requests]
    busiest = max(sum(start <= time < start + half_a_second for time in times) for start in times)
    assert busiest <= per_second, "twice the pace, for half a second, would be a burst"


def test_a_429_costs_a_contact_nothing_and_it_is_tried_again_in_the_same_run(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(6)
    simulator.inject("status-429:times=4:retry-after=0.1")
    queue = world.queue()
    batch = queue.claim(6)
    tally = deliver(queue, brevo, batch)
    queue.settle(batch.token)
    assert tally.outcomes == Counter(synced=6)
    assert (tally.rate_limited, tally.requests) == (4, 10)
    assert simulator.requests.statuses() == {"201": 6, "429": 4}
    assert states(world) == {("Complete", "Complete", 0): 6}
    assert world.rows("SELECT outcome, number, count(*) AS total FROM crm_sync.attempts GROUP BY 1, 2") == [
        {"outcome": "synced", "number": 1, "total": 6}
    ]


def test_after_a_429_everybody_pauses_as_long_as_it_says(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(3)
    simulator.inject("status-429:times=1:retry-after=0.4")
    queue = world.queue()
    deliver(queue, brevo.model_copy(update={"concurrency": 1}), queue.claim(3))
    refused, retried = simulator.requests[0], simulator.requests[1]
    assert (refused.status, retried.status) == (429, 201)
    assert refused.email == retried.email, "the same contact, at once when the pause is over"
    assert (retried.received_at - refused.received_at).total_seconds() >= 0.39


# When to stop


def test_a_wrong_key_costs_no_more_requests_than_were_in_the_air_and_no_contact_a_retry(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(200)
    queue = world.queue()
    batch = queue.claim(200)
    tally = deliver(queue, brevo.model_copy(update={"api_key": "wrong"}), batch)
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
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(50)
    simulator.inject("status-503")
    queue = world.queue()
    batch = queue.claim(50)
    tally = deliver(queue, brevo.model_copy(update={"concurrency": 1}), batch)
    assert simulator.requests.total == 5
    assert journaled(world) == 5
    assert tally.outcomes == Counter(failed=5)
    assert tally.down is not None
    queue.settle(batch.token)
    assert states(world) == {("Queued", "Queued", 1): 5, ("Queued", "Queued", 0): 45}
    assert world.value("SELECT count(*) FROM contacts WHERE next_retry_at IS NOT NULL") == 5


def test_four_failures_and_a_success_do_not_stop_the_run(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(12)
    simulator.inject("status-503:times=4")
    queue = world.queue()
    tally = deliver(queue, brevo.model_copy(update={"concurrency": 1}), queue.claim(12))
    assert tally.outcomes == Counter(failed=4, synced=8)
    assert tally.down is None
    assert queue.breaker.state() is None


def test_one_failed_probe_keeps_the_destination_down_and_the_next_waits_longer(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    queue = world.queue()
    queue.breaker.open("http_503", "Brevo API error (503)")
    simulator.inject("status-503")
    for probe, wait in enumerate((2, 4, 8), start=1):
        world.pass_time(timedelta(minutes=wait / 2))
        batch = queue.claim(20)
        assert batch.size == 1
        tally = deliver(queue, brevo, batch)
        queue.settle(batch.token)
        assert tally.down is not None
        assert simulator.requests.total == probe
        down = queue.breaker.state()
        assert down is not None
        assert timedelta(minutes=wait - 0.2) < down.next_probe_in <= timedelta(minutes=wait)
        assert queue.claim(20).size == 0


def test_a_probe_that_gets_through_closes_the_breaker(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(3)
    queue = world.queue()
    queue.breaker.open("http_503", "Brevo API error (503)")
    world.pass_time(timedelta(minutes=1))
    batch = queue.claim(3)
    tally = deliver(queue, brevo, batch)
    queue.settle(batch.token)
    assert (simulator.requests.total, tally.down, queue.breaker.state()) == (1, None, None)
    assert queue.claim(3).size == 2


# Who is sent, and in what order


def test_rows_with_one_address_are_sent_one_after_another_in_the_order_of_their_ids(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator, crowd: Crowd
) -> None:
    world.add("jane@example.com", "JANE@example.com ", " Jane@Example.com", "jane@EXAMPLE.com", "JANE@EXAMPLE.COM")
    world.execute("UPDATE contacts SET name = id::text")
    simulator.inject("latency=15")
    queue = world.queue()
    deliver(queue, brevo, queue.claim(10))
    sent = [request.json["attributes"]["FIRSTNAME"] for request in simulator.requests]
    assert sent == sorted(sent)
    assert len(sent) == 5
    assert crowd.most == 1
    assert set(simulator.contacts) == {"jane@example.com"}


def test_who_is_unselected_before_sending_is_not_sent(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    stays, leaves = world.add("stays@example.com", "leaves@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    world.unselect(leaves)
    tally = deliver(queue, brevo, batch)
    queue.settle(batch.token)
    assert [request.email for request in simulator.requests] == ["stays@example.com"]
    assert tally.outcomes == Counter(synced=1)
    assert world.status(stays) == ("Complete", "Complete")
    assert world.status(leaves) == ("New", None)


def test_who_is_unselected_or_deleted_while_others_are_being_sent_is_not_sent(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    ids = world.add(*[f"{letter}@example.com" for letter in "abcdefghij"])
    queue = world.queue()
    batch = queue.claim(10)
    told: list[int] = []

    def after_the_first(_tally: Tally, _size: int) -> None:
        if not told:
            world.unselect(ids[8])
            world.execute("DELETE FROM contacts WHERE id = :id", id=ids[9])
        told.append(1)

    simulator.inject("latency=100")
    tally = deliver(queue, brevo.model_copy(update={"concurrency": 1}), batch, progress=after_the_first)
    assert tally.outcomes == Counter(synced=8)
    assert not {"i@example.com", "j@example.com"} & set(simulator.contacts)
    assert queue.settle(batch.token).as_metadata()["superseded"] == 2
    assert world.status(ids[8]) == ("New", None)


def test_a_batch_whose_contacts_were_all_unselected_is_no_error(world: World, brevo: BrevoResource) -> None:
    (contact,) = world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    world.unselect(contact)
    assert deliver(queue, brevo, batch).outcomes == Counter()


def test_a_contact_without_an_address_makes_no_request_and_hurts_nobody(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add("", "a@example.com")
    queue = world.queue()
    tally = deliver(queue, brevo, queue.claim(10))
    assert tally.outcomes == Counter(rejected=1, synced=1)
    assert tally.reasons == Counter(no_email=1, created=1)
    assert (tally.requests, simulator.requests.total) == (1, 1)


def test_contacts_that_can_not_be_sent_do_not_interrupt_a_row_of_failures(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add(*[address for number in range(5) for address in ("", f"{number}@example.com")])
    simulator.inject("status-503")
    queue = world.queue()
    tally = deliver(queue, brevo.model_copy(update={"concurrency": 1}), queue.claim(10))
    assert tally.outcomes == Counter(rejected=5, failed=5)
    assert tally.down is not None


class Untouchable:
    """A queue or a destination that nothing may be asked of."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


def test_an_empty_batch_touches_neither_database_nor_destination() -> None:
    untouchable: Any = Untouchable()
    assert deliver(untouchable, untouchable, Batch("brevo", uuid4(), 0)) == Tally()


_made: list[httpx.AsyncClient] = []


class ClientsAreKept(BrevoResource):
    """Brevo, whose clients can be looked at afterwards."""

    def client(self) -> httpx.AsyncClient:
        _made.append(super().client())
        return _made[-1]


@pytest.mark.parametrize("key", [DEFAULT_KEY, "wrong"])
def test_a_run_makes_one_client_and_closes_it(world: World, brevo: BrevoResource, key: str) -> None:
    world.add_many(20)
    _made.clear()
    queue = world.queue()
    deliver(queue, ClientsAreKept(**{**brevo.model_dump(), "api_key": key}), queue.claim(20))
    (client,) = _made
    assert client.is_closed


# Journal and lease


def test_attempts_are_journaled_in_groups_and_no_more_is_sent_than_the_journal_can_take(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
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
    deliver(queue, paced, queue.claim(60), progress=lambda tally, size: heard.append((tally.outcomes.total(), size)))
    assert heard[-1] == (60, 60)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert sent[0] <= 10 + 2 * brevo.concurrency, "without a bound it would be 50"
    assert sum(watched.sizes) == journaled(world) == 60
    assert watched.sizes[1] > 1, "what came in during the first write goes into the second"


def test_a_lease_lost_to_another_run_stops_the_sending_and_settles_nothing(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
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
    deliver(queue, brevo, batch)
    assert taken[0].size == 200
    assert simulator.requests.total < 200
    before = world.snapshot()
    assert queue.settle(batch.token).total == 0
    assert world.snapshot() == before


def short_lease(world: World, brevo: BrevoResource, free_seconds: float) -> tuple[ContactQueue, BrevoResource]:
    """A queue and a client with so many seconds between a lease's start and the last moment to send."""
    queue = replace(world, lease=timedelta(seconds=7)).queue()
    return queue, brevo.model_copy(update={"timeout_seconds": 7 - lease_margin_seconds(queue.lease) - free_seconds})


def test_a_lease_that_ran_out_before_the_first_call_keeps_the_run_from_sending(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    """A worker that slept between claim and delivery: its own clock would know nothing of it."""
    world.add_many(5)
    queue = world.queue()
    batch = queue.claim(5)
    world.pass_time(queue.lease)
    assert deliver(queue, brevo, batch).outcomes == Counter()
    assert simulator.requests.total == 0
    assert queue.claim(5).size == 5


def test_progress_extends_the_lease_so_that_a_long_batch_is_sent_whole(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(40)
    queue, slow = short_lease(world, brevo.model_copy(update={"requests_per_second": 30}), free_seconds=0.6)
    tally = deliver(queue, slow, queue.claim(40))
    took = (simulator.requests[-1].received_at - simulator.requests[0].received_at).total_seconds()
    assert took > 1.2, "it took longer than the lease first gave"
    assert tally.outcomes == Counter(synced=40)


def test_without_progress_sending_ends_before_the_lease_does_and_nothing_is_lost(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(5)
    queue, quick = short_lease(world, brevo, free_seconds=0.4)
    simulator.inject("status-429:retry-after=0.1")
    batch = queue.claim(5)
    tally = deliver(queue, quick, batch)
    assert tally.outcomes == Counter()
    assert tally.rate_limited == simulator.requests.total > 0
    assert world.value("SELECT min(lease_expires_at - now()) FROM crm_sync.deliveries") > timedelta(seconds=5)
    assert queue.settle(batch.token).total == 5
    assert states(world) == {("Queued", "Queued", 0): 5}


def test_a_lease_shorter_than_a_call_is_refused_and_nothing_is_sent(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(1)
    queue = replace(world, lease=timedelta(seconds=30)).queue()
    with pytest.raises(CrmSyncError, match="Set CRM_SYNC_LEASE_SECONDS well above 35"):
        deliver(queue, brevo, queue.claim(1))
    assert simulator.requests.total == 0


# When something breaks


def test_what_cannot_be_written_down_is_not_sent_and_the_run_fails(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(200)
    queue = world.queue()
    batch = queue.claim(200)

    def gone(_number: int) -> None:
        raise ConnectionError("the database is gone")

    Watched(queue, gone)
    simulator.inject("latency=10")
    with pytest.raises(ConnectionError, match="the database is gone"):
        deliver(queue, brevo, batch)
    assert simulator.requests.total <= 4 * brevo.concurrency
    assert world.queue().settle(batch.token).total == 200


def test_a_journal_that_fails_once_loses_no_outcome(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(200)
    queue = world.queue()
    batch = queue.claim(200)

    def once(number: int) -> None:
        if number == 2:
            raise ConnectionError("a hiccup")

    Watched(queue, once)
    simulator.inject("latency=10")
    with pytest.raises(ConnectionError, match="a hiccup"):
        deliver(queue, brevo, batch)
    assert journaled(world) == simulator.requests.total < 200


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_middle_stops_the_sending_and_what_arrived_is_journaled(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator, error: type[BaseException]
) -> None:
    world.add_many(200)
    queue = world.queue()
    batch = queue.claim(200)

    def stop(_tally: Tally, _size: int) -> None:
        raise error("enough")

    simulator.inject("latency=10")
    with pytest.raises(error, match="enough"):
        deliver(queue, brevo, batch, progress=stop)
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
from crm_sync_pipeline.contact_queue.database import DatabaseResource
from crm_sync_pipeline.delivery import deliver
from crm_sync_pipeline.destinations.brevo import BrevoResource
from crm_sync_pipeline.domain.batch import Batch
url, base_url, key, token = sys.argv[1:]
queue = DatabaseResource(url=url).queue("brevo")
brevo = BrevoResource(base_url=base_url, api_key=key, requests_per_second=1000, concurrency=4)
deliver(queue, brevo, Batch("brevo", UUID(token), 500))
"""


def test_ctrl_c_in_the_middle_of_a_real_process_journals_what_arrived(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
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
    assert journaled(world) == answered, "what was in the air is waited for"
    assert queue.settle(batch.token).total == 500
    assert states(world)["Queued", "Queued", 0] == 500 - journaled(world)


def test_two_runs_beside_each_other_send_every_contact_once(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(60)
    queues = [world.queue(), world.queue()]
    batches = [queue.claim(30) for queue in queues]
    workers = [
        threading.Thread(target=deliver, args=(queue, brevo, batch))
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
