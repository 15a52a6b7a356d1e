"""Contacts go to n8n by the engine, out of a real PostgreSQL, and each is worked on once."""

from dataclasses import replace
from datetime import timedelta
from itertools import accumulate
from uuid import UUID

import pytest

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.n8n import N8N
from crm_sync_pipeline.destinations.n8n.destination import N8n
from crm_sync_pipeline.domain.batch import Tally
from crm_sync_pipeline.domain.explanation import Explanation, explain
from crm_sync_pipeline.simulators.n8n import N8nSimulator
from crm_sync_pipeline_tests.builders import World

MINUTE = timedelta(minutes=1)


def add(world: World, *emails: str, **columns: object) -> list[UUID]:
    ids = world.add(*emails, selected=False, **columns)
    world.select(*ids, crms=("n8n",))
    return ids


def run(queue: ContactQueue, n8n: N8n) -> Tally:
    batch = queue.claim(100)
    tally = deliver_batch(queue, n8n, batch)
    queue.settle(batch.token)
    return tally


def make_due(world: World) -> None:
    """As if the retry's time had come, without a selection that looks older."""
    world.execute("UPDATE crm_sync.deliveries SET next_retry_at = now()")
    world.execute("UPDATE contacts SET next_retry_at = now()")


@pytest.fixture
def queue(world: World) -> ContactQueue:
    return world.queue("n8n")


def test_contacts_arrive_and_hold_the_workflows_id(
    world: World, queue: ContactQueue, n8n: N8n, n8n_simulator: N8nSimulator
) -> None:
    ann, bob = add(world, "ann@example.com", "bob@example.com", name="Ann Example")

    assert run(queue, n8n).outcomes == {"synced": 2}

    for contact, email in ((ann, "ann@example.com"), (bob, "bob@example.com")):
        assert world.status(contact, "n8n") == ("Complete", "Complete")
        assert world.contact(contact)["n8n_workflow_id"] == n8n_simulator.config.workflow_id
        assert world.status(contact) == ("New", None), "the other CRMs are not touched"
        body = n8n_simulator.contacts[str(contact)]
        assert (body["email"], body["name"]) == (email, "Ann Example")
        assert body["scrapersky_domain_id"] == str(world.contact(contact)["domain_id"])


def test_an_answer_without_an_id_leaves_the_id_as_it_was(
    world: World, queue: ContactQueue, n8n: N8n, n8n_simulator: N8nSimulator
) -> None:
    (ann,) = add(world, "ann@example.com")
    run(queue, n8n)
    object.__setattr__(n8n_simulator.config, "mode", "on-received")
    world.execute("UPDATE contacts SET email = 'ann@new.example' WHERE id = :id", id=ann)
    world.select(ann, crms=("n8n",))

    run(queue, n8n)

    assert n8n_simulator.counts()["executions"] == 2
    assert world.status(ann, "n8n") == ("Complete", "Complete")
    assert world.contact(ann)["n8n_workflow_id"] == n8n_simulator.config.workflow_id


@pytest.mark.parametrize("fault", ["reset-after-write", "status-524-html"])
def test_an_answer_that_was_lost_is_fetched_by_the_retry_and_nothing_is_worked_on_twice(
    world: World, queue: ContactQueue, n8n: N8n, n8n_simulator: N8nSimulator, fault: str
) -> None:
    (ann,) = add(world, "ann@example.com")
    n8n_simulator.inject(f"{fault}:times=1")
    assert run(queue, n8n).outcomes == {"failed": 1}
    make_due(world)

    assert run(queue, n8n).outcomes == {"synced": 1}

    first, second = n8n_simulator.executions
    assert first.key == second.key
    assert [first.is_duplicate, second.is_duplicate] == [False, True]
    assert world.status(ann, "n8n") == ("Complete", "Complete")


def test_selected_again_a_contact_is_worked_on_again(
    world: World, queue: ContactQueue, n8n: N8n, n8n_simulator: N8nSimulator
) -> None:
    (ann,) = add(world, "ann@example.com")
    run(queue, n8n)
    world.select(ann, crms=("n8n",))
    run(queue, n8n)

    assert n8n_simulator.counts() == {"contacts": 1, "executions": 2, "duplicates": 0}


def test_two_rows_with_one_address_are_two_contacts_to_n8n(
    world: World, queue: ContactQueue, n8n: N8n, n8n_simulator: N8nSimulator
) -> None:
    first, second = add(world, "team@example.com", name="Ann"), add(world, "team@example.com", name="Bob")
    run(queue, n8n)

    assert {body["name"] for body in n8n_simulator.contacts.values()} == {"Ann", "Bob"}
    for (contact,) in (first, second):
        answer = explain(world.database.report().facts(N8N.crm, contact, 3), N8N.remedies)
        assert answer.verdict.startswith("n8n has it: delivered")


def test_explain_says_why_a_contact_without_an_address_is_not_there_and_what_helps(fresh: World, n8n: N8n) -> None:
    queue = fresh.queue("n8n")
    fresh.execute("ALTER TABLE contacts ALTER email DROP NOT NULL")
    (ann,) = add(fresh, "x@example.com")
    fresh.execute("UPDATE contacts SET email = NULL")

    def said(destination: N8n) -> Explanation:
        facts = fresh.database.report().facts(N8N.crm, ann, 3)
        return explain(replace(facts, needs_address=destination.needs_address), N8N.remedies)

    without = N8n(**{**dict(n8n), "delivers_without_email": True})
    assert said(without).verdict == "Queued and due."
    for _ in ("before", "after the attempt"):
        assert said(n8n).verdict == "Can't be sent: it has no e-mail address."
        assert said(n8n).next_step.startswith(
            "Fill in its e-mail address, or set N8N_DELIVERS_WITHOUT_EMAIL=true; the "
        )
        run(queue, n8n)
    make_due(fresh)
    run(queue, without)
    assert said(without).verdict.startswith("n8n has it: delivered")


def test_contacts_without_an_address_go_side_by_side_where_a_setting_says_so(
    fresh: World, n8n: N8n, n8n_simulator: N8nSimulator
) -> None:
    world, queue = fresh, fresh.queue("n8n")
    world.execute("ALTER TABLE contacts ALTER email DROP NOT NULL")
    add(world, "x@example.com", "y@example.com", "z@example.com")
    world.execute("UPDATE contacts SET email = NULL")
    assert run(queue, n8n).outcomes == {"rejected": 3}
    assert n8n_simulator.executions == []
    make_due(world)
    n8n_simulator.inject("hang:times=1")

    tally = run(queue, N8n(**{**dict(n8n), "delivers_without_email": True, "timeout_seconds": 0.5}))

    assert tally.outcomes == {"synced": 2, "failed": 1}, "one that hangs keeps none of the others"
    assert {each.body["email"] for each in n8n_simulator.executions} == {None}


def test_a_wrong_secret_costs_nobody_a_retry(world: World, queue: ContactQueue, n8n: N8n) -> None:
    ann, bob = add(world, "ann@example.com", "bob@example.com")

    tally = run(queue, N8n(**{**dict(n8n), "webhook_secret": "wrong", "concurrency": 1}))

    assert tally.requests == 1
    assert "n8n refused N8N_WEBHOOK_SECRET" in (tally.down or "")
    for contact in (ann, bob):
        assert world.status(contact, "n8n") == ("Queued", "Queued")
        assert world.delivery(contact, "n8n")["retry_count"] == 0


def test_a_404_costs_a_retry_until_it_has_lasted_ten_minutes_and_then_nobody_anything(
    world: World, queue: ContactQueue, n8n: N8n, n8n_simulator: N8nSimulator
) -> None:
    (ann,) = add(world, "ann@example.com")
    n8n_simulator.switches.is_active = False
    assert not run(queue, n8n).down
    world.pass_time(6 * MINUTE)
    assert not run(queue, n8n).down
    world.pass_time(11 * MINUTE)

    down = run(queue, n8n).down

    assert down is not None
    assert "activate (publish) the workflow" in down
    assert world.delivery(ann, "n8n")["retry_count"] == 2
    n8n_simulator.switches.is_active = True
    world.pass_time(2 * MINUTE)
    run(queue, n8n)
    assert world.status(ann, "n8n") == ("Complete", "Complete")


def test_a_workflow_that_fails_before_its_respond_node_delivers_nobody(
    world: World, n8n: N8n, queue: ContactQueue, n8n_simulator: N8nSimulator
) -> None:
    (ann,) = add(world, "ann@example.com")
    object.__setattr__(n8n_simulator.config, "mode", "respond")
    n8n_simulator.switches.workflow_fails = True
    assert run(queue, n8n).outcomes == {"failed": 1}
    n8n_simulator.switches.workflow_fails = False
    make_due(world)

    assert run(queue, n8n).outcomes == {"synced": 1}

    assert [each.is_duplicate for each in n8n_simulator.executions] == [False, False]
    assert world.status(ann, "n8n") == ("Complete", "Complete")


def test_a_restart_of_n8n_delivers_nobody_falsely_and_loses_nobody(
    world: World, queue: ContactQueue, n8n: N8n, n8n_simulator: N8nSimulator
) -> None:
    contacts = add(world, *(f"{n}@example.com" for n in range(4)))
    config, now = n8n_simulator.config, n8n_simulator.clock()
    lengths = (config.refusing_seconds, config.starting_seconds, config.without_routes_seconds)
    n8n_simulator.start.at = now
    for seconds in accumulate(lengths):  # three retries are all that a contact has
        n8n_simulator.start.clock = lambda seconds=seconds: now + seconds  # type: ignore[misc]
        assert run(queue, n8n).outcomes == {"failed": 4}, seconds
        assert n8n_simulator.contacts == {}
        make_due(world)
    n8n_simulator.start.clock = n8n_simulator.clock
    n8n_simulator.start.at = None

    run(queue, n8n)

    assert len(n8n_simulator.contacts) == 4
    assert all(world.status(contact, "n8n") == ("Complete", "Complete") for contact in contacts)


def test_nothing_that_is_kept_of_a_delivery_shows_the_webhook(
    world: World, queue: ContactQueue, n8n: N8n, n8n_simulator: N8nSimulator
) -> None:
    add(world, "ann@example.com")
    n8n_simulator.switches.is_active = False
    run(queue, n8n)

    kept = str([world.rows(f"SELECT t::text FROM {table} t") for table in ("contacts", "crm_sync.attempts")])

    assert "is not registered" in kept
    assert "crm-sync" not in kept
    assert n8n.webhook_secret not in kept
