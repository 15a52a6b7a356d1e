"""How long the calls of a run took, in as little room for a million of them as for one."""

import math
from collections import Counter
from dataclasses import dataclass, field

_STEP = math.log(1.05)


@dataclass(slots=True)
class CallTimes:
    """Times in milliseconds, counted by what they are close to: a percentile is within 2.5 % of the true one.

    Up to 20 ms it is exact. There are some 240 steps between a millisecond and two minutes.
    """

    counts: Counter[int] = field(default_factory=Counter)

    def note(self, milliseconds: int) -> None:
        """Add one call; one that took no measurable time counts as a millisecond."""
        self.counts[round(math.log(milliseconds) / _STEP) if milliseconds > 1 else 0] += 1

    def add(self, other: "CallTimes") -> None:
        """Count another's calls in."""
        self.counts.update(other.counts)

    def percentile(self, percent: float) -> int | None:
        """The time, in milliseconds, within which so many percent of the calls ended; None where there was no call."""
        needed = math.ceil(self.counts.total() * percent / 100)
        for step in sorted(self.counts):
            needed -= self.counts[step]
            if needed <= 0:
                return round(math.exp(step * _STEP))
        return None
