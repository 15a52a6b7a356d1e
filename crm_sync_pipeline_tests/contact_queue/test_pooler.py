"""Behind a pooler that hands out the server's connections anew for each transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline_tests.builders import World, one_run
from crm_sync_pipeline_tests.pgbouncer import Neighbour, PgBouncer, pgbouncer


@contextmanager
def behind(world: World, bouncer: PgBouncer) -> Iterator[World]:
    through = replace(world, url=bouncer.url)
    yield through
    through.engine.dispose()


@pytest.fixture
def bouncer(fresh: World) -> Iterator[PgBouncer]:
    with pgbouncer(fresh.url, "transaction", pool_size=5) as made:
        yield made


def test_runs_go_on_and_leave_nothing_behind_that_another_client_would_meet(fresh: World, bouncer: PgBouncer) -> None:
    with behind(fresh, bouncer) as through, Neighbour(bouncer) as neighbour:
        ids = []
        for number in range(25):
            ids += through.add(*(f"p{number}-{each}@example.com" for each in range(6)))
            assert one_run(through.queue(), size=6).total == 6
    neighbour.require_undisturbed()
    assert fresh.rows("SELECT brevo_processing_status AS state, count(*) AS n FROM contacts GROUP BY 1") == [
        {"state": "Complete", "n": len(ids)}
    ]
    assert fresh.value("SELECT max(n) FROM (SELECT count(*) AS n FROM crm_sync.attempts GROUP BY contact_id) each") == 1


def test_settings_that_another_client_left_in_the_session_are_not_met_by_us(fresh: World) -> None:
    fresh.script("CREATE SCHEMA theirs; CREATE TABLE theirs.contacts (id int)")
    with pgbouncer(fresh.url, "transaction", pool_size=1) as bouncer:
        with psycopg.connect(bouncer.url, autocommit=True) as other:
            other.execute("SET search_path TO theirs", prepare=False)
            other.execute("SET statement_timeout TO '1ms'", prepare=False)
            other.execute("SET default_transaction_isolation TO 'serializable'", prepare=False)
        with behind(fresh, bouncer) as through:
            assert through.database.contacts().qualified == "public.contacts"
            through.add("a@example.com")
            assert one_run(through.queue()).total == 1


def test_a_session_pooler_is_no_trouble_either(fresh: World) -> None:
    with pgbouncer(fresh.url, "session", pool_size=10) as bouncer, behind(fresh, bouncer) as through:
        through.add("a@example.com", "b@example.com")
        assert one_run(through.queue()).total == 2


def test_our_connections_leave_no_prepared_statement(world: World) -> None:
    world.add("a@example.com")
    for _ in range(8):
        world.queue().depth()
    assert world.value("SELECT count(*) FROM pg_prepared_statements") == 0


@pytest.mark.parametrize("threshold", [0, 1])
def test_the_url_may_ask_for_prepared_statements(world: World, threshold: int) -> None:
    engine = engine_for(f"{world.url}&prepare_threshold={threshold}")
    for _ in range(4):
        with engine.begin() as connection:
            connection.exec_driver_sql("SELECT %s::int", (1,))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one() > 0
    engine.dispose()
