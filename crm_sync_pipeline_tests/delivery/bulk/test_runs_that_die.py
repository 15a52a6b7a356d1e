"""An import outlives its run: the next one adopts it, and nothing is imported twice without need."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from crm_sync_pipeline.contact_queue.bulk import imports as queue_imports
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.delivery.engine import Engine
from crm_sync_pipeline.delivery.importer import Importer
from crm_sync_pipeline.delivery.lease import LeaseKeeper, LeaseLostError
from crm_sync_pipeline.destinations.brevo.bulk_import import BrevoImport
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Batch
from crm_sync_pipeline.domain.transition import LOSSES_UNTIL_QUARANTINE
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.delivery.bulk.runs import (
    LOOK,
    PAST_THE_LEASE,
    POST,
    Meanwhile,
    asked,
    die,
    endings,
    finished,
    in_progress,
    run,
)


class _DiedError(Exception):
    pass


def _dies(*_: Any) -> None:
    raise _DiedError


def test_a_run_killed_after_the_request_is_adopted_and_nothing_is_imported_twice(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "look")
    assert world.queue().claim(1000, adopts_imports=True).size == 0, "its lease is alive"
    world.pass_time(PAST_THE_LEASE)
    assert world.queue().needs_recovery()
    simulator.requests.clear()
    queue = world.queue()
    batch = queue.claim(5, adopts_imports=True)
    assert batch.size == 20, "whatever the size of a batch"
    tally, settled = finished(queue, batch, deliver_batch(queue, brevo, batch))
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {LOOK: 1}
    assert (tally.outcomes, in_progress(world)) == (Counter(synced=20), 0)


def test_of_a_run_killed_between_two_imports_both_are_adopted_and_neither_is_sent_again(
    world: World, brevo: Brevo, simulator: BrevoSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is over and not journaled yet when the second is sent: the one is written down beside the other."""
    monkeypatch.setattr(BrevoImport, "most_bytes", 8_000)
    world.add_many(60)
    queue = world.queue()
    batch = queue.claim(60)
    queue.imports.abandon = lambda _: None  # type: ignore[method-assign, assignment] # nobody tidies up after a kill
    with monkeypatch.context() as patched:
        patched.setattr(Importer, "journal", _dies)
        with pytest.raises(_DiedError):
            deliver_batch(queue, brevo, batch)
    assert (in_progress(world), asked(simulator)[POST]) == (2, 2)
    world.pass_time(PAST_THE_LEASE)
    done = [run(world.queue(), brevo)[1] for _ in range(4)]
    assert sum(endings(settled).get("complete", 0) for settled in done) == 60
    posted = [each.json["jsonBody"] for each in simulator.requests if each.path.endswith("/import")]
    arrived = [row["email"] for body in posted for row in body]
    assert len(arrived) == len(set(arrived)) == 60


def test_an_import_in_progress_is_finished_after_imports_were_switched_off(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "look")
    world.pass_time(PAST_THE_LEASE)
    simulator.requests.clear()
    _, settled = run(world.queue(), brevo.model_copy(update={"bulk_threshold": None}))
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {LOOK: 1}


def test_an_import_that_the_version_before_began_is_finished_after_the_upgrade(
    fresh: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    fresh.add_many(20)
    die(fresh.queue(), brevo, "look")
    fresh.script(
        "ALTER TABLE crm_sync.import_contacts ADD COLUMN row_version text NOT NULL DEFAULT '742';"
        "ALTER TABLE crm_sync.import_contacts ALTER COLUMN row_version DROP DEFAULT;"
        "ALTER TABLE crm_sync.attempts DROP COLUMN request_size;"
        "UPDATE crm_sync.alembic_version SET version_num = '0007'"
    )
    fresh.execute("UPDATE contacts SET name = 'Ann' WHERE email = '7@example.com'")
    assert fresh.upgrade() == ["migrated schema crm_sync from 0007 to 0009"]
    fresh.pass_time(PAST_THE_LEASE)
    simulator.requests.clear()
    _, settled = run(fresh.queue(), brevo)
    assert endings(settled) == {"complete": 19, "again": 1}
    assert asked(simulator) == {LOOK: 1}


def test_a_run_killed_between_request_and_answer_is_found_among_the_processes(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    queue = world.queue()
    queue.imports.note_process = _dies  # type: ignore[method-assign, assignment]
    queue.imports.abandon = lambda _: None  # type: ignore[method-assign, assignment]
    with pytest.raises(_DiedError):
        deliver_batch(queue, brevo, queue.claim(1000))
    world.pass_time(PAST_THE_LEASE)
    simulator.requests.clear()
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {"GET /v3/processes": 1, LOOK: 1}


def test_a_run_killed_before_the_request_left_is_looked_for_then_sent_again(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "post")
    world.pass_time(PAST_THE_LEASE)
    simulator.requests.clear()
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {"GET /v3/processes": 3, POST: 1, LOOK: 1}


def test_of_two_imports_without_an_answer_neither_is_taken_for_the_one_that_arrived(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    """Or the contacts of the one that never left would be Complete, and nobody would send them again."""
    world.add_many(10)
    die(world.queue(), brevo, "post")
    world.add(*(f"later{number}@example.com" for number in range(10)))
    queue = world.queue()
    queue.imports.note_process = _dies  # type: ignore[method-assign, assignment]
    queue.imports.abandon = lambda _: None  # type: ignore[method-assign, assignment]
    with pytest.raises(_DiedError):
        deliver_batch(queue, brevo, queue.claim(1000))
    assert (in_progress(world), asked(simulator)[POST]) == (2, 1)
    world.pass_time(PAST_THE_LEASE)
    for _ in range(2):
        run(world.queue(), brevo)
    complete = {row["email"] for row in world.rows("SELECT email FROM contacts WHERE brevo_sync_status = 'Complete'")}
    assert len(complete) == 20
    assert complete <= set(simulator.contacts)


def test_an_import_given_up_a_moment_ago_may_be_the_one_that_arrived(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(10)
    die(world.queue(), brevo, "post")
    world.pass_time(PAST_THE_LEASE)
    run(world.queue(), brevo)
    world.add(*(f"later{number}@example.com" for number in range(10)))
    queue = world.queue()
    queue.imports.note_process = _dies  # type: ignore[method-assign, assignment]
    queue.imports.abandon = lambda _: None  # type: ignore[method-assign, assignment]
    with pytest.raises(_DiedError):
        deliver_batch(queue, brevo, queue.claim(1000))
    world.pass_time(PAST_THE_LEASE)
    assert asked(simulator)[POST] == 2
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 10}
    assert asked(simulator)[POST] == 3, "the second was not taken for what it was, because the first may have become it"


def test_workers_that_die_whenever_they_import_are_followed_by_one_that_does_not(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    """For want of memory, say: each of them would find the import of the last, give it up, and die of its own."""
    world.add_many(20)
    for _ in range(LOSSES_UNTIL_QUARANTINE):
        die(world.queue(), brevo, "post")
        world.pass_time(PAST_THE_LEASE)
    simulator.requests.clear()
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {"GET /v3/processes": 2, "POST /v3/contacts": 20}
    assert world.value("SELECT max(lost_count) FROM crm_sync.deliveries") == 0


def test_a_run_killed_while_it_journals_leaves_the_rest_to_the_next_and_counts_nothing_twice(
    world: World, brevo: Brevo, simulator: BrevoSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_imports, "JOURNALED_AT_ONCE", 6)
    world.add_many(20)
    bad = world.add("not an address")
    queue = world.queue()
    original, done = queue.imports._do, []

    def some(work: Any) -> Any:
        if work.__name__ == "some":
            done.append(work)
            if len(done) == 3:
                raise _DiedError
        return original(work)

    queue.imports._do = some  # type: ignore[method-assign]
    queue.imports.abandon = lambda _: None  # type: ignore[method-assign, assignment]
    with pytest.raises(_DiedError):
        deliver_batch(queue, brevo, queue.claim(1000))
    assert world.value("SELECT count(*) FROM crm_sync.attempts") == 12
    world.pass_time(PAST_THE_LEASE)
    queue = world.queue()
    batch = queue.claim(1000, adopts_imports=True)
    assert batch.size == 9, "what was journaled is recovered, not adopted"
    deliver_batch(queue, brevo, batch)
    queue.settle(batch.token)
    assert asked(simulator)[POST] == 1
    assert world.value("SELECT count(*) FROM crm_sync.attempts") == 21
    assert world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'") == 20
    assert world.delivery(bad[0])["retry_count"] == 1


def test_a_worker_that_lost_its_lease_while_it_waited_touches_nothing(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    queue = world.queue()
    batch = queue.claim(1000)
    others: list[Batch] = []

    def lose() -> None:
        world.pass_time(PAST_THE_LEASE)
        others.append(world.queue().claim(1000, adopts_imports=True))

    tally = deliver_batch(queue, Meanwhile(brevo, lose).brevo, batch)
    assert not tally.outcomes
    assert world.value("SELECT count(*) FROM crm_sync.attempts") == 0
    assert queue.settle(batch.token).total == 0
    (other,) = others
    assert other.size == 20
    _, settled = finished(queue, other, deliver_batch(queue, brevo, other))
    assert endings(settled) == {"complete": 20}
    assert asked(simulator)[POST] == 1


def test_a_contact_that_was_delivered_alone_meanwhile_is_sent_again_if_it_differs(world: World, brevo: Brevo) -> None:
    one, _ = world.add("one@example.com", "two@example.com")
    die(world.queue(), brevo, "look")
    world.pass_time(PAST_THE_LEASE)
    world.execute("UPDATE contacts SET name = 'Newer' WHERE id = :id", id=one)
    alone = world.queue()
    batch = alone.claim_contact(one)
    deliver_batch(alone, brevo.model_copy(update={"bulk_threshold": None}), batch)
    assert endings(alone.settle(batch.token)) == {"complete": 1}, "settled by its own run, whatever the import holds"
    run(world.queue(), brevo)
    assert world.status(one) == ("Queued", "Queued"), "the import may have landed last"


def test_two_claims_at_a_time_take_an_import_up_once(world: World, brevo: Brevo) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "look")
    world.pass_time(PAST_THE_LEASE)
    first, second = (world.queue().claim(1000, adopts_imports=True) for _ in range(2))
    assert (first.size, second.size) == (20, 0)


def test_an_import_that_was_adopted_too_often_is_given_up_and_its_contacts_are_queued(
    world: World, brevo: Brevo
) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "look")
    for _ in range(queue_imports.MAX_ADOPTIONS):
        world.pass_time(PAST_THE_LEASE)
        assert world.queue().claim(1000, adopts_imports=True).size == 20
    world.pass_time(PAST_THE_LEASE)
    world.queue().claim(1000, adopts_imports=True)
    assert in_progress(world) == 0
    world.queue().recover()
    assert world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Queued'") == 20


def test_a_run_that_slept_beyond_its_lease_begins_nothing(world: World, brevo: Brevo) -> None:
    world.add_many(1)
    queue = world.queue()
    batch = queue.claim(1)
    world.pass_time(PAST_THE_LEASE)
    world.queue().recover()
    begun = []

    async def send() -> None:
        begun.append("a request")

    async def work() -> None:
        await LeaseKeeper(Engine(queue, brevo, batch)).while_waiting_for(send)

    with pytest.raises(LeaseLostError):
        asyncio.run(work())
    assert begun == []


def test_a_claim_that_does_not_wait_for_imports_leaves_them_alone(world: World, brevo: Brevo) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "look")
    world.pass_time(PAST_THE_LEASE)
    assert world.queue().claim(1000).size == 0
    assert in_progress(world) == 1


def test_a_run_told_to_stop_leaves_its_import_to_the_next_claim_at_once(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    queue = world.queue()
    batch = queue.claim(1000)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver_batch(queue, Meanwhile(brevo, stop).brevo, batch)
    assert queue.settle(batch.token).total == 0, "they are not given back while their import is in progress"
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator)[POST] == 1
