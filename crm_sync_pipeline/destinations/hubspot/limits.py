"""HubSpot's two limits: that of ten seconds is waited for, after that of a day nothing gets through until it is over.

https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines (November 2026)
"""

from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.destinations.http import number_in
from crm_sync_pipeline.domain.pacing import clamp_pause
from crm_sync_pipeline.domain.sentences import sentences

WINDOW_SECONDS = 10.0

LOCKED_SECONDS = 2.0
"""Documented: a 423 is to be repeated after two seconds at the earliest."""

AFTER_MIDNIGHT = timedelta(minutes=1)
JUST_AFTER_MIDNIGHT = timedelta(minutes=10)


def is_over_for_today(answer: Answer) -> bool:
    """Whether the account has spent its requests of the day."""
    data = answer.data if answer.status == 429 else None
    return isinstance(data, dict) and data.get("policyName") == "DAILY"


def pause_after(answer: Answer) -> float:
    """Seconds to wait before the next request; 0 for none.

    After a 429 of the ten seconds it is `Retry-After`, else the window that the headers name. HubSpot documents
    `Retry-After` for a 477 alone, which it answers with while an account moves to another data centre.
    """
    asked = number_in(answer.headers, "retry-after")
    if answer.status == 429 and not is_over_for_today(answer):
        milliseconds = number_in(answer.headers, "x-hubspot-ratelimit-interval-milliseconds")
        window_seconds = WINDOW_SECONDS if milliseconds is None else milliseconds / 1000
        return clamp_pause(window_seconds if asked is None else asked)
    if answer.status == 477 and asked is not None:
        return clamp_pause(asked)
    return LOCKED_SECONDS if answer.status == 423 else 0.0


def until_the_day_ends(said: str, time_zone: str) -> tuple[str, timedelta]:
    """What a person is told when the day's requests are spent, and how long nothing is sent."""
    now = datetime.now(timezone.utc)
    wait = until_midnight(now, ZoneInfo(time_zone))
    until = f"Nothing more is sent before {now + wait:%Y-%m-%d %H:%M} UTC, when the account's day is over ({time_zone})"
    to_do = "No contact pays for it. Other programs spend from the same limit, and HubSpot sells a higher one"
    return sentences(said, until, to_do), wait


def until_midnight(now: datetime, zone: ZoneInfo) -> timedelta:
    """How long the account's day goes on, and a minute more, for clocks that do not agree to the second.

    What is refused just after midnight was counted by a clock that is behind ours: a minute will do then.
    """
    ends = datetime.combine(now.astimezone(zone).date() + timedelta(days=1), time.min, zone)
    begun = datetime.combine(now.astimezone(zone).date(), time.min, zone)
    is_new = now - begun.astimezone(timezone.utc) < JUST_AFTER_MIDNIGHT
    return AFTER_MIDNIGHT if is_new else ends.astimezone(timezone.utc) - now + AFTER_MIDNIGHT
