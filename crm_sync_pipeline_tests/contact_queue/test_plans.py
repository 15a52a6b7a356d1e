"""What runs while contacts are delivered walks an index, however the tables and PostgreSQL's statistics stand."""

import time
from collections.abc import Callable

import pytest

from crm_sync_pipeline.contact_queue.bulk import imports
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.contact_queue.plans import read_whole

ROWS = 20_000
ROWS_AS_PLANNED = 1_000_000
"""What PostgreSQL is told. The rows lie on as many pages as ten times as many would need."""

COLUMNS = "brevo_sync_status, brevo_processing_status, updated_at, retry_count, next_retry_at, last_failed_crm"
STATES = {
    "everything queued": "'Selected', 'Queued', now(), 0, NULL, NULL",
    "everything waiting for a retry": "'Queued', 'Queued', now(), 1, now() + interval '1 h', 'brevo'",
    "everything claimed": "'Processing', 'Processing', now(), 0, NULL, NULL",
    "everything claimed by dead runs": "'Processing', 'Processing', now() - interval '1 h', 0, NULL, NULL",
    "everything delivered": "'Complete', 'Complete', now(), 0, NULL, NULL",
    "nothing selected": "'New', NULL, now(), 0, NULL, NULL",
}
LEASES = {
    "everything claimed": "now() + interval '4 min'",
    "everything claimed by dead runs": "now() - interval '1 min'",
}

EMPTIED = "TRUNCATE contacts, crm_sync.deliveries CASCADE;"
SPREAD = "".join(f"ALTER TABLE {table} SET (fillfactor = 10);" for table in ("contacts", "crm_sync.deliveries"))
FILLED = """
    INSERT INTO contacts (email, domain_id, page_id, {columns})
    SELECT n || '@example.com', domains.id, pages.id, {values}
    FROM generate_series(1, {rows}) n, (SELECT id FROM domains LIMIT 1) domains, (SELECT id FROM pages LIMIT 1) pages;
    INSERT INTO crm_sync.deliveries
        (contact_id, destination, retry_count, next_retry_at, run_id, claim_token, lease_expires_at)
    SELECT id, 'brevo', retry_count, next_retry_at, run,
           CASE WHEN {lease} IS NOT NULL THEN lpad(run, 32, '0')::uuid END, {lease}
    FROM (SELECT *, (row_number() OVER () / 100)::text AS run FROM contacts) each
    WHERE brevo_processing_status IS NOT NULL AND brevo_sync_status <> 'Selected';
    INSERT INTO crm_sync.attempts (contact_id, destination, claim_token, number, outcome, reason, contact_hash)
    SELECT id, 'brevo', gen_random_uuid(), 1, 'synced', 'created', '' FROM contacts
    WHERE NOT EXISTS (SELECT FROM crm_sync.attempts);
"""
TOLD = """
    UPDATE pg_class SET reltuples = CASE WHEN relpages = 0 THEN 0 ELSE reltuples * {times} END
    WHERE relname ~ '^(contacts|deliveries|attempts)' AND relkind IN ('r', 'i');
"""
NEVER_ANALYSED = "".join(
    f"DELETE FROM pg_statistic WHERE starelid = '{table}'::regclass;"
    f"UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = '{table}'::regclass;"
    for table in ("contacts", "crm_sync.deliveries", "crm_sync.attempts")
)
ANALYSED = "ANALYZE contacts, crm_sync.deliveries, crm_sync.attempts;"


def filled(state: str) -> str:
    return FILLED.format(columns=COLUMNS, values=STATES[state], rows=ROWS, lease=LEASES.get(state, "NULL::timestamptz"))


Statistics = Callable[[World, str], None]


def analysed_when_empty(world: World, state: str) -> None:
    world.script(EMPTIED + ANALYSED + filled(state))


def analysed_when_nothing_was_selected(world: World, state: str) -> None:
    world.script(EMPTIED + filled("nothing selected") + ANALYSED + TOLD.format(times=ROWS_AS_PLANNED // ROWS))
    world.script(EMPTIED + filled(state))


def analysed_now(world: World, state: str) -> None:
    world.script(EMPTIED + filled(state) + ANALYSED + TOLD.format(times=ROWS_AS_PLANNED // ROWS))


def analysed_never(world: World, state: str) -> None:
    world.script(EMPTIED + filled(state) + NEVER_ANALYSED)


@pytest.mark.parametrize("statistics", [analysed_now, analysed_never])
@pytest.mark.parametrize("state", STATES)
def test_no_table_is_read_from_end_to_end(module_world: World, state: str, statistics: Statistics) -> None:
    module_world.script(SPREAD)
    statistics(module_world, state)
    assert read_whole(module_world) == []


@pytest.mark.parametrize("statistics", [analysed_when_empty, analysed_when_nothing_was_selected])
@pytest.mark.parametrize("state", ["everything queued", "everything waiting for a retry"])
def test_nor_where_the_statistics_are_of_another_time(module_world: World, state: str, statistics: Statistics) -> None:
    module_world.script(SPREAD)
    statistics(module_world, state)
    assert read_whole(module_world) == []


IMPORTED_BY_ANOTHER = """
    INSERT INTO crm_sync.imports (id, destination, claim_token, contacts, after_process_id)
    VALUES (gen_random_uuid(), 'brevo', gen_random_uuid(), 5000, 0);
    INSERT INTO crm_sync.import_contacts
        (contact_id, destination, import_id, contact_hash, payload_hash, address_hash)
    SELECT gen_random_uuid(), 'brevo', imports.id, '', '', '' FROM crm_sync.imports, generate_series(1, 5000);
"""
ENTRIES_READ = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'import_contacts'"


def test_a_plan_made_before_there_was_an_import_is_not_kept_for_the_time_when_there_is_one(
    fresh: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or each page of a long batch reads all that an import holds, for each of its contacts."""
    monkeypatch.setattr(imports, "PAGE", 10)
    fresh.add_many(100)
    queue = fresh.queue()
    token = queue.claim(100).token
    fresh.script("ANALYZE crm_sync.deliveries, crm_sync.imports, crm_sync.import_contacts")  # the two are empty again

    def read() -> None:
        assert len(list(queue.imports.candidates(token))) == 100

    read()
    read()  # in twenty pages: psycopg prepares a statement after five, and PostgreSQL makes up its mind after five more
    other = World(
        f"{fresh.url}&application_name=other"
    )  # a ROLLBACK on the same connection would forget what is prepared
    other.script(IMPORTED_BY_ANOTHER)
    before = other.value(ENTRIES_READ)
    read()
    time.sleep(1.1)  # PostgreSQL tells what it read once a second, at the end of a transaction
    queue.imports.of(token)
    assert other.value(ENTRIES_READ) - before < 5000 * 2
    other.engine.dispose()


REALLY_A_MILLION = """
    ALTER TABLE contacts SET UNLOGGED;
    ALTER TABLE crm_sync.deliveries SET UNLOGGED;
    SET LOCAL session_replication_role = replica;  -- so that a million foreign keys need not be looked up
    INSERT INTO contacts (id, email, domain_id, page_id, {columns})
    SELECT rpad(lpad(to_hex(n * 4294::bigint), 8, '0'), 32, '0')::uuid, lpad(n::text, 7, '0') || '@example.com',
           domains.id, pages.id, {values}
    FROM generate_series(1, 1000000) n, (SELECT id FROM domains LIMIT 1) domains, (SELECT id FROM pages LIMIT 1) pages;
    INSERT INTO crm_sync.deliveries (contact_id, destination, retry_count, next_retry_at)
    SELECT id, 'brevo', retry_count, next_retry_at FROM contacts;
"""
"""Ids from one end to the other, in their order, or it would take three times as long."""

AS_IF_SCATTERED = """
    UPDATE pg_statistic SET stanumbers2 = '{0}'
    WHERE stakind2 = 3 AND starelid IN ('contacts'::regclass, 'crm_sync.deliveries'::regclass);
"""
"""What PostgreSQL is told of how the order of the rows goes with that of their ids: not at all."""


def test_nor_at_a_million_that_are_really_there(fresh: World) -> None:
    """With the statistics of an empty table, with those of now, and with none."""
    waiting = STATES["everything waiting for a retry"]
    fresh.script(ANALYSED + REALLY_A_MILLION.format(columns=COLUMNS, values=waiting))
    assert fresh.value("SELECT count(*) FROM contacts") == 1_000_000
    assert read_whole(fresh) == []
    fresh.script(ANALYSED + AS_IF_SCATTERED)
    assert fresh.value("SELECT correlation FROM pg_stats WHERE tablename = 'contacts' AND attname = 'id'") == 0
    assert read_whole(fresh) == []
    fresh.script(NEVER_ANALYSED)
    assert read_whole(fresh) == []
