import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.hubspot import DEFAULT_KEY as HUBSPOT_KEY
from crm_sync_pipeline.simulators.hubspot import PLANS as HUBSPOT_PLANS
from crm_sync_pipeline.simulators.hubspot import HubspotConfig, HubspotSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator, running
from crm_sync_pipeline_tests.simulators import hubspot_contract

# Loopback speaks plain HTTP; reading the machine's certificates for each client takes longer than a test.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
UNLIMITED = BrevoConfig(limits=PLANS["unlimited"], import_seconds=0)


def client_of(server: RunningSimulator) -> httpx.Client:
    """Make a client with the simulator's key."""
    return httpx.Client(base_url=server.base_url, headers={"api-key": DEFAULT_KEY}, timeout=10, verify=NO_CERTIFICATES)


class ManualClock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[BrevoSimulator, RunningSimulator]]:
    simulator = BrevoSimulator(UNLIMITED)
    with running(simulator.app) as server:
        yield simulator, server


@pytest.fixture
def brevo(served: tuple[BrevoSimulator, RunningSimulator]) -> BrevoSimulator:
    """One account, fresh for each test, served once for each module."""
    simulator, _ = served
    simulator.heal()
    simulator.reset()
    return simulator


@pytest.fixture
def http(brevo: BrevoSimulator, served: tuple[BrevoSimulator, RunningSimulator]) -> Iterator[httpx.Client]:
    """A client of that account with its key."""
    _ = brevo
    with client_of(served[1]) as client:
        yield client


Serve = Callable[[BrevoSimulator], httpx.Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve another account, and give a client with its key."""
    with ExitStack() as stack:

        def start(simulator: BrevoSimulator) -> httpx.Client:
            server = stack.enter_context(running(simulator.app))
            return stack.enter_context(client_of(server))

        yield start


def hubspot_client(server: RunningSimulator) -> httpx.Client:
    """Make a client with the simulator's token. Requests and answers are held against HubSpot's document."""
    hooks = {"response": [hubspot_contract.check]} if hubspot_contract.DOCUMENT.exists() else {}
    token = {"authorization": f"Bearer {HUBSPOT_KEY}"}
    return httpx.Client(base_url=server.base_url, headers=token, timeout=10, verify=NO_CERTIFICATES, event_hooks=hooks)


@pytest.fixture(scope="module")
def served_hubspot() -> Iterator[tuple[HubspotSimulator, RunningSimulator]]:
    simulator = HubspotSimulator(HubspotConfig(limits=HUBSPOT_PLANS["unlimited"]))
    with running(simulator.app) as server:
        yield simulator, server


@pytest.fixture
def hubspot(served_hubspot: tuple[HubspotSimulator, RunningSimulator]) -> HubspotSimulator:
    """One account, fresh for each test, served once for each module."""
    simulator, _ = served_hubspot
    simulator.heal()
    simulator.reset()
    return simulator


@pytest.fixture
def hubspot_http(
    hubspot: HubspotSimulator, served_hubspot: tuple[HubspotSimulator, RunningSimulator]
) -> Iterator[httpx.Client]:
    """A client of that account with its token."""
    _ = hubspot
    with hubspot_client(served_hubspot[1]) as client:
        yield client


ServeHubspot = Callable[[HubspotSimulator], httpx.Client]


@pytest.fixture
def serve_hubspot() -> Iterator[ServeHubspot]:
    """Serve another account, and give a client with its token."""
    with ExitStack() as stack:

        def start(simulator: HubspotSimulator) -> httpx.Client:
            server = stack.enter_context(running(simulator.app))
            return stack.enter_context(hubspot_client(server))

        yield start
