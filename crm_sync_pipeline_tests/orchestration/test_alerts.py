"""The alert sensor on a real instance."""

from collections.abc import Iterator
from uuid import uuid4

import dagster as dg
import pytest

from crm_sync_pipeline.orchestration.own_runs import INSTALLATION_TAG, OwnRuns
from crm_sync_pipeline.orchestration.run_results import RECORDED_TAG, job_health
from crm_sync_pipeline_tests.monitoring.alert_receivers import Receiver, webhook
from crm_sync_pipeline_tests.product import Product


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with webhook() as receiver:
        yield receiver


def look(product: Product) -> str:
    definitions = product.definitions
    resources = {"database": (definitions.resources or {})["database"]}
    with dg.build_sensor_context(instance=product.instance, resources=resources) as context:
        answer = definitions.resolve_sensor_def("alert_sensor")(context)
    assert isinstance(answer, dg.SkipReason)
    return answer.skip_message or ""


def add_run(product: Product, status: dg.DagsterRunStatus) -> str:
    tags = product.installation_tag | ({RECORDED_TAG: "1"} if status is dg.DagsterRunStatus.SUCCESS else {})
    run = dg.DagsterRun(job_name="brevo_sync", run_id=str(uuid4()), status=status, tags=tags)
    product.instance.add_run(run)
    return run.run_id


def test_without_a_channel_the_sensor_is_off_and_says_what_to_set(product: Product) -> None:
    sensor = product.definitions.resolve_sensor_def("alert_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert "CRM_SYNC_ALERT_WEBHOOK_URL" in (sensor.description or "")
    product.set(CRM_SYNC_ALERT_WEBHOOK_URL="http://127.0.0.1:9/sesame")
    sensor = product.definitions.resolve_sensor_def("alert_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.description == "Tells webhook when something goes wrong, and when it is over."


def test_three_red_runs_in_a_row_are_told_once_with_a_link_and_a_green_one_ends_it(
    product: Product, hook: Receiver
) -> None:
    product.set(CRM_SYNC_ALERT_WEBHOOK_URL=hook.url, CRM_SYNC_UI_URL="http://dagster.example.com")
    red, green, cancelled = (
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.CANCELED,
    )
    for status in (green, red, red, cancelled):
        add_run(product, status)
    assert look(product) == "Nothing has changed."
    newest = add_run(product, red)
    assert look(product).startswith("Told webhook: The last 3 runs of brevo_sync failed.")
    add_run(product, red)
    assert look(product) == "Nothing has changed."
    add_run(product, green)
    look(product)
    failed, over = hook.got
    assert failed.endswith(f"Run: http://dagster.example.com/runs/{newest}")
    assert over == "A run of brevo_sync has succeeded again."
    assert (
        job_health(
            product.instance, OwnRuns(product.installation_tag[INSTALLATION_TAG]), "brevo_sync", 3
        ).failed_in_a_row
        == 0
    )


def test_a_database_that_is_away_is_a_sentence_and_not_a_red_tick(product: Product) -> None:
    product.set(
        CRM_SYNC_ALERT_WEBHOOK_URL="http://127.0.0.1:9/x", DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing"
    )
    assert look(product).startswith("The database at 127.0.0.1:9 can't be used")
