"""Every transaction of ours goes through `in_transaction`; every error of the database leaves it as a sentence."""

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from crm_sync_pipeline.domain.contact import redacted
from crm_sync_pipeline.domain.errors import CrmSyncError

T = TypeVar("T")


class DatabaseError(CrmSyncError):
    """The database can't be reached, is not what we need, or refused a statement."""


TRANSIENT = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300")
"""Serialization, deadlock, lock time-out, shutdown, too many connections; class 08 (connection) comes on top."""


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may do well a moment later, on another connection."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or (state is not None and (state in TRANSIENT or state.startswith("08")))


def in_transaction(engine: sa.Engine, work: Callable[[sa.Connection], T]) -> T:
    """Run `work` in one transaction and commit it; try again, five times at most, when the database says "not now".

    The answer to a COMMIT can be lost, so `work` must do no harm when it is done twice. DatabaseError, which quotes no
    statement and no parameter, because those hold personal data.
    """
    try:
        return _retried(engine, work)
    except sa.exc.DBAPIError as error:
        raise DatabaseError(what_happened(engine, error)) from None


@retry(
    retry=retry_if_exception(is_transient),
    stop=stop_after_attempt(5),
    wait=wait_random_exponential(multiplier=0.05, max=2),
    reraise=True,
)
def _retried(engine: sa.Engine, work: Callable[[sa.Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


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
    state = getattr(error.orig, "sqlstate", None)
    if state is None or error.connection_invalidated:
        return None
    diagnosis = getattr(error.orig, "diag", None)
    return f"{redacted(getattr(diagnosis, 'message_primary', None) or type(error.orig).__name__)} ({state})"


def unreachable(engine: sa.Engine, error: sa.exc.DBAPIError) -> str:
    """The sentence for a database that does not answer; the password is never part of it."""
    why = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    url = engine.url
    where = f"{url.host or url.query.get('host') or 'the local socket'}:{url.port or 5432}"
    return (
        f"The database at {where} can't be used: {why}. Nothing was changed. Check DATABASE_URL and that the server "
        "runs and lets this machine in."
    )
