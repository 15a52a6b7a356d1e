"""Delivery by import: real PostgreSQL, the simulator over HTTP. A run that dies, and one that takes up what it left."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from crm_sync_pipeline import importer
from crm_sync_pipeline.bulk_delivery import deliver_batch
from crm_sync_pipeline.contact_queue import imports as queue_imports
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.destinations.brevo import BrevoResource
from crm_sync_pipeline.destinations.brevo_import import BrevoImport
from crm_sync_pipeline.domain.batch import Batch, Settlement, Tally
from crm_sync_pipeline.domain.transition import Ending
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.builders import LEASE, World
from crm_sync_pipeline_tests.product import Product

PAST_THE_LEASE = LEASE + timedelta(seconds=1)
POST, LOOK = "POST /v3/contacts/import", "GET /v3/processes/N"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing here speaks TLS; and the simulator needs no time for an import unless a test says so."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setattr(importer, "SHORTEST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(importer, "SEARCH_AFTER_SECONDS", (0.01, 0.02))


@pytest.fixture
def config() -> BrevoConfig:
    return BrevoConfig(limits=PLANS["unlimited"], import_seconds=0)


@pytest.fixture
def simulator(config: BrevoConfig) -> BrevoSimulator:
    return BrevoSimulator(config)


@pytest.fixture
def brevo(brevo_server: RunningSimulator) -> BrevoResource:
    return BrevoResource(
        base_url=f"{brevo_server.base_url}/v3",
        api_key="xkeysib-simulator",
        requests_per_second=1000,
        list_id=1,
        bulk_threshold=1,
    )


def asked(simulator: BrevoSimulator) -> Counter[str]:
    """How often which path was asked for."""
    paths = ((each.method, each.path) for each in simulator.requests)
    return Counter(
        f"{method} {'/v3/processes/N' if path.startswith('/v3/processes/') else path}" for method, path in paths
    )


def run(queue: ContactQueue, brevo: BrevoResource, size: int = 1000) -> tuple[Tally, Settlement]:
    batch = queue.claim(size, takes_up_imports=True)
    return finished(queue, batch, deliver_batch(queue, brevo, batch))


def finished(queue: ContactQueue, batch: Batch, tally: Tally) -> tuple[Tally, Settlement]:
    """As the op that records results does."""
    settled = queue.settle(batch.token)
    settled.add(tally.settled)
    return tally, settled


def endings(settled: Settlement) -> dict[str, int]:
    return {ending.value: count for ending, count in settled.endings.items() if count}


def test_all_are_delivered_by_one_import(world: World, brevo: BrevoResource, simulator: BrevoSimulator) -> None:
    world.add_many(300)
    tally, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 300}
    assert len(simulator.contacts) == 300
    assert asked(simulator) == {"GET /v3/processes": 1, POST: 1, LOOK: 1}
    assert (tally.requests, tally.outcomes, tally.reasons) == (3, Counter(synced=300), Counter(imported=300))
    assert world.value("SELECT count(*) FROM crm_sync.import_contacts") == 0


def test_bodies_are_no_longer_than_brevo_takes_and_all_of_a_long_batch_goes(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, lengths, body = 80_000, [], BrevoImport.body

    def measured(bulk: BrevoImport, rows: Sequence[bytes]) -> bytes:
        lengths.append(len(body(bulk, rows)))
        return body(bulk, rows)

    monkeypatch.setattr(BrevoImport, "most_bytes", limit)
    monkeypatch.setattr(BrevoImport, "body", measured)
    monkeypatch.setattr(queue_imports, "PAGE", 700)
    monkeypatch.setattr(queue_imports, "JOURNALED_AT_ONCE", 100)
    world.add_many(2000)
    tally, settled = run(world.queue(), brevo, 2000)
    assert endings(settled) == {"complete": 2000}
    assert len(lengths) == 5
    first, *others, _last = lengths
    assert 0.95 * limit / 2 < first <= limit / 2, "while it is worked on, the next is made ready"
    assert all(0.98 * limit < length <= limit for length in others)
    assert tally.requests == 1 + 2 * 5 == simulator.requests.total


def test_exactly_the_rows_that_brevo_refuses_come_back_with_their_reason(world: World, brevo: BrevoResource) -> None:
    world.add_many(50)
    bad = world.add("not an address", "nobody@nowhere", "x@y.z;a", "A@example.com")
    taken = world.add("first@example.com", "second@example.com", phone_number="+1 415 555 2671")
    tally, settled = run(world.queue(), brevo)
    reasons = world.rows("SELECT contact_id, reason, message FROM crm_sync.attempts WHERE outcome = 'rejected'")
    by_reason = {row["contact_id"]: row["reason"] for row in reasons}
    late = max(taken)  # in id order: the first of two with one number has it
    assert by_reason == {**dict.fromkeys(bad[:3], "invalid_email"), late: "sms_in_use"}
    assert endings(settled) == {"complete": 52, "retry": 4}
    assert {row["message"] for row in reasons} == {
        "Brevo's import refused the contact: its e-mail address is not valid",
        "Brevo's import refused the contact: another contact has its phone number",
    }
    assert tally.reasons == Counter(imported=52, invalid_email=3, sms_in_use=1)
    assert world.contact(bad[3])["brevo_contact_id"] == "A@example.com"


def test_a_contact_that_failed_before_goes_by_itself(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add("not an address", "a@example.com")
    run(world.queue(), brevo)
    world.pass_time(timedelta(minutes=6))
    world.add("b@example.com")
    simulator.requests.clear()
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 1, "retry": 1}
    assert asked(simulator) == {"GET /v3/processes": 1, POST: 1, LOOK: 1, "POST /v3/contacts": 1}
    newest = world.rows("SELECT reason, number FROM crm_sync.attempts ORDER BY id DESC LIMIT 1")
    assert newest == [{"reason": "invalid_email", "number": 2}]


def test_of_those_with_one_address_the_first_is_imported_and_the_other_goes_by_itself(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    twins = sorted(world.add("twin@example.com", " TWIN@example.com ", name="Ann"))
    world.execute("UPDATE contacts SET name = 'Later' WHERE id = :id", id=twins[1])
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 2}
    assert [len(process.order.rows) for process in simulator.imports.processes.values()] == [1]
    assert asked(simulator)["POST /v3/contacts"] == 1
    assert simulator.contacts["twin@example.com"].attributes["FIRSTNAME"] == "Later"


def test_what_can_not_be_sent_at_all_is_refused_without_a_row(world: World, brevo: BrevoResource) -> None:
    world.add("  ", "a@example.com")
    tally, settled = run(world.queue(), brevo)
    assert tally.reasons == Counter(no_email=1, imported=1)
    assert endings(settled) == {"complete": 1, "retry": 1}


def test_what_brevo_took_last_is_not_sent_again_where_that_is_asked_for(world: World, brevo: BrevoResource) -> None:
    first, _ = world.add("a@example.com", "b@example.com")
    run(world.queue(), brevo)
    world.execute("UPDATE contacts SET name = 'New' WHERE id = :id", id=first)
    world.execute("UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'")
    tally, settled = run(world.queue(), brevo.model_copy(update={"skip_unchanged": True}))
    assert tally.reasons == Counter(imported=1, unchanged=1)
    assert endings(settled) == {"complete": 2}


def test_no_personal_data_is_kept_beside_the_contacts(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add("janette.q@example.com", name="Janette Quillfeather", phone_number="+1 415 555 2671")
    simulator.inject("hang:method=GET:path=/v3/processes/*")
    queue = world.queue()
    batch = queue.claim(10, takes_up_imports=True)
    deliver_batch(queue, brevo.model_copy(update={"timeout_seconds": 0.2}), batch)
    kept = str(world.rows("SELECT * FROM crm_sync.import_contacts") + world.rows("SELECT * FROM crm_sync.imports"))
    assert "import_id" in kept
    assert not [word for word in ("janette", "Quillfeather", "4155552671") if word in kept]


# Decisions of people


def test_an_edit_while_an_import_is_under_way_goes_out_again(world: World, brevo: BrevoResource) -> None:
    edited, unselected, deleted, other = world.add(*(f"{name}@example.com" for name in "abcd"))
    queue = world.queue()
    batch = queue.claim(10)
    with_people = _Meanwhile(brevo, lambda: _decide(world, edited, unselected, deleted))
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


class _Meanwhile:
    """A destination whose `look` does something first, the first time."""

    def __init__(self, brevo: BrevoResource, does: Any, method: str = "look") -> None:
        self.calls = 0
        meanwhile = self

        class Bulk(BrevoImport):
            pass

        async def call(bulk: BrevoImport, *arguments: Any) -> Any:
            if not meanwhile.calls:
                meanwhile.calls += 1
                await asyncio.to_thread(does)
            return await getattr(BrevoImport, method)(bulk, *arguments)

        setattr(Bulk, method, call)

        class Brevo(BrevoResource):
            def bulk(self) -> BrevoImport:
                return Bulk(self, self.list_id)

        self.brevo = Brevo(**{name: getattr(brevo, name) for name in BrevoResource.model_fields})


def test_what_another_program_wrote_into_a_row_meanwhile_neither_hides_nor_repeats_it(
    world: World, brevo: BrevoResource
) -> None:
    touched, other = world.add("a@example.com", "b@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    touch = partial(world.execute, "UPDATE contacts SET context = 'seen' WHERE id = :id", id=touched)
    _, settled = finished(queue, batch, deliver_batch(queue, _Meanwhile(brevo, touch).brevo, batch))
    assert endings(settled) == {"complete": 2}
    for contact in (touched, other):
        assert world.delivery(contact)["claim_token"] is None
        assert world.delivery(contact)["payload_hash"]
        assert world.contact(contact)["brevo_contact_id"] == world.contact(contact)["email"]


def test_a_row_that_does_not_take_its_result_ends_alone(world: World, brevo: BrevoResource) -> None:
    bad, good = world.add("a@example.com", "b@example.com")
    world.execute("ALTER TABLE contacts ADD CHECK (NOT (email = 'a@example.com' AND brevo_sync_status = 'Complete'))")
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 1, "error": 1}
    assert "not_recorded" in world.contact(bad)["brevo_processing_error"]
    assert world.status(good) == ("Complete", "Complete")


def test_who_is_taken_back_before_the_request_is_not_sent(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    taken_back, other = world.add("a@example.com", "b@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    deliver_batch(queue, _Meanwhile(brevo, lambda: world.unselect(taken_back), "newest").brevo, batch)
    queue.settle(batch.token)
    assert list(simulator.contacts) == ["b@example.com"]
    assert world.status(taken_back) == ("New", None)
    assert world.status(other) == ("Complete", "Complete")


def test_when_all_are_taken_back_before_the_request_none_is_made(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    ids = world.add("a@example.com", "b@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    deliver_batch(queue, _Meanwhile(brevo, lambda: world.unselect(*ids), "newest").brevo, batch)
    assert asked(simulator) == {"GET /v3/processes": 1}


# Runs that die


def die(queue: ContactQueue, brevo: BrevoResource, when: str) -> Batch:
    """A run that ends, without a trace of its own, when it is about to call this method of the import."""
    batch = queue.claim(1000, takes_up_imports=True)

    class Dies(BaseException):
        pass

    def end() -> None:
        raise Dies

    queue.imports.let_go = lambda _: None  # type: ignore[method-assign, assignment] # nobody tidies up after a kill
    with pytest.raises(Dies):
        deliver_batch(queue, _Meanwhile(brevo, end, when).brevo, batch)
    return batch


def under_way(world: World) -> int:
    count: int = world.value("SELECT count(*) FROM crm_sync.imports WHERE finished_at IS NULL")
    return count


def test_a_run_killed_after_the_request_is_taken_up_and_nothing_is_imported_twice(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "look")
    assert world.queue().claim(1000, takes_up_imports=True).size == 0, "its lease is alive"
    world.pass_time(PAST_THE_LEASE)
    assert world.queue().needs_recovery()
    simulator.requests.clear()
    queue = world.queue()
    batch = queue.claim(5, takes_up_imports=True)
    assert batch.size == 20, "whatever the size of a batch"
    tally, settled = finished(queue, batch, deliver_batch(queue, brevo, batch))
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {LOOK: 1}
    assert (tally.outcomes, under_way(world)) == (Counter(synced=20), 0)


def test_an_import_under_way_is_finished_after_imports_were_switched_off(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "look")
    world.pass_time(PAST_THE_LEASE)
    simulator.requests.clear()
    _, settled = run(world.queue(), brevo.model_copy(update={"bulk_threshold": None}))
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {LOOK: 1}


def test_a_run_killed_between_request_and_answer_is_found_among_the_processes(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    queue = world.queue()
    queue.imports.note_process = _dies  # type: ignore[method-assign, assignment]
    queue.imports.let_go = lambda _: None  # type: ignore[method-assign, assignment]
    with pytest.raises(_DiedError):
        deliver_batch(queue, brevo, queue.claim(1000))
    world.pass_time(PAST_THE_LEASE)
    simulator.requests.clear()
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {"GET /v3/processes": 1, LOOK: 1}


class _DiedError(Exception):
    pass


def _dies(*_: Any) -> None:
    raise _DiedError


def test_a_run_killed_before_the_request_left_is_looked_for_then_sent_again(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "post")
    world.pass_time(PAST_THE_LEASE)
    simulator.requests.clear()
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {"GET /v3/processes": 3, POST: 1, LOOK: 1}


def test_a_run_killed_while_it_journals_leaves_the_rest_to_the_next_and_counts_nothing_twice(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator, monkeypatch: pytest.MonkeyPatch
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
    queue.imports.let_go = lambda _: None  # type: ignore[method-assign, assignment]
    with pytest.raises(_DiedError):
        deliver_batch(queue, brevo, queue.claim(1000))
    assert world.value("SELECT count(*) FROM crm_sync.attempts") == 12
    world.pass_time(PAST_THE_LEASE)
    queue = world.queue()
    batch = queue.claim(1000, takes_up_imports=True)
    assert batch.size == 9, "what was journaled is recovered, not taken up"
    deliver_batch(queue, brevo, batch)
    queue.settle(batch.token)
    assert asked(simulator)[POST] == 1
    assert world.value("SELECT count(*) FROM crm_sync.attempts") == 21
    assert world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'") == 20
    assert world.delivery(bad[0])["retry_count"] == 1


def test_a_worker_that_lost_its_lease_while_it_waited_touches_nothing(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    queue = world.queue()
    batch = queue.claim(1000)
    others: list[Batch] = []

    def lose() -> None:
        world.pass_time(PAST_THE_LEASE)
        others.append(world.queue().claim(1000, takes_up_imports=True))

    tally = deliver_batch(queue, _Meanwhile(brevo, lose).brevo, batch)
    assert not tally.outcomes
    assert world.value("SELECT count(*) FROM crm_sync.attempts") == 0
    assert queue.settle(batch.token).total == 0
    (other,) = others
    assert other.size == 20
    _, settled = finished(queue, other, deliver_batch(queue, brevo, other))
    assert endings(settled) == {"complete": 20}
    assert asked(simulator)[POST] == 1


def test_a_contact_that_was_delivered_alone_meanwhile_is_sent_again_if_it_differs(
    world: World, brevo: BrevoResource
) -> None:
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


def test_two_claims_at_a_time_take_an_import_up_once(world: World, brevo: BrevoResource) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "look")
    world.pass_time(PAST_THE_LEASE)
    first, second = (world.queue().claim(1000, takes_up_imports=True) for _ in range(2))
    assert (first.size, second.size) == (20, 0)


def test_an_import_that_was_taken_up_too_often_is_given_up_and_its_contacts_are_queued(
    world: World, brevo: BrevoResource
) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "look")
    for _ in range(queue_imports.TAKEN_UP_AT_MOST):
        world.pass_time(PAST_THE_LEASE)
        assert world.queue().claim(1000, takes_up_imports=True).size == 20
    world.pass_time(PAST_THE_LEASE)
    world.queue().claim(1000, takes_up_imports=True)
    assert under_way(world) == 0
    world.queue().recover()
    assert world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Queued'") == 20


def test_a_claim_that_does_not_wait_for_imports_leaves_them_alone(world: World, brevo: BrevoResource) -> None:
    world.add_many(20)
    die(world.queue(), brevo, "look")
    world.pass_time(PAST_THE_LEASE)
    assert world.queue().claim(1000).size == 0
    assert under_way(world) == 1


def test_a_run_told_to_stop_leaves_its_import_to_the_next_claim_at_once(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    queue = world.queue()
    batch = queue.claim(1000)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver_batch(queue, _Meanwhile(brevo, stop).brevo, batch)
    assert queue.settle(batch.token).total == 0, "they are not given back while their import is under way"
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator)[POST] == 1


# Unkind answers


def test_a_lost_answer_is_looked_for_before_anything_is_sent_again(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("reset-after-write:times=1:path=/v3/contacts/import")
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {"GET /v3/processes": 2, POST: 1, LOOK: 1}


def test_a_request_that_started_nothing_is_sent_again(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("status-503:times=1:path=/v3/contacts/import")
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {"GET /v3/processes": 3, POST: 2, LOOK: 1}


def test_of_two_imports_that_may_be_ours_neither_is_taken_for_it(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("reset-after-write:times=1:path=/v3/contacts/import")

    def somebody_else() -> None:
        simulator.imports.start(simulator.imports.processes[1].order, simulator.clock())

    run(world.queue(), _Meanwhile(brevo, somebody_else, "find").brevo)
    assert asked(simulator)[POST] == 2
    assert world.value("SELECT process_id FROM crm_sync.imports") == 3


def test_an_import_that_brevo_refuses_as_a_whole_goes_one_by_one_at_once(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("status-400:path=/v3/contacts/import")
    tally, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert tally.reasons == Counter(created=20)
    assert asked(simulator)["POST /v3/contacts"] == 20


def test_imports_that_do_not_get_through_go_one_by_one_in_the_same_run(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("status-524-html:path=/v3/contacts/import:written=no")
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator)[POST] == importer.MOST_POSTS


def test_a_429_costs_nobody_anything(world: World, brevo: BrevoResource, simulator: BrevoSimulator) -> None:
    world.add_many(20)
    simulator.inject("status-429:times=2:retry-after=0.1:path=/v3/contacts/import")
    simulator.inject("status-429:times=2:retry-after=0.1:method=GET:path=/v3/processes*")
    tally, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert (tally.rate_limited, tally.outcomes) == (4, Counter(synced=20))


@pytest.mark.parametrize("fault", ["status-401-key", "status-401-ip", "status-402", "status-403"])
def test_a_refusal_of_our_set_up_opens_the_breaker_and_gives_all_back(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator, fault: str
) -> None:
    world.add_many(20)
    simulator.inject(f"{fault}:path=/v3/contacts/import")
    tally, settled = run(world.queue(), brevo)
    assert tally.down
    assert endings(settled) == {"deferred": 20}
    assert world.queue().breaker.state()
    assert under_way(world) == 0
    assert asked(simulator)["POST /v3/contacts"] == 0


def test_a_list_that_is_not_there_opens_the_breaker(world: World, brevo: BrevoResource) -> None:
    world.add_many(20)
    tally, _ = run(world.queue(), brevo.model_copy(update={"list_id": 77}))
    assert "Check BREVO_LIST_ID; it is 77 now" in (tally.down or "")


def test_a_destination_that_goes_down_while_an_import_is_under_way_keeps_it_for_the_probe(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("status-401-key:method=GET:path=/v3/processes/*")
    tally, settled = run(world.queue(), brevo)
    assert tally.down
    assert settled.total == 0
    assert under_way(world) == 1
    assert run(world.queue(), brevo)[1].total == 0, "while it is down nothing is asked"
    simulator.heal()
    world.pass_time(timedelta(seconds=61))
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert world.queue().breaker.state() is None
    assert asked(simulator)[POST] == 1


def test_five_failures_in_a_row_open_the_breaker(world: World, brevo: BrevoResource, simulator: BrevoSimulator) -> None:
    world.add_many(20)
    simulator.inject("status-503:method=GET:path=/v3/processes/*")
    tally, _ = run(world.queue(), brevo)
    assert "is down" in (tally.down or "")
    assert asked(simulator)[LOOK] == 5


def test_a_process_that_brevo_forgot_is_as_if_it_was_never_sent(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("status-404:times=1:method=GET:path=/v3/processes/*")
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator)[POST] == 2


def test_an_import_that_comes_to_no_end_fails_and_its_contacts_go_by_themselves_next_time(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "PATIENCE_SECONDS", 0.1)
    world.add_many(5)
    simulator.imports._config = BrevoConfig(import_seconds=1000)
    tally, settled = run(world.queue(), brevo)
    assert tally.reasons == Counter(import_timeout=5)
    assert endings(settled) == {"retry": 5}
    world.pass_time(timedelta(minutes=6))
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 5}
    assert asked(simulator)["POST /v3/contacts"] == 5


@pytest.mark.parametrize(
    "config",
    [BrevoConfig(limits=PLANS["unlimited"], import_seconds=0, import_ends=end) for end in ("failed", "cancelled")],
)
def test_an_import_that_ends_badly_makes_its_contacts_fail(world: World, brevo: BrevoResource) -> None:
    world.add_many(5)
    tally, settled = run(world.queue(), brevo)
    assert tally.reasons == Counter(import_failed=5)
    assert endings(settled) == {"retry": 5}


def test_an_import_that_nobody_could_wait_for_is_given_up_after_hours(world: World, brevo: BrevoResource) -> None:
    world.add_many(5)
    die(world.queue(), brevo, "look")
    world.pass_time(queue_imports.GIVEN_UP_AFTER)
    world.queue().claim(10, takes_up_imports=True)
    assert world.queue().recover().endings == {Ending.DEFERRED: 5}


def test_a_list_of_refusals_that_can_not_be_read_makes_nobody_complete(
    world: World, brevo: BrevoResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_sync_pipeline.simulators.brevo.imports.Process.file", lambda *_: "a;b\n1;2\n")
    world.add("not an address", "a@example.com")
    tally, settled = run(world.queue(), brevo)
    assert tally.reasons == Counter(refusals_unreadable=2)
    assert endings(settled) == {"retry": 2}


def test_a_refused_address_that_nobody_here_has_makes_nobody_complete(
    world: World, brevo: BrevoResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = "email;X\nnot an address;1\nwhoever@example.com;2\n"
    monkeypatch.setattr("crm_sync_pipeline.simulators.brevo.imports.Process.file", lambda *_: file)
    world.add("not an address", "a@example.com")
    tally, settled = run(world.queue(), brevo)
    assert tally.reasons == Counter(invalid_email=1, import_unclear=1)
    assert endings(settled) == {"retry": 2}


# When imports are used, and what a run shows


def test_a_short_batch_goes_one_by_one(world: World, brevo: BrevoResource, simulator: BrevoSimulator) -> None:
    world.add_many(9)
    run(world.queue(), brevo.model_copy(update={"bulk_threshold": 10}))
    assert asked(simulator) == {"POST /v3/contacts": 9}


@pytest.mark.parametrize(
    "config", [BrevoConfig(limits=PLANS["unlimited"], import_seconds=0, import_clears_blocklist=True)]
)
def test_an_import_may_clear_the_blocklist_which_is_why_it_is_off_by_default(
    world: World, brevo: BrevoResource, simulator: BrevoSimulator
) -> None:
    world.add("out@example.com")
    run(world.queue(), brevo.model_copy(update={"bulk_threshold": None}))
    contact = simulator.contacts["out@example.com"]
    simulator.account.save(replace(contact, email_blacklisted=True))
    for threshold, blocked in ((None, True), (1, False)):
        world.execute("UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'")
        run(world.queue(), brevo.model_copy(update={"bulk_threshold": threshold}))
        assert simulator.contacts["out@example.com"].email_blacklisted is blocked


def batch_size(request: object) -> object:
    assert isinstance(request, dg.RunRequest)
    return request.run_config["ops"]["claim_batch"]["config"]["batch_size"]


def test_runs_of_dagster_import_a_long_queue_and_send_what_is_left_one_by_one(product: Product) -> None:
    product.set(BREVO_BULK_IMPORT="true", BREVO_LIST_ID="1", BREVO_BULK_THRESHOLD="30", BREVO_BULK_BATCH_LIMIT="80")
    product.set(BREVO_SYNC_SENSOR_BATCH_LIMIT="20", BREVO_SYNC_SCHEDULER_BATCH_SIZE="20")
    product.world.add_many(100)
    assert batch_size(product.tick("brevo_sync_schedule")) == 80
    for size in (80, 20):
        request = product.tick("brevo_queue_sensor")
        assert batch_size(request) == size
        assert product.run_requested(request).success
    requests = asked(product.simulator)
    assert (requests[POST], requests["POST /v3/contacts"]) == (1, 20)
    assert product.world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'") == 100


@pytest.mark.parametrize("unset", ["BREVO_BULK_IMPORT", "BREVO_LIST_ID"])
def test_without_the_switch_or_a_list_nothing_is_imported(product: Product, unset: str) -> None:
    product.set(BREVO_BULK_IMPORT="true", BREVO_LIST_ID="1", BREVO_BULK_THRESHOLD="3")
    product.unset(unset)
    product.world.add_many(5)
    product.run_requested(product.tick("brevo_queue_sensor"))
    assert asked(product.simulator) == {"POST /v3/contacts": 5}


def test_a_terminated_run_leaves_its_import_to_the_next(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    product.set(BREVO_BULK_IMPORT="true", BREVO_LIST_ID="1", BREVO_BULK_THRESHOLD="3")
    product.world.add_many(5)
    request = product.tick("brevo_queue_sensor")
    with monkeypatch.context() as patched:
        patched.setattr(BrevoImport, "look", _terminated)
        assert not product.run_requested(request).success
    assert product.world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Processing'") == 5
    assert product.run_requested(product.tick("brevo_queue_sensor")).success
    assert product.world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'") == 5
    assert asked(product.simulator)[POST] == 1


async def _terminated(*_: Any) -> None:
    raise DagsterExecutionInterruptedError
