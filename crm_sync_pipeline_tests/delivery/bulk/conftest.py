from pathlib import Path

import pytest

from crm_sync_pipeline.delivery import importer
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing here speaks TLS; and the simulator needs no time for an import unless a test says so."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setattr(importer, "SHORTEST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(importer, "SEARCH_AFTER_SECONDS", (0.01, 0.02))


@pytest.fixture
def config() -> BrevoConfig:
    return BrevoConfig(limits=PLANS["unlimited"], import_seconds=0)


@pytest.fixture
def simulator(config: BrevoConfig) -> BrevoSimulator:
    return BrevoSimulator(config)


@pytest.fixture
def brevo(brevo_server: RunningSimulator) -> Brevo:
    return Brevo(
        base_url=f"{brevo_server.base_url}/v3",
        api_key="xkeysib-simulator",
        requests_per_second=1000,
        list_id=1,
        bulk_threshold=1,
    )
