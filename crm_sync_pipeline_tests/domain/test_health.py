from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.health import FAILURES_UNTIL_OPEN, Breaker, Down, probe_delay
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Outcome, Rejected, Synced

FAILED = Failed("http_503", "m")
KINDS: list[Outcome] = [
    Synced(),
    FAILED,
    Rejected("http_400", "m"),
    Deferred("http_429", "m"),
    DestinationDown("http_401", "m"),
]


def after(*outcomes: Outcome) -> Breaker:
    breaker = Breaker()
    for outcome in outcomes:
        breaker.observe(outcome)
    return breaker


def test_it_opens_at_the_fifth_failure_in_a_row() -> None:
    assert not after(*[FAILED] * 4).is_open
    assert after(*[FAILED] * 5).opened_by == FAILED


def test_it_opens_at_the_first_refusal_of_our_set_up() -> None:
    refusal = DestinationDown("http_401", "Brevo refused BREVO_API_KEY")
    assert after(Synced(), refusal).opened_by is refusal


@pytest.mark.parametrize("answer", [Synced(), Rejected("http_400", "m")])
def test_an_answer_that_the_destination_thought_about_starts_the_count_anew(answer: Outcome) -> None:
    assert not after(*[FAILED] * 4, answer, *[FAILED] * 4).is_open


def test_a_rate_limit_neither_counts_nor_clears() -> None:
    limited = Deferred("http_429", "m")
    assert not after(*[limited] * 20).is_open
    assert after(*[FAILED] * 4, limited, FAILED).is_open


def test_what_opened_it_stays_the_first_cause() -> None:
    refusal = DestinationDown("http_401", "m")
    assert after(refusal, *[FAILED] * 9, DestinationDown("http_403", "m")).opened_by is refusal


@given(st.lists(st.sampled_from(KINDS)))
def test_it_is_open_exactly_after_a_refusal_or_five_failures_in_a_row(outcomes: list[Outcome]) -> None:
    in_a_row = longest = 0
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            in_a_row += 1
        elif not isinstance(outcome, Deferred):
            in_a_row = 0
        longest = max(longest, in_a_row)
    refused = any(isinstance(outcome, DestinationDown) for outcome in outcomes)
    assert after(*outcomes).is_open == (refused or longest >= FAILURES_UNTIL_OPEN)


def test_probes_wait_1_2_4_8_and_then_15_minutes() -> None:
    assert [probe_delay(done) / timedelta(minutes=1) for done in range(7)] == [1, 2, 4, 8, 15, 15, 15]


@given(st.integers(0, 10**9))
def test_no_probe_waits_longer_than_15_minutes(done: int) -> None:
    assert timedelta(minutes=1) <= probe_delay(done) <= timedelta(minutes=15)


def test_a_negative_count_of_probes_is_refused() -> None:
    with pytest.raises(ValueError, match="counts from 0"):
        probe_delay(-1)


@pytest.mark.parametrize(("seconds", "due"), [(-1, True), (0, True), (1, False)])
def test_a_probe_is_due_once_its_wait_is_over(seconds: int, due: bool) -> None:
    assert Down("http_401", "m", 0, timedelta(seconds=seconds)).probe_is_due is due
