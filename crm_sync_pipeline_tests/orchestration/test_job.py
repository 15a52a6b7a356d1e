"""The job, run by Dagster, against the simulator and PostgreSQL."""

from collections.abc import Iterator

import dagster as dg
import pytest

from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.settings import load_settings
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.builders import World


@pytest.fixture
def definitions(world: World, brevo_server: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    monkeypatch.setenv("DATABASE_URL", world.url)
    monkeypatch.setenv("BREVO_API_KEY", "xkeysib-simulator")
    monkeypatch.setenv("BREVO_API_BASE_URL", f"{brevo_server.base_url}/v3")
    monkeypatch.setenv("BREVO_REQUESTS_PER_SECOND", "1000")
    return build_definitions(load_settings())


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def test_a_run_delivers_what_is_due(
    definitions: dg.Definitions, instance: dg.DagsterInstance, world: World, simulator: BrevoSimulator
) -> None:
    contacts = world.add("a@example.com", "b@example.com")
    result = definitions.resolve_job_def("brevo_sync").execute_in_process(instance=instance)
    assert result.success
    assert [world.status(contact) for contact in contacts] == [("Complete", "Complete")] * 2
    assert set(simulator.contacts) == {"a@example.com", "b@example.com"}
