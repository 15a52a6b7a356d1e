"""n8n through Dagster: its job, schedule and sensor come from the registry, and nothing of the webhook shows."""

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from crm_sync_pipeline.simulators.n8n import DEFAULT_SECRET, PATH, N8nSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.product import Product

pytestmark = pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning")


@pytest.fixture
def installed(product: Product, n8n_server: RunningSimulator) -> Product:
    """The product with an n8n webhook beside Brevo."""
    product.set(
        N8N_WEBHOOK_URL=f"{n8n_server.base_url}/webhook/{PATH}",
        N8N_WEBHOOK_SECRET=DEFAULT_SECRET,
        N8N_REQUESTS_PER_SECOND="1000",
    )
    return product


def run(product: Product) -> dg.ExecuteInProcessResult:
    job = product.definitions.resolve_job_def("n8n_sync")
    return job.execute_in_process(instance=product.instance, raise_on_error=False)


def told(product: Product, result: dg.ExecuteInProcessResult) -> str:
    """All that Dagster keeps of a run: its events, its logs, and what the code location shows."""
    snapshot = serialize_value(RepositorySnap.from_def(product.definitions.get_repository_def()))
    return f"{result.all_events} {product.instance.all_logs(result.run_id)} {snapshot}"


def test_one_contact_goes_to_two_crms_each_by_its_own_job(installed: Product, n8n_simulator: N8nSimulator) -> None:
    (ann,) = installed.world.add("ann@example.com", selected=False, name="Ann Example")
    installed.world.select(ann, crms=("brevo", "n8n"))

    result = run(installed)

    assert result.success
    assert installed.world.status(ann, "n8n") == ("Complete", "Complete")
    assert installed.world.status(ann, "brevo") == ("Selected", "Queued")
    assert n8n_simulator.contacts[str(ann)]["name"] == "Ann Example"
    assert installed.run().success
    assert installed.world.status(ann, "brevo") == ("Complete", "Complete")
    assert installed.world.contact(ann)["n8n_workflow_id"] == n8n_simulator.config.workflow_id


@pytest.mark.parametrize("trigger", ["n8n_sync_schedule", "n8n_queue_sensor"])
def test_its_triggers_start_a_run_for_a_contact_that_is_due(installed: Product, trigger: str) -> None:
    assert isinstance(installed.tick(trigger), dg.SkipReason)
    (ann,) = installed.world.add("ann@example.com", selected=False)
    installed.world.select(ann, crms=("n8n",))

    assert isinstance(installed.tick(trigger), dg.RunRequest)


def test_a_refusal_fails_the_run_with_what_to_do_and_shows_neither_path_nor_secret(
    installed: Product, n8n_simulator: N8nSimulator
) -> None:
    installed.set(N8N_WEBHOOK_SECRET="another-secret")
    (ann,) = installed.world.add("ann@example.com", selected=False)
    installed.world.select(ann, crms=("n8n",))

    result = run(installed)

    assert not result.success
    shown = told(installed, result)
    assert "n8n refused N8N_WEBHOOK_SECRET" in shown
    assert "another-secret" not in shown
    assert f"/webhook/{PATH}" not in shown
    assert installed.world.delivery(ann, "n8n")["retry_count"] == 0
    assert n8n_simulator.executions == []


def test_without_an_url_it_is_off_and_says_so(product: Product) -> None:
    definitions = product.definitions

    schedule = definitions.resolve_schedule_def("n8n_sync_schedule")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert "N8N_WEBHOOK_URL is not set" in (schedule.description or "")
