"""HubSpot in a trial: five contacts in a request, so that there are many requests."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from crm_sync_pipeline.destinations.contract import Limits
from crm_sync_pipeline.destinations.hubspot import HUBSPOT as ENTRY
from crm_sync_pipeline.destinations.hubspot import destination as product
from crm_sync_pipeline.destinations.hubspot.answers import BatchAnswer
from crm_sync_pipeline.destinations.hubspot.changes import Request as Sent
from crm_sync_pipeline.destinations.hubspot.destination import Hubspot
from crm_sync_pipeline.domain.outcome import Outcome, Synced
from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline.simulators.hubspot import PLANS, HubspotConfig, HubspotContact, HubspotSimulator
from crm_sync_pipeline_tests.chaos.vendor import Vendor
from crm_sync_pipeline_tests.chaos.watched import Watched, call_of, part_of_request

SECRET = "pat-na1-4f1d0secret0never0to0be0seen"
_WRITES = ("/batch/upsert", "/batch/update")
_NOT_DATA = frozenset({"email", "scrapersky_sync_date"})


class WatchedHubspot(Watched, HubspotSimulator):
    """HubSpot, as Watched: what an answer names as written was carried out."""

    def handle(self, request: Request) -> Answer:
        """See Simulator."""
        answer = super().handle(request)
        if answer.wrote and request.method == "POST" and request.path.endswith(_WRITES):
            rows = request.json_object()["inputs"]
            sent = {str(row["id"]).strip().lower(): row["properties"] for row in rows}
            for result in json.loads(answer.body)["results"]:
                address = result["properties"]["email"]
                call = call_of(request) if len(rows) == 1 else part_of_request(call_of(request), address)
                self._note(call, address, _as_upsert(address, sent.get(address) or sent[result["id"]]))
        return answer

    def ids(self) -> Mapping[str, str]:
        """See Watched."""
        return {contact.email: contact.id for contact in self.contacts.values() if contact.email}

    def opt_out(self, addresses: Iterable[str]) -> None:
        """See Watched."""
        for address in addresses:
            contact_id, now = self.account.next_id(), self.now()
            held = {"hs_object_id": contact_id, "email": address, "hs_email_optout": "true"}
            self.account.save(HubspotContact(contact_id, held, now, now))

    def opted_out(self) -> frozenset[str]:
        """See Watched."""
        held = self.contacts.items()
        return frozenset(address for address, contact in held if contact.properties.get("hs_email_optout") == "true")


def _as_upsert(address: str, properties: Mapping[str, str]) -> dict[str, Any]:
    """Give what is sent of a contact each time: without what is emptied for once, and without the day."""
    held = {name: value for name, value in properties.items() if value != "" and name not in _NOT_DATA}
    return {"id": address, "properties": held}


class _Hubspot(Hubspot):
    limits: ClassVar[Limits] = Limits(contacts_per_request=5)


def simulate(seed: int) -> WatchedHubspot:
    """Make the simulator of a trial."""
    return WatchedHubspot(HubspotConfig(api_keys=frozenset({SECRET}), limits=PLANS["unlimited"], seed=seed))


def connect(server: str, *, timeout_seconds: float, requests_per_second: float, imports: bool = False) -> Hubspot:
    """Make the destination of a worker."""
    _ = imports
    return _Hubspot(
        base_url=server,
        api_key=SECRET,
        timeout_seconds=timeout_seconds,
        requests_per_second=requests_per_second,
        concurrency=4,
    )


def settings(server: str) -> Mapping[str, str]:
    """Name the variables that lead to it."""
    return {"HUBSPOT_API_KEY": SECRET, "HUBSPOT_API_BASE_URL": server}


def with_results_by_position() -> None:
    """The first result of a batch is taken for that of the first row, and so on, whatever it names."""

    def by_position(
        requests: Sequence[Sent], batch: BatchAnswer, _: Callable[..., Outcome]
    ) -> Iterator[tuple[UUID, Outcome]]:
        for request, result in zip(requests, batch.results, strict=False):
            yield request.contact.id, Synced(result.id)

    setattr(product, "outcomes_in", by_position)  # noqa: B010 # mypy takes a plain assignment for a mistake


HUBSPOT = Vendor(
    ENTRY,
    simulate=simulate,
    connect=connect,
    settings=settings,
    secret=SECRET,
    hopeless={
        "no address at all": "Max retries exceeded (3). Last error: HubSpot API error (400)",
        "   ": "Max retries exceeded (3). Last error: Contact has no email address",
    },
    ablations={"matching": with_results_by_position},
)
