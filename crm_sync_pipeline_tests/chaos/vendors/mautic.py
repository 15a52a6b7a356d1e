"""Mautic in a trial: five contacts in a request, so that there are many requests."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from crm_sync_pipeline.destinations.contract import Answer as Read
from crm_sync_pipeline.destinations.mautic import MAUTIC as ENTRY
from crm_sync_pipeline.destinations.mautic import destination as product
from crm_sync_pipeline.destinations.mautic.changes import Request as Sent
from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.domain.outcome import Outcome, Synced
from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline.simulators.mautic import DEFAULT_CLIENT, MauticConfig, MauticContact, MauticSimulator
from crm_sync_pipeline_tests.chaos.vendor import Vendor
from crm_sync_pipeline_tests.chaos.watched import Watched, call_of, part_of_request

SECRET = "4f1d0secret0never0to0be0seen"
_WRITES = ("/api/contacts/batch/new", "/api/contacts/batch/edit")
_NOT_DATA = frozenset({"id", "overwriteWithBlank"})


class WatchedMautic(Watched, MauticSimulator):
    """Mautic, as Watched: a row with a status of 200 or 201 was carried out."""

    def handle(self, request: Request) -> Answer:
        """See Simulator."""
        answer = super().handle(request)
        if answer.wrote and request.path in _WRITES:
            rows = request.json()
            for index, status in _by_index(json.loads(answer.body)["statusCodes"]).items():
                if status in (200, 201):
                    row = rows[index]
                    call = call_of(request) if len(rows) == 1 else part_of_request(call_of(request), row["email"])
                    self._note(call, row["email"], _as_upsert(row))
        return answer

    def ids(self) -> Mapping[str, str]:
        """See Watched."""
        return {contact.email: str(contact.id) for contact in self.contacts.values() if contact.email}

    def opt_out(self, addresses: Iterable[str]) -> None:
        """See Watched."""
        for address in addresses:
            number, now = self.instance.next_contact_id(), self.now()
            self.instance.save(MauticContact(number, {"email": address}, (), frozenset(), {"email": 1}, now, now))

    def opted_out(self) -> frozenset[str]:
        """See Watched."""
        return frozenset(address for address, contact in self.contacts.items() if contact.do_not_contact)


def _by_index(statuses: Any) -> Mapping[int, int]:
    """Read an array of PHP, which is a list or an object."""
    return dict(enumerate(statuses)) if isinstance(statuses, list) else {int(key): statuses[key] for key in statuses}


def _as_upsert(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is sent of a contact each time: without what is emptied for once."""
    return {name: value for name, value in row.items() if value != "" and name not in _NOT_DATA}


def simulate(seed: int) -> WatchedMautic:
    """Make the simulator of a trial."""
    return WatchedMautic(MauticConfig(clients={DEFAULT_CLIENT: SECRET}, seed=seed))


def connect(server: str, *, timeout_seconds: float, requests_per_second: float, imports: bool = False) -> Mautic:
    """Make the destination of a worker."""
    _ = imports
    return Mautic(
        base_url=server,
        client_id=DEFAULT_CLIENT,
        client_secret=SECRET,
        batch_size=5,
        timeout_seconds=timeout_seconds,
        requests_per_second=requests_per_second,
        concurrency=4,
    )


def settings(server: str) -> Mapping[str, str]:
    """Name the variables that lead to it."""
    return {"MAUTIC_BASE_URL": server, "MAUTIC_CLIENT_ID": DEFAULT_CLIENT, "MAUTIC_CLIENT_SECRET": SECRET}


def with_results_by_position() -> None:
    """The first contact in an answer is taken for that of the first row, and so on: those that failed have none."""

    def by_position(requests: Sequence[Sent], answer: Read) -> Iterator[tuple[UUID, Outcome]] | None:
        contacts = answer.data.get("contacts") if isinstance(answer.data, dict) else None
        if contacts is None:
            return None
        shown = contacts if isinstance(contacts, list) else list(contacts.values())
        return (
            (request.contact.id, Synced(str(contact["id"]))) for request, contact in zip(requests, shown, strict=False)
        )

    setattr(product, "results_of_rows", by_position)  # noqa: B010 # mypy takes a plain assignment for a mistake


MAUTIC = Vendor(
    ENTRY,
    simulate=simulate,
    connect=connect,
    settings=settings,
    secret=SECRET,
    hopeless={
        "no address at all": "Max retries exceeded (3). Last error: Its e-mail address holds characters that Mautic",
        "ann@nowhere": "Max retries exceeded (3). Last error: Mautic API error (400)",
        "bob@nowhere": "Max retries exceeded (3). Last error: Mautic API error (400)",
        "   ": "Max retries exceeded (3). Last error: Contact has no email address",
    },
    ablations={"matching": with_results_by_position},
)
