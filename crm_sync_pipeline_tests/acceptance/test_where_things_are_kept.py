"""Dagster's commands as real processes in folders of their own: one history, and no file that nobody may write."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY
from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.acceptance.processes import heeds_permissions
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.dagster_services import free_port
from crm_sync_pipeline_tests.conftest import without_settings

CHECKOUT = Path(__file__).parents[2]
EXECUTE = ("job", "execute", "-m", "crm_sync_pipeline.definitions", "-j", "brevo_sync")
LIST = ("run", "list")
SIZE = 5


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def environment(world: World, brevo_server: RunningSimulator, home: Path) -> dict[str, str]:
    world.add_many(SIZE)
    return {
        **without_settings(os.environ),
        "DAGSTER_HOME": str(home),
        "DATABASE_URL": world.url,
        "BREVO_API_KEY": DEFAULT_KEY,
        "BREVO_API_BASE_URL": f"{brevo_server.base_url}/v3",
    }


def dagster(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of Dagster's commands in a folder, as a user whom permissions bind."""
    return run("dagster", folder, environment, *arguments)


def run(module: str, folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=heeds_permissions,
        check=False,
    )


def complete(world: World) -> int:
    return int(world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'"))


def untouched(world: World) -> int:
    return int(world.value("SELECT count(*) FROM contacts WHERE brevo_sync_status = 'Selected'"))


def test_processes_in_different_folders_see_the_same_runs(
    world: World, environment: dict[str, str], home: Path
) -> None:
    worker, webserver = (home.parent / f"{home.name}-{name}" for name in ("worker", "webserver"))
    executed = dagster(worker, environment, *EXECUTE)
    assert executed.returncode == 0, executed.stderr
    listed = dagster(webserver, environment, *LIST)
    assert complete(world) == SIZE
    assert "brevo_sync" in listed.stdout
    assert [path for folder in (worker, webserver) for path in folder.iterdir()] == []
    assert (home / "var/dagster/history/runs.db").exists()


def test_with_its_history_in_postgresql_a_run_needs_no_folder_that_it_can_write(
    world: World, environment: dict[str, str], home: Path, postgres: EmbeddedPostgres
) -> None:
    environment["CRM_SYNC_DAGSTER_DB_URL"] = postgres.create_database("history_of_the_unwritable")
    home.chmod(0o555)
    executed = dagster(home, environment, *EXECUTE)
    assert executed.returncode == 0, executed.stderr
    assert complete(world) == SIZE
    assert [path.name for path in home.iterdir()] == ["dagster.yaml"]
    postgres.drop_database("history_of_the_unwritable")


@pytest.mark.parametrize("made_before", [False, True], ids=["the_home", "a_file_of_another_user"])
def test_a_history_that_can_not_be_written_is_said_in_a_sentence_before_anything_is_claimed(
    world: World, environment: dict[str, str], home: Path, made_before: bool
) -> None:
    unwritable = home / "var"
    if made_before:
        assert dagster(home, environment, *LIST).returncode == 0
        unwritable = home / "var/dagster/history/runs.db"
        unwritable.chmod(0o444)
    else:
        home.chmod(0o555)
    executed = dagster(home, environment, *EXECUTE)
    assert executed.returncode == 1
    assert f"can't create or write {unwritable}. Nothing was started and no contact was claimed." in executed.stderr
    assert "set CRM_SYNC_DAGSTER_DB_URL" in executed.stderr
    assert "Traceback" not in executed.stderr
    assert untouched(world) == SIZE


def test_dev_says_in_a_sentence_that_it_can_not_write_where_it_keeps_its_postgresql(
    environment: dict[str, str], home: Path
) -> None:
    shutil.copy(CHECKOUT / "workspace.yaml", home)
    home.chmod(0o555)
    started = run("crm_sync_pipeline.cli", home, {**environment, "DATABASE_URL": ""}, "dev", "--port", str(free_port()))
    assert started.returncode == 1
    assert "Error: PostgreSQL could not be started in var/postgres" in started.stderr
    assert "Make that directory usable for this user" in started.stderr
    assert "Traceback" not in started.stderr
