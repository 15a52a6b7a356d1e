"""HubSpot: batches of upserts by e-mail address, each row with a trace id of its own.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide (November 2026)
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, ClassVar

import httpx
from pydantic import Field

from crm_sync_pipeline.destinations.contract import Answer, Call, Limits, Reading, Record, read_results, read_whole
from crm_sync_pipeline.destinations.destination import HttpDestination, NotReadyError, like
from crm_sync_pipeline.destinations.http import printable
from crm_sync_pipeline.destinations.hubspot.answers import (
    EMAIL_IN_USE,
    INVALID_EMAIL,
    MISSING_SCOPES,
    UNKNOWN_PROPERTY,
    batch_in,
    codes_of,
    existing_id,
    is_hubspots,
    reason_of,
    scopes_in,
    set_up_reason,
    status_of,
    without_data,
    words_of,
)
from crm_sync_pipeline.destinations.hubspot.changes import (
    READS,
    Gone,
    Request,
    Step,
    Taken,
    first_request,
    leads_on,
    next_request,
    still_there,
)
from crm_sync_pipeline.destinations.hubspot.limits import is_over_for_today, pause_after, until_the_day_ends
from crm_sync_pipeline.destinations.hubspot.matching import everybodys, in_view_of_all, outcomes_in
from crm_sync_pipeline.destinations.hubspot.properties import Names
from crm_sync_pipeline.destinations.hubspot.readiness import HubspotCheck
from crm_sync_pipeline.destinations.hubspot.settings import HubspotSettings, key_hint
from crm_sync_pipeline.destinations.statuses import BLAMES_CONTACT, PROXY_WANTS_LOGIN, REDIRECTS
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.check import Line
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected
from crm_sync_pipeline.domain.sentences import sentences
from crm_sync_pipeline.settings import Settings

MOST_PER_REQUEST = 100

_NOT_HUBSPOTS = (
    "This answer does not have the form of HubSpot's refusals, so no contact is blamed. Look for a proxy or a firewall "
    "between this machine and HubSpot"
)


class Hubspot(HttpDestination):
    """HubSpot's contacts API, by batches. Neither consent nor lifecyclestage is ever sent."""

    name: ClassVar[str] = "hubspot"
    title: ClassVar[str] = "HubSpot"
    access: ClassVar[str] = "Key"
    secrets: ClassVar[Mapping[str, str]] = {"api_key": "HUBSPOT_API_KEY"}
    limits: ClassVar[Limits] = Limits(contacts_per_request=MOST_PER_REQUEST)
    blames_contact: ClassVar[frozenset[int]] = BLAMES_CONTACT | {409}

    base_url: str = like(HubspotSettings, "api_base_url")
    api_key: str = Field(default="", repr=False, description="An access token; env HUBSPOT_API_KEY.")
    path_prefix: str = like(HubspotSettings, "path_prefix")
    time_zone: str = like(HubspotSettings, "time_zone")
    custom_property_domain_id: str = like(HubspotSettings, "custom_property_domain_id")
    custom_property_page_id: str = like(HubspotSettings, "custom_property_page_id")
    custom_property_sync_date: str = like(HubspotSettings, "custom_property_sync_date")

    @classmethod
    def from_settings(cls, settings: Settings) -> "Hubspot":
        """HubSpot as the environment sets it."""
        hubspot = settings.of(HubspotSettings)
        return cls(**cls.alike(hubspot) | {"base_url": hubspot.api_base_url})

    @property
    def names(self) -> Names:
        """The custom properties."""
        return Names(self.custom_property_domain_id, self.custom_property_page_id, self.custom_property_sync_date)

    def require_ready(self) -> None:
        """NotReadyError without a key."""
        if not self.api_key:
            raise NotReadyError(
                "HUBSPOT_API_KEY is not set. Nothing was sent, no contact was touched. Set it to the access token of a "
                "service key (HubSpot shows them under Development > Keys) and start again."
            )

    def headers(self) -> dict[str, str]:
        """The headers that every request carries, with the key."""
        return {"Authorization": f"Bearer {self.api_key}"}

    def call_for(self, contact: Contact) -> Call:
        """One input of a batch of upserts. The address is its id alone: as a property it might replace another one."""
        row = {
            "id": contact.address,
            "idProperty": "email",
            "properties": self.names.values(contact, today()),
            "objectWriteTraceId": str(contact.id),
        }
        return Call("POST", f"{self.path_prefix}/batch/upsert", row)

    def lasting(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Without the day of the sync, which changes by itself, and the trace id, which is not data."""
        properties = {
            name: value for name, value in payload["properties"].items() if name != self.custom_property_sync_date
        }
        return {"id": payload["id"], "properties": properties}

    def prepare(self, contact: Contact, before: Delivered = NEVER) -> Record | Attempt:
        """The first request of an attempt: an upsert, or a look at the contact whose address has changed."""
        prepared = super().prepare(contact, before)
        return prepared if isinstance(prepared, Attempt) else first_request(prepared, self.path_prefix)

    def next_request(self, prepared: Record, outcome: Outcome) -> Record | None:
        """What follows in the same attempt: an update by id, an upsert after all, a row by itself."""
        return next_request(prepared, outcome) if isinstance(prepared, Request) else None

    def body_of_request(self, records: Sequence[Record]) -> bytes | None:
        """All rows as one batch. A read names each id once, and what it wants to know."""
        rows = dict.fromkeys(record.body for record in records)
        inputs = b'"inputs": [' + b", ".join(rows) + b"]"
        step = _step_of(records)
        if step not in READS:
            return b"{" + inputs + b"}"
        wanted = b'"properties": ["email", "hs_additional_emails", "hs_email_optout"], "propertiesWithHistory": []'
        by = b'"idProperty": "email", ' if step is Step.FIND else b""
        return b"{" + by + wanted + b", " + inputs + b"}"

    def reading(self, records: Sequence[Record], answer: Answer) -> Reading:
        """What an answer means for each row; a refusal of all is halved until one contact is to blame."""
        requests = [record for record in records if isinstance(record, Request)]
        if 200 <= answer.status < 300:
            batch = batch_in(answer.data) if answer.status in (200, 207) else None
            if batch is None:
                return read_whole(records, self.read(answer))
            found = read_results(records, outcomes_in(requests, batch, self._read_error(answer)), self.title)
            return in_view_of_all(found)
        if len(requests) == 1:
            return {requests[0].contact.id: self._read_one(requests[0], answer)}
        outcome = self.read(answer)
        return read_whole(records, outcome if any(each.emptied for each in requests) else everybodys(outcome))

    def _read_error(self, answer: Answer) -> Callable[[Request, Mapping[str, Any]], Outcome]:
        """How an error of a batch is read: as the answer that it would have been by itself."""

        def read(request: Request, error: Mapping[str, Any]) -> Outcome:
            return self._read_one(request, Answer(status_of(error), answer.headers, json.dumps(error).encode()))

        return read

    def _read_one(self, request: Request, answer: Answer) -> Outcome:
        """What a refusal of one row means. One that is sent to empty a property may go without that."""
        outcome = (self._own(request, answer) if is_hubspots(answer.data) else None) or self.read(answer)
        outcome = replace(outcome, message=without_data(outcome.message, request.contact))
        return outcome if request.emptied else everybodys(outcome)

    def _own(self, request: Request, answer: Answer) -> Outcome | None:
        """What an answer means for a request of its kind alone; None where it means what it would for any."""
        if answer.status == 404 and answer.data.get("category") == "OBJECT_NOT_FOUND":
            if request.step is Step.FIND:
                return Rejected(EMAIL_IN_USE, "HubSpot says that another contact has its address, and names none")
            return Gone("not_there") if request.step is not Step.UPSERT else None
        if answer.status == 409 and leads_on(request):
            return Taken(EMAIL_IN_USE, self.error_text(answer), existing_id=existing_id(answer.data))
        return None

    def read(self, answer: Answer) -> Outcome:
        """As everywhere, but for the limit of a day: nothing gets through until the account's day is over."""
        if is_over_for_today(answer):
            return DestinationDown("daily_limit", *until_the_day_ends(self.error_text(answer), self.time_zone))
        return super().read(answer)

    def read_success(self, answer: Answer) -> Outcome | None:  # noqa: ARG002 # a batch names its rows, or is none
        """No 2xx means success by itself."""
        return None

    def read_refusal(self, answer: Answer) -> Rejected | DestinationDown | Failed:
        """The contact's data was refused, or a property that it would be written to.

        HubSpot refuses a contact for each property that the account lacks, or that can't be written. That is no
        contact's fault, and other contacts may have no value for it.
        """
        said, body = self.error_text(answer), answer.data
        if not is_hubspots(body):
            return Failed("unexpected_refusal", sentences(said, _NOT_HUBSPOTS))
        codes = codes_of(body)
        if reason := set_up_reason(codes):
            check = "`crm-sync check --crm hubspot` names the properties that contacts are written to"
            make = "with --create-fields it makes those that are missing" if reason == UNKNOWN_PROPERTY else ""
            return DestinationDown(reason, sentences(said, f"{check}; {make}" if make else check))
        if answer.status == 409:
            return Rejected(EMAIL_IN_USE, said)
        reason = reason_of(codes, body.get("category"))
        return Rejected(reason, said, may_be_ours=reason != INVALID_EMAIL)

    def read_setup_fault(self, answer: Answer) -> DestinationDown:
        """A status that no contact is to blame for."""
        reason, *to_do = self._set_up(answer)
        return DestinationDown(reason, sentences(self.error_text(answer), *to_do))

    def _set_up(self, answer: Answer) -> tuple[str, ...]:
        """The reason, and what to do as sentences."""
        check_url = (
            f"Check HUBSPOT_API_BASE_URL and HUBSPOT_PATH_PREFIX; they are {self.base_url} and {self.path_prefix} now"
        )
        data = answer.data
        if answer.status == 401:
            refused = "HubSpot refused HUBSPOT_API_KEY; set the access token of a service key or a private app"
            return ("wrong_api_key", refused, key_hint(self.api_key))
        if answer.status == 403 and isinstance(data, dict) and data.get("category") == "MISSING_SCOPES":
            scopes = ", ".join(scopes_in(data))
            return (MISSING_SCOPES, f"Give the key the scope {scopes}" if scopes else "Give the key more scopes")
        if answer.status in REDIRECTS:
            return (
                f"http_{answer.status}",
                "Contacts are sent to no other address than the one that is set",
                check_url,
            )
        if answer.status == PROXY_WANTS_LOGIN:
            return (
                f"http_{answer.status}",
                "A proxy between this machine and HubSpot wants a user and a password: check HTTPS_PROXY, HTTP_PROXY "
                "and ALL_PROXY (http://USER:PASSWORD@HOST:PORT), or name HubSpot's host in NO_PROXY",
            )
        if answer.status in (404, 405):
            return (f"http_{answer.status}", check_url)
        return (f"http_{answer.status}", "Look at your account at https://app.hubspot.com")

    def vendor_message(self, answer: Answer) -> str:
        """The error's sentences, without the JSON that they are in."""
        data = answer.data
        return printable(words_of(data)) if isinstance(data, dict) else ""

    def pause_after(self, answer: Answer) -> float:
        """Seconds to wait before the next request: after a 429, `Retry-After`, else the window that the headers name.

        HubSpot documents `Retry-After` for a 477 alone. The day's limit opens the breaker, so that nobody waits.
        """
        return pause_after(answer)

    def request_id(self, answer: Answer) -> str | None:
        """HubSpot's correlation id."""
        return answer.headers.get("x-hubspot-correlation-id")

    async def check(
        self, client: httpx.AsyncClient, *, create_fields: bool = False, clock: Callable[[], datetime]
    ) -> Sequence[Line]:
        """Ask HubSpot about key, scopes, time zone and properties: the lines of `crm-sync check`."""
        return await HubspotCheck(self, self.names, self.path_prefix, self.time_zone, client, clock).lines(
            create_fields
        )

    async def missing(self, client: httpx.AsyncClient, remote_ids: Sequence[str]) -> frozenset[str]:
        """Which of these ids HubSpot does not have any more, asked by one batch."""
        inputs = [{"id": each} for each in dict.fromkeys(remote_ids)]
        body = json.dumps({"properties": ["email"], "propertiesWithHistory": [], "inputs": inputs}).encode()
        answer = await self.exchange(client, "POST", f"{self.path_prefix}/batch/read", body)
        batch = batch_in(answer.data) if isinstance(answer, Answer) and answer.status in (200, 207) else None
        return frozenset(remote_ids) - {each.id for each in batch.results} if batch else frozenset(remote_ids)

    def note_of(self, prepared: Record) -> str:
        """What explain shows of a delivered contact, with what HubSpot still holds of it and the row has lost."""
        kept = still_there(prepared) if isinstance(prepared, Request) else ""
        return ". ".join(filter(None, (super().note_of(prepared), kept)))


def today() -> str:
    """The day, in UTC: YYYY-MM-DD."""
    return datetime.now(timezone.utc).date().isoformat()


def _step_of(records: Iterable[Record]) -> Step:
    return next((record.step for record in records if isinstance(record, Request)), Step.UPSERT)
