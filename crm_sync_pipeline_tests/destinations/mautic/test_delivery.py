"""Through the engine, with a real PostgreSQL: what becomes of contacts that were selected for Mautic."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.destinations.mautic.tokens import TOKEN_PATH
from crm_sync_pipeline.domain.batch import Tally
from crm_sync_pipeline.simulators.mautic import MauticConfig, MauticSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World


def add(world: World, *emails: str, **columns: str) -> list[UUID]:
    ids = world.add(*emails, selected=False, **columns)
    world.select(*ids, crms=("mautic",))
    return ids


def people(world: World, count: int) -> list[UUID]:
    ids = []
    for number in range(count):
        ids += world.add(f"p{number}@example.com", selected=False, name=f"N{number}")
    world.select(*ids, crms=("mautic",))
    return ids


def again(world: World, *ids: UUID) -> None:
    world.select(*ids, crms=("mautic",))


def run(world: World, mautic: Mautic) -> Tally:
    queue = world.queue("mautic")
    batch = queue.claim(500)
    tally = deliver_batch(queue, mautic, batch)
    queue.settle(batch.token)
    return tally


def states(world: World) -> Counter[str | None]:
    return Counter(row["state"] for row in world.rows("SELECT mautic_processing_status AS state FROM contacts"))


def batches(instance: MauticSimulator) -> list[int]:
    return [len(each.emails) for each in instance.requests if each.path.endswith("/batch/new") and each.status == 201]


def wrong(world: World, instance: MauticSimulator) -> list[str]:
    """Whoever is Complete and is not in Mautic, with their own data and Mautic's own id."""
    found = []
    for row in world.rows("SELECT * FROM contacts WHERE mautic_processing_status = 'Complete'"):
        held = instance.contacts.get(row["email"].strip().lower())
        if held is None or str(held.id) != row["mautic_contact_id"]:
            found.append(f"{row['email']} is {row['mautic_contact_id']}")
        elif row["name"] and held.fields.get("firstname") != row["name"]:
            found.append(f"{row['email']} has other data")
    return found


def test_120_contacts_go_in_three_requests_and_each_row_has_mautics_id(
    world: World, mautic: Mautic, instance: MauticSimulator
) -> None:
    people(world, 120)
    tally = run(world, mautic)
    assert (states(world), sorted(batches(instance))) == ({"Complete": 120}, [20, 50, 50])
    assert tally.reasons == {"created": 120}
    assert wrong(world, instance) == []


def test_a_bad_address_fails_alone_and_waits_for_its_retry(
    world: World, mautic: Mautic, instance: MauticSimulator
) -> None:
    people(world, 9)
    (bad,) = add(world, "invalid-email")
    tally = run(world, mautic)
    assert tally.outcomes == {"synced": 9, "rejected": 1}
    assert world.status(bad, "mautic") == ("Queued", "Queued")
    assert "email: … is invalid" in world.contact(bad)["mautic_processing_error"]
    assert batches(instance) == [10]
    world.execute("UPDATE contacts SET email = 'good@example.com' WHERE id = :id", id=bad)
    world.pass_time(timedelta(minutes=6))
    run(world, mautic)
    assert states(world) == {"Complete": 10}


def test_a_batch_that_is_refused_as_a_whole_is_halved_until_one_is_to_blame(
    world: World, mautic: Mautic, instance: MauticSimulator
) -> None:
    people(world, 8)
    instance.inject("status-400:email=p3@*")
    tally = run(world, mautic)
    assert tally.outcomes == {"synced": 7, "rejected": 1}
    assert wrong(world, instance) == []


def test_rows_with_one_address_never_share_a_request_and_make_one_contact(
    world: World, mautic: Mautic, instance: MauticSimulator
) -> None:
    add(world, "jane@example.com", "JANE@example.com", " Jane@Example.com ")
    people(world, 3)
    run(world, mautic)
    assert states(world) == {"Complete": 6}
    assert all(len(set(each.emails)) == len(each.emails) for each in instance.requests)
    assert len(instance.instance.contacts) == 4


def test_a_changed_address_moves_mautics_contact_and_keeps_who_has_opted_out(
    world: World, mautic: Mautic, instance: MauticSimulator
) -> None:
    (contact, *others) = people(world, 5)
    run(world, mautic)
    before = instance.contacts["p0@example.com"]
    instance.instance.save(replace(before, do_not_contact={"email": 1}))
    world.execute("UPDATE contacts SET email = 'moved@example.com' WHERE id = :id", id=contact)
    again(world, contact, *others)
    assert run(world, mautic).reasons == {"updated": 4, "moved": 1}
    held = instance.contacts["moved@example.com"]
    assert (held.id, held.do_not_contact) == (before.id, {"email": 1})
    assert "p0@example.com" not in instance.contacts
    assert wrong(world, instance) == []


def test_two_rows_that_shared_an_address_and_both_got_new_ones_do_not_take_the_contact_from_each_other(
    world: World, mautic: Mautic, instance: MauticSimulator
) -> None:
    one, two = add(world, "office@example.com", "Office@example.com")
    run(world, mautic)
    assert len(instance.instance.contacts) == 1
    world.execute("UPDATE contacts SET email = 'one@example.com' WHERE id = :id", id=one)
    world.execute("UPDATE contacts SET email = 'two@example.com' WHERE id = :id", id=two)
    again(world, one, two)
    instance.inject("latency=150:method=GET:path=*")  # both look before either moves
    tally = run(world, mautic)
    assert tally.outcomes == {"synced": 2}
    assert {"one@example.com", "two@example.com"} <= instance.contacts.keys()
    assert wrong(world, instance) == []


def test_a_field_that_lost_its_value_is_emptied_once(world: World, mautic: Mautic, instance: MauticSimulator) -> None:
    (contact,) = add(world, "ann@example.com", name="Ann Bee", phone_number="+14155552671")
    run(world, mautic)
    world.execute("UPDATE contacts SET phone_number = NULL, name = 'Ann' WHERE id = :id", id=contact)
    again(world, contact)
    run(world, mautic)
    held = instance.contacts["ann@example.com"].fields
    assert (held["firstname"], held["lastname"], held["phone"]) == ("Ann", None, None)
    again(world, contact)
    run(world, mautic)
    sent = [each.json[0] for each in instance.requests if each.path.endswith("/batch/new") and each.status == 201]
    assert ["overwriteWithBlank" in row for row in sent] == [False, True, False]


def test_a_token_that_is_revoked_in_the_middle_costs_nobody_a_retry(
    world: World, mautic: Mautic, instance: MauticSimulator
) -> None:
    people(world, 60)
    small = mautic.model_copy(update={"batch_size": 5, "concurrency": 4})
    queue = world.queue("mautic")
    batch = queue.claim(500)
    told: list[int] = []

    def revoke(_tally: Tally, _size: int) -> None:
        if not told:
            instance.revoke_tokens()
        told.append(1)

    instance.inject("latency=30")
    deliver_batch(queue, small, batch, progress=revoke)
    queue.settle(batch.token)
    assert states(world) == {"Complete": 60}
    assert world.value("SELECT max(retry_count) FROM crm_sync.deliveries") == 0
    assert sum(each.path == TOKEN_PATH for each in instance.requests) <= 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"client_secret": "wrong"}, "wrong_client"), ({"segment_id": 9}, "unknown_segment")],
)
def test_our_set_ups_fault_opens_the_breaker_at_once_and_costs_nobody_anything(
    world: World, mautic: Mautic, changes: dict[str, object], reason: str
) -> None:
    people(world, 30)
    tally = run(world, mautic.model_copy(update={**changes, "batch_size": 3, "concurrency": 1}))
    assert tally.down is not None
    down = world.queue("mautic").breaker.state()
    assert down is not None
    assert down.reason == reason
    assert states(world) == {"Queued": 30}
    assert world.value("SELECT max(retry_count) FROM crm_sync.deliveries") == 0


def test_an_hour_that_is_used_up_is_waited_for_and_costs_nobody_anything(world: World, mautic: Mautic) -> None:
    people(world, 30)
    simulator = MauticSimulator(MauticConfig(calls_per_hour=3))
    with running(simulator.app) as server:
        changes = {"base_url": server.base_url, "batch_size": 5, "concurrency": 1}
        tally = run(world, mautic.model_copy(update=changes))
        down = world.queue("mautic").breaker.state()
    assert down is not None
    assert (down.reason, states(world)) == ("hourly_limit", {"Complete": 15, "Queued": 15})
    assert timedelta(minutes=55) < down.next_probe_in <= timedelta(minutes=60)
    assert (tally.outcomes["synced"], tally.outcomes["failed"]) == (15, 0)
    assert world.value("SELECT max(retry_count) FROM crm_sync.deliveries") == 0


def test_a_lost_answer_to_a_batch_makes_no_contact_twice(
    world: World, mautic: Mautic, instance: MauticSimulator
) -> None:
    people(world, 20)
    instance.inject("reset-after-write:times=1")
    run(world, mautic)
    world.pass_time(timedelta(minutes=6))
    run(world, mautic)
    run(world, mautic)  # nothing had got through, so the first run was the probe
    assert states(world) == {"Complete": 20}
    assert len(instance.instance.contacts) == 20
    assert wrong(world, instance) == []


def test_all_join_the_segment_and_get_the_tags(world: World, mautic: Mautic, instance: MauticSimulator) -> None:
    people(world, 60)
    tally = run(world, mautic.model_copy(update={"segment_id": 1, "tags": "crm"}))
    assert tally.requests == 4
    assert {(contact.segments, contact.tags) for contact in instance.instance.contacts.values()} == {
        (frozenset({1}), ("crm",))
    }
    assert wrong(world, instance) == []


def test_what_mautic_has_as_it_is_need_not_be_sent_and_what_it_lost_is(
    world: World, mautic: Mautic, instance: MauticSimulator
) -> None:
    ids = people(world, 30)
    skipping = mautic.model_copy(update={"skip_unchanged": True})
    run(world, skipping)
    instance.instance.delete(instance.contacts["p7@example.com"])
    again(world, *ids)
    assert run(world, skipping).reasons == {"unchanged": 29, "created": 1}
    assert states(world) == {"Complete": 30}


def test_contacts_that_mautic_merges_by_another_field_open_the_breaker_before_all_are_one(
    world: World, mautic: Mautic, instance: MauticSimulator
) -> None:
    people(world, 30)
    fields = instance.instance.fields
    fields["scrapersky_domain_id"] = replace(fields["scrapersky_domain_id"], is_unique=True)
    tally = run(world, mautic.model_copy(update={"batch_size": 5, "concurrency": 1}))
    assert tally.down is not None
    down = world.queue("mautic").breaker.state()
    assert down is not None
    assert (down.reason, batches(instance), states(world)) == ("contacts_merged", [5], {"Queued": 30})
