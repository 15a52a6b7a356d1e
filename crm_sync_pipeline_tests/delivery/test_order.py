"""Who is sent, and in what order."""

from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
import pytest

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Batch, Tally
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, BrevoSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.delivery.watching import Crowd


def test_rows_with_one_address_are_sent_one_after_another_in_the_order_of_their_ids(
    world: World, brevo: Brevo, simulator: BrevoSimulator, crowd: Crowd
) -> None:
    world.add("jane@example.com", "JANE@example.com ", " Jane@Example.com", "jane@EXAMPLE.com", "JANE@EXAMPLE.COM")
    world.execute("UPDATE contacts SET name = id::text")
    simulator.inject("latency=15")
    queue = world.queue()
    deliver_batch(queue, brevo, queue.claim(10))
    sent = [request.json["attributes"]["FIRSTNAME"] for request in simulator.requests]
    assert sent == sorted(sent)
    assert len(sent) == 5
    assert crowd.most == 1
    assert set(simulator.contacts) == {"jane@example.com"}


def test_who_is_unselected_before_sending_is_not_sent(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    stays, leaves = world.add("stays@example.com", "leaves@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    world.unselect(leaves)
    tally = deliver_batch(queue, brevo, batch)
    queue.settle(batch.token)
    assert [request.email for request in simulator.requests] == ["stays@example.com"]
    assert tally.outcomes == Counter(synced=1)
    assert world.status(stays) == ("Complete", "Complete")
    assert world.status(leaves) == ("New", None)


def test_who_is_unselected_or_deleted_while_others_are_being_sent_is_not_sent(
    world: World, brevo: Brevo, simulator: BrevoSimulator
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
    tally = deliver_batch(queue, brevo.model_copy(update={"concurrency": 1}), batch, progress=after_the_first)
    assert tally.outcomes == Counter(synced=8)
    assert not {"i@example.com", "j@example.com"} & set(simulator.contacts)
    assert queue.settle(batch.token).as_metadata()["superseded"] == 2
    assert world.status(ids[8]) == ("New", None)


def test_a_batch_whose_contacts_were_all_unselected_is_no_error(world: World, brevo: Brevo) -> None:
    (contact,) = world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    world.unselect(contact)
    assert deliver_batch(queue, brevo, batch).outcomes == Counter()


def test_a_contact_without_an_address_makes_no_request_and_hurts_nobody(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add("", "a@example.com")
    queue = world.queue()
    tally = deliver_batch(queue, brevo, queue.claim(10))
    assert tally.outcomes == Counter(rejected=1, synced=1)
    assert tally.reasons == Counter(no_email=1, created=1)
    assert (tally.requests, simulator.requests.total) == (1, 1)


def test_contacts_that_can_not_be_sent_do_not_interrupt_a_row_of_failures(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add(*[address for number in range(5) for address in ("", f"{number}@example.com")])
    simulator.inject("status-503")
    queue = world.queue()
    tally = deliver_batch(queue, brevo.model_copy(update={"concurrency": 1}), queue.claim(10))
    assert tally.outcomes == Counter(rejected=5, failed=5)
    assert tally.down is not None


class Untouchable:
    """A queue or a destination that nothing may be asked of."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


def test_an_empty_batch_touches_neither_database_nor_destination() -> None:
    untouchable: Any = Untouchable()
    assert deliver_batch(untouchable, untouchable, Batch("brevo", uuid4(), 0)) == Tally()


_made: list[httpx.AsyncClient] = []


class ClientsAreKept(Brevo):
    """Brevo, whose clients can be looked at afterwards."""

    def client(self) -> httpx.AsyncClient:
        _made.append(super().client())
        return _made[-1]


@pytest.mark.parametrize("key", [DEFAULT_KEY, "wrong"])
def test_a_run_makes_one_client_and_closes_it(world: World, brevo: Brevo, key: str) -> None:
    world.add_many(20)
    _made.clear()
    queue = world.queue()
    deliver_batch(queue, ClientsAreKept(**{**brevo.model_dump(), "api_key": key}), queue.claim(20))
    (client,) = _made
    assert client.is_closed
