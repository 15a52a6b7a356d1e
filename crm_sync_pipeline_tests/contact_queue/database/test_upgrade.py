import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from crm_sync_pipeline.contact_queue.database.indexes import indexes_for
from crm_sync_pipeline.contact_queue.database.tables import SCHEMA, metadata
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline_tests.builders import USERS_TABLE, World, one_run

NEWEST = "0009"
INDEXES = {f"contacts_crm_sync_{crm}_{kind}" for crm in CRMS for kind in ("queued", "processing_since", "error_since")}
CATALOG = {
    "columns": """
        SELECT attname, atttypid, atttypmod, attnotnull, atthasdef, attnum, attstorage, attacl::text,
               pg_get_expr(adbin, adrelid) AS default
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = CAST(:table AS regclass) ORDER BY attnum
    """,
    "constraints": """
        SELECT conname, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint WHERE conrelid = CAST(:table AS regclass) ORDER BY 1
    """,
    "triggers": "SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:table AS regclass) ORDER BY 1",
    "table": """
        SELECT relname, relowner, reloptions, relacl::text, relfilenode
        FROM pg_class WHERE oid = CAST(:table AS regclass)
    """,
}


def catalog(world: World) -> dict[str, list[dict[str, Any]]]:
    return {part: world.rows(query, table=world.table) for part, query in CATALOG.items()}


def indexes_of(world: World) -> dict[str, bool]:
    """The table's indexes, and whether each is valid."""
    rows = world.rows(
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indrelid = CAST(:table AS regclass)",
        table=world.table,
    )
    return {row["relname"]: row["indisvalid"] for row in rows}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def test_from_nothing_it_makes_the_table_our_schema_and_the_indexes_and_says_so(empty: World) -> None:
    said = empty.upgrade()
    assert said[:3] == [
        "created table public.contacts",
        "created schema crm_sync",
        f"migrated schema crm_sync from nothing to {NEWEST}",
    ]
    assert {line.removeprefix("built index ") for line in said[3:]} == INDEXES
    empty.add("a@example.com")
    assert one_run(empty.queue()).as_metadata()["complete"] == 1


def test_the_second_time_it_says_nothing_and_changes_nothing(fresh: World) -> None:
    before = (catalog(fresh), indexes_of(fresh))
    assert fresh.upgrade() == []
    assert (catalog(fresh), indexes_of(fresh)) == before


def test_the_users_table_stays_as_it_is_column_for_column(empty: World) -> None:
    empty.script(USERS_TABLE)
    empty.add("a@example.com", selected=False)
    rows = "SELECT xmin::text, c::text FROM contacts c"
    before, rows_before, indexes_before = catalog(empty), empty.rows(rows), indexes_of(empty)
    assert "created table public.contacts" not in empty.upgrade()
    assert catalog(empty) == before
    assert empty.rows(rows) == rows_before
    assert set(indexes_of(empty)) - set(indexes_before) == INDEXES
    assert empty.value("SELECT count(*) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'") == 2


def test_two_at_once_do_it_once(empty: World) -> None:
    start = threading.Barrier(2)

    def run(_process: int) -> list[str]:
        start.wait()
        return empty.upgrade()

    with ThreadPoolExecutor(2) as pool:
        said = [line for lines in pool.map(run, range(2)) for line in lines]
    assert said.count("created table public.contacts") == 1
    assert said.count(f"migrated schema crm_sync from nothing to {NEWEST}") == 1
    assert sorted(line for line in said if line.startswith("built")) == sorted(
        f"built index {name}" for name in INDEXES
    )
    assert set(said) & {"another upgrade is in progress; waiting for it"}
    assert all(indexes_of(empty).values())


def test_an_index_that_an_interrupted_build_left_invalid_is_rebuilt(fresh: World) -> None:
    name = "contacts_crm_sync_brevo_queued"
    fresh.add("a@example.com", "b@example.com", has_gmail=True)
    fresh.execute(f"DROP INDEX {name}")
    with (
        fresh.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(sa.exc.IntegrityError),
    ):
        connection.exec_driver_sql(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON contacts (has_gmail)")
    assert indexes_of(fresh)[name] is False
    assert fresh.upgrade() == [
        f"dropped index {name}, which an interrupted upgrade left half built",
        f"built index {name}",
    ]
    assert indexes_of(fresh)[name] is True
    definition = fresh.value("SELECT indexdef FROM pg_indexes WHERE indexname = :name", name=name)
    assert "UNIQUE" not in definition
    assert "last_failed_crm" in definition


def test_every_index_is_built_and_dropped_without_blocking_writers(fresh: World) -> None:
    for crm in CRMS.values():
        for index in indexes_for(fresh.database.contacts(), crm):
            assert index.create.startswith("CREATE INDEX CONCURRENTLY ")
            assert index.drop.startswith("DROP INDEX CONCURRENTLY ")


def test_writers_go_on_while_an_index_is_built(fresh: World) -> None:
    first, second = fresh.add("a@example.com", "b@example.com", selected=False)
    fresh.execute("DROP INDEX contacts_crm_sync_brevo_queued")
    rename = "UPDATE contacts SET name = %s WHERE id = %s"
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' "
        "AND wait_event_type = 'Lock' AND datname = current_database()"
    )
    with ThreadPoolExecutor(1) as pool:
        with fresh.engine.begin() as long_writer:
            long_writer.exec_driver_sql(rename, ("before", first))
            upgrading = pool.submit(fresh.upgrade)
            until(lambda: fresh.value(waiting) == 1)
            with fresh.engine.begin() as other:
                other.exec_driver_sql(rename, ("meanwhile", second))
            long_writer.exec_driver_sql(rename, ("after", first))
            assert not upgrading.done()
        assert upgrading.result(30) == ["built index contacts_crm_sync_brevo_queued"]
    assert [fresh.contact(contact)["name"] for contact in (first, second)] == ["after", "meanwhile"]


def test_the_migrations_and_the_tables_in_code_are_the_same(fresh: World) -> None:
    with fresh.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _parents: kind != "schema" or name == SCHEMA,
                "version_table_schema": SCHEMA,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(context, metadata) == []


def test_a_database_of_the_first_version_is_upgraded_with_its_claims_and_history(fresh: World) -> None:
    fresh.add("a@example.com", "b@example.com")
    one_run(fresh.queue(), size=1)
    token = fresh.queue().claim(1).token
    fresh.script(
        "ALTER TABLE crm_sync.deliveries DROP COLUMN late_payload_hash, DROP COLUMN changed_only_at;"
        "ALTER TABLE crm_sync.deliveries DROP COLUMN held_at, DROP COLUMN remote_fields;"
        "ALTER TABLE crm_sync.attempts DROP COLUMN remote_fields, DROP COLUMN request_size;"
        "ALTER TABLE crm_sync.destinations DROP COLUMN paced_until;"
        "DROP TABLE crm_sync.import_contacts, crm_sync.imports, crm_sync.acts, crm_sync.alerts;"
        "DROP INDEX crm_sync.deliveries_leases;"
        "UPDATE crm_sync.alembic_version SET version_num = '0001';"
        "ALTER INDEX contacts_crm_sync_brevo_queued RENAME TO contacts_crm_sync_brevo_due"
    )
    assert fresh.upgrade() == [
        f"migrated schema crm_sync from 0001 to {NEWEST}",
        "built index contacts_crm_sync_brevo_queued",
        "dropped index contacts_crm_sync_brevo_due, which an older version needed",
    ]
    assert len(fresh.queue().contacts_of(token)) == 1
    assert fresh.queue().settle(token).total == 1


@pytest.mark.parametrize("name", ["App.My-Contacts", "My Contacts", "order", "a:b", "kontakte_" + "ü" * 25])
def test_a_table_of_any_name_is_made_upgraded_twice_and_used(empty: World, name: str) -> None:
    odd = World(empty.url, name)
    assert odd.upgrade()[0].startswith("created table ")
    assert odd.upgrade() == []
    assert (
        empty.value(
            "SELECT count(DISTINCT relname) FROM pg_class WHERE relname LIKE '%crm\\_sync\\_%' AND relkind = 'i'"
        )
        == 12
    )
    contacts = odd.database.contacts()
    assert f"{contacts.schema}.{contacts.name}" in (name, f"public.{name}")
    with odd.engine.begin() as connection:
        table = contacts.clause
        added = sa.insert(table).values(email="a@example.com").returning(table.c.id)
        contact = connection.execute(added).scalar_one()
    odd.select(contact)
    assert one_run(odd.queue()).as_metadata()["complete"] == 1


def test_a_table_with_a_fault_gets_our_schema_and_the_sound_crms_indexes(empty: World) -> None:
    empty.script(USERS_TABLE)
    empty.execute("ALTER TABLE contacts DROP COLUMN hubspot_processing_error")
    empty.upgrade()
    built = set(indexes_of(empty)) & INDEXES
    assert built == {name for name in INDEXES if "hubspot" not in name}
    empty.add("a@example.com")
    assert one_run(empty.queue()).as_metadata()["complete"] == 1
