"""When schedule and sensor start a run, and what they say when they do not. Scenario tests hold the rest."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from crm_sync_pipeline.orchestration import sensors
from crm_sync_pipeline.orchestration.guards import UNFINISHED
from crm_sync_pipeline_tests.builders import LEASE
from crm_sync_pipeline_tests.product import Product

SCHEDULE, SENSOR = "brevo_sync_schedule", "brevo_queue_sensor"
both = pytest.mark.parametrize("trigger", [SCHEDULE, SENSOR])


@pytest.fixture
def product(product: Product) -> Iterator[Product]:
    """A schedule's tick wants an instance that is kept on disk."""
    product.instance = product.on_disk
    yield product
    product.instance.wipe()


def skipped(product: Product, trigger: str) -> str:
    answer = product.tick(trigger)
    assert isinstance(answer, dg.SkipReason)
    assert "Traceback" not in (answer.skip_message or "")
    return answer.skip_message or ""


def requested(product: Product, trigger: str) -> dg.RunRequest:
    answer = product.tick(trigger)
    assert isinstance(answer, dg.RunRequest)
    return answer


def size(request: dg.RunRequest) -> object:
    return request.run_config["ops"]["claim_batch"]["config"]["batch_size"]


def add_run(product: Product, status: dg.DagsterRunStatus, job_name: str = "brevo_sync") -> None:
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="nowhere"), "nowhere")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "repository"), job_name)
    product.instance.add_run(
        dg.DagsterRun(
            job_name=job_name,
            run_id=str(uuid4()),
            status=status,
            remote_job_origin=origin,
            tags=product.installation_tag,
        )
    )


@both
def test_while_a_run_is_unfinished_none_is_started(product: Product, trigger: str) -> None:
    product.world.add("a@example.com")
    for status in UNFINISHED:
        add_run(product, status)
        assert skipped(product, trigger) == "brevo_sync is in progress; the next tick looks again."
        for run in product.instance.get_runs():
            product.instance.delete_run(run.run_id)
    requested(product, trigger)


def test_a_contact_that_is_selected_while_the_sensor_looks_waits_for_no_next_tick(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "LOOKS_FOR", timedelta(seconds=20))
    later = threading.Timer(0.6, product.world.add, ["a@example.com"])
    later.start()
    began = time.monotonic()
    requested(product, SENSOR)
    assert 0.6 < time.monotonic() - began < 10
    later.join()


def add_silent_run(product: Product, silent_seconds: float) -> str:
    """A run that Dagster believes to be in progress, and whose last word was so long ago; its id."""
    add_run(product, dg.DagsterRunStatus.STARTED)
    (run,) = product.instance.get_runs()
    last_word = dg.EventLogEntry(  # type: ignore[no-untyped-call] # Dagster leaves it untyped
        error_info=None,
        level=20,
        user_message="",
        run_id=run.run_id,
        timestamp=time.time() - silent_seconds,
        dagster_event=DagsterEvent(DagsterEventType.STEP_START.value, run.job_name, step_key="sync_to_brevo"),
    )
    product.instance.store_event(last_word)
    return run.run_id


@both
def test_a_run_whose_worker_and_code_server_died_together_blocks_nothing_beyond_its_lease(
    product: Product, trigger: str
) -> None:
    product.world.add("a@example.com")
    run_id = add_silent_run(product, LEASE.total_seconds() + 1)
    product.world.queue().claim(1, run_id=run_id)
    assert "is in progress" in skipped(product, trigger), "its claim is alive still"
    product.world.pass_time(LEASE + timedelta(seconds=1))
    requested(product, trigger)
    (run,) = product.instance.get_runs()
    assert run.status is dg.DagsterRunStatus.FAILURE
    newest = product.instance.get_records_for_run(run_id, limit=1, ascending=False).records[0]
    assert "The worker of this run is gone: it holds no claim, and has said nothing for 300 s." in str(
        newest.event_log_entry.message
    )


@both
def test_a_run_that_has_just_settled_its_claim_is_not_taken_for_dead(product: Product, trigger: str) -> None:
    product.world.add("a@example.com")
    add_silent_run(product, LEASE.total_seconds() - 5)
    assert "is in progress" in skipped(product, trigger)


def test_every_state_of_a_run_is_either_finished_or_counts_as_unfinished() -> None:
    finished = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
    never_given = {dg.DagsterRunStatus.MANAGED, dg.DagsterRunStatus.SUSPENDED}
    assert set(dg.DagsterRunStatus) - finished - never_given == set(UNFINISHED)


@both
def test_a_finished_run_and_another_job_s_run_stand_in_nobody_s_way(product: Product, trigger: str) -> None:
    product.world.add("a@example.com")
    for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
        add_run(product, status)
    product.instance.add_run(dg.DagsterRun(job_name="other", run_id=str(uuid4()), status=dg.DagsterRunStatus.STARTED))
    requested(product, trigger)


@both
def test_with_two_instances_allowed_a_second_run_is_started_and_no_third(product: Product, trigger: str) -> None:
    product.world.add("a@example.com")
    product.set(BREVO_SYNC_SCHEDULER_MAX_INSTANCES="2")
    add_run(product, dg.DagsterRunStatus.STARTED)
    requested(product, trigger)
    add_run(product, dg.DagsterRunStatus.QUEUED)
    skipped(product, trigger)


@both
def test_when_nothing_is_due_nothing_is_started(product: Product, trigger: str) -> None:
    product.world.add("never-selected@example.com", selected=False)
    assert skipped(product, trigger) == "No contact is due for Brevo."


@both
def test_while_the_destination_is_down_nothing_is_started_until_a_probe_is_due(product: Product, trigger: str) -> None:
    product.world.add("a@example.com")
    product.world.queue().breaker.open("wrong_api_key", "Brevo API error (401): Key not found. Set a valid v3 key.")
    said = skipped(product, trigger)
    assert said.startswith("Brevo is down; the next probe is due in ")
    assert said.endswith("Set a valid v3 key.")
    product.pass_minutes(1)
    requested(product, trigger)


@both
def test_without_our_tables_the_tick_says_what_to_run(product: Product, trigger: str) -> None:
    product.world.execute("DROP SCHEMA crm_sync CASCADE")
    said = skipped(product, trigger)
    assert said.startswith("Of our own tables, crm_sync.acts")
    assert "Run `crm-sync db upgrade`" in said


@both
def test_without_a_column_the_tick_names_it_and_the_statement_that_adds_it(product: Product, trigger: str) -> None:
    product.world.execute("ALTER TABLE contacts DROP COLUMN brevo_processing_error")
    said = skipped(product, trigger)
    assert "Column brevo_processing_error of contacts is missing" in said.replace("public.", "")
    assert "ADD COLUMN brevo_processing_error text;" in said


@both
def test_without_the_database_the_tick_says_that_it_is_unreachable(product: Product, trigger: str) -> None:
    product.set(DATABASE_URL="postgresql://me:sesame@127.0.0.1:1/nowhere")
    said = skipped(product, trigger)
    assert said.startswith("The database at 127.0.0.1:1 can't be used: ")
    assert "sesame" not in said


@both
def test_a_request_has_no_run_key_so_that_the_same_need_can_start_another_run(product: Product, trigger: str) -> None:
    product.world.add("a@example.com")
    assert [requested(product, trigger).run_key for _ in range(2)] == [None, None]


def test_the_sensor_asks_for_what_is_due_up_to_its_limit_and_the_schedule_for_its_batch(product: Product) -> None:
    product.world.add_many(30)
    assert size(requested(product, SCHEDULE)) == 10
    assert size(requested(product, SENSOR)) == 30
    assert requested(product, SENSOR).tags == {"crm_sync/queue_depth": "30"}
    assert requested(product, SCHEDULE).tags == {"crm_sync/queue_depth": "10"}
    product.set(BREVO_SYNC_SENSOR_BATCH_LIMIT="20", BREVO_SYNC_SCHEDULER_BATCH_SIZE="15")
    assert size(requested(product, SCHEDULE)) == 15
    assert size(requested(product, SENSOR)) == 20


@both
def test_what_a_dead_run_left_behind_starts_a_run_that_delivers_it(product: Product, trigger: str) -> None:
    (contact,) = product.world.add("a@example.com")
    product.world.queue().claim(1)
    assert skipped(product, trigger) == "No contact is due for Brevo."
    product.world.pass_time(timedelta(seconds=301))
    assert product.run_requested(requested(product, trigger)).success
    assert product.world.status(contact) == ("Complete", "Complete")


@both
def test_a_tick_reads_and_writes_nothing(product: Product, trigger: str) -> None:
    product.world.add("a@example.com")
    before = product.world.snapshot()
    requested(product, trigger)
    assert product.world.snapshot() == before
