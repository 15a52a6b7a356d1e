"""What HubSpot says of our set-up before the first contact is sent: key, scopes, time zone, properties.

https://developers.hubspot.com/docs/api-reference/account-account-info-v3/guide, /crm-properties-v3/guide
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.destinations.hubspot.answers import is_hubspots, scopes_in
from crm_sync_pipeline.destinations.hubspot.properties import (
    Names,
    Property,
    known_in,
    missing_in,
    property_lines,
    property_to_make,
    rule_lines,
)
from crm_sync_pipeline.destinations.hubspot.settings import PATH_PREFIX
from crm_sync_pipeline.destinations.statuses import OUR_SETUP
from crm_sync_pipeline.domain.check import Line, State
from crm_sync_pipeline.domain.outcome import Failed

ASK_SECONDS = 10
LONGEST_PAUSE_SECONDS = 10

ENFORCES_RULES_SINCE = "2026-09"
"""https://developers.hubspot.com/changelog/crm-api-write-validation-enforcement"""

_LABELS = ("Domain id", "Page id", "Sync date")


class _Unanswered(Exception):  # noqa: N818 # an answer more than an error: it ends the questions that need another one
    def __init__(self, line: Line) -> None:
        super().__init__(line.says)
        self.line = line


class HubspotCheck:
    """The questions of one check. None writes to a contact."""

    def __init__(
        self,
        hubspot: HttpDestination,
        names: Names,
        path_prefix: str,
        time_zone: str,
        client: httpx.AsyncClient,
        clock: Callable[[], datetime],
    ) -> None:
        self._hubspot = hubspot
        self._names = names
        self._prefix = path_prefix
        self._time_zone = time_zone
        self._client = client
        self._clock = clock
        matched = PATH_PREFIX.fullmatch(path_prefix)
        self._version = (matched and matched["version"]) or "v3"

    async def lines(self, create_fields: bool) -> list[Line]:
        """Every answer; those that follow a refused key or a lost connection are left out."""
        found: list[Line] = []
        try:
            found += await self._account()
            found += [await self._scope("read"), await self._scope("upsert")]
            found += await self._properties(create_fields)
            found += await self._rules()
        except _Unanswered as end:
            found.append(end.line)
        return found

    async def _account(self) -> list[Line]:
        data = self._data(await self._ask("GET", "/account-info/v3/details"))
        if "portalId" not in data:
            raise _Unanswered(self._not_hubspot(200))
        key = Line("Key", State.GREEN, f"HubSpot takes it, for account {data['portalId']}")
        return [key, self._zone_line(str(data.get("timeZone")))]

    def _zone_line(self, theirs: str) -> Line:
        to_do = f"Set HUBSPOT_TIME_ZONE={theirs}."
        try:
            is_same = self._offsets(theirs) == self._offsets(self._time_zone)
        except (KeyError, ValueError, OSError):
            is_same = theirs == self._time_zone
        if is_same:
            return Line("Time zone", State.GREEN, f"the account's day ends at midnight in {self._time_zone}")
        says = f"the account's is {theirs}, not {self._time_zone}; the daily limit ends at the account's midnight"
        return Line("Time zone", State.YELLOW, says, to_do)

    def _offsets(self, zone: str) -> list[timedelta | None]:
        """What a clock there shows over a year: one time zone has many names."""
        known, now = ZoneInfo(zone), self._clock()
        return [(now + timedelta(days=days)).astimezone(known).utcoffset() for days in range(0, 365, 30)]

    async def _scope(self, kind: str) -> Line:
        """Whether the key may do this, found out by a batch of nobody.

        HubSpot checks scopes before what a request says (unverified); a batch without inputs changes nothing.
        """
        body: dict[str, list[str]] = (
            {"inputs": []} if kind == "upsert" else {"inputs": [], "properties": [], "propertiesWithHistory": []}
        )
        path = f"{self._prefix}/batch/{kind}"
        answer = await self._ask("POST", path, json.dumps(body).encode(), also=frozenset({403}))
        name, may = ("Scope to write", "write") if kind == "upsert" else ("Scope to read", "read")
        if answer.status == 403:
            scopes = self._missing_scopes(answer) or f"crm.objects.contacts.{may}"
            return Line(name, State.RED, f"the key may not {may} contacts: {scopes} is missing", _ADD_SCOPE)
        if answer.status >= 400 and not is_hubspots(answer.data):
            raise _Unanswered(self._not_hubspot(answer.status))
        return Line(name, State.GREEN, f"the key may {may} contacts")

    async def _properties(self, create: bool) -> list[Line]:
        answer = await self._ask("GET", self._beside("properties", "contacts"), also=frozenset({403}))
        if answer.status == 403:
            says = f"can't be looked at: {self._missing_scopes(answer) or 'crm.schemas.contacts.read'} is missing"
            return [Line("Properties", State.YELLOW, says, _ADD_SCOPE)]
        known = known_in(self._data(answer))
        if known is None:
            raise _Unanswered(self._not_hubspot(answer.status))
        lines: list[Line] = []
        if create and (missing := missing_in(known, self._names)):
            made, lines = await self._create(missing)
            known |= {name: Property("string", is_read_only=False, is_unique=False) for name in made}
        return [*lines, *property_lines(known, self._names)]

    async def _create(self, names: Iterable[str]) -> tuple[list[str], list[Line]]:
        made: list[str] = []
        lines: list[Line] = []
        labels = dict(zip(self._names.custom, _LABELS, strict=True))
        for name in names:
            body = json.dumps(property_to_make(name, f"{labels[name]} (crm-sync)")).encode()
            try:
                path = self._beside("properties", "contacts")
                answer = await self._ask("POST", path, body, also=frozenset({403}))
            except _Unanswered as end:  # those made so far must be told
                lines.append(end.line)
                break
            if answer.status == 201:
                made.append(name)
                continue
            to_do = f"{_ADD_SCOPE[:-1]}: crm.schemas.contacts.write." if answer.status == 403 else ""
            lines.append(Line(f"Property {name}", State.RED, f"not made: {self._hubspot.error_text(answer)}", to_do))
        if made:
            lines.insert(0, Line("Properties made", State.GREEN, ", ".join(made)))
        return made, lines

    async def _rules(self) -> list[Line]:
        """Rules for values, where they can be read; and whether this version enforces those that can't."""
        refused = frozenset({403, 404})
        answer = await self._ask("GET", self._beside("property-validations", "0-1"), also=refused)
        lines = rule_lines(answer.data, self._names) if answer.status == 200 else []
        if self._version != "v3" and self._version >= ENFORCES_RULES_SINCE:
            says = (
                f"{self._version} refuses contacts that lack what an administrator requires of new ones, which "
                "can't be read beforehand"
            )
            to_do = (
                "See that none of the required properties is another than those that are sent, or use v3 or 2026-03."
            )
            lines.append(Line("Required properties", State.YELLOW, says, to_do))
        return lines

    def _beside(self, what: str, of: str) -> str:
        """The path of another part of the API, of the same version as the contacts."""
        return f"/crm/v3/{what}/{of}" if self._version == "v3" else f"/crm/{what}/{self._version}/{of}"

    async def _ask(
        self, method: str, path: str, body: bytes | None = None, also: frozenset[int] = frozenset()
    ) -> Answer:
        """One question, again after a pause where HubSpot says "too many".

        `_Unanswered` where nothing else will do; the statuses in `also` are for the one who asks.
        """
        answer = await self._exchange(method, path, body)
        if answer.status == 429 and (pause := self._hubspot.pause_after(answer)):
            await asyncio.sleep(min(pause, LONGEST_PAUSE_SECONDS))
            answer = await self._exchange(method, path, body)
        if answer.status == 429:
            to_do = "Run the check again in a minute, or when the account's day is over."
            raise _Unanswered(
                Line("HubSpot", State.RED, f"not all was asked: {self._hubspot.error_text(answer)}", to_do)
            )
        if answer.status in OUR_SETUP - also:
            fault, said = self._hubspot.read_setup_fault(answer), self._hubspot.error_text(answer)
            name = "Key" if answer.status == 401 else "HubSpot"
            raise _Unanswered(Line(name, State.RED, said, fault.message.removeprefix(said).lstrip(". ")))
        return answer

    async def _exchange(self, method: str, path: str, body: bytes | None) -> Answer:
        answer = await self._hubspot.exchange(self._client, method, path, body, within_seconds=ASK_SECONDS)
        if isinstance(answer, Failed):
            to_do = f"Look at the network, at proxies and at HUBSPOT_API_BASE_URL; it is {self._hubspot.base_url} now."
            raise _Unanswered(Line("HubSpot", State.RED, answer.message, to_do))
        return answer

    def _missing_scopes(self, answer: Answer) -> str:
        data = answer.data
        return " or ".join(scopes_in(data)) if isinstance(data, dict) else ""

    def _data(self, answer: Answer) -> Mapping[str, Any]:
        """The object that HubSpot answers with. `_Unanswered` where it is none."""
        if not 200 <= answer.status < 300:
            to_do = "Run the check again; if it lasts, look at https://status.hubspot.com."
            raise _Unanswered(Line("HubSpot", State.RED, self._hubspot.error_text(answer), to_do))
        data = answer.data
        if not isinstance(data, dict):
            raise _Unanswered(self._not_hubspot(answer.status))
        return data

    def _not_hubspot(self, status: int) -> Line:
        says = f"what answers at {self._hubspot.base_url} does not speak as HubSpot does (HTTP {status})"
        return Line("HubSpot", State.RED, says, "Check HUBSPOT_API_BASE_URL, and proxies on the way.")


_ADD_SCOPE = "Add it to the service key or the private app in HubSpot."
