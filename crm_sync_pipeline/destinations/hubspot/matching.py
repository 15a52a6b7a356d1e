"""Which row of a batch an answer's results and errors belong to: by what identifies a contact, never by its place."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from crm_sync_pipeline.destinations.hubspot.answers import (
    MISSING_SCOPES,
    READ_ONLY_PROPERTY,
    UNKNOWN_PROPERTY,
    BatchAnswer,
    Result,
    named_in,
)
from crm_sync_pipeline.destinations.hubspot.changes import BY_ID, READS, Request, Step, Unmatched, note_on, read_found
from crm_sync_pipeline.domain.outcome import DestinationDown, Outcome, Rejected, Synced

ReadError = Callable[[Request, Mapping[str, Any]], Outcome]

TRACE_IDS, IDS = ("objectWriteTraceId", "objectWriteTraceIds"), ("ids", "id")


def outcomes_in(
    requests: Sequence[Request], batch: BatchAnswer, read_error: ReadError
) -> Iterator[tuple[UUID, Outcome]]:
    """What the answer says of each row; a row that it says nothing of is left out.

    Where it names somebody who is none of the rows, and not every row has its result, those without one are to be sent
    alone: HubSpot answers for a secondary address with the primary one, and an error need not say whose it is.
    """
    rows = _Rows(requests)
    named: dict[UUID, str] = {}
    strange_results: list[Result] = []
    strange_errors: list[Mapping[str, Any]] = []
    for result in batch.results:
        found = [each for each in rows.of_result(result) if named.get(each.contact.id) != result.id]
        if not found:
            strange_results.append(result)
        for request in found:
            named[request.contact.id] = result.id
            yield request.contact.id, _outcome(request, result)
    for error in batch.errors:
        blamed = rows.of_error(error)
        if not blamed:
            strange_errors.append(error)
        for request in blamed:
            named.setdefault(request.contact.id, "")
            yield request.contact.id, read_error(request, error)
    unnamed = [each for each in requests if each.contact.id not in named]
    if len(requests) > 1:
        yield from ((each.contact.id, Unmatched("unmatched")) for each in unnamed if strange_results or strange_errors)
    elif unnamed and len(strange_results) + len(strange_errors) == 1:
        (request,) = unnamed
        told = [_outcome(request, each) for each in strange_results]
        told += [read_error(request, each) for each in strange_errors]
        yield request.contact.id, told[0]


def everybodys(outcome: Outcome) -> Outcome:
    """A property that is missing or can't be written is nobody's fault, however few contacts have a value for it.

    Nor is a scope that the key lacks.
    """
    is_everybodys = outcome.reason in (UNKNOWN_PROPERTY, READ_ONLY_PROPERTY, MISSING_SCOPES)
    return replace(outcome, answer="") if isinstance(outcome, DestinationDown) and is_everybodys else outcome


def in_view_of_all(found: Mapping[UUID, Outcome]) -> Mapping[UUID, Outcome]:
    """The outcomes of one answer: where somebody got through, a refusal is about the contact's own data."""
    if not any(isinstance(each, Synced) for each in found.values()):
        return found
    return {
        contact: replace(each, may_be_ours=False) if isinstance(each, Rejected) else each
        for contact, each in found.items()
    }


class _Rows:
    """The rows of a request by what may identify them. Several looks may be for one id."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = requests
        self._by_trace = {str(each.contact.id): each for each in requests}
        self._by_address = {each.contact.address: each for each in requests}
        self._is_by_id = requests[0].step in BY_ID

    def of_result(self, result: Result) -> Sequence[Request]:
        """Whose result it is: nobody's, where its trace id and the rest of it name different rows."""
        if self._is_by_id:
            found = [each for each in self._requests if each.remote_id == result.id]
        else:
            by_address = self._by_address.get(result.address)
            found = [by_address] if by_address else self._known_as(result.id)
        if result.trace_id is None:
            return found
        traced = self._by_trace.get(result.trace_id)
        if traced is None or (found and traced not in found):
            return ()
        return [traced]

    def of_error(self, error: Mapping[str, Any]) -> Sequence[Request]:
        """Whose error it is: of the rows with these trace ids, else with these ids."""
        traced = [self._by_trace[each] for each in named_in(error, *TRACE_IDS) if each in self._by_trace]
        if traced:
            return traced
        ids = {each.strip().lower() for each in named_in(error, *IDS)}
        return [each for each in self._requests if (each.remote_id if self._is_by_id else each.contact.address) in ids]

    def _known_as(self, remote_id: str) -> list[Request]:
        known = [each for each in self._requests if remote_id == each.before.remote_id]
        return known if len(known) == 1 else []


def _outcome(request: Request, result: Result) -> Outcome:
    if request.step in READS:
        return read_found(request, result)
    if request.step is Step.MOVE:
        return Synced(result.id, "moved")
    note = note_on(result, request.contact.address) if request.step is Step.UPSERT else ""
    return Synced(result.id, "created" if result.is_new else "updated", note)
