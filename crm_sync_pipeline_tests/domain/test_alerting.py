"""What is wrong, and what of it is said."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.alerting import (
    DATABASE_GRACE,
    EXPIRED_GRACE,
    MAX_CATCHING_UP,
    Condition,
    JobHealth,
    Limits,
    QueueHealth,
    changes,
    condition_of_database,
    conditions_of_queue,
    is_catching_up,
)

LIMITS = Limits()
JOB = JobHealth("brevo_sync")
WELL = QueueHealth("brevo", "Brevo", lag=timedelta(seconds=3), ended=1000, ended_in_error=1, job=JOB)
FAILED = JobHealth("brevo_sync", failed_in_a_row=3, failed_run_id="r-1")
OVER_A_LIMIT = replace(
    WELL, lag=timedelta(hours=2), ended_in_error=400, expired_ago=timedelta(hours=1), expired_run_id="r-2"
)
FAILING = replace(OVER_A_LIMIT, job=FAILED)


def holding(health: QueueHealth) -> dict[str, bool | None]:
    return {each.name: each.holds for each in conditions_of_queue(health, LIMITS)}


def test_each_limit_that_is_passed_is_an_alert_and_a_healthy_queue_is_none() -> None:
    assert set(holding(WELL).values()) == {False}
    assert holding(OVER_A_LIMIT) == {
        "down:brevo": False,
        "lag:brevo": True,
        "errors:brevo": True,
        "expired:brevo": True,
        "failed_runs:brevo_sync": False,
    }


@pytest.mark.parametrize(
    "explained",
    [
        replace(FAILING, down="BREVO_API_KEY was refused."),
        replace(FAILING, was_down_ago=timedelta(minutes=2)),
    ],
    ids=["while it is down", "while the backlog of that is worked off"],
)
def test_what_follows_from_an_outage_is_not_told_beside_it(explained: QueueHealth) -> None:
    said = holding(explained)
    assert said.pop("down:brevo") is bool(explained.down)
    assert set(said.values()) == {None}


def test_runs_that_fail_in_a_row_explain_what_follows_from_them_and_are_told() -> None:
    said = holding(FAILING)
    assert (said.pop("down:brevo"), said.pop("failed_runs:brevo_sync")) == (False, True)
    assert set(said.values()) == {None}


def test_that_a_run_succeeds_again_is_told_while_the_backlog_is_worked_off() -> None:
    said = holding(replace(OVER_A_LIMIT, was_down_ago=timedelta(minutes=2)))
    assert said.pop("failed_runs:brevo_sync") is False
    assert (said.pop("down:brevo"), set(said.values())) == (False, {None})


def test_green_runs_that_record_nothing_are_not_called_failed() -> None:
    green = replace(FAILED, is_green=True)
    said = {each.name: each.alarm for each in conditions_of_queue(replace(WELL, job=green), LIMITS)}
    assert said["failed_runs:brevo_sync"].startswith(
        "The last 3 runs of brevo_sync recorded no contact although some were due. The ticks of its sensor say why"
    )


def test_a_database_is_an_alert_once_it_has_not_worked_for_minutes_and_a_failover_is_none() -> None:
    refused = "The database refused a statement: no."
    young = condition_of_database(refused, DATABASE_GRACE - timedelta(seconds=1))
    assert young.holds is None
    old = condition_of_database(refused, DATABASE_GRACE)
    assert old.holds is True
    assert old.alarm.startswith("The database has not worked for 5 min: The database refused a statement: no. ")
    assert condition_of_database(None, timedelta(0)).holds is False


def test_a_backlog_explains_nothing_once_it_is_gone_or_after_an_hour() -> None:
    assert not is_catching_up(replace(WELL, was_down_ago=timedelta(minutes=1)), LIMITS)
    late = replace(OVER_A_LIMIT, was_down_ago=MAX_CATCHING_UP + timedelta(seconds=1))
    assert not is_catching_up(late, LIMITS)
    assert holding(late)["lag:brevo"] is True


@given(st.lists(st.floats(0, 3600), max_size=30))
def test_alarm_and_all_clear_take_turns_and_a_figure_at_its_limit_says_nothing_twice(lags: list[float]) -> None:
    told: set[str] = set()
    said: list[tuple[bool, float]] = []
    for lag in lags:
        found = conditions_of_queue(replace(WELL, lag=timedelta(seconds=lag)), LIMITS)
        for change in changes(found, told):
            (told.add if change.is_raised else told.discard)(change.name)
            said.append((change.is_raised, lag))
    assert [is_raised for is_raised, _ in said] == [turn % 2 == 0 for turn in range(len(said))]
    assert all(lag > 900 if is_raised else lag <= 720 for is_raised, lag in said)


def test_of_a_handful_of_contacts_no_share_is_told() -> None:
    assert holding(replace(WELL, ended=19, ended_in_error=19))["errors:brevo"] is False
    assert holding(replace(WELL, ended=20, ended_in_error=2))["errors:brevo"] is True


def test_a_lease_that_ran_out_just_now_is_the_next_claims_business() -> None:
    assert holding(replace(WELL, expired_ago=EXPIRED_GRACE))["expired:brevo"] is False


def test_an_alert_says_what_to_do_and_links_to_its_run() -> None:
    health = replace(FAILING, down="BREVO_API_KEY was refused (401).")
    (down,) = changes(conditions_of_queue(health, LIMITS), (), "https://dagster.example.com")
    assert down.text.startswith("Brevo is down: BREVO_API_KEY was refused (401). Nothing is lost")
    assert "`crm-sync resume brevo`" in down.text
    assert down.text.endswith("Run: https://dagster.example.com/runs/r-1")
    assert "http" not in changes(conditions_of_queue(health, LIMITS), ())[0].text


def test_what_cannot_be_told_now_leaves_what_was_said() -> None:
    unclear = Condition("lag:brevo", None, "it is late", "it is over")
    assert changes([unclear], {"lag:brevo"}) == changes([unclear], ()) == []
