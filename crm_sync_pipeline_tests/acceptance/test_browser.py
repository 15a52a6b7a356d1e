"""What a person does in Dagster's UI, in a real browser, with a real daemon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.browser import CHROMIUM, Ui, ui
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.dagster_runs import Runs
from crm_sync_pipeline_tests.chaos.dagster_services import DagsterServices, dagster_services, until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here; install your system's own")

SELECT_NEW = """
ops:
  select_or_unselect:
    config:
      action: select
      statuses: [New]
      dry_run: false
"""
NO_CONTACT = """
ops:
  deliver_contact:
    config: {contact_id: anna, crm: brevo}
"""


@pytest.fixture
def services(
    monkeypatch: pytest.MonkeyPatch,
    world: World,
    postgres: EmbeddedPostgres,
    brevo_server: RunningSimulator,
    tmp_path: Path,
) -> Iterator[DagsterServices]:
    """The product as it is installed: its own definitions, a code server, a daemon and a webserver."""
    environment = {
        "DATABASE_URL": world.url,
        "BREVO_API_KEY": DEFAULT_KEY,
        "BREVO_API_BASE_URL": f"{brevo_server.base_url}/v3",
        "CRM_SYNC_DAGSTER_DB_URL": postgres.create_database("dagster_of_browser"),
    }
    monkeypatch.setenv("CRM_SYNC_DAGSTER_DB_URL", environment["CRM_SYNC_DAGSTER_DB_URL"])
    with dagster_services(tmp_path, environment, 1, "crm_sync_pipeline.definitions") as services:
        services.start_code_server()
        services.start_daemon()
        services.start_webserver()
        yield services
    postgres.drop_database("dagster_of_browser")


@pytest.fixture
def window(services: DagsterServices) -> Iterator[Ui]:
    with ui(services.graphql.removesuffix("/graphql")) as window:
        yield window


@pytest.mark.timeout(240)
def test_a_person_selects_contacts_watches_them_arrive_and_is_refused_a_bad_id(
    world: World, simulator: BrevoSimulator, services: DagsterServices, window: Ui
) -> None:
    """One long test, because Dagster needs ten seconds to come up."""
    world.add_many(12)
    world.execute("UPDATE contacts SET brevo_sync_status = 'New', brevo_processing_status = NULL")

    window.open_launchpad("select_contacts")
    assert "dry_run: true" in window.form(), "as it opens, it changes nothing"
    window.fill_in(SELECT_NEW)
    window.launch()
    window.see_status("Success")
    window.see("Selected 12 contacts for 1 CRM(s), 12 queued for processing")

    until(lambda: _complete(world) == 12, 60, "the sensor starts a run that delivers them")
    assert simulator.requests.total == 12
    runs = Runs(services.graphql)
    run_id = world.value("SELECT run_id FROM crm_sync.attempts LIMIT 1")
    until(lambda: runs.status(run_id) == "SUCCESS", 30, "and ends well")
    window.go(f"runs/{run_id}")
    window.see_status("Success")
    window.see("record_results")

    window.go("assets/brevo/contacts")
    window.page.get_by_role("button", name="Plots").click()
    for number in ("contacts_per_second", "p95_milliseconds", "requests", "synced", "seconds", "rate_limited"):
        window.page.get_by_text(number, exact=True).first.wait_for()
    until(lambda: window.page.locator("canvas").count() >= 6, 20, "six numbers are plotted")

    window.open_launchpad("sync_contact_now")
    window.fill_in(NO_CONTACT)
    window.launch()
    window.see_status("Failure")
    window.see("'anna' is no contact id. Nothing was changed.")
    assert simulator.requests.total == 12


def _complete(world: World) -> int:
    count: int = world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'")
    return count
