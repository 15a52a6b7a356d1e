"""What a worker's process does to the product's functions: it writes down what they do, and passes the points."""

import itertools
from collections.abc import Iterable
from contextvars import ContextVar
from functools import wraps
from typing import Any
from uuid import UUID

import httpx

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.settling import Settling
from crm_sync_pipeline.destinations.base import HttpDestination, Prepared
from crm_sync_pipeline.domain.batch import Attempt, Batch, Held, Settlement
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES
from crm_sync_pipeline_tests.chaos.points import Points
from crm_sync_pipeline_tests.chaos.trace import Trace
from crm_sync_pipeline_tests.chaos.watched_brevo import CALL_HEADER

KILLER = "Kills its worker"
"""The name of a contact that no worker survives."""

TWICE = 0.05
"""How often something is done twice that must do no harm when it is done twice."""

_call: ContextVar[str] = ContextVar("call", default="")


def wrap_everything(trace: Trace, points: Points) -> None:
    """Wrap claim, read, call, journal, settle and recover, for the rest of this process's life."""
    _wrap_queue(trace, points)
    _wrap_destination(trace, points)
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
    ) -> Held:
        attempts = list(done)
        trace.note("journaling", contacts=[attempt.contact_id for attempt in attempts])
        held = journal(self, token, attempts, run_id, look=look)
        if points.chance(TWICE):
            journal(self, token, attempts, run_id)
        trace.note("journaled", token=token, held=held.total, contacts=[attempt.contact_id for attempt in attempts])
        points.passed("journaled")
        return held

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


def _wrap_destination(trace: Trace, points: Points) -> None:
    send, client = HttpDestination.send, HttpDestination.client
    numbers = itertools.count(1)

    @wraps(send)
    async def watched_send(self: HttpDestination, client: httpx.AsyncClient, prepared: Prepared) -> Attempt:
        contact = prepared.contact
        call = f"{trace.worker}/{next(numbers)}"
        _call.set(call)
        if contact.name == KILLER:
            points.die("killer")
        points.passed("before_call")
        trace.note("sent", call=call, contact=contact.id)
        attempt = await send(self, client, prepared)
        name = OUTCOME_NAMES[type(attempt.outcome)]
        trace.note("answered", call=call, outcome=name, reason=attempt.outcome.reason, payload=attempt.payload_hash)
        points.passed("after_call_before_journal")
        points.passed("mid_batch")
        return attempt

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
