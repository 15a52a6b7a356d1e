"""How long to wait before the next run of a job whose last runs achieved nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(minutes=15)

RUNS_LOOKED_AT = 10
"""Of the newest finished runs: beyond eight in a row the wait grows no longer."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that has ended.

    `achieved`: True if it recorded at least one contact, False if it recorded none although some were due. None if it
    says nothing about the database: it was cancelled, or launched by a person, or belongs to an older version.
    """

    run_id: str
    ended_at: datetime
    achieved: bool | None


def in_vain(newest_first: Iterable[FinishedRun]) -> list[FinishedRun]:
    """The newest runs in a row that achieved nothing. The first one that achieved something ends the row."""
    row = []
    for run in newest_first:
        if run.achieved:
            break
        if run.achieved is False:
            row.append(run)
    return row


def wait_after(runs: int) -> timedelta:
    """The wait after `runs` runs in a row that achieved nothing: none after one, then 10, 20, 40 s ... 15 minutes."""
    if runs <= 1:
        return timedelta(0)
    return min(LONGEST_WAIT, FIRST_WAIT * int(2 ** (runs - 2)))


def wait_left(row: Sequence[FinishedRun], now: datetime) -> timedelta:
    """How much of the wait is left at `now`, counted from when the last run of the row ended.

    A clock that is behind that of the machine where the run ended makes no wait longer than it should be.
    """
    wait = wait_after(len(row))
    if not wait:
        return wait
    elapsed = max(timedelta(0), now - max(run.ended_at for run in row))
    return max(timedelta(0), wait - elapsed)
