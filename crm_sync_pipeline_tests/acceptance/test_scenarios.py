"""Scenarios 1 to 9 of the requirement for each CRM, through Dagster, PostgreSQL and real HTTP."""

import logging
from typing import Any
from uuid import UUID

import dagster as dg
import pytest

from crm_sync_pipeline.contact_queue.people.selection import SelectionError
from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.product import Product
from crm_sync_pipeline_tests.vendors import VENDORS, Vendor


def schedule_of(each: Product) -> str:
    return f"{each.crm}_sync_schedule"


def sensor_of(each: Product) -> str:
    return f"{each.crm}_queue_sensor"


def endings(each: Product, contacts: list[UUID]) -> list[tuple[str, str | None]]:
    return [each.status(contact) for contact in contacts]


def add_refused(each: Product, vendor: Vendor) -> UUID:
    """A contact that the CRM does not take."""
    if vendor.refusal.fault:
        each.simulator.inject(vendor.refusal.fault)
    (contact,) = each.add(vendor.refusal.email)
    return contact


# 1. No API key


def test_without_a_key_everything_loads_and_stays_off_and_says_why(
    each: Product, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    each.unset(vendor.key)
    with caplog.at_level(logging.INFO, "crm_sync_pipeline"):
        definitions = build_definitions(load_settings())
    schedule, sensor = (
        definitions.resolve_schedule_def(schedule_of(each)),
        definitions.resolve_sensor_def(sensor_of(each)),
    )
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    why = (
        f"{vendor.key} is not set, so the schedule and the sensor of {vendor.title} are off. Set it and reload the "
        "code location."
    )
    said = [line for line in map(logging.LogRecord.getMessage, caplog.records) if line.startswith(f"{each.crm}_")]
    assert said == [f"{each.crm}_off {why}"]
    assert schedule.description == sensor.description == f"Off: {why}"


def test_without_a_key_a_trigger_switched_on_by_hand_starts_nothing(each: Product, vendor: Vendor) -> None:
    each.add("a@example.com")
    each.unset(vendor.key)
    for trigger in (schedule_of(each), sensor_of(each)):
        answer = each.tick(trigger)
        assert isinstance(answer, dg.SkipReason)
        assert f"{vendor.key} is not set" in (answer.skip_message or "")


def test_without_a_key_a_run_started_by_hand_fails_and_loses_nothing(each: Product, vendor: Vendor) -> None:
    (contact,) = each.add("a@example.com")
    each.unset(vendor.key)
    result = each.run()
    assert not result.success
    assert f"{vendor.key} is not set" in failure(result)
    assert each.status(contact) == ("Queued", "Queued")
    assert each.world.contact(contact)["retry_count"] == 0


def test_without_a_key_selecting_for_it_is_refused_and_names_what_is_missing(each: Product, vendor: Vendor) -> None:
    (contact,) = each.world.add("a@example.com", selected=False)
    each.unset(vendor.key)
    selecting = {"action": "select", "ids": [str(contact)], "crms": [each.crm], "dry_run": False}
    result = each.definitions.resolve_job_def("select_contacts").execute_in_process(
        instance=each.instance,
        run_config={"ops": {"select_or_unselect": {"config": selecting}}},
        raise_on_error=False,
    )
    assert not result.success
    assert vendor.key in failure(result)
    assert each.status(contact) == ("New", None)


def test_with_a_key_interval_batch_size_and_instances_are_shown(
    each: Product, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "crm_sync_pipeline"):
        definitions = build_definitions(load_settings())
    schedule = definitions.resolve_schedule_def(schedule_of(each))
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.cron_schedule == "*/5 * * * *"
    assert schedule.description == "Every 5 minutes, 10 contacts, 1 run(s) at a time."
    assert definitions.resolve_sensor_def(sensor_of(each)).default_status is dg.DefaultSensorStatus.RUNNING
    on = [line for line in map(logging.LogRecord.getMessage, caplog.records) if "_on " in line]
    assert on == [f"{each.crm}_on interval_minutes=5 batch_size=10 max_instances=1 sensor_batch_limit=500"]


# 2 and 3. Four contacts


def test_four_selected_contacts_arrive_within_one_cycle(each: Product, vendor: Vendor) -> None:
    each.set(**vendor.list_setting)
    addresses = [f"{name}@example.com" for name in ("ada", "ben", "cleo", "dan")]
    contacts = each.add(*addresses, name="Ada Lovelace")
    assert each.run_requested(each.tick(schedule_of(each))).success
    for contact, address in zip(contacts, addresses, strict=True):
        row, seen = each.world.contact(contact), vendor.seen(each.simulator, address)
        assert each.status(contact) == ("Complete", "Complete")
        assert seen
        assert (seen.name, seen.is_in_list) == ("Ada Lovelace", bool(vendor.list_setting))
        assert (each.error(contact), row[vendor.id_column], row["retry_count"]) == (None, seen.column, 0)
        if seen.id:
            assert each.world.delivery(contact, each.crm)["remote_id"] == seen.id


def test_contacts_are_processing_while_they_are_sent_and_each_batch_logs_one_line(each: Product) -> None:
    (contact,) = each.add("ada@example.com")
    seen: list[object] = []
    original: Any = each.simulator.handle

    def watch(request: object) -> object:
        seen.append(each.status(contact))
        return original(request)

    each.monkeypatch.setattr(each.simulator, "handle", watch)
    result = each.run()
    assert result.success
    assert set(seen) == {("Processing", "Processing")}
    lines = [event.user_message for event in each.instance.all_logs(result.run_id) if "batch_" in event.user_message]
    assert lines[0] == f"batch_claimed destination={each.crm} size=1"
    assert lines[1].startswith(f"batch_recorded destination={each.crm} complete=1 retry=0 error=0 deferred=0")
    assert len(lines) == 2


# 4. A contact that the CRM refuses


def test_a_refused_contact_is_retried_after_5_10_and_20_minutes_then_ends_in_error(
    each: Product, vendor: Vendor
) -> None:
    contact = add_refused(each, vendor)
    for retry, minutes in enumerate((5, 10, 20), start=1):
        assert each.run().success
        row = each.world.contact(contact)
        assert each.status(contact) == ("Queued", "Queued")
        refused = each.error(contact) or ""
        assert refused.startswith(vendor.refusal.said)
        assert row["retry_count"] == retry
        assert row["last_failed_crm"] == each.crm
        waits = (row["next_retry_at"] - row["last_retry_at"]).total_seconds()
        assert waits == minutes * 60
        each.pass_minutes(minutes - 0.1)
        assert isinstance(each.tick(sensor_of(each)), dg.SkipReason), "it is not due yet"
        each.pass_minutes(0.1)
    assert each.run().success
    row = each.world.contact(contact)
    assert each.status(contact) == ("Error", "Error")
    assert each.error(contact) == f"Max retries exceeded (3). Last error: {refused}"
    assert row["retry_count"] == 3
    assert row["next_retry_at"] is None
    each.pass_minutes(10_000)
    assert isinstance(each.tick(sensor_of(each)), dg.SkipReason), "it is given up for good"
    assert len(each.reasons()) == 4


def test_correcting_the_contact_lets_the_next_retry_succeed(each: Product, vendor: Vendor) -> None:
    contact = add_refused(each, vendor)
    each.run()
    each.world.execute("UPDATE contacts SET email = 'valid@example.com' WHERE id = :id", id=contact)
    each.simulator.heal()
    each.pass_minutes(5)
    assert each.run_requested(each.tick(sensor_of(each))).success
    row = each.world.contact(contact)
    assert each.status(contact) == ("Complete", "Complete")
    assert (each.error(contact), row["retry_count"], row["next_retry_at"]) == (None, 0, None)
    assert row["last_failed_crm"] is None
    assert vendor.seen(each.simulator, "valid@example.com")


# 5. A wrong key, a blocked IP address, whatever else shuts everybody out


@pytest.mark.parametrize(
    ("vendor", "fault", "status", "says"),
    [(name, *fault) for name, vendor in VENDORS.items() for fault in vendor.set_up_faults],
    indirect=["vendor"],
)
def test_a_refused_set_up_loses_nothing_says_what_to_do_and_heals(
    each: Product, vendor: Vendor, fault: str, status: int, says: str
) -> None:
    contacts = each.add(*(f"c{number}@example.com" for number in range(20)))
    each.simulator.inject(fault)
    result = each.run(batch_size=20)
    assert not result.success, "a run in which the destination was down is red"
    assert says.lower() in failure(result).lower()
    assert len(each.simulator.requests) <= 8 + vendor.spare_requests, "no more than were in flight"
    assert set(endings(each, contacts)) == {("Queued", "Queued")}
    rows = [each.world.contact(contact) for contact in contacts]
    assert {row["retry_count"] for row in rows} == {0}, "no contact pays for it"
    assert any(f"{vendor.title} API error ({status})" in (each.error(contact) or "") for contact in contacts)
    skipped = each.tick(sensor_of(each))
    assert isinstance(skipped, dg.SkipReason)
    assert f"{vendor.title} is down" in (skipped.skip_message or "")
    each.simulator.heal()
    each.pass_minutes(1)
    assert each.run_requested(each.tick(sensor_of(each))).success, "the probe"
    assert each.run(batch_size=20).success
    assert set(endings(each, contacts)) == {("Complete", "Complete")}
    assert {each.error(contact) for contact in contacts} == {None}


# 6. Synced twice


def test_a_second_sync_updates_and_completes_again(each: Product, vendor: Vendor) -> None:
    (contact,) = each.add("ada@example.com")
    each.run()
    each.select(contact)
    each.run()
    assert each.reasons() == list(vendor.again)
    assert each.status(contact) == ("Complete", "Complete")
    assert each.simulator.counts()["contacts"] == 1


# 7. Batches


def test_the_schedule_takes_ten_ten_and_five(each: Product) -> None:
    each.add(*(f"c{number}@example.com" for number in range(25)))
    sizes = []
    while isinstance(request := each.tick(schedule_of(each)), dg.RunRequest):
        before = each.simulator.counts()["contacts"]
        assert each.run_requested(request).success
        sizes.append(each.simulator.counts()["contacts"] - before)
    assert sizes == [10, 10, 5]


def test_the_sensor_takes_all_that_is_due_at_once(each: Product) -> None:
    contacts = each.add(*(f"c{number}@example.com" for number in range(25)))
    assert each.run_requested(each.tick(sensor_of(each))).success
    assert set(endings(each, contacts)) == {("Complete", "Complete")}
    assert isinstance(each.tick(sensor_of(each)), dg.SkipReason)


# 8. Selection


@pytest.mark.parametrize("crms", [("brevo",), ("brevo", "hubspot", "mautic"), ("brevo", "hubspot", "mautic", "n8n")])
def test_contacts_are_selected_for_one_three_or_all_crms(world: World, crms: tuple[str, ...]) -> None:
    contacts = world.add("a@example.com", "b@example.com", selected=False)
    result = world.act("select", contacts, crms)
    assert (result.contacts, result.changes) == (2, 2 * len(crms))
    assert result.message == f"Selected 2 contacts for {len(crms)} CRM(s), {2 * len(crms)} queued for processing."
    for crm in ("brevo", "hubspot", "mautic", "n8n"):
        expected = ("Selected", "Queued") if crm in crms else ("New", None)
        assert {world.status(contact, crm) for contact in contacts} == {expected}


@pytest.mark.parametrize("crm", list(VENDORS))
def test_unselecting_one_crm_leaves_the_others(world: World, crm: str) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.select(contact, crms=tuple(VENDORS))
    world.unselect(contact, crms=(crm,))
    for name in VENDORS:
        assert world.status(contact, name) == (("New", None) if name == crm else ("Selected", "Queued"))


def test_selecting_again_after_error_starts_with_fresh_retries(each: Product, vendor: Vendor) -> None:
    contact = add_refused(each, vendor)
    for _ in range(4):
        each.run()
        each.pass_minutes(20)
    assert each.status(contact) == ("Error", "Error")
    each.select(contact)
    assert each.error(contact) is None
    assert each.status(contact) == ("Selected", "Queued")
    each.run()
    assert each.world.contact(contact)["retry_count"] == 1


def test_selecting_again_while_queued_changes_nothing(each: Product, vendor: Vendor) -> None:
    contact = add_refused(each, vendor)
    each.run()
    before = each.world.contact(contact)
    each.select(contact)
    assert each.world.contact(contact) == before


def test_selecting_again_while_processing_sends_it_once_more_afterwards(each: Product) -> None:
    (contact,) = each.add("ada@example.com")
    original: Any = each.simulator.handle
    times: list[int] = []

    def select_meanwhile(request: object) -> object:
        if not times:
            each.select(contact)
        times.append(1)
        return original(request)

    each.monkeypatch.setattr(each.simulator, "handle", select_meanwhile)
    each.run()
    assert each.status(contact) == ("Selected", "Queued"), "the decision stands"
    each.run()
    assert each.status(contact) == ("Complete", "Complete")
    assert len(each.reasons()) == 2


# 9. Manual trigger


def test_one_contact_is_delivered_at_once_past_the_queue(each: Product) -> None:
    waiting, wanted = each.add("waiting@example.com", "wanted@example.com")
    assert each.run(contact_id=str(wanted)).success
    assert each.status(wanted) == ("Complete", "Complete")
    assert each.status(waiting) == ("Selected", "Queued")


def test_a_person_sends_one_contact_at_once_from_the_ui_and_is_told_what_came_of_it(
    each: Product, vendor: Vendor
) -> None:
    (contact,) = each.world.add("ada@example.com", selected=False)
    now = {"contact_id": str(contact), "crm": each.crm}
    result = each.definitions.resolve_job_def("sync_contact_now").execute_in_process(
        instance=each.instance, run_config={"ops": {"deliver_contact": {"config": now}}}, raise_on_error=False
    )
    assert result.success
    assert each.status(contact) == ("Complete", "Complete")
    (output,) = [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_OUTPUT]
    verdict = output.step_output_data.metadata["verdict"].value
    assert str(verdict).startswith(f"{vendor.title} has it: delivered at ")


def test_an_unknown_contact_is_refused_by_name(each: Product) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    result = each.run(contact_id=unknown)
    assert not result.success
    assert f"There is no contact {unknown}. Nothing was sent." in failure(result)


def test_a_malformed_contact_id_is_refused_by_name(each: Product) -> None:
    result = each.run(contact_id="jane")
    assert "'jane' is not a contact id" in failure(result)


def test_an_unknown_crm_is_refused_by_name(each: Product) -> None:
    (contact,) = each.world.add("a@example.com", selected=False)
    with pytest.raises(SelectionError, match="'salesforce' is not a known CRM"):
        each.world.act("select", [contact], ["salesforce"])
    assert f"delivers to {each.crm}, not to 'salesforce'" in failure(each.run(destination="salesforce"))


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What the run says about its failure."""
    (event,) = [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_FAILURE]
    data = event.step_failure_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error)
