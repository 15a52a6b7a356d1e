from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator, running
from crm_sync_pipeline_tests.delivery.watching import Crowd


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing here speaks TLS, and loading the certificate store takes long."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


@pytest.fixture
def crowd(simulator: BrevoSimulator) -> Crowd:
    return Crowd(simulator.app)


@pytest.fixture
def brevo_server(crowd: Crowd) -> Iterator[RunningSimulator]:
    with running(crowd) as server:
        yield server
