"""Delivery by import: real PostgreSQL, the simulator over HTTP. A run that dies, and one that takes up what it left."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline import bulk_delivery
from crm_sync_pipeline.bulk_delivery import deliver_batch
from crm_sync_pipeline.contact_queue import imports as queue_imports
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.destinations.brevo import BrevoResource
from crm_sync_pipeline.destinations.brevo_import import BrevoImport
from crm_sync_pipeline.domain.batch import Batch, Settlement, Tally
from crm_sync_pipeline.domain.transition import Ending
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.builders import LEASE, World
from crm_sync_pipeline_tests.product import Product

PAST_THE_LEASE = LEASE + timedelta(seconds=1)
POST, LOOK = "POST /v3/contacts/import", "GET /v3/processes/N"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing here speaks TLS; and the simulator needs no time for an import unless a test says so."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setattr(bulk_delivery, "SHORTEST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(bulk_delivery, "SEARCH_AFTER_SECONDS", (0.01, 0.02))


@pytest.fixture
def config() -> BrevoConfig:
    return BrevoConfig(limits=PLANS["unlimited"], import_seconds=0)


@pytest.fixture
def simulator(config: BrevoConfig) -> BrevoSimulator:
    return BrevoSimulator(config)


@pytest.fixture
def brevo(brevo_server: RunningSimulator) -> BrevoResource:
    return BrevoResource(
        base_url=f"{brevo_server.base_url}/v3",
        api_key="xkeysib-simulator",
        requests_per_second=1000,
        list_id=1,
        bulk_threshold=1,
    )


def asked(simulator: BrevoSimulator) -> Counter[str]:
    """How often which path was asked for."""
    paths = ((each.method, each.path) for each in simulator.requests)
    return Counter(
        f"{method} {'/v3/processes/N' if path.startswith('/v3/processes/') else path}" for method, path in paths
    )


def run(queue: ContactQueue, brevo: BrevoResource, size: int = 1000) -> tuple[Tally, Settlement]:
    batch = queue.claim(size, takes_up_imports=True)
    tally = deliver_batch(queue, brevo, batch)
    return tally, queue.settle(batch.token)


def endings(settled: Settlement) -> dict[str, int]:
    return {ending.value: count for ending, count in settled.endings.items()}


def test_all_are_delivered_by_one_import(world: World, brevo: BrevoResource, simulator: BrevoSimulator) -> None:
    world.add_many(300)
    tally, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 300}
    assert len(simulator.contacts) == 300
    assert asked(simulator) == {"GET /v3/processes": 1, POST: 1, LOOK: 1}
    assert (tally.requests, tally.outcomes, tally.reasons) == (3, Counter(synced=300), Counter(imported=300))
    assert world.value("SELECT count(*) FROM crm_sync.import_contacts") == 0
