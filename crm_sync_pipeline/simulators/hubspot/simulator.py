"""One HubSpot account, served as its API serves it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar
from urllib.parse import unquote

from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline.simulators.faults import Fault
from crm_sync_pipeline.simulators.hubspot import answers
from crm_sync_pipeline.simulators.hubspot.answers import Refused, correlation_id
from crm_sync_pipeline.simulators.hubspot.config import HubspotConfig
from crm_sync_pipeline.simulators.hubspot.endpoints import Endpoint, HubspotEndpoints
from crm_sync_pipeline.simulators.hubspot.limits import DailyWindow, RollingWindow
from crm_sync_pipeline.simulators.hubspot.properties import OWN_PROPERTIES
from crm_sync_pipeline.simulators.hubspot.state import Account, ContactsByEmail, HubspotContact
from crm_sync_pipeline.simulators.limiter import Clock, Reading
from crm_sync_pipeline.simulators.simulator import Simulator, utc_now


class HubspotSimulator(Simulator):
    """One simulated HubSpot account. See `HubspotConfig` for its switches and `faults` for what can go wrong."""

    name: ClassVar[str] = "hubspot"
    base_paths: ClassVar[tuple[str, ...]] = ("/crm/", "/account-info/")
    upsert_route: ClassVar[tuple[str, str]] = ("POST", "/crm/*/batch/upsert")
    fault_answers: ClassVar[Mapping[str, Answer]] = answers.FAULT_ANSWERS

    def __init__(
        self,
        config: HubspotConfig | None = None,
        faults: Iterable[Fault | str] = (),
        *,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.config = config or HubspotConfig()
        super().__init__(
            faults, seed=self.config.seed, request_log_size=self.config.request_log_size, clock=clock, now=now
        )
        self.clear()
        self.contacts: Mapping[str, HubspotContact] = ContactsByEmail(lambda: self.account)

    def clear(self) -> None:
        """Start the account afresh."""
        config = self.config
        self.account = Account(self.now)
        self.account.properties.update({each.name: each for each in (*OWN_PROPERTIES, *config.properties)})
        limits = config.limits
        self._rolling = RollingWindow(limits.per_ten_seconds, self.clock) if limits.per_ten_seconds else None
        self._daily = DailyWindow(limits.per_day, config.time_zone, self.now) if limits.per_day else None
        self._routes = HubspotEndpoints(self.account, config).routes()

    def counts(self) -> Mapping[str, int]:
        """Count contacts, those that were archived, and properties."""
        account = self.account
        return {
            "contacts": len(account.contacts),
            "archived": len(account.archived),
            "properties": len(account.properties),
        }

    def admit(self, request: Request) -> tuple[Answer | None, Reading | None]:
        """Check the token, then the daily limit, then that of ten seconds."""
        rolling, daily, known = self._rolling, self._daily, self.config.api_keys
        kind, _, token = (request.header(b"authorization") or "").partition(" ")
        refusal = None
        if kind.lower() != "bearer" or not token or (known is not None and token not in known):
            refusal = answers.error(answers.NO_TOKEN)
        elif daily and daily.remaining < 1:
            refusal = answers.rate_limited("DAILY")
        elif rolling and not rolling.holds_one():
            refusal = answers.rate_limited("TEN_SECONDLY_ROLLING")
        else:
            for window in (rolling, daily):
                if window:
                    window.take()
        return refusal, rolling.reading() if rolling else None

    def handle(self, request: Request) -> Answer:
        """Find the endpoint and ask it."""
        for pattern, methods in self._routes:
            matched = pattern.fullmatch(request.raw_path)
            if matched is None:
                continue
            endpoint: Endpoint | None = methods.get(request.method)
            if endpoint is None:
                return answers.error(answers.NO_METHOD)
            if endpoint.scopes and not self.config.scopes & set(endpoint.scopes):
                return answers.error(answers.missing_scopes(endpoint.scopes))
            try:
                return endpoint.handle(request, *map(unquote, matched.groups()))
            except Refused as refused:
                return answers.error(refused.problem)
        return answers.unknown_path(request.method, request.path)

    def headers(self, reading: Reading | None) -> list[tuple[bytes, bytes]]:
        """Name the request, and tell the rate limits; an account without one has no such headers."""
        headers = [(b"x-hubspot-correlation-id", correlation_id().encode())]
        if reading is not None:
            headers += [
                (b"x-hubspot-ratelimit-interval-milliseconds", b"%d" % (reading.reset_seconds * 1000)),
                (b"x-hubspot-ratelimit-max", b"%d" % reading.limit),
                (b"x-hubspot-ratelimit-remaining", b"%d" % reading.remaining),
            ]
        if self._daily is not None:
            headers += [
                (b"x-hubspot-ratelimit-daily", b"%d" % self._daily.requests),
                (b"x-hubspot-ratelimit-daily-remaining", b"%d" % self._daily.remaining),
            ]
        return headers

    def emails_of(self, request: Request) -> Sequence[str]:
        """Find the addresses of all contacts of a request: as it names them, or as the account has them by id."""
        body = request.json_object() if request.body else {}
        rows = body["inputs"] if isinstance(body.get("inputs"), list) else [body]
        named = [row.get("objectId") or row.get("id") for row in rows if isinstance(row, dict)]
        sent = [row.get("properties") for row in rows if isinstance(row, dict)]
        if not request.body:
            named, sent = [unquote(request.path.rpartition("/")[2])], [None]
        found = (self._address(name, values) for name, values in zip(named, sent, strict=True))
        return [address for address in found if address]

    def _address(self, named: object, sent: object) -> str | None:
        if isinstance(named, str) and "@" in named:
            return named.strip().lower()
        address = sent.get("email") if isinstance(sent, dict) else None
        if isinstance(address, str) and address:
            return address.strip().lower()
        contact = self.account.contacts.get(named) if isinstance(named, str) else None
        return contact.email if contact else None
