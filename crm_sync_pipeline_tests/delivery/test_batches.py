"""Three contacts in a request: everything that holds for one must hold for each of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline.delivery import run as delivery_run
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import destination
from crm_sync_pipeline.destinations.contract import Answer, Record, body_of
from crm_sync_pipeline.domain.batch import Tally
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import Outcome
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.batch_vendor.resource import BatchResource
from crm_sync_pipeline_tests.batch_vendor.simulator import WAYS, BatchSimulator
from crm_sync_pipeline_tests.builders import World

RETRY = timedelta(minutes=6)


@pytest.fixture
def vendor() -> BatchSimulator:
    return BatchSimulator(BrevoConfig(limits=PLANS["unlimited"]))


@pytest.fixture
def batch_crm(vendor: BatchSimulator) -> Iterator[BatchResource]:
    with running(vendor.app) as server:
        yield BatchResource(
            base_url=f"{server.base_url}/v3", api_key="xkeysib-simulator", requests_per_second=1000, concurrency=2
        )


def run(world: World, batch_crm: BatchResource) -> Tally:
    queue = world.queue()
    batch = queue.claim(100)
    tally = deliver_batch(queue, batch_crm, batch)
    queue.settle(batch.token)
    return tally


def states(world: World) -> Counter[str]:
    rows = world.rows("SELECT brevo_processing_status AS state FROM contacts")
    return Counter(row["state"] for row in rows)


def sizes(vendor: BatchSimulator) -> list[int]:
    return [len(request.emails) for request in vendor.requests]


def wrong(world: World, vendor: BatchSimulator) -> Iterator[str]:
    """What must never be, however a batch is answered: a result that is another contact's, or nobody's."""
    for row in world.rows("SELECT * FROM contacts WHERE brevo_processing_status = 'Complete'"):
        stored = vendor.contacts.get(row["email"].strip().lower())
        if stored is None:
            yield f"{row['email']} is Complete, and the vendor does not have it"
            continue
        if stored.attributes.get("FIRSTNAME") != row["name"]:
            yield f"{row['email']} is Complete, and the vendor has other data"
        known = world.delivery(row["id"])["remote_id"]
        if known not in (None, str(stored.id)):
            yield f"{row['email']} has the id {known} of another contact"
    for request in vendor.requests:
        if len(set(request.emails)) < len(request.emails):
            yield f"one request held an address twice: {request.emails}"


def people(world: World, count: int) -> list[UUID]:
    return [world.add(f"p{number}@example.com", name=f"N{number}")[0] for number in range(count)]


def test_ten_contacts_go_in_four_requests_and_the_journal_says_how_many_each_carried(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    people(world, 10)
    tally = run(world, batch_crm)
    assert sorted(sizes(vendor)) == [1, 3, 3, 3]
    assert (tally.requests, tally.outcomes["synced"], states(world)) == (4, 10, {"Complete": 10})
    carried = world.rows("SELECT request_size AS size, count(*) AS total FROM crm_sync.attempts GROUP BY 1")
    assert {row["size"]: row["total"] for row in carried} == {1: 1, 3: 9}
    assert list(wrong(world, vendor)) == []


@pytest.mark.parametrize("way", WAYS)
def test_however_a_batch_is_answered_nobody_is_complete_but_by_their_own_result(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator, way: str
) -> None:
    people(world, 9)
    vendor.ways = (way,)
    tally = run(world, batch_crm)
    assert list(wrong(world, vendor)) == []
    named = {"short": 6, "contradictory": 6, "swapped": 0, "half": 3, "cut": 0, "nothing": 0}.get(way, 9)
    assert (states(world)["Complete"], states(world)["Queued"]) == (named, 9 - named)
    assert tally.outcomes["synced"] == named
    assert set(tally.reasons) <= {"created", "unanswered", "unexpected_answer"}
    vendor.ways = ("whole",)
    world.execute("UPDATE crm_sync.destinations SET down_since = NULL")
    world.pass_time(RETRY)
    run(world, batch_crm)
    assert states(world) == {"Complete": 9}
    assert list(wrong(world, vendor)) == []


def test_a_bad_contact_fails_alone_and_its_neighbours_are_delivered(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    people(world, 5)
    (bad,) = world.add("bad@localhost-", name="Bad")
    tally = run(world, batch_crm)
    assert (tally.outcomes, len(vendor.requests)) == ({"synced": 5, "rejected": 1}, 2)
    assert "Invalid email address" in world.contact(bad)["brevo_processing_error"]


def test_a_batch_that_is_refused_as_a_whole_is_halved_until_one_contact_is_to_blame(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    people(world, 8)
    (bad,) = world.add("p4poison@example.com", name="Poison")
    tally = run(world, batch_crm)
    assert states(world) == {"Complete": 8, "Queued": 1}
    assert "The batch can't be processed" in world.contact(bad)["brevo_processing_error"]
    assert (tally.outcomes, tally.reasons["batch_refused"]) == ({"synced": 8, "rejected": 1}, 1)
    assert len(vendor.requests) <= 3 + 2 + 2, "two requests more for each halving"
    assert list(wrong(world, vendor)) == []


def test_contacts_with_one_address_never_share_a_request_and_keep_their_order(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    world.add("jane@example.com", "JANE@example.com ", " Jane@Example.com", "jane@EXAMPLE.com")
    people(world, 5)
    world.execute("UPDATE contacts SET name = id::text WHERE email ILIKE '%jane%'")
    run(world, batch_crm)
    sent = [row["attributes"]["FIRSTNAME"] for row in rows_sent(vendor) if row["email"] == "jane@example.com"]
    assert len(sent) == 4
    assert sent == sorted(sent)
    assert all(len(set(request.emails)) == len(request.emails) for request in vendor.requests)
    assert states(world) == {"Complete": 9}


def rows_sent(vendor: BatchSimulator) -> list[dict[str, Any]]:
    return [row for request in vendor.requests for row in request.json["contacts"]]


def test_those_taken_back_are_struck_from_a_request_just_before_it_goes(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    ids = people(world, 10)
    (last, *_) = world.add("z1@example.com", "z2@example.com", name="Z")
    queue = world.queue()
    batch = queue.claim(100)
    told: list[int] = []

    def after_the_first(_tally: Tally, _size: int) -> None:
        if not told:
            world.unselect(last)
        told.append(1)

    vendor.inject("latency=300")
    deliver_batch(queue, batch_crm.model_copy(update={"concurrency": 1}), batch, progress=after_the_first)
    queue.settle(batch.token)
    assert sizes(vendor) == [3, 3, 3, 2]
    assert world.status(last) == ("New", None)
    assert states(world)["Complete"] == len(ids) + 1


def test_a_429_costs_no_contact_anything_and_the_same_request_goes_again(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    people(world, 3)
    vendor.inject("status-429:times=2:reset=0.1")
    tally = run(world, batch_crm)
    assert (tally.rate_limited, tally.outcomes, sizes(vendor)) == (2, {"synced": 3}, [3, 3, 3])
    assert world.value("SELECT max(retry_count) FROM crm_sync.deliveries") == 0


def test_five_requests_without_an_answer_open_the_breaker_not_five_contacts(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    people(world, 30)
    vendor.inject("status-503")
    tally = run(world, batch_crm.model_copy(update={"concurrency": 1}))
    assert tally.down is not None
    assert (len(vendor.requests), tally.outcomes["failed"]) == (5, 15)


def test_a_run_in_which_nothing_got_through_opens_the_breaker_however_few_its_requests_were(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    people(world, 6)
    vendor.inject("status-503")
    tally = run(world, batch_crm)
    assert tally.down is not None
    assert (len(vendor.requests), tally.outcomes["failed"]) == (2, 6)


def test_a_request_that_fails_beside_one_that_gets_through_opens_nothing(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    people(world, 9)
    vendor.inject("status-503:times=2")
    tally = run(world, batch_crm.model_copy(update={"concurrency": 1}))
    assert tally.down is None
    assert tally.outcomes == {"failed": 6, "synced": 3}


def test_a_failed_contact_among_delivered_ones_is_not_the_destinations_failure(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    people(world, 30)
    vendor.ways = ("short",)
    tally = run(world, batch_crm.model_copy(update={"concurrency": 1}))
    assert tally.down is None
    assert (tally.outcomes["synced"], tally.outcomes["failed"]) == (20, 10)


def test_a_bad_key_stops_everything_at_the_first_request(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    people(world, 30)
    vendor.inject("status-401-key")
    tally = run(world, batch_crm.model_copy(update={"concurrency": 1}))
    assert (len(vendor.requests), tally.outcomes["failed"], tally.outcomes["rejected"]) == (1, 0, 0)
    assert states(world) == {"Queued": 30}
    assert world.value("SELECT max(retry_count) FROM crm_sync.deliveries") == 0


def test_a_firewall_that_refuses_one_contact_of_a_batch_holds_nobody_else_up(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    people(world, 9)
    (bad,) = world.add("p44@example.com", name="Drop table")
    vendor.inject("status-403:email=p44@example.com")
    tally = run(world, batch_crm.model_copy(update={"concurrency": 1}))
    assert tally.down is None
    assert states(world)["Complete"] == 9
    assert "403" in world.contact(bad)["brevo_processing_error"]


def test_a_changed_address_is_moved_beside_batches(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator
) -> None:
    (first, *_) = people(world, 4)
    run(world, batch_crm)
    world.execute("UPDATE contacts SET email = 'moved@example.com' WHERE id = :id", id=first)
    world.execute("UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'")
    assert run(world, batch_crm).reasons == {"updated": 3, "moved": 1}
    assert "p0@example.com" not in vendor.contacts
    assert list(wrong(world, vendor)) == []


# Each safeguard taken out: what is checked above can fail


def no_address_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def each_alone(contacts: Sequence[Contact]) -> list[list[Contact]]:
        return [[contact] for contact in sorted(contacts, key=lambda contact: (contact.address, contact.id))]

    monkeypatch.setattr(delivery_run, "lines_of", each_alone)


def no_halving(monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(records: Sequence[Record], outcome: Outcome) -> dict[UUID, Outcome]:
        return {record.contact.id: outcome for record in records}

    monkeypatch.setattr(destination, "read_whole", whole)


def matching_by_position(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_position(self: BatchResource, records: Sequence[Record], answer: Answer) -> list[tuple[UUID, Outcome]]:
        results = (answer.data or {}).get("results", [])
        return [
            (
                record.contact.id,
                self.read(Answer(result["status"], {}, b"" if not result["body"] else answer_of(result))),
            )
            for record, result in zip(records, results, strict=False)
        ]

    monkeypatch.setattr(BatchResource, "results_in", by_position)


def answer_of(result: dict[str, Any]) -> bytes:
    return body_of(result["body"])


def no_striking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_run._Calls, "_without_those_taken_back", lambda _self, records: records)


def test_without_the_address_rule_one_request_holds_an_address_twice(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_address_rule(monkeypatch)
    world.add("jane@example.com", "JANE@example.com", name="Jane")
    run(world, batch_crm)
    assert any("held an address twice" in each for each in wrong(world, vendor))


def test_without_halving_the_neighbours_of_a_bad_contact_are_blamed(
    world: World, batch_crm: BatchResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_halving(monkeypatch)
    people(world, 8)
    world.add("p4poison@example.com", name="Poison")
    assert run(world, batch_crm).outcomes["rejected"] == 3


def test_matching_by_position_marks_the_wrong_contacts(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    matching_by_position(monkeypatch)
    people(world, 9)
    vendor.ways = ("foreign", "shuffled")
    run(world, batch_crm)
    assert list(wrong(world, vendor)) != []


def test_without_striking_one_who_was_taken_back_is_sent(
    world: World, batch_crm: BatchResource, vendor: BatchSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_striking(monkeypatch)
    with pytest.raises(AssertionError):
        test_those_taken_back_are_struck_from_a_request_just_before_it_goes(world, batch_crm, vendor)
