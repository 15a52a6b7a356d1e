from dataclasses import dataclass
from datetime import timedelta

LONGEST_DELAY = timedelta(days=7)
"""No retry waits longer, whatever the settings multiply up to."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a delivery is tried again, and when. Three retries are four attempts.

    Source: requirements, "Retry".
    """

    max_retries: int = 3
    base_delay: timedelta = timedelta(minutes=5)
    exponential: bool = True
    retry_rejected: bool = True

    def delay(self, retries_done: int) -> timedelta:
        """Wait before the next retry: base, 2 x base, 4 x base ... (5, 10, 20 minutes by default).

        `retries_done` counts the retries already scheduled, from 0. ValueError below 0. With `exponential` off the wait
        grows evenly: base, 2 x base, 3 x base.
        """
        if retries_done < 0:
            raise ValueError(f"retries_done is {retries_done}; it counts from 0.")
        factor = 1 << min(retries_done, 30) if self.exponential else retries_done + 1
        seconds = min(self.base_delay.total_seconds() * factor, LONGEST_DELAY.total_seconds())
        return timedelta(seconds=seconds)

    def is_spent(self, retries_done: int) -> bool:
        """Whether no retry is left after `retries_done` of them."""
        return retries_done >= self.max_retries
