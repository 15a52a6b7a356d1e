"""Somebody who launches another run while there is work and fewer are in progress than may be, beside the sensor."""

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType

import httpx

from crm_sync_pipeline_tests.chaos.dagster_runs import Runs, RunsError

PAUSE_SECONDS = 1.0


class Impatient:
    """A thread that launches runs by hand, as the launchpad does. `done` counts."""

    def __init__(self, runs: Runs, is_wanted: Callable[[], object], most: int, batch_size: int) -> None:
        self.done: Counter[str] = Counter()
        self._runs, self._is_wanted, self._most, self._batch_size = runs, is_wanted, most, batch_size
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._live, name="impatient", daemon=True)

    def __enter__(self) -> "Impatient":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gone.set()
        self._thread.join(40)

    def _live(self) -> None:
        while not self._gone.wait(PAUSE_SECONDS):
            try:
                if self._is_wanted() and len(self._runs.in_progress()) < self._most:
                    self._runs.launch(self._batch_size)
                    self.done["launched"] += 1
            except (httpx.HTTPError, OSError, RunsError):  # a service is down, or Dagster's database
                self.done["refused"] += 1
