from dataclasses import dataclass, field

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 60.0


@dataclass(slots=True)
class Pace:
    """Keeps requests under a rate, evenly spaced, and obeys the destination's own word.

    It reads no clock: `now` is any monotonic time in seconds. Even spacing, rather than a bucket of saved-up requests,
    because Brevo counts per second and other programs spend from the same limit.
    """

    requests_per_second: float
    _next_at: float = field(default=0.0, init=False)

    def reserve(self, now: float) -> float:
        """Take the next place; returns how many seconds to wait for it, 0 when it is free now."""
        place = max(now, self._next_at)
        self._next_at = place + 1 / self.requests_per_second
        return place - now

    def pause(self, now: float, seconds: float) -> float:
        """Let nobody through for `seconds`, clamped to 0.1 to 60; returns the pause that holds."""
        seconds = clamp_pause(seconds)
        self._next_at = max(self._next_at, now + seconds)
        return seconds


def clamp_pause(seconds: float) -> float:
    """A pause between 0.1 s and 60 s: vendors' headers have been seen in milliseconds, negative and far too long."""
    if not seconds > 0:  # NaN as well
        return SHORTEST_PAUSE_SECONDS
    return min(max(seconds, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
