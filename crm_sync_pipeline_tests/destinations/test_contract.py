"""What every destination promises, against its simulator, over real HTTP."""

import re
import socket
from dataclasses import replace
from datetime import timedelta

import pytest

from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline_tests.destinations.conftest import CONTACT, EMAIL, KEY, PERSONAL, VENDORS, Rig

SHORT = 0.25
"""Seconds: a time limit that a loopback answer keeps easily."""

# fault, changes to the destination, outcome, reason where all destinations share it
READINGS: list[tuple[str, dict[str, object], type[Outcome], str | None]] = [
    ("status-400", {}, Rejected, None),
    ("status-401-key", {}, DestinationDown, None),
    ("status-401-ip", {}, DestinationDown, None),
    ("status-402", {}, DestinationDown, "http_402"),
    ("status-403", {}, DestinationDown, "http_403"),
    ("status-404", {}, DestinationDown, "http_404"),
    ("status-405", {}, DestinationDown, "http_405"),
    ("status-425", {}, Failed, "http_425"),
    ("status-429", {}, Deferred, "rate_limited"),
    ("status-500-empty", {}, Failed, "http_500"),
    ("status-502-html", {}, Failed, "http_502"),
    ("status-503", {}, Failed, "http_503"),
    ("status-524-html", {}, Failed, "http_524"),
    ("hang", {"timeout_seconds": SHORT}, Failed, "timeout"),
    ("slow-body=60000", {"timeout_seconds": SHORT}, Failed, "timeout"),
    ("latency=60000", {"timeout_seconds": SHORT}, Failed, "timeout"),
    ("reset-before-write", {}, Failed, "connection_lost"),
    ("reset-after-write", {}, Failed, "connection_lost"),
    ("garbage-201", {}, Failed, "unexpected_answer"),
    ("empty-201", {}, Failed, "unexpected_answer"),
    ("unexpected-200", {}, Failed, "unexpected_answer"),
]


def assert_tells_nothing_private(attempt: Attempt) -> None:
    told = f"{attempt!r} {attempt} {attempt.outcome.reason} {attempt.outcome.message}".lower()
    assert [secret for secret in PERSONAL if secret in told] == []


def test_every_destination_is_held_to_the_contract() -> None:
    assert sorted(VENDORS) == sorted(DESTINATIONS)


def test_a_contact_is_created_and_the_destination_holds_it(rig: Rig) -> None:
    (attempt,) = rig.deliver()
    assert isinstance(attempt.outcome, Synced)
    assert rig.holds()
    assert attempt.contact_id == CONTACT.id
    assert attempt.contact_hash == CONTACT.fingerprint()
    assert attempt.payload_hash is not None
    assert_tells_nothing_private(attempt)


def test_a_contact_may_be_upserted_twice_without_harm(rig: Rig) -> None:
    first, second = rig.deliver(CONTACT, CONTACT)
    assert isinstance(first.outcome, Synced)
    assert isinstance(second.outcome, Synced)
    assert first.payload_hash == second.payload_hash
    assert dict(rig.simulator.counts())["contacts"] == 1


@pytest.mark.parametrize(
    ("fault", "changes", "outcome", "reason"), READINGS, ids=[reading[0].partition("=")[0] for reading in READINGS]
)
def test_an_answer_is_read_as_what_it_means_for_the_contact(
    rig: Rig, fault: str, changes: dict[str, object], outcome: type[Outcome], reason: str | None
) -> None:
    rig.simulator.inject(fault)
    (attempt,) = rig.deliver(**changes)
    assert type(attempt.outcome) is rig.vendor.outcomes.get(fault, outcome)
    assert attempt.outcome.reason == rig.vendor.reasons.get(fault, reason)
    assert re.fullmatch("[a-z][a-z0-9_]*", attempt.outcome.reason)
    assert attempt.payload_hash is not None, "a call was made"
    assert_tells_nothing_private(attempt)
    assert len(attempt.outcome.message) <= 500
    assert "<html" not in attempt.outcome.message.lower(), "a proxy's page is no sentence"


@pytest.mark.parametrize("fault", ["wrong-content-type", "megabyte-body"])
def test_a_success_of_the_documented_form_counts_however_it_is_labelled_or_padded(rig: Rig, fault: str) -> None:
    rig.simulator.inject(fault)
    (attempt,) = rig.deliver()
    assert isinstance(attempt.outcome, Synced)
    assert rig.holds()


@pytest.mark.parametrize("fault", ["reset-after-write", "status-524-html", "slow-body=60000"])
def test_an_upsert_whose_answer_was_lost_can_be_repeated(rig: Rig, fault: str) -> None:
    rig.simulator.inject(f"{fault}:times=1")
    (lost,) = rig.deliver(timeout_seconds=SHORT)
    assert isinstance(lost.outcome, Failed)
    assert rig.holds()
    (repeated,) = rig.deliver()
    assert isinstance(repeated.outcome, Synced)
    assert dict(rig.simulator.counts())["contacts"] == 1


@pytest.mark.parametrize("fault", ["reset-before-write", "garbage-201", "hang", "status-502-html", "slow-body=60000"])
def test_a_client_is_as_good_as_new_after_a_failure(rig: Rig, fault: str) -> None:
    rig.simulator.inject(f"{fault}:times=1")
    limit_seconds = 1 if fault in ("hang", "slow-body=60000") else 5  # a token may have to be asked for within it
    failed, healthy = rig.deliver(CONTACT, replace(CONTACT, email="other@example.com"), timeout_seconds=limit_seconds)
    assert isinstance(failed.outcome, Failed)
    assert isinstance(healthy.outcome, Synced)


def test_nobody_listening_is_a_lost_connection(rig: Rig) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = replace(rig, base_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        (attempt,) = nowhere.deliver()
    assert isinstance(attempt.outcome, Failed)
    assert attempt.outcome.reason == "connection_lost"
    assert attempt.http_status is None
    assert_tells_nothing_private(attempt)


def test_a_proxy_of_the_environment_is_used(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator as its own proxy: it is sent the whole URL, of a host that there is not."""
    monkeypatch.setenv("HTTP_PROXY", rig.base_url)
    rig.deliver()
    direct = rig.simulator.requests.total
    monkeypatch.setenv("NO_PROXY", "")
    replace(rig, base_url="http://crm.invalid").deliver()
    assert rig.simulator.requests.total > direct


@pytest.mark.parametrize("email", ["", " ", "\t\n"])
def test_a_contact_without_an_address_is_rejected_without_a_call(rig: Rig, email: str) -> None:
    (attempt,) = rig.deliver(replace(CONTACT, email=email))
    assert attempt.outcome == Rejected("no_email", "Contact has no email address")
    assert rig.simulator.requests.total == 0
    assert (attempt.payload_hash, attempt.http_status, attempt.milliseconds) == (None, None, 0)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        (":retry-after=2.5", 2.5),
        (":retry-after=0", 0.1),
        (":retry-after=86400", 60),
        (":retry-after=3:reset=9", 3),
    ],
)
def test_a_429_asks_for_the_pause_that_it_names_within_reason(rig: Rig, options: str, seconds: float) -> None:
    rig.simulator.inject(f"status-429{options}")
    (attempt,) = rig.deliver()
    assert isinstance(attempt.outcome, Deferred)
    assert not isinstance(attempt.outcome, DestinationDown)
    assert attempt.outcome.wait == timedelta(seconds=seconds)


def test_a_429_without_any_hint_asks_for_a_pause_between_the_bounds(rig: Rig) -> None:
    rig.simulator.inject("status-429")
    (attempt,) = rig.deliver()
    assert isinstance(attempt.outcome, Deferred)
    assert timedelta(seconds=0.1) <= attempt.outcome.wait <= timedelta(seconds=60)


def test_a_call_is_timed_and_carries_the_vendors_request_id(rig: Rig) -> None:
    rig.simulator.inject("latency=30")
    (attempt,) = rig.deliver()
    assert attempt.milliseconds >= 30
    assert bool(attempt.request_id) is rig.vendor.names_requests


def test_no_key_shows_in_a_destination_and_no_body_in_its_messages(rig: Rig) -> None:
    destination = rig.destination()
    for shown in (repr(destination), str(destination), repr(destination.call_for(CONTACT))):
        assert KEY not in shown
        assert EMAIL not in shown
