"""What an account of the Brevo simulator starts with, and how it behaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crm_sync_pipeline.simulators.limiter import Clock, Limiter, TokenBucket
from crm_sync_pipeline.simulators.simulator import REQUEST_LOG_SIZE

DEFAULT_KEY = "xkeysib-simulator"
IMPORT_ENDS = ("completed", "failed", "cancelled")
ATTRIBUTE_TYPES = ("text", "date", "float", "boolean", "id", "category", "multiple-choice", "user")

DEFAULT_ATTRIBUTES: Mapping[str, str] = {
    "FIRSTNAME": "text",
    "LASTNAME": "text",
    "SMS": "text",
    "DOMAIN_ID": "text",
    "PAGE_ID": "text",
    "EMAIL_TYPE": "text",
    "SOURCE_URL": "text",
    "HAS_GMAIL": "boolean",
}


@dataclass(frozen=True)
class BrevoLimits:
    """Requests an account may make. None: as many as it likes.

    `others_per_hour` is the bucket of everything that is not /v3/contacts: /v3/account and /v3/processes.
    Source: https://developers.brevo.com/docs/api-limits (November 2026).
    """

    contacts_per_second: float | None
    contacts_per_hour: float | None
    others_per_hour: float | None

    @classmethod
    def parse(cls, text: str) -> "BrevoLimits":
        """Read a plan (general, advanced, extended), "unlimited", or a number of requests per second for contacts.

        A number leaves the other bucket unlimited. ValueError names what there is.
        """
        if text in PLANS:
            return PLANS[text]
        try:
            return cls.per_second(float(text))
        except ValueError:
            known = ", ".join(PLANS)
            raise ValueError(f"A rate limit is one of {known}, or a number above 0, not {text!r}.") from None

    @classmethod
    def per_second(cls, requests: float) -> "BrevoLimits":
        """Limit contacts to so many requests per second, and nothing else. ValueError when not above 0."""
        if not 0 < requests < float("inf"):
            raise ValueError(f"A rate limit is above 0 requests per second, not {requests}.")
        return cls(requests, None, None)

    def contacts(self, clock: Clock) -> Limiter:
        """Make the limiter of /v3/contacts, full."""
        return _limiter(((self.contacts_per_second, 1), (self.contacts_per_hour, 3600)), clock)

    def others(self, clock: Clock) -> Limiter:
        """Make the limiter of everything else, full."""
        return _limiter(((self.others_per_hour, 3600),), clock)


PLANS: Mapping[str, BrevoLimits] = {
    "general": BrevoLimits(10, 36_000, 100),
    "advanced": BrevoLimits(20, 72_000, 200),
    "extended": BrevoLimits(60, 216_000, 600),  # unverified: the hourly figure, by arithmetic
    "unlimited": BrevoLimits(None, None, None),
}


def _limiter(limits: tuple[tuple[float | None, float], ...], clock: Clock) -> Limiter:
    return Limiter([TokenBucket(requests, seconds, clock) for requests, seconds in limits if requests is not None])


@dataclass(frozen=True)
class BrevoConfig:
    """One simulated account.

    api_keys                   keys it knows; None: any that is not empty
    limits                     requests it may make
    attributes                 name to type (ATTRIBUTE_TYPES); names in any case
    lists                      id to name, in folder 1
    refuse_unknown_attributes  400 for an attribute the account lacks, where Brevo most likely ignores it
    old_duplicate_wording      "Contact already exist" for a duplicate, as Brevo said until mid-2024
    tells_no_id                201 with {"id": null}, as the SDKs of Brevo document; no recording of it
    unknown_list_is_404        404 for a list that is not there, where 400 is as likely; no recording of either
    import_seconds             how long an import takes; the first third it is queued
    import_ends                how: completed, or failed or cancelled, with nobody imported
    import_clears_blocklist    an import without emailBlacklist re-subscribes, as some users of Brevo fear
    request_log_size           how many requests are remembered
    seed                       of the faults that strike at random

    ValueError for a type there is not, and for a list id below 1.
    """

    api_keys: frozenset[str] | None = frozenset({DEFAULT_KEY})
    limits: BrevoLimits = PLANS["general"]
    attributes: Mapping[str, str] = field(default_factory=lambda: DEFAULT_ATTRIBUTES)
    lists: Mapping[int, str] = field(default_factory=lambda: {1: "Contacts"})
    refuse_unknown_attributes: bool = False
    old_duplicate_wording: bool = False
    tells_no_id: bool = False
    unknown_list_is_404: bool = False
    import_seconds: float = 1
    import_ends: str = "completed"
    import_clears_blocklist: bool = False
    request_log_size: int = REQUEST_LOG_SIZE
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in self.attributes.items():
            if kind not in ATTRIBUTE_TYPES:
                raise ValueError(f"Attribute {name} cannot be {kind!r}; the types are {', '.join(ATTRIBUTE_TYPES)}.")
        if any(list_id < 1 for list_id in self.lists):
            raise ValueError(f"List ids begin at 1: {sorted(self.lists)}.")
        if self.import_ends not in IMPORT_ENDS:
            raise ValueError(f"An import ends {', '.join(IMPORT_ENDS)}, not {self.import_ends!r}.")
        if self.import_seconds < 0:
            raise ValueError(f"import_seconds is 0 or more, not {self.import_seconds}.")
