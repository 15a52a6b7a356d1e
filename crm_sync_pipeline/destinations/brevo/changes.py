"""What a contact needs beyond an upsert where Brevo has a copy of it: fields to empty, an address to change.

An attempt is then more than one request. Each is derived from the upsert that the contact would be sent by if Brevo
knew nothing of it.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any
from urllib.parse import quote

from crm_sync_pipeline.destinations.brevo.answers import EMAIL_IN_USE, SMS_IN_USE, is_brevos
from crm_sync_pipeline.destinations.contract import Answer, Call, Record, body_of, payload_hash
from crm_sync_pipeline.domain.outcome import WITHOUT_ITS_NUMBER, Deferred, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.domain.sentences import sentences

NOT_EMPTIED = frozenset({"HAS_GMAIL"})
"""What can't be emptied: Brevo ignores a value of the wrong type without a word, and "" is not a boolean."""

MOVED = "moved"
OPTED_OUT = "opted_out_at_old_address"


class Step(str, Enum):
    """What a request of an attempt is for."""

    UPSERT = "upsert"
    LOOK = "look"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Found(Deferred):
    """Brevo has the contact that was asked for, with this id and address, and it may be sent to that address."""

    remote_id: str = ""
    address: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Gone(Deferred):
    """Brevo has no contact of that id or address."""


@dataclass(frozen=True, slots=True)
class Request(Record):
    """One request of an attempt. `upsert` is that of a contact which Brevo has no copy of.

    `left_out` are attributes that are not sent although they have a value, `emptied` those that are sent empty.
    `identifiers` are what to look for, the next one first.
    """

    upsert: Call = field(kw_only=True)
    step: Step = Step.UPSERT
    left_out: frozenset[str] = frozenset()
    emptied: frozenset[str] = frozenset()
    identifiers: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether one upsert is all that the contact needs: nothing to empty, and no changed address."""
        return not self.emptied and not self.before.differs_from(self.contact)


def first_request(prepared: Record, *, moves: bool) -> Request:
    """The request that an attempt begins with."""
    before = prepared.before
    request = Request(
        prepared.contact, prepared.call, prepared.body, prepared.payload_hash, before, upsert=prepared.call
    )
    if not before.differs_from(prepared.contact):
        return _upsert_of_copy(request)
    if before.is_shared:
        return _upsert_of_new(request, "Its contact at Brevo was not moved from the old address, which another row has")
    if not moves:
        note = f"Its address has changed, and Brevo keeps the contact of the old one{_id(before.remote_id)} as well"
        return _upsert_of_new(request, note)
    return _look(replace(request, identifiers=tuple(filter(None, (before.remote_id, before.address)))))


def next_request(request: Request, outcome: Outcome, *, omits_sms_in_use: bool) -> Request | None:
    """What to send in the same attempt after this outcome; None where the attempt is over."""
    if isinstance(outcome, Found):
        known = replace(request, remote_id=outcome.remote_id)
        if outcome.address == request.contact.address:
            return _upsert_of_copy(known)
        if outcome.address == request.before.address:
            return _move(known)
    if request.step is Step.LOOK:
        if not isinstance(outcome, (Found, Gone)):
            return None
        others = request.identifiers[1:]
        return _look(replace(request, identifiers=others)) if others else _upsert_of_new(request)
    if request.step is Step.MOVE and isinstance(outcome, Gone):
        return _upsert_of_new(request)
    if request.step is Step.MOVE and outcome.reason == EMAIL_IN_USE:
        note = f"Brevo had a contact of the new address already, and keeps that of the old one{_id(request.remote_id)}"
        return _upsert_of_new(request, note)
    if outcome.reason == SMS_IN_USE and omits_sms_in_use and request.upsert.payload["attributes"].get("SMS"):
        return None if "SMS" in request.left_out else _without_number(request)
    if isinstance(outcome, Rejected) and request.emptied:
        return _built(replace(request, emptied=frozenset()))
    return None


def read_look(answer: Answer, title: str, address: str) -> Outcome | None:
    """What the answer to a look means; None where it is none of those that a look has of its own.

    A contact that has the wanted `address` already is not to be moved, so an opt-out stays whatever it is sent.
    """
    data = answer.data
    if answer.status in (400, 404) and is_brevos(data):
        return Gone("not_there")
    if answer.status != 200:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("id"), int) or "emailBlacklisted" not in data:
        return Failed("unexpected_answer", f"{title}'s answer tells nothing about the contact; nothing was sent")
    if data["emailBlacklisted"] is not False and data.get("email") != address:
        return Rejected(
            OPTED_OUT,
            sentences(
                f"Its e-mail address has changed, and its contact at Brevo ({data['id']}) is blocklisted",
                "Nothing was sent: a new address would lift that",
                "If the row is the same person, unselect it, or end the blocklisting at Brevo once they want e-mail "
                "again. If it is somebody else now, clear its brevo_contact_id",
            ),
        )
    return Found("found", remote_id=str(data["id"]), address=str(data.get("email") or ""))


def read_move(answer: Answer) -> Outcome | None:
    """What the answer to a move means; None where it means what it would after an upsert."""
    if answer.status == 404 and is_brevos(answer.data):
        return Gone("not_there")
    if answer.status == 204 and not answer.body.strip():
        return Synced(reason=MOVED)
    return None


def _upsert_of_copy(request: Request) -> Request:
    sent = request.upsert.payload["attributes"].keys()
    return _built(replace(request, step=Step.UPSERT, emptied=request.before.fields - sent - NOT_EMPTIED))


def _upsert_of_new(request: Request, note: str = "") -> Request:
    """Of an address that Brevo has no copy of ours under, so that there is nothing to empty."""
    plain = replace(request, step=Step.UPSERT, emptied=frozenset(), remote_id=None, note=note)
    return _built(replace(plain, before=replace(request.before, fields=frozenset())))


def _move(request: Request) -> Request:
    """By its old address, not its id: of two rows that had this address, the second finds nobody there."""
    emptied = _upsert_of_copy(request).emptied
    note = "Its contact at Brevo was moved from the old address"
    return _built(replace(request, step=Step.MOVE, emptied=emptied, note=note))


def _without_number(request: Request) -> Request:
    """Without its phone number, and without that which the contact had before."""
    emptied = request.emptied | (request.before.fields & {"SMS"})
    left_out = request.left_out | {"SMS"}
    note = ". ".join(filter(None, (request.note, f"{WITHOUT_ITS_NUMBER} another contact at Brevo has")))
    return _built(replace(request, left_out=left_out, emptied=emptied, note=note))


def _look(request: Request) -> Request:
    return replace(request, step=Step.LOOK, call=Call("GET", _path_of(request.identifiers[0]), {}), body=b"")


def _path_of(identifier: str) -> str:
    kind = "email_id" if "@" in identifier else "contact_id"
    return f"/contacts/{quote(identifier, safe='')}?identifierType={kind}"


def _built(request: Request) -> Request:
    """The request with call, body and fields as the rest of it says.

    The hash is that of what the contact is sent as, whatever must be emptied for once.
    """
    upsert = request.upsert.payload
    sent = {name: value for name, value in upsert["attributes"].items() if name not in request.left_out}
    attributes: dict[str, Any] = {**sent, **dict.fromkeys(request.emptied, "")}
    call = Call(request.upsert.method, request.upsert.path, {**upsert, "attributes": attributes})
    if request.step is Step.MOVE:
        lists = {name: value for name, value in upsert.items() if name == "listIds"}
        address = {"EMAIL": request.contact.address}
        call = Call("PUT", _path_of(request.before.address), {"attributes": {**attributes, **address}, **lists})
    kept = request.before.fields - sent.keys() - request.emptied
    return replace(
        request,
        call=call,
        body=body_of(call.payload),
        payload_hash=payload_hash(body_of({**upsert, "attributes": sent})),
        fields=frozenset(sent) | kept,
    )


def still_there(request: Request) -> str:
    """What Brevo goes on holding although the row has no value for it; "" for nothing."""
    kept = request.fields - request.call.payload["attributes"].keys()
    return f"Brevo still holds {', '.join(sorted(kept))}, which this row has no value for any more" if kept else ""


def _id(remote_id: str | None) -> str:
    return f" ({remote_id})" if remote_id else ""
