"""What an instance of the Mautic simulator starts with, and how it behaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crm_sync_pipeline.simulators.simulator import REQUEST_LOG_SIZE

DEFAULT_CLIENT, DEFAULT_SECRET = "mautic-client", "mautic-secret"  # they open a simulator only
DEFAULT_USER, DEFAULT_PASSWORD = "api", "mautic-password"

DEFAULT_CUSTOM_FIELDS: Mapping[str, str] = {
    "scrapersky_domain_id": "text",
    "scrapersky_page_id": "text",
    "scrapersky_email_type": "text",
    "scrapersky_source_url": "text",
    "scrapersky_has_gmail": "boolean",
}

PERMISSIONS = ("contacts:create", "contacts:edit", "contacts:view", "contacts:delete", "fields", "segments")


@dataclass
class Switches:
    """What an administrator can change while Mautic runs. `forbidden` are permissions that our user lacks.

    Mautic is delivered with both APIs off; this one is not, so that it answers.
    """

    api_enabled: bool = True
    basic_auth_enabled: bool = True
    forbidden: frozenset[str] = frozenset()


@dataclass(frozen=True)
class MauticConfig:
    """One simulated instance.

    clients              OAuth2 client ids and their secrets
    users                users and passwords for basic auth
    version              what the header Mautic-Version says
    token_seconds        how long an access token is valid
    calls_per_hour       the hourly rate limit; None: off, which is Mautic's default
    custom_fields        alias to type, beside those that every Mautic has
    segments             id to name
    api_enabled, basic_auth_enabled, forbidden   the switches as they stand at the start
    case_sensitive       addresses that differ in case are of different contacts, as on databases that compare bytes
    ignores_zero         POST and PATCH overlook a number that is 0, as before pull request 15900 (2026)
    fields_in_background a new field is published by a cron job: 202, and no use before `publish_fields`
    over_limit_status    what more than 200 rows get: 500 in 5.x and 6.x, 400 from 7.2 on
    request_log_size     how many requests are remembered
    seed                 of the faults that strike at random

    ValueError for a permission there is not.
    """

    clients: Mapping[str, str] = field(default_factory=lambda: {DEFAULT_CLIENT: DEFAULT_SECRET})
    users: Mapping[str, str] = field(default_factory=lambda: {DEFAULT_USER: DEFAULT_PASSWORD})
    version: str = "5.1.1"
    token_seconds: float = 3600
    calls_per_hour: int | None = None
    custom_fields: Mapping[str, str] = field(default_factory=lambda: DEFAULT_CUSTOM_FIELDS)
    segments: Mapping[int, str] = field(default_factory=lambda: {1: "Contacts"})
    api_enabled: bool = True
    basic_auth_enabled: bool = True
    forbidden: frozenset[str] = frozenset()
    case_sensitive: bool = True
    ignores_zero: bool = True
    fields_in_background: bool = False
    over_limit_status: int = 500
    request_log_size: int = REQUEST_LOG_SIZE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.calls_per_hour is not None and self.calls_per_hour < 1:
            raise ValueError(f"A rate limit is 1 call per hour or more, not {self.calls_per_hour}.")
        check_permissions(self.forbidden)

    @classmethod
    def parse(cls, plan: str) -> "MauticConfig":
        """Read a plan: unlimited, or a number of calls per hour. ValueError names what there is."""
        if plan == "unlimited":
            return cls()
        try:
            return cls(calls_per_hour=int(plan))
        except ValueError:
            raise ValueError(
                f"A plan is unlimited, or a whole number of calls per hour above 0, not {plan!r}."
            ) from None


def check_permissions(names: frozenset[str]) -> frozenset[str]:
    """The names as they are. ValueError for a permission there is not."""
    if unknown := sorted(names - set(PERMISSIONS)):
        raise ValueError(f"{', '.join(unknown)}: the permissions are {', '.join(PERMISSIONS)}.")
    return names
