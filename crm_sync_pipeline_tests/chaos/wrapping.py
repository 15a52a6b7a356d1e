"""What a worker's process does to the product's functions: it writes down what they do, and passes the points."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import wraps
from typing import Any
from uuid import UUID

import httpx
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.bulk.imports import Candidate, Entry, Import, Imports
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.worker.settling import Settling
from crm_sync_pipeline.delivery.importer import Importer, Load
from crm_sync_pipeline.destinations.brevo.bulk_import import BrevoImport
from crm_sync_pipeline.destinations.contract import Record, RequestResult
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.batch import Attempt, Batch, LeaseStatus, Settlement
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES, Outcome
from crm_sync_pipeline_tests.chaos.points import Points
from crm_sync_pipeline_tests.chaos.trace import Trace
from crm_sync_pipeline_tests.chaos.watched import CALL_HEADER, part_of_request

KILLER, KILLERS_ADDRESS = "Kills its worker", "killer@example.com"
"""Of a contact that no worker survives."""

TWICE = 0.05
"""How often something is done twice that must do no harm when it is done twice."""

_call: ContextVar[str] = ContextVar("call", default="")
_contacts: ContextVar[Mapping[str, UUID]] = ContextVar("contacts")
"""Of the import that is about to be sent: who has which address."""


def wrap_everything(trace: Trace, points: Points) -> None:
    """Wrap claim, read, call, import, journal, settle and recover, for the rest of this process's life."""
    numbers = itertools.count(1)
    _wrap_queue(trace, points)
    _wrap_destination(trace, points, numbers)
    _wrap_imports(trace, points)
    _wrap_importer(trace, points, numbers)
    points.listen()


def _wrap_queue(trace: Trace, points: Points) -> None:
    claim, contacts_of, journal = ContactQueue.claim, ContactQueue.contacts_of, ContactQueue.journal
    settle, recover = ContactQueue.settle, Settling.recover

    @wraps(claim)
    def watched_claim(self: ContactQueue, *arguments: Any, **options: Any) -> Batch:
        points.passed("before_claim")
        batch = claim(self, *arguments, **options)
        if batch.size:
            trace.note("claimed", token=batch.token, size=batch.size)
            points.passed("claimed")
        return batch

    @wraps(contacts_of)
    def watched_read(self: ContactQueue, token: UUID) -> list[Contact]:
        trace.note("reading", token=token)
        contacts = contacts_of(self, token)
        trace.note("read", token=token, contacts=[contact.id for contact in contacts])
        return contacts

    @wraps(journal)
    def watched_journal(
        self: ContactQueue, token: UUID, done: Iterable[Attempt], run_id: str | None = None, *, look: bool = True
    ) -> LeaseStatus:
        attempts = list(done)
        trace.note("journaling", contacts=[attempt.contact_id for attempt in attempts])
        status = journal(self, token, attempts, run_id, look=look)
        if points.chance(TWICE):
            journal(self, token, attempts, run_id)
        trace.note("journaled", token=token, held=status.total, contacts=[attempt.contact_id for attempt in attempts])
        points.passed("journaled")
        return status

    @wraps(settle)
    def watched_settle(self: ContactQueue, token: UUID) -> Settlement:
        points.passed("before_settle")
        settlement = settle(self, token)
        trace.note("settled", token=token, total=settlement.total)
        if points.chance(TWICE):
            trace.note("settled_twice", token=token, total=settle(self, token).total)
        points.passed("settled")
        return settlement

    @wraps(recover)
    def watched_recover(self: Settling) -> Settlement:
        points.recovering(True)
        try:
            settlement = recover(self)
        finally:
            points.recovering(False)
        if settlement.total:
            trace.note("recovered", total=settlement.total)
        return settlement

    for name, watched in {
        "claim": watched_claim,
        "contacts_of": watched_read,
        "journal": watched_journal,
        "settle": watched_settle,
    }.items():
        setattr(ContactQueue, name, watched)
    setattr(Settling, "recover", watched_recover)  # noqa: B010 # mypy takes a plain assignment for a mistake


def _wrap_destination(trace: Trace, points: Points, numbers: Iterator[int]) -> None:
    send, client = HttpDestination.send, HttpDestination.client

    @wraps(send)
    async def watched_send(
        self: HttpDestination, client: httpx.AsyncClient, records: Sequence[Record]
    ) -> RequestResult:
        number = f"{trace.worker}/{next(numbers)}"
        _call.set(number)
        if any(record.contact.name == KILLER for record in records):
            points.die("killer")
        points.passed("before_call")
        is_one = len(records) == 1
        calls = {
            record.contact.id: number if is_one else part_of_request(number, record.contact.address)
            for record in records
        }
        for contact, call in calls.items():
            trace.note("sent", call=call, contact=contact)
        sent = await send(self, client, records)
        for attempt in sent.attempts:
            name, reason = OUTCOME_NAMES[type(attempt.outcome)], attempt.outcome.reason
            call = calls[attempt.contact_id]
            trace.note("answered", call=call, outcome=name, reason=reason, payload=attempt.payload_hash)
        points.passed("after_call_before_journal")
        points.passed("mid_batch")
        return sent

    @wraps(client)
    def watched_client(self: HttpDestination) -> httpx.AsyncClient:
        made = client(self)
        send_request = made.send

        async def numbered(request: httpx.Request, **options: Any) -> httpx.Response:
            request.headers[CALL_HEADER] = _call.get()
            return await send_request(request, **options)

        setattr(made, "send", numbered)  # noqa: B010 # mypy takes a plain assignment for a mistake
        return made

    replaced: dict[str, Any] = {"send": watched_send, "client": watched_client}
    for name, watched in replaced.items():
        setattr(HttpDestination, name, watched)


def _wrap_imports(trace: Trace, points: Points) -> None:
    candidates, begin, note_process = Imports.candidates, Imports.begin, Imports.note_process
    adopt, give_up = Imports.adopt, Imports._give_up

    @wraps(candidates)
    def watched_candidates(self: Imports, token: UUID) -> Iterator[Candidate]:
        trace.note("reading", token=token)
        return candidates(self, token)

    @wraps(begin)
    def watched_begin(
        self: Imports, token: UUID, run_id: str | None, started: Import, entries: Sequence[Entry]
    ) -> frozenset[UUID]:
        allowed = begin(self, token, run_id, started, entries)
        points.passed("import_begun")
        return allowed

    @wraps(note_process)
    def watched_note(self: Imports, import_id: UUID, process_id: int) -> None:
        note_process(self, import_id, process_id)
        trace.note("import_noted", the_import=import_id, process=process_id)
        points.passed("import_noted")

    @wraps(adopt)
    def watched_adopt(self: Imports, connection: sa.Connection, token: UUID, run_id: str | None) -> int:
        moved = adopt(self, connection, token, run_id)
        if moved:
            trace.note("adopting", token=token)
        return moved

    @wraps(give_up)
    def watched_give_up(self: Imports, connection: sa.Connection, import_id: UUID) -> None:
        trace.note("giving_up", the_import=import_id)
        give_up(self, connection, import_id)

    for name, watched in {
        "candidates": watched_candidates,
        "begin": watched_begin,
        "note_process": watched_note,
        "adopt": watched_adopt,
        "_give_up": watched_give_up,
    }.items():
        setattr(Imports, name, watched)


def _wrap_importer(trace: Trace, points: Points, numbers: Iterator[int]) -> None:
    send, post = Importer.send, BrevoImport.post

    @wraps(send)
    async def watched_send(self: Importer, load: Load) -> Import | None:
        ids = [entry.contact_id for entry in load.entries]
        _contacts.set(dict(zip((json.loads(row)["email"] for row in load.rows), ids, strict=True)))
        return await send(self, load)

    @wraps(post)
    async def watched_post(self: BrevoImport, client: httpx.AsyncClient, body: bytes) -> int | Outcome:
        number = f"{trace.worker}/{next(numbers)}"
        _call.set(number)
        addresses = [row["email"] for row in json.loads(body)["jsonBody"]]
        for address in addresses:
            trace.note("sent", call=part_of_request(number, address), contact=_contacts.get()[address])
        if KILLERS_ADDRESS in addresses:
            points.die("killer")
        answer = await post(self, client, body)
        if isinstance(answer, int):
            trace.note("import_posted", call=number, process=answer)
            points.passed("import_posted")
        return answer

    setattr(Importer, "send", watched_send)  # noqa: B010 # mypy takes a plain assignment for a mistake
    setattr(BrevoImport, "post", watched_post)  # noqa: B010
