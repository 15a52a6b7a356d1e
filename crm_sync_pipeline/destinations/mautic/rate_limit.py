"""The hourly limit that an administrator can set (`api_rate_limiter_limit`), and how it is waited for."""

import time
from datetime import timedelta
from email.utils import parsedate_to_datetime

from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.destinations.http import number_in
from crm_sync_pipeline.domain.outcome import DestinationDown
from crm_sync_pipeline.domain.pacing import LONGEST_PAUSE_SECONDS, clamp_pause
from crm_sync_pipeline.domain.sentences import sentences

AN_HOUR_SECONDS = 3600.0


def pause_after(answer: Answer) -> float:
    """Seconds to wait after a 429: `Retry-After`, else until Mautic counts from 0 again, else 1."""
    asked = number_in(answer.headers, "retry-after")
    return clamp_pause(asked if asked is not None else _seconds_until_reset(answer) or 1.0)


def used_up(answer: Answer, said: str) -> DestinationDown | None:
    """What a 429 means whose wait is too long for a run to sit through; None for any other."""
    seconds = _seconds_until_reset(answer)
    if seconds <= LONGEST_PAUSE_SECONDS or "retry-after" in answer.headers:
        return None
    minutes = max(2, round(seconds / 60))
    says = f"No contact pays for it, and the next request goes in {minutes} minutes"
    return DestinationDown("hourly_limit", sentences(said, says), wait=timedelta(seconds=seconds))


def _seconds_until_reset(answer: Answer) -> float:
    """Until the moment in X-RateLimit-Reset, by the server's own clock where it tells it; 0 where there is none."""
    reset_at = number_in(answer.headers, "x-ratelimit-reset")
    if reset_at is None:
        return 0.0
    try:
        now = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        now = time.time()
    return min(max(0.0, reset_at - now), AN_HOUR_SECONDS)
