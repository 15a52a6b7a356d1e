"""HubSpot's two rate limits: so many requests in any ten seconds, and so many until the account's day ends.

Source: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines (November 2026). That a request
that was refused counts for neither limit is invented.
"""

from collections import deque
from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from crm_sync_pipeline.simulators.limiter import Clock, Reading

WINDOW_SECONDS = 10.0


class RollingWindow:
    """Lets `requests` through in any ten seconds."""

    def __init__(self, requests: int, clock: Clock) -> None:
        self._requests = requests
        self._clock = clock
        self._passed: deque[float] = deque()

    def holds_one(self) -> bool:
        """Whether a request may pass now. It takes nothing."""
        ended = self._clock() - WINDOW_SECONDS
        while self._passed and self._passed[0] <= ended:
            self._passed.popleft()
        return len(self._passed) < self._requests

    def take(self) -> None:
        """Count a request, after `holds_one` said that there is room."""
        self._passed.append(self._clock())

    def reading(self) -> Reading:
        """Tell what is left. The headers name the whole interval, never when it ends."""
        self.holds_one()
        return Reading(self._requests, self._requests - len(self._passed), WINDOW_SECONDS)


class DailyWindow:
    """Lets `requests` through until midnight in the account's time zone."""

    def __init__(self, requests: int, time_zone: str, now: Callable[[], datetime]) -> None:
        self.requests = requests
        self._zone = ZoneInfo(time_zone)
        self._now = now
        self._day: date | None = None
        self._passed = 0

    @property
    def remaining(self) -> int:
        """How many requests the day has left."""
        today = self._now().astimezone(self._zone).date()
        if today != self._day:
            self._day, self._passed = today, 0
        return self.requests - self._passed

    def take(self) -> None:
        """Count a request."""
        self._passed += 1
