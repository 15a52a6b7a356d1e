import math

from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.call_times import CallTimes

times = st.lists(st.integers(0, 120_000), min_size=1, max_size=300)


def call_times(milliseconds: list[int]) -> CallTimes:
    found = CallTimes()
    for each in milliseconds:
        found.note(each)
    return found


@given(times, st.sampled_from([50, 95, 100]))
def test_a_percentile_is_within_a_fortieth_of_the_true_one(milliseconds: list[int], percent: int) -> None:
    true = max(1, sorted(milliseconds)[math.ceil(len(milliseconds) * percent / 100) - 1])
    found = call_times(milliseconds).percentile(percent)
    assert found is not None
    assert abs(found - true) <= (true * 0.025 + 0.5 if true > 20 else 0)


@given(times, times)
def test_two_runs_added_up_are_as_one_that_made_all_calls(some: list[int], more: list[int]) -> None:
    one = call_times(some)
    one.add(call_times(more))
    assert one == call_times(some + more)


def test_without_a_call_there_is_no_percentile_and_two_minutes_of_calls_fill_no_more_than_240_steps() -> None:
    assert CallTimes().percentile(95) is None
    assert len(call_times(list(range(120_000))).counts) <= 240
