"""A contact on hold is not claimed, whatever else is decided of it, until it is released."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.people.acts import Actor, ActResult
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.contact_queue.worker import claim_sql
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.explanation import explain
from crm_sync_pipeline.domain.outcome import Failed, Synced
from crm_sync_pipeline_tests.builders import World, attempt, one_run

FAILED = Failed("http_503", "Brevo API error (503): try later")
HOUR = timedelta(hours=1)


def act(world: World, verb: str, *ids: UUID, crms: Sequence[str] = ("brevo",)) -> ActResult:
    return world.database.acts(Actor("anna")).carry_out(verb, Which(ids), crms)


def test_what_is_on_hold_is_neither_claimed_nor_due_and_the_rest_is(world: World) -> None:
    on_hold, other = world.add("a@example.com", "b@example.com")
    act(world, "hold", on_hold)
    queue = world.queue()
    assert queue.depth() == 1
    assert [contact.id for contact in queue.contacts_of(queue.claim(10).token)] == [other]
    status = world.database.report().status(CRMS["brevo"])
    assert (status.now.held, status.now.due, status.now.waiting) == (1, 0, 0)
    act(world, "release", on_hold)
    assert queue.claim(10).size == 1


@pytest.mark.parametrize("selected_by", ["us", "another program"])
def test_it_stays_on_hold_when_it_is_selected_again(world: World, selected_by: str) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    act(world, "hold", contact)
    if selected_by == "us":
        world.select(contact)
    else:
        world.execute("UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'")
    assert (world.queue().depth(), world.queue().claim(10).size) == (0, 0)
    act(world, "release", contact)
    assert one_run(world.queue()).as_metadata()["complete"] == 1


def test_a_hold_that_comes_between_the_look_and_the_claim_wins(world: World) -> None:
    """Nothing rests on the shared columns: another CRM's failure stands in them here."""
    (contact,) = world.add("a@example.com", last_failed_crm="hubspot")
    columns = DestinationColumns.of(world.database.contacts(), CRMS["brevo"])
    with world.engine.connect() as connection:
        assert len(connection.execute(claim_sql.lock_due(columns), {"size": 10}).all()) == 1
    act(world, "hold", contact)
    assert world.contact(contact)["last_failed_crm"] == "hubspot"
    which = {"ids": [contact], "places": [world.value("SELECT ctid FROM contacts")]}
    parameters = {**which, "token": UUID(int=1), "lease_seconds": 300.0, "run_id": "r"}
    with world.engine.begin() as connection:
        assert connection.execute(claim_sql.mark_claimed(columns), parameters).rowcount == 0
    assert (world.queue().depth(), world.queue().claim(10).size) == (0, 0)


@pytest.mark.parametrize("then", [(), ("unselect", "select"), ("requeue",)])
def test_claims_do_not_walk_past_what_is_on_hold(world: World, then: Sequence[str]) -> None:
    ids = world.add("a@example.com", "b@example.com")
    one_run(world.queue(), FAILED)
    for verb in ("hold", *then):
        act(world, verb, *ids)
    ahead = (
        "SELECT count(*) FROM contacts WHERE brevo_sync_status <> 'Queued' OR next_retry_at < now() + interval '1 y'"
    )
    assert world.value(ahead) == 0
    act(world, "release", *ids)
    assert [world.delivery(contact)["retry_count"] for contact in ids] == [0 if then else 1] * 2
    assert world.queue().depth() == (2 if then else 0)


def test_a_release_gives_back_the_wait_and_the_retries_that_there_were(world: World) -> None:
    waits, fresh = sorted(world.add("a@example.com", "b@example.com"))
    one_run(world.queue(), FAILED)
    world.act("requeue", [fresh])
    before = world.contact(waits)
    act(world, "hold", waits, fresh)
    act(world, "release", waits, fresh)
    after = world.contact(waits)
    kept = ("brevo_sync_status", "brevo_processing_status", "retry_count", "next_retry_at", "last_failed_crm")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert (world.delivery(waits)["retry_count"], world.delivery(fresh)["retry_count"]) == (1, 0)
    assert world.contact(fresh)["last_failed_crm"] is None
    assert world.queue().depth() == 1


def test_what_a_run_has_claimed_and_not_sent_is_given_back_at_once(world: World) -> None:
    on_hold, other = sorted(world.add("a@example.com", "b@example.com"))
    queue = world.queue()
    batch = queue.claim(10)
    act(world, "hold", on_hold)
    assert [contact.id for contact in queue.contacts_of(batch.token)] == [other]
    assert queue.journal(batch.token, []).taken_back == frozenset([on_hold])
    queue.settle(batch.token)
    world.pass_time(HOUR)
    assert queue.claim(10).size == 1
    act(world, "release", on_hold)
    assert queue.claim(10).size == 1


def test_a_result_that_arrives_after_the_hold_changes_nothing(world: World) -> None:
    (contact,) = world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(1)
    done = [attempt(each, Synced("1")) for each in queue.contacts_of(batch.token)]
    act(world, "hold", contact)
    queue.journal(batch.token, done)
    queue.settle(batch.token)
    assert world.status(contact) == ("Queued", "Queued")
    assert queue.depth() == 0


def test_delivering_one_on_hold_at_once_is_refused_with_what_lets_it_go(world: World) -> None:
    (contact,) = world.add("a@example.com")
    act(world, "hold", contact)
    before = world.snapshot()
    with pytest.raises(
        CrmSyncError, match=f"has been on hold for Brevo since .* `crm-sync release {contact} --crm brevo`"
    ):
        world.queue().claim_contact(contact)
    assert world.snapshot() == before


def test_an_explanation_says_so_and_what_lets_it_go(world: World) -> None:
    waits, new = world.add("a@example.com", selected=True)[0], world.add("b@example.com", selected=False)[0]
    act(world, "hold", waits, new)
    report = world.database.report()
    answer = explain(report.facts(CRMS["brevo"], waits, 3), DESTINATIONS["brevo"].remedies)
    assert answer.verdict.startswith("On hold since 20")
    assert answer.next_step == f"Nothing by itself. `crm-sync release {waits} --crm brevo` releases it."
    answer = explain(report.facts(CRMS["brevo"], new, 3), DESTINATIONS["brevo"].remedies)
    assert answer.verdict.startswith("Never selected for Brevo")
    assert "It has been on hold since 20" in answer.next_step


def test_a_hold_is_for_one_crm_and_counts_once(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.select(contact, crms=("brevo", "hubspot"))
    assert act(world, "hold", contact).contacts == 1
    assert act(world, "hold", contact).message == (
        "Put on hold 0 contacts for Brevo. 1 left out: unknown, or on hold already."
    )
    assert (world.queue("hubspot").depth(), world.queue("brevo").depth()) == (1, 0)
