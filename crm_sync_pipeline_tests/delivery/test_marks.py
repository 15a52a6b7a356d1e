"""Where the contacts table keeps the destination's id: the address that was delivered is known by a mark alone."""

from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import pytest

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.contract import Call, Record
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import World

CRM = "hubspot"


class Marking(Brevo):
    """Sends to Brevo's simulator what belongs to a CRM whose column holds an id. `seen` is what was known before."""

    name: ClassVar[str] = CRM
    marks_address: ClassVar[bool] = True
    seen: ClassVar[dict[UUID, Delivered]] = {}

    def prepare(self, contact: Contact, before: Delivered = NEVER) -> Record | Attempt:
        self.seen[contact.id] = before
        return Record(
            contact, Call("POST", "/contacts", {}), b'{"email": "%s"}' % contact.address.encode(), "hash", before
        )


@pytest.fixture
def marking(brevo: Brevo) -> Marking:
    Marking.seen.clear()
    return Marking(**dict(brevo))


def run(world: World, marking: Marking) -> dict[UUID, Delivered]:
    queue = world.queue(CRM)
    batch = queue.claim(10)
    deliver_batch(queue, marking, batch)
    queue.settle(batch.token)
    return dict(marking.seen)


def again(world: World, *ids: UUID) -> None:
    world.select(*ids, crms=(CRM,))


def contact(world: World, contact_id: UUID) -> Contact:
    return Contact(contact_id, str(world.contact(contact_id)["email"]))


def test_a_changed_address_is_seen_and_no_address_is_kept(world: World, marking: Marking) -> None:
    (ann,) = world.add("ann@example.com", selected=False)
    again(world, ann)
    assert run(world, marking)[ann] == NEVER
    again(world, ann)
    assert not run(world, marking)[ann].differs_from(contact(world, ann))

    world.execute("UPDATE contacts SET email = 'ann@new.example' WHERE id = :id", id=ann)
    again(world, ann)
    known = run(world, marking)[ann]

    moved = contact(world, ann)
    assert known.differs_from(moved)
    assert known.was_sent_to(moved, "ann@example.com")
    assert not known.was_sent_to(moved, "bob@example.com")
    kept = world.rows("SELECT remote_fields FROM crm_sync.deliveries") + world.rows(
        "SELECT remote_fields, message FROM crm_sync.attempts"
    )
    assert "ann@" not in str(kept)


def test_after_a_lost_answer_either_address_may_be_the_one(
    world: World, marking: Marking, simulator: BrevoSimulator
) -> None:
    (ann,) = world.add("ann@example.com", selected=False)
    again(world, ann)
    run(world, marking)
    world.execute("UPDATE contacts SET email = 'ann@new.example' WHERE id = :id", id=ann)
    simulator.inject("reset-after-write:times=1")
    again(world, ann)
    run(world, marking)
    world.pass_time(timedelta(minutes=6))
    known = run(world, marking)[ann]
    assert known.differs_from(contact(world, ann)), "the old one may still be there"
    assert len(known.marks) == 2


def test_a_copy_that_another_wanted_row_has_as_well_is_shared(world: World, marking: Marking) -> None:
    ann, twin, other = world.add("ann@example.com", "twin@example.com", "other@example.com", selected=False)
    again(world, ann, twin, other)
    run(world, marking)
    world.execute("UPDATE crm_sync.deliveries SET remote_id = '7' WHERE contact_id <> :id", id=other)
    world.execute("UPDATE contacts SET email = 'new-' || email")
    again(world, ann, other)
    known = run(world, marking)
    assert (known[ann].is_shared, known[other].is_shared) == (True, False)

    world.unselect(twin, crms=(CRM,))
    world.execute("UPDATE crm_sync.deliveries SET remote_id = '7' WHERE contact_id = :id", id=ann)
    world.execute("UPDATE contacts SET email = 'newer-' || email")
    again(world, ann)
    assert not run(world, marking)[ann].is_shared
