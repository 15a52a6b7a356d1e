"""What every destination shares: how contacts become requests, and what an answer means for each. No Dagster."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from crm_sync_pipeline.destinations.bulk import BulkImport
from crm_sync_pipeline.destinations.contract import (
    Answer,
    Call,
    Limits,
    Reading,
    Record,
    RequestResult,
    Split,
    body_of,
    payload_hash,
    read_results,
    read_whole,
)
from crm_sync_pipeline.destinations.http import address_of, exchange, number_in, printable
from crm_sync_pipeline.destinations.statuses import (
    BLAMES_CONTACT,
    HOLDS_FOR_EVERYBODY,
    OUR_SETUP,
    REDIRECTS,
    redirect_words,
    status_words,
)
from crm_sync_pipeline.domain.address import address_note, address_problem
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.check import Line
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered, mark_of
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.domain.outcome import UNCHANGED, Deferred, DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.domain.pacing import clamp_pause
from crm_sync_pipeline.domain.sentences import sentences
from crm_sync_pipeline.settings import Settings, SettingsError
from crm_sync_pipeline.settings.base import FromEnvironment
from crm_sync_pipeline.settings.groups import DeliveryOptions
from crm_sync_pipeline.settings.values import plain

MESSAGE_LIMIT = 300

JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json", "Accept": "application/json"}

LOOKED_UP_AT_ONCE = 20
"""How many contacts `missing` is asked for at most."""


def like(group: type[FromEnvironment], name: str) -> Any:
    """The field of a destination that is a setting too: its default, bounds and description are the setting's."""
    return copy(group.model_fields[name])


class HttpDestination(BaseModel, ABC):
    """A CRM behind an HTTP API. A subclass says what to send, and what its answers mean.

    To add one: subclass, name it in DESTINATIONS. docs/adding-a-destination.md walks through it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    title: ClassVar[str]
    secrets: ClassVar[Mapping[str, str]] = {}
    """The fields that nobody may see, with the variable that each comes from."""
    limits: ClassVar[Limits] = Limits()
    access: ClassVar[str] = "Account"
    """What lets us in, in a word, for the line of a check that finds it missing."""

    marks_address: ClassVar[bool] = True
    """Whether a mark of the address that a contact was delivered under is kept: needed where the CRM's column on the
    contacts table holds an id instead."""

    blames_contact: ClassVar[frozenset[int]] = BLAMES_CONTACT
    our_setup: ClassVar[frozenset[int]] = OUR_SETUP
    holds_for_everybody: ClassVar[frozenset[int]] = HOLDS_FOR_EVERYBODY
    """Which statuses refuse a contact's data, which refuse our set-up, and which of these no contact can cause."""

    base_url: str = Field(description="Where the API is.")
    timeout_seconds: float = Field(
        default=30, gt=0, description="For one whole call, from connecting to the last byte."
    )
    requests_per_second: float = like(DeliveryOptions, "requests_per_second")
    concurrency: int = like(DeliveryOptions, "concurrency")
    skip_unchanged: bool = like(DeliveryOptions, "skip_unchanged")
    bulk_threshold: int | None = Field(default=None, ge=1, description="Imports begin at this many contacts.")
    bulk_batch_limit: int = Field(default=50_000, ge=1, description="How many contacts a run takes that imports.")

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Settings) -> "HttpDestination":
        """The destination as the environment sets it."""

    @classmethod
    def alike(cls, group: FromEnvironment) -> dict[str, Any]:
        """The settings of the group that are set and that the destination has a field of the same name for.

        A secret is handed on as its text.
        """
        found = {name: getattr(group, name) for name in type(group).model_fields if name in cls.model_fields}
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in found.items()
            if value is not None
        }

    @model_validator(mode="before")
    @classmethod
    def _secrets_are_plain(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A secret without the quotes and blanks around it: a run is given the variable's raw text."""
        found = {name: plain(values[name]) for name in cls.secrets if isinstance(values.get(name), str)}
        return {**values, **found}

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """What every request carries beside the JSON headers, the key included."""

    @abstractmethod
    def call_for(self, contact: Contact) -> Call:
        """The request that upserts this contact."""

    @abstractmethod
    def read_success(self, answer: Answer) -> Outcome | None:
        """What a 2xx means; None where it is none that the vendor documents: it never passes for success."""

    @abstractmethod
    def read_refusal(self, answer: Answer) -> Rejected | DestinationDown | Failed:
        """What a 400 or 422 means: reason and the vendor's own words; DestinationDown where a setting is to blame.

        `Failed` where the answer is not the vendor's: that of a proxy, a firewall.
        """

    def read_setup_fault(self, answer: Answer) -> DestinationDown:
        """What a 401, 402, 403, 404, 405, 407 or a redirect means, and what a person must do.

        A vendor whose answers tell more says more.
        """
        check = f"Check {' and '.join([*self.secrets.values(), 'the address'])}; requests go to {self.base_url} now"
        return DestinationDown(f"http_{answer.status}", sentences(self.error_text(answer), check))

    @property
    def needs_address(self) -> bool:
        """Whether a contact without an e-mail address is refused before it is sent."""
        return True

    def lasting(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The part of a payload that says whether the contact has changed: without what changes daily by itself."""
        return payload

    def vendor_message(self, answer: Answer) -> str:
        """The vendor's own words in an error body, in one line; "" where there are none."""
        data = answer.data
        message = data.get("message") if isinstance(data, dict) else None
        return printable(message) if isinstance(message, str) else ""

    def require_ready(self) -> None:
        """NotReadyError where a setting is missing without which nothing can be sent: any of `secrets`."""
        if missing := [variable for field, variable in self.secrets.items() if not getattr(self, field)]:
            names, it = " and ".join(missing), "it" if len(missing) == 1 else "them"
            are = "is" if len(missing) == 1 else "are"
            raise NotReadyError(
                f"{names} {are} not set. Nothing was sent, no contact was touched. Set {it} and start again."
            )

    def error_text(self, answer: Answer, instead: str = "") -> str:
        """'{title} API error (400): Invalid email address', without personal data."""
        if answer.status in REDIRECTS:
            said = redirect_words(answer.headers, self.base_url)
        else:
            said = redacted(self.vendor_message(answer))[:MESSAGE_LIMIT] or instead or status_words(answer.status)
        return f"{self.title} API error ({answer.status}): {said}"

    def client(self) -> httpx.AsyncClient:
        """One client for a whole run: it keeps its connections. The time limit of a call is `send`'s, for all of it."""
        from crm_sync_pipeline.destinations.client import client_for  # a tenth of a second, for who sends to spend

        return client_for(self.base_url, {**JSON_HEADERS, **self.headers()}, self.concurrency)

    def prepare(self, contact: Contact, before: Delivered = NEVER) -> "Record | Attempt":
        """The request that an attempt begins with; the attempt that ends it where none can be made.

        `before` is what is known of the destination's copy.
        """
        if not contact.address and self.needs_address:
            return Attempt(contact.id, Rejected("no_email", "Contact has no email address"), contact.fingerprint())
        if contact.address and (problem := address_problem(contact.address)):
            return Attempt(contact.id, Rejected(*problem), contact.fingerprint())
        try:
            call = self.call_for(contact)
            body, lasting = body_of(call.payload), self.lasting(call.payload)
        except Exception as error:  # whatever stands in a row must not hurt the other rows of its batch
            why = f"Its data can't be turned into a request ({type(error).__name__})"
            return Attempt(contact.id, Rejected("unsendable", why), contact.fingerprint())
        its_hash = payload_hash(body if lasting is call.payload else body_of(lasting))
        return Record(contact, call, body, its_hash, before)

    async def send(self, client: httpx.AsyncClient, records: Sequence[Record]) -> RequestResult:
        """One request for these records, of one route. Never raises for what the network or the vendor does."""
        started = time.monotonic()
        method, path = records[0].route
        own_headers, body = self.headers_of_request(records), self.body_of_request(records)
        answer = await self.exchange(client, method, path, body, headers=own_headers)
        milliseconds = round((time.monotonic() - started) * 1000)
        if isinstance(answer, Failed):
            failed = [self._attempt(record, answer, None, milliseconds, len(records)) for record in records]
            return RequestResult(failed, answer, milliseconds=milliseconds)
        reading, pause = self.reading(records, answer), timedelta(seconds=self.pause_after(answer))
        if isinstance(reading, Split):
            return RequestResult([], reading.refused_by, pause, answer.status, milliseconds, is_split=True)
        attempts = [
            self._attempt(record, reading[record.contact.id], answer, milliseconds, len(records)) for record in records
        ]
        return RequestResult(attempts, _overall(reading.values()), pause, answer.status, milliseconds)

    def _attempt(
        self, record: Record, outcome: Outcome, answer: Answer | None, milliseconds: int, request_size: int
    ) -> Attempt:
        fields = None
        mark = {mark_of(record.contact)} if self.marks_address else frozenset()
        if isinstance(outcome, Synced):
            remote_id = outcome.remote_id or record.remote_id
            note = ". ".join(filter(None, (outcome.message, self.note_of(record))))
            outcome = replace(outcome, message=note, remote_id=remote_id)
            fields = record.fields | mark
        elif isinstance(outcome, Failed):  # it may have been obeyed
            fields = record.before.fields | record.before.marks | record.fields | mark
        return Attempt(
            record.contact.id,
            outcome,
            record.contact.fingerprint(),
            payload_hash=record.payload_hash,
            http_status=answer.status if answer else None,
            request_id=self.request_id(answer) if answer else None,
            milliseconds=milliseconds,
            request_size=request_size,
            remote_fields=fields,
        )

    def body_of_request(self, records: Sequence[Record]) -> bytes | None:
        """The JSON of a request that carries these records; None for a request without a body."""
        (record,) = records
        return record.body or None

    def headers_of_request(self, records: Sequence[Record]) -> Mapping[str, str]:  # noqa: ARG002 # for subclasses
        """What a request that carries these records bears beside `headers`, such as their idempotency key."""
        return {}

    def reading(self, records: Sequence[Record], answer: Answer) -> Reading:
        """What an answer means for each record. A success of many is read by `results_in`."""
        if self.limits.contacts_per_request == 1:
            (record,) = records
            return {record.contact.id: self.read_for(record, answer)}
        if 200 <= answer.status < 300:
            return read_results(records, self.results_in(records, answer), self.title)
        return read_whole(records, self.read(answer))

    def results_in(self, records: Sequence[Record], answer: Answer) -> Iterable[tuple[UUID, Outcome]]:  # noqa: ARG002 # for subclasses
        """The results that a 2xx answer to a request with many records names, by the ids of their contacts.

        A result belongs to a contact by what identifies it, never by its place. One that can't be told is left out.
        """
        return ()

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
        """One request and its answer, read to its end; `Failed` where none came in time.

        `headers` are sent beside those of the client, or in place of them.
        """
        limit_seconds = min(self.timeout_seconds, within_seconds or self.timeout_seconds)
        sent_with = {**client.headers, **headers} if headers else client.headers
        request = httpx.Request(method, address_of(self.base_url, path), headers=sent_with, content=body)
        return await exchange(client, request, limit_seconds, self.title)

    def read(self, answer: Answer) -> Outcome:
        """What an answer means for the contact. Anything unexpected is `Failed`, never success."""
        if 200 <= answer.status < 300:
            return self.read_success(answer) or Failed(
                "unexpected_answer", self.error_text(answer, "unexpected answer; it is not taken for success")
            )
        if answer.status in self.blames_contact | self.our_setup:
            is_refusal = answer.status in self.blames_contact
            outcome = self.read_refusal(answer) if is_refusal else self.read_setup_fault(answer)
            if isinstance(outcome, DestinationDown) and answer.status not in self.holds_for_everybody:
                return replace(outcome, answer=self.error_text(answer))
            return outcome
        if answer.status == 429:
            return Deferred("rate_limited", wait=timedelta(seconds=self.pause_after(answer)))
        return Failed(f"http_{answer.status}", self.error_text(answer))

    def read_for(self, prepared: Record, answer: Answer) -> Outcome:  # noqa: ARG002 # for subclasses
        """What an answer to this request means for its contact."""
        return self.read(answer)

    def pause_after(self, answer: Answer) -> float:
        """Seconds to wait before the next request: 0 for none, else 0.1 to 60.

        After a 429 it is `Retry-After`, else the vendor's own header, else 1.
        """
        if answer.status != 429:
            return 0.0
        asked = number_in(answer.headers, "retry-after")
        return clamp_pause(1.0 if asked is None else asked)

    def request_id(self, answer: Answer) -> str | None:
        """The vendor's id of the request, for its support; None where it gives none."""
        return answer.headers.get("x-request-id")

    async def check(
        self,
        client: httpx.AsyncClient,  # noqa: ARG002 # for subclasses, as all three
        *,
        create_fields: bool = False,  # noqa: ARG002
        clock: Callable[[], datetime],  # noqa: ARG002
    ) -> Sequence[Line]:
        """What the destination says of our set-up, before a contact is sent. Never raises for what it answers.

        `clock` tells this machine's time, to be compared with the destination's. With `create_fields` the fields
        that it lacks are made first.
        """
        return ()

    def bulk(self) -> BulkImport | None:
        """How to deliver many contacts by one request; None where the vendor has no such thing."""
        return None

    def note(self, contact: Contact) -> str:
        """What explain shows of a contact that was sent otherwise than it stands in its row; "" for nothing."""
        return ". ".join(filter(None, (address_note(contact.email), self.left_out(contact))))

    def note_of(self, prepared: Record) -> str:
        """What explain shows of a contact that this request delivered; "" for nothing."""
        return ". ".join(filter(None, (prepared.note, self.note(prepared.contact))))

    def next_request(self, prepared: Record, outcome: Outcome) -> Record | None:  # noqa: ARG002 # for subclasses
        """What to send next in the same attempt, after this outcome of a request; None where the attempt is over."""
        return None

    async def missing(self, client: httpx.AsyncClient, remote_ids: Sequence[str]) -> frozenset[str]:  # noqa: ARG002 # for subclasses
        """Which of these contacts the destination does not have any more, asked by one request.

        There are at most LOOKED_UP_AT_ONCE. Where it can't be asked, or its answer says nothing, it is all of them.
        """
        return frozenset(remote_ids)

    def check_contacts(self, contacts: Sequence[Contact]) -> Sequence[Line]:  # noqa: ARG002 # for subclasses
        """What a person should know of these contacts before they are sent: what `left_out` says of many, counted."""
        return ()

    def left_out(self, contact: Contact) -> str:  # noqa: ARG002 # for subclasses
        """What of the contact was not sent although it has a value, and why; "" for nothing. Shown by explain."""
        return ""


class NotReadyError(SettingsError):
    """A destination lacks a setting."""


def _overall(outcomes: Iterable[Outcome]) -> Outcome:
    """What a request says about the destination: the best that came of it, unless our set-up holds up every contact."""
    outcomes = list(outcomes)
    if down := next((each for each in outcomes if isinstance(each, DestinationDown) and not each.answer), None):
        return down
    order = (Synced, Rejected, DestinationDown, Deferred, Failed)
    return min(outcomes, key=lambda outcome: next(n for n, kind in enumerate(order) if isinstance(outcome, kind)))


def unchanged(prepared: Record) -> Attempt:
    """The attempt of a contact that need not be sent: the destination took this payload last."""
    outcome = Synced(reason=UNCHANGED)
    return Attempt(prepared.contact.id, outcome, prepared.contact.fingerprint(), payload_hash=prepared.payload_hash)
