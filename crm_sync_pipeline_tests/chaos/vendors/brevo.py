"""Brevo in a trial. An import is a call for each of its contacts, obeyed when it is carried out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crm_sync_pipeline.destinations.brevo import BREVO as ENTRY
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.brevo.contacts import upsert
from crm_sync_pipeline.simulators.brevo.imports import Process
from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline_tests.chaos.vendor import Vendor
from crm_sync_pipeline_tests.chaos.watched import Watched, call_of, part_of_request

LIST_ID = 1
"""Every contact joins it: an import has to name one."""

SECRET = "xkeysib-4f1d0secret0never0to0be0seen"
BULK_THRESHOLD = 6
IMPORT_SECONDS = 0.3
_IMPORT_ROUTE = ("POST", "/v3/contacts/import")


class WatchedBrevo(Watched, BrevoSimulator):
    """Brevo, as Watched."""

    def __init__(self, config: BrevoConfig | None = None) -> None:
        self._in_progress: list[tuple[str, Process]] = []
        super().__init__(config)

    def handle(self, request: Request) -> Answer:
        """See Simulator."""
        answer = super().handle(request)
        self.catch_up()  # imports came before this request
        call, route = call_of(request), (request.method, request.path)
        if answer.wrote and route == self.upsert_route:
            self.note_upsert(call, dict(request.json_object()))
        if answer.status == 202 and route == _IMPORT_ROUTE:
            process = self.imports.processes[max(self.imports.processes)]
            self.processes[call] = process.id
            self._in_progress.append((call, process))
        return answer

    def ids(self) -> Mapping[str, str]:
        """See Watched."""
        return {contact.email: str(contact.id) for contact in self.contacts.values() if contact.email}

    def opt_out(self, addresses: Iterable[str]) -> None:
        """See Watched."""
        for address in addresses:
            upsert(self.account, self.config, {"email": address, "emailBlacklisted": True})

    def opted_out(self) -> frozenset[str]:
        """See Watched."""
        return frozenset(address for address, contact in self.contacts.items() if contact.email_blacklisted)

    def catch_up(self) -> None:
        """Note what imports have brought in by now."""
        self.imports.advance(self.clock())
        over = [each for each in self._in_progress if each[1].completed_at]
        self._in_progress = [each for each in self._in_progress if not each[1].completed_at]
        for call, process in over:
            refused = {id(row) for rows in process.failures.values() for row in rows}
            for row in process.order.rows:
                if id(row) not in refused:
                    upsert = _as_upsert(row, process.order.list_ids)
                    self.note_upsert(part_of_request(call, row["email"]), upsert)

    def note_upsert(self, call: str, payload: dict[str, Any]) -> None:
        """Note an upsert; what is emptied for once is not part of what Brevo holds."""
        attributes = {name: value for name, value in payload.get("attributes", {}).items() if value != ""}
        self._note(call, str(payload.get("email")), {**payload, "attributes": attributes})


def _as_upsert(row: Mapping[str, Any], list_ids: Sequence[int]) -> dict[str, Any]:
    """What a single call would have sent of the same contact."""
    attributes = {name: value for name, value in row.items() if name != "email"}
    return {"email": row["email"], "attributes": attributes, "updateEnabled": True, "listIds": list(list_ids)}


def config_of(seed: int) -> BrevoConfig:
    """Make the account of a trial."""
    return BrevoConfig(
        api_keys=frozenset({SECRET}), limits=PLANS["unlimited"], seed=seed, import_seconds=IMPORT_SECONDS
    )


def simulate(seed: int) -> WatchedBrevo:
    """Make the simulator of a trial."""
    return WatchedBrevo(config_of(seed))


def settings(server: str) -> Mapping[str, str]:
    """Name the variables that lead to it."""
    return {"BREVO_API_KEY": SECRET, "BREVO_API_BASE_URL": f"{server}/v3", "BREVO_LIST_ID": str(LIST_ID)}


def options_at(
    server: str, *, timeout_seconds: float, requests_per_second: float, imports: bool = False
) -> dict[str, Any]:
    """The fields of the destination that delivers to it."""
    return {
        "base_url": f"{server}/v3",
        "api_key": SECRET,
        "timeout_seconds": timeout_seconds,
        "requests_per_second": requests_per_second,
        "concurrency": 4,
        "list_id": LIST_ID,
        "bulk_threshold": BULK_THRESHOLD if imports else None,
    }


def connect(server: str, **options: Any) -> Brevo:
    """Make the destination of a worker."""
    return Brevo(**options_at(server, **options))


HOPELESS: Mapping[str, str] = {
    "no address at all": "Max retries exceeded (3). Last error: Brevo API error (400)",
    "   ": "Max retries exceeded (3). Last error: Contact has no email address",
}

BREVO = Vendor(
    ENTRY,
    simulate=simulate,
    connect=connect,
    settings=settings,
    secret=SECRET,
    hopeless=HOPELESS,
    has_imports=True,
    numbers_are_unique=True,
)
