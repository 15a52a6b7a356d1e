"""A worker that lost its lease, and whose call may have landed after that of the worker that followed it."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline_tests.builders import LEASE, World, attempt

OLD, NEW = "0" * 32, "1" * 32
SYNCED = Synced("1", "created")


def sent(contact: Contact, payload_hash: str | None, outcome: Outcome = SYNCED) -> Attempt:
    return replace(attempt(contact, outcome), payload_hash=payload_hash)


def two_workers(world: World) -> tuple[ContactQueue, UUID, UUID, Contact]:
    """The first one read the contact and lost its lease; the second one holds the contact, as edited meanwhile."""
    (contact_id,) = world.add("a@example.com", name="Old Name")
    queue = world.queue()
    first = queue.claim(1).token
    (contact,) = queue.contacts_of(first)
    world.execute("UPDATE contacts SET name = 'New Name' WHERE id = :id", id=contact_id)
    world.pass_time(LEASE + timedelta(seconds=1))
    return queue, first, queue.claim(1).token, contact


@pytest.mark.parametrize("outcome", [SYNCED, Failed("timeout", "Brevo did not answer within 30 seconds")])
def test_the_new_worker_sends_again_what_the_old_one_may_have_overwritten(world: World, outcome: Outcome) -> None:
    queue, first, second, contact = two_workers(world)
    assert queue.journal(first, [sent(contact, OLD, outcome)]).total == 0, "the old worker is told to stop"
    queue.journal(second, [sent(queue.contacts_of(second)[0], NEW)])
    assert queue.settle(second).as_metadata()["again"] == 1
    assert world.status(contact.id) == ("Queued", "Queued")
    assert queue.claim(1).size == 1, "and at once"


@pytest.mark.parametrize("outcome", [SYNCED, Failed("timeout", "Brevo did not answer within 30 seconds")])
def test_what_is_complete_already_goes_out_once_more(world: World, outcome: Outcome) -> None:
    queue, first, second, contact = two_workers(world)
    queue.journal(second, [sent(queue.contacts_of(second)[0], NEW)])
    queue.settle(second)
    assert world.status(contact.id) == ("Complete", "Complete")
    queue.journal(first, [sent(contact, OLD, outcome)])
    assert world.status(contact.id) == ("Queued", "Queued")
    third = queue.claim(1).token
    queue.journal(third, [sent(queue.contacts_of(third)[0], NEW)])
    queue.settle(third)
    assert world.status(contact.id) == ("Complete", "Complete"), "and that is the end of it"


def test_the_same_payload_twice_does_no_harm_and_is_not_sent_a_third_time(world: World) -> None:
    queue, first, second, contact = two_workers(world)
    queue.journal(first, [sent(contact, NEW)])
    queue.journal(second, [sent(queue.contacts_of(second)[0], NEW)])
    queue.settle(second)
    assert world.status(contact.id) == ("Complete", "Complete")
    queue.journal(first, [sent(contact, NEW)])
    assert world.status(contact.id) == ("Complete", "Complete")


@pytest.mark.parametrize(
    ("payload_hash", "outcome"),
    [
        (None, Rejected("no_email", "none")),
        (OLD, Rejected("http_400", "no")),
        (OLD, DestinationDown("http_401", "key")),
    ],
)
def test_a_call_that_changed_nothing_at_the_destination_changes_nothing_here(
    world: World, payload_hash: str | None, outcome: Outcome
) -> None:
    queue, first, second, contact = two_workers(world)
    queue.journal(first, [sent(contact, payload_hash, outcome)])
    queue.journal(second, [sent(queue.contacts_of(second)[0], NEW)])
    queue.settle(second)
    assert world.status(contact.id) == ("Complete", "Complete")


def test_a_persons_decision_stands(world: World) -> None:
    queue, first, second, contact = two_workers(world)
    queue.journal(second, [sent(queue.contacts_of(second)[0], NEW)])
    queue.settle(second)
    world.unselect(contact.id)
    queue.journal(first, [sent(contact, OLD)])
    assert world.status(contact.id) == ("New", None)


def test_what_came_before_the_next_claim_is_overwritten_by_it_anyway(world: World) -> None:
    queue, first, second, contact = two_workers(world)
    queue.journal(first, [sent(contact, OLD)])
    queue.settle(second)  # sent nothing
    third = queue.claim(1).token
    queue.journal(third, [sent(queue.contacts_of(third)[0], NEW)])
    queue.settle(third)
    assert world.status(contact.id) == ("Complete", "Complete")


def test_a_worker_that_still_holds_its_contacts_is_never_late(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    queue = world.queue()
    token = queue.claim(2).token
    queue.journal(token, [sent(contact, OLD) for contact in queue.contacts_of(token)])
    assert world.value("SELECT count(late_payload_hash) FROM crm_sync.deliveries") == 0
    assert queue.settle(token).as_metadata()["complete"] == 2


def test_another_destinations_delivery_is_its_own_affair(world: World) -> None:
    queue, first, second, contact = two_workers(world)
    world.select(contact.id, crms=("hubspot",))
    hubspot = world.queue("hubspot")
    theirs = hubspot.claim(1).token
    queue.journal(first, [sent(contact, OLD)])
    hubspot.journal(theirs, [sent(hubspot.contacts_of(theirs)[0], NEW)])
    assert hubspot.settle(theirs).as_metadata()["complete"] == 1
    queue.settle(second)
