"""The pictures in README and docs, from a running installation: `python -m crm_sync_pipeline_tests.screenshots`."""

import os
import sys
import tempfile
from pathlib import Path

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.sandbox.postgres import temporary
from crm_sync_pipeline.sandbox.sample_contacts import load, sample_contacts
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.browser import CHROMIUM, Ui, ui
from crm_sync_pipeline_tests.chaos.dagster_services import dagster_services, until

FOLDER = Path(__file__).parents[1] / "docs" / "images"
CONTACTS = 300
SELECT_SOME = """
ops:
  select_or_unselect:
    config:
      action: select
      statuses: [New]
      email_type: {kind}
      dry_run: false
"""
KINDS = ("CORPORATE", "SERVICE", "FREE", "UNKNOWN")
TALL = (1400, 1500)


def main() -> None:
    """Deliver sample contacts to the Brevo simulator, as the demo does, and look at what the UI shows of it."""
    if CHROMIUM is None:
        sys.exit("There is no Chromium here. No picture was taken. Install your system's own.")
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        temporary() as postgres,
        running(BrevoSimulator(BrevoConfig()).app) as brevo,
    ):
        database = Database(url=postgres.create_database("pictures"), crms=CRMS)
        database.upgrade(lambda _line: None)
        load(database, sample_contacts(CONTACTS))
        environment = {
            "DATABASE_URL": database.url,
            "BREVO_API_KEY": DEFAULT_KEY,
            "BREVO_API_BASE_URL": f"{brevo.base_url}/v3",
            "CRM_SYNC_DAGSTER_DB_URL": postgres.create_database("dagster"),
        }
        os.environ.update(environment)
        with dagster_services(Path(home), environment, 1, "crm_sync_pipeline.definitions") as services:
            services.start_code_server()
            services.start_daemon()
            services.start_webserver()
            with ui(services.graphql.removesuffix("/graphql")) as window:
                _take_all(window, database)
        database.engine.dispose()


def _take_all(window: Ui, database: Database) -> None:
    window.open_launchpad("select_contacts")
    window.take_picture(FOLDER / "launchpad.png")
    for kind in KINDS:  # some runs, so that there is something to plot
        window.open_launchpad("select_contacts")
        window.fill_in(SELECT_SOME.format(kind=kind))
        window.launch()
        window.see_status("Success")
        if kind == KINDS[0]:
            window.take_picture(FOLDER / "act.png")
        until(lambda: database.queue("brevo").depth() == 0, 90, "all that is due is taken")
    window.open_launchpad("check_queue")
    window.launch()
    window.see_status("Success")
    window.go("runs")
    window.see("brevo_sync")
    window.page.wait_for_timeout(2000)
    window.take_picture(FOLDER / "runs.png")
    window.go("assets/brevo/contact_queue?view=checks")
    window.page.get_by_text("Passed").first.wait_for()
    window.page.wait_for_timeout(1000)
    window.take_picture(FOLDER / "checks.png")
    window.page.set_viewport_size({"width": TALL[0], "height": TALL[1]})
    window.go("assets/brevo/contacts")
    window.page.get_by_role("button", name="Plots").click()
    window.page.wait_for_timeout(3000)
    window.take_picture(FOLDER / "plots.png")


if __name__ == "__main__":
    main()
