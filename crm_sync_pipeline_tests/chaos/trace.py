"""What a worker writes down about itself, outside of the product and of its database: it survives SIGKILL."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """`at` is of the monotonic clock, which all processes of a machine share, and which nobody moves."""

    at: float
    worker: str
    name: str
    told: dict[str, Any]


class Trace:
    """A file that several processes append to; each event is one write, so a kill leaves it whole."""

    def __init__(self, path: Path, worker: str) -> None:
        self.worker = worker
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, event: str, **told: Any) -> None:
        """Append one event."""
        line = json.dumps([time.monotonic(), self.worker, event, told], default=str)
        os.write(self._file, line.encode() + b"\n")


def read_trace(path: Path) -> Sequence[Event]:
    """All events, in the order of their times."""
    return sorted(_events(path), key=lambda event: event.at)


def _events(path: Path) -> Iterator[Event]:
    for line in path.read_text().splitlines() if path.exists() else ():
        at, worker, name, told = json.loads(line)
        yield Event(at, worker, name, told)
