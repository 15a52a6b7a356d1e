"""Every transaction of ours goes through `in_transaction`; every error of the database leaves it as a sentence."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import zip_longest
from typing import TypeVar

import psycopg
import sqlalchemy as sa
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential
from tenacity.stop import stop_all

from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.settings import DATABASE_URL

T = TypeVar("T")
R = TypeVar("R")

READ_FROM = "crm_sync_read_from"
"""The execution option of an engine that says which variable its URL was read from, for messages."""


class DatabaseError(CrmSyncError):
    """The database can't be reached, is not what we need, or refused a statement.

    `row_refusal` has PostgreSQL's words where it may have refused the data of one row, so that others can go on.
    `is_refusal`: PostgreSQL refused the statement, and would refuse it again.
    """

    def __init__(self, sentence: str, row_refusal: str | None = None, *, is_refusal: bool = False) -> None:
        super().__init__(sentence)
        self.row_refusal = row_refusal
        self.is_refusal = is_refusal


TRANSIENT = ("40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "53300", "25006")
"""Serialization, deadlock, lock and statement time-out, shutdown, too many connections, read-only; 08 comes on top.

Read-only is what a server answers that was the primary until a failover.
"""

READ_ONLY = "25006"

NOT_YET = ("starting up", "shutting down", "recovery", "not accepting", "too many", "remaining connection slots")

NO_PATIENCE = timedelta(0)
"""For a first question: one more try, because a pooled connection may have died meanwhile."""

PATIENCE = timedelta(seconds=5)

PATIENCE_FOR_RESULTS = timedelta(seconds=30)
"""What was sent must be written down: longer than a server needs to restart, far shorter than a lease."""


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may do well a moment later, on another connection."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    state = _state(error)
    if state is not None:
        return error.connection_invalidated or state in TRANSIENT or state.startswith("08")
    return error.connection_invalidated or _found_no_server(error)


def _state(error: sa.exc.DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _found_no_server(error: sa.exc.DBAPIError) -> bool:
    """Of an error while connecting, which has no SQLSTATE: nobody answered, or said 'not yet', rather than 'no'."""
    if not isinstance(error.orig, psycopg.OperationalError):
        return False
    said = str(error.orig)
    return "FATAL" not in said or any(words in said for words in NOT_YET)


def in_transaction(engine: sa.Engine, work: Callable[[sa.Connection], T], patience: timedelta = PATIENCE) -> T:
    """Run `work` in one transaction and commit it; try again for `patience` when the database says "not now".

    The answer to a COMMIT can be lost, so `work` must do no harm when it is done twice. DatabaseError, which quotes no
    statement and no parameter, because those hold personal data.
    """
    try:
        result: T = _trying(patience)(_once, engine, work)
    except sa.exc.DBAPIError as error:
        is_refusal = refused_because(error) is not None and not is_transient(error)
        raise DatabaseError(what_happened(engine, error), blames_row(error), is_refusal=is_refusal) from None
    return result


def in_transaction_without(
    engine: sa.Engine, work: Callable[[sa.Connection, bool], T], patience: timedelta = PATIENCE
) -> T:
    """Run `work(connection, False)` in one transaction; where it fails by the data of a row, `work(connection, True)`.

    The second is to use `in_halves`, so that what PostgreSQL refuses stays out and the rest is done. Constraints that
    are deferred are checked with each statement then, and not by COMMIT, which would blame no row.
    """
    try:
        return in_transaction(engine, lambda connection: work(connection, False), patience)
    except DatabaseError as error:
        if error.row_refusal is None:
            raise

    def carefully(connection: sa.Connection) -> T:
        connection.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))
        return work(connection, True)

    return in_transaction(engine, carefully, patience)


def _trying(patience: timedelta) -> Retrying:
    return Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_all(stop_after_attempt(2), stop_after_delay(patience)),
        wait=wait_random_exponential(multiplier=0.05, max=1),
        reraise=True,
    )


def _once(engine: sa.Engine, work: Callable[[sa.Connection], T]) -> T:
    with engine.begin() as connection:
        try:
            return work(connection)
        except sa.exc.DBAPIError as error:
            if _state(error) == READ_ONLY:
                connection.invalidate(error)  # the next one may lead to the new primary
            raise


def what_happened(engine: sa.Engine, error: sa.exc.DBAPIError) -> str:
    """The sentence for an error of the database; holds neither the password nor a parameter."""
    refusal = refused_because(error)
    if refusal is None:
        return unreachable(engine, error)
    return (
        f"The database refused a statement: {refusal}. What was committed before stands, and nothing is lost: "
        "the next run takes up the rest. If it happens again, `crm-sync db check` may name the cause."
    )


def refused_because(error: sa.exc.DBAPIError) -> str | None:
    """PostgreSQL's own words and SQLSTATE, without values; None where it was the connection that failed."""
    state = _state(error)
    if state is None or error.connection_invalidated:
        return None
    diagnosis = getattr(error.orig, "diag", None)
    return f"{redacted(getattr(diagnosis, 'message_primary', None) or type(error.orig).__name__)} ({state})"


def unreachable(engine: sa.Engine, error: sa.exc.DBAPIError) -> str:
    """The sentence for a database that does not answer; the password is never part of it."""
    why = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    variable = engine.get_execution_options().get(READ_FROM, DATABASE_URL)
    return (
        f"The database at {_where(engine.url)} can't be used: {why}. Nothing was changed. Check {variable} and that "
        "the server runs and lets this machine in."
    )


def _where(url: sa.URL) -> str:
    """Host and port, of each host where there are several."""
    hosts = str(url.host or url.query.get("host") or url.query.get("hostaddr") or "the local socket").split(",")
    ports = str(url.port or url.query.get("port") or "").split(",")
    shown = [f"[{host}]" if ":" in host and "/" not in host else host for host in hosts]
    return ", ".join(f"{host}:{port or 5432}" for host, port in zip_longest(shown, ports))


NOT_THE_ROWS_FAULT = ("08", "25", "28", "40", "42501", "53", "55", "57", "58", "XX")
"""Beginnings of SQLSTATEs that say nothing of a row: connection, rights, resources (a full disk), operator, defects."""


def blames_row(error: sa.exc.DBAPIError) -> str | None:
    """PostgreSQL's words where it may be the row's data that it refused, None where it certainly is not."""
    refusal = refused_because(error)
    state = _state(error) or ""
    return None if state.startswith(NOT_THE_ROWS_FAULT) or is_transient(error) else refusal


def in_halves(
    connection: sa.Connection, rows: Sequence[R], write: Callable[[Sequence[R]], T], refused: Callable[[R, str], T]
) -> list[T]:
    """Write rows together; what PostgreSQL refuses is halved until the row is alone, which `refused` is then given.

    `refused` gets PostgreSQL's words as well. An error that is not about the data of a row is raised. Each try has a
    savepoint of its own, so rows that were written stay written.
    """
    try:
        with connection.begin_nested():
            return [write(rows)]
    except sa.exc.DBAPIError as error:
        refusal = blames_row(error)
        if refusal is None:
            raise
    if len(rows) == 1:
        return [refused(rows[0], refusal)]
    middle = len(rows) // 2
    return [
        *in_halves(connection, rows[:middle], write, refused),
        *in_halves(connection, rows[middle:], write, refused),
    ]
