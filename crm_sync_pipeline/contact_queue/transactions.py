from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

T = TypeVar("T")

TRANSIENT = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300")
"""Serialization, deadlock, lock time-out, shutdown, too many connections; class 08 (connection) comes on top."""


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may do well a moment later, on another connection."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or (state is not None and (state in TRANSIENT or state.startswith("08")))


@retry(
    retry=retry_if_exception(is_transient),
    stop=stop_after_attempt(5),
    wait=wait_random_exponential(multiplier=0.05, max=2),
    reraise=True,
)
def in_transaction(engine: sa.Engine, work: Callable[[sa.Connection], T]) -> T:
    """Run `work` in one transaction and commit it; try again, five times at most, when the database says "not now".

    The answer to a COMMIT can be lost, so `work` must do no harm when it is done twice.
    """
    with engine.begin() as connection:
        return work(connection)
