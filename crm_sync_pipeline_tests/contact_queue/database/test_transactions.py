import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.connection import BoundedConnection
from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError, in_transaction
from crm_sync_pipeline_tests.builders import World


def backend_of(connection: sa.Connection) -> int:
    pid: int = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    return pid


def test_a_deadlock_is_tried_again_and_both_get_through(fresh: World) -> None:
    fresh.script("CREATE TABLE counters (id int PRIMARY KEY, n int); INSERT INTO counters VALUES (1, 0), (2, 0)")
    both_hold_one = threading.Barrier(2)
    tries: list[int] = []

    def crosswise(first: int, second: int) -> Callable[[sa.Connection], None]:
        def work(connection: sa.Connection) -> None:
            tries.append(first)
            connection.exec_driver_sql("SET LOCAL deadlock_timeout = '20ms'")
            connection.exec_driver_sql("UPDATE counters SET n = n + 1 WHERE id = %s", (first,))
            if tries.count(first) == 1:
                both_hold_one.wait(20)
            connection.exec_driver_sql("UPDATE counters SET n = n + 1 WHERE id = %s", (second,))

        return work

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(in_transaction, fresh.engine, crosswise(*order)) for order in ((1, 2), (2, 1))]
        for future in running:
            future.result(30)
    assert len(tries) > 2, "there was no deadlock"
    assert [row["n"] for row in fresh.rows("SELECT n FROM counters ORDER BY id")] == [2, 2]


def test_a_backend_that_is_killed_is_replaced_and_the_work_done_once(fresh: World) -> None:
    fresh.script("CREATE TABLE notes (text text)")
    backends: list[int] = []

    def work(connection: sa.Connection) -> None:
        connection.exec_driver_sql("INSERT INTO notes VALUES ('x')")
        backends.append(backend_of(connection))
        if len(backends) == 1:
            with fresh.engine.connect() as other:
                other.exec_driver_sql("SELECT pg_terminate_backend(%s)", (backends[0],))
        connection.exec_driver_sql("SELECT 1")

    in_transaction(fresh.engine, work)
    assert len(set(backends)) == 2
    assert fresh.value("SELECT count(*) FROM notes") == 1


def test_pooled_connections_that_died_meanwhile_are_no_trouble(world: World) -> None:
    world.value("SELECT 1")
    killer = sa.create_engine(world.engine.url, poolclass=sa.NullPool)
    with killer.connect() as other:
        other.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert in_transaction(world.engine, backend_of)


@pytest.mark.parametrize("statement", ["SELECT 1/0", "SELECT nothing", "INSERT INTO contacts (email) VALUES (NULL)"])
def test_a_plain_error_is_raised_at_once(world: World, statement: str) -> None:
    tries = []

    def work(connection: sa.Connection) -> None:
        tries.append(1)
        connection.exec_driver_sql(statement)

    with pytest.raises(DatabaseError, match="The database refused a statement"):
        in_transaction(world.engine, work)
    assert len(tries) == 1


def test_an_error_quotes_no_statement_and_no_parameter(world: World) -> None:
    def work(connection: sa.Connection) -> None:
        statement = sa.text("INSERT INTO domains (id) SELECT CAST(:text AS uuid)")
        connection.execute(statement, {"text": "jane@example.com"})

    with pytest.raises(DatabaseError) as caught:
        in_transaction(world.engine, work)
    told = "".join(traceback.format_exception(caught.value))
    assert "jane" not in told
    assert "INSERT" not in told
    assert 'invalid input syntax for type uuid: "j***@example.com" (22P02)' in told


def test_an_error_of_ours_is_raised_at_once_and_nothing_is_written(fresh: World) -> None:
    fresh.script("CREATE TABLE notes (text text)")

    def work(connection: sa.Connection) -> None:
        connection.exec_driver_sql("INSERT INTO notes VALUES ('x')")
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        in_transaction(fresh.engine, work)
    assert fresh.value("SELECT count(*) FROM notes") == 0


STATES_OF_A_MOMENT = ["40001", "40P01", "55P03", "57014", "57P01", "57P03", "53300", "08006"]


@pytest.mark.parametrize("state", STATES_OF_A_MOMENT)
def test_what_passes_is_tried_again_until_it_does(world: World, state: str) -> None:
    tries = []

    def work(connection: sa.Connection) -> int:
        tries.append(1)
        if len(tries) < 3:
            connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'busy' USING ERRCODE = '{state}'; END $$")
        return len(tries)

    assert in_transaction(world.engine, work) == 3


def test_what_never_gets_better_is_given_up_when_patience_ends(world: World) -> None:
    def work(connection: sa.Connection) -> None:
        connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'busy' USING ERRCODE = '40001'; END $$")

    started = time.monotonic()
    with pytest.raises(DatabaseError, match="busy"):
        in_transaction(world.engine, work, timedelta(seconds=1))
    assert 0.9 < time.monotonic() - started < 4


def test_a_server_that_refuses_connections_is_waited_for(world: World) -> None:
    """As while it restarts: nobody listens, and there is no SQLSTATE."""
    refused = sa.create_engine("postgresql+psycopg://postgres@127.0.0.1:1/contacts")
    tries: list[int] = []
    sa.event.listen(refused, "do_connect", lambda *_: tries.append(1))
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:1 can't be used"):
        in_transaction(refused, lambda _: None, timedelta(seconds=0.5))
    assert len(tries) > 2
    comes_back = sa.create_engine("postgresql+psycopg://", creator=_third_time(world))
    assert in_transaction(comes_back, lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one()) == 1
    comes_back.dispose()


def _third_time(world: World) -> Callable[[], Any]:
    tries: list[int] = []

    def connect() -> Any:
        tries.append(1)
        url = world.engine.url if len(tries) == 3 else sa.make_url("postgresql://postgres@127.0.0.1:1/contacts")
        return psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))

    return connect


def test_a_server_that_says_no_is_not_asked_again(world: World) -> None:
    tries: list[int] = []
    stranger = sa.create_engine(world.engine.url.set(username="nobody_knows"))
    sa.event.listen(stranger, "do_connect", lambda *_: tries.append(1))
    with pytest.raises(DatabaseError, match="nobody_knows"):
        in_transaction(stranger, lambda _: None)
    assert len(tries) == 1


def test_a_server_that_became_read_only_by_a_failover_is_left_for_another_connection(world: World) -> None:
    backends: list[int] = []

    def work(connection: sa.Connection) -> None:
        backends.append(backend_of(connection))
        if len(backends) == 1:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql("UPDATE contacts SET name = 'x'")

    in_transaction(world.engine, work)
    assert len(set(backends)) == 2


def test_a_server_that_says_nothing_is_given_up_and_another_connection_tried(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedConnection, "answer_limit_seconds", 0.5)
    backends: list[int] = []

    def work(connection: sa.Connection) -> int:
        backends.append(backend_of(connection))
        if len(backends) == 1:
            connection.exec_driver_sql("SELECT pg_sleep(30)")
        return len(backends)

    started = time.monotonic()
    assert in_transaction(world.engine, work) == 2
    assert time.monotonic() - started < 10
    assert len(set(backends)) == 2


def test_a_slow_answer_that_comes_in_time_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "answer_limit_seconds", 20)
    assert in_transaction(world.engine, lambda connection: connection.exec_driver_sql("SELECT pg_sleep(0.4)").rowcount)


def test_no_method_of_the_queue_leaves_a_transaction_open(world: World) -> None:
    world.add("a@example.com")
    queue = world.queue()
    token = queue.claim(1).token
    queue.contacts_of(token)
    queue.journal(token, [])
    queue.settle(token)
    queue.depth()
    queue.needs_recovery()
    queue.breaker.open("r", "m")
    queue.breaker.state()
    open_ones = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"
    )
    assert world.value(open_ones) == 0
