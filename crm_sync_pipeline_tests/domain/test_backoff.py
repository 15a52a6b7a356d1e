"""How long the next run waits when the last ones achieved nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.backoff import LONGEST_WAIT, FinishedRun, in_vain, wait_after, wait_left

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def runs(*newest_first: bool | None) -> list[FinishedRun]:
    return [FinishedRun(str(n), START - timedelta(minutes=n), achieved) for n, achieved in enumerate(newest_first)]


def length(newest_first: Sequence[bool | None]) -> int:
    return len(in_vain(runs(*newest_first)))


def test_one_run_in_vain_costs_nothing_and_the_wait_doubles_from_the_second_on_up_to_15_minutes() -> None:
    waits = [wait_after(count).total_seconds() for count in range(12)]
    assert waits == [0, 0, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]


def test_the_first_run_that_achieves_something_ends_the_row() -> None:
    assert length([True, False, False, False]) == 0
    assert length([False, False, True, False]) == 2


@given(st.lists(st.sampled_from([True, False, None]), max_size=10))
def test_runs_that_say_nothing_change_nothing(results: list[bool | None]) -> None:
    assert length(results) == length([each for each in results if each is not None])


def test_the_wait_counts_from_the_end_of_the_newest() -> None:
    row = in_vain(runs(False, False, False))
    assert wait_left(row, START) == timedelta(seconds=20)
    assert wait_left(row, START + timedelta(seconds=15)) == timedelta(seconds=5)
    assert wait_left(row, START + timedelta(seconds=20)) == timedelta(0)


@given(st.integers(0, 20), st.integers(-100_000, 100_000))
def test_no_clock_makes_the_wait_longer_than_it_should_be(count: int, off_by_seconds: int) -> None:
    left = wait_left(in_vain(runs(*[False] * count)), START + timedelta(seconds=off_by_seconds))
    assert timedelta(0) <= left <= wait_after(count) <= LONGEST_WAIT


@given(st.integers(0, 60))
def test_a_day_in_vain_takes_at_most_200_runs_however_long_each_takes(seconds_of_a_run: int) -> None:
    now, row = START, list[FinishedRun]()
    while now < START + DAY:
        now += wait_left(row[:10], now) + timedelta(seconds=seconds_of_a_run)
        row.insert(0, FinishedRun(str(len(row)), now, False))
    assert 90 <= len(row) + 10 <= 200
