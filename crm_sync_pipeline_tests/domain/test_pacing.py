import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.pacing import Pace, clamp_pause

rates = st.floats(0.1, 1000)


@given(rate=rates, gaps=st.lists(st.floats(0, 2), min_size=2, max_size=60))
def test_no_two_places_are_closer_than_the_rate_allows(rate: float, gaps: list[float]) -> None:
    pace, now, places = Pace(rate), 1000.0, []
    for gap in gaps:
        now += gap
        wait = pace.reserve(now)
        assert wait >= 0
        places.append(now + wait)
    assert all(later - earlier >= 1 / rate - 1e-6 for earlier, later in pairwise(places))


def test_ten_a_second_means_no_more_than_ten_in_any_second() -> None:
    pace = Pace(10)
    places = [5 + pace.reserve(5) for _ in range(40)]
    assert places[0] == 5
    assert all(places[index + 10] - places[index] >= 1 - 1e-9 for index in range(30))


def test_nothing_is_saved_up_while_idle() -> None:
    pace = Pace(10)
    pace.reserve(0)
    assert pace.reserve(100) == 0
    assert pace.reserve(100) == pytest.approx(0.1)


@given(rate=rates, seconds=st.floats(0.1, 60), queued=st.integers(0, 20))
def test_a_pause_holds_everybody_back(rate: float, seconds: float, queued: int) -> None:
    pace = Pace(rate)
    for _ in range(queued):
        pace.reserve(0)
    held = pace.pause(0, seconds)
    assert held == seconds
    assert pace.reserve(0) >= seconds


def test_a_short_pause_never_shortens_a_longer_one() -> None:
    pace = Pace(10)
    pace.pause(0, 30)
    pace.pause(1, 2)
    assert pace.reserve(1) == pytest.approx(29)


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
    assert 0.1 <= clamp_pause(seconds) <= 60
    assert Pace(10).pause(0, seconds) == clamp_pause(seconds)
