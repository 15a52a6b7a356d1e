"""What a simulator was asked, in order."""

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, overload

LOGGED_BODY_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request: what was asked, what was answered, and whether the simulator's state holds it now.

    `emails` are those of the contacts that it is about, in its order: one, many, or none where it is about no contact.
    `status` is None where no answer was sent (reset, hang). `body` is cut at 16 KiB. `fault` is the fault
    in its grammar (`status-503:times=3`), or None.
    """

    method: str
    path: str
    status: int | None
    received_at: datetime
    emails: tuple[str, ...]
    body: bytes
    wrote: bool
    fault: str | None

    @property
    def email(self) -> str | None:
        """The address of a request about one contact; None of any other."""
        return self.emails[0] if len(self.emails) == 1 else None

    @property
    def json(self) -> Any:
        """The body parsed. ValueError where it is not JSON, or was cut."""
        return json.loads(self.body)


class RequestLog(Sequence[LoggedRequest]):
    """The newest requests, oldest first. Reading is safe while the server writes; a slice or a loop sees a copy."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"A request log holds at least 1 request, not {size}.")
        self._entries: deque[LoggedRequest] = deque(maxlen=size)
        self._total = self._contacts = 0
        self._statuses: Counter[int | None] = Counter()
        self._changed = threading.Condition()

    @property
    def total(self) -> int:
        """Requests since the start or the last reset, also those the log has dropped."""
        return self._total

    def statuses(self) -> dict[str, int]:
        """How often each status was answered; "none" where there was no answer."""
        with self._changed:
            return {"none" if status is None else str(status): times for status, times in self._statuses.items()}

    @property
    def contacts(self) -> int:
        """How many contacts those requests were about, each counted as often as it was in one."""
        return self._contacts

    def append(self, entry: LoggedRequest) -> None:
        """Add one, dropping the oldest when the log is full."""
        with self._changed:
            self._entries.append(entry)
            self._total += 1
            self._contacts += len(entry.emails)
            self._statuses[entry.status] += 1
            self._changed.notify_all()

    def wait_for(self, condition: Callable[["RequestLog"], bool], timeout_seconds: float = 5) -> bool:
        """Wait until the condition holds, asking it after each request. False when the time was up first."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout_seconds)

    def clear(self) -> None:
        """Forget everything, the totals too."""
        with self._changed:
            self._entries.clear()
            self._total = self._contacts = 0
            self._statuses.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[LoggedRequest]:
        with self._changed:
            return iter(tuple(self._entries))

    @overload
    def __getitem__(self, index: int) -> LoggedRequest: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LoggedRequest]: ...
    def __getitem__(self, index: int | slice) -> LoggedRequest | Sequence[LoggedRequest]:
        with self._changed:
            return tuple(self._entries)[index] if isinstance(index, slice) else self._entries[index]
