"""Mautic: POST /api/contacts/batch/new, which creates contacts or merges them by their e-mail address.

https://developer.mautic.org/#batch-create-contact
"""

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

import httpx
from pydantic import Field

from crm_sync_pipeline.destinations.contract import Answer, Call, Limits, Reading, Record, read_results, read_whole
from crm_sync_pipeline.destinations.destination import HttpDestination, NotReadyError, like
from crm_sync_pipeline.destinations.http import TIMED_OUT, printable
from crm_sync_pipeline.destinations.mautic import rate_limit, setup_faults
from crm_sync_pipeline.destinations.mautic.answers import (
    batch_limit_in,
    by_index,
    contact_id_of,
    first_error,
    is_mautics,
    refusal_of,
)
from crm_sync_pipeline.destinations.mautic.changes import (
    UPSERT_PATH,
    Request,
    Step,
    body_of_requests,
    first_request,
    next_request,
    read_look,
    still_there,
)
from crm_sync_pipeline.destinations.mautic.fields import LONGEST_TEXT, OPTIONAL
from crm_sync_pipeline.destinations.mautic.readiness import MauticCheck
from crm_sync_pipeline.destinations.mautic.results import results_of_joining, results_of_rows
from crm_sync_pipeline.destinations.mautic.rows import is_ambiguous, row_of, too_long
from crm_sync_pipeline.destinations.mautic.settings import MauticSettings, tags_in
from crm_sync_pipeline.destinations.mautic.tokens import Sent, TokenRefused, Tokens
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.check import Line
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected
from crm_sync_pipeline.domain.sentences import sentences
from crm_sync_pipeline.settings import Settings
from crm_sync_pipeline.settings.values import plain

_NOT_MAUTICS = (
    "This answer does not have the form of Mautic's refusals, so no contact is blamed. Look for a proxy or a firewall "
    "between this machine and Mautic"
)


class Mautic(HttpDestination):
    """Mautic's REST API, below /api.

    Never PUT, which blanks what it is not sent. No consent field is ever sent: whoever may not be contacted in Mautic
    stays so, whatever is upserted.
    """

    name: ClassVar[str] = "mautic"
    title: ClassVar[str] = "Mautic"
    access: ClassVar[str] = "Login"
    secrets: ClassVar[Mapping[str, str]] = {
        "client_secret": "MAUTIC_CLIENT_SECRET",
        "username": "MAUTIC_USERNAME",
        "password": "MAUTIC_PASSWORD",
    }

    base_url: str = Field(default="", description="Where your Mautic is.")
    client_id: str = Field(default="", description="OAuth2 client id.")
    client_secret: str = Field(default="", repr=False, description="OAuth2 client secret.")
    username: str = Field(default="", repr=False, description="A user for basic auth.")
    password: str = Field(default="", repr=False, description="The password for basic auth.")
    batch_size: int = like(MauticSettings, "batch_size")
    timeout_seconds: float = like(MauticSettings, "timeout_seconds")
    tags: str | None = like(MauticSettings, "tags")
    segment_id: int | None = like(MauticSettings, "segment_id")
    field_domain_id: str = like(MauticSettings, "field_domain_id")
    field_page_id: str = like(MauticSettings, "field_page_id")
    field_email_type: str = like(MauticSettings, "field_email_type")
    field_source_url: str = like(MauticSettings, "field_source_url")
    field_has_gmail: str = like(MauticSettings, "field_has_gmail")

    @classmethod
    def from_settings(cls, settings: Settings) -> "Mautic":
        """Mautic as the environment sets it."""
        return cls(**cls.alike(settings.of(MauticSettings)))

    @property
    def limits(self) -> Limits:  # type: ignore[override] # a setting, where other vendors have a constant
        """As many contacts in a request as the setting says."""
        return Limits(contacts_per_request=self.batch_size)

    @property
    def uses_basic(self) -> bool:
        """Whether a user and a password let us in, not an OAuth2 client."""
        return bool(self.username)

    def require_ready(self) -> None:
        """NotReadyError where it is not said where Mautic is, or who we are."""
        needed = ("base_url", "username", "password") if self.uses_basic else ("base_url", "client_id", "client_secret")
        if missing := [f"MAUTIC_{name.upper()}" for name in needed if not getattr(self, name)]:
            raise NotReadyError(
                f"{missing[0]} is not set. Nothing was sent, no contact was touched. Set MAUTIC_BASE_URL, and either "
                "MAUTIC_CLIENT_ID and MAUTIC_CLIENT_SECRET (in Mautic: Settings > API Credentials) or MAUTIC_USERNAME "
                "and MAUTIC_PASSWORD, and start again."
            )

    def headers(self) -> dict[str, str]:
        """The headers that every request carries; a token comes to them when the request is sent."""
        if not self.uses_basic:
            return {}
        login = f"{self.username}:{self.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(login).decode()}"}

    @property
    def aliases(self) -> dict[str, str]:
        """The aliases of the fields that settings name, by their columns."""
        return {column: str(getattr(self, f"field_{column}")) for column in OPTIONAL}

    def call_for(self, contact: Contact) -> Call:
        """A row of a batch: address, fields that have a value, and the tags that are set. A boolean is 0 or 1."""
        return Call("POST", UPSERT_PATH, row_of(contact, self.aliases, tags_in(self.tags)))

    def lasting(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The row, and the segment, which is joined by a request of its own."""
        return {**payload, "segment": self.segment_id} if self.segment_id else payload

    def prepare(self, contact: Contact, before: Delivered = NEVER) -> Record | Attempt:
        """The first request of an attempt. Where the address has changed, it looks at the contact that Mautic has."""
        prepared = super().prepare(contact, before)
        if isinstance(prepared, Attempt):
            return prepared
        if is_ambiguous(contact.address):
            why = (
                "Its e-mail address holds characters that Mautic leaves out when it looks for a contact, so that it "
                "would update another one. Nothing was sent"
            )
            return Attempt(contact.id, Rejected("ambiguous_address", why), contact.fingerprint())
        return first_request(prepared)

    def next_request(self, prepared: Record, outcome: Outcome) -> Record | None:
        """What follows in the same attempt: the change of an address, and the segment that the contact joins."""
        return next_request(prepared, outcome, self.segment_id) if isinstance(prepared, Request) else None

    def body_of_request(self, records: Sequence[Record]) -> bytes | None:
        """The rows of all records; the ids of those that join the segment."""
        return body_of_requests([record for record in records if isinstance(record, Request)])

    async def exchange(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        within_seconds: float | None = None,
    ) -> Answer | Failed:
        """One request and its answer, all within the time limit; with a new token where the kept one is refused."""
        if not self.client_id:
            return await super().exchange(client, method, path, body, headers=headers, within_seconds=within_seconds)
        ends_at = time.monotonic() + min(self.timeout_seconds, within_seconds or self.timeout_seconds)
        tokens = Tokens(self.base_url, plain(self.client_id), self.client_secret)
        return await tokens.call(
            client, partial(self._within, ends_at, client), Sent(method, path, body, headers or {})
        )

    async def _within(self, ends_at: float, client: httpx.AsyncClient, sent: Sent) -> Answer | Failed:
        left_seconds = round(ends_at - time.monotonic(), 2)
        if left_seconds <= 0:
            return Failed(TIMED_OUT, f"{self.title} did not answer within {self.timeout_seconds:g} seconds")
        return await super().exchange(
            client, sent.method, sent.path, sent.body, headers=sent.headers, within_seconds=left_seconds
        )

    def reading(self, records: Sequence[Record], answer: Answer) -> Reading:
        """What an answer means for each record, by what the request was for."""
        requests = [record for record in records if isinstance(record, Request)]
        step = requests[0].step
        if isinstance(answer, TokenRefused):
            return read_whole(records, self.read(answer))
        if step in (Step.LOOK_AT_COPY, Step.LOOK_FOR_ADDRESS):
            return {each.contact.id: read_look(each, answer, self.title) or self.read(answer) for each in requests}
        if step is Step.JOIN:
            return self._read_joining(requests, answer)
        results = results_of_rows(requests, answer)
        if results is None:
            return read_whole(records, self.read(answer))
        return read_results(records, results, self.title)

    def _read_joining(self, requests: Sequence[Request], answer: Answer) -> Reading:
        """Who is in the segment now. One that is not there, or that we may not use, is not a contact's fault."""
        for_everybody = self._read_for_everybody(answer)
        if answer.status in (403, 404) and is_mautics(answer.data) and not for_everybody:
            outcome = setup_faults.of_segment(answer.status, self.error_text(answer), self.segment_id)
            return read_whole(requests, outcome)
        results = results_of_joining(requests, answer)
        if results is None:
            return read_whole(requests, self.read(answer))
        return read_results(requests, results, self.title)

    def read(self, answer: Answer) -> Outcome:
        """What an answer means for each contact of its request."""
        return self._read_for_everybody(answer) or super().read(answer)

    def _read_for_everybody(self, answer: Answer) -> Outcome | None:
        """What no contact can have caused, whatever its status; None where it is none of that."""
        said = self.error_text(answer)
        if isinstance(answer, TokenRefused):
            return setup_faults.of_token(answer, said, self.base_url)
        if most := batch_limit_in(self.vendor_message(answer)):
            to_do = f"Set MAUTIC_BATCH_SIZE to {most} or less; it is {self.batch_size} now"
            return DestinationDown("batch_too_large", sentences(said, to_do))
        if answer.status == 429:
            return rate_limit.used_up(answer, said)
        return setup_faults.of_switches(answer, said, uses_basic=self.uses_basic)

    def read_success(self, answer: Answer) -> Outcome | None:  # noqa: ARG002 # as it is declared
        """No 2xx is a success as a whole: rows are read one by one."""
        return None

    def read_refusal(self, answer: Answer) -> Rejected | DestinationDown | Failed:
        """A request that was refused as a whole, by Mautic or by what stands before it."""
        said = self.error_text(answer)
        if not is_mautics(answer.data):
            return Failed("unexpected_refusal", sentences(said, _NOT_MAUTICS))
        reason, _, may_be_ours = refusal_of(first_error(answer.data))
        return Rejected(reason, said, may_be_ours)

    def read_setup_fault(self, answer: Answer) -> DestinationDown:
        """A status that no contact is to blame for: login, rights, address."""
        said = self.error_text(answer)
        return setup_faults.of_status(answer, said, self.base_url, uses_basic=self.uses_basic)

    def vendor_message(self, answer: Answer) -> str:
        """The message of the first error, in one line; "" where there is none."""
        data = answer.data
        message = first_error(data).get("message") or (data.get("error_description") if isinstance(data, dict) else "")
        return printable(message) if isinstance(message, str) else ""

    def pause_after(self, answer: Answer) -> float:
        """Seconds to wait after a 429: `Retry-After`, else until the moment that X-RateLimit-Reset names, else 1."""
        return rate_limit.pause_after(answer) if answer.status == 429 else 0.0

    def request_id(self, answer: Answer) -> str | None:  # noqa: ARG002 # as it is declared
        """None: Mautic names no requests."""
        return None

    async def check(
        self, client: httpx.AsyncClient, *, create_fields: bool = False, clock: Callable[[], datetime]
    ) -> Sequence[Line]:
        """Ask Mautic about login, rights, segment and fields: the lines of `crm-sync check`."""
        return await MauticCheck(self, self.segment_id, self.aliases, client, clock).lines(create_fields)

    async def missing(self, client: httpx.AsyncClient, remote_ids: Sequence[str]) -> frozenset[str]:
        """Which of these ids Mautic does not have any more, asked by one list."""
        ids = [each for each in remote_ids if each.isascii() and each.isdecimal()]
        query = f"where[0][col]=id&where[0][expr]=in&where[0][val]={','.join(ids)}&limit={len(ids)}&minimal=1"
        answer = await self.exchange(client, "GET", f"/api/contacts?{query}")
        data = answer.data if isinstance(answer, Answer) and answer.status == 200 else None
        rows = by_index(data.get("contacts")) if isinstance(data, dict) else None
        return frozenset(remote_ids) - {str(contact_id_of(contact)) for contact in (rows or {}).values()}

    def note_of(self, prepared: Record) -> str:
        """What explain shows of a delivered contact, with what Mautic still holds of it and the row has lost."""
        kept = still_there(prepared) if isinstance(prepared, Request) else ""
        return ". ".join(filter(None, (super().note_of(prepared), kept)))

    def left_out(self, contact: Contact) -> str:
        """Values that are longer than a text field of Mautic's."""
        names = too_long(contact, self.aliases)
        if not names:
            return ""
        what = "which is" if len(names) == 1 else "which are"
        return (
            f"Sent without {' and '.join(names)}, {what} longer than the {LONGEST_TEXT} characters of a text in Mautic"
        )
