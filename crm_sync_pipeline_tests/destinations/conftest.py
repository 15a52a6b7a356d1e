"""What the contract needs to know of each destination: its simulator, and its own words."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.destinations.hubspot.destination import Hubspot
from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.destinations.n8n.destination import N8n
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import Failed, Outcome, Synced
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.hubspot import PLANS as HUBSPOT_PLANS
from crm_sync_pipeline.simulators.hubspot import HubspotConfig, HubspotSimulator
from crm_sync_pipeline.simulators.mautic import DEFAULT_CLIENT, MauticConfig, MauticSimulator
from crm_sync_pipeline.simulators.n8n import PATH, N8nConfig, N8nSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline.simulators.simulator import Simulator
from crm_sync_pipeline_tests.fifth_destination.destination import Acme
from crm_sync_pipeline_tests.fifth_destination.simulator import AcmeSimulator

KEY = "xkeysib-a-key-that-nobody-may-see"
EMAIL = "janette.q@example.com"
CONTACT = Contact(
    UUID("00000000-0000-4000-8000-00000000000a"),
    email=EMAIL,
    name="Janette Quillfeather",
    phone_number="+1 415 555 2671",
    source_url="https://example.com/about",
)
PERSONAL = (EMAIL, "janette", "quillfeather", "4155552671", KEY)
"""What must not show in an outcome, in lower case."""


@dataclass(frozen=True)
class Vendor:
    """One destination as the contract sees it: its simulator, and what it reads otherwise than most do.

    `reasons` are those of its own. `outcomes` are those that no other vendor's answer to the same fault would have.
    """

    simulator: Callable[[], Simulator]
    destination: Callable[..., HttpDestination]
    holds: Callable[[Any, str], bool]
    reasons: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, type[Outcome]] = field(default_factory=dict)
    names_requests: bool = True


VENDORS: dict[str, Vendor] = {
    "brevo": Vendor(
        simulator=lambda: BrevoSimulator(
            BrevoConfig(api_keys=frozenset({KEY}), limits=PLANS["unlimited"], attributes={"FIRSTNAME": "text"})
        ),
        destination=lambda base_url, **changes: Brevo(
            base_url=f"{base_url}/v3", **{"api_key": KEY, "timeout_seconds": 5, **changes}
        ),
        holds=lambda simulator, email: email in simulator.contacts,
        reasons={"status-400": "invalid_phone", "status-401-key": "wrong_api_key", "status-401-ip": "ip_not_allowed"},
    ),
    "hubspot": Vendor(
        simulator=lambda: HubspotSimulator(HubspotConfig(api_keys=frozenset({KEY}), limits=HUBSPOT_PLANS["unlimited"])),
        destination=lambda base_url, **changes: Hubspot(
            base_url=base_url, **{"api_key": KEY, "timeout_seconds": 5, **changes}
        ),
        holds=lambda simulator, email: email in simulator.contacts,
        reasons={
            "status-400": "invalid_email",
            "status-401-key": "wrong_api_key",
            "status-401-ip": "wrong_api_key",
            "status-403": "missing_scopes",
        },
    ),
    "mautic": Vendor(
        simulator=lambda: MauticSimulator(MauticConfig(clients={DEFAULT_CLIENT: KEY})),
        destination=lambda base_url, **changes: Mautic(
            base_url=base_url, **{"client_id": DEFAULT_CLIENT, "client_secret": KEY, "timeout_seconds": 5, **changes}
        ),
        holds=lambda simulator, email: email in simulator.contacts,
        reasons={"status-400": "invalid_email", "status-401-key": "wrong_client", "status-401-ip": "wrong_client"},
        names_requests=False,
    ),
    "n8n": Vendor(
        simulator=lambda: N8nSimulator(N8nConfig(secret=KEY)),
        destination=lambda base_url, **changes: N8n(
            webhook_url=f"{base_url}/webhook/{PATH}", **{"webhook_secret": KEY, "timeout_seconds": 5, **changes}
        ),
        holds=lambda simulator, email: any(body["email"] == email for body in simulator.contacts.values()),
        reasons={
            "status-400": "http_400",
            "status-401-key": "wrong_secret",
            "status-401-ip": "ip_not_allowed",
            "status-403": "wrong_secret",
            "empty-201": "no_answer",
            "unexpected-200": "accepted",
        },
        outcomes={"status-404": Failed, "unexpected-200": Synced},
    ),
}

OF_OTHER_PACKAGES: dict[str, Vendor] = {
    "acme": Vendor(
        simulator=lambda: AcmeSimulator(token=KEY),
        destination=lambda base_url, **changes: Acme(
            base_url=base_url, **{"token": KEY, "timeout_seconds": 5, **changes}
        ),
        holds=lambda simulator, email: any(person["mail"] == email for person in simulator.people.values()),
        reasons={"status-400": "refused", "status-401-key": "http_401", "status-401-ip": "http_401"},
    ),
}
"""Destinations that build_definitions is handed, and that our registry does not name."""

HELD_TO_THE_CONTRACT = {**VENDORS, **OF_OTHER_PACKAGES}


async def attempted(destination: HttpDestination, client: httpx.AsyncClient, contact: Contact) -> Attempt:
    """One attempt, from the row to its outcome."""
    prepared = destination.prepare(contact)
    if isinstance(prepared, Attempt):
        return prepared
    (attempt,) = (await destination.send(client, [prepared])).attempts
    return attempt


@dataclass(frozen=True)
class Rig:
    """A destination's client, pointed at its simulator over real HTTP."""

    vendor: Vendor
    simulator: Simulator
    base_url: str

    def destination(self, **changes: Any) -> HttpDestination:
        return self.vendor.destination(self.base_url, **changes)

    def deliver(self, *contacts: Contact, **changes: Any) -> list[Attempt]:
        """One attempt at each, one after another, by one client."""
        destination = self.destination(**changes)

        async def work() -> list[Attempt]:
            async with destination.client() as client:
                return [await attempted(destination, client, contact) for contact in contacts or (CONTACT,)]

        return asyncio.run(work())

    def holds(self, email: str = EMAIL) -> bool:
        return self.vendor.holds(self.simulator, email)


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing here speaks TLS, and loading the certificate store takes longer than most of these tests."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


@pytest.fixture(scope="session")
def _rigs() -> Iterator[dict[str, Rig]]:
    rigs: dict[str, Rig] = {}
    simulators = {name: vendor.simulator() for name, vendor in HELD_TO_THE_CONTRACT.items()}
    with ExitStack() as stack:
        for name, simulator in simulators.items():
            server = stack.enter_context(running(simulator.app))
            rigs[name] = Rig(HELD_TO_THE_CONTRACT[name], simulator, server.base_url)
        yield rigs


@pytest.fixture(params=sorted(HELD_TO_THE_CONTRACT))
def rig(request: pytest.FixtureRequest, _rigs: dict[str, Rig]) -> Rig:
    made = _rigs[request.param]
    made.simulator.heal()
    made.simulator.reset()
    return made
