"""Our connections to PostgreSQL: none waits for ever, and every text can be read."""

import time
from collections.abc import Generator
from typing import Any, ClassVar, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.abc import Buffer
from psycopg.adapt import Loader

CONNECT_TIMEOUT_SECONDS = 10

HALF_OPEN = {"tcp_user_timeout": 15_000, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""A connection whose other end vanished is given up after 15 s (milliseconds; the rest is seconds), not after hours."""

SESSION = "SET statement_timeout = '30s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '60s'"

_ANY_OTHER_TYPE = 0
"""psycopg's mark for types that it does not know, such as the user's enums."""

T = TypeVar("T")


def connect_limits(url: sa.URL) -> dict[str, int]:
    """How long a connection waits for a server that is not there, but for what the URL says itself."""
    wanted = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **HALF_OPEN}
    return {name: value for name, value in wanted.items() if name not in url.query}


def connect_args(url: sa.URL) -> dict[str, int | str]:
    """The options of our connections, but for those that the URL sets itself."""
    return connect_limits(url) | ({} if "client_encoding" in url.query else {"client_encoding": "utf8"})


class SilentServerError(psycopg.OperationalError):
    """The server takes what is sent and answers nothing."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up a server that says nothing.

    The server's own time-outs do not help when nothing of it gets through, and TCP's see only a dead kernel: not a
    proxy, a pooler or a stopped process that goes on acknowledging.
    """

    answer_limit_seconds: ClassVar[float] = 40
    """Longer than `statement_timeout`, which a server that is alive keeps."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """What psycopg waits with, for every answer of the server but the first."""
        try:
            return super().wait(_bounded(gen, self.answer_limit_seconds), *args, **kwargs)
        except SilentServerError:
            self.close()
            raise

    def prepared(self) -> "BoundedConnection":
        """This connection, with the server's own time-outs set.

        A database without an encoding can hold bytes that are no text. They are read too: one such row must not hide
        all the others.
        """
        if self.info.parameter_status("server_encoding") == "SQL_ASCII":
            self.execute("SET client_encoding = 'SQL_ASCII'")
            for kind in ("text", "varchar", "bpchar", "name", _ANY_OTHER_TYPE):
                self.adapters.register_loader(kind, _AnyText)
        self.execute(SESSION)
        self.commit()
        return self


class _AnyText(Loader):
    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "replace")


def _bounded(answer: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
    deadline = time.monotonic() + seconds
    try:
        wanted = next(answer)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise SilentServerError(f"the server did not answer within {seconds:g} seconds")
            wanted = answer.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result
