from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.batch import Batch, Settlement, Tally
from crm_sync_pipeline.domain.outcome import WITHOUT_ITS_NUMBER, Deferred, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.domain.transition import Ending

SYNCED, FAILED = Synced("1", "created"), Failed("http_503", "m")
REJECTED, DEFERRED = Rejected("http_400", "m"), Deferred("http_429", "m")
KINDS: list[Outcome] = [SYNCED, FAILED, REJECTED, DEFERRED]


def tally_of(*outcomes: Outcome, down: str | None = None) -> Tally:
    tally = Tally(down=down)
    for outcome in outcomes:
        tally.count(outcome)
    return tally


def test_a_run_in_which_the_destination_was_down_has_a_problem() -> None:
    problem = tally_of(SYNCED, down="Brevo is down: wrong key.").problem()
    assert problem == "Brevo is down: wrong key. What was not delivered is back in the queue."


def test_a_run_in_which_nothing_got_through_has_a_problem_and_says_why() -> None:
    problem = tally_of(FAILED, FAILED, Failed("timeout", "m")).problem()
    assert problem == "None of the 3 contacts was delivered: http_503 (2), timeout (1). They will be retried."


@given(st.lists(st.sampled_from(KINDS)))
def test_a_run_is_red_exactly_when_it_only_failed(outcomes: list[Outcome]) -> None:
    answered = any(isinstance(outcome, (Synced, Rejected)) for outcome in outcomes)
    failed = any(isinstance(outcome, Failed) for outcome in outcomes)
    assert (tally_of(*outcomes).problem() is not None) == (failed and not answered)


@given(st.lists(st.sampled_from(KINDS)))
def test_the_numbers_for_the_ui_add_up(outcomes: list[Outcome]) -> None:
    numbers = tally_of(*outcomes).as_metadata()
    assert sum(numbers[name] for name in ("synced", "failed", "rejected", "deferred")) == len(outcomes)
    assert sum(numbers["reasons"].values()) == len(outcomes)


def test_numbers_left_out_are_counted_of_those_that_were_sent() -> None:
    left_out = f"{WITHOUT_ITS_NUMBER} is not valid"
    tally = tally_of(Synced("1", "created", left_out), Synced("2"), Rejected("http_400", left_out))
    tally.count(Synced(reason="imported", message=left_out), 3)
    tally.add(tally_of(Synced("3", "created", f"Something else. {left_out}")))
    assert tally.as_metadata()["numbers_left_out"] == 5
    assert (tally.outcomes["synced"], tally.reasons["imported"]) == (6, 3)


@given(st.lists(st.sampled_from(Ending)), st.lists(st.sampled_from(Ending)), st.integers(0, 5))
def test_settlements_add_up(some: list[Ending], more: list[Ending], superseded: int) -> None:
    one, other = Settlement(), Settlement(superseded=superseded)
    one.endings.update(some)
    other.endings.update(more)
    one.add(other)
    assert one.total == len(some) + len(more) + superseded == sum(one.as_metadata().values())
    assert set(one.as_metadata()) == {"complete", "retry", "error", "deferred", "again", "superseded"}


def test_what_crosses_a_boundary_has_no_room_for_personal_data() -> None:
    assert set(Batch.__slots__) == {"destination", "token", "size", "note", "is_quarantined", "recovered", "put_aside"}
    assert Batch("brevo", uuid4(), 0).note == ""
