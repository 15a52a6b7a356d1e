"""History ends: what is old or of nobody goes, and nothing else does."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from crm_sync_pipeline.contact_queue.people import pruning
from crm_sync_pipeline.contact_queue.people.acts import Actor
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.outcome import Failed
from crm_sync_pipeline_tests.builders import World, attempt, one_run

OLD = timedelta(days=91)
ME = Actor("somebody")


def journaled(world: World) -> list[Any]:
    return [row["contact_id"] for row in world.rows("SELECT contact_id FROM crm_sync.attempts ORDER BY id")]


def test_old_attempts_go_and_young_ones_and_those_of_an_unsettled_claim_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "CHUNK_SIZE", 2)
    ids = world.add(*(f"{n}@example.com" for n in range(5)))
    queue = world.queue()
    one_run(queue, size=4)
    batch = queue.claim(1)
    queue.journal(batch.token, [attempt(contact) for contact in queue.contacts_of(batch.token)])
    world.execute("UPDATE crm_sync.attempts SET attempted_at = now() - CAST(:age AS interval)", age=OLD)
    young = world.add("young@example.com")
    one_run(queue)
    before = world.snapshot()
    tried = world.database.history().prune(90, dry_run=True)
    assert world.snapshot() == before, "a trial removes nothing"
    done = world.database.history().prune(90)
    assert (tried.old_attempts, done.old_attempts, done.attempts_of_gone, done.deliveries_of_gone) == (4, 4, 0, 0)
    assert journaled(world) == [*(each for each in ids if world.delivery(each)["claim_token"]), *young]
    queue.settle(batch.token)
    assert world.database.history().prune(90).old_attempts == 1, "when it is settled it may go"


def test_the_history_of_a_contact_that_is_gone_goes_and_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "CHUNK_SIZE", 2)
    ids = world.add(*(f"{n}@example.com" for n in range(5)))
    one_run(world.queue(), Failed("http_503", "Brevo answered 503."))
    world.execute("DELETE FROM contacts WHERE id = ANY(:ids)", ids=[ids[0], ids[3]])
    done = world.database.history().prune(90)
    assert (done.deliveries_of_gone, done.attempts_of_gone, done.old_attempts) == (2, 2, 0)
    left = {ids[1], ids[2], ids[4]}
    assert (
        set(journaled(world)) == {row["contact_id"] for row in world.rows("SELECT * FROM crm_sync.deliveries")} == left
    )


def test_an_empty_contacts_table_is_taken_for_one_that_is_being_loaded(world: World) -> None:
    ids = world.add("anna@example.com")
    one_run(world.queue())
    world.execute("DELETE FROM contacts")
    done = world.database.history().prune(90)
    assert (done.deliveries_of_gone, done.attempts_of_gone, journaled(world)) == (0, 0, ids)
    assert "The contacts table is empty" in done.says(90, dry_run=False)


def test_forgetting_leaves_nothing_of_a_contact_but_the_record_that_it_was_asked_for(world: World) -> None:
    anna, bert = world.add("anna@example.com", "bert@example.com")
    one_run(world.queue())
    done = world.database.history().forget(anna, ME)
    assert (done.deliveries, done.attempts, done.remote_ids) == (1, 1, {"Brevo": ["1"]})
    assert "Its row in your contacts table is still there" in done.says()
    assert journaled(world) == [bert]
    tables = [row["table_name"] for row in world.rows(
        "SELECT table_name FROM information_schema.columns "
        "WHERE table_schema = 'crm_sync' AND column_name = 'contact_id'"
    )]  # fmt: skip
    assert len(tables) == 3
    for table in tables:
        assert world.value(f"SELECT count(*) FROM crm_sync.{table} WHERE contact_id = :id", id=anna) == 0
    (act,) = world.rows("SELECT verb, actor, scope, destinations FROM crm_sync.acts WHERE verb = 'forget'")
    assert act == {"verb": "forget", "actor": "somebody", "scope": str(anna), "destinations": ["brevo"]}
    world.execute("DELETE FROM contacts WHERE id = :id", id=bert)
    assert "Its row is gone" in world.database.history().forget(bert, ME).says(), "after its row was deleted too"


def test_a_contact_on_hold_that_is_forgotten_is_not_released_by_that(world: World) -> None:
    (anna,) = world.add("anna@example.com")
    world.database.acts(ME).carry_out("hold", Which([anna]), ["brevo"])
    world.database.history().forget(anna, ME)
    assert world.status(anna) == ("New", None)
    assert world.queue().claim(10).size == 0


def test_a_contact_that_a_claim_holds_or_nobody_knows_is_not_forgotten(world: World) -> None:
    (anna,) = world.add("anna@example.com")
    world.queue().claim(1)
    before = world.snapshot()
    with pytest.raises(CrmSyncError, match="for Brevo right now"):
        world.database.history().forget(anna, ME)
    with pytest.raises(CrmSyncError, match="There is no contact"):
        world.database.history().forget(uuid4(), ME)
    assert world.snapshot() == before
