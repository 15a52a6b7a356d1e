"""What an account of the HubSpot simulator starts with, and how it behaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from crm_sync_pipeline.simulators.hubspot.properties import Property
from crm_sync_pipeline.simulators.simulator import REQUEST_LOG_SIZE

DEFAULT_KEY = "pat-na1-simulator"

READ, WRITE = "crm.objects.contacts.read", "crm.objects.contacts.write"
READ_SCHEMAS, WRITE_SCHEMAS = "crm.schemas.contacts.read", "crm.schemas.contacts.write"

DEFAULT_PROPERTIES: Sequence[Property] = (
    Property("scrapersky_domain_id"),
    Property("scrapersky_page_id"),
    Property("scrapersky_sync_date"),
)

SECONDARY_ADDRESSES = ("primary", "conflict")
PARTIAL_ANSWERS = ("207", "200", "400")


@dataclass(frozen=True)
class HubspotLimits:
    """Requests that an app may make in any ten seconds, and an account in a day. None: as many as it likes."""

    per_ten_seconds: int | None
    per_day: int | None

    @classmethod
    def parse(cls, text: str) -> "HubspotLimits":
        """Read a plan, or a number of requests per ten seconds with no daily limit. ValueError names what there is."""
        if text in PLANS:
            return PLANS[text]
        if text.isascii() and text.isdecimal() and int(text) > 0:
            return cls(int(text), None)
        known = ", ".join(PLANS)
        raise ValueError(f"A rate limit is one of {known}, or a whole number of requests per 10 seconds, not {text!r}.")


# https://developers.hubspot.com/changelog/increasing-our-api-limits; a later note says 625,000 for Professional.
PLANS: Mapping[str, HubspotLimits] = {
    "starter": HubspotLimits(100, 250_000),
    "professional": HubspotLimits(190, 650_000),
    "enterprise": HubspotLimits(190, 1_000_000),
    "unlimited": HubspotLimits(None, None),
}


@dataclass(frozen=True)
class HubspotConfig:
    """One simulated account.

    api_keys            access tokens it knows; None: any that is not empty
    scopes              what those tokens may do
    limits              requests they may make
    properties          custom properties of contacts, beside HubSpot's own
    time_zone           of the account, as an IANA name; its day ends the daily limit
    portal_id           of the account
    secondary_address   an upsert by an address that a contact has as a secondary one answers with that contact
                        ("primary"), or is refused with a 409 ("conflict"); no recording of either
    partial_2026_09     how 2026-09 answers a batch of which some failed: its documents have no 207. "207" as v3 does,
                        "200" with the same body, or "400", which refuses all; no recording of any
    strict_errors       errors of a 207 have `errors` and `links`, which HubSpot's own client insists on
    groups_errors       equal errors of several rows are one, which names them all
    echoes_trace_ids    rows that were written name their objectWriteTraceId, as the schema says; no recording
    names_existing      a conflict names the id of the contact that is there; recorded with and without
    required            properties that 2026-09 demands of a new contact: an administrator's rule
    request_log_size    how many requests are remembered
    seed                of the order of results, and of the faults that strike at random

    ValueError for a switch that has no such position, and for an unknown time zone.
    """

    api_keys: frozenset[str] | None = frozenset({DEFAULT_KEY})
    scopes: frozenset[str] = frozenset({READ, WRITE, READ_SCHEMAS, WRITE_SCHEMAS})
    limits: HubspotLimits = PLANS["starter"]
    properties: Sequence[Property] = DEFAULT_PROPERTIES
    time_zone: str = "UTC"
    portal_id: int = 1234567
    secondary_address: str = "primary"
    partial_2026_09: str = "207"
    strict_errors: bool = False
    groups_errors: bool = False
    echoes_trace_ids: bool = False
    names_existing: bool = True
    required: Sequence[str] = ()
    request_log_size: int = REQUEST_LOG_SIZE
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("secondary_address", SECONDARY_ADDRESSES), ("partial_2026_09", PARTIAL_ANSWERS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r}.")
        ZoneInfo(self.time_zone)
