"""Contacts that need not be sent, because the destination took the very same payload last."""

from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from crm_sync_pipeline.delivery.door import deliver_batch, deliver_contact
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.domain.batch import Attempt, Tally
from crm_sync_pipeline.domain.outcome import Synced
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import LEASE, World


def run(world: World, brevo: Brevo) -> Tally:
    queue = world.queue()
    batch = queue.claim(10)
    tally = deliver_batch(queue, brevo, batch)
    queue.settle(batch.token)
    return tally


@pytest.fixture
def skipping(brevo: Brevo) -> Brevo:
    return brevo.model_copy(update={"skip_unchanged": True})


@pytest.fixture
def ann(world: World, brevo: Brevo) -> UUID:
    """A contact that was delivered once."""
    (contact_id,) = world.add("ann@example.com", name="Ann")
    run(world, brevo)
    return contact_id


def select_changed(world: World, contact_id: UUID) -> None:
    world.act("select", [contact_id], changed_only=True)


def test_what_has_not_changed_is_complete_without_being_sent_and_counted_so(
    world: World, skipping: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    delivered_at = world.delivery(ann)["synced_at"]
    world.select(ann)
    tally = run(world, skipping)
    assert simulator.requests.statuses() == {"201": 1, "200": 1}, "it was looked up, and not sent"
    assert (tally.requests, tally.as_metadata()["unchanged"], tally.outcomes["synced"]) == (1, 1, 1)
    assert tally.problem() is None
    assert world.status(ann) == ("Complete", "Complete")
    assert world.contact(ann)["brevo_contact_id"] == "ann@example.com"
    assert world.delivery(ann)["synced_at"] == delivered_at, "Brevo took nothing this time"


def test_by_default_a_selection_means_send_it(world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID) -> None:
    world.select(ann)
    assert run(world, brevo).as_metadata()["unchanged"] == 0
    assert simulator.requests.statuses() == {"201": 1, "204": 1}


def test_what_has_changed_is_sent(world: World, skipping: Brevo, simulator: BrevoSimulator, ann: UUID) -> None:
    world.execute("UPDATE contacts SET name = 'Anna' WHERE id = :id", id=ann)
    world.select(ann)
    run(world, skipping)
    assert simulator.requests.total == 2


def test_a_change_of_our_own_settings_is_a_change(
    world: World, skipping: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    world.select(ann)
    run(world, skipping.model_copy(update={"list_id": 1}))
    assert simulator.requests.total == 2


def test_one_selection_alone_can_ask_for_it(world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID) -> None:
    (ben,) = world.add("ben@example.com", selected=False)
    select_changed(world, ann)
    select_changed(world, ben)
    assert run(world, brevo).as_metadata()["unchanged"] == 1
    assert simulator.requests.statuses() == {"201": 2, "200": 1}, "Ben was never delivered"
    assert world.status(ann) == world.status(ben) == ("Complete", "Complete")


def test_whoever_selects_it_later_gets_what_they_asked_for(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    select_changed(world, ann)
    world.unselect(ann)
    world.select(ann)
    run(world, brevo)
    assert simulator.requests.total == 2


def test_another_program_that_selects_it_gets_it_sent(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    select_changed(world, ann)
    world.execute(
        "UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued', updated_at = now()"
    )
    run(world, brevo)
    assert simulator.requests.total == 2


def test_a_retry_of_such_a_selection_is_sent_because_nobody_knows_what_arrived(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    """Brevo obeyed the call with the new name, and its answer was lost; the old name is not what it holds."""
    world.execute("UPDATE contacts SET name = 'Anna' WHERE id = :id", id=ann)
    select_changed(world, ann)
    simulator.inject("reset-after-write:times=1")
    assert run(world, brevo).outcomes["failed"] == 1
    world.execute("UPDATE contacts SET name = 'Ann' WHERE id = :id", id=ann)
    world.pass_time(timedelta(minutes=6))
    assert run(world, brevo.model_copy(update={"skip_unchanged": True})).as_metadata()["unchanged"] == 0
    assert simulator.requests.total == 3


def test_after_a_worker_died_its_contacts_are_sent(
    world: World, skipping: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    world.select(ann)
    world.queue().claim(1)
    world.pass_time(LEASE + timedelta(seconds=1))
    run(world, skipping)
    assert simulator.requests.total == 2


def test_what_a_late_call_may_have_overwritten_is_sent(
    world: World, skipping: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    """A worker without a lease sent the old name after the new one: the new one goes out again, unchanged or not."""
    queue = world.queue()
    world.select(ann)
    slow = queue.claim(1).token
    (as_it_was,) = queue.contacts_of(slow)
    world.pass_time(LEASE + timedelta(seconds=1))
    world.execute("UPDATE contacts SET name = 'Anna' WHERE id = :id", id=ann)
    run(world, skipping)
    late = skipping.prepare(as_it_was)
    assert isinstance(late, Record)
    sent_late = Attempt(ann, Synced(), as_it_was.fingerprint(), payload_hash=late.payload_hash)
    queue.journal(slow, [sent_late])
    assert world.status(ann) == ("Queued", "Queued")
    assert run(world, skipping).as_metadata()["unchanged"] == 0
    assert simulator.requests.total == 3


def test_what_brevo_has_no_more_is_sent(world: World, skipping: Brevo, simulator: BrevoSimulator, ann: UUID) -> None:
    ben, cid = world.add("ben@example.com", "cid@example.com")
    run(world, skipping)
    httpx.delete(f"{skipping.base_url}/contacts/ben%40example.com", headers={"api-key": skipping.api_key})
    world.select(ann, ben, cid)
    tally = run(world, skipping)
    assert tally.reasons == {"unchanged": 2, "created": 1}
    assert "ben@example.com" in simulator.contacts


@pytest.mark.parametrize("fault", ["status-503", "status-429", "reset-before-write", "unexpected-200", "status-404"])
def test_where_brevo_does_not_say_whether_it_has_them_they_are_sent(
    world: World, skipping: Brevo, simulator: BrevoSimulator, ann: UUID, fault: str
) -> None:
    simulator.inject(f"{fault}:method=GET:path=/v3/contacts:times=2")
    world.select(ann)
    assert run(world, skipping).reasons == {"updated": 1}


def test_forty_five_are_looked_up_by_three_requests(
    world: World, brevo: Brevo, skipping: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(45)
    queue = world.queue()
    batch = queue.claim(100)
    deliver_batch(queue, brevo, batch)
    queue.settle(batch.token)
    world.execute("UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'")
    batch = queue.claim(100)
    tally = deliver_batch(queue, skipping, batch)
    assert (tally.requests, tally.reasons) == (3, {"unchanged": 45})
    assert simulator.requests.statuses() == {"201": 45, "200": 3}


def test_one_whose_id_brevo_never_told_is_sent(
    world: World, skipping: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    world.execute("UPDATE crm_sync.deliveries SET remote_id = NULL")
    world.select(ann)
    assert run(world, skipping).reasons == {"updated": 1}
    assert simulator.requests.total == 2


@pytest.mark.parametrize("changed_only", [False, True])
def test_a_person_who_sends_it_now_gets_it_sent(
    world: World, skipping: Brevo, simulator: BrevoSimulator, ann: UUID, changed_only: bool
) -> None:
    if changed_only:
        select_changed(world, ann)
    deliver_contact(world.queue(), skipping, ann, run_id="by hand")
    assert simulator.requests.statuses() == {"201": 1, "204": 1}


@pytest.mark.parametrize(("has_gmail", "reasons"), [(True, {"updated": 1}), (None, {"unchanged": 1})])
def test_what_an_import_may_have_left_out_does_not_count_as_known(
    world: World, skipping: Brevo, has_gmail: bool | None, reasons: dict[str, int]
) -> None:
    """Imports have left booleans as they were."""
    (ann,) = world.add("ann@example.com", has_gmail=has_gmail)
    queue = world.queue()
    batch = queue.claim(1)
    deliver_batch(queue, skipping.model_copy(update={"list_id": 1, "bulk_threshold": 1}), batch)
    queue.settle(batch.token)
    world.execute("UPDATE crm_sync.deliveries SET remote_id = '1'")
    world.select(ann)
    assert run(world, skipping.model_copy(update={"list_id": 1})).reasons == reasons
