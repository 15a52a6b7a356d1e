"""The requests of an attempt: an upsert, and what a contact needs beyond it where Mautic has a copy of it.

Fields are emptied with `overwriteWithBlank`, for the rows alone that need it. A changed address is changed by the
copy's id, after two looks: that the copy still has the old address, and that nobody has the new one. Mautic would merge
the two, and of the other one it keeps tags and segments, but not that its owner has opted out (ContactMerger, November
2026). That the copy itself may not be contacted stays with it, whatever its address becomes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any
from urllib.parse import urlencode

from crm_sync_pipeline.destinations.contract import Answer, Call, Record, body_of
from crm_sync_pipeline.destinations.mautic.answers import (
    INVALID_VALUE,
    address_of,
    contact_id_of,
    contacts_in,
    is_mautics,
)
from crm_sync_pipeline.destinations.mautic.fields import is_overlooked
from crm_sync_pipeline.domain.outcome import Deferred, Failed, Outcome, Rejected, Synced

UPSERT_PATH = "/api/contacts/batch/new"
MOVE_PATH = "/api/contacts/batch/edit"
MOVED = "moved"

_NOT_FIELDS = frozenset({"id", "email", "tags", "overwriteWithBlank"})


class Step(str, Enum):
    """What a request of an attempt is for."""

    UPSERT = "upsert"
    LOOK_AT_COPY = "look_at_copy"
    LOOK_FOR_ADDRESS = "look_for_address"
    MOVE = "move"
    JOIN = "join"


@dataclass(frozen=True, slots=True)
class Has(Deferred):
    """Mautic has a contact, with this address."""

    address: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Gone(Deferred):
    """Mautic has no contact of that id, or of that address."""


@dataclass(frozen=True, slots=True)
class Request(Record):
    """One request of an attempt. `row` is that of a contact which Mautic has no copy of; `emptied` are sent blank.

    `result` is what became of the contact before it joined its segment.
    """

    row: Mapping[str, Any] = field(kw_only=True, repr=False)
    step: Step = Step.UPSERT
    emptied: frozenset[str] = frozenset()
    result: Synced | None = None

    @property
    def is_plain(self) -> bool:
        """Whether one upsert is all that the contact needs: nothing to empty, and no changed address."""
        return self.step is Step.UPSERT and not self.emptied


def first_request(prepared: Record) -> Request:
    """The request that an attempt begins with."""
    before = prepared.before
    request = Request(
        prepared.contact, prepared.call, prepared.body, prepared.payload_hash, before, row=prepared.call.payload
    )
    if not before.differs_from(prepared.contact):
        return _upsert_of_copy(request)
    if before.is_shared:
        return _upsert_of_new(
            request, "Its contact at Mautic was not moved from the old address, because another row has it as well"
        )
    if not _is_id(before.remote_id):
        return _upsert_of_new(request, "Its address has changed, and Mautic keeps the contact of the old one as well")
    return replace(request, step=Step.LOOK_AT_COPY, call=Call("GET", f"/api/contacts/{before.remote_id}", {}), body=b"")


def next_request(request: Request, outcome: Outcome, segment_id: int | None) -> Request | None:
    """What to send in the same attempt after this outcome; None where the attempt is over."""
    if request.step is Step.LOOK_AT_COPY:
        return _after_copy(request, outcome)
    if request.step is Step.LOOK_FOR_ADDRESS:
        if isinstance(outcome, Gone):
            return _move(request)
        note = f"Mautic had a contact of the new address already, and keeps that of the old one ({_copy(request)})"
        return _upsert_of_new(request, note) if isinstance(outcome, Has) else None
    if request.step is Step.MOVE and isinstance(outcome, Gone):
        return _upsert_of_new(request)
    if isinstance(outcome, Synced) and request.step is not Step.JOIN and segment_id and outcome.remote_id:
        call = Call("POST", f"/api/segments/{segment_id}/contacts/add", {})
        done = replace(outcome, message="")  # the note comes to it once more
        return replace(request, step=Step.JOIN, call=call, body=b"", result=done, remote_id=outcome.remote_id)
    if isinstance(outcome, Rejected) and outcome.reason == INVALID_VALUE and request.emptied:  # required ones, perhaps
        return _built(replace(request, emptied=frozenset()))
    return None


def body_of_requests(records: Sequence[Request]) -> bytes | None:
    """The JSON of a request that carries these records: rows, ids, or none at all."""
    if records[0].step is Step.JOIN:
        return body_of({"ids": sorted({int(record.remote_id or 0) for record in records})})
    if not records[0].body:
        return None
    return b"[" + b",".join(record.body for record in records) + b"]"


def read_look(request: Request, answer: Answer, title: str) -> Outcome | None:
    """What the answer to a look means; None where it is none of those that a look has of its own."""
    data = answer.data
    if request.step is Step.LOOK_AT_COPY and answer.status == 404 and is_mautics(data):
        return Gone("not_there")
    if answer.status != 200:
        return None
    unclear = Failed("unexpected_answer", f"{title}'s answer tells nothing about the contact; nothing was sent")
    if request.step is Step.LOOK_AT_COPY:
        contact = data.get("contact") if isinstance(data, dict) else None
        return Has("found", address=address_of(contact)) if str(contact_id_of(contact)) == _copy(request) else unclear
    contacts = contacts_in(data)
    if contacts is None:
        return unclear
    return Has("found", address=request.contact.address) if contacts else Gone("not_there")


def still_there(request: Request) -> str:
    """What Mautic goes on holding although the row has no value for it; "" for nothing."""
    kept = request.fields - _sent(request.row) - request.emptied
    return f"Mautic still holds {', '.join(sorted(kept))}, which this row has no value for any more" if kept else ""


def _after_copy(request: Request, outcome: Outcome) -> Request | None:
    if isinstance(outcome, Gone):
        return _upsert_of_new(request)
    if not isinstance(outcome, Has):
        return None
    if outcome.address == request.contact.address:  # it was moved before, and nobody saw the answer
        return _upsert_of_copy(request)
    if not request.before.was_sent_to(request.contact, outcome.address):
        note = f"Its contact at Mautic ({_copy(request)}) has another address meanwhile, and was left as it is"
        return _upsert_of_new(request, note)
    query = {"where[0][col]": "email", "where[0][expr]": "eq", "where[0][val]": request.contact.address, "limit": "5"}
    call = Call("GET", f"/api/contacts?{urlencode(query)}", {})
    return replace(request, step=Step.LOOK_FOR_ADDRESS, call=call, body=b"")


def _upsert_of_copy(request: Request) -> Request:
    return _built(replace(request, step=Step.UPSERT, emptied=_to_empty(request)))


def _to_empty(request: Request) -> frozenset[str]:
    return request.before.fields - _sent(request.row)


def _upsert_of_new(request: Request, note: str = "") -> Request:
    """Of an address that Mautic has no copy of ours under, so that there is nothing to empty."""
    plain = replace(request, step=Step.UPSERT, emptied=frozenset(), remote_id=None, note=note)
    return _built(replace(plain, before=replace(request.before, fields=frozenset())))


def _move(request: Request) -> Request:
    note = "Its contact at Mautic was moved from the old address"
    return _built(replace(request, step=Step.MOVE, emptied=_to_empty(request), note=note, remote_id=_copy(request)))


def _built(request: Request) -> Request:
    """The request with call, body and fields as the rest of it says. The hash stays that of the row alone."""
    row = {**request.row, **dict.fromkeys(request.emptied, "")}
    if request.emptied:
        row["overwriteWithBlank"] = True
    call = Call("POST", UPSERT_PATH, row)
    if request.step is Step.MOVE:
        call = Call("PATCH", MOVE_PATH, {**row, "id": int(_copy(request))})
    sent = _sent(request.row)
    kept = _to_empty(request) - request.emptied
    return replace(request, call=call, body=body_of(call.payload), fields=sent | kept)


def _sent(row: Mapping[str, Any]) -> frozenset[str]:
    """The fields of which Mautic holds our value once it has taken the row: those whose value it overlooks are not."""
    return frozenset(name for name, value in row.items() if name not in _NOT_FIELDS and not is_overlooked(value))


def _copy(request: Request) -> str:
    return request.before.remote_id or ""


def _is_id(remote_id: str | None) -> bool:
    return remote_id is not None and remote_id.isascii() and remote_id.isdecimal()
