import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoLimits, BrevoSimulator
from crm_sync_pipeline.simulators.limiter import Limiter, Reading, TokenBucket
from crm_sync_pipeline_tests.simulators.conftest import ManualClock, Serve


def test_a_full_bucket_lets_its_burst_through_and_then_its_rate(clock: ManualClock) -> None:
    limiter = Limiter([TokenBucket(10, 1, clock)])
    assert [limiter.admit()[0] for _ in range(12)] == [True] * 10 + [False] * 2
    clock.advance(0.1)
    assert [limiter.admit()[0] for _ in range(2)] == [True, False]


@given(
    requests=st.floats(0.1, 100),
    seconds=st.floats(0.1, 100),
    waits=st.lists(st.floats(0, 10), min_size=1, max_size=200),
)
def test_no_more_passes_than_the_burst_and_the_rate(requests: float, seconds: float, waits: list[float]) -> None:
    clock = ManualClock()
    limiter = Limiter([TokenBucket(requests, seconds, clock)])
    begun = clock()
    passed = 0
    for wait in waits:
        clock.advance(wait)
        passed += limiter.admit()[0]
        assert passed <= max(1, requests) + (clock() - begun) * requests / seconds + 1e-6


@given(requests=st.floats(0.1, 1000), seconds=st.floats(0.1, 3600), spent=st.integers(1, 30))
def test_a_client_that_waits_for_the_reset_finds_the_bucket_full(requests: float, seconds: float, spent: int) -> None:
    clock = ManualClock()
    limiter = Limiter([TokenBucket(requests, seconds, clock)])
    for _ in range(spent):
        limiter.admit()
    reading = limiter.reading()
    assert reading is not None
    clock.advance(reading.reset_seconds)
    assert limiter.reading() == Reading(reading.limit, reading.limit, 0)


def test_a_request_that_one_bucket_refuses_takes_from_none(clock: ManualClock) -> None:
    hourly = TokenBucket(2, 3600, clock)
    limiter = Limiter([TokenBucket(10, 1, clock), hourly])
    assert [limiter.admit()[0] for _ in range(3)] == [True, True, False]
    assert limiter.admit()[1] == Reading(2, 0, 3600)
    assert limiter.reading() == Reading(10, 8, 1)


def test_without_a_bucket_everything_passes_unread() -> None:
    assert Limiter().admit() == (True, None)


@pytest.mark.parametrize(("requests", "seconds"), [(0, 1), (-1, 1), (1, 0)])
def test_a_bucket_without_a_rate_is_refused(requests: float, seconds: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        TokenBucket(requests, seconds, lambda: 0)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("general", BrevoLimits(10, 36_000, 100)),
        ("advanced", BrevoLimits(20, 72_000, 200)),
        ("extended", BrevoLimits(60, 216_000, 600)),
        ("unlimited", BrevoLimits(None, None, None)),
        ("25", BrevoLimits(25, None, None)),
        ("0.5", BrevoLimits(0.5, None, None)),
    ],
)
def test_a_limit_is_a_plan_or_a_number(text: str, limits: BrevoLimits) -> None:
    assert BrevoLimits.parse(text) == limits


@pytest.mark.parametrize("text", ["", "enterprise", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_neither_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="general, advanced, extended, unlimited, or a number above 0"):
        BrevoLimits.parse(text)


def test_the_eleventh_request_of_a_second_is_429_at_once_without_retry_after(serve: Serve, clock: ManualClock) -> None:
    simulator = BrevoSimulator(clock=clock)
    client = serve(simulator)
    answers = [client.post("/v3/contacts", json={"email": f"c{n}@example.com"}) for n in range(11)]
    assert [answer.status_code for answer in answers] == [201] * 10 + [429]
    assert [answer.headers["x-sib-ratelimit-remaining"] for answer in answers[:3]] == ["9", "8", "7"]
    refused = answers[-1]
    assert refused.content == b'{"code":"too_many_requests","message":"Too many requests"}'
    assert refused.headers["x-sib-ratelimit-limit"] == "10"
    assert refused.headers["x-sib-ratelimit-remaining"] == "0"
    assert refused.headers["x-sib-ratelimit-reset"] == "1"
    assert "retry-after" not in refused.headers
    assert len(simulator.contacts) == 10
    clock.advance(1)
    assert client.get("/v3/contacts").status_code == 200


def test_the_limit_is_the_accounts_whatever_key_is_used(serve: Serve, clock: ManualClock) -> None:
    keys = frozenset({"one", "two"})
    client = serve(BrevoSimulator(BrevoConfig(api_keys=keys, limits=BrevoLimits.per_second(2)), clock=clock))
    statuses = [client.get("/v3/contacts", headers={"api-key": key}).status_code for key in ("one", "two", "one")]
    assert statuses == [200, 200, 429]


def test_everything_but_contacts_shares_an_hourly_bucket_of_its_own(serve: Serve, clock: ManualClock) -> None:
    client = serve(BrevoSimulator(BrevoConfig(limits=BrevoLimits(None, None, 2)), clock=clock))
    assert client.get("/v3/account").headers["x-sib-ratelimit-limit"] == "2"
    assert client.get("/v3/processes").status_code == 200
    assert client.get("/v3/account").status_code == 429
    assert client.get("/v3/contacts").status_code == 200
    clock.advance(1800)
    assert client.get("/v3/account").status_code == 200


def test_a_wrong_key_costs_nothing(serve: Serve, clock: ManualClock) -> None:
    client = serve(BrevoSimulator(BrevoConfig(limits=BrevoLimits.per_second(1)), clock=clock))
    refused = client.get("/v3/contacts", headers={"api-key": "wrong"})
    assert (refused.status_code, refused.headers["x-sib-ratelimit-remaining"]) == (401, "1")
    assert client.get("/v3/contacts").status_code == 200


def test_an_account_without_limits_sends_no_limit_headers(serve: Serve) -> None:
    answer = serve(BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"]))).get("/v3/contacts")
    assert not any(name.startswith("x-sib-ratelimit") for name in answer.headers)
