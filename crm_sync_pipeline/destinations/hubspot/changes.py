"""What a contact needs beyond an upsert: fields to empty, an address that has changed, or is somebody else's as well.

An attempt is then more than one request. HubSpot's id identifies the contact that we have there; the address that it
was delivered under last is known by a mark alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from crm_sync_pipeline.destinations.contract import Call, Record, body_of
from crm_sync_pipeline.destinations.hubspot.answers import OPTED_OUT, READ_ONLY_PROPERTY, UNKNOWN_PROPERTY, Result
from crm_sync_pipeline.domain.outcome import Deferred, Failed, Outcome, Rejected
from crm_sync_pipeline.domain.sentences import sentences


class Step(str, Enum):
    """What a request of an attempt is for."""

    UPSERT = "upsert"
    LOOK = "look"
    FIND = "find"
    UPDATE = "update"
    MOVE = "move"


READS = frozenset({Step.LOOK, Step.FIND})
BY_ID = frozenset({Step.LOOK, Step.UPDATE, Step.MOVE})

_PATHS: Mapping[Step, str] = {
    Step.UPSERT: "/batch/upsert",
    Step.LOOK: "/batch/read",
    Step.FIND: "/batch/read",
    Step.UPDATE: "/batch/update",
    Step.MOVE: "/batch/update",
}


@dataclass(frozen=True, slots=True)
class Found(Deferred):
    """HubSpot has the contact that was asked for, with this id; `is_ours`: it has the row's address already."""

    remote_id: str = ""
    is_ours: bool = False
    address: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Gone(Deferred):
    """HubSpot has no contact of that id."""


@dataclass(frozen=True, slots=True)
class Unmatched(Deferred):
    """The answer names somebody who can't be told from others of the request; alone, it is told."""


@dataclass(frozen=True, slots=True)
class Taken(Rejected):
    """Another contact has the address, perhaps as a secondary one; its id, where HubSpot tells it."""

    existing_id: str = ""


@dataclass(frozen=True, slots=True)
class Request(Record):
    """One request of an attempt.

    `upsert` is that of a contact which HubSpot has no copy of, `prefix` the path before that of a batch. `emptied` are
    properties that are sent empty. `was_taken`: HubSpot has said once that another contact has the address.
    """

    upsert: Call = field(kw_only=True)
    prefix: str = field(kw_only=True)
    step: Step = Step.UPSERT
    emptied: frozenset[str] = frozenset()
    was_taken: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether one upsert is all that the contact needs."""
        return self.step is Step.UPSERT and not self.emptied


def first_request(prepared: Record, prefix: str) -> Request:
    """The request that an attempt begins with: an upsert, or a look at a contact whose address may have changed.

    Where a call was lost on the way, two addresses may be the one that it was delivered under.
    """
    before = prepared.before
    request = Request(
        prepared.contact,
        prepared.call,
        prepared.body,
        prepared.payload_hash,
        before,
        upsert=prepared.call,
        prefix=prefix,
    )
    if not (before.remote_id and before.differs_from(prepared.contact)):
        return _of_copy(request, Step.UPSERT)
    if before.is_shared:
        return _upsert_of_new(request, "Its contact at HubSpot was left as it is: another row has it as well")
    return _built(replace(request, step=Step.LOOK, remote_id=before.remote_id))


def next_request(request: Request, outcome: Outcome) -> Request | None:
    """What to send in the same attempt after this outcome; None where the attempt is over."""
    if isinstance(outcome, Unmatched):
        return None if request.alone else replace(request, alone=True)
    if isinstance(outcome, Found):
        return _after_found(request, outcome)
    if isinstance(outcome, Gone):
        return _upsert_of_new(request)
    if isinstance(outcome, Taken):
        return _after_taken(request, outcome)
    refused = isinstance(outcome, Rejected) or outcome.reason in (UNKNOWN_PROPERTY, READ_ONLY_PROPERTY)
    if refused and request.emptied and request.step not in READS:
        return _built(replace(request, emptied=frozenset()))
    return None


def read_found(request: Request, result: Result) -> Outcome:
    """What a look at a contact says. One that has the row's address already keeps its opt-out, whatever it is sent."""
    if not {"email", "hs_email_optout"} <= result.properties.keys():
        return Failed("unexpected_answer", "HubSpot's answer tells nothing about the contact; nothing was sent")
    address = request.contact.address
    others = str(result.properties.get("hs_additional_emails") or "").lower().split(";")
    is_ours = address in (result.address, *map(str.strip, others))
    if not is_ours and str(result.properties["hs_email_optout"]).lower() == "true":
        return Rejected(
            OPTED_OUT,
            sentences(
                f"Its e-mail address has changed, and its contact at HubSpot ({result.id}) has opted out of e-mail",
                "Nothing was sent: a new address would lift that",
                "If the row is the same person, unselect it, or end the opt-out at HubSpot once they want e-mail again",
                "If it is somebody else now, `crm-sync forget` the contact, then select it",
            ),
        )
    return Found("found", remote_id=result.id, is_ours=is_ours, address=result.address)


def _after_found(request: Request, found: Found) -> Request:
    known = replace(request, remote_id=found.remote_id, alone=False)
    if found.is_ours:
        note = known.note or (_secondary(found.remote_id) if request.step is Step.FIND else "")
        return _of_copy(replace(known, note=note), Step.UPDATE)
    if request.before.was_sent_to(request.contact, found.address):
        note = "Its contact at HubSpot was moved from the old address"
        return _of_copy(replace(known, note=note), Step.MOVE)
    note = f"Its former contact at HubSpot ({found.remote_id}) has another address now, and was left as it is"
    return _upsert_of_new(request, note)


def leads_on(request: Request) -> bool:
    """Whether another request follows where HubSpot says that somebody else has the address; else that is the end."""
    return request.step is Step.MOVE or (request.step is Step.UPSERT and not request.was_taken)


def _after_taken(request: Request, taken: Taken) -> Request:
    if request.step is Step.MOVE:
        note = f"HubSpot had a contact of the new address already, and keeps that of the old one ({request.remote_id})"
        return _upsert_of_new(request, note)
    known = replace(request, was_taken=True, alone=False, note=request.note or _secondary(taken.existing_id))
    if taken.existing_id:
        return _of_copy(replace(known, remote_id=taken.existing_id), Step.UPDATE)
    return _built(replace(known, step=Step.FIND, alone=True))


def _secondary(contact_id: str) -> str:
    return f"HubSpot has its address as a secondary one of contact {contact_id}" if contact_id else ""


def note_on(result: Result, address: str) -> str:
    """What to say of a contact that HubSpot answered for with another address; "" where it is the same."""
    return "" if result.address in ("", address) else _secondary(result.id)


def _of_copy(request: Request, step: Step) -> Request:
    sent = request.upsert.payload["properties"].keys()
    emptied = request.before.fields - sent
    return _built(replace(request, step=step, emptied=emptied))


def _upsert_of_new(request: Request, note: str = "") -> Request:
    """Of an address that HubSpot has no copy of ours under, so that there is nothing to empty."""
    plain = replace(request, step=Step.UPSERT, emptied=frozenset(), remote_id=None, note=note, alone=False)
    return _built(replace(plain, before=replace(request.before, fields=frozenset(), remote_id=None)))


def _built(request: Request) -> Request:
    """The request with call, body and fields as the rest of it says. What the contact is sent as stays its hash."""
    upsert, step = request.upsert.payload, request.step
    sent = upsert["properties"]
    properties: dict[str, str] = {**sent, **dict.fromkeys(sorted(request.emptied), "")}
    payload: dict[str, Any] = {**upsert, "properties": properties}
    if step in READS:
        payload = {"id": request.remote_id if step is Step.LOOK else request.contact.address}
    elif step in BY_ID:
        by_id = {name: value for name, value in upsert.items() if name != "idProperty"}
        if step is Step.MOVE:
            properties = {**properties, "email": request.contact.address}
        payload = {**by_id, "id": request.remote_id, "properties": properties}
    kept = request.before.fields - sent.keys() - request.emptied
    return replace(
        request,
        call=Call("POST", request.prefix + _PATHS[step], payload),
        body=body_of(payload),
        fields=request.before.fields if step in READS else frozenset(sent) | kept,
    )


def still_there(request: Request) -> str:
    """What HubSpot goes on holding although the row has no value for it; "" for nothing."""
    kept = request.fields - request.upsert.payload["properties"].keys()
    return f"HubSpot still holds {', '.join(sorted(kept))}, which this row has no value for any more" if kept else ""
