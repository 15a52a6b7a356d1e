"""Rate limits as vendors keep them: per account, in token buckets."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True)
class Reading:
    """One bucket as the rate-limit headers tell it: requests in all, requests left, seconds until it is full."""

    limit: int
    remaining: int
    reset_seconds: float


class TokenBucket:
    """Lets `requests` through per `seconds`, `requests` of them (at least one) at once. ValueError when not above 0."""

    def __init__(self, requests: float, seconds: float, clock: Clock) -> None:
        if requests <= 0 or seconds <= 0:
            raise ValueError(f"A rate limit is above 0 requests in above 0 seconds, not {requests} in {seconds}.")
        self._capacity = max(1.0, requests)
        self._per_second = requests / seconds
        self._clock = clock
        self._tokens = self._capacity
        self._filled_at = clock()

    def holds_one(self) -> bool:
        """Whether a request may pass now. It takes nothing."""
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        # A client that waits exactly as long as it was told must pass, whatever the rounding of binary fractions.
        return self._tokens >= 1 - 1e-9

    def take(self) -> None:
        """Take one token, after `holds_one` said that there is one."""
        self._tokens = max(0.0, self._tokens - 1)

    def reading(self) -> Reading:
        """Read the bucket as of now."""
        self.holds_one()
        missing_seconds = (self._capacity - self._tokens) / self._per_second
        return Reading(int(self._capacity + 1e-9), int(self._tokens + 1e-9), math.ceil(missing_seconds - 1e-9))


class Limiter:
    """Several buckets of one account: a request needs a token from each, and a refused one takes none.

    Without a bucket everything passes, and there is no reading.
    """

    def __init__(self, buckets: Sequence[TokenBucket] = ()) -> None:
        self._buckets = tuple(buckets)

    def admit(self) -> tuple[bool, Reading | None]:
        """Take a token for one request. The reading is that of the bucket that refused, or of the first."""
        for bucket in self._buckets:
            if not bucket.holds_one():
                return False, bucket.reading()
        for bucket in self._buckets:
            bucket.take()
        return True, self.reading()

    def reading(self) -> Reading | None:
        """Read the first bucket, which is the one to steer by."""
        return self._buckets[0].reading() if self._buckets else None
