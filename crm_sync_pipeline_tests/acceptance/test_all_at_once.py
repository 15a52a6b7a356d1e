"""One contact, selected for every CRM: each has its own retries, attempts and errors, and disturbs no other."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import dagster as dg
import pytest

from crm_sync_pipeline.orchestration import sensors
from crm_sync_pipeline.simulators.server import RunningSimulator, running
from crm_sync_pipeline.simulators.simulator import Simulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.product import Product
from crm_sync_pipeline_tests.vendors import VENDORS

ALL = tuple(VENDORS)
SHARED = ("last_failed_crm", "retry_count")


@pytest.fixture(scope="module")
def accounts() -> Iterator[Mapping[str, tuple[Simulator, RunningSimulator]]]:
    with ExitStack() as stack:
        simulators = {name: vendor.simulator() for name, vendor in VENDORS.items()}
        yield {name: (each, stack.enter_context(running(each.app))) for name, each in simulators.items()}


@dataclass
class Everywhere:
    """One installation with every CRM: `at` has it as each CRM's job sees it."""

    world: World
    at: Mapping[str, Product]

    def add(self, *emails: str) -> list[UUID]:
        ids = self.world.add(*emails, selected=False, name="Ada Lovelace")
        self.world.select(*ids, crms=ALL)
        return ids

    def run(self, *crms: str) -> None:
        for name in crms:
            self.at[name].run(batch_size=100)

    def pass_minutes(self, minutes: float) -> None:
        self.world.pass_time(timedelta(minutes=minutes))

    def shared(self, contact: UUID) -> tuple[Any, ...]:
        row = self.world.contact(contact)
        return tuple(row[name] for name in SHARED)

    def retries(self, contact: UUID) -> dict[str, int]:
        rows = self.world.rows(
            "SELECT destination, retry_count FROM crm_sync.deliveries WHERE contact_id = :id", id=contact
        )
        return dict.fromkeys(ALL, 0) | {row["destination"]: row["retry_count"] for row in rows}

    def states(self, contact: UUID) -> dict[str, str | None]:
        return {name: each.status(contact)[1] for name, each in self.at.items()}


@pytest.fixture
def everywhere(
    accounts: Mapping[str, tuple[Simulator, RunningSimulator]],
    monkeypatch: pytest.MonkeyPatch,
    world: World,
    _instance_in_memory: dg.DagsterInstance,
    instance_on_disk: dg.DagsterInstance,
) -> Iterator[Everywhere]:
    monkeypatch.setattr(sensors, "LOOKS_FOR", timedelta(0))
    monkeypatch.setenv("DATABASE_URL", world.url)
    at = {}
    for name, (simulator, server) in accounts.items():
        simulator.heal()
        simulator.reset()
        account: Any = simulator
        at[name] = Product(monkeypatch, world, account, _instance_in_memory, instance_on_disk, name)
        at[name].set(**VENDORS[name].settings_at(server.base_url))
    yield Everywhere(world, at)
    _instance_in_memory.wipe()


def test_a_contact_that_is_selected_for_every_crm_goes_to_each(everywhere: Everywhere) -> None:
    contacts = everywhere.add("ada@example.com", "ben@example.com")
    everywhere.run(*ALL)
    for contact, address in zip(contacts, ("ada@example.com", "ben@example.com"), strict=True):
        row = everywhere.world.contact(contact)
        assert everywhere.states(contact) == dict.fromkeys(ALL, "Complete")
        for name, vendor in VENDORS.items():
            seen = vendor.seen(everywhere.at[name].simulator, address)
            assert seen, name
            assert (seen.name, row[vendor.id_column]) == ("Ada Lovelace", seen.column)
    assert {name: len(each.reasons()) for name, each in everywhere.at.items()} == dict.fromkeys(ALL, 2)


@pytest.mark.parametrize("failing", ALL)
def test_failures_of_one_spend_no_retry_of_another_and_a_success_of_another_does_not_hide_them(
    everywhere: Everywhere, failing: str
) -> None:
    (contact,) = everywhere.add("ada@example.com")
    well = [name for name in ALL if name != failing]
    everywhere.at[failing].simulator.inject("status-503")
    for retry in (1, 2, 3):
        everywhere.run(failing)
        assert everywhere.shared(contact) == (failing, retry)
        everywhere.pass_minutes(21)
    everywhere.run(*well)
    assert everywhere.states(contact) == {**dict.fromkeys(well, "Complete"), failing: "Queued"}
    assert everywhere.retries(contact) == {**dict.fromkeys(well, 0), failing: 3}
    assert everywhere.shared(contact) == (failing, 3), "what the others achieved changes nothing about it"
    said = {name: each.error(contact) for name, each in everywhere.at.items()}
    title = VENDORS[failing].title
    assert (said.pop(failing) or "").startswith(f"{title} API error (503)")
    assert set(said.values()) == {None}
    everywhere.run(failing)
    assert everywhere.states(contact)[failing] == "Error"
    assert everywhere.shared(contact) == (failing, 3)


def test_the_shared_columns_show_the_newest_failure_and_each_crm_waits_by_its_own(everywhere: Everywhere) -> None:
    (contact,) = everywhere.add("ada@example.com")
    for name in ("hubspot", "n8n"):
        everywhere.at[name].simulator.inject("status-503")
        everywhere.run(name)
    assert everywhere.shared(contact) == ("n8n", 1)
    everywhere.pass_minutes(5)
    everywhere.run("hubspot")
    assert everywhere.shared(contact) == ("hubspot", 2), "the newest failure, with that CRM's own count"
    assert everywhere.retries(contact) == {"brevo": 0, "hubspot": 2, "mautic": 0, "n8n": 1}
    row, waits = everywhere.world.contact(contact), everywhere.world.delivery(contact, "hubspot")
    assert row["next_retry_at"] == waits["next_retry_at"]

    everywhere.at["n8n"].simulator.heal()
    everywhere.run("brevo", "mautic", "n8n")
    assert everywhere.states(contact) == {**dict.fromkeys(ALL, "Complete"), "hubspot": "Queued"}
    assert everywhere.shared(contact) == ("hubspot", 2)
    assert isinstance(everywhere.at["hubspot"].tick("hubspot_queue_sensor"), dg.SkipReason), "ten minutes, not five"

    everywhere.at["hubspot"].simulator.heal()
    everywhere.pass_minutes(10)
    everywhere.run("hubspot")
    assert everywhere.states(contact) == dict.fromkeys(ALL, "Complete")
    assert everywhere.shared(contact) == (None, 0)


def test_a_success_of_the_crm_that_failed_last_leaves_another_that_waits_its_error_and_its_retry(
    everywhere: Everywhere,
) -> None:
    (contact,) = everywhere.add("ada@example.com")
    for name in ("hubspot", "n8n"):
        everywhere.at[name].simulator.inject("status-503")
        everywhere.run(name)
    everywhere.at["n8n"].simulator.heal()
    everywhere.pass_minutes(5)
    everywhere.run("n8n")
    hubspot = everywhere.at["hubspot"]
    assert everywhere.states(contact)["n8n"] == "Complete"
    assert hubspot.status(contact) == ("Queued", "Queued")
    assert (hubspot.error(contact) or "").startswith("HubSpot API error (503)")
    everywhere.run("hubspot")
    assert everywhere.shared(contact) == ("hubspot", 2), "its second failure, not its first again"


@pytest.mark.parametrize("shut", ALL)
def test_a_crm_that_is_shut_stops_no_other(everywhere: Everywhere, shut: str) -> None:
    (contact,) = everywhere.add("ada@example.com")
    everywhere.at[shut].simulator.inject("status-401-key")
    everywhere.run(shut)
    for name, each in everywhere.at.items():
        answer = each.tick(f"{name}_queue_sensor")
        if name == shut:
            assert isinstance(answer, dg.SkipReason)
            assert f"{VENDORS[shut].title} is down" in (answer.skip_message or "")
        else:
            assert each.run_requested(answer).success
    assert everywhere.states(contact) == {**dict.fromkeys(ALL, "Complete"), shut: "Queued"}
    assert everywhere.retries(contact) == dict.fromkeys(ALL, 0)


def test_selecting_for_all_where_some_are_off_is_refused_by_what_each_lacks_and_changes_nothing(
    everywhere: Everywhere,
) -> None:
    (contact,) = everywhere.world.add("ada@example.com", selected=False)
    brevo = everywhere.at["brevo"]
    off = [name for name in ALL if name != "brevo"]
    for name in off:
        brevo.unset(VENDORS[name].key)
    definitions = brevo.definitions
    for name in ALL:
        described = [
            definitions.resolve_job_def(f"{name}_sync").description or "",
            definitions.resolve_schedule_def(f"{name}_sync_schedule").description or "",
            definitions.resolve_sensor_def(f"{name}_queue_sensor").description or "",
        ]
        for text in described:
            assert text.startswith(f"Off: {VENDORS[name].key} is not set") == (name in off)
    selecting = {"action": "select", "ids": [str(contact)], "crms": list(ALL), "dry_run": False}
    result = definitions.resolve_job_def("select_contacts").execute_in_process(
        instance=brevo.instance,
        run_config={"ops": {"select_or_unselect": {"config": selecting}}},
        raise_on_error=False,
    )
    assert not result.success
    (failed,) = [each for each in result.all_events if each.event_type is dg.DagsterEventType.STEP_FAILURE]
    told = failed.step_failure_data.user_failure_data
    said = str(told.description) if told else ""
    for name in off:
        assert f"{VENDORS[name].title} ({VENDORS[name].key})" in said
    assert everywhere.states(contact) == dict.fromkeys(ALL)
