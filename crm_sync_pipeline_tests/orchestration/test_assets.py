"""What the catalogue shows: the results of runs, how the queue stands, whether it is well."""

import json
import re
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from crm_sync_pipeline.domain.alerting import Condition
from crm_sync_pipeline.monitoring.alerts import Watch
from crm_sync_pipeline.orchestration import run_progress
from crm_sync_pipeline.orchestration.asset_checks import NOT_JUDGED
from crm_sync_pipeline.orchestration.assets import contacts_key, queue_key
from crm_sync_pipeline_tests.product import Product

PLOTTED = (
    *("synced", "failed", "rejected", "deferred", "complete", "retry", "error", "seconds", "contacts_per_second"),
    *("requests", "rate_limited", "numbers_left_out"),
)
MATERIALIZED, OBSERVED = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION


def plain(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    """Numbers as numbers, a table as its rows."""
    return {
        name: [dict(row.data) for row in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
        for name, value in metadata.items()
    }


def noted(result: dg.ExecuteInProcessResult) -> list[tuple[dg.DagsterEventType, dict[str, Any]]]:
    """What a run noted of assets: how, and what."""
    found = []
    for event in result.all_events:
        if event.event_type in (MATERIALIZED, OBSERVED):
            data: Any = event.event_specific_data
            note = data.materialization if event.event_type is MATERIALIZED else data.asset_observation
            assert note.asset_key == contacts_key("brevo")
            found.append((event.event_type, plain(note.metadata)))
    return found


# Results of runs


def test_a_run_notes_numbers_that_plot_and_names_by_id_who_failed(product: Product) -> None:
    *_, invalid = product.world.add("a@example.com", "b@example.com", "invalid-email")
    ((kind, shown),) = noted(product.run())
    assert kind is MATERIALIZED
    assert all(isinstance(shown[name], (int, float)) for name in PLOTTED)
    assert (shown["synced"], shown["rejected"], shown["retry"], shown["requests"]) == (2, 1, 1, 3)
    (row,) = shown["failures"]
    retry_at = row.pop("next_retry")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", retry_at)
    assert row == {"contact": str(invalid), "reason": "invalid_email", "attempt": 1}


@pytest.mark.parametrize("by_import", [False, True])
def test_contacts_that_were_sent_without_their_number_are_counted(product: Product, by_import: bool) -> None:
    if by_import:
        product.set(BREVO_BULK_IMPORT="true", BREVO_LIST_ID="1", BREVO_BULK_THRESHOLD="1")
    product.world.add("a@example.com", phone_number="+1 415 555 2671")
    product.world.add("b@example.com", phone_number="(415) 555-2671")
    product.world.add("c@example.com", phone_number="+49 30 901820 / 21")
    product.world.add("invalid-email", phone_number="n/a")
    product.world.add("d@example.com")
    result = product.run()
    ((_, shown),) = noted(result)
    assert (shown["synced"], shown["rejected"], shown["numbers_left_out"]) == (4, 1, 2)
    outputs = result.filter_events(lambda event: event.event_type is dg.DagsterEventType.STEP_OUTPUT)
    told = {output.step_key: plain(output.step_output_data.metadata) for output in outputs}
    assert [told[step]["numbers_left_out"] for step in ("sync_to_brevo", "record_results")] == [2, 2]


def test_of_many_failures_fifty_are_listed_and_the_rest_is_counted(product: Product) -> None:
    product.world.add_many(55)
    product.simulator.inject("status-400")
    ((kind, shown),) = noted(product.run(batch_size=55))
    assert kind is OBSERVED, "nothing got there, so nothing was materialized"
    assert (shown["rejected"], len(shown["failures"]), shown["failures_not_shown"]) == (55, 50, 5)
    assert "@" not in json.dumps(shown)


def test_those_that_went_out_one_by_one_are_listed_too(product: Product) -> None:
    product.world.add_many(3)
    for _ in range(2):
        product.world.queue().claim(3)
        product.pass_minutes(6)
    product.simulator.inject("status-400")
    ((_, shown),) = noted(product.run(batch_size=3))
    assert {row["attempt"] for row in shown["failures"]} == {1}
    assert (len(shown["failures"]), shown["failures_not_shown"], shown["requests"]) == (3, 0, 3)


def test_a_run_while_the_destination_is_down_notes_what_it_came_to_before_it_fails(product: Product) -> None:
    product.world.add("a@example.com")
    product.simulator.inject("status-401-key")
    result = product.run()
    assert not result.success
    ((kind, shown),) = noted(result)
    assert kind is OBSERVED
    assert (shown["synced"], shown["deferred"]) == (0, 1)


def test_a_run_with_nothing_to_do_notes_nothing(product: Product) -> None:
    assert noted(product.run()) == []


# How far a run is


def progress_lines(product: Product, result: dg.ExecuteInProcessResult) -> list[str]:
    logged = [entry.user_message for entry in product.instance.all_logs(result.run_id)]
    return [line for line in logged if line.startswith("sync_progress")]


def test_a_run_says_now_and_then_how_far_it_is(product: Product) -> None:
    product.monkeypatch.setattr(run_progress, "SHORTEST_SECONDS", 0.3)
    product.set(BREVO_REQUESTS_PER_SECOND="20")
    product.world.add_many(20)
    lines = progress_lines(product, product.run(batch_size=20))
    assert 1 <= len(lines) <= 4, "one each 0.3 s of the second that it takes"
    assert re.fullmatch(
        r"sync_progress destination=brevo done=\d+ of=20 synced=\d+ contacts_per_second=[\d.]+ seconds_left=\d",
        lines[0],
    )


def test_a_short_run_says_nothing_of_it(product: Product) -> None:
    product.world.add("a@example.com")
    assert progress_lines(product, product.run()) == []


# How the queue stands


def ticked(product: Product, cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """What a tick of the sensor observed of the queue, and its new cursor."""
    definitions = product.definitions
    resources = {"database": (definitions.resources or {})["database"]}
    with dg.build_sensor_context(instance=product.instance, resources=resources, cursor=cursor) as context:
        answer: Any = definitions.resolve_sensor_def("brevo_queue_sensor")(context)
    assert {event.asset_key for event in answer.asset_events} <= {queue_key("brevo")}
    return [plain(event.metadata) for event in answer.asset_events], answer.cursor


def a_minute_older(cursor: str | None) -> str:
    seen = json.loads(cursor or "{}")
    return json.dumps({**seen, "looked_at": seen["looked_at"] - 61})


def test_the_queue_is_observed_when_it_has_changed_and_then_only(product: Product) -> None:
    empty = {"due": 0, "waiting": 0, "held": 0, "processing": 0, "error": 0, "lag_seconds": 0.0}
    seen, cursor = ticked(product, None)
    assert seen == [empty]
    seen, cursor = ticked(product, a_minute_older(cursor))
    assert seen == [], "nothing has changed"
    gone, waiting, on_hold, *_ = product.world.add(*(f"{name}@example.com" for name in "abcde"))
    product.world.execute("UPDATE contacts SET brevo_processing_status = 'Error' WHERE id = :id", id=gone)
    product.world.queue().claim_contact(waiting)
    product.world.execute(
        """
        INSERT INTO crm_sync.deliveries (contact_id, destination, held_at) VALUES (:id, 'brevo', now());
        """,
        id=on_hold,
    )
    product.pass_minutes(2)
    ((figures,), cursor) = ticked(product, cursor)
    lag = figures.pop("lag_seconds")
    assert 119 < lag < 200
    assert figures == {"due": 2, "waiting": 0, "held": 1, "processing": 1, "error": 1}
    product.world.execute("UPDATE contacts SET brevo_sync_status = 'New', brevo_processing_status = NULL")
    assert ticked(product, cursor) == ([], cursor), "it counts once a minute, unless it starts a run"
    assert ticked(product, a_minute_older(cursor))[0] == [empty | {"held": 0}]


@pytest.mark.parametrize("cursor", ["[]", "no json"])
def test_a_cursor_that_cannot_be_read_is_begun_anew(product: Product, cursor: str) -> None:
    assert len(ticked(product, cursor)[0]) == 1


# Whether it is well


def checked(product: Product) -> dict[str, tuple[bool, str]]:
    """Each check's answer, of Brevo's queue."""
    result = product.definitions.resolve_job_def("check_queue").execute_in_process(instance=product.instance)
    own = [each for each in result.get_asset_check_evaluations() if each.asset_key.path[0] == "brevo"]
    return {each.check_name: (each.passed, each.description or "") for each in own}


def conditions(product: Product) -> list[Condition]:
    """What alerts say of the same queue."""
    return Watch(product.world.database, {"brevo": None}).conditions()


def test_of_a_queue_that_is_well_all_checks_say_so(product: Product) -> None:
    product.world.add_many(25)
    assert product.run(batch_size=24).success
    found = checked(product)
    assert all(passed for passed, _ in found.values()), found
    says = {name: sentence for name, (_, sentence) in found.items()}
    assert says["schema_verified"].endswith("things were looked at, and all are right.")
    assert says["lag_under_limit"] == "No contact has been due for too long."
    assert says["error_share_under_limit"].startswith("The share of Error is under its limit")
    assert says["nothing_past_its_lease"] == "Nothing has stood Processing for long past its lease."
    assert says["destination_not_down"] == "Brevo is not down."


def test_a_queue_whose_contacts_are_delivered_without_some_columns_is_well_and_says_so(product: Product) -> None:
    product.world.execute("ALTER TABLE contacts DROP COLUMN phone_number, DROP COLUMN has_gmail")
    passed, says = checked(product)["schema_verified"]
    assert passed
    assert says.endswith("all are right. Contacts are delivered without 2 columns; see `crm-sync db check`.")


def test_of_a_queue_that_is_not_each_check_says_what_is_wrong_and_what_to_do(product: Product) -> None:
    product.world.add_many(20)
    product.run(batch_size=20)
    product.world.execute(
        "UPDATE contacts SET brevo_processing_status = 'Error' WHERE email IN ('1@example.com', '2@example.com')"
    )
    product.world.add("lost@example.com", "late@example.com")
    product.world.queue().claim(1)
    product.pass_minutes(21)
    product.world.execute("DROP INDEX contacts_crm_sync_brevo_queued")
    found = checked(product)
    assert found.pop("destination_not_down") == (True, "Brevo is not down.")
    assert not any(passed for passed, _ in found.values()), found
    says = {name: sentence for name, (_, sentence) in found.items()}
    assert says["schema_verified"] == (
        "Brevo: index contacts_crm_sync_brevo_queued: missing. Fix it with: crm-sync db upgrade"
    )
    alarms = [each.alarm for each in conditions(product) if each.holds]
    assert [says[name] for name in ("lag_under_limit", "error_share_under_limit", "nothing_past_its_lease")] == alarms
    assert alarms[0].startswith("A contact has been due for Brevo for 21 min; the limit is 15 min.")


def test_of_a_destination_that_is_down_no_check_tells_what_follows_from_that(product: Product) -> None:
    product.world.add("late@example.com")
    product.pass_minutes(16)
    product.world.queue().breaker.open("wrong_api_key", "Brevo API error (401): Key not found. Set a valid v3 key.")
    found = checked(product)
    passed, says = found["destination_not_down"]
    assert not passed
    assert says.startswith("Brevo is down: Brevo API error (401): Key not found. Set a valid v3 key. Nothing is lost")
    assert found["lag_under_limit"] == (True, NOT_JUDGED)


def test_limits_are_settings_and_a_share_of_less_than_twenty_is_none(product: Product) -> None:
    product.world.add_many(19)
    product.run(batch_size=18)
    product.world.execute("UPDATE contacts SET brevo_processing_status = 'Error' WHERE brevo_sync_status = 'Complete'")
    product.pass_minutes(16)
    product.set(CRM_SYNC_LAG_LIMIT_MINUTES="20")
    found = checked(product)
    assert found["error_share_under_limit"][0]
    assert found["lag_under_limit"] == (True, NOT_JUDGED), "more than the four fifths of its limit that end an alert"


def test_checks_that_cannot_be_answered_fail_and_say_why(product: Product) -> None:
    product.world.execute("DROP SCHEMA crm_sync CASCADE")
    found = checked(product)
    assert found.pop("schema_verified")[0] is False
    for passed, says in found.values():
        assert not passed
        assert says.startswith("This could not be checked. Of our own tables, crm_sync.")
        assert "Run `crm-sync db upgrade`" in says


def test_the_checks_are_asked_every_hour_where_there_is_a_database(product: Product) -> None:
    schedule = product.definitions.resolve_schedule_def("check_queue_schedule")
    assert (schedule.cron_schedule, schedule.default_status) == ("7 * * * *", dg.DefaultScheduleStatus.RUNNING)
    product.unset("DATABASE_URL")
    schedule = product.definitions.resolve_schedule_def("check_queue_schedule")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert (schedule.description or "").startswith("Off: DATABASE_URL is not set.")
