"""The proxy's faults really happen."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.proxy import Port, Proxy, UnixSocket


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(connection: socket.socket) -> None:
            with connection, suppress(ConnectionError):
                while data := connection.recv(100):
                    connection.sendall(data)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy(Port(echo)) as running:
        yield running


def connected(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    connection.sendall(b"1")
    assert connection.recv(10) == b"1"
    return connection


def test_it_passes_everything_on(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.sendall(b"x" * 50)
        assert connection.recv(50)
    assert proxy.done["connections"] == 1


def test_a_cut_resets_old_connections_and_lets_new_ones_through(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            connection.recv(10)
    connected(proxy).close()


def test_what_falls_into_a_black_hole_arrives_late(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        proxy.black_hole()
        connection.sendall(b"2")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(10)
        proxy.release()
        connection.settimeout(5)
        assert connection.recv(10) == b"2"


def test_what_falls_into_a_black_hole_that_ends_in_a_cut_never_arrives(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        proxy.black_hole()
        connection.sendall(b"2")
        proxy.release(cut=True)
        with pytest.raises(ConnectionResetError):
            connection.recv(10)


def test_a_delay_delays_both_ways(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        proxy.delay(0.1)
        started_at = time.monotonic()
        connection.sendall(b"2")
        assert connection.recv(10) == b"2"
        assert time.monotonic() - started_at >= 0.19
        proxy.heal()


@pytest.mark.parametrize("prepared", [False, True])
def test_a_lost_answer_to_a_commit_hides_what_was_committed(
    postgres: EmbeddedPostgres, world: World, prepared: bool
) -> None:
    name = str(world.engine.url.database)
    query = world.engine.url.query
    with Proxy(UnixSocket(f"{query['host']}/.s.PGSQL.{query['port']}")) as proxy:
        connection = psycopg.connect(proxy.url_of_database(name), autocommit=False)
        connection.prepare_threshold = 0 if prepared else None
        proxy.lose_commits()
        connection.execute("SELECT 1")
        connection.commit()  # wrote nothing: its answer is not the one to lose
        connection.execute("UPDATE domains SET id = gen_random_uuid() WHERE id IS NULL")
        connection.commit()  # nor did this
        connection.execute("INSERT INTO domains DEFAULT VALUES")
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
        assert proxy.done["commits_lost"] == 1
    assert world.value("SELECT count(*) FROM domains") == 2
    assert postgres.pid
