"""Another code location on the same Dagster instance has jobs of all our names: its runs are none of our business."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    CodeLocationOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline.orchestration.guards import UNFINISHED
from crm_sync_pipeline.orchestration.history import remove_runs
from crm_sync_pipeline.orchestration.own_runs import INSTALLATION_TAG, OwnRuns, installation_tag
from crm_sync_pipeline.orchestration.run_results import FINISHED, QUEUE_DEPTH_TAG, job_health
from crm_sync_pipeline_tests.builders import LEASE
from crm_sync_pipeline_tests.product import Product

SCHEDULE, SENSOR = "brevo_sync_schedule", "brevo_queue_sensor"
OURS, THEIRS = "crm_sync_pipeline", "staging"


@pytest.fixture
def product(product: Product) -> Iterator[Product]:
    product.instance = product.on_disk
    yield product
    product.instance.wipe()


def location(name: str) -> CodeLocationOrigin:
    return ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="somewhere"), name)


def add_run(
    product: Product, job_name: str, status: dg.DagsterRunStatus, where: str | None, tags: dict[str, str] | None = None
) -> dg.DagsterRun:
    """A run as the daemon or the webserver makes it for that code location; without one, as `dagster job execute`."""
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location(where), "__repository__"), job_name) if where else None
    run = dg.DagsterRun(job_name, str(uuid4()), status=status, remote_job_origin=origin, tags=tags)
    return product.instance.add_run(run)


def staging_tag(product: Product) -> dict[str, str]:
    """That of the same product, set up for another database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", product.world.url + "_staging")
        return installation_tag(load_settings())


def theirs(product: Product) -> list[dict[str, str]]:
    """What runs of others carry: nothing of ours, or the tag of another installation."""
    return [{QUEUE_DEPTH_TAG: "5"}, {QUEUE_DEPTH_TAG: "5", **staging_tag(product)}]


def tick_at(product: Product, where: str) -> dg.SensorResult | dg.SkipReason:
    """A tick of the sensor as the daemon asks for it, with the code location that it is in."""
    definitions = product.definitions
    repository = definitions.get_repository_def()
    with dg.SensorEvaluationContext(
        instance_ref=product.instance.get_ref(),
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=None,
        log_key=None,
        repository_name=repository.name,
        repository_def=repository,
        sensor_name=SENSOR,
        resources={"database": repository.get_top_level_resources()["database"]},
        code_location_origin=location(where),
    ) as context:
        answer = definitions.resolve_sensor_def(SENSOR)(context)
    assert isinstance(answer, (dg.SensorResult, dg.SkipReason))
    return answer


def test_every_job_carries_the_tag_of_the_installation(product: Product) -> None:
    jobs = [each for each in product.definitions.get_repository_def().get_all_jobs() if not each.name.startswith("__")]
    assert {"brevo_sync", "requeue", "prune_history", "check_queue"} <= {job.name for job in jobs}
    assert [job.name for job in jobs if not product.installation_tag.items() <= job.tags.items()] == []
    assert product.run().dagster_run.tags[INSTALLATION_TAG] == product.installation_tag[INSTALLATION_TAG]


@pytest.mark.parametrize(
    ("other", "is_the_same"),
    [
        ("postgresql://app:changed@db.example.com:5432/crm", True),
        ("postgresql://app:sesame@db.example.com:5432/staging", False),
        ("postgresql://app:sesame@db2.example.com:5432/crm", False),
        ("postgresql://app:sesame@db.example.com:6432/crm", False),
        ("postgresql:///crm?host=/run/postgresql&user=app&password=sesame", False),
        ("postgresql://app:sesame@db.example.com:5432/crm?options=-csearch_path%3Dstaging", False),
    ],
)
def test_an_installation_is_known_by_where_its_contacts_are_and_not_by_the_password(
    monkeypatch: pytest.MonkeyPatch, other: str, is_the_same: bool
) -> None:
    found = []
    for url in ("postgresql://app:sesame@db.example.com:5432/crm", other):
        monkeypatch.setenv("DATABASE_URL", url)
        found.append(installation_tag(load_settings()))
    assert (found[0] == found[1]) is is_the_same
    monkeypatch.setenv("CRM_SYNC_CONTACTS_TABLE", "app.people")
    assert installation_tag(load_settings()) not in found


@pytest.mark.parametrize("trigger", [SCHEDULE, SENSOR])
def test_runs_of_others_that_are_unfinished_keep_none_of_ours_from_starting(product: Product, trigger: str) -> None:
    product.world.add("a@example.com")
    for status in UNFINISHED:
        for tags in theirs(product):
            add_run(product, "brevo_sync", status, THEIRS, tags)
    for tags in theirs(product):
        add_run(product, "brevo_sync", dg.DagsterRunStatus.STARTED, None, tags)
    assert isinstance(product.tick(trigger), dg.RunRequest)
    ours = add_run(product, "brevo_sync", dg.DagsterRunStatus.QUEUED, OURS, product.installation_tag)
    assert isinstance(product.tick(trigger), dg.SkipReason)
    product.instance.delete_run(ours.run_id)
    add_run(product, "brevo_sync", dg.DagsterRunStatus.STARTED, None, product.installation_tag)
    assert isinstance(product.tick(trigger), dg.SkipReason), "`dagster job execute` gives no label"


def test_a_silent_run_of_another_code_location_is_not_ended_and_one_of_ours_is(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [add_run(product, "brevo_sync", dg.DagsterRunStatus.STARTED, THEIRS, tags) for tags in theirs(product)]
    ours = add_run(product, "brevo_sync", dg.DagsterRunStatus.STARTED, OURS, product.installation_tag)
    older = add_run(product, "brevo_sync", dg.DagsterRunStatus.STARTED, OURS)
    for run in (*others, ours, older):
        product.instance.report_engine_event("begun", run)
    later = time.time() + LEASE.total_seconds() + 1
    monkeypatch.setattr(time, "time", lambda: later)
    tick_at(product, OURS)

    def status(run: dg.DagsterRun) -> dg.DagsterRunStatus:
        found = product.instance.get_run_by_id(run.run_id)
        assert found
        return found.status

    assert {status(run) for run in others} == {dg.DagsterRunStatus.STARTED}
    assert (status(ours), status(older)) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.FAILURE)


def test_failed_runs_of_others_are_no_alert_of_ours_and_make_nothing_wait(product: Product) -> None:
    product.world.add("a@example.com")
    for tags in theirs(product) * 60:
        add_run(product, "brevo_sync", dg.DagsterRunStatus.FAILURE, THEIRS, tags)
    own = OwnRuns(product.installation_tag[INSTALLATION_TAG], f"__repository__@{OURS}")
    assert job_health(product.instance, own, "brevo_sync", 3).failed_in_a_row == 0
    for trigger in (SENSOR, SCHEDULE):
        assert isinstance(product.tick(trigger), dg.RunRequest)
    red = [add_run(product, "brevo_sync", dg.DagsterRunStatus.FAILURE, OURS) for _ in range(2)]
    for tags in theirs(product) * 60:
        add_run(product, "brevo_sync", dg.DagsterRunStatus.SUCCESS, THEIRS, tags)
    health = job_health(product.instance, own, "brevo_sync", 3)
    assert (health.failed_in_a_row, health.failed_run_id) == (2, red[-1].run_id)


def test_old_runs_of_others_stay_and_ours_go_those_of_a_version_without_the_tag_too(product: Product) -> None:
    names = [job.name for job in product.definitions.get_repository_def().get_all_jobs()]
    assert {"brevo_sync", "requeue", "hold"} <= set(names)
    kept = {
        add_run(product, name, status, THEIRS, tags).run_id
        for name in names
        for status in FINISHED
        for tags in theirs(product)
    }
    gone = [
        add_run(product, name, dg.DagsterRunStatus.SUCCESS, where, tags)
        for name in names
        for where, tags in ((OURS, None), (OURS, product.installation_tag), (None, product.installation_tag))
    ]
    own = OwnRuns.of_run(add_run(product, "prune_history", dg.DagsterRunStatus.STARTED, OURS, product.installation_tag))
    later = datetime.now(timezone.utc) + timedelta(seconds=5)
    assert remove_runs(product.instance, own, names, later, dry_run=True) == len(gone)
    assert remove_runs(product.instance, own, names, later, dry_run=False) == len(gone)
    finished = product.instance.get_runs(dg.RunsFilter(statuses=FINISHED))
    assert {run.run_id for run in finished} == kept
