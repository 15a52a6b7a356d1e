"""What the answer to a batch says of each of its rows, and that to a segment of each contact that was to join it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.destinations.destination import MESSAGE_LIMIT
from crm_sync_pipeline.destinations.http import printable
from crm_sync_pipeline.destinations.mautic.answers import (
    address_of,
    by_index,
    contact_id_of,
    refusal_of,
    without_values,
)
from crm_sync_pipeline.destinations.mautic.changes import MOVED, Gone, Request, Step
from crm_sync_pipeline.destinations.mautic.setup_faults import RIGHTS
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.domain.sentences import sentences

MERGED = "contacts_merged"
_MERGED = (
    "Mautic made one contact of two with different addresses. Take the unique identifier away from every field but the "
    "e-mail address: `crm-sync check --crm mautic` names them. Then look at the contacts that were delivered last."
)


def results_of_rows(requests: Sequence[Request], answer: Answer) -> Iterable[tuple[UUID, Outcome]] | None:
    """The result of each row that the answer names; None where it is not the documented one.

    A batch of new contacts is 201 and one of known contacts 200, whatever became of the rows.
    """
    data = answer.data if answer.status == (200 if requests[0].step is Step.MOVE else 201) else None
    if not isinstance(data, dict):
        return None
    contacts, statuses = by_index(data.get("contacts")), by_index(data.get("statusCodes"))
    if contacts is None or statuses is None:
        return None
    return _rows(requests, statuses, contacts, by_index(data.get("errors")) or {})


def _rows(
    requests: Sequence[Request], statuses: Mapping[int, Any], contacts: Mapping[int, Any], errors: Mapping[int, Any]
) -> Iterator[tuple[UUID, Outcome]]:
    holders = Counter(contact_id_of(contact) for contact in contacts.values())
    for index, request in enumerate(requests):
        contact = contacts.get(index)
        if index in statuses and index not in errors and holders[contact_id_of(contact)] > 1 and contact:
            yield request.contact.id, DestinationDown(MERGED, _MERGED)
        elif index in statuses:
            yield request.contact.id, _row(request, statuses[index], contact, errors.get(index))


def _row(request: Request, status: object, contact: object, error: object) -> Outcome:
    """What became of one row. A success is one whose contact is shown, with the address that was sent."""
    if status in (200, 201) and error is None:
        contact_id = contact_id_of(contact)
        if contact_id is None or address_of(contact) != request.contact.address:
            return Failed("unexpected_answer", "Mautic shows no contact with its address for this row")
        done = MOVED if request.step is Step.MOVE else "created" if status == 201 else "updated"
        return Synced(remote_id=str(contact_id), reason=done)
    reason, said, may_be_ours = refusal_of(error)
    said = redacted(without_values(printable(said), request.call.payload))[:MESSAGE_LIMIT] or "no explanation"
    text = f"Mautic API error ({status}): {said}" if isinstance(status, int) else f"Mautic API error: {said}"
    if status in (400, 422) and error is not None:
        return Rejected(reason, text, may_be_ours)
    if status == 404 and request.step is Step.MOVE:
        return Gone("not_there")
    if status == 403:
        return DestinationDown("http_403", sentences(text, RIGHTS), answer=text)
    is_failure = isinstance(status, int) and 400 <= status < 600
    return Failed(f"http_{status}" if is_failure else "unexpected_answer", text)


def results_of_joining(requests: Sequence[Request], answer: Answer) -> Iterable[tuple[UUID, Outcome]] | None:
    """What became of each contact that was to join its segment; None where the answer is not the documented one."""
    data = answer.data if answer.status == 200 else None
    details = by_index(data.get("details")) if isinstance(data, dict) else None
    return None if details is None else _joined(requests, details)


def _joined(requests: Sequence[Request], details: Mapping[int, Any]) -> Iterator[tuple[UUID, Outcome]]:
    for request in requests:
        found = details.get(int(request.remote_id or 0))
        if isinstance(found, dict) and found.get("success") is True and request.result:
            yield request.contact.id, request.result
        elif found is not None:
            why = "Mautic has the contact, and did not take it into the segment"
            yield request.contact.id, Failed("not_in_segment", why)
