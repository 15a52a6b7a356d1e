"""Dagster's resources: what a launch changes, and what it leaves as the environment says."""

import json
from typing import Any

import dagster as dg
import pytest

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.retry import RetryPolicy

KEY = "xkeysib-a-key-that-nobody-may-see"
URL = "postgresql://anna:s3cret@127.0.0.1:1/contacts"


@pytest.fixture
def definitions(monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    for name, value in {
        "DATABASE_URL": URL,
        "BREVO_API_KEY": KEY,
        "BREVO_API_BASE_URL": "http://127.0.0.1:8099/v3",
        "BREVO_CONCURRENCY": "3",
        "BREVO_SYNC_MAX_RETRIES": "7",
    }.items():
        monkeypatch.setenv(name, value)
    return build_definitions()


def launched_with(definitions: dg.Definitions, config: dict[str, Any]) -> tuple[Database, Brevo]:
    """What the ops of a run that is launched with this config of resources are given."""
    given: list[Any] = []

    @dg.op(required_resource_keys={"database", "brevo"})
    def take(context: dg.OpExecutionContext) -> None:
        given.extend([context.resources.database, context.resources.brevo])

    @dg.job
    def probe() -> None:
        take()

    made = dg.Definitions(jobs=[probe], resources=dict(definitions.resources or {}))
    resources = {name: {"config": fields} for name, fields in config.items()}
    assert made.resolve_job_def("probe").execute_in_process(run_config={"resources": resources}).success
    database, brevo = given
    return database, brevo


def test_a_run_gets_plain_objects_with_the_secrets_of_the_environment(definitions: dg.Definitions) -> None:
    database, brevo = launched_with(definitions, {})
    assert type(database) is Database
    assert type(brevo) is Brevo
    assert (database.url, brevo.api_key) == (URL, KEY)


def test_a_launch_changes_what_it_names_and_nothing_else(definitions: dg.Definitions) -> None:
    database, brevo = launched_with(definitions, {"brevo": {"concurrency": 5}, "database": {"lease_seconds": 60}})
    assert (brevo.concurrency, brevo.base_url, brevo.api_key) == (5, "http://127.0.0.1:8099/v3", KEY)
    assert (database.lease_seconds, database.url, database.crms) == (60, URL, CRMS)
    assert database.policy("brevo") == RetryPolicy(max_retries=7)


def test_a_launch_with_a_wrong_value_is_refused_by_its_name(definitions: dg.Definitions) -> None:
    with pytest.raises(dg.DagsterResourceFunctionError) as refused:
        launched_with(definitions, {"brevo": {"concurrency": 0}})
    assert "concurrency" in str(refused.value.__cause__)


def test_the_ui_is_told_the_names_of_the_variables_and_no_secret(definitions: dg.Definitions) -> None:
    resources = definitions.get_repository_def().get_top_level_resources()
    shown = json.dumps({name: resources[name].config_schema.default_value for name in ("database", "brevo")})
    assert "BREVO_API_KEY" in shown
    assert "DATABASE_URL" in shown
    assert KEY not in shown
    assert "s3cret" not in shown
