"""How clocks compare, and what a report says of its lines."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.check import CheckReport, Line, State, ahead_of, clock_line

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)
seconds = st.floats(-10_000, 10_000).map(lambda number: timedelta(seconds=number))
waits = st.floats(0, 30).map(lambda number: timedelta(seconds=number))


@given(apart=seconds, way=waits, back=waits)
def test_a_clock_is_never_said_to_be_further_off_than_it_is(apart: timedelta, way: timedelta, back: timedelta) -> None:
    read_at = NOW + way
    shown = (read_at - apart).replace(microsecond=0)

    found = ahead_of(shown, NOW, read_at + back, precision=SECOND)

    assert abs(found) <= abs(apart)
    assert found * 2 == found or (found > timedelta(0)) == (apart > timedelta(0))
    assert abs(apart - found) <= way + back + SECOND


@pytest.mark.parametrize(
    ("ahead", "state", "says"),
    [
        (4, State.GREEN, "agrees"),
        (-4, State.GREEN, "agrees"),
        (12, State.YELLOW, "12 s ahead of it"),
        (-12, State.YELLOW, "12 s behind it"),
        (3600, State.RED, "60 min ahead of it"),
        (-3600, State.RED, "60 min behind it"),
    ],
)
def test_clocks_that_are_apart_are_worth_knowing_and_far_apart_they_are_red(
    ahead: int, state: State, says: str
) -> None:
    line = clock_line("Brevo", ahead * SECOND)

    assert (line.name, line.state) == ("Clock of Brevo", state)
    assert says in line.says
    assert bool(line.to_do) is (state is not State.GREEN)


def test_a_report_is_good_until_one_line_is_red_and_names_those_that_are() -> None:
    lines = (Line("Key", State.GREEN, "fine"), Line("Breaker", State.YELLOW, "open"))
    assert CheckReport("Brevo", lines).sentence() == "Brevo is ready."

    report = CheckReport("Brevo", (*lines, Line("List", State.RED, "none | at all", "Set it.")))

    assert not report.is_good
    assert report.sentence() == "Brevo is not ready: List. Nothing was sent."
    assert report.as_markdown().splitlines()[-1] == "| red | List | none \\| at all | Set it. |"
