"""The figures that are read by index are those that counting the table gives."""

from datetime import timedelta
from uuid import UUID

import pytest

from crm_sync_pipeline.contact_queue.reading import figures
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.outcome import Failed, Outcome, Rejected, Synced
from crm_sync_pipeline_tests.builders import LEASE, World, attempt, one_run

FAILED = Failed("http_503", "m")


def hold(world: World, contact: UUID) -> None:
    world.execute(
        "INSERT INTO crm_sync.deliveries (contact_id, destination, held_at) VALUES (:id, 'brevo', now())", id=contact
    )


def test_they_are_what_counting_the_table_gives(world: World) -> None:
    """Of each state some, in different numbers; what failed at another CRM afterwards, and what was selected anew."""
    world.add("delivered@example.com")
    one_run(world.queue(), Synced("1", "created"))
    elsewhere, anew, *_ = world.add(*(f"waits{number}@example.com" for number in range(5)))
    one_run(world.queue(), FAILED)
    world.execute("UPDATE contacts SET last_failed_crm = 'hubspot' WHERE id = :id", id=elsewhere)
    world.unselect(anew)
    world.select(anew)
    world.pass_time(timedelta(minutes=3))
    world.add(*(f"error{number}@example.com" for number in range(3)))
    world.execute("UPDATE contacts SET brevo_processing_status = 'Error' WHERE email LIKE 'error%'")
    world.add(*(f"processing{number}@example.com" for number in range(2)))
    hold(world, world.add("held@example.com")[0])
    world.execute("UPDATE contacts SET brevo_processing_status = 'Processing' WHERE email LIKE 'processing%'")
    for minutes in (0, 6):  # before the retries fall due, and afterwards
        world.pass_time(timedelta(minutes=minutes))
        found, counted = world.queue().figures.now(), world.database.report().status(CRMS["brevo"])
        assert (found.due, found.waiting) == ((1, 4) if not minutes else (5, 0))
        assert (found.processing, found.error, found.held) == (2, 3, 1)
        assert found.processing == counted.counts["Processing"]
        assert found.error == counted.counts["Error"]
        assert minutes * 60 + 175 < (found.lag_seconds or 0) < minutes * 60 + 240


def test_nothing_is_counted_beyond_the_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "COUNTED_UP_TO", 3)
    world.add_many(5)
    assert world.queue().figures.now().due == 3


def test_the_share_is_of_those_that_ended_and_were_attempted_in_the_last_day(world: World) -> None:
    world.add_many(2)
    one_run(world.queue())
    world.execute("UPDATE contacts SET brevo_processing_status = 'Error'")
    world.pass_time(timedelta(hours=25))
    world.add(*(f"{name}@example.com" for name in "abcd"))
    one_run(world.queue(), FAILED, Synced("1", "created"))
    world.execute(
        "UPDATE contacts SET brevo_processing_status = 'Error' "
        "WHERE id = (SELECT id FROM contacts WHERE brevo_processing_status = 'Complete' LIMIT 1)"
    )
    share = world.queue().figures.ended_lately()
    assert (share.ended, share.error, round(share.percent)) == (3, 1, 33)


@pytest.mark.parametrize("claimed_by", ["a dead claim", "nobody"])
def test_what_stands_processing_past_its_lease_is_seen_with_its_age_until_it_is_recovered(
    world: World, claimed_by: str
) -> None:
    world.add_many(2)
    queue, minute = world.queue(), timedelta(minutes=1)
    queue.claim(2, run_id="r-1")
    if claimed_by == "nobody":
        world.execute("DELETE FROM crm_sync.deliveries")
    world.pass_time(LEASE - minute)
    assert queue.figures.longest_expired() is None
    world.pass_time(6 * minute)
    found = queue.figures.longest_expired()
    assert found is not None
    assert 5 * minute <= found.ago < 6 * minute
    assert found.run_id == ("r-1" if claimed_by == "a dead claim" else None)
    queue.recover()
    assert queue.figures.longest_expired() is None


def test_failures_say_what_happens_next_and_hold_nothing_personal(world: World) -> None:
    world.add(*(f"{name}@example.com" for name in "abcd"))
    queue = world.queue()
    batch = queue.claim(4)
    contacts = queue.contacts_of(batch.token)
    outcomes: list[Outcome] = [FAILED, Rejected("invalid_email", "m"), Synced("1", "created"), FAILED]
    done = zip(contacts, outcomes, strict=True)
    queue.journal(batch.token, [attempt(contact, outcome) for contact, outcome in done])
    world.unselect(contacts[3].id)
    queue.settle(batch.token)
    failures = {each.contact_id: each for each in queue.figures.failures([batch.token], 10)}
    assert {each.reason for each in failures.values()} == {"http_503", "invalid_email"}
    assert failures.keys() == {contacts[index].id for index in (0, 1, 3)}
    assert failures[contacts[0].id].next_retry_at
    assert (failures[contacts[0].id].state, failures[contacts[0].id].number) == ("Queued", 1)
    assert failures[contacts[3].id].state is None, "it was unselected, and is not tried again"
    assert "example.com" not in str(failures)
    assert len(queue.figures.failures([batch.token], 2)) == 2
