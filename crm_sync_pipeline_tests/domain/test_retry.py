from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.retry import LONGEST_DELAY, RetryPolicy

policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 50),
    base_delay=st.timedeltas(timedelta(seconds=1), timedelta(days=1)),
    exponential=st.booleans(),
)


def minutes(policy: RetryPolicy, retries: int) -> list[float]:
    return [policy.delay(done) / timedelta(minutes=1) for done in range(retries)]


def test_the_waits_are_5_10_and_20_minutes() -> None:
    assert minutes(RetryPolicy(), 3) == [5, 10, 20]


def test_with_exponential_off_the_waits_are_5_10_and_15_minutes() -> None:
    assert minutes(RetryPolicy(exponential=False), 3) == [5, 10, 15]


def test_the_base_scales_every_wait() -> None:
    assert minutes(RetryPolicy(base_delay=timedelta(minutes=7)), 4) == [7, 14, 28, 56]


@given(policy=policies, done=st.integers(0, 10_000))
def test_no_wait_is_shorter_than_the_one_before_or_longer_than_a_week(policy: RetryPolicy, done: int) -> None:
    assert timedelta(0) < policy.delay(done) <= policy.delay(done + 1) <= LONGEST_DELAY == timedelta(days=7)


@given(done=st.integers(max_value=-1))
def test_a_negative_count_is_refused(done: int) -> None:
    with pytest.raises(ValueError, match="counts from 0"):
        RetryPolicy().delay(done)


@given(policy=policies)
def test_retries_are_spent_after_exactly_max_retries(policy: RetryPolicy) -> None:
    assert sum(not policy.is_spent(done) for done in range(policy.max_retries + 5)) == policy.max_retries
