"""Scenarios 1 to 9 of the requirement, through Dagster, PostgreSQL and real HTTP."""

import logging
from uuid import UUID

import dagster as dg
import pytest

from crm_sync_pipeline.contact_queue.people.selection import SelectionError
from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline_tests.product import Product

SCHEDULE, SENSOR = "brevo_sync_schedule", "brevo_queue_sensor"


def endings(product: Product, contacts: list[UUID]) -> list[tuple[str, str | None]]:
    return [product.world.status(contact) for contact in contacts]


# 1. No API key


def test_without_a_key_everything_loads_and_stays_off_and_says_why(
    product: Product, caplog: pytest.LogCaptureFixture
) -> None:
    product.unset("BREVO_API_KEY")
    with caplog.at_level(logging.INFO, "crm_sync_pipeline"):
        definitions = product.definitions
    assert definitions.resolve_schedule_def(SCHEDULE).default_status is dg.DefaultScheduleStatus.STOPPED
    assert definitions.resolve_sensor_def(SENSOR).default_status is dg.DefaultSensorStatus.STOPPED
    said = [line for line in map(logging.LogRecord.getMessage, caplog.records) if line.startswith("brevo")]
    assert said == [
        "brevo_off BREVO_API_KEY is not set, so the schedule and the sensor of Brevo are off. Set it and reload the "
        "code location."
    ]


@pytest.mark.parametrize("trigger", [SCHEDULE, SENSOR])
def test_without_a_key_a_trigger_switched_on_by_hand_starts_nothing(product: Product, trigger: str) -> None:
    product.world.add("a@example.com")
    product.unset("BREVO_API_KEY")
    answer = product.tick(trigger)
    assert isinstance(answer, dg.SkipReason)
    assert "BREVO_API_KEY is not set" in (answer.skip_message or "")


def test_without_a_key_a_run_started_by_hand_fails_and_loses_nothing(product: Product) -> None:
    (contact,) = product.world.add("a@example.com")
    product.unset("BREVO_API_KEY")
    result = product.run()
    assert not result.success
    assert "BREVO_API_KEY is not set" in failure(result)
    assert product.world.status(contact) == ("Queued", "Queued")
    assert product.world.contact(contact)["retry_count"] == 0


@pytest.mark.usefixtures("product")
def test_with_a_key_interval_batch_size_and_instances_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "crm_sync_pipeline"):
        definitions = build_definitions(load_settings())
    schedule = definitions.resolve_schedule_def(SCHEDULE)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.cron_schedule == "*/5 * * * *"
    assert schedule.description == "Every 5 minutes, 10 contacts, 1 run(s) at a time."
    assert definitions.resolve_sensor_def(SENSOR).default_status is dg.DefaultSensorStatus.RUNNING
    said = [line for line in map(logging.LogRecord.getMessage, caplog.records) if line.startswith("brevo")]
    assert said == ["brevo_on interval_minutes=5 batch_size=10 max_instances=1 sensor_batch_limit=500"]


# 2 and 3. Four contacts


def test_four_selected_contacts_arrive_within_one_cycle(product: Product) -> None:
    product.set(BREVO_LIST_ID="1")
    addresses = [f"{name}@example.com" for name in ("ada", "ben", "cleo", "dan")]
    contacts = product.world.add(*addresses, name="Ada Lovelace")
    result = product.run_requested(product.tick(SCHEDULE))
    assert result.success
    for contact, address in zip(contacts, addresses, strict=True):
        row = product.world.contact(contact)
        assert (row["brevo_sync_status"], row["brevo_processing_status"]) == ("Complete", "Complete")
        assert row["brevo_processing_error"] is None
        assert row["brevo_contact_id"] == address
        assert row["retry_count"] == 0
        at_brevo = product.simulator.contacts[address]
        assert at_brevo.attributes["FIRSTNAME"] == "Ada"
        assert at_brevo.attributes["LASTNAME"] == "Lovelace"
        assert 1 in at_brevo.list_ids
        assert product.world.delivery(contact)["remote_id"] == str(at_brevo.id)


def test_contacts_are_processing_while_they_are_sent_and_each_batch_logs_one_line(product: Product) -> None:
    (contact,) = product.world.add("ada@example.com")
    seen: list[object] = []
    original = product.simulator.handle

    def watch(request: object) -> object:
        seen.append(product.world.status(contact))
        return original(request)  # type: ignore[arg-type]

    product.monkeypatch.setattr(product.simulator, "handle", watch)
    result = product.run()
    assert result.success
    assert seen == [("Processing", "Processing")]
    lines = [event.user_message for event in product.instance.all_logs(result.run_id) if "batch_" in event.user_message]
    assert lines[0] == "batch_claimed destination=brevo size=1"
    assert lines[1].startswith("batch_recorded destination=brevo complete=1 retry=0 error=0 deferred=0")
    assert len(lines) == 2


# 4. A contact that Brevo refuses


def test_an_invalid_address_is_retried_after_5_10_and_20_minutes_then_ends_in_error(product: Product) -> None:
    (contact,) = product.world.add("invalid-email")
    refused = "Brevo API error (400): Invalid email address"
    for retry, minutes in enumerate((5, 10, 20), start=1):
        assert product.run().success
        row = product.world.contact(contact)
        assert product.world.status(contact) == ("Queued", "Queued")
        assert row["brevo_processing_error"] == refused
        assert row["retry_count"] == retry
        assert row["last_failed_crm"] == "brevo"
        waits = (row["next_retry_at"] - row["last_retry_at"]).total_seconds()
        assert waits == minutes * 60
        product.pass_minutes(minutes - 0.1)
        assert isinstance(product.tick(SENSOR), dg.SkipReason), "it is not due yet"
        product.pass_minutes(0.1)
    assert product.run().success
    row = product.world.contact(contact)
    assert product.world.status(contact) == ("Error", "Error")
    assert row["brevo_processing_error"] == f"Max retries exceeded (3). Last error: {refused}"
    assert row["retry_count"] == 3
    assert row["next_retry_at"] is None
    product.pass_minutes(10_000)
    assert isinstance(product.tick(SENSOR), dg.SkipReason), "it is given up for good"
    assert len(product.simulator.requests) == 4


def test_correcting_the_address_lets_the_next_retry_succeed(product: Product) -> None:
    (contact,) = product.world.add("invalid-email")
    product.run()
    product.world.execute("UPDATE contacts SET email = 'valid@example.com' WHERE id = :id", id=contact)
    product.pass_minutes(5)
    assert product.run_requested(product.tick(SENSOR)).success
    row = product.world.contact(contact)
    assert product.world.status(contact) == ("Complete", "Complete")
    assert (row["brevo_processing_error"], row["retry_count"], row["next_retry_at"]) == (None, 0, None)
    assert row["last_failed_crm"] is None
    assert "valid@example.com" in product.simulator.contacts


# 5. A wrong key, a blocked IP address


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("status-401-key", "Set a valid v3 key"),
        ("status-401-ip", "https://app.brevo.com/security/authorised_ips"),
    ],
)
def test_a_refused_set_up_loses_nothing_says_what_to_do_and_heals(product: Product, fault: str, says: str) -> None:
    contacts = product.world.add(*(f"c{number}@example.com" for number in range(20)))
    product.simulator.inject(fault)
    result = product.run(batch_size=20)
    assert not result.success, "a run in which the destination was down is red"
    assert says.lower() in failure(result).lower()
    assert len(product.simulator.requests) <= 8, "no more than were in flight"
    assert set(endings(product, contacts)) == {("Queued", "Queued")}
    rows = [product.world.contact(contact) for contact in contacts]
    assert {row["retry_count"] for row in rows} == {0}, "no contact pays for it"
    assert any("Brevo API error (401)" in (row["brevo_processing_error"] or "") for row in rows)
    skipped = product.tick(SENSOR)
    assert isinstance(skipped, dg.SkipReason)
    assert "Brevo is down" in (skipped.skip_message or "")
    product.simulator.heal()
    product.pass_minutes(1)
    probe = product.run_requested(product.tick(SENSOR))
    assert probe.success
    assert product.run(batch_size=20).success
    assert set(endings(product, contacts)) == {("Complete", "Complete")}
    assert {product.world.contact(contact)["brevo_processing_error"] for contact in contacts} == {None}


# 6. Synced twice


def test_a_second_sync_updates_and_completes_again(product: Product) -> None:
    (contact,) = product.world.add("ada@example.com")
    product.run()
    product.world.select(contact)
    product.run()
    assert [request.status for request in product.simulator.requests] == [201, 204]
    assert product.world.status(contact) == ("Complete", "Complete")


# 7. Batches


def test_the_schedule_takes_ten_ten_and_five(product: Product) -> None:
    product.world.add(*(f"c{number}@example.com" for number in range(25)))
    sizes = []
    while isinstance(request := product.tick(SCHEDULE), dg.RunRequest):
        before = len(product.simulator.requests)
        assert product.run_requested(request).success
        sizes.append(len(product.simulator.requests) - before)
    assert sizes == [10, 10, 5]


def test_the_sensor_takes_all_that_is_due_at_once(product: Product) -> None:
    contacts = product.world.add(*(f"c{number}@example.com" for number in range(25)))
    assert product.run_requested(product.tick(SENSOR)).success
    assert set(endings(product, contacts)) == {("Complete", "Complete")}
    assert isinstance(product.tick(SENSOR), dg.SkipReason)


# 8. Selection


@pytest.mark.parametrize("crms", [("brevo",), ("brevo", "hubspot", "mautic"), ("brevo", "hubspot", "mautic", "n8n")])
def test_contacts_are_selected_for_one_three_or_all_crms(product: Product, crms: tuple[str, ...]) -> None:
    contacts = product.world.add("a@example.com", "b@example.com", selected=False)
    result = product.world.act("select", contacts, crms)
    assert (result.contacts, result.changes) == (2, 2 * len(crms))
    assert result.message == f"Selected 2 contacts for {len(crms)} CRM(s), {2 * len(crms)} queued for processing."
    for crm in ("brevo", "hubspot", "mautic", "n8n"):
        expected = ("Selected", "Queued") if crm in crms else ("New", None)
        assert {product.world.status(contact, crm) for contact in contacts} == {expected}


def test_unselecting_one_crm_leaves_the_others(product: Product) -> None:
    (contact,) = product.world.add("a@example.com", selected=False)
    product.world.select(contact, crms=("brevo", "hubspot"))
    product.world.unselect(contact, crms=("hubspot",))
    assert product.world.status(contact, "hubspot") == ("New", None)
    assert product.world.status(contact, "brevo") == ("Selected", "Queued")


def test_selecting_again_after_error_starts_with_fresh_retries(product: Product) -> None:
    (contact,) = product.world.add("invalid-email")
    for _ in range(4):
        product.run()
        product.pass_minutes(20)
    assert product.world.status(contact) == ("Error", "Error")
    product.world.select(contact)
    assert product.world.contact(contact)["brevo_processing_error"] is None
    assert product.world.status(contact) == ("Selected", "Queued")
    product.run()
    assert product.world.contact(contact)["retry_count"] == 1


def test_selecting_again_while_queued_changes_nothing(product: Product) -> None:
    (contact,) = product.world.add("invalid-email")
    product.run()
    before = product.world.contact(contact)
    product.world.select(contact)
    assert product.world.contact(contact) == before


def test_selecting_again_while_processing_sends_it_once_more_afterwards(product: Product) -> None:
    (contact,) = product.world.add("ada@example.com")
    original = product.simulator.handle
    times: list[int] = []

    def select_meanwhile(request: object) -> object:
        if not times:
            product.world.select(contact)
        times.append(1)
        return original(request)  # type: ignore[arg-type]

    product.monkeypatch.setattr(product.simulator, "handle", select_meanwhile)
    product.run()
    assert product.world.status(contact) == ("Selected", "Queued"), "the decision stands"
    product.run()
    assert product.world.status(contact) == ("Complete", "Complete")
    assert len(times) == 2


# 9. Manual trigger


def test_one_contact_is_delivered_at_once_past_the_queue(product: Product) -> None:
    waiting, wanted = product.world.add("waiting@example.com", "wanted@example.com")
    assert product.run(contact_id=str(wanted)).success
    assert product.world.status(wanted) == ("Complete", "Complete")
    assert product.world.status(waiting) == ("Selected", "Queued")


def test_an_unknown_contact_is_refused_by_name(product: Product) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    result = product.run(contact_id=unknown)
    assert not result.success
    assert f"There is no contact {unknown}. Nothing was sent." in failure(result)


def test_a_malformed_contact_id_is_refused_by_name(product: Product) -> None:
    result = product.run(contact_id="jane")
    assert "'jane' is not a contact id" in failure(result)


def test_an_unknown_crm_is_refused_by_name(product: Product) -> None:
    (contact,) = product.world.add("a@example.com", selected=False)
    with pytest.raises(SelectionError, match="'salesforce' is not a known CRM"):
        product.world.act("select", [contact], ["salesforce"])
    config = {"ops": {"claim_batch": {"config": {"destination": "salesforce"}}}}
    result = product.definitions.resolve_job_def("brevo_sync").execute_in_process(
        instance=product.instance, run_config=config, raise_on_error=False
    )
    assert "delivers to brevo, not to 'salesforce'" in failure(result)


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What the run says about its failure."""
    (event,) = [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_FAILURE]
    data = event.step_failure_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error)
