"""HubSpot's two rate limits, and what its headers say of them."""

from datetime import datetime, timedelta, timezone

import httpx
import pytest

from crm_sync_pipeline.simulators.hubspot import PLANS, HubspotConfig, HubspotLimits, HubspotSimulator
from crm_sync_pipeline_tests.simulators.conftest import ManualClock, ServeHubspot

DETAILS = "/account-info/v3/details"
PREFIX = "x-hubspot-ratelimit-"


class Calendar:
    """A time of day that stands still until it is moved."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


def limits_in(answer: httpx.Response) -> dict[str, int]:
    return {name.removeprefix(PREFIX): int(value) for name, value in answer.headers.items() if name.startswith(PREFIX)}


def test_a_request_waits_for_the_oldest_of_ten_seconds_to_pass(serve_hubspot: ServeHubspot, clock: ManualClock) -> None:
    http = serve_hubspot(HubspotSimulator(HubspotConfig(limits=HubspotLimits(3, None)), clock=clock))
    for _ in range(3):
        assert http.get(DETAILS).status_code == 200
        clock.advance(2)
    refused = http.get(DETAILS)
    assert refused.status_code == 429
    body = refused.json()
    assert (body["message"], body["policyName"], body["errorType"], body["status"]) == (
        "You have reached your ten_secondly_rolling limit.",
        "TEN_SECONDLY_ROLLING",
        "RATE_LIMIT",
        "error",
    )
    assert "retry-after" not in refused.headers
    clock.advance(3.9)
    assert http.get(DETAILS).status_code == 429
    clock.advance(0.1)
    assert http.get(DETAILS).status_code == 200
    assert http.get(DETAILS).status_code == 429


def test_the_daily_limit_ends_at_midnight_in_the_time_zone_of_the_account(serve_hubspot: ServeHubspot) -> None:
    calendar = Calendar(datetime(2026, 1, 7, 4, 0, tzinfo=timezone.utc))  # eleven in the evening of the 6th there
    config = HubspotConfig(limits=HubspotLimits(None, 2), time_zone="America/New_York")
    http = serve_hubspot(HubspotSimulator(config, now=calendar))
    assert [http.get(DETAILS).status_code for _ in range(3)] == [200, 200, 429]
    refused = http.get(DETAILS).json()
    assert (refused["policyName"], refused["message"]) == ("DAILY", "You have reached your daily limit.")
    calendar.moment += timedelta(minutes=59)
    assert http.get(DETAILS).status_code == 429
    calendar.moment += timedelta(minutes=1)
    assert http.get(DETAILS).status_code == 200


def test_every_answer_tells_what_is_left_of_both(serve_hubspot: ServeHubspot, clock: ManualClock) -> None:
    http = serve_hubspot(HubspotSimulator(HubspotConfig(limits=HubspotLimits(2, 100)), clock=clock))
    told = {"interval-milliseconds": 10_000, "max": 2, "daily": 100}
    assert limits_in(http.get(DETAILS)) == {**told, "remaining": 1, "daily-remaining": 99}
    assert limits_in(http.get(DETAILS)) == {**told, "remaining": 0, "daily-remaining": 98}
    assert limits_in(http.get(DETAILS)) == {**told, "remaining": 0, "daily-remaining": 98}
    assert "x-hubspot-correlation-id" in http.get(DETAILS).headers


def test_a_wrong_token_spends_nothing(serve_hubspot: ServeHubspot) -> None:
    http = serve_hubspot(HubspotSimulator(HubspotConfig(limits=HubspotLimits(1, 1))))
    for _ in range(3):
        assert http.get(DETAILS, headers={"authorization": "Bearer pat-eu1-other"}).status_code == 401
    assert http.get(DETAILS).status_code == 200


def test_an_account_without_limits_says_nothing_of_them(hubspot_http: httpx.Client) -> None:
    assert limits_in(hubspot_http.get(DETAILS)) == {}


def test_a_batch_is_one_request(serve_hubspot: ServeHubspot) -> None:
    http = serve_hubspot(HubspotSimulator(HubspotConfig(limits=HubspotLimits(1, None))))
    rows = [{"id": f"c{number}@example.com", "idProperty": "email", "properties": {}} for number in range(100)]
    assert http.post("/crm/v3/objects/contacts/batch/upsert", json={"inputs": rows}).status_code == 200


def test_a_limit_is_a_plan_or_a_number_per_ten_seconds() -> None:
    assert HubspotLimits.parse("starter") == PLANS["starter"] == HubspotLimits(100, 250_000)
    assert HubspotLimits.parse("7") == HubspotLimits(7, None)
    for wrong in ("free!", "0", "-1", "1.5", ""):
        with pytest.raises(ValueError, match="per 10 seconds, not"):
            HubspotLimits.parse(wrong)


def test_a_fault_may_say_how_long_to_wait(hubspot_http: httpx.Client, hubspot: HubspotSimulator) -> None:
    hubspot.inject("status-429:reset=2:retry-after=3:path=/account-info/*:method=GET")
    refused = hubspot_http.get(DETAILS)
    assert refused.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert limits_in(refused)["interval-milliseconds"] == 2000
    assert refused.headers["retry-after"] == "3"
