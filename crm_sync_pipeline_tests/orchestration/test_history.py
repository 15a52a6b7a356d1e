"""The nightly job prune_history, on a real instance."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import dagster as dg
import pytest

from crm_sync_pipeline.orchestration.history import remove_runs
from crm_sync_pipeline.orchestration.own_runs import INSTALLATION_TAG, OwnRuns
from crm_sync_pipeline_tests.builders import one_run
from crm_sync_pipeline_tests.product import Product

OWN = OwnRuns("ours")


@pytest.fixture
def product(product: Product) -> Iterator[Product]:
    product.instance = product.on_disk
    yield product
    product.instance.wipe()


def add_run(instance: dg.DagsterInstance, job_name: str, status: dg.DagsterRunStatus) -> str:
    run = dg.DagsterRun(job_name=job_name, run_id=str(uuid4()), status=status, tags={INSTALLATION_TAG: "ours"})
    instance.add_run(run)
    return run.run_id


def test_the_job_removes_old_history_and_says_how_much(product: Product) -> None:
    product.world.add("anna@example.com")
    one_run(product.world.queue())
    product.pass_minutes(91 * 24 * 60)
    for wanted, dry_run in ((1, True), (1, False), (0, False)):
        config = {"ops": {"prune_attempts": {"config": {"dry_run": dry_run}}}}
        result = product.definitions.resolve_job_def("prune_history").execute_in_process(
            instance=product.instance, run_config=config
        )
        (said,) = [
            event.step_output_data.metadata["attempts_removed"].value
            for event in result.all_events
            if event.event_type is dg.DagsterEventType.STEP_OUTPUT and event.step_key == "prune_attempts"
        ]
        assert said == wanted
    assert product.world.value("SELECT count(*) FROM crm_sync.attempts") == 0


def test_only_finished_runs_of_ours_that_are_old_enough_are_removed(product: Product) -> None:
    instance = product.instance
    done, red, running = (
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.STARTED,
    )
    gone = [add_run(instance, "brevo_sync", status) for status in (done, red)]
    kept = {add_run(instance, "brevo_sync", running), add_run(instance, "somebody_elses", done)}
    later = datetime.now(timezone.utc) + timedelta(seconds=5)
    assert remove_runs(instance, OWN, ["brevo_sync"], later - timedelta(days=1), dry_run=False) == 0, "they are young"
    assert remove_runs(instance, OWN, ["brevo_sync"], later, dry_run=True) == len(gone)
    assert remove_runs(instance, OWN, ["brevo_sync"], later, dry_run=False) == len(gone)
    assert {run.run_id for run in instance.get_runs()} == kept
