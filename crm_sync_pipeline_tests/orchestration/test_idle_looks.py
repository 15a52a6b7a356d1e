"""What a look of the sensor costs the database while there is nothing to do, and when it reads the catalogue again."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue import source
from crm_sync_pipeline.contact_queue.worker import shared_look
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.orchestration import sensors
from crm_sync_pipeline.orchestration.guards import BatchLimit, NotNow, due_or_reason
from crm_sync_pipeline.orchestration.own_runs import OwnRuns
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.product import Product


@contextmanager
def sent_to(engine: sa.Engine) -> Iterator[list[str]]:
    """The statements that PostgreSQL gets meanwhile."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def counted(sent: list[str]) -> tuple[int, int]:
    """How many statements, without those that open a transaction; and how many transactions."""
    transactions = sum(each.startswith("BEGIN") for each in sent)
    return len(sent) - transactions, transactions


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def look(world: World, instance: dg.DagsterInstance, crm: str = "brevo") -> int | NotNow:
    return due_or_reason(instance, OwnRuns("ours"), world.database, f"{crm}_sync", crm, 1, BatchLimit(500))


@pytest.mark.parametrize("crms", [["brevo"], list(CRMS)], ids=["one destination", "four destinations"])
def test_idle_looks_of_all_destinations_take_two_statements_in_one_transaction_together(
    world: World, instance: dg.DagsterInstance, crms: list[str]
) -> None:
    for crm in crms:
        look(world, instance, crm)
    with sent_to(world.engine) as sent:
        for crm in crms * 3:
            assert look(world, instance, crm) == NotNow(f"No contact is due for {CRMS[crm].title}.")
    assert counted(sent) == (2 * 3, 3)


def test_who_asks_twice_has_the_database_asked_twice(world: World, instance: dg.DagsterInstance) -> None:
    for crm in ("hubspot", "brevo"):
        look(world, instance, crm)
    world.add("a@example.com")
    assert look(world, instance) == 1


def test_an_answer_of_another_destinations_look_is_not_kept(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for crm in ("hubspot", "brevo", "hubspot"):
        look(world, instance, crm)
    world.add("a@example.com")
    monkeypatch.setattr(shared_look, "FRESH_SECONDS", 0)  # as if that time were over
    assert look(world, instance) == 1


def test_a_destination_whose_table_has_broken_stops_no_look_of_another(
    fresh: World, instance: dg.DagsterInstance
) -> None:
    for crm in ("hubspot", "brevo"):
        look(fresh, instance, crm)
    fresh.script("ALTER TABLE contacts RENAME COLUMN hubspot_processing_status TO gone")
    assert look(fresh, instance) == IDLE
    found = look(fresh, instance, "hubspot")
    assert isinstance(found, NotNow)
    assert "hubspot_processing_status" in found.says


def test_an_idle_tick_asks_dagsters_storage_about_runs_once(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    records = OwnRuns.records

    def noted(own: OwnRuns, *words: Any) -> Any:
        asked.append(words)
        return records(own, *words)

    monkeypatch.setattr(OwnRuns, "records", noted)
    monkeypatch.setattr(sensors, "LOOKS_FOR", timedelta(seconds=1))
    product.tick("brevo_queue_sensor")
    assert len(asked) == 1


IDLE = NotNow("No contact is due for Brevo.")


@pytest.mark.parametrize(
    ("change", "back", "says"),
    [
        (
            "ALTER TABLE contacts RENAME COLUMN brevo_sync_status TO decision",
            "ALTER TABLE contacts RENAME COLUMN decision TO brevo_sync_status",
            "public.contacts can't serve Brevo; nothing was done. Column brevo_sync_status",
        ),
        (
            "ALTER TABLE contacts RENAME TO people",
            "ALTER TABLE people RENAME TO contacts",
            "There is no table contacts in the database.",
        ),
        (
            "ALTER TYPE crm_processing_status RENAME VALUE 'Queued' TO 'Waiting'",
            "ALTER TYPE crm_processing_status RENAME VALUE 'Waiting' TO 'Queued'",
            "which lacks the label 'Queued'",
        ),
        (
            "ALTER TABLE contacts RENAME COLUMN updated_at TO x; ALTER TABLE contacts ADD COLUMN updated_at integer",
            "ALTER TABLE contacts DROP COLUMN updated_at; ALTER TABLE contacts RENAME COLUMN x TO updated_at",
            "Column updated_at of public.contacts",
        ),
        (
            "ALTER SCHEMA crm_sync RENAME TO elsewhere",
            "ALTER SCHEMA elsewhere RENAME TO crm_sync",
            "Run `crm-sync db upgrade`",
        ),
        (
            "ALTER TABLE crm_sync.deliveries RENAME COLUMN held_at TO x",
            "ALTER TABLE crm_sync.deliveries RENAME COLUMN x TO held_at",
            "Of our own tables, crm_sync.deliveries.held_at is missing.",
        ),
    ],
    ids=["column", "table", "label", "type", "our schema", "our column"],
)
def test_the_first_look_after_a_change_that_breaks_it_says_what_is_wrong(
    fresh: World, instance: dg.DagsterInstance, change: str, back: str, says: str
) -> None:
    assert look(fresh, instance) == IDLE
    fresh.script(change)
    found = look(fresh, instance)
    assert isinstance(found, NotNow)
    assert says in found.says
    fresh.script(back)
    assert look(fresh, instance) == IDLE


WITHOUT_OUR_INDEXES = """
    DO $$ DECLARE ours regclass; BEGIN
        FOR ours IN SELECT indexrelid FROM pg_index WHERE indrelid = 'contacts'::regclass AND indpred IS NOT NULL
        LOOP EXECUTE 'DROP INDEX ' || ours; END LOOP;
    END $$
"""
"""They compare the column with an enum, and keep its type as it is."""


@pytest.mark.parametrize("kind", ["text", "processing"])
def test_a_status_column_of_another_type_that_serves_as_well_stops_no_look(
    fresh: World, instance: dg.DagsterInstance, kind: str
) -> None:
    fresh.add("a@example.com")
    fresh.script("CREATE DOMAIN processing AS crm_processing_status")
    for becomes in (kind, "crm_processing_status"):
        assert look(fresh, instance) == 1
        fresh.script(WITHOUT_OUR_INDEXES)
        fresh.script(
            f"ALTER TABLE contacts ALTER COLUMN brevo_processing_status TYPE {becomes} "
            f"USING brevo_processing_status::text::{becomes}"
        )
        assert look(fresh, instance) == 1


def test_no_run_is_started_for_a_table_that_has_lost_a_column_which_only_a_run_needs(
    fresh: World, instance: dg.DagsterInstance
) -> None:
    fresh.add("a@example.com")
    assert look(fresh, instance) == 1
    fresh.script("ALTER TABLE contacts DROP COLUMN brevo_processing_error")
    found = look(fresh, instance)
    assert isinstance(found, NotNow)
    assert "brevo_processing_error" in found.says


def test_what_breaks_no_look_is_found_a_minute_later(
    fresh: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(fresh, instance) == IDLE
    fresh.script("ALTER TABLE contacts DROP COLUMN brevo_processing_error")
    assert look(fresh, instance) == IDLE
    assert source.DESCRIBED_AGAIN_AFTER_SECONDS == 60
    monkeypatch.setattr(source, "DESCRIBED_AGAIN_AFTER_SECONDS", 0)  # as if the minute were over
    found = look(fresh, instance)
    assert isinstance(found, NotNow)
    assert "brevo_processing_error" in found.says


def test_a_column_that_is_added_between_two_looks_is_sent_by_the_next_run(product: Product) -> None:
    world = product.world
    world.script("ALTER TABLE contacts DROP COLUMN phone_number")
    product.tick("brevo_queue_sensor")
    world.script("ALTER TABLE contacts ADD COLUMN phone_number text")
    world.add("a@example.com", phone_number="+49 151 23456789")
    product.run_requested(product.tick("brevo_queue_sensor"))
    assert product.simulator.contacts["a@example.com"].attributes["SMS"] == "4915123456789"
