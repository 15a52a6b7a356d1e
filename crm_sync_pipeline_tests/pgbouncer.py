"""PgBouncer before a test's PostgreSQL: Debian's program, on a Unix socket, as an ordinary user."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from sqlalchemy.engine import make_url

from crm_sync_pipeline.contact_queue.database.connection import TRANSACTION

Mode = Literal["session", "transaction"]

PROGRAM = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
"""The environment may name another one, such as a newer."""
PORT = 6432
STARTS_WITHIN_SECONDS = 10
NOBODY = 65534


@dataclass(frozen=True)
class PgBouncer:
    """Connections for `role`, of which the server sees `pool_size` at the most."""

    folder: Path
    database: str
    role: str

    @property
    def url(self) -> str:
        """For those who connect through it."""
        return f"postgresql://{self.role}@/{self.database}?host={self.folder}&port={PORT}"


class Neighbour:
    """The user's application on the same pooler: short transactions, statements of its own prepared by hand."""

    def __init__(self, bouncer: PgBouncer) -> None:
        self.met: Counter[tuple[str, ...]] = Counter()
        """What its transactions saw of the session that they were given, and how often."""
        self.failures: list[str] = []
        self._url = bouncer.url
        with psycopg.connect(self._url, prepare_threshold=None) as connection:
            self._usual = self._look(connection)
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

    def require_undisturbed(self) -> None:
        """Fails where it met anything that it had not set itself."""
        assert not self.failures
        assert sum(self.met.values()) > 100, "it was hardly at work"
        assert set(self.met) == {self._usual}

    def _look(self, connection: "psycopg.Connection[Any]") -> tuple[str, ...]:
        shown = ", ".join(f"current_setting('{name}')" for name in (*TRANSACTION, "client_encoding", "role"))
        query = f"SELECT {shown}, (SELECT count(*) FROM pg_prepared_statements)::text, pg_sleep(0.001)"
        return tuple(connection.execute(query).fetchall()[0][:-1])

    def _work(self) -> None:
        with psycopg.connect(self._url, autocommit=True, prepare_threshold=None) as connection:
            while not self._stop.is_set():
                try:
                    self.met[self._look(connection)] += 1
                except psycopg.Error as error:
                    self.failures.append(str(error))
                    return


@contextmanager
def pgbouncer(
    server_url: str, mode: Mode = "transaction", pool_size: int = 5, role: str = "postgres"
) -> Iterator[PgBouncer]:
    """One that runs for as long as the block; skips the test where the program is not installed."""
    if PROGRAM is None:
        pytest.skip("There is no pgbouncer on this machine. On Debian: apt install pgbouncer")
    url = make_url(server_url)
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    folder.chmod(0o777)
    settings = {
        "listen_addr": "",
        "listen_port": PORT,
        "unix_socket_dir": folder,
        "unix_socket_mode": "0777",
        "auth_type": "any",
        "pool_mode": mode,
        "default_pool_size": pool_size,
        "max_client_conn": 200,
        "logfile": folder / "log",
        "pidfile": folder / "pid",
    }
    lines = [f"{name} = {value}" for name, value in settings.items()]
    server = f"* = host={url.query['host']} port={url.query['port']} user={role}"
    (folder / "ini").write_text("\n".join(["[databases]", server, "[pgbouncer]", *lines, ""]))
    as_somebody = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}  # it refuses to run as root
    process = subprocess.Popen([PROGRAM, "-q", str(folder / "ini")], **as_somebody)  # type: ignore[call-overload] # of the two words
    try:
        made = PgBouncer(folder, f"{url.database}", role)
        _wait(made, process)
        yield made
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(made: PgBouncer, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + STARTS_WITHIN_SECONDS
    while not _answers(made):
        if process.poll() is not None or time.monotonic() > until:
            log = made.folder / "log"
            raise RuntimeError(f"pgbouncer did not start: {log.read_text() if log.exists() else ''}")
        time.sleep(0.05)


def _answers(made: PgBouncer) -> bool:
    try:
        psycopg.connect(made.url, prepare_threshold=None).close()
    except psycopg.OperationalError:
        return False
    return True
