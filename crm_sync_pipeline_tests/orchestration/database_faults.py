"""A database behind a proxy, and what can befall it in the middle of an op."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.proxy import Port, Proxy, UnixSocket

POINTS = {
    "claim_batch": r"WITH chosen AS",
    "sync_to_brevo": r"INSERT INTO crm_sync\.attempts",
    "record_results": r"UPDATE crm_sync\.deliveries SET retry_count",
}
"""In each op, the statement before which the database is struck: in the midst of its transaction."""

SETTLING_LOCKS = r"FOR NO KEY UPDATE OF (?!.*SKIP LOCKED)"

DISK = """
    CREATE TABLE disk (is_full boolean);
    INSERT INTO disk VALUES (false);
    CREATE FUNCTION need_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT is_full FROM disk) THEN
            RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER need_room BEFORE INSERT OR UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION need_room();
    CREATE TRIGGER need_room BEFORE INSERT OR UPDATE ON crm_sync.deliveries
        FOR EACH ROW EXECUTE FUNCTION need_room();
    CREATE TRIGGER need_room BEFORE INSERT ON crm_sync.attempts FOR EACH ROW EXECUTE FUNCTION need_room();
"""


@dataclass
class StruckDatabase:
    """One database of a server of its own: `world` reaches it directly, `url` through the proxy.

    `struck` counts how often a fault was set off, `deadlocks` how often one was seen, by the product or by an import.
    """

    server: EmbeddedPostgres
    proxy: Proxy
    world: World
    struck: int = 0
    deadlocks: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)
    _holding: list[psycopg.Connection] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(sa.engine.make_url(self.world.url).database)

    @property
    def url(self) -> str:
        return self.proxy.url_of_database(self.name)

    @property
    def engine(self) -> sa.Engine:
        """The product's own."""
        return engine_for(self.url)

    @contextmanager
    def strikes(self, fault: Callable[["StruckDatabase"], None], before: str) -> Iterator[None]:
        """Set `fault` off once, before the first statement that the pattern `before` matches."""
        point = re.compile(before, re.DOTALL)
        lock = threading.Lock()

        def strike(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            with lock:
                if self.struck or not point.search(statement):
                    return
                self.struck += 1
            fault(self)

        sa.event.listen(self.engine, "before_cursor_execute", strike)
        sa.event.listen(self.engine, "handle_error", self._note)
        try:
            yield
        finally:
            sa.event.remove(self.engine, "before_cursor_execute", strike)
            sa.event.remove(self.engine, "handle_error", self._note)
            for thread in self._threads:
                thread.join(20)

    def _note(self, context: sa.engine.ExceptionContext) -> None:
        self.deadlocks += isinstance(context.original_exception, psycopg.errors.DeadlockDetected)

    def restart(self) -> None:
        self.server.restart("fast")

    def crash(self) -> None:
        self.server.restart("immediate")

    def terminate(self) -> None:
        assert self.administer("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s")[0]

    def lose_the_commit(self) -> None:
        self.proxy.lose_commits(1)

    def fill_the_disk(self) -> None:
        self._directly("UPDATE disk SET is_full = true")

    def fail_over(self) -> None:
        """Another server takes over with the same data; at first it is read-only still."""
        self.administer(f'ALTER DATABASE "{self.name}" RENAME TO "{self.name}_old"', ends_sessions=True)
        self.administer(f'CREATE DATABASE "{self.name}" TEMPLATE "{self.name}_old"')
        self.administer(f'ALTER DATABASE "{self.name}" SET default_transaction_read_only = on')
        self._later(0.2, lambda: self.administer(f'ALTER DATABASE "{self.name}" RESET default_transaction_read_only'))

    def swallow_for_a_second(self) -> None:
        """Nothing gets through, nobody is told, and no connection is reset."""
        self.proxy.black_hole()
        self._later(1, self.proxy.release)

    def go_away(self) -> None:
        """Nobody answers any more."""
        self.proxy.target = Port(1)
        self.proxy.cut()

    def vanish_for_a_while(self) -> None:
        """Nothing gets through, and nobody is told; then all connections are reset."""
        self.proxy.black_hole()
        self._later(0.2, lambda: self.proxy.release(cut=True))

    def come_back(self) -> None:
        """End what does not end by itself."""
        self.proxy.target = UnixSocket(f"{self.socket_directory}/.s.PGSQL.5432")
        self.proxy.heal()
        self._directly("UPDATE disk SET is_full = false")
        for connection in self._holding:
            connection.close()

    @property
    def socket_directory(self) -> str:
        return str(sa.engine.make_url(self.server.url).query["host"])

    def hold_deliveries(self) -> None:
        """A session locks all deliveries, and forgets to commit."""
        self._hold("SELECT FROM crm_sync.deliveries FOR UPDATE")

    def hold_contacts(self) -> None:
        """A session locks all contacts, and forgets to commit."""
        self._hold("SELECT FROM contacts FOR UPDATE")

    def _hold(self, statement: str) -> None:
        connection = self._connect(autocommit=False)
        connection.execute(statement)
        self._holding.append(connection)

    def import_crosswise(self) -> None:
        """An import locks the last contact, waits until it stands in somebody's way, and goes on to the first."""
        importing = self._connect(autocommit=False)
        touch = "UPDATE contacts SET context = 'imported' WHERE id = (SELECT id FROM contacts ORDER BY id {} LIMIT 1)"
        importing.execute(touch.format("DESC"))

        def go_on() -> None:
            with importing:
                self.until(f"{importing.info.backend_pid} = ANY (pg_blocking_pids(pid))")
                try:
                    importing.execute(touch.format("ASC"))
                except psycopg.errors.DeadlockDetected:
                    self.deadlocks += 1
                    importing.rollback()

        thread = threading.Thread(target=go_on)
        thread.start()
        self._threads.append(thread)

    def transactions(self) -> int:
        """How many transactions are open now."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL AND datname = %s"
        return int(self.administer(query)[0])

    def until(self, condition: str, seconds: float = 5) -> bool:
        """Whether some session of this database came to be so, within the time."""
        pause = threading.Event()
        with self._connect() as connection:
            for _ in range(round(seconds / 0.01)):
                query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
                if connection.execute(query).fetchone() != (0,):
                    return True
                pause.wait(0.01)
        return False

    def administer(self, statement: str, *, ends_sessions: bool = False) -> Any:
        """Carry a statement out from another database; %s in it is the name of this one."""
        with psycopg.connect(self.server.url_of("postgres"), autocommit=True) as connection:
            if ends_sessions:
                others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
                connection.execute(others, [self.name])
            cursor = connection.execute(statement, [self.name] if "%s" in statement else None)
            return cursor.fetchone() if cursor.description else None

    def _directly(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self, *, autocommit: bool = True) -> psycopg.Connection:
        return psycopg.connect(self.world.url, autocommit=autocommit)

    def _later(self, seconds: float, work: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, work)
        timer.start()
        self._threads.append(timer)
