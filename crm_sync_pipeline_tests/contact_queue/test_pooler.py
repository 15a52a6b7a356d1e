"""Behind a pooler that hands out the server's connections anew for each transaction."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from crm_sync_pipeline.contact_queue.connection import TRANSACTION
from crm_sync_pipeline_tests.builders import World, one_run
from crm_sync_pipeline_tests.pgbouncer import PgBouncer, pgbouncer

WATCHED = [name for name in TRANSACTION if name != "search_path"] + ["search_path", "client_encoding", "role"]


class Neighbour:
    """The user's application on the same pooler: short transactions, statements of its own prepared by hand."""

    def __init__(self, bouncer: PgBouncer) -> None:
        self.met: Counter[tuple[str, ...]] = Counter()
        self.failures: list[str] = []
        self._url = bouncer.url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(4)]

    def __enter__(self) -> "Neighbour":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _work(self) -> None:
        shown = ", ".join(f"current_setting('{name}')" for name in WATCHED)
        query = f"SELECT {shown}, (SELECT count(*) FROM pg_prepared_statements)::text, pg_sleep(0.001)"
        with psycopg.connect(self._url, autocommit=True, prepare_threshold=None) as connection:
            while not self._stop.is_set():
                try:
                    met = connection.execute(query).fetchall()[0]
                except psycopg.Error as error:
                    self.failures.append(str(error))
                    return
                self.met[tuple(met[:-1])] += 1


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
    with psycopg.connect(bouncer.url) as connection:
        before = connection.execute(
            f"SELECT {', '.join(f'current_setting({name!r})' for name in WATCHED)}", prepare=False
        ).fetchall()[0]
    with behind(fresh, bouncer) as through, Neighbour(bouncer) as neighbour:
        ids = []
        for number in range(25):
            ids += through.add(*(f"p{number}-{each}@example.com" for each in range(6)))
            assert one_run(through.queue(), size=6).total == 6
    assert not neighbour.failures
    assert sum(neighbour.met.values()) > 100
    assert set(neighbour.met) == {(*before, "0")}
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
