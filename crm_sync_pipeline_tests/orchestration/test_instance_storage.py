"""Where Dagster keeps its own history. Our storage class stands on private parts of Dagster: it is tried for real."""

import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import psycopg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_postgres import PostgresRunStorage
from dagster_shared.utils.config import load_toml_as_dict

import crm_sync_pipeline
from crm_sync_pipeline.contact_queue.database.url import DatabaseUrlError, parsed
from crm_sync_pipeline.orchestration.instance_storage import HistoryError
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres

VARIABLE = "CRM_SYNC_DAGSTER_DB_URL"
DAGSTER_YAML = Path(crm_sync_pipeline.__file__).parents[1] / "dagster.yaml"
PYPROJECT = DAGSTER_YAML.with_name("pyproject.toml")


@dg.op
def answer() -> int:
    return 42


@dg.job
def trivial() -> None:
    answer()


@contextmanager
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance of the repository's own dagster.yaml, in the working folder, as a new process would have it."""
    shutil.copy(DAGSTER_YAML, "dagster.yaml")
    with dg.DagsterInstance.from_config(str(Path.cwd())) as made:
        yield made


@pytest.fixture
def database(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"dagster_{abs(hash(request.node.name))}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


def schedule_state() -> InstigatorState:
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="nowhere"), "nowhere")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "repository"), "a_schedule")
    return InstigatorState(
        origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, ScheduleInstigatorData("*/5 * * * *", 1.0)
    )


def exercise() -> None:
    """Runs, event log and schedules really work, and are there for the next process."""
    with instance() as first:
        result = trivial.execute_in_process(instance=first)
        assert result.success
        first.add_instigator_state(schedule_state())
    with instance() as second:
        (run,) = second.get_runs()
        assert (run.run_id, run.status) == (result.run_id, dg.DagsterRunStatus.SUCCESS)
        kinds = [record.dagster_event.event_type for record in second.all_logs(run.run_id) if record.dagster_event]
        assert kinds[-1] is dg.DagsterEventType.RUN_SUCCESS
        assert dg.DagsterEventType.STEP_SUCCESS in kinds
        (state,) = second.all_instigator_state()
        assert state.name == "a_schedule"
        state = state.with_status(InstigatorStatus.STOPPED)
        second.update_instigator_state(state)
    with instance() as third:
        assert third.all_instigator_state()[0].status is InstigatorStatus.STOPPED


@pytest.mark.parametrize("value", [None, "", " \n"])
def test_without_a_url_history_is_kept_in_sqlite_below_var(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    exercise()
    with instance() as made:
        assert isinstance(made.run_storage, SqliteRunStorage)
    assert any(Path("var/dagster").rglob("*.db"))
    assert {path.name for path in Path.cwd().iterdir()} <= {"dagster.yaml", "var", ".logs_queue"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """DAGSTER_HOME, which is not the working folder."""
    shutil.copy(DAGSTER_YAML, tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def work_elsewhere(monkeypatch: pytest.MonkeyPatch, home: Path, name: str) -> Path:
    folder = home.parent / f"{home.name}-{name}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_processes_in_different_folders_share_the_history_below_dagster_home(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    first = work_elsewhere(monkeypatch, home, "webserver")
    with dg.DagsterInstance.get() as webserver:
        run = webserver.create_run_for_job(trivial)
        handed_over = webserver.get_ref()
    second = work_elsewhere(monkeypatch, home, "daemon")
    with dg.DagsterInstance.get() as daemon:
        assert [each.run_id for each in daemon.get_runs()] == [run.run_id]
    third = work_elsewhere(monkeypatch, home, "worker")
    with dg.DagsterInstance.from_ref(handed_over) as worker:
        assert [each.run_id for each in worker.get_runs()] == [run.run_id]
        for below in (worker.storage_directory(), worker.schedules_directory(), worker.file_manager_directory("a")):
            assert Path(below).is_relative_to(home / "var/dagster")
    assert [path for folder in (first, second, third) for path in folder.iterdir()] == []


def test_a_home_may_begin_with_a_tilde_as_dagster_allows(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("HOME", str(home.parent))
    monkeypatch.setenv("DAGSTER_HOME", f"~/{home.name}")
    work_elsewhere(monkeypatch, home, "webserver")
    with dg.DagsterInstance.get():
        assert (home / "var/dagster/history/runs.db").exists()


def test_absolute_folders_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    elsewhere = work_elsewhere(monkeypatch, home, "elsewhere")
    ours = (home / "dagster.yaml").read_text().replace("var/dagster", str(elsewhere))
    (home / "dagster.yaml").write_text(ours)
    with dg.DagsterInstance.get() as made:
        assert made.storage_directory() == str(elsewhere / "storage")
    assert {path.name for path in elsewhere.iterdir()} == {"history", "schedules"}


def test_a_dagster_yaml_that_names_dagsters_own_artifact_storage_still_works(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """As it was handed out until now."""
    settings = yaml.safe_load((home / "dagster.yaml").read_text())
    settings["local_artifact_storage"] |= {"module": "dagster._core.storage.root", "class": "LocalArtifactStorage"}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    work_elsewhere(monkeypatch, home, "webserver")
    with dg.DagsterInstance.get() as made:
        run = made.create_run_for_job(trivial)
        assert [each.run_id for each in made.get_runs()] == [run.run_id]


def test_a_process_that_was_handed_a_configuration_and_knows_no_home_refuses_to_guess(
    monkeypatch: pytest.MonkeyPatch, home: Path, database: str
) -> None:
    with dg.DagsterInstance.get() as daemon:
        handed_over = daemon.get_ref()
    monkeypatch.delenv("DAGSTER_HOME")
    folder = work_elsewhere(monkeypatch, home, "worker")
    with pytest.raises(HistoryError, match="DAGSTER_HOME is not set, and there is no"):
        dg.DagsterInstance.from_ref(handed_over)
    assert list(folder.iterdir()) == []
    monkeypatch.setenv(VARIABLE, database)
    with dg.DagsterInstance.from_ref(handed_over) as worker:
        assert worker.get_runs() == []


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_with_a_url_history_is_kept_in_postgresql_whatever_driver_it_names(
    monkeypatch: pytest.MonkeyPatch, database: str, scheme: str
) -> None:
    monkeypatch.setenv(VARIABLE, database.replace("postgresql", scheme, 1))
    with instance() as made:
        assert isinstance(made.run_storage, PostgresRunStorage)
        assert made.run_storage.postgres_url.startswith("postgresql+psycopg2://")
        assert "tcp_user_timeout=15000" in made.run_storage.postgres_url, "a server that vanished is given up"
    exercise()
    assert not Path("var/dagster/history").exists()


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://postgres@/{name}?host={folder}&port={port}\n",
        "postgresql+asyncpg://postgres:p@ss#w%@{encoded}:{port}/{name}?pgbouncer=true&connection_limit=1&ssl=require",
        "'postgres://postgres@{encoded}:{port}/{name}?sslmode=no-verify&schema=public&application_name=of_dagster'",
        "postgresql://postgres@%2Fnowhere,{encoded}:{port}/{name}?target_session_attrs=read-write&currentSchema=public",
        "host={folder} port={port} dbname={name} user=postgres",
    ],
)
def test_history_is_kept_by_a_url_as_hosts_print_it(monkeypatch: pytest.MonkeyPatch, database: str, form: str) -> None:
    place = parsed(database).url
    folder, port = str(place.query["host"]), place.query["port"]
    text = form.format(folder=folder, encoded=quote(folder, safe=""), port=port, name=place.database)
    monkeypatch.setenv(VARIABLE, text)
    exercise()
    with instance() as made:
        assert isinstance(made.run_storage, PostgresRunStorage)
    assert not Path("var/dagster/history").exists()


def test_a_schema_in_the_url_is_where_history_is_kept(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE SCHEMA history")
    monkeypatch.setenv(VARIABLE, f"{database}&schema=history")
    exercise()
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename IN ('runs', 'event_logs')"
        ).fetchall()
    assert found == [("history",)] * 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mysql://anna:s3cret@h/dagster", "names mysql"),
        ("postgresql://anna:s3cret@h/dagster?bogus=s3cret", "has the option bogus"),
        ("postgresql://anna:s3cret@h/dagster?oauth_scope=s3cret", "has the option oauth_scope"),
        ("postgresql://anna:1?s3cret=@h/dagster", "can't be read as a URL"),
    ],
)
def test_a_url_that_can_not_be_used_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(DatabaseUrlError, match=f"^{VARIABLE} {says}.* Nothing was done") as refused, instance():
        pass
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("around", ["'{}'", '"{}"\r', " {}\n"], ids=ascii)
def test_what_is_around_the_url_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch, database: str, around: str) -> None:
    monkeypatch.setenv(VARIABLE, around.format(database))
    with instance() as made:
        assert isinstance(made.run_storage, PostgresRunStorage)
        assert trivial.execute_in_process(instance=made).success


def test_the_password_of_the_url_is_not_in_what_is_handed_to_child_processes(
    monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.setenv(VARIABLE, database.replace("postgres@", "postgres:sesame@"))
    with instance() as made:
        assert isinstance(made.run_storage, PostgresRunStorage)
        assert ":sesame@" in made.run_storage.postgres_url
        assert "sesame" not in str(made.get_ref().to_dict())


def test_dagster_yaml_retries_only_runs_that_died_and_lets_one_run_a_destination_through() -> None:
    with instance() as made:
        settings = {
            name: made.get_settings(name) for name in ("run_retries", "run_monitoring", "run_queue", "telemetry", "nux")
        }
        assert settings["run_retries"] == {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}
        assert settings["run_monitoring"]["enabled"] is True
        assert settings["telemetry"] == settings["nux"] == {"enabled": False}
        queue = made.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 5
        assert list(queue.tag_concurrency_limits) == [
            {"key": "crm_sync/destination", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
        ]
        assert type(made.compute_log_manager).__name__ == "NoOpComputeLogManager"


def test_a_dagster_yaml_that_names_the_old_module_keeps_the_same_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)
    with instance() as made:
        run_id = trivial.execute_in_process(instance=made).run_id
    ours = DAGSTER_YAML.read_text("utf-8")
    before = ours.replace("crm_sync_pipeline.orchestration.instance_storage", "crm_sync_pipeline.instance_storage")
    assert before.count("module: crm_sync_pipeline.instance_storage\n") == 2
    Path("dagster.yaml").write_text(before)

    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        assert isinstance(made.run_storage, SqliteRunStorage)
        assert [each.run_id for each in made.get_runs()] == [run_id]


def test_dagster_yaml_and_workspace_yaml_name_what_exists() -> None:
    workspace = yaml.safe_load((DAGSTER_YAML.parent / "workspace.yaml").read_text("utf-8"))
    (location,) = workspace["load_from"]
    assert location["python_module"]["module_name"] == "crm_sync_pipeline.definitions"
    settings = yaml.safe_load(DAGSTER_YAML.read_text("utf-8"))
    ours = "crm_sync_pipeline.orchestration.instance_storage"
    storage, artifacts = settings["storage"]["custom"], settings["local_artifact_storage"]
    assert (storage["module"], storage["class"]) == (ours, "PostgresOrSqliteStorage"), "users' own files name it too"
    assert (artifacts["module"], artifacts["class"]) == (ours, "ArtifactsBelowHome")


def test_dg_and_dagster_find_the_same_definitions_under_the_same_name() -> None:
    tools = load_toml_as_dict(PYPROJECT)["tool"]
    project = tools["dg"]["project"]
    assert tools["dg"]["directory_type"] == "project"
    assert project["root_module"] == crm_sync_pipeline.__name__
    assert project["code_location_target_module"] == tools["dagster"]["module_name"]
    assert project["code_location_name"] == tools["dagster"]["code_location_name"]


@pytest.mark.skipif(find_spec("dagster_dg_cli") is None, reason="dg is not here; install dagster-dg-cli")
@pytest.mark.parametrize("command", [["check", "toml"], ["check", "defs"], ["list", "defs", "--json"]], ids="-".join)
def test_dg_loads_the_definitions(tmp_path: Path, command: list[str]) -> None:
    shutil.copy(DAGSTER_YAML, tmp_path)
    for name in ("pyproject.toml", crm_sync_pipeline.__name__):
        (tmp_path / name).symlink_to(PYPROJECT.parent / name)
    environment = os.environ | {"DAGSTER_HOME": str(tmp_path)}
    dg_command = [sys.executable, "-c", "from dagster_dg_cli.cli import main; main()", *command]
    done = subprocess.run(dg_command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
