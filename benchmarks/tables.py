"""What the queue's own work takes in tables of different sizes: `python -m benchmarks.tables --rows 10000 5000000`."""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
import psycopg
import rich
import sqlalchemy as sa
from rich.table import Table

from benchmarks.site import BenchmarkError, databases
from crm_sync_pipeline.contact_queue.database.engine import engine_without_time_outs
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.outcome import Synced
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres

SIZES = (10_000, 1_000_000, 5_000_000)
BATCH = 1000
REPEATS = 16
QUESTIONS = 9
"""Of the sensor's, in each round: it asks four times a second, and one answer alone tells little."""
ROWS_PER_STATEMENT = 500_000
SENSOR_LIMIT = 500
MAX_ROWS = 10_000_000
ORDERS = ("as their rows lie", "scattered")
"""In which order the contacts were selected: that in which they were added, or one that touches a page for each."""
MAX_WAITING = 1_000_000

T = TypeVar("T")
Say = Callable[[str], None]

FILL = f"""
    INSERT INTO contacts (id, email, name, brevo_sync_status, brevo_processing_status, updated_at,
                          retry_count, next_retry_at, last_failed_crm)
    SELECT id, n || '@example.com', 'Contact ' || n,
           CASE state WHEN 0 THEN 'Selected' WHEN 1 THEN 'Queued' ELSE 'Complete' END,
           CASE state WHEN 2 THEN 'Complete' ELSE 'Queued' END,
           now() - interval '1 day'
               + interval '1 ms' * CASE WHEN :is_scattered THEN abs(hashint4(n) % {MAX_ROWS}) ELSE n END,
           CASE state WHEN 1 THEN 1 ELSE 0 END,
           CASE state WHEN 1 THEN now() + interval '1 day' END,
           CASE state WHEN 1 THEN 'brevo' END
    FROM (SELECT n, gen_random_uuid() AS id, CASE WHEN n % 2 = 0 THEN 0 WHEN n < {2 * MAX_WAITING} THEN 1 ELSE 2 END
          FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n) AS each (n, id, state);
"""  # noqa: S608 # numbers of our own
FILL_DELIVERIES = """
    INSERT INTO crm_sync.deliveries (contact_id, destination, retry_count, next_retry_at)
    SELECT id, 'brevo', retry_count, next_retry_at FROM contacts WHERE brevo_sync_status <> 'Selected';
"""
FORGET = "UPDATE crm_sync.deliveries SET lost_count = 0 WHERE lost_count > 0"
EXPIRE = "UPDATE crm_sync.deliveries SET lease_expires_at = now() - interval '1 s' WHERE claim_token IS NOT NULL"


@dataclass(frozen=True)
class Took:
    """Milliseconds that one piece of work took in a table of so many rows: the median, and the extremes.

    `huge_pages` says whether PostgreSQL's memory was in some: on or off.
    """

    order: str
    rows: int
    work: str
    median_ms: float
    fastest_ms: float
    slowest_ms: float
    huge_pages: str


def measure_tables(rows: Sequence[int] = SIZES, say: Say = lambda _line: None) -> list[Took]:
    """Each piece of work in a table of each size, the sizes taking turns; for each order of selection.

    Half of each table is selected; up to a million wait for a retry; the rest is delivered. PostgreSQL has its files on
    disk (4 GB with five million), memory as the operations page advises for large tables, and else default settings.
    With the default shared_buffers of 128 MB, what is measured is how fast Linux hands out the same pages again.
    """
    return [took for order in ORDERS for took in _of_order(order, rows, say)]


def _of_order(order: str, rows: Sequence[int], say: Say) -> list[Took]:
    with databases() as copies, ExitStack() as parts:
        huge_pages = _give_memory(copies.server)
        tables: dict[int, list[Database]] = defaultdict(list)
        for size in rows:
            started = time.monotonic()
            while size // 2 * len(tables[size]) < (REPEATS + 2) * BATCH:  # a small one is used up after a few rounds
                database = Database(url=parts.enter_context(copies.with_selected(0)), crms=CRMS)
                _fill(database, size, is_scattered=order == "scattered")
                _one_round(database, 1)  # so that no statement is new to SQLAlchemy
                tables[size].append(database)
            say(f"{size:,} rows, {order}, are there after {time.monotonic() - started:.0f} s")
        times: dict[tuple[int, str], list[float]] = defaultdict(list)
        for number in range(REPEATS):
            for size, databases_of_size in tables.items():
                for work, seconds in _one_round(databases_of_size[number % len(databases_of_size)], BATCH).items():
                    times[size, work].append(seconds * 1000)
        for database in (each for some in tables.values() for each in some):
            database.engine.dispose()
    medians = ((key, statistics.median(found), found) for key, found in times.items())
    return [Took(order, *key, median, min(found), max(found), huge_pages) for key, median, found in medians]


def _give_memory(server: EmbeddedPostgres) -> str:
    """As the operations page advises: a quarter of the machine's. Returns whether it is in huge pages."""
    quarter = psutil.virtual_memory().total // 4 // 2**20
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET shared_buffers = '{quarter}MB'")
        connection.execute("ALTER SYSTEM SET wal_buffers = '64MB'")
    server.restart("fast")
    with psycopg.connect(server.url_of("postgres")) as connection:
        return str(connection.execute("SHOW huge_pages_status").fetchall()[0][0])


def _fill(database: Database, rows: int, *, is_scattered: bool) -> None:
    engine = engine_without_time_outs(database.engine)
    for first in range(1, rows + 1, ROWS_PER_STATEMENT):
        part = {"first": first, "last": min(rows, first + ROWS_PER_STATEMENT - 1), "is_scattered": is_scattered}
        with engine.begin() as connection:
            connection.execute(sa.text(FILL), part)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(FILL_DELIVERIES))
        connection.execute(sa.text("VACUUM (ANALYZE) contacts, crm_sync.deliveries"))
        connection.execute(sa.text("CHECKPOINT"))


def _one_round(database: Database, size: int) -> dict[str, float]:
    queue, report = database.queue("brevo"), database.report()
    took: dict[str, float] = {}

    def timed(work: str, do: Callable[[], T]) -> T:
        started = time.perf_counter()
        done = do()
        took[work] = time.perf_counter() - started
        return done

    took |= _as_the_sensor_asks(queue)
    batch = timed(f"claim of {BATCH:,}", lambda: queue.claim(size))
    if batch.size != size:
        raise BenchmarkError(f"There were {batch.size} contacts to claim, not {size}: the time means nothing.")
    token = batch.token
    contacts = timed(f"reading {BATCH:,}", lambda: queue.contacts_of(token))
    done = [Attempt(each.id, Synced("1", "created"), each.fingerprint(), "0" * 32, 201) for each in contacts]
    timed("journal of 8", lambda: queue.journal(token, done[:8], look=False))
    timed(f"journal of {BATCH:,}", lambda: queue.journal(token, done))
    timed(f"settling {BATCH:,}", lambda: queue.settle(token))
    queue.claim(size)
    with database.engine.begin() as connection:
        connection.execute(sa.text(EXPIRE))
    timed(f"recovering {BATCH:,}", queue.recover)
    timed("recovering nothing", queue.recover)
    with database.engine.begin() as connection:
        connection.execute(sa.text(FORGET))  # or those that were lost twice were claimed alone
    timed("status, which reads the table", lambda: report.status(CRMS["brevo"]))
    return took


def _as_the_sensor_asks(queue: ContactQueue) -> dict[str, float]:
    """The median seconds of each of its two questions. It asks four times a second: what it reads is in memory."""
    due, left_behind = [], []
    for _ in range(1 + QUESTIONS):
        time.sleep(0.25)
        started = time.perf_counter()
        queue.depth(SENSOR_LIMIT)
        between = time.perf_counter()
        queue.needs_recovery()
        due.append(between - started)
        left_behind.append(time.perf_counter() - between)
    return {
        "sensor: how many are due": statistics.median(due[1:]),
        "sensor: is anything left behind": statistics.median(left_behind[1:]),
    }


def table_of(found: Sequence[Took]) -> Table:
    """The medians in milliseconds: a row for each piece of work, a column for each size."""
    sizes = sorted({each.rows for each in found})
    medians = {(each.order, each.work, each.rows): each.median_ms for each in found}
    table = Table("milliseconds, median", *(f"{size:,} rows" for size in sizes), "largest / smallest")
    for order, work in dict.fromkeys((each.order, each.work) for each in found):
        of_sizes = [medians[order, work, size] for size in sizes]
        table.add_row(f"{work}, {order}", *(f"{each:.1f}" for each in of_sizes), f"{of_sizes[-1] / of_sizes[0]:.2f}")
    return table


def main(arguments: Any = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES))
    rich.print(table_of(measure_tables(parser.parse_args(arguments).rows, rich.print)))


if __name__ == "__main__":
    main()
