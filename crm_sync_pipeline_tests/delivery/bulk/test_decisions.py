"""What people and other programs write while an import is in progress stands."""

from functools import partial
from uuid import UUID

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.transition import Ending
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.delivery.bulk.runs import Meanwhile, asked, endings, finished, run


def test_an_edit_while_an_import_is_in_progress_goes_out_again(world: World, brevo: Brevo) -> None:
    edited, unselected, deleted, other = world.add(*(f"{name}@example.com" for name in "abcd"))
    queue = world.queue()
    batch = queue.claim(10)
    with_people = Meanwhile(brevo, lambda: _decide(world, edited, unselected, deleted))
    _, settled = finished(queue, batch, deliver_batch(queue, with_people.brevo, batch))
    assert with_people.calls == 1
    assert world.status(edited) == ("Queued", "Queued")
    assert world.status(unselected) == ("New", None)
    assert world.status(other) == ("Complete", "Complete")
    assert settled.endings == {Ending.COMPLETE: 1, Ending.AGAIN: 1}
    assert settled.superseded == 2


def _decide(world: World, edited: UUID, unselected: UUID, deleted: UUID) -> None:
    world.execute("UPDATE contacts SET name = 'Edited' WHERE id = :id", id=edited)
    world.unselect(unselected)
    world.execute("DELETE FROM contacts WHERE id = :id", id=deleted)


def test_what_another_program_wrote_into_a_row_meanwhile_neither_hides_nor_repeats_it(
    world: World, brevo: Brevo
) -> None:
    touched, other = world.add("a@example.com", "b@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    touch = partial(world.execute, "UPDATE contacts SET context = 'seen' WHERE id = :id", id=touched)
    _, settled = finished(queue, batch, deliver_batch(queue, Meanwhile(brevo, touch).brevo, batch))
    assert endings(settled) == {"complete": 2}
    for contact in (touched, other):
        assert world.delivery(contact)["claim_token"] is None
        assert world.delivery(contact)["payload_hash"]
        assert world.contact(contact)["brevo_contact_id"] == world.contact(contact)["email"]


def test_a_row_that_does_not_take_its_result_ends_alone(world: World, brevo: Brevo) -> None:
    bad, good = world.add("a@example.com", "b@example.com")
    world.execute("ALTER TABLE contacts ADD CHECK (NOT (email = 'a@example.com' AND brevo_sync_status = 'Complete'))")
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 1, "error": 1}
    assert "not_recorded" in world.contact(bad)["brevo_processing_error"]
    assert world.status(good) == ("Complete", "Complete")


def test_who_is_taken_back_before_the_request_is_not_sent(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    taken_back, other = world.add("a@example.com", "b@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    deliver_batch(queue, Meanwhile(brevo, lambda: world.unselect(taken_back), "newest").brevo, batch)
    queue.settle(batch.token)
    assert list(simulator.contacts) == ["b@example.com"]
    assert world.status(taken_back) == ("New", None)
    assert world.status(other) == ("Complete", "Complete")


def test_when_all_are_taken_back_before_the_request_none_is_made(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    ids = world.add("a@example.com", "b@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    deliver_batch(queue, Meanwhile(brevo, lambda: world.unselect(*ids), "newest").brevo, batch)
    assert asked(simulator) == {"GET /v3/processes": 1}
