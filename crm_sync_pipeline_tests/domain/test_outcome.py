import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.outcome import (
    OUTCOME_NAMES,
    Deferred,
    DestinationDown,
    Failed,
    Outcome,
    Rejected,
    Synced,
    outcome_of,
)

outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Synced, st.none() | st.text(), st.text(), st.text()),
    st.builds(Failed, st.text(), st.text()),
    st.builds(Rejected, st.text(), st.text()),
    st.builds(Deferred, st.text(), st.text()),
)


@given(outcomes)
def test_a_journal_row_tells_the_outcome_that_was_written(outcome: Outcome) -> None:
    remote_id = outcome.remote_id if isinstance(outcome, Synced) else None
    assert outcome_of(OUTCOME_NAMES[type(outcome)], outcome.reason, outcome.message, remote_id) == outcome


def test_a_destination_that_is_down_reads_back_as_deferred() -> None:
    down = DestinationDown("http_401", "m")
    assert outcome_of(OUTCOME_NAMES[type(down)], down.reason, down.message, None) == Deferred("http_401", "m")


@pytest.mark.parametrize("name", ["", "Synced", "success", "error"])
def test_a_name_that_is_none_of_the_four_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="deferred, failed, rejected, synced"):
        outcome_of(name, "r", "m", None)
