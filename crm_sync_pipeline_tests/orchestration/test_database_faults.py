"""The database goes away in the middle of an op: the run goes on, or fails with a sentence, and nothing is lost."""

import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
from tenacity import Retrying

from crm_sync_pipeline.contact_queue.database import transactions
from crm_sync_pipeline.contact_queue.database.connection import BoundedConnection
from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres, temporary
from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline_tests.acceptance.test_scenarios import failure
from crm_sync_pipeline_tests.builders import LEASE, USERS_TABLE, World
from crm_sync_pipeline_tests.chaos.proxy import Proxy, UnixSocket
from crm_sync_pipeline_tests.conftest import memory
from crm_sync_pipeline_tests.orchestration.database_faults import DISK, POINTS, SETTLING_LOCKS, StruckDatabase
from crm_sync_pipeline_tests.orchestration.test_job import assert_no_stack_trace
from crm_sync_pipeline_tests.product import Product

SIZE = 9
CONCURRENCY = 2
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server of this module's own: it is restarted."""
    with temporary(folder=memory()) as made:
        world = World(made.create_database("template"))
        world.script(USERS_TABLE)
        world.upgrade()
        world.script(DISK)
        world.script("ALTER ROLE postgres SET deadlock_timeout = '50ms'")
        world.script("ALTER ROLE postgres SET synchronous_commit = on")  # or a crash takes back what was committed
        world.engine.dispose()
        yield made


@pytest.fixture(scope="module")
def proxy(server: EmbeddedPostgres) -> Iterator[Proxy]:
    directory = sa.engine.make_url(server.url).query["host"]
    with Proxy(UnixSocket(f"{directory}/.s.PGSQL.5432")) as made:
        yield made


@pytest.fixture
def database(server: EmbeddedPostgres, proxy: Proxy) -> Iterator[StruckDatabase]:
    world = World(server.create_database(f"faults_{next(_numbers)}", template="template"))
    made = StruckDatabase(server, proxy, world)
    yield made
    made.come_back()
    made.engine.dispose()
    engine_for(world.url).dispose()


@pytest.fixture
def world(database: StruckDatabase) -> World:
    return database.world


@pytest.fixture
def contacts(product: Product, database: StruckDatabase) -> list[UUID]:
    product.set(DATABASE_URL=database.url, BREVO_CONCURRENCY=str(CONCURRENCY))
    product.simulator.inject("latency=15")
    product.world.add_many(SIZE)
    return [row["id"] for row in product.world.rows("SELECT id FROM contacts")]


@pytest.fixture(autouse=True)
def _short_waits_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, 0.05))))


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute of patience is long for a test of what happens when it is over."""
    trying = transactions._trying

    def shortly(patience: timedelta) -> Retrying:
        return trying(min(patience, timedelta(seconds=0.2)))

    monkeypatch.setattr(transactions, "_trying", shortly)


def assert_all_were_delivered(product: Product, contacts: list[UUID], repeats: int) -> None:
    """Each is Complete, paid no retry, and was sent once; but for so many that were sent twice."""
    rows = [product.world.contact(contact) for contact in contacts]
    assert {(row["brevo_sync_status"], row["brevo_processing_status"]) for row in rows} == {("Complete", "Complete")}
    assert {(row["retry_count"], row["brevo_processing_error"]) for row in rows} == {(0, None)}
    spent = [product.world.delivery(contact)["retry_count"] for contact in contacts]
    assert spent == [0] * len(contacts)
    assert len(contacts) <= product.simulator.requests.total <= len(contacts) + repeats
    assert dict(product.simulator.counts())["contacts"] == len(contacts)


def run_again(product: Product) -> dg.ExecuteInProcessResult:
    """What the sensor does once the lease has run out."""
    product.world.pass_time(LEASE + timedelta(minutes=1))
    return product.run(batch_size=SIZE)


# What passes soon is not seen in the result


@pytest.mark.parametrize("op", POINTS)
@pytest.mark.parametrize(
    "fault",
    [
        StruckDatabase.restart,
        StruckDatabase.crash,
        StruckDatabase.vanish_for_a_while,
        StruckDatabase.terminate,
        StruckDatabase.lose_the_commit,
        StruckDatabase.fail_over,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_run_goes_on_when_the_database_is_back_soon(
    product: Product,
    database: StruckDatabase,
    contacts: list[UUID],
    op: str,
    fault: Callable[[StruckDatabase], None],
) -> None:
    lost = database.proxy.done["commits_lost"]
    with database.strikes(fault, before=POINTS[op]):
        result = product.run(batch_size=SIZE)
    assert database.struck
    assert (database.proxy.done["commits_lost"] - lost == 1) is (fault is StruckDatabase.lose_the_commit)
    assert result.success
    assert_all_were_delivered(product, contacts, repeats=0)


def test_a_deadlock_with_an_import_is_not_seen_in_the_result(
    product: Product, database: StruckDatabase, contacts: list[UUID]
) -> None:
    with database.strikes(StruckDatabase.import_crosswise, before=SETTLING_LOCKS):
        result = product.run(batch_size=SIZE)
    assert database.deadlocks, "there was one"
    assert result.success
    assert_all_were_delivered(product, contacts, repeats=0)


def test_a_claim_waits_for_no_import_and_leaves_what_it_has_locked_to_the_next_run(
    product: Product, database: StruckDatabase, contacts: list[UUID]
) -> None:
    with database.strikes(StruckDatabase.hold_contacts, before="SKIP LOCKED"):
        assert product.run(batch_size=SIZE).success
    assert product.simulator.requests.total == 0
    database.come_back()
    assert product.run(batch_size=SIZE).success
    assert_all_were_delivered(product, contacts, repeats=0)


# What lasts fails the run, with a sentence


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("op", "fault"),
    [
        *((op, StruckDatabase.fill_the_disk) for op in POINTS),
        *((op, StruckDatabase.go_away) for op in POINTS),
        ("sync_to_brevo", StruckDatabase.hold_deliveries),
        ("record_results", StruckDatabase.hold_contacts),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_run_fails_with_a_sentence_and_the_next_one_delivers_what_is_left(
    product: Product,
    database: StruckDatabase,
    contacts: list[UUID],
    op: str,
    fault: Callable[[StruckDatabase], None],
) -> None:
    """What was in flight is sent again, and what was sent in the tenth of a second that an answer may wait."""
    product.set(BREVO_REQUESTS_PER_SECOND="20")
    before = SETTLING_LOCKS if fault is StruckDatabase.hold_contacts else POINTS[op]
    with short_lock_time_out(database), database.strikes(fault, before=before):
        result = product.run(batch_size=SIZE)
    assert database.struck
    assert not result.success
    assert failure(result).startswith("The database ")
    assert_no_stack_trace(result)
    assert {product.world.contact(contact)["brevo_processing_error"] for contact in contacts} == {None}
    database.come_back()
    assert run_again(product).success
    assert_all_were_delivered(product, contacts, repeats=2 * CONCURRENCY if op == "sync_to_brevo" else 0)


@contextmanager
def short_lock_time_out(database: StruckDatabase) -> Iterator[None]:
    def shorten(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        connection.cursor().execute("SET lock_timeout = '100ms'")
        connection.commit()

    sa.event.listen(database.engine, "connect", shorten)
    yield
    sa.event.remove(database.engine, "connect", shorten)


# Transactions and sockets


def test_no_transaction_is_open_while_a_destination_is_asked(
    product: Product, database: StruckDatabase, contacts: list[UUID]
) -> None:
    opened: list[int] = []
    product.set(BREVO_CONCURRENCY="1")
    answer = product.simulator.handle

    def watch(request: Request) -> Answer:
        if not opened:  # the first: while one of those that follow is sent, the one before it may be journaled
            opened.extend(database.transactions() for _ in range(10))
        return answer(request)

    product.monkeypatch.setattr(product.simulator, "handle", watch)
    assert product.run(batch_size=SIZE).success
    assert opened == [0] * 10
    assert_all_were_delivered(product, contacts, repeats=0)


def test_a_connection_whose_other_end_vanished_is_given_up_by_the_kernel(database: StruckDatabase) -> None:
    with database.engine.connect() as connection:
        handle = connection.connection.driver_connection
        assert isinstance(handle, psycopg.Connection)
        with socket.socket(fileno=os.dup(handle.fileno())) as link:
            assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            given_up = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000
            alive = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
            idle, interval, count = (link.getsockopt(socket.IPPROTO_TCP, option) for option in alive)
    assert 0 < given_up <= 60
    assert 0 < idle + interval * count <= 60


def test_a_server_that_takes_connections_and_says_nothing_is_given_up(database: StruckDatabase) -> None:
    engine = engine_for(f"{database.url}&connect_timeout=2")  # libpq's shortest
    database.proxy.black_hole()
    started = time.monotonic()
    with pytest.raises(sa.exc.OperationalError) as caught:
        engine.connect()
    assert time.monotonic() - started < 5
    assert transactions.is_transient(caught.value)
    engine.dispose()


def test_a_connection_that_swallows_everything_and_lives_on_is_given_up(
    product: Product, database: StruckDatabase, contacts: list[UUID]
) -> None:
    product.monkeypatch.setattr(BoundedConnection, "answer_limit_seconds", 0.3)
    with database.strikes(StruckDatabase.swallow_for_a_second, before=POINTS["sync_to_brevo"]):
        result = product.run(batch_size=SIZE)
    assert database.struck
    assert result.success
    assert_all_were_delivered(product, contacts, repeats=0)
