"""OAuth2: one token for all, renewed in time and once, and what happens where none is given."""

import asyncio
import time
from typing import Any

import pytest

from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.destinations.mautic import tokens
from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.destinations.mautic.tokens import TOKEN_PATH
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Synced
from crm_sync_pipeline.simulators.mautic import DEFAULT_PASSWORD, DEFAULT_USER, MauticSimulator
from crm_sync_pipeline_tests.destinations.mautic.conftest import deliver, person


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_kept", {})


def asked_for_tokens(instance: MauticSimulator) -> int:
    return sum(each.path == TOKEN_PATH for each in instance.requests)


def at_once(destination: Mautic, count: int) -> list[Attempt]:
    """So many requests at the same time, of one client."""

    async def one(client: Any, number: int) -> Attempt:
        prepared = destination.prepare(person(number))
        assert isinstance(prepared, Record)
        return (await destination.send(client, [prepared])).attempts[0]

    async def all_of_them() -> list[Attempt]:
        async with destination.client() as client:
            return await asyncio.gather(*(one(client, number) for number in range(1, count + 1)))

    return asyncio.run(all_of_them())


def by_basic(mautic: Mautic, password: str = DEFAULT_PASSWORD) -> Mautic:
    changes = {"client_id": "", "client_secret": "", "username": DEFAULT_USER, "password": password}
    return mautic.model_copy(update=changes)


def test_concurrent_requests_ask_for_one_token_together(mautic: Mautic, instance: MauticSimulator) -> None:
    instance.inject(f"latency=100:path={TOKEN_PATH}")
    attempts = at_once(mautic, 8)
    assert all(isinstance(each.outcome, Synced) for each in attempts)
    assert asked_for_tokens(instance) == 1


def test_a_token_is_kept_for_the_next_run(mautic: Mautic, instance: MauticSimulator) -> None:
    deliver(mautic, [person(1)])
    deliver(mautic, [person(2)])
    assert asked_for_tokens(instance) == 1


def test_a_revoked_token_is_renewed_once_for_all_and_no_contact_notices(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    deliver(mautic, [person(1)])
    instance.revoke_tokens()
    attempts = at_once(mautic, 8)
    assert all(isinstance(each.outcome, Synced) for each in attempts)
    assert asked_for_tokens(instance) == 2


def test_a_token_is_renewed_before_it_expires(
    mautic: Mautic, instance: MauticSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(mautic, [person(1)])
    now = time.monotonic()
    monkeypatch.setattr("crm_sync_pipeline.destinations.mautic.tokens.time.monotonic", lambda: now + 3600 - 59)
    deliver(mautic, [person(2)])
    assert asked_for_tokens(instance) == 2
    assert 401 not in [each.status for each in instance.requests]


def test_a_token_that_is_refused_twice_in_one_request_is_our_set_ups_fault(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    instance.inject("status-401-key")
    (attempt,) = deliver(mautic, [person(1)])
    assert isinstance(attempt.outcome, DestinationDown)
    assert (attempt.outcome.reason, attempt.outcome.answer) == ("wrong_client", "")
    assert len(instance.requests) - asked_for_tokens(instance) == 2, "once more, and no oftener"


def test_each_client_at_each_mautic_has_a_token_of_its_own(mautic: Mautic, instance: MauticSimulator) -> None:
    deliver(mautic, [person(1)])
    other = mautic.model_copy(update={"client_secret": "another"})
    (attempt,) = deliver(other, [person(2)])
    assert attempt.outcome.reason == "wrong_client", "the token of the right secret is not lent to the wrong one"
    assert isinstance(deliver(mautic, [person(3)])[0].outcome, Synced)
    assert asked_for_tokens(instance) == 2


def test_a_wrong_client_blames_nobody_in_a_batch_and_says_what_to_set(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    wrong = mautic.model_copy(update={"client_secret": "not-the-secret"})
    attempts = deliver(wrong, [person(number) for number in range(1, 6)])
    for attempt in attempts:
        assert isinstance(attempt.outcome, DestinationDown)
        assert (attempt.outcome.reason, attempt.outcome.answer) == ("wrong_client", "")
        assert "MAUTIC_CLIENT_SECRET" in attempt.outcome.message
        assert "not-the-secret" not in attempt.outcome.message
    assert instance.requests.total == 1, "it is a 400, which is no contact's"


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ("status-404", DestinationDown, "http_404"),
        ("status-405", DestinationDown, "http_405"),
        ("status-503", Failed, "http_503"),
        ("status-500-empty", Failed, "http_500"),
        ("garbage-201", Failed, "unexpected_answer"),
        ("unexpected-200", Failed, "unexpected_answer"),
        ("reset-before-write", Failed, "connection_lost"),
        ("hang", Failed, "timeout"),
    ],
)
def test_whatever_comes_in_place_of_a_token_is_read_and_blames_nobody(
    mautic: Mautic, instance: MauticSimulator, fault: str, kind: type, reason: str
) -> None:
    instance.inject(f"{fault}:path={TOKEN_PATH}")
    (attempt,) = deliver(mautic.model_copy(update={"timeout_seconds": 0.4}), [person(1)])
    assert (type(attempt.outcome), attempt.outcome.reason) == (kind, reason)
    assert not instance.contacts


def test_token_and_request_together_keep_to_the_time_limit(mautic: Mautic, instance: MauticSimulator) -> None:
    instance.inject(f"latency=300:path={TOKEN_PATH}")
    instance.inject("latency=60000")
    (attempt,) = deliver(mautic.model_copy(update={"timeout_seconds": 0.5}), [person(1)])
    assert attempt.outcome.reason == "timeout"
    assert 450 <= attempt.milliseconds < 700


def test_basic_auth_needs_no_token(mautic: Mautic, instance: MauticSimulator) -> None:
    (attempt,) = deliver(by_basic(mautic), [person(1)])
    assert isinstance(attempt.outcome, Synced)
    assert asked_for_tokens(instance) == 0


def test_a_wrong_password_is_our_set_ups_fault(mautic: Mautic, instance: MauticSimulator) -> None:
    (attempt,) = deliver(by_basic(mautic, "other"), [person(1)])
    assert isinstance(attempt.outcome, DestinationDown)
    assert (attempt.outcome.reason, attempt.outcome.answer) == ("wrong_password", "")
    assert "MAUTIC_PASSWORD" in attempt.outcome.message
    assert len(instance.requests) == 1


@pytest.mark.parametrize("kind", ["oauth", "basic"])
def test_an_api_that_is_off_says_where_to_switch_it_on(mautic: Mautic, instance: MauticSimulator, kind: str) -> None:
    instance.switches.api_enabled = False
    attempts = deliver(by_basic(mautic) if kind == "basic" else mautic, [person(1), person(2)])
    for attempt in attempts:
        assert isinstance(attempt.outcome, DestinationDown)
        assert (attempt.outcome.reason, attempt.outcome.answer) == ("api_disabled", "")
        assert "API enabled" in attempt.outcome.message


def test_basic_auth_that_is_off_says_where_to_switch_it_on(mautic: Mautic, instance: MauticSimulator) -> None:
    instance.switches.basic_auth_enabled = False
    attempts = deliver(by_basic(mautic), [person(1), person(2)])
    assert {each.outcome.reason for each in attempts} == {"basic_auth_disabled"}
    assert all(isinstance(each.outcome, DestinationDown) and not each.outcome.answer for each in attempts)


def test_no_secret_shows_anywhere(mautic: Mautic) -> None:
    deliver(mautic, [person(1)])
    basic = by_basic(mautic)
    shown = f"{mautic!r} {mautic} {basic!r} {basic} {tokens._kept}"
    kept = [each.token for each in tokens._kept.values()]
    assert [secret for secret in ("mautic-secret", DEFAULT_PASSWORD, *kept) if secret in shown] == []
