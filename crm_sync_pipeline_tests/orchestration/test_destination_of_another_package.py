"""A destination that another package brings: handed to build_definitions, and served as ours are."""

import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline.destinations.destination import NotReadyError
from crm_sync_pipeline.monitoring.readiness import check
from crm_sync_pipeline.settings import SettingsError
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.fifth_destination.definitions import ALL, defs, upgrade
from crm_sync_pipeline_tests.fifth_destination.destination import ACME, Acme
from crm_sync_pipeline_tests.fifth_destination.simulator import TOKEN, AcmeSimulator

HERE = Path(__file__).parents[1] / "fifth_destination"
PAGE = Path(__file__).parents[2] / "docs" / "adding-a-destination.md"


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Iterator[AcmeSimulator]:
    """Acme, with the environment that leads there."""
    simulator = AcmeSimulator()
    with running(simulator.app) as server:
        monkeypatch.setenv("ACME_TOKEN", TOKEN)
        monkeypatch.setenv("ACME_BASE_URL", server.base_url)
        yield simulator


def select_and_deliver(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)
    form = {"crms": ["acme"], "everything": True, "dry_run": False}
    config = {"ops": {"select_or_unselect": {"config": form}}}
    assert definitions.resolve_job_def("select_contacts").execute_in_process(run_config=config).success
    assert definitions.resolve_job_def("acme_sync").execute_in_process().success


def shown_as(language: str) -> list[str]:
    """The code of a language on the page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_page_shows_what_is_tested_here_word_for_word_and_no_other_code() -> None:
    tested = [(HERE / name).read_text() for name in ("destination.py", "definitions.py")]

    assert shown_as("python") == [each.replace("crm_sync_pipeline_tests.fifth_destination", "acme") for each in tested]


def test_a_destination_takes_less_than_sixty_lines() -> None:
    lines = (HERE / "destination.py").read_text().splitlines()

    assert len(lines) < 60
    assert max(map(len, lines)) <= 120


def test_its_contacts_are_selected_in_the_launchpad_and_delivered_by_its_own_job_beside_ours(
    monkeypatch: pytest.MonkeyPatch, fresh: World, acme: AcmeSimulator
) -> None:
    """The table is the user's: the page's own statement gives it Acme's columns."""
    monkeypatch.setenv("DATABASE_URL", fresh.url)
    (columns,) = shown_as("sql")
    fresh.execute(columns)
    upgrade()
    (contact,) = fresh.add("ann@example.com", name="Ann Lee", selected=False)

    select_and_deliver(defs())

    assert list(acme.people.values()) == [{"mail": "ann@example.com", "name": "Ann Lee"}]
    assert fresh.rows(
        "SELECT acme_sync_status, acme_processing_status, acme_ref, brevo_sync_status FROM contacts WHERE id = :id",
        id=contact,
    ) == [
        {
            "acme_sync_status": "Complete",
            "acme_processing_status": "Complete",
            "acme_ref": "person-1",
            "brevo_sync_status": "New",
        }
    ]


def test_it_is_served_alone_from_a_database_that_has_no_contacts_table_yet(
    monkeypatch: pytest.MonkeyPatch, empty: World, acme: AcmeSimulator
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty.url)
    Database(url=empty.url, crms={"acme": ACME.crm}).upgrade(lambda _line: None)
    empty.execute("INSERT INTO contacts (email) VALUES ('ann@example.com')")

    select_and_deliver(build_definitions(destinations={"acme": ACME}))

    assert [person["mail"] for person in acme.people.values()] == ["ann@example.com"]


def test_settings_that_were_read_without_it_are_refused_in_a_sentence() -> None:
    with pytest.raises(SettingsError, match=r"^AcmeSettings was not read"):
        build_definitions(load_settings(), destinations={"acme": ACME})


def test_a_missing_secret_is_a_red_line_and_an_error_that_names_it_without_a_word_of_its_own(empty: World) -> None:
    without = Acme(base_url="http://x")

    report = check(Database(url=empty.url, crms={"acme": ACME.crm}), without)

    assert [line.name for line in report.lines if "ACME_TOKEN is not set" in line.says] == ["Account"]
    with pytest.raises(NotReadyError, match=r"^ACME_TOKEN is not set\. Nothing was sent"):
        without.require_ready()
    Acme(base_url="http://x", token="t").require_ready()


@pytest.mark.parametrize("raw", [' "sesame"\n', "'sesame'", "\ufeffsesame "])
def test_what_stands_around_a_secret_is_not_sent(raw: str) -> None:
    """A run is given the raw text of the variable: Dagster reads it, and not our settings."""
    assert Acme(token=raw).headers() == {"Authorization": "Bearer sesame"}


def test_it_has_its_own_schedule_sensor_and_catalogue_and_its_triggers_wait_for_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@db.example.com/crm")
    definitions = build_definitions(destinations={"acme": ACME})

    repository = definitions.get_repository_def()
    schedule = definitions.resolve_schedule_def("acme_sync_schedule")

    assert {sensor.name for sensor in repository.sensor_defs} == {"acme_queue_sensor", "alert_sensor"}
    assert schedule.description is not None
    assert "ACME_TOKEN is not set" in schedule.description
    assert (definitions.resources or {}).keys() == {"database", "acme", "io_manager", "open_claims"}
    assert ALL.keys() > {"acme"}
