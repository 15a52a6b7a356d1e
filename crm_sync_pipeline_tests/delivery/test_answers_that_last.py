"""Answers that will do for a while, pauses until a given time, and the key that a selection's attempts share."""

from datetime import timedelta
from uuid import UUID

import pytest

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.door import deliver_batch, deliver_contact
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.contract import Answer, Record
from crm_sync_pipeline.domain.batch import Attempt, Tally
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import World

MINUTE = timedelta(minutes=1)
KEYS: list[str] = []


class Slow(Brevo):
    """Brevo, whose 404 means that it is starting, and whose 403 that the day's requests are used up."""

    def prepare(self, contact: Contact, before: Delivered = NEVER) -> Record | Attempt:
        prepared = super().prepare(contact, before)
        if isinstance(prepared, Record):
            KEYS.append(prepared.idempotency_key)
        return prepared

    def read(self, answer: Answer) -> Outcome:
        if answer.status == 404:
            return Failed("starting", "Brevo is starting", down_after=10 * MINUTE)
        if answer.status == 403:
            return DestinationDown("used_up", "The day's requests are used up", wait=timedelta(hours=3))
        return super().read(answer)


@pytest.fixture
def slow(brevo: Brevo) -> Slow:
    KEYS.clear()
    return Slow(**dict(brevo))


def run(queue: ContactQueue, destination: Brevo) -> Tally:
    batch = queue.claim(10)
    tally = deliver_batch(queue, destination, batch)
    queue.settle(batch.token)
    return tally


def make_due(world: World) -> None:
    """As if the retry's time had come, without a selection that looks older."""
    world.execute("UPDATE crm_sync.deliveries SET next_retry_at = now()")
    world.execute("UPDATE contacts SET next_retry_at = now()")


def retries(world: World, contact: UUID) -> int:
    return int(world.delivery(contact)["retry_count"])


def test_an_answer_that_will_do_for_a_while_costs_a_retry_at_first_and_nothing_once_it_lasts(
    world: World, slow: Slow, simulator: BrevoSimulator
) -> None:
    (ann,) = world.add("ann@example.com")
    queue = world.queue()
    simulator.inject("status-404")
    assert not run(queue, slow).down
    assert retries(world, ann) == 1
    world.pass_time(6 * MINUTE)
    assert not run(queue, slow).down
    assert retries(world, ann) == 2
    world.pass_time(11 * MINUTE)

    assert run(queue, slow).down == "Brevo is down: Brevo is starting."

    assert retries(world, ann) == 2
    assert world.status(ann) == ("Queued", "Queued")
    simulator.heal()
    world.pass_time(2 * MINUTE)
    run(queue, slow)
    assert world.status(ann) == ("Complete", "Complete")


def test_it_goes_on_costing_one_contact_a_retry_where_others_get_through(
    world: World, slow: Slow, simulator: BrevoSimulator
) -> None:
    (ann,) = world.add("ann@example.com")
    queue = world.queue()
    simulator.inject("status-404:email=ann@example.com")
    run(queue, slow)
    world.add("bob@example.com")
    run(queue, slow)
    world.pass_time(11 * MINUTE)
    run(queue, slow)
    assert retries(world, ann) == 2
    assert queue.breaker.state() is None


def test_a_probe_pays_nothing_where_the_destination_has_been_down_for_long_enough_with_this_answer(
    world: World, slow: Slow, simulator: BrevoSimulator
) -> None:
    queue = world.queue()
    queue.breaker.open("starting", "Brevo is starting")
    world.pass_time(11 * MINUTE)
    (ann,) = world.add("ann@example.com")
    simulator.inject("status-404")
    assert run(queue, slow).down
    assert retries(world, ann) == 0


def test_a_destination_is_not_probed_before_the_time_that_it_has_named(
    world: World, slow: Slow, simulator: BrevoSimulator
) -> None:
    world.add("ann@example.com")
    queue = world.queue()
    simulator.inject("status-403:times=1")
    run(queue, slow)
    down = queue.breaker.state()
    assert down is not None
    assert timedelta(hours=2, minutes=59) < down.next_probe_in <= timedelta(hours=3)
    world.pass_time(timedelta(hours=2))
    assert queue.claim(10).size == 0
    world.pass_time(timedelta(hours=1))
    assert run(queue, slow).outcomes["synced"] == 1


def test_all_attempts_for_one_selection_share_a_key_and_nothing_else_has_it(
    world: World, slow: Slow, simulator: BrevoSimulator
) -> None:
    ann, _bob = world.add("ann@example.com", "bob@example.com")
    queue = world.queue()
    simulator.inject("status-503:times=2")
    run(queue, slow)
    make_due(world)
    run(queue, slow)
    first, second = KEYS[:2], KEYS[2:]
    assert sorted(first) == sorted(second)
    assert len(set(KEYS)) == 2

    world.select(ann)
    run(queue, slow)
    assert KEYS[4] not in first, "selected again, it is to be delivered again"


def test_other_data_for_the_same_selection_has_another_key(world: World, slow: Slow, simulator: BrevoSimulator) -> None:
    (ann,) = world.add("ann@example.com")
    queue = world.queue()
    simulator.inject("status-503:times=1")
    run(queue, slow)
    world.execute("UPDATE contacts SET name = 'Ann' WHERE id = :id", id=ann)
    make_due(world)
    run(queue, slow)
    assert len(set(KEYS)) == 2


def test_a_delivered_contact_that_is_sent_at_once_has_another_key(world: World, slow: Slow) -> None:
    (ann,) = world.add("ann@example.com")
    queue = world.queue()
    run(queue, slow)
    deliver_contact(queue, slow, ann, "run")
    assert len(set(KEYS)) == 2
