"""Under a rate limit: when the next request may go out, and how many may be in flight.

Nothing here reads a clock: `now` is any monotonic time in seconds.
"""

from dataclasses import dataclass, field

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 60.0

SHARE_OF_LIMIT = 0.975
"""How much of a limit is used: requests that are sent evenly do not arrive evenly, and one too many is refused."""

LONGEST_GRANT_SECONDS = 0.5
SLACK_SECONDS = 0.25
"""How late a place may be taken: what is kept longer would become a burst beside another run's places."""

MIN_SECONDS_BETWEEN_HALVINGS = 1.0
"""What was in flight together tells one thing, not many."""


@dataclass(slots=True)
class Pace:
    """Places for requests, evenly spaced, within what was granted of an account's time.

    Even spacing, rather than a bucket of saved-up requests, because a vendor counts per second and other programs spend
    from the same limit.
    """

    requests_per_second: float
    _next_at: float = field(default=0.0, init=False)
    _ends_at: float = field(default=0.0, init=False)
    _left: int = field(default=0, init=False)
    _paused_until: float = field(default=0.0, init=False)

    def wanted(self, waiting: int) -> int:
        """How many places to ask for when so many requests wait: no more than can be used soon, at least one."""
        return max(1, min(waiting, int(self.requests_per_second * LONGEST_GRANT_SECONDS)))

    def seconds_of(self, places: int) -> float:
        """How much of the account's time so many places take."""
        return places / self.requests_per_second

    def grant(self, begins_at: float, places: int) -> None:
        """So many places are ours from `begins_at` on."""
        self._next_at = max(self._next_at, begins_at)
        self._ends_at = self._next_at + self.seconds_of(places)
        self._left = places

    def reserve(self, now: float) -> float | None:
        """Take the next place; returns how many seconds to wait for it, None where no place is left."""
        place = max(now, self._next_at)
        if not self._left or place > self._ends_at + SLACK_SECONDS:
            self._left = 0
            return None
        self._left -= 1
        self._next_at = place + 1 / self.requests_per_second
        return place - now

    def pause(self, now: float, seconds: float) -> bool:
        """Let nobody through for `seconds`, clamped to 0.1 to 60; returns whether that is news."""
        until = now + clamp_pause(seconds)
        is_news = until > max(now, self._paused_until) + SHORTEST_PAUSE_SECONDS / 2
        self._paused_until = max(self._paused_until, until)
        self._left = 0
        return is_news

    def paused_for(self, now: float) -> float:
        """Seconds until the pause is over; 0 where there is none."""
        return max(0.0, self._paused_until - now)


@dataclass(slots=True)
class InFlight:
    """How many requests may be in flight: fewer when the destination pushes back, more again with each answer."""

    maximum: int
    _limit: float = field(default=0.0, init=False)
    _count: int = field(default=0, init=False)
    _halved_at: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self._limit = float(self.maximum)

    @property
    def limit(self) -> int:
        """How many may be in flight now, at least one."""
        return int(self._limit)

    def acquire(self) -> bool:
        """Start a request, if there is room for one."""
        has_room = self._count < self.limit
        self._count += has_room
        return has_room

    def release(self) -> None:
        """A request has ended, whatever came of it."""
        self._count -= 1

    def observe(self, now: float, pushed_back: bool) -> None:
        """An answer came. `pushed_back`: it was a 429, or none came in time."""
        if not pushed_back:
            self._limit = min(float(self.maximum), self._limit + 1 / self._limit)
        elif now - self._halved_at >= MIN_SECONDS_BETWEEN_HALVINGS:
            self._halved_at = now
            self._limit = max(1.0, self._limit / 2)


def clamp_pause(seconds: float) -> float:
    """A pause between 0.1 s and 60 s: vendors' headers have been seen in milliseconds, negative and far too long."""
    if not seconds > 0:  # NaN as well
        return SHORTEST_PAUSE_SECONDS
    return min(max(seconds, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
