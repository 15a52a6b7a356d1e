"""`db upgrade` directly and through a pooler in transaction mode: no lock, no setting and no half-built index stays."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database import ddl
from crm_sync_pipeline.contact_queue.database.schema import check
from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.contact_queue.database.test_upgrade import indexes_of, until
from crm_sync_pipeline_tests.pgbouncer import pgbouncer

QUEUED = "contacts_crm_sync_brevo_queued"
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' "
    "AND wait_event_type = 'Lock' AND datname = current_database()"
)
_roles = itertools.count(1)


@contextmanager
def reached(world: World, way: str, role: str = "postgres") -> Iterator[World]:
    """The same database, by the way that the test names."""
    if way == "directly":
        yield World(sa.engine.make_url(world.url).set(username=role).render_as_string(hide_password=False))
    else:
        with pgbouncer(world.url, pool_size=3, role=role) as bouncer:
            yield World(bouncer.url)


@contextmanager
def impatient(world: World, *settings: str) -> Iterator[str]:
    """A role that owns all there is, and for which the server has such settings."""
    role = f"impatient_{next(_roles)}"
    world.script(
        f"CREATE ROLE {role} SUPERUSER LOGIN;" + "".join(f"ALTER ROLE {role} SET {each};" for each in settings)
    )
    try:
        yield role
    finally:
        world.script(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


both_ways = pytest.mark.parametrize("way", ["directly", "pooled"])


@both_ways
def test_two_upgrades_in_a_row_and_two_at_once_succeed(empty: World, way: str) -> None:
    with reached(empty, way) as world:
        start = threading.Barrier(2)

        def run(_process: int) -> list[str]:
            start.wait()
            return world.upgrade()

        with ThreadPoolExecutor(2) as pool:
            said = [line for lines in pool.map(run, range(2)) for line in lines]
        assert said.count("created schema crm_sync") == 1
        assert world.upgrade() == []
        empty.execute(f"DROP INDEX {QUEUED}")
        assert world.upgrade() == [f"built index {QUEUED}"]
        assert all(indexes_of(empty).values())
        world.engine.dispose()


def test_no_lock_and_no_setting_stays_with_a_pooled_connection(empty: World) -> None:
    with (
        impatient(empty, "statement_timeout = '1min'") as role,
        pgbouncer(empty.url, role=role, pool_size=2) as bouncer,
    ):
        World(bouncer.url).upgrade()
        assert empty.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
        with psycopg.connect(bouncer.url) as first, psycopg.connect(bouncer.url) as second:  # all that the pooler has
            for connection in (first, second):
                connection.prepare_threshold = None
                assert connection.execute("SHOW statement_timeout").fetchone() == ("1min",)
                assert connection.execute("SHOW lock_timeout").fetchone() == ("0",)
                assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


@both_ways
@pytest.mark.parametrize("setting", ["lock_timeout", "statement_timeout"])
def test_a_time_out_of_the_role_leaves_no_index_half_built_while_a_writer_is_open(
    fresh: World, way: str, setting: str
) -> None:
    (contact,) = fresh.add("a@example.com", selected=False)
    fresh.execute(f"DROP INDEX {QUEUED}")
    said: list[str] = []
    with (
        impatient(fresh, f"{setting} = '300ms'") as role,
        reached(fresh, way, role) as world,
        ThreadPoolExecutor(1) as pool,
    ):
        with fresh.engine.begin() as writer:
            writer.exec_driver_sql("UPDATE contacts SET name = 'x' WHERE id = %s", (contact,))
            upgrading = pool.submit(world.database.upgrade, said.append)
            until(lambda: fresh.value(WAITS) == 1)
            if way == "pooled":
                until(lambda: bool(said))
            else:
                until(lambda: fresh.value(f"{WAITS} AND now() - query_start > interval '600 ms'") == 1)
            assert not upgrading.done()
        upgrading.result(60)
    assert said[-1] == f"built index {QUEUED}"
    assert (len(said) == 1) == (way == "directly"), "only a pooler keeps us from switching time-outs off"
    assert all(f"{setting} (300ms) ended the build of index {QUEUED}" in line for line in said[:-1])
    assert all(indexes_of(fresh).values())


def test_where_time_outs_end_each_try_the_index_the_time_out_and_the_way_out_are_named(
    fresh: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddl, "PATIENCE", timedelta(seconds=1.2))
    (contact,) = fresh.add("a@example.com", selected=False)
    fresh.execute(f"DROP INDEX {QUEUED}")
    with impatient(fresh, "lock_timeout = '200ms'") as role, pgbouncer(fresh.url, role=role) as bouncer:
        with fresh.engine.begin() as writer:
            writer.exec_driver_sql("UPDATE contacts SET name = 'x' WHERE id = %s", (contact,))
            with pytest.raises(DatabaseError) as failed:
                World(bouncer.url).database.upgrade(lambda _line: None)
        says = str(failed.value)
        assert says.startswith(f"Could not build index {QUEUED}: lock_timeout (200ms) of the role, the database or the")
        assert "session mode" in says
        assert f"CREATE INDEX CONCURRENTLY {QUEUED} ON public.contacts" in says
        left = indexes_of(fresh).get(QUEUED)
        assert ("half built" in says) == (left is False)
        if left is False:
            with fresh.engine.connect() as connection:
                (line,) = [each for each in check(connection, fresh.database.contacts()) if each.ok is False]
            assert line.detail == "left half built: it costs writes and serves no query"
            assert line.remedy == "crm-sync db upgrade"
        World(bouncer.url).database.upgrade(lambda _line: None)
    assert all(indexes_of(fresh).values())


def test_a_build_that_somebody_cancels_is_not_tried_again_and_what_is_left_of_it_is_named(fresh: World) -> None:
    (contact,) = fresh.add("a@example.com", selected=False)
    fresh.execute(f"DROP INDEX {QUEUED}")
    with ThreadPoolExecutor(1) as pool, fresh.engine.begin() as writer:
        writer.exec_driver_sql("UPDATE contacts SET name = 'x' WHERE id = %s", (contact,))
        upgrading = pool.submit(fresh.upgrade)
        until(lambda: fresh.value(WAITS) == 1)
        fresh.rows("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'")
        with pytest.raises(CrmSyncError, match=rf"Could not build index {QUEUED}: .*57014.* half built"):
            upgrading.result(30)
    assert indexes_of(fresh)[QUEUED] is False
    assert fresh.upgrade() == [
        f"dropped index {QUEUED}, which an interrupted upgrade left half built",
        f"built index {QUEUED}",
    ]


def test_a_lock_that_is_lost_meanwhile_does_not_undo_what_was_done(fresh: World) -> None:
    (contact,) = fresh.add("a@example.com", selected=False)
    fresh.execute(f"DROP INDEX {QUEUED}")
    with ThreadPoolExecutor(1) as pool:
        with fresh.engine.begin() as writer:
            writer.exec_driver_sql("UPDATE contacts SET name = 'x' WHERE id = %s", (contact,))
            upgrading = pool.submit(fresh.upgrade)
            until(lambda: fresh.value(WAITS) == 1)
            holder = fresh.value("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")
            fresh.rows("SELECT pg_terminate_backend(:pid)", pid=holder)
        assert upgrading.result(30) == [f"built index {QUEUED}"]
    assert all(indexes_of(fresh).values())


BACK_TO_0006 = """
ALTER TABLE crm_sync.deliveries DROP COLUMN remote_fields;
ALTER TABLE crm_sync.attempts DROP COLUMN remote_fields, DROP COLUMN request_size;
ALTER TABLE crm_sync.import_contacts DROP COLUMN remote_fields, ADD COLUMN row_version text NOT NULL;
UPDATE crm_sync.alembic_version SET version_num = '0006';
"""


def test_a_migration_does_not_queue_before_the_application_and_names_who_holds_it_up(
    fresh: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddl, "PATIENCE", timedelta(seconds=0.5))
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT", "200ms")
    fresh.script(BACK_TO_0006)
    with fresh.engine.begin() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM crm_sync.deliveries")
        pid = reader.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with pytest.raises(CrmSyncError, match=rf"Schema crm_sync could not be changed .* by process {pid} \(role "):
            fresh.upgrade()
    assert fresh.upgrade() == ["migrated schema crm_sync from 0006 to 0009"]


def test_a_migration_waits_for_a_lock_whatever_time_outs_a_pooler_keeps(fresh: World) -> None:
    fresh.script(BACK_TO_0006)
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'crm_sync.deliveries'::regclass"
    time_outs = ("lock_timeout = '100ms'", "statement_timeout = '100ms'")
    with (
        impatient(fresh, *time_outs) as role,
        pgbouncer(fresh.url, role=role) as bouncer,
        ThreadPoolExecutor(1) as pool,
    ):
        with fresh.engine.begin() as reader:
            reader.exec_driver_sql("SELECT count(*) FROM crm_sync.deliveries")
            upgrading = pool.submit(World(bouncer.url).upgrade)
            until(lambda: fresh.value(f"{waits} AND now() - waitstart > interval '300 ms'") == 1)
        assert upgrading.result(30) == ["migrated schema crm_sync from 0006 to 0009"]


def test_the_lock_outlives_a_time_out_of_idle_transactions_and_keeps_no_snapshot(fresh: World) -> None:
    (contact,) = fresh.add("a@example.com", selected=False)
    fresh.execute(f"DROP INDEX {QUEUED}")
    settings = ("idle_in_transaction_session_timeout = '100ms'", "default_transaction_isolation = 'serializable'")
    held = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'"
    with impatient(fresh, *settings) as role, pgbouncer(fresh.url, role=role) as bouncer, ThreadPoolExecutor(1) as pool:
        with fresh.engine.begin() as writer:
            writer.exec_driver_sql("UPDATE contacts SET name = 'x' WHERE id = %s", (contact,))
            upgrading = pool.submit(World(bouncer.url).upgrade)
            until(lambda: fresh.value(f"{held} AND now() - state_change > interval '400 ms'") == 1)
            assert fresh.value(f"{held} AND backend_xmin IS NOT NULL") == 0
        assert upgrading.result(30) == [f"built index {QUEUED}"]


def test_the_options_of_the_url_and_of_the_environment_still_count(
    fresh: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.script("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.contacts (LIKE contacts INCLUDING ALL)")
    for way in ("url", "environment"):
        with monkeypatch.context() as patch:
            if way == "url":
                there = World(f"{fresh.url}&options=-c%20search_path%3Delsewhere")
            else:
                patch.setenv("PGOPTIONS", "-c search_path=elsewhere")
                there = World(f"{fresh.url}&application_name=x")
            assert there.database.upgrade(lambda _line: None).schema == "elsewhere"
            there.engine.dispose()


def test_where_nothing_is_left_to_do_it_waits_for_nobody(fresh: World) -> None:
    with fresh.engine.begin() as another_upgrade:
        another_upgrade.execute(ddl._TRY_TO_LOCK)
        assert fresh.upgrade() == []
