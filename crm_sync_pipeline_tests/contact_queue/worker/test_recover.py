from datetime import timedelta
from uuid import UUID

import pytest

from crm_sync_pipeline.domain.outcome import Failed, Outcome, Rejected, Synced
from crm_sync_pipeline_tests.builders import LEASE, World, attempt, one_run

FAILED = Failed("http_503", "Brevo API error (503): try later")
REJECTED = Rejected("http_400", "Brevo API error (400): email is not valid")
MINUTE = timedelta(minutes=1)


def die_after(world: World, *outcomes: Outcome, destination: str = "brevo") -> UUID:
    """A run that journals these outcomes, in id order, and dies before it settles; its lease runs out."""
    queue = world.queue(destination)
    batch = queue.claim(100)
    done = zip(queue.contacts_of(batch.token), outcomes, strict=False)
    queue.journal(batch.token, [attempt(contact, outcome) for contact, outcome in done])
    world.pass_time(LEASE + MINUTE)
    return batch.token


def test_what_a_dead_run_had_journaled_is_recorded_and_not_sent_again(world: World) -> None:
    ids = sorted(world.add("a@example.com", "b@example.com", "c@example.com", "d@example.com"))
    die_after(world, Synced("7", "created"), FAILED, REJECTED)
    assert world.queue().needs_recovery()
    settled = world.queue().recover()
    assert settled.as_metadata() == {"complete": 1, "retry": 2, "error": 0, "deferred": 1, "again": 0, "superseded": 0}
    assert [world.status(contact) for contact in ids] == [("Complete", "Complete"), *[("Queued", "Queued")] * 3]
    assert [world.delivery(contact)["retry_count"] for contact in ids] == [0, 1, 1, 0]
    assert world.delivery(ids[0])["remote_id"] == "7"
    assert [world.delivery(contact)["lost_count"] for contact in ids] == [0, 0, 0, 1]
    assert not world.queue().needs_recovery()


def test_the_next_claim_recovers_by_itself_and_takes_only_what_was_not_sent(world: World) -> None:
    ids = sorted(world.add("a@example.com", "b@example.com"))
    die_after(world, Synced("7", "created"))
    queue = world.queue()
    assert [contact.id for contact in queue.contacts_of(queue.claim(100).token)] == ids[1:]


def test_a_loss_spends_no_retry_and_keeps_error_and_shared_columns(world: World) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), FAILED)
    world.pass_time(6 * MINUTE)
    die_after(world)
    before = world.contact(contact)
    world.queue().recover()
    after = world.contact(contact)
    assert world.status(contact) == ("Queued", "Queued")
    assert world.delivery(contact)["retry_count"] == 1
    assert world.delivery(contact)["lost_count"] == 1
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"brevo_sync_status", "brevo_processing_status", "updated_at"}
    assert after["brevo_processing_error"] == FAILED.message
    assert world.queue().depth() == 1


def test_the_fourth_loss_in_a_row_ends_in_error(world: World) -> None:
    (contact,) = world.add("a@example.com")
    for losses in range(1, 4):
        die_after(world)
        world.queue().recover()
        assert world.status(contact) == ("Queued", "Queued")
        assert world.delivery(contact)["lost_count"] == losses
    die_after(world)
    assert world.queue().recover().as_metadata()["error"] == 1
    assert world.status(contact) == ("Error", "Error")
    row = world.contact(contact)
    assert row["brevo_processing_error"].startswith("lease_expired: 4 workers in a row ended without a result")
    assert (row["next_retry_at"], row["last_failed_crm"]) == (None, "brevo")
    assert world.delivery(contact)["claim_token"] is None
    assert world.queue().claim(1).size == 0
    world.select(contact)
    assert world.queue().claim(1).size == 1
    assert world.delivery(contact)["lost_count"] == 0


def test_a_result_between_losses_starts_the_count_anew(world: World) -> None:
    (contact,) = world.add("a@example.com")
    for _ in range(3):
        die_after(world)
    one_run(world.queue(), FAILED)
    world.pass_time(6 * MINUTE)
    die_after(world)
    world.queue().recover()
    assert world.delivery(contact)["lost_count"] == 1
    assert world.status(contact) == ("Queued", "Queued")


def test_a_live_lease_is_not_touched(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    world.queue().claim(100)
    world.pass_time(LEASE - MINUTE)
    before = world.snapshot()
    assert not world.queue().needs_recovery()
    assert world.queue().recover().total == 0
    assert world.snapshot() == before


def test_only_the_dead_claim_is_recovered_beside_a_live_one(world: World) -> None:
    (dead,) = world.add("a@example.com")
    die_after(world)
    (live,) = world.add("b@example.com")
    world.execute("UPDATE contacts SET updated_at = now() - interval '1 day' WHERE id = :id", id=live)
    holder = world.queue()
    world.execute(
        "UPDATE crm_sync.deliveries SET lease_expires_at = now() + interval '1 h' WHERE contact_id = :i", i=dead
    )
    batch = holder.claim(100)
    world.execute("UPDATE crm_sync.deliveries SET lease_expires_at = now() WHERE contact_id = :i", i=dead)
    assert holder.recover().as_metadata()["deferred"] == 1
    assert world.status(dead) == ("Queued", "Queued")
    assert world.status(live) == ("Processing", "Processing")
    assert world.delivery(live)["claim_token"] == batch.token


def test_a_long_run_that_keeps_extending_its_lease_is_not_taken_for_stranded(world: World) -> None:
    (contact,) = world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(1)
    for _ in range(5):
        world.pass_time(LEASE - MINUTE)
        assert queue.journal(batch.token, []).total == 1
        assert not queue.needs_recovery()
        assert queue.recover().total == 0
    assert world.status(contact) == ("Processing", "Processing")


def test_another_destinations_dead_run_is_its_own_affair(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.select(contact, crms=("brevo", "hubspot"))
    die_after(world, destination="hubspot")
    assert world.queue().recover().total == 0
    assert not world.queue().needs_recovery()
    assert world.status(contact, "hubspot") == ("Processing", "Processing")
    assert world.queue("hubspot").recover().total == 1


def test_decisions_taken_before_the_run_was_found_dead_stand(world: World) -> None:
    unselected, reselected, recalled = world.add("a@example.com", "b@example.com", "c@example.com")
    die_after(world, Synced(), Synced(), Synced())
    world.unselect(unselected)
    world.select(reselected)
    world.execute("UPDATE contacts SET brevo_sync_status = 'Skipped' WHERE id = :id", id=recalled)
    assert world.queue().recover().superseded == 3
    assert world.status(unselected) == ("New", None)
    assert world.status(reselected) == ("Selected", "Queued")
    assert world.status(recalled) == ("Skipped", None)
    assert world.value("SELECT count(claim_token) FROM crm_sync.deliveries") == 0
    assert not world.queue().needs_recovery()


@pytest.mark.parametrize("has_delivery", [True, False])
def test_what_another_program_left_processing_is_queued_again_after_a_lease(world: World, has_delivery: bool) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    if has_delivery:
        world.select(contact)
        one_run(world.queue())
    world.execute(
        "UPDATE contacts SET brevo_sync_status = 'Processing', brevo_processing_status = 'Processing', "
        "updated_at = now()"
    )
    assert not world.queue().needs_recovery()
    world.queue().recover()
    assert world.status(contact) == ("Processing", "Processing")
    world.pass_time(LEASE + MINUTE)
    assert world.queue().needs_recovery()
    world.queue().recover()
    assert world.status(contact) == ("Queued", "Queued")
    assert not world.queue().needs_recovery()
    assert world.queue().claim(10).size == 1


@pytest.mark.parametrize(
    ("sync", "next_status"),
    [
        ("Selected", ("Selected", "Queued")),
        ("Queued", ("Queued", "Queued")),
        ("New", ("New", None)),
        ("Skipped", ("Skipped", None)),
        ("Complete", ("Complete", None)),
        ("Error", ("Error", None)),
    ],
)
def test_what_was_left_processing_against_a_persons_decision_follows_the_decision(
    world: World, sync: str, next_status: tuple[str, str | None]
) -> None:
    (contact,) = world.add(
        "a@example.com", selected=False, brevo_sync_status=sync, brevo_processing_status="Processing"
    )
    world.pass_time(LEASE + MINUTE)
    world.queue().recover()
    assert world.status(contact) == next_status
    assert not world.queue().needs_recovery()


def test_deliveries_of_contacts_that_were_deleted_vanish(world: World) -> None:
    kept, gone = sorted(world.add("a@example.com", "b@example.com"))
    die_after(world, Synced("7"), Synced("8"))
    world.execute("DELETE FROM contacts WHERE id = :id", id=gone)
    world.queue().recover()
    assert [row["contact_id"] for row in world.rows("SELECT contact_id FROM crm_sync.deliveries")] == [kept]
    assert not world.queue().needs_recovery()


def test_recovering_twice_is_recovering_once(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    die_after(world, FAILED)
    world.queue().recover()
    before = world.snapshot()
    assert world.queue().recover().total == 0
    assert world.snapshot() == before


def test_more_than_a_thousand_are_recovered(world: World) -> None:
    world.add_many(2500)
    assert world.queue().claim(2500).size == 2500
    world.pass_time(LEASE + MINUTE)
    assert world.queue().recover().as_metadata()["deferred"] == 2500
    assert world.queue().depth() == 2500
