"""How schema changes run: one upgrade at a time, with time-outs of their own, directly or through a pooler.

A pooler in transaction mode hands one server connection to many clients. So nothing here outlives its transaction: no
session lock, no plain SET.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError

LOCK_TIMEOUT = "2s"
"""How long a change may wait for a lock: whoever comes after it waits behind it."""

PATIENCE = timedelta(minutes=5)
"""How long a change that others are in the way of is tried again."""

LONGEST_PAUSE = timedelta(seconds=20)

LOCK_NOT_AVAILABLE, CANCELLED, DEADLOCK = "55P03", "57014", "40P01"

_LOCK_KEY = 0x63726D5F  # "crm_": any number that is the same for every upgrade
_POLL_SECONDS = 0.1

_WITHOUT = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
_WITHOUT_ANY = f"{_WITHOUT} -c transaction_timeout=0"  # PostgreSQL 17 and newer
_REFUSES_OPTIONS = ("parameter", "options", "_timeout")
"""Words of poolers, and of servers that do not know an option, when they let a connection in only without it."""

_TIME_OUTS_OF_ITS_OWN = sa.text(
    """
    SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN :lock_timeout ELSE '0' END, true) FROM pg_settings
    WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
    """
)

_TRY_TO_LOCK = sa.text(f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY})")
"""Without a parameter: PostgreSQL keeps the snapshot of a statement with one until the next statement."""

_HOLDERS = sa.text(
    """
    SELECT DISTINCT a.pid, a.usename AS role, a.application_name AS application
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.granted AND l.pid <> pg_backend_pid() AND a.datname = current_database()
      AND n.nspname = :schema AND (CAST(:table AS text) IS NULL OR c.relname = :table)
    ORDER BY a.pid LIMIT 3
    """
)

Say = Callable[[str], None]
T = TypeVar("T")


def connect_without_time_outs(words: Sequence[Any], options: Mapping[str, Any]) -> psycopg.Connection[Any]:
    """A connection without the time-outs that the role or the database sets, where server and pooler allow that.

    An index can't be built concurrently in a transaction, and a SET would stay with a pooled connection.
    """
    own = options.get("options") or os.environ.get("PGOPTIONS", "")  # libpq looks there only without the other
    for ours in (_WITHOUT_ANY, _WITHOUT):
        try:
            return psycopg.Connection.connect(*words, **{**options, "options": f"{own} {ours}".strip()})
        except psycopg.OperationalError as error:
            if not any(word in str(error) for word in _REFUSES_OPTIONS):
                raise
    return psycopg.Connection.connect(*words, **options)


@contextmanager
def one_at_a_time(engine: sa.Engine, say: Say) -> Iterator[None]:
    """Hold the upgrade's lock, by a transaction that does nothing else.

    An idle transaction keeps no snapshot when it is READ COMMITTED, so no index build waits for it. The lock is polled:
    whoever waits within a statement keeps a snapshot, which a build in the other session would wait for.
    """
    waited = False
    with engine.connect() as holder:
        while not _is_locked(holder):
            holder.rollback()
            if not waited:
                say("another upgrade is in progress; waiting for it")
                waited = True
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            with suppress(sa.exc.DBAPIError):  # a pooler or an operator ended it; what was done stands
                holder.rollback()


def _is_locked(connection: sa.Connection) -> bool:
    connection.execute(_TIME_OUTS_OF_ITS_OWN, {"lock_timeout": "0"})
    return bool(connection.execute(_TRY_TO_LOCK).scalar_one())


def change(engine: sa.Engine, schema: str, work: Callable[[sa.Connection], T], say: Say) -> T:
    """Run `work`, which changes tables of `schema`, in one transaction; try again while others hold locks on them.

    DatabaseError, which names them, where they do not let go.
    """
    for pause in pauses():
        try:
            with engine.begin() as connection:
                connection.execute(_TIME_OUTS_OF_ITS_OWN, {"lock_timeout": LOCK_TIMEOUT})
                return work(connection)
        except sa.exc.DBAPIError as error:
            if sqlstate(error) not in (LOCK_NOT_AVAILABLE, DEADLOCK):
                raise
        who = in_the_way(engine, schema)
        if pause is None:
            break
        say(f"tables of schema {schema} are in use by {who}; trying again")
        time.sleep(pause)
    raise DatabaseError(
        f"Schema {schema} could not be changed within {minutes(PATIENCE)}: its tables are in use by {who}. Nothing was "
        "changed in it. Run `crm-sync db upgrade` again when that has ended, or end it with "
        "SELECT pg_terminate_backend(pid)."
    )


def sqlstate(error: sa.exc.DBAPIError) -> str:
    """PostgreSQL's code of the error; empty where it was the connection that failed."""
    return getattr(error.orig, "sqlstate", None) or ""


def pauses() -> Iterator[float | None]:
    """Seconds to wait after each failure, growing; None after the last one that PATIENCE allows."""
    until, pause = time.monotonic() + PATIENCE.total_seconds(), 0.5
    while time.monotonic() + pause < until:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE.total_seconds())
    yield None


def minutes(time_span: timedelta) -> str:
    """The time in words."""
    return f"{time_span.total_seconds() / 60:g} minutes"


def in_the_way(engine: sa.Engine, schema: str, table: str | None = None) -> str:
    """Who holds locks on the table, or on any of the schema, in words; "somebody" where it can't be told."""
    with engine.connect() as connection:
        rows = connection.execute(_HOLDERS, {"schema": schema, "table": table}).all()
    if not rows:
        return "somebody"
    return ", ".join(
        f"process {row.pid} (role {row.role}{f', {row.application!r}' if row.application else ''})" for row in rows
    )
