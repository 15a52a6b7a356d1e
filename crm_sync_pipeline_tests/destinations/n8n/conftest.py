from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_sync_pipeline.destinations.n8n.destination import N8n
from crm_sync_pipeline.simulators.n8n import DEFAULT_SECRET, PATH, N8nSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator, running


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing here speaks TLS, and loading the certificate store takes long."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


@pytest.fixture
def n8n_simulator() -> N8nSimulator:
    return N8nSimulator()


@pytest.fixture
def n8n_server(n8n_simulator: N8nSimulator) -> Iterator[RunningSimulator]:
    with running(n8n_simulator.app) as server:
        yield server


@pytest.fixture
def n8n(n8n_server: RunningSimulator) -> N8n:
    """Our own client, pointed at the simulator; as fast as it will go."""
    url = f"{n8n_server.base_url}/webhook/{PATH}"
    return N8n(webhook_url=url, webhook_secret=DEFAULT_SECRET, requests_per_second=1000, timeout_seconds=5)
