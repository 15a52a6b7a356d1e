"""A PostgreSQL server without installation, for the demo, `./run dev` and the tests.

    with start(Path("var/postgres")) as server:
        engine = create_engine(server.url)

Several processes may use one home directory: the first starts the server, the last stops it, and one that is killed
counts as gone. The server listens on a Unix socket that only its owner may reach; there is no TCP port.
"""

import atexit
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import quote

from psycopg import sql

from crm_sync_pipeline.sandbox.postgres_host import (
    PREFIX,
    TMP,
    PostgresUnavailable,
    accessible_home,
    fits_a_socket,
    open_to_all,
)
from crm_sync_pipeline.sandbox.postgres_server import PORT, Server

__all__ = ["EmbeddedPostgres", "PostgresUnavailable", "start", "temporary"]

_FRESH_SECONDS = 60
_THROWAWAY = f"{PREFIX}throwaway-"


def start(home: Path, database: str = "crm_sync") -> "EmbeddedPostgres":
    """Start, or join, the server whose data lie in `home`, and create `database` if it is missing.

    Both are made at first use (about a second) and stay; the server stops with its last user.
    Raises PostgresUnavailable.
    """
    return EmbeddedPostgres(home, database)


def temporary(database: str = "crm_sync", folder: Path | None = None) -> "EmbeddedPostgres":
    """Start a server that is deleted when it stops, for tests: quick, because it would not survive a power cut.

    It lies in `folder`, such as one in memory, or else where temporary files do. Raises PostgresUnavailable.
    """
    base = (folder or Path(tempfile.gettempdir())).resolve()
    closed = os.geteuid() == 0 and not open_to_all(base)
    if closed or not fits_a_socket(base / f"{_THROWAWAY}xxxxxxxx/socket"):
        base = TMP.resolve()
    _remove_abandoned(base)
    home = Path(tempfile.mkdtemp(prefix=_THROWAWAY, dir=base))
    try:
        home.chmod(0o711)  # root's server runs as somebody else
        return EmbeddedPostgres(home, database, throwaway=True)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


class EmbeddedPostgres:
    """One process's use of a server, from its making to `stop()`; also a context manager."""

    def __init__(self, home: Path, database: str, *, throwaway: bool = False) -> None:
        self._process = os.getpid()
        self.database = database
        try:
            self._server = Server(accessible_home(home), throwaway=throwaway)
            with self._server.joined():
                if not self._holds(database):
                    self.create_database(database)
        except OSError as error:
            raise PostgresUnavailable(
                f"PostgreSQL could not be started in {home}: {error}. Make that directory usable for this user"
                " (or delete it, if it is a left-over of another one), or set DATABASE_URL to a running PostgreSQL."
            ) from error
        atexit.register(self.stop)

    def __enter__(self) -> "EmbeddedPostgres":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"EmbeddedPostgres({self.url!r})"

    @property
    def home(self) -> Path:
        """Where its files are: data/, server.log, and socket/ unless that path is too long or odd for a socket."""
        return self._server.home

    @property
    def pid(self) -> int:
        """The process id of the server (postmaster)."""
        return self._server.pid

    @property
    def url(self) -> str:
        """The URL of `database`, for SQLAlchemy and libpq: postgresql://postgres@/crm_sync?host=/dir&port=5432."""
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        """Return the URL of another database of this server."""
        return f"postgresql://postgres@/{quote(database, safe='')}?host={self._server.socket_directory}&port={PORT}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, as a copy of `template` (which nobody may be using) if one is given; return its URL."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            # Files are copied in half the time that writing them to the WAL takes.
            statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
        self._execute(statement)
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, cutting its connections; harmless where there is none."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Cut all connections and start anew, on the same socket; "immediate" is a crash, with recovery."""
        self._server.restart(signal.SIGINT if mode == "fast" else signal.SIGQUIT)

    def stop(self) -> None:
        """Leave. The last one to leave waits for the server to stop. Harmless when repeated, or after a fork."""
        if self._process == os.getpid():
            atexit.unregister(self.stop)
            self._server.leave()

    def _holds(self, database: str) -> bool:
        with self._server.connect("postgres") as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [database])
            return found.rowcount == 1

    def _execute(self, statement: sql.Composed) -> None:
        with self._server.connect("postgres") as connection:
            connection.execute(statement)


def _remove_abandoned(base: Path) -> None:
    """Delete what temporary() left in `base` when user and keeper were killed; not in the minute of its making."""
    for lock in base.glob(f"{_THROWAWAY}*/running.lock"):
        with suppress(OSError):
            if lock.lstat().st_uid == os.geteuid() and time.time() - lock.lstat().st_mtime > _FRESH_SECONDS:
                Server(lock.parent, throwaway=True).remove_if_abandoned()
