"""The job mautic_sync, as Dagster runs it: it comes from the registry, like that of every CRM."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pytest

from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.simulators import SIMULATIONS
from crm_sync_pipeline.simulators.mautic import MauticSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World


@pytest.fixture
def simulator(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[MauticSimulator]:
    """A Mautic that the environment leads to, as `crm-sync simulate mautic` says."""
    simulation = SIMULATIONS["mautic"]
    made = simulation.build("unlimited", ())
    assert isinstance(made, MauticSimulator)
    with running(made.app) as server:
        settings = {**simulation.settings_at(server.base_url), "MAUTIC_SEGMENT_ID": "1", "MAUTIC_TAGS": "crm"}
        for name, value in {"DATABASE_URL": world.url, **settings}.items():
            monkeypatch.setenv(name, value)
        yield made


def run(job: str = "mautic_sync", ops: Mapping[str, Any] | None = None) -> dg.ExecuteInProcessResult:
    config = {"ops": {name: {"config": each} for name, each in (ops or {}).items()}}
    return build_definitions().resolve_job_def(job).execute_in_process(run_config=config, raise_on_error=False)


def test_of_500_contacts_one_in_fifty_is_bad_and_exactly_those_come_back(
    world: World, simulator: MauticSimulator
) -> None:
    world.execute(
        """
        INSERT INTO contacts (email, name, domain_id, page_id, has_gmail)
        SELECT CASE WHEN n % 50 = 0 THEN 'bad-' || n ELSE n || '@example.com' END, 'N' || n, domains.id, pages.id, true
        FROM generate_series(1, 500) n, (SELECT id FROM domains LIMIT 1) domains, (SELECT id FROM pages LIMIT 1) pages
        """
    )
    selected = run(
        "select_contacts", {"select_or_unselect": {"crms": ["mautic"], "everything": True, "dry_run": False}}
    )
    assert selected.success
    assert run(ops={"claim_batch": {"destination": "mautic", "batch_size": 500}}).success
    wrong = world.rows("SELECT email FROM contacts WHERE mautic_processing_status <> 'Complete'")
    assert {row["email"] for row in wrong} == {f"bad-{number}" for number in range(50, 501, 50)}
    for row in world.rows("SELECT * FROM contacts WHERE mautic_processing_status = 'Complete'"):
        held = simulator.contacts[row["email"]]
        assert (str(held.id), held.fields["firstname"]) == (row["mautic_contact_id"], row["name"])
        assert (set(held.segments), held.tags, held.fields["scrapersky_has_gmail"]) == ({1}, ("crm",), 1)
        assert held.fields["scrapersky_domain_id"] == str(row["domain_id"])


@pytest.mark.parametrize("wrong", [{"MAUTIC_CLIENT_SECRET": "other"}, {"MAUTIC_SEGMENT_ID": "9"}])
def test_a_wrong_setting_makes_the_run_red_and_the_next_one_goes_on_where_it_stopped(
    world: World, simulator: MauticSimulator, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    ids = world.add("ann@example.com", "bob@example.com", selected=False)
    world.select(*ids, crms=("mautic",))
    with monkeypatch.context() as patch:
        for name, value in wrong.items():
            patch.setenv(name, value)
        assert not run().success
    assert {world.delivery(each, "mautic")["retry_count"] for each in ids} == {0}
    assert run("resume_destination", {"probe_destination": {"destination": "mautic"}}).success
    assert run().success
    assert [world.status(each, "mautic") for each in ids] == [("Complete", "Complete")] * 2
    assert all(contact.segments == {1} for contact in simulator.instance.contacts.values())


def test_one_contact_is_for_two_crms_and_each_has_its_own_end(world: World, simulator: MauticSimulator) -> None:
    (contact,) = world.add("ann@example.com")
    world.select(contact, crms=("mautic",))
    assert run().success
    assert world.status(contact, "mautic") == ("Complete", "Complete")
    assert world.status(contact) == ("Selected", "Queued")
    assert "ann@example.com" in simulator.contacts


def test_it_has_schedule_sensor_and_catalogue_and_they_wait_for_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@db.example.com/crm")
    monkeypatch.setenv("MAUTIC_BASE_URL", "https://mautic.example.com")
    off = build_definitions()
    monkeypatch.setenv("MAUTIC_CLIENT_ID", "id")
    monkeypatch.setenv("MAUTIC_CLIENT_SECRET", "secret")
    on = build_definitions()
    for definitions, status in ((off, "STOPPED"), (on, "RUNNING")):
        schedule = definitions.resolve_schedule_def("mautic_sync_schedule")
        assert schedule.default_status.value == status
        assert definitions.resolve_sensor_def("mautic_queue_sensor").default_status.value == status
    keys = {key.to_user_string() for key in on.resolve_asset_graph().get_all_asset_keys()}
    assert {"mautic/contacts", "mautic/contact_queue"} <= keys
