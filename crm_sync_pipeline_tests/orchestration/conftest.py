"""The product under Dagster, as the acceptance tests have it, but with Dagster's own history in memory."""

from collections.abc import Iterator

import dagster as dg
import pytest

from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.acceptance.conftest import Product
from crm_sync_pipeline_tests.builders import World


@pytest.fixture
def product(
    monkeypatch: pytest.MonkeyPatch, world: World, simulator: BrevoSimulator, brevo_server: RunningSimulator
) -> Iterator[Product]:
    with dg.DagsterInstance.ephemeral() as instance:
        made = Product(monkeypatch, world, simulator, instance)
        made.set(
            DATABASE_URL=world.url,
            BREVO_API_KEY=DEFAULT_KEY,
            BREVO_API_BASE_URL=f"{brevo_server.base_url}/v3",
            BREVO_REQUESTS_PER_SECOND="1000",
        )
        yield made
