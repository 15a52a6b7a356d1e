from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline_tests.builders import LEASE, World, attempt, one_run

FAILED = Failed("http_503", "Brevo API error (503): try later")
MINUTE = timedelta(minutes=1)


def test_an_attempt_is_written_down_in_full(world: World) -> None:
    (contact,) = world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(1)
    done = Attempt(contact, Synced("42", "created", "ok"), "hash-of-row", "hash-of-json", 201, "req-1", 83)
    done = replace(done, remote_fields=frozenset({"SMS", "FIRSTNAME"}), request_size=3)
    assert queue.journal(batch.token, [done], run_id="run-7").total == 1
    (row,) = world.rows("SELECT * FROM crm_sync.attempts")
    row.pop("id")
    assert row.pop("attempted_at") <= world.value("SELECT now()")
    assert row == {
        "contact_id": contact,
        "destination": "brevo",
        "claim_token": batch.token,
        "run_id": "run-7",
        "number": 1,
        "outcome": "synced",
        "reason": "created",
        "message": "ok",
        "http_status": 201,
        "request_id": "req-1",
        "remote_id": "42",
        "milliseconds": 83,
        "contact_hash": "hash-of-row",
        "payload_hash": "hash-of-json",
        "remote_fields": "FIRSTNAME,SMS",
        "request_size": 3,
    }


def test_each_outcome_has_its_word(world: World) -> None:
    outcomes: list[Outcome] = [
        Synced("1", "updated"),
        FAILED,
        Rejected("http_400", "m"),
        Deferred("http_429", "m"),
        DestinationDown("http_401", "m"),
    ]
    world.add(*(f"{number}@example.com" for number in range(5)))
    one_run(world.queue(), *outcomes)
    words = world.rows("SELECT outcome, reason FROM crm_sync.attempts ORDER BY contact_id")
    assert [row["outcome"] for row in words] == ["synced", "failed", "rejected", "deferred", "deferred"]
    assert [row["reason"] for row in words] == [outcome.reason for outcome in outcomes]


def test_writing_an_attempt_twice_writes_it_once_and_keeps_the_first(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    queue = world.queue()
    batch = queue.claim(2)
    first, second = queue.contacts_of(batch.token)
    queue.journal(batch.token, [attempt(first)])
    before = world.rows("SELECT * FROM crm_sync.attempts")
    queue.journal(batch.token, [attempt(first, FAILED), attempt(second)])
    after = world.rows("SELECT * FROM crm_sync.attempts ORDER BY id")
    assert after[:1] == before
    assert [row["contact_id"] for row in after] == [first.id, second.id]


def test_the_same_attempt_twice_in_one_write_is_written_once(world: World) -> None:
    world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(1)
    (contact,) = queue.contacts_of(batch.token)
    queue.journal(batch.token, [attempt(contact), attempt(contact)])
    assert world.value("SELECT count(*) FROM crm_sync.attempts") == 1


def test_attempts_are_numbered_from_1_to_4_and_anew_after_a_selection(world: World) -> None:
    (contact,) = world.add("a@example.com")
    for _ in range(4):
        one_run(world.queue(), FAILED)
        world.pass_time(21 * MINUTE)
    world.select(contact)
    one_run(world.queue(), FAILED)
    numbers = [row["number"] for row in world.rows("SELECT number FROM crm_sync.attempts ORDER BY id")]
    assert numbers == [1, 2, 3, 4, 1]


def test_an_attempt_that_was_put_off_does_not_count_as_one(world: World) -> None:
    world.add("a@example.com")
    one_run(world.queue(), Deferred("http_401", "m"))
    one_run(world.queue(), FAILED)
    numbers = [row["number"] for row in world.rows("SELECT number FROM crm_sync.attempts ORDER BY id")]
    assert numbers == [1, 1]


def test_each_write_extends_the_lease_of_the_whole_claim(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    queue = world.queue()
    batch = queue.claim(2)
    contact, _ = queue.contacts_of(batch.token)
    for _ in range(3):
        world.pass_time(LEASE - MINUTE)
        assert queue.journal(batch.token, [attempt(contact)]).total == 2
    assert queue.recover().total == 0
    assert world.value("SELECT min(lease_expires_at) > now() + interval '290 s' FROM crm_sync.deliveries")


def test_a_lease_that_was_extended_a_moment_ago_is_not_written_again(world: World) -> None:
    world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(1)
    world.pass_time(timedelta(seconds=10))
    extended = queue.journal(batch.token, [])
    assert (extended.total, extended.lease_seconds) == (1, LEASE.total_seconds())
    before = world.snapshot()
    again = queue.journal(batch.token, [])
    assert again.total == 1
    assert LEASE.total_seconds() * 59 / 60 <= again.lease_seconds <= LEASE.total_seconds()
    assert world.snapshot() == before


def test_who_was_taken_back_is_told_to_those_who_look(world: World) -> None:
    ids = world.add("a@example.com", "b@example.com", "c@example.com", "d@example.com")
    queue = world.queue()
    batch = queue.claim(4)
    unselected, selected_anew, deleted, _ = ids
    world.unselect(unselected)
    world.select(selected_anew)
    world.execute("DELETE FROM contacts WHERE id = :id", id=deleted)
    assert queue.journal(batch.token, []).taken_back == frozenset({unselected, selected_anew, deleted})
    assert queue.journal(batch.token, [], look=False).taken_back is None


def test_a_write_without_attempts_extends_the_lease_too(world: World) -> None:
    world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(1)
    world.pass_time(LEASE - MINUTE)
    assert queue.journal(batch.token, []).total == 1
    world.pass_time(2 * MINUTE)
    assert queue.recover().total == 0


def test_0_says_that_the_lease_is_lost_and_it_stays_lost(world: World) -> None:
    (contact_id,) = world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(1)
    (contact,) = queue.contacts_of(batch.token)
    world.pass_time(LEASE + MINUTE)
    before = world.delivery(contact_id)
    assert queue.journal(batch.token, []).total == 0
    assert world.delivery(contact_id) == before
    newer = queue.claim(1)
    assert queue.journal(batch.token, [attempt(contact)]).total == 0
    assert world.delivery(contact_id)["claim_token"] == newer.token


def test_a_token_that_never_claimed_holds_nothing(world: World) -> None:
    world.add("a@example.com")
    world.queue().claim(1)
    assert world.queue().journal(uuid4(), []).total == 0


def test_no_address_gets_into_the_journal_or_into_the_error_that_people_see(world: World) -> None:
    ids = world.add("anna@example.com", "bob@example.com", "cleo@example.com")
    one_run(
        world.queue(),
        Failed("http_503", "no answer for anna@example.com"),
        Rejected("http_400", 'bad: {"email": "bob@example.com"}'),
        Synced("7", "created", "made cleo%40example.com"),
    )
    everything = str(world.rows("SELECT a::text FROM crm_sync.attempts a"))
    everything += str(world.rows("SELECT d::text FROM crm_sync.deliveries d"))
    everything += str([world.contact(contact)["brevo_processing_error"] for contact in ids])
    assert not any(name in everything for name in ("anna", "bob", "cleo"))
    assert "no answer for a***@example.com" in everything
