"""Our connections to PostgreSQL: none waits for ever, each transaction brings its own settings, every text is readable.

Between us and the server there may be a pooler that hands out its connections anew for each transaction. So nothing is
left behind in a session: no setting, no prepared statement, no lock.
"""

import time
from collections.abc import Generator
from datetime import datetime, timezone
from typing import Any, ClassVar, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.types.datetime import TimestamptzLoader

from crm_sync_pipeline.contact_queue.database.contacts_table import quoted
from crm_sync_pipeline.contact_queue.database.url import PostgresUrl

CONNECT_TIMEOUT_SECONDS = 10

HALF_OPEN = {"tcp_user_timeout": 15_000, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""A connection whose other end vanished is given up after 15 s (milliseconds; the rest is seconds), not after hours."""

TRANSACTION = {
    "statement_timeout": "'30s'",
    "lock_timeout": "'5s'",
    "idle_in_transaction_session_timeout": "'60s'",
    "TimeZone": "'UTC'",
    "DateStyle": "'ISO'",
    "search_path": "DEFAULT",
    "plan_cache_mode": "force_custom_plan",
}
"""What each transaction sets for itself, whatever the server, the role or another user of the session has set.

A plan that PostgreSQL kept from a time without imports would go through all that an import holds, for each contact.
DEFAULT: the role's own path, not one that another client of a pooler left behind.
"""

_ANY_OTHER_TYPE = 0
"""psycopg's mark for types that it does not know, such as the user's enums."""

T = TypeVar("T")


def begin(settings: dict[str, str]) -> str:
    """The statements that open a transaction with these settings: one message to the server, as BEGIN alone would be.

    Read committed, because each of our statements is to see what others have committed.
    """
    return "; ".join(
        ["BEGIN ISOLATION LEVEL READ COMMITTED", *(f"SET LOCAL {name} TO {value}" for name, value in settings.items())]
    )


def connect_limits(url: sa.URL) -> dict[str, int]:
    """How long a connection waits for a server that is not there, but for what the URL says itself."""
    wanted = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **HALF_OPEN}
    return {name: value for name, value in wanted.items() if name not in url.query}


def connect_args(postgres: PostgresUrl) -> dict[str, int | str | None]:
    """The options of our connections, but for those that the URL sets itself.

    Nothing is prepared, unless the URL asks for it: that stays in the server's session, and a pooler may hand out
    another one for the next transaction.
    """
    encoding = {} if "client_encoding" in postgres.url.query else {"client_encoding": "utf8"}
    own = {**postgres.secrets, "prepare_threshold": postgres.prepare_threshold}
    return {**connect_limits(postgres.url), **encoding, **own}


class SilentServerError(psycopg.OperationalError):
    """The server takes what is sent and answers nothing."""


class _Cursor(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Any = None, *, prepare: bool | None = None, **words: Any) -> Any:
        if not params:  # what opens a transaction is several statements, which can't be prepared
            prepare = False
        return super().execute(query, params, prepare=prepare, **words)


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up a server that says nothing.

    The server's own time-outs do not help when nothing of it gets through, and TCP's see only a dead kernel: not a
    proxy, a pooler or a stopped process that goes on acknowledging.
    """

    answer_limit_seconds: ClassVar[float] = 40
    """Longer than `statement_timeout`, which a server that is alive keeps."""

    begin: str = begin(TRANSACTION)
    """What opens a transaction on this connection."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """What psycopg waits with, for every answer of the server but the first."""
        try:
            return super().wait(_bounded(gen, self.answer_limit_seconds), *args, **kwargs)
        except SilentServerError:
            self.close()
            raise

    def prepared(self, search_path: str | None = None) -> "BoundedConnection":
        """This connection, fit for what the database holds.

        Names without a schema are looked up in `search_path`, which may be several with commas between them. A database
        without an encoding can hold bytes that are not text. They are read too: one such row must not hide all others.
        """
        settings = dict(TRANSACTION)
        if search_path:
            settings["search_path"] = ", ".join(quoted(name.strip(' "')) for name in search_path.split(","))
        encoding, codec = self.info.parameter_status("server_encoding"), "utf-8"
        if encoding == "SQL_ASCII":
            settings["client_encoding"] = "'SQL_ASCII'"
            for kind in ("text", "varchar", "bpchar", "name", _ANY_OTHER_TYPE):
                self.adapters.register_loader(kind, _AnyText)
        elif encoding != "UTF8":
            codec = self._codec_of(f"{encoding}")
        self.adapters.register_dumper(str, type("FittingText", (_FittingText,), {"codec": codec}))
        self.adapters.register_loader("timestamptz", _AnyTime)
        self.begin = begin(settings)
        self.cursor_factory = _Cursor
        return self

    def _codec_of(self, encoding: str) -> str:
        with self.transaction():
            self.execute(f"SET LOCAL client_encoding TO '{encoding}'")
            return self.info.encoding


class _FittingText(Dumper):
    """Text as the database can hold it: a sign that its encoding lacks becomes "?", as does NUL, which none has.

    A quote in a vendor's message is not a reason to lose the result that it came with.
    """

    codec: ClassVar[str] = "utf-8"

    def dump(self, obj: str) -> bytes:
        fitting = obj.encode(self.codec, "replace")
        if self.codec != "utf-8":
            fitting = fitting.decode(self.codec).encode()
        return fitting.replace(b"\0", b"?")


class _AnyText(Loader):
    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "replace")


class _AnyTime(TimestamptzLoader):
    """PostgreSQL's times know infinity; Python's do not, and end in the year 9999."""

    def load(self, data: Buffer) -> datetime:
        if bytes(data) == b"infinity":
            return datetime.max.replace(tzinfo=timezone.utc)
        if bytes(data) == b"-infinity":
            return datetime.min.replace(tzinfo=timezone.utc)
        return super().load(data)


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
