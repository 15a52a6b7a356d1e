"""What Dagster loads."""

import logging
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from crm_sync_pipeline.definitions import build_definitions, defs
from crm_sync_pipeline.destinations import DESTINATIONS, load_settings
from crm_sync_pipeline.orchestration.run_results import DESTINATION_TAG
from crm_sync_pipeline.settings import SettingsError

KEY = "xkeysib-a-key-that-nobody-may-see"
URL = "postgresql://me:sesame@db.example.com:5432/crm"


dagsters_own_deprecation = pytest.mark.filterwarnings(
    "ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning"
)


def set_up(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in {"DATABASE_URL": URL, "BREVO_API_KEY": KEY, **variables}.items():
        if value:
            monkeypatch.setenv(name, value)


def as_dagster_loads_it() -> dg.Definitions:
    lazy: Any = defs
    definitions: dg.Definitions = lazy.load_fn()
    return definitions


def loaded() -> dg.Definitions:
    definitions = build_definitions(load_settings())
    dg.Definitions.validate_loadable(definitions)
    return definitions


@pytest.mark.parametrize("url", [URL, ""])
@pytest.mark.parametrize("key", [KEY, ""])
def test_definitions_load_and_triggers_are_on_only_when_all_is_set(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str, key: str
) -> None:
    set_up(monkeypatch, DATABASE_URL=url, BREVO_API_KEY=key)
    with caplog.at_level(logging.INFO, "crm_sync_pipeline"):
        definitions = loaded()
    schedule = definitions.resolve_schedule_def("brevo_sync_schedule")
    sensor = definitions.resolve_sensor_def("brevo_queue_sensor")
    is_on = bool(url and key)
    assert (schedule.default_status is dg.DefaultScheduleStatus.RUNNING) == is_on
    assert (sensor.default_status is dg.DefaultSensorStatus.RUNNING) == is_on
    (line,) = (said for record in caplog.records if (said := record.getMessage()).startswith("brevo"))
    if is_on:
        assert line.startswith("brevo_on interval_minutes=5")
        return
    missing = [name for name, value in {"DATABASE_URL": url, "BREVO_API_KEY": key}.items() if not value]
    assert line.startswith(f"brevo_off {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set")
    for trigger in (schedule, sensor):
        assert trigger.description == f"Off: {line.removeprefix('brevo_off ')}"


def test_names_are_those_that_people_and_dagster_yaml_use(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)
    definitions = loaded()
    repository = definitions.get_repository_def()
    ours = {name for name in repository.job_names if not name.startswith("__")}  # Dagster has one of its own, unseen
    assert ours == {
        *(f"{name}_sync" for name in DESTINATIONS),
        *("resume_destination", "check_destination", "check_queue", "prune_history"),
        *("select_contacts", "sync_contact_now", "requeue", "hold", "release"),
    }
    assert {schedule.name for schedule in repository.schedule_defs} == {
        *(f"{name}_sync_schedule" for name in DESTINATIONS),
        *("check_queue_schedule", "prune_history_schedule"),
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        *(f"{name}_queue_sensor" for name in DESTINATIONS),
        "alert_sensor",
    }
    assert (definitions.resources or {}).keys() == {*DESTINATIONS, "database", "io_manager", "open_claims"}
    for name in DESTINATIONS:
        nodes = definitions.resolve_job_def(f"{name}_sync").nodes_in_topological_order
        assert [node.name for node in nodes] == ["claim_batch", f"sync_to_{name}", "record_results"]


def test_the_job_runs_in_one_process_without_op_retries_and_is_limited_by_its_tag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_up(monkeypatch)
    job = loaded().resolve_job_def("brevo_sync")
    assert job.executor_def is dg.in_process_executor
    assert job.op_retry_policy is None
    assert [node.retry_policy for node in job.nodes] == [None, None, None]
    assert [op.retry_policy for op in job.all_node_defs if isinstance(op, dg.OpDefinition)] == [None, None, None]
    assert job.tags[DESTINATION_TAG] == "brevo"
    assert job.run_tags["dagster/retry_strategy"] == "ALL_STEPS"
    assert int(job.run_tags["dagster/max_runtime"]) >= 900


@pytest.mark.parametrize(("limit", "pace", "seconds"), [("500", "10", 900), ("50000", "10", 15_000)])
def test_the_run_time_limit_leaves_three_times_what_the_longest_batch_needs(
    monkeypatch: pytest.MonkeyPatch, limit: str, pace: str, seconds: int
) -> None:
    set_up(monkeypatch, BREVO_SYNC_SENSOR_BATCH_LIMIT=limit, BREVO_REQUESTS_PER_SECOND=pace)
    assert loaded().resolve_job_def("brevo_sync").run_tags["dagster/max_runtime"] == str(seconds)


def test_whatever_the_ui_lists_says_what_it_is_and_who_answers_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, CRM_SYNC_OWNER="team:marketing")
    definitions = loaded()
    repository = definitions.get_repository_def()
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    assets = definitions.resolve_all_asset_specs()
    listed: list[Any] = [*jobs, *repository.schedule_defs, *repository.sensor_defs, *assets]
    assert [each for each in listed if not each.description or list(each.owners or ()) != ["team:marketing"]] == []
    assert {(asset.key.to_user_string(), asset.group_name) for asset in assets} == {
        (f"{name}/{what}", name) for name in DESTINATIONS for what in ("contacts", "contact_queue")
    }
    assert all(asset.kinds for asset in assets)
    assert all(resource.description for resource in repository.get_top_level_resources().values())
    ops = [op for job in jobs if job.name != "check_queue" for op in job.all_node_defs]
    assert [op.name for op in ops if not op.description] == []
    checks = [spec for each in definitions.asset_checks or () for spec in each.check_specs]
    assert {spec.name for spec in checks} == {
        *("schema_verified", "lag_under_limit", "error_share_under_limit"),
        *("nothing_past_its_lease", "destination_not_down"),
    }
    assert all(spec.description for spec in checks)


def test_settings_reach_schedule_and_job(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(
        monkeypatch,
        BREVO_SYNC_SCHEDULER_INTERVAL_MINUTES="30",
        BREVO_SYNC_SCHEDULER_BATCH_SIZE="25",
        BREVO_SYNC_SCHEDULER_MAX_INSTANCES="2",
    )
    schedule = loaded().resolve_schedule_def("brevo_sync_schedule")
    assert schedule.cron_schedule == "*/30 * * * *"
    assert schedule.description == "Every 30 minutes, 25 contacts, 2 run(s) at a time."


@dagsters_own_deprecation
def test_nothing_that_dagster_shows_of_the_definitions_holds_key_or_password(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)
    definitions = loaded()
    shown = serialize_value(RepositorySnap.from_def(definitions.get_repository_def()))
    for name in ("BREVO_API_KEY", "DATABASE_URL"):
        assert f'{{"env": "{name}"}}' in shown.replace("\\", ""), "the name of the variable stands for its value"
    for secret in (KEY, "sesame", "db.example.com"):
        assert secret not in shown
        assert secret not in repr((definitions.resources or {}).values())


@dagsters_own_deprecation
def test_dagster_shows_and_reads_the_variable_that_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, DATABASE_URL="", CRM_SYNC_DATABASE_URL=URL)
    definitions = loaded()
    assert definitions.resolve_schedule_def("brevo_sync_schedule").default_status is dg.DefaultScheduleStatus.RUNNING
    for other in ("", "postgresql://another:sesame@db.example.com/program"):
        set_up(monkeypatch, DATABASE_URL=other)
        shown = serialize_value(RepositorySnap.from_def(loaded().get_repository_def())).replace("\\", "")
        assert '{"env": "CRM_SYNC_DATABASE_URL"}' in shown
        assert '{"env": "DATABASE_URL"}' not in shown
        assert "sesame" not in shown


@dagsters_own_deprecation
@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_variable_of_ours_leaves_the_common_one(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    set_up(monkeypatch)
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", blank)
    shown = serialize_value(RepositorySnap.from_def(loaded().get_repository_def())).replace("\\", "")
    assert '{"env": "DATABASE_URL"}' in shown


@dagsters_own_deprecation
def test_what_dagster_loads_is_built_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, BREVO_LIST_ID="7")
    shown = serialize_value(RepositorySnap.from_def(as_dagster_loads_it().get_repository_def()))
    assert '"list_id": 7' in shown.replace("\\", "")


def test_a_wrong_setting_keeps_the_definitions_from_loading_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, BREVO_LIST_ID="main")
    with pytest.raises(SettingsError, match="BREVO_LIST_ID is 'main': it must be the whole number"):
        as_dagster_loads_it()
