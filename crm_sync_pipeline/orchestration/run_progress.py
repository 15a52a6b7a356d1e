"""How far a run is, in its log, while it works."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from crm_sync_pipeline.delivery.door import RunProgress
from crm_sync_pipeline.domain.batch import Tally

SHORTEST_SECONDS = 5.0
LONGEST_SECONDS = 60.0
GROWTH = 20


class _Reached(NamedTuple):
    done: int
    synced: int
    size: int


@contextmanager
def progress_in(log: logging.Logger, destination: str) -> Iterator[RunProgress]:
    """What to tell the progress to. Every five seconds the log has a line, and fewer as the run grows long.

    It is written by a thread of its own: a line takes Dagster up to ten milliseconds, and its database may be slow,
    which must not hold up the calls.
    """
    reached = _Reached(0, 0, 0)
    is_over = threading.Event()

    def tell(tally: Tally, size: int) -> None:
        nonlocal reached
        reached = _Reached(tally.attempted, tally.outcomes["synced"], size)

    def keep_writing() -> None:
        began, written = time.monotonic(), 0
        while not is_over.wait(_pause(time.monotonic() - began)):
            if reached.done > written:
                written = reached.done
                with suppress(Exception):  # a run goes on without this line
                    log.info(_line(destination, reached, time.monotonic() - began))

    thread = threading.Thread(target=keep_writing, name="run-progress", daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        is_over.set()
        thread.join(timeout=SHORTEST_SECONDS)


def _pause(elapsed_seconds: float) -> float:
    return min(LONGEST_SECONDS, max(SHORTEST_SECONDS, elapsed_seconds / GROWTH))


def _line(destination: str, reached: _Reached, elapsed_seconds: float) -> str:
    per_second = reached.done / elapsed_seconds
    left = max(0, reached.size - reached.done) / per_second
    return (
        f"sync_progress destination={destination} done={reached.done} of={reached.size} synced={reached.synced} "
        f"contacts_per_second={per_second:.1f} seconds_left={left:.0f}"
    )
