"""Which of the faults that are set strikes which request."""

import fnmatch
import itertools
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from crm_sync_pipeline.simulators.faults import KINDS, Fault
from crm_sync_pipeline.simulators.limiter import Clock


@dataclass(frozen=True)
class Strike:
    """What befalls one request: a wait in seconds, and at most one fault besides, with what is left of its time."""

    latency_seconds: float = 0
    fault: Fault | None = None
    left_seconds: float | None = None
    described: str | None = None


NOTHING = Strike()


@dataclass
class ArmedFault:
    """A fault that is set: its number, the requests it has left, and when it ends on the plan's clock."""

    id: int
    fault: Fault
    times_left: int | None
    ends_at: float | None


class FaultPlan:
    """The faults that are set, oldest first. Usable from any thread.

    The latencies that match one request add up; of the other faults the first that matches strikes.
    """

    def __init__(self, default_route: tuple[str, str], clock: Clock, seed: int = 0) -> None:
        self._default_method, self._default_path = default_route
        self._clock = clock
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311  # repeatable on purpose
        self._ids = itertools.count(1)
        self._armed: list[ArmedFault] = []
        self._lock = threading.Lock()

    def inject(self, fault: Fault) -> int:
        """Set a fault; its number, for `heal`."""
        with self._lock:
            ends_at = None if fault.seconds is None else self._clock() + fault.seconds
            armed = ArmedFault(next(self._ids), fault, fault.times, ends_at)
            self._armed.append(armed)
            return armed.id

    def heal(self, fault_id: int | None = None) -> int:
        """Take one fault away, or all of them. How many went."""
        with self._lock:
            kept = [] if fault_id is None else [armed for armed in self._armed if armed.id != fault_id]
            gone = len(self._armed) - len(kept)
            self._armed = kept
            return gone

    def reseed(self) -> None:
        """Draw the same numbers again."""
        with self._lock:
            self._random.seed(self._seed)

    def armed(self) -> Sequence[ArmedFault]:
        """List the faults still to strike."""
        with self._lock:
            self._drop_ended()
            return tuple(self._armed)

    def draw(self, method: str, path: str, emails: Sequence[str] = ()) -> Strike:
        """Say what befalls this request, and count it against the faults that strike."""
        if not self._armed:  # the way of nearly all requests; no lock for it
            return NOTHING
        with self._lock:
            self._drop_ended()
            latency_seconds = 0.0
            struck: ArmedFault | None = None
            described = []
            for armed in self._armed:
                fault = armed.fault
                if fault.kind != "latency" and struck is not None:
                    continue
                if not self._reaches(fault, method, path, emails):
                    continue
                if armed.times_left is not None:
                    armed.times_left -= 1
                described.append(str(fault))
                if fault.kind == "latency":
                    latency_seconds += self._latency_seconds(fault)
                else:
                    struck = armed
            if not described:
                return NOTHING
            if struck is None:
                return Strike(latency_seconds, described=" ".join(described))
            left_seconds = None if struck.ends_at is None else struck.ends_at - self._clock()
            return Strike(latency_seconds, struck.fault, left_seconds, " ".join(described))

    def _reaches(self, fault: Fault, method: str, path: str, emails: Sequence[str]) -> bool:
        if (fault.method or self._default_method) not in (method, "*"):
            return False
        if not fnmatch.fnmatchcase(path, fault.path or self._default_path):
            return False
        if fault.email is not None:
            pattern = fault.email.lower()
            if not any(fnmatch.fnmatchcase(email.lower(), pattern) for email in emails or ("",)):
                return False
        return fault.rate == 1 or self._random.random() < fault.rate

    def _latency_seconds(self, fault: Fault) -> float:
        milliseconds = KINDS[fault.kind].default_ms if fault.milliseconds is None else fault.milliseconds
        jitter_ms = self._random.uniform(-fault.jitter_ms, fault.jitter_ms) if fault.jitter_ms else 0
        return max(0.0, (milliseconds or 0) + jitter_ms) / 1000

    def _drop_ended(self) -> None:
        now = self._clock()
        self._armed = [
            armed for armed in self._armed if armed.times_left != 0 and (armed.ends_at is None or armed.ends_at > now)
        ]
