"""Two at once: whatever the interleaving, one contact has one live claim."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.worker import claim_sql
from crm_sync_pipeline.domain.batch import Batch
from crm_sync_pipeline.domain.outcome import Failed
from crm_sync_pipeline_tests.builders import LEASE, World, one_run

GATE = 4711


def test_four_threads_claiming_twenty_thousand_contacts_share_none_and_miss_none(world: World) -> None:
    world.add_many(20_000)
    world.script("ANALYZE contacts")
    start = threading.Barrier(4)

    def drain(_worker: int) -> list[UUID]:
        queue, ids = world.queue(), []
        start.wait()
        while (batch := queue.claim(1000)).size:
            contacts = queue.contacts_of(batch.token)
            assert len(contacts) == batch.size
            ids += [contact.id for contact in contacts]
        return ids

    with ThreadPoolExecutor(4) as pool:
        claims = [contact for ids in pool.map(drain, range(4)) for contact in ids]
    assert len(claims) == len(set(claims)) == 20_000
    assert world.queue().depth() == 0


@contextmanager
def claim_stopped_before_its_locks(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator["Future[Batch]"]:
    """A claim that took its snapshot and read the due rows, but has not locked them yet; goes on at the end."""
    lock_due = claim_sql.lock_due

    def gated(columns: DestinationColumns) -> Any:
        statement: Any = lock_due(columns)
        return statement.where(sa.text(f"pg_advisory_xact_lock_shared({GATE}) IS NOT NULL"))

    with world.engine.connect() as gate, ThreadPoolExecutor(1) as pool:
        gate.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (GATE,))
        with monkeypatch.context() as patch:
            patch.setattr(claim_sql, "lock_due", gated)
            running = pool.submit(world.queue().claim, 10)
            _until(
                lambda: world.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 1
            )
        yield running
        gate.rollback()
        running.result(timeout=20)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def test_a_contact_that_another_claim_took_and_a_person_selected_again_is_not_claimed_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (contact,) = world.add("a@example.com")
    with claim_stopped_before_its_locks(world, monkeypatch) as late:
        first = world.queue().claim(10)
        assert first.size == 1
        world.select(contact)
        assert world.status(contact) == ("Selected", "Queued")
    assert late.result().size == 0
    assert world.delivery(contact)["claim_token"] == first.token
    assert world.status(contact) == ("Selected", "Queued")


def test_a_contact_that_another_claim_took_is_left_to_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (contact,) = world.add("a@example.com")
    with claim_stopped_before_its_locks(world, monkeypatch) as late:
        first = world.queue().claim(10)
    assert late.result().size == 0
    assert world.delivery(contact)["claim_token"] == first.token


@pytest.mark.parametrize("shared_columns_are_ours", [True, False])
def test_a_contact_that_another_run_claimed_and_failed_to_deliver_waits_for_its_retry(
    world: World, monkeypatch: pytest.MonkeyPatch, shared_columns_are_ours: bool
) -> None:
    (contact,) = world.add("a@example.com")
    with claim_stopped_before_its_locks(world, monkeypatch) as late:
        assert one_run(world.queue(), Failed("http_503", "m")).total == 1
        if not shared_columns_are_ours:
            world.execute("UPDATE contacts SET last_failed_crm = 'hubspot', next_retry_at = now()")
    assert late.result().size == 0
    assert world.status(contact) == ("Queued", "Queued")
    assert world.delivery(contact)["claim_token"] is None


def test_a_contact_that_was_unselected_before_the_lock_is_not_claimed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (contact,) = world.add("a@example.com")
    with claim_stopped_before_its_locks(world, monkeypatch) as late:
        world.unselect(contact)
    assert late.result().size == 0
    assert world.status(contact) == ("New", None)


def test_a_contact_that_was_edited_before_the_lock_is_claimed_as_it_is_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited, _other = world.add("a@example.com", "b@example.com")
    with claim_stopped_before_its_locks(world, monkeypatch) as late:
        world.execute("UPDATE contacts SET name = 'Bo' WHERE email = 'a@example.com'")
    assert late.result().size == 2
    assert world.status(edited) == ("Processing", "Processing")
    assert {each.name for each in world.queue().contacts_of(late.result().token) if each.id == edited} == {"Bo"}


def test_a_claim_by_hand_waits_for_a_claim_in_progress_and_then_refuses(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (contact,) = world.add("a@example.com")
    mark = claim_sql.mark_claimed
    marked, go_on = threading.Event(), threading.Event()

    def slow(columns: DestinationColumns) -> Any:
        marked.set()
        assert go_on.wait(20)
        return mark(columns)

    with ThreadPoolExecutor(2) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(claim_sql, "mark_claimed", slow)
            first = pool.submit(world.queue().claim, 1)
            assert marked.wait(20)
        by_hand = pool.submit(world.queue().claim_contact, contact)
        _until(lambda: world.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") >= 1)
        go_on.set()
        assert first.result(20).size == 1
        with pytest.raises(Exception, match="by another run right now"):
            by_hand.result(20)
    assert world.delivery(contact)["claim_token"] == first.result().token


def test_a_recovery_leaves_alone_what_its_worker_extends_at_this_moment(world: World) -> None:
    (contact,) = world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(1)
    world.pass_time(LEASE + timedelta(seconds=1))
    with world.engine.begin() as worker:
        worker.exec_driver_sql("UPDATE crm_sync.deliveries SET lease_expires_at = now() + interval '300 s'")
        assert queue.recover().total == 0
    assert queue.recover().total == 0
    assert world.delivery(contact)["claim_token"] == batch.token
