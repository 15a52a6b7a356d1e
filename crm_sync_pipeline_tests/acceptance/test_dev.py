"""`./run dev` as a real process, with a real daemon and webserver: what a person does in its UI, and how it ends.

The tests share one, because Dagster needs ten seconds of two cores to come up; the last ends it.
"""

import os
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.acceptance.processes import Dev, dev
from crm_sync_pipeline_tests.browser import CHROMIUM, ui
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.dagster_runs import Runs
from crm_sync_pipeline_tests.chaos.dagster_services import until
from crm_sync_pipeline_tests.conftest import without_settings

pytestmark = pytest.mark.whole_dagster

CHECKOUT = Path(__file__).parents[2]
KEY = "xkeysib-4f1d0secret0never0to0be0seen"
PASSWORD = "database0password0never0to0be0seen"
ADDRESS = re.compile(rb"[\w.+-]+@(?:[\w-]+\.)+[a-z]{2,}")

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


@pytest.fixture(scope="module")
def world(module_world: World) -> World:
    return module_world


@pytest.fixture(scope="module")
def simulator() -> BrevoSimulator:
    return BrevoSimulator(BrevoConfig(api_keys=frozenset({KEY}), limits=PLANS["unlimited"]))


@pytest.fixture(scope="module")
def instance(postgres: EmbeddedPostgres) -> Iterator[World]:
    """The database in which Dagster keeps its history."""
    made = World(postgres.create_database("dagster_of_dev"))
    yield made
    made.engine.dispose()
    postgres.drop_database("dagster_of_dev")


@pytest.fixture(scope="module")
def installation(
    world: World, simulator: BrevoSimulator, instance: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dev]:
    folder = tmp_path_factory.mktemp("dev")
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(CHECKOUT / name, folder)
    with running(simulator.app) as brevo:
        environment = {
            **without_settings(os.environ),
            "DATABASE_URL": world.url.replace("postgres@", f"postgres:{PASSWORD}@"),
            "BREVO_API_KEY": KEY,
            "BREVO_API_BASE_URL": f"{brevo.base_url}/v3",
            "BREVO_REQUESTS_PER_SECOND": "50",
            "CRM_SYNC_DAGSTER_DB_URL": instance.url,
            "MAUTIC_USERNAME": "half-of-an-account",
        }
        with dev(folder, environment) as installation:
            yield installation


@pytest.mark.timeout(240)
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here; install your system's own")
def test_a_person_selects_contacts_watches_them_arrive_and_is_refused_a_bad_id(
    world: World, simulator: BrevoSimulator, installation: Dev
) -> None:
    world.add_many(12)
    world.execute("UPDATE contacts SET brevo_sync_status = 'New', brevo_processing_status = NULL")
    with ui(installation.ui) as window:
        window.open_launchpad("select_contacts")
        assert "dry_run: true" in window.form(), "as it opens, it changes nothing"
        window.fill_in(SELECT_NEW)
        window.launch()
        window.see_status("Success")
        window.see("Selected 12 contacts for 1 CRM(s), 12 queued for processing")

        until(lambda: _complete(world) == 12, 60, "the sensor starts a run that delivers them")
        assert simulator.requests.total == 12
        runs = Runs(f"{installation.ui}/graphql")
        run_id = world.value("SELECT run_id FROM crm_sync.attempts LIMIT 1")
        until(lambda: runs.status(run_id) == "SUCCESS", 30, "and ends well")
        window.go(f"runs/{run_id}")
        window.see_status("Success")
        window.see("record_results")

        window.go("assets/brevo/contacts")
        window.page.get_by_role("button", name="Plots").click()
        for number in ("contacts_per_second", "requests", "synced", "seconds", "rate_limited"):
            window.page.get_by_text(number, exact=True).first.wait_for()
        until(lambda: window.page.locator("canvas").count() >= 6, 20, "six numbers are plotted")

        window.open_launchpad("sync_contact_now")
        window.fill_in(NO_CONTACT)
        window.launch()
        window.see_status("Failure")
        window.see("'anna' is not a contact id. Nothing was changed.")
        assert simulator.requests.total == 12


@pytest.mark.timeout(240)
def test_each_crm_without_an_account_of_its_own_is_simulated_and_gets_its_contacts(
    world: World, installation: Dev
) -> None:
    log = (installation.folder / "dev.log").read_text()
    at = {name: _simulator_in(log, DESTINATIONS[name].title) for name in DESTINATIONS}
    assert [name for name, address in at.items() if not address] == ["brevo"], "whose account is set"
    simulated = [name for name, address in at.items() if address]
    contacts = world.add("everywhere1@example.com", "everywhere2@example.com", selected=False)
    world.select(*contacts, crms=simulated)
    for name in simulated:
        until(
            partial(_have_arrived, world, contacts, name), 60, f"the sensor of {name} starts a run that delivers them"
        )
        requests = httpx.get(f"{at[name]}/simulator/requests", trust_env=False).text
        assert requests.count("everywhere") >= len(contacts), name


@pytest.mark.timeout(240)
def test_it_delivers_by_sensor_keeps_secrets_and_stops_at_once(
    world: World, simulator: BrevoSimulator, installation: Dev, instance: World
) -> None:
    contacts = world.add(*(f"person{number}@example.com" for number in range(40)), name="Ada")
    refused = world.add("invalid-address")
    until(lambda: world.status(contacts[0])[1] == "Complete", 40, "the sensor starts a run")
    until(lambda: world.status(refused[0]) == ("Queued", "Queued"), 20, "and the refused one waits")
    assert {world.status(contact) for contact in contacts} == {("Complete", "Complete")}

    slow = world.add(*(f"slow{number}@example.com" for number in range(200)), selected=False)
    simulator.inject("latency=700")
    before = world.value("SELECT count(*) FROM crm_sync.attempts")
    world.select(*slow)
    until(
        lambda: world.rows("SELECT 1 FROM crm_sync.attempts OFFSET :n", n=before + 5), 40, "a long run is in progress"
    )
    stopped_in = installation.interrupt()
    # Five seconds are the promise; these tests keep both cores busy with other things.
    assert stopped_in < 8, "Ctrl-C stops everything within five seconds"
    states = {world.status(contact) for contact in slow}
    assert states == {("Complete", "Complete"), ("Queued", "Queued")}, (
        "the interrupted run gave back what it had claimed"
    )
    assert world.value("SELECT count(*) FROM crm_sync.deliveries WHERE claim_token IS NOT NULL") == 0

    folder = installation.folder
    seen = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    dumped = _dump(instance)
    assert Path("dev.log") in seen
    assert b"batch_recorded" in dumped, "the dump shows what Dagster keeps"
    for where, content in {**seen, Path("Dagster's database"): dumped}.items():
        assert KEY.encode() not in content, f"the key is in {where}"
        assert PASSWORD.encode() not in content, f"the database's password is in {where}"
        assert ADDRESS.findall(content) == [], f"an e-mail address is in {where}"


def _simulator_in(log: str, title: str) -> str:
    """Where the simulator of this CRM is, as `./run dev` says; "" where there is none."""
    said = re.search(rf"^{title}: simulated; what it was sent is at (\S+)/simulator/requests", log, re.MULTILINE)
    return said[1] if said else ""


def _have_arrived(world: World, contacts: list[UUID], crm: str) -> bool:
    return {world.status(each, crm)[1] for each in contacts} == {"Complete"}


def _complete(world: World) -> int:
    count: int = world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'")
    return count


def _dump(world: World) -> bytes:
    """Every row of every table, as text."""
    tables = world.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [
        world.rows(f'SELECT t::text AS row FROM "{table["tablename"]}" t')  # a name from the catalogue
        for table in tables
    ]
    return "\n".join(row["row"] for table in rows for row in table).encode()
