"""The job hubspot_sync, as Dagster runs it: it comes from the registry, like that of every CRM."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pytest

from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.simulators import SIMULATIONS
from crm_sync_pipeline.simulators.hubspot import HubspotSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.simulators import hubspot_contract


@pytest.fixture
def simulator(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubspotSimulator]:
    """An account that the environment leads to, as `crm-sync simulate hubspot` says."""
    simulation = SIMULATIONS["hubspot"]
    made = simulation.build("unlimited", ())
    assert isinstance(made, HubspotSimulator)
    with running(made.app) as server:
        settings = {**simulation.settings_at(server.base_url), "HUBSPOT_REQUESTS_PER_SECOND": "1000"}
        for name, value in {"DATABASE_URL": world.url, **settings}.items():
            monkeypatch.setenv(name, value)
        yield made


def run(job: str = "hubspot_sync", ops: Mapping[str, Any] | None = None) -> dg.ExecuteInProcessResult:
    definitions = build_definitions()
    config = {"ops": {name: {"config": each} for name, each in (ops or {}).items()}}
    return definitions.resolve_job_def(job).execute_in_process(run_config=config, raise_on_error=False)


def metadata(result: dg.ExecuteInProcessResult, step: str) -> Mapping[str, Any]:
    (event,) = (
        each
        for each in result.all_events
        if each.event_type is dg.DagsterEventType.STEP_OUTPUT and each.step_key == step
    )
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def test_of_2000_contacts_one_in_a_hundred_is_bad_and_exactly_those_come_back(
    world: World, simulator: HubspotSimulator
) -> None:
    world.execute(
        """
        INSERT INTO contacts (email, name, domain_id, page_id)
        SELECT CASE WHEN n % 100 = 0 THEN 'bad-' || n ELSE n || '@example.com' END, 'N' || n, domains.id, pages.id
        FROM generate_series(1, 2000) n, (SELECT id FROM domains LIMIT 1) domains, (SELECT id FROM pages LIMIT 1) pages
        """
    )
    selected = run(
        "select_contacts", {"select_or_unselect": {"crms": ["hubspot"], "everything": True, "dry_run": False}}
    )
    assert selected.success
    result = run(ops={"claim_batch": {"destination": "hubspot", "batch_size": 2000}})
    assert result.success
    shown = metadata(result, "sync_to_hubspot")
    assert (shown["synced"], shown["rejected"], shown["requests"]) == (1980, 20, 20)
    assert shown["reasons"] == {"created": 1980, "invalid_email": 20}
    wrong = world.rows("SELECT email FROM contacts WHERE hubspot_processing_status <> 'Complete'")
    assert {row["email"] for row in wrong} == {f"bad-{number}" for number in range(100, 2001, 100)}
    for row in world.rows("SELECT email, name, hubspot_contact_id FROM contacts WHERE hubspot_contact_id IS NOT NULL"):
        held = simulator.contacts[row["email"]]
        assert (held.id, held.properties["firstname"]) == (row["hubspot_contact_id"], row["name"])
    assert len(simulator.contacts) == 1980


def test_a_wrong_key_makes_the_run_red_and_the_next_one_goes_on_where_it_stopped(
    world: World, simulator: HubspotSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = world.add("ann@example.com", "bob@example.com", selected=False)
    world.select(*ids, crms=("hubspot",))
    with monkeypatch.context() as patch:
        patch.setenv("HUBSPOT_API_KEY", "pat-na1-other")
        refused = run()
    assert not refused.success
    assert not simulator.contacts
    assert {world.delivery(each, "hubspot")["retry_count"] for each in ids} == {0}
    assert run("resume_destination", {"probe_destination": {"destination": "hubspot"}}).success
    assert run().success
    assert [world.status(each, "hubspot") for each in ids] == [("Complete", "Complete")] * 2


def test_it_has_schedule_sensor_and_catalogue_and_they_wait_for_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@db.example.com/crm")
    off = build_definitions()
    monkeypatch.setenv("HUBSPOT_API_KEY", "pat-na1-x")
    on = build_definitions()
    for definitions, status in ((off, "STOPPED"), (on, "RUNNING")):
        schedule = next(each for each in definitions.schedules or () if each.name.startswith("hubspot_sync"))
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert schedule.default_status.value == status
        assert any(each.name == "hubspot_queue_sensor" for each in definitions.sensors or ())
    keys = {key.to_user_string() for key in on.resolve_asset_graph().get_all_asset_keys()}
    assert {"hubspot/contacts", "hubspot/contact_queue"} <= keys


@pytest.mark.skipif(
    not hubspot_contract.DOCUMENT.exists(), reason="HubSpot's document does not lie beside this repository."
)
def test_every_request_of_ours_is_one_that_hubspots_document_knows(world: World, simulator: HubspotSimulator) -> None:
    (contact,) = world.add("ann@example.com", selected=False, name="Ann Bee", phone_number="1")
    for change in ("phone_number = NULL", "email = 'ann@new.example.com'"):
        world.select(contact, crms=("hubspot",))
        assert run().success
        world.execute(f"UPDATE contacts SET {change} WHERE id = :id", id=contact)
    world.select(contact, crms=("hubspot",))
    assert run().success
    schemas = {
        "upsert": "BatchInputSimplePublicObjectBatchInputUpsert",
        "read": "BatchReadInputSimplePublicObjectId",
        "update": "BatchInputSimplePublicObjectBatchInput",
    }
    asked = [(entry.path.rpartition("/")[2], entry.json) for entry in simulator.requests]
    assert {kind for kind, _ in asked} == schemas.keys()
    for kind, body in asked:
        hubspot_contract.hold(body, schemas[kind])
