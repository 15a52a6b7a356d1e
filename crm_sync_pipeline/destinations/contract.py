"""What delivery and a destination say to each other: limits, records, and what an answer means for each record.

A request carries one to N contacts. What a contact is sent as is its record; what becomes of it is read from the answer
for each record by itself, and a record that the answer says nothing of has not been delivered.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request of a vendor may carry: this many contacts, at least 1, and this many bytes, if anybody says."""

    contacts_per_request: int = 1
    body_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end. The names of `headers` are lower-case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def data(self) -> Any:
        """The body as JSON, or None."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):  # not JSON, or brackets within brackets without end
            return None


@dataclass(frozen=True, slots=True)
class Call:
    """Where a record goes, and as what: path below the base URL, JSON data."""

    method: str
    path: str
    payload: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """One contact's part of a request.

    `body` is its data as JSON, b"" where it is asked for without any. `before` is what was known of the destination's
    copy. Once the request is obeyed, `fields` hold a value of ours there, and `remote_id`, where it is known, is the
    copy's id. `note` says what differs from what the row asks for. `payload_hash` is of this contact's data alone, so
    that it does not change with its neighbours. One that is `alone` shares its request with no other.
    """

    contact: Contact
    call: Call
    body: bytes = field(repr=False)
    payload_hash: str
    before: Delivered = NEVER
    fields: frozenset[str] = frozenset()
    remote_id: str | None = None
    note: str = ""
    alone: bool = False

    @property
    def idempotency_key(self) -> str:
        """One for all attempts to deliver this data for one selection of the contact, and for nothing else."""
        return str(uuid5(self.contact.id, f"{self.contact.selection} {self.payload_hash}"))

    @property
    def route(self) -> tuple[str, str]:
        """Method and path. Records that share them may share a request."""
        return self.call.method, self.call.path

    @property
    def is_plain(self) -> bool:
        """Whether an upsert, on its own or in an import, is all that the contact needs."""
        return True

    @property
    def is_unchanged(self) -> bool:
        """Whether the destination took the same last, and it need not be sent again."""
        return self.is_plain and self.payload_hash == self.before.payload_hash


@dataclass(frozen=True, slots=True)
class Split:
    """A request with many records was refused as a whole, by this outcome: its halves will tell whose fault it is."""

    refused_by: Outcome


Reading = Mapping[UUID, Outcome] | Split
"""What an answer means: an outcome for each record, by its contact's id, or that the request must be halved."""


def read_results(
    records: Sequence[Record], results: Iterable[tuple[UUID, Outcome]], title: str
) -> Mapping[UUID, Outcome]:
    """The results that an answer names, for exactly these records.

    Nobody is Synced by silence: what is not named is Failed as `unanswered`. What is named twice with different results
    is Failed as well, and what was not sent is overlooked.
    """
    unanswered = Failed("unanswered", f"{title}'s answer does not say what became of this contact")
    found: dict[UUID, Outcome] = {record.contact.id: unanswered for record in records}
    for contact_id, outcome in results:
        before = found.get(contact_id)
        if before is unanswered:
            found[contact_id] = outcome
        elif before is not None and before != outcome:
            found[contact_id] = Failed("unexpected_answer", f"{title}'s answer says two things about this contact")
    return found


def read_whole(records: Sequence[Record], outcome: Outcome) -> Reading:
    """One outcome for a request as a whole. Where it may be a single contact's fault, that is to be found out first."""
    may_be_one = isinstance(outcome, Rejected) or (isinstance(outcome, DestinationDown) and bool(outcome.answer))
    if may_be_one and len(records) > 1:
        return Split(outcome)
    return {record.contact.id: outcome for record in records}


@dataclass(frozen=True, slots=True)
class RequestResult:
    """What one request came to: an attempt for each record, and one `outcome` for the request as a whole.

    `outcome` is what the breaker counts: a Failed among successes is not the destination's. `pause` is how long the
    destination asks everybody to wait. `is_split`: the request was refused as a whole, and its halves must be sent.
    """

    attempts: Sequence[Attempt]
    outcome: Outcome
    pause: timedelta = timedelta(0)
    status: int | None = None
    milliseconds: int = 0
    is_split: bool = False

    @property
    def was_pushed_back(self) -> bool:
        """Whether the destination wants fewer requests: a 429, or no answer in time."""
        return self.status == 429 or self.outcome.reason == "timeout"

    @property
    def is_rate_limited(self) -> bool:
        """Whether the same request is to be sent again, which costs its contacts nothing."""
        return self.status == 429


def body_of(payload: Mapping[str, Any]) -> bytes:
    """The JSON as it is sent, in an order that does not hang on how it was put together."""
    return json.dumps(payload, sort_keys=True).encode()


def payload_hash(body: bytes) -> str:
    """32 hex digits that change when the JSON sent changes."""
    return hashlib.sha256(body).hexdigest()[:32]
