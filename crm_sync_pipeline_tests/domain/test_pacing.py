import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.pacing import SLACK_SECONDS, InFlight, Pace, clamp_pause

rates = st.floats(0.1, 1000)


def granted(rate: float, places: int = 10_000, begins_at: float = 0.0) -> Pace:
    pace = Pace(rate)
    pace.grant(begins_at, places)
    return pace


@given(rate=rates, gaps=st.lists(st.floats(0, 2), min_size=2, max_size=60))
def test_no_two_places_are_closer_than_the_rate_allows(rate: float, gaps: list[float]) -> None:
    pace, now, places = Pace(rate), 1000.0, []
    for gap in gaps:
        now += gap
        if (wait := pace.reserve(now)) is None:
            pace.grant(now, 3)
            wait = pace.reserve(now)
        assert wait is not None
        assert wait >= 0
        places.append(now + wait)
    assert all(later - earlier >= 1 / rate - 1e-6 for earlier, later in pairwise(places))


def test_ten_a_second_means_no_more_than_ten_in_any_second() -> None:
    pace = granted(10, begins_at=5)
    places = [5 + (pace.reserve(5) or 0) for _ in range(40)]
    assert places[0] == 5
    assert all(places[index + 10] - places[index] >= 1 - 1e-9 for index in range(30))


def test_without_a_grant_there_is_no_place_and_with_one_there_are_as_many_as_granted() -> None:
    pace = Pace(10)
    assert pace.reserve(0) is None
    pace.grant(2, 3)
    assert [pace.reserve(0) for _ in range(4)] == [2, pytest.approx(2.1), pytest.approx(2.2), None]


def test_a_place_that_nobody_took_in_its_time_is_given_up_because_another_run_holds_the_next() -> None:
    pace = granted(10, places=5)
    assert pace.reserve(0.5 + SLACK_SECONDS / 2) == 0
    assert pace.reserve(0.5 + 2 * SLACK_SECONDS) is None


def test_no_more_is_asked_for_than_waits_nor_than_half_a_second_needs() -> None:
    assert [Pace(10).wanted(waiting) for waiting in (0, 1, 3, 100)] == [1, 1, 3, 5]
    assert Pace(0.5).wanted(100) == 1
    assert Pace(10).seconds_of(5) == 0.5


@given(rate=rates, seconds=st.floats(0.1, 60), queued=st.integers(0, 20))
def test_a_pause_holds_everybody_back(rate: float, seconds: float, queued: int) -> None:
    pace = granted(rate)
    for _ in range(queued):
        pace.reserve(0)
    assert pace.pause(0, seconds)
    assert pace.paused_for(0) == seconds
    assert pace.reserve(0) is None, "what was granted before the pause is void"


def test_a_short_pause_never_shortens_a_longer_one_and_is_no_news() -> None:
    pace = Pace(10)
    assert pace.pause(0, 30)
    assert not pace.pause(1, 2)
    assert pace.paused_for(1) == 29
    assert pace.paused_for(31) == 0


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        (0.1, 0.1),
        (1, 1),
        (60, 60),
        (61, 60),
        (86_400_000, 60),
        (math.inf, 60),
        (0.05, 0.1),
        (0, 0.1),
        (-5, 0.1),
        (-math.inf, 0.1),
        (math.nan, 0.1),
    ],
)
def test_a_pause_lies_between_a_tenth_of_a_second_and_a_minute(asked: float, held: float) -> None:
    assert clamp_pause(asked) == held


@given(st.floats())
def test_no_header_makes_a_pause_absurd(seconds: float) -> None:
    pace = Pace(10)
    pace.pause(0, seconds)
    assert pace.paused_for(0) == clamp_pause(seconds)


def test_no_more_are_in_the_air_than_allowed() -> None:
    in_flight = InFlight(2)
    assert [in_flight.acquire() for _ in range(3)] == [True, True, False]
    in_flight.release()
    assert in_flight.acquire()


def test_what_is_pushed_back_together_halves_the_number_once_and_answers_bring_it_back() -> None:
    in_flight = InFlight(8)
    for _ in range(5):
        in_flight.observe(10.0, pushed_back=True)
    assert in_flight.limit == 4
    in_flight.observe(12.0, pushed_back=True)
    assert in_flight.limit == 2
    for answers in range(40):
        in_flight.observe(13.0, pushed_back=False)
        assert in_flight.limit <= 8, answers
    assert in_flight.limit == 8


@given(st.lists(st.booleans(), max_size=200))
def test_one_may_always_be_in_the_air(answers: list[bool]) -> None:
    in_flight = InFlight(4)
    for second, pushed_back in enumerate(answers):
        in_flight.observe(float(second), pushed_back)
        assert 1 <= in_flight.limit <= 4
