from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.domain.retry import RetryPolicy
from crm_sync_pipeline.domain.transition import (
    ERROR_LIMIT,
    LAST_ERROR_LIMIT,
    Ending,
    ProcessingStatus,
    SharedColumns,
    Standing,
    SyncStatus,
    Transition,
    transition,
    transition_after_loss,
)

DEFAULT = RetryPolicy()
LINEAR = RetryPolicy(exponential=False)
STRICT = RetryPolicy(retry_rejected=False)
NO_RETRY = RetryPolicy(max_retries=0)
FAILED = Failed("http_503", "Brevo API error (503): try later")
REJECTED = Rejected("http_400", "Brevo API error (400): email is not valid")
SPENT = "Max retries exceeded (3). Last error: "

COMPLETE = Transition(
    Ending.COMPLETE,
    SyncStatus.Complete,
    ProcessingStatus.Complete,
    retry_count=0,
    shared=SharedColumns.CLEAR_IF_OURS,
)
AGAIN = Transition(
    Ending.AGAIN,
    SyncStatus.Queued,
    ProcessingStatus.Queued,
    retry_count=0,
    due_in=timedelta(0),
    shared=SharedColumns.CLEAR_IF_OURS,
)


def retry(retry_count: int, minutes: int, error: str) -> Transition:
    return Transition(
        Ending.RETRY,
        SyncStatus.Queued,
        ProcessingStatus.Queued,
        retry_count=retry_count,
        due_in=timedelta(minutes=minutes),
        error=error,
        shared=SharedColumns.RECORD_FAILURE,
    )


def error(retry_count: int, text: str) -> Transition:
    return Transition(
        Ending.ERROR,
        SyncStatus.Error,
        ProcessingStatus.Error,
        retry_count=retry_count,
        due_in=None,
        error=text,
        shared=SharedColumns.RECORD_FAILURE,
    )


def deferred(
    retry_count: int = 0, losses: int = 0, wait: timedelta = timedelta(0), text: str | None = None
) -> Transition:
    return Transition(
        Ending.DEFERRED,
        SyncStatus.Queued,
        ProcessingStatus.Queued,
        retry_count=retry_count,
        due_in=wait,
        error=text,
        keeps_error=text is None,
        losses=losses,
    )


EVERY_CASE: list[tuple[str, Standing, Outcome, RetryPolicy, Transition]] = [
    ("synced at once", Standing(0), Synced("1"), DEFAULT, COMPLETE),
    ("synced by the first retry", Standing(1), Synced("1"), DEFAULT, COMPLETE),
    ("synced by the last retry", Standing(3), Synced("1"), DEFAULT, COMPLETE),
    ("synced after losses", Standing(0, losses=3), Synced("1"), DEFAULT, COMPLETE),
    ("synced, edited meanwhile", Standing(2, losses=1, edited=True), Synced("1"), DEFAULT, AGAIN),
    ("failed, retry 1", Standing(0), FAILED, DEFAULT, retry(1, 5, FAILED.message)),
    ("failed, retry 2", Standing(1), FAILED, DEFAULT, retry(2, 10, FAILED.message)),
    ("failed, retry 3", Standing(2), FAILED, DEFAULT, retry(3, 20, FAILED.message)),
    ("failed for good", Standing(3), FAILED, DEFAULT, error(3, SPENT + FAILED.message)),
    ("failed, linear, retry 1", Standing(0), FAILED, LINEAR, retry(1, 5, FAILED.message)),
    ("failed, linear, retry 2", Standing(1), FAILED, LINEAR, retry(2, 10, FAILED.message)),
    ("failed, linear, retry 3", Standing(2), FAILED, LINEAR, retry(3, 15, FAILED.message)),
    ("failed, linear, for good", Standing(3), FAILED, LINEAR, error(3, SPENT + FAILED.message)),
    ("failed, strict", Standing(0), FAILED, STRICT, retry(1, 5, FAILED.message)),
    ("synced, overtaken by an older call", Standing(2, losses=1, overtaken=True), Synced("1"), DEFAULT, AGAIN),
    ("failed, overtaken by an older call", Standing(1, overtaken=True), FAILED, DEFAULT, retry(2, 10, FAILED.message)),
    ("failed, edited meanwhile", Standing(1, edited=True), FAILED, DEFAULT, retry(2, 10, FAILED.message)),
    ("failed after losses", Standing(0, losses=3), FAILED, DEFAULT, retry(1, 5, FAILED.message)),
    (
        "failed, no retries allowed",
        Standing(0),
        FAILED,
        NO_RETRY,
        error(0, f"Max retries exceeded (0). Last error: {FAILED.message}"),
    ),
    (
        "failed, more retries done than allowed now",
        Standing(3),
        FAILED,
        RetryPolicy(max_retries=2),
        error(3, f"Max retries exceeded (2). Last error: {FAILED.message}"),
    ),
    ("rejected, retry 1", Standing(0), REJECTED, DEFAULT, retry(1, 5, REJECTED.message)),
    ("rejected, retry 2", Standing(1), REJECTED, DEFAULT, retry(2, 10, REJECTED.message)),
    ("rejected, retry 3", Standing(2), REJECTED, DEFAULT, retry(3, 20, REJECTED.message)),
    ("rejected for good", Standing(3), REJECTED, DEFAULT, error(3, SPENT + REJECTED.message)),
    ("rejected, strict", Standing(0), REJECTED, STRICT, error(0, REJECTED.message)),
    ("rejected, strict, after a failure", Standing(2), REJECTED, STRICT, error(2, REJECTED.message)),
    ("rejected, edited meanwhile", Standing(1, edited=True), REJECTED, DEFAULT, AGAIN),
    ("rejected for good, edited meanwhile", Standing(3, edited=True), REJECTED, DEFAULT, AGAIN),
    ("rejected, strict, edited meanwhile", Standing(0, edited=True), REJECTED, STRICT, AGAIN),
    ("not sent", Standing(0), Deferred("not_sent"), DEFAULT, deferred()),
    ("not sent, between retries", Standing(2, losses=1), Deferred("not_sent"), DEFAULT, deferred(2, 1)),
    ("not sent, retries spent", Standing(3), Deferred("not_sent"), DEFAULT, deferred(3)),
    (
        "deferred with a wait",
        Standing(1),
        Deferred("http_429", "Brevo asks for a pause", timedelta(seconds=40)),
        DEFAULT,
        deferred(1, wait=timedelta(seconds=40), text="Brevo asks for a pause"),
    ),
    ("deferred, edited meanwhile", Standing(0, edited=True), Deferred("not_sent"), DEFAULT, deferred()),
    (
        "the destination is down",
        Standing(1),
        DestinationDown("http_401", "Brevo refused BREVO_API_KEY"),
        DEFAULT,
        deferred(1, text="Brevo refused BREVO_API_KEY"),
    ),
    (
        "the destination is down, retries spent",
        Standing(3),
        DestinationDown("http_401", "Brevo refused BREVO_API_KEY"),
        STRICT,
        deferred(3, text="Brevo refused BREVO_API_KEY"),
    ),
]


@pytest.mark.parametrize(
    ("standing", "outcome", "policy", "next_state"), [pytest.param(*case[1:], id=case[0]) for case in EVERY_CASE]
)
def test_what_becomes_of_a_delivery(
    standing: Standing, outcome: Outcome, policy: RetryPolicy, next_state: Transition
) -> None:
    assert transition(standing, outcome, policy) == next_state


@pytest.mark.parametrize("retries_done", [0, 2])
@pytest.mark.parametrize(("losses_before", "ends"), [(0, False), (1, False), (2, False), (3, True), (9, True)])
def test_a_loss_spends_no_retry_and_the_fourth_in_a_row_ends_it(
    retries_done: int, losses_before: int, ends: bool
) -> None:
    next_state = transition_after_loss(Standing(retries_done, losses_before))
    if not ends:
        assert next_state == deferred(retries_done, losses_before + 1)
        return
    assert next_state.ending is Ending.ERROR
    assert next_state.sync_status is SyncStatus.Error
    assert next_state.processing_status is ProcessingStatus.Error
    assert next_state.retry_count == retries_done
    assert next_state.due_in is None
    assert next_state.error is not None
    assert next_state.error.startswith(f"lease_expired: {losses_before + 1} workers in a row")


def test_an_error_text_is_cut_at_500_characters_and_the_last_one_at_400() -> None:
    long = Failed("http_503", "x" * 2000)
    assert transition(Standing(0), long, DEFAULT).error == "x" * 500
    assert transition(Standing(3), long, DEFAULT).error == SPENT + "x" * 400
    assert transition(Standing(0), Rejected("http_400", "x" * 2000), STRICT).error == "x" * 500
    assert transition(Standing(0), Deferred("http_401", "x" * 2000), DEFAULT).error == "x" * 500


texts = st.text(max_size=900)
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Synced, remote_id=st.none() | st.text(max_size=9), message=texts),
    st.builds(Failed, st.just("http_503"), texts),
    st.builds(Rejected, st.just("http_400"), texts),
    st.builds(Deferred, st.just("http_429"), texts, st.timedeltas(timedelta(0), timedelta(hours=1))),
    st.builds(DestinationDown, st.just("http_401"), texts),
)
policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 8),
    base_delay=st.timedeltas(timedelta(minutes=1), timedelta(hours=1)),
    exponential=st.booleans(),
    retry_rejected=st.booleans(),
)
standings = st.builds(
    Standing, retries_done=st.integers(0, 8), losses=st.integers(0, 6), edited=st.booleans(), overtaken=st.booleans()
)


@given(kinds=st.lists(st.sampled_from([FAILED, REJECTED]), min_size=4, max_size=4))
def test_the_fourth_failure_ends_in_error_whatever_the_mixture(kinds: list[Failed | Rejected]) -> None:
    standing, endings = Standing(), []
    for outcome in kinds:
        next_state = transition(standing, outcome, DEFAULT)
        endings.append(next_state.ending)
        standing = Standing(next_state.retry_count, next_state.losses)
    assert endings == [Ending.RETRY, Ending.RETRY, Ending.RETRY, Ending.ERROR]
    assert standing.retries_done == 3


@given(policy=policies, tries=st.lists(outcomes | st.just("lost"), max_size=40))
def test_no_history_schedules_more_retries_than_allowed(policy: RetryPolicy, tries: list[Outcome | str]) -> None:
    standing, retries = Standing(), 0
    for outcome in tries:
        next_state = (
            transition_after_loss(standing) if isinstance(outcome, str) else transition(standing, outcome, policy)
        )
        retries = retries + 1 if next_state.ending is Ending.RETRY else retries
        assert retries <= policy.max_retries
        assert next_state.retry_count <= policy.max_retries
        if next_state.ending in (Ending.COMPLETE, Ending.ERROR):
            return
        standing = Standing(next_state.retry_count, next_state.losses)


@given(standing=standings, outcome=outcomes, policy=policies)
def test_both_statuses_tell_the_same_and_only_what_is_queued_is_due(
    standing: Standing, outcome: Outcome, policy: RetryPolicy
) -> None:
    next_state = transition(standing, outcome, policy)
    assert next_state.sync_status.value == next_state.processing_status.value
    assert next_state.sync_status is not SyncStatus.Processing
    assert (next_state.due_in is not None) == (next_state.processing_status is ProcessingStatus.Queued)
    assert next_state.due_in is None or next_state.due_in >= timedelta(0)


@given(standing=standings, outcome=outcomes, policy=policies)
def test_an_error_text_always_fits(standing: Standing, outcome: Outcome, policy: RetryPolicy) -> None:
    next_state = transition(standing, outcome, policy)
    assert len(next_state.error or "") <= ERROR_LIMIT
    if next_state.ending is Ending.ERROR:
        assert next_state.error is not None
        spent = f"Max retries exceeded ({policy.max_retries}). Last error: "
        if next_state.error.startswith(spent):
            assert len(next_state.error) <= len(spent) + LAST_ERROR_LIMIT


@given(standing=standings, outcome=outcomes, policy=policies)
def test_only_a_failure_spends_a_retry_and_writes_the_shared_columns(
    standing: Standing, outcome: Outcome, policy: RetryPolicy
) -> None:
    next_state = transition(standing, outcome, policy)
    if isinstance(outcome, Deferred):
        assert next_state.retry_count == standing.retries_done
        assert next_state.shared is SharedColumns.KEEP
        assert next_state.losses == standing.losses
    elif isinstance(outcome, Synced):
        assert next_state.retry_count == 0
        assert next_state.shared is SharedColumns.CLEAR_IF_OURS
    elif next_state.ending is Ending.RETRY:
        assert next_state.retry_count == standing.retries_done + 1
        assert next_state.due_in == policy.delay(standing.retries_done)
        assert next_state.shared is SharedColumns.RECORD_FAILURE


@given(standing=standings, outcome=outcomes, policy=policies)
def test_complete_says_that_what_the_row_holds_now_was_delivered(
    standing: Standing, outcome: Outcome, policy: RetryPolicy
) -> None:
    completes = transition(standing, outcome, policy).ending is Ending.COMPLETE
    assert completes == (isinstance(outcome, Synced) and not (standing.edited or standing.overtaken))


@given(standing=standings, outcome=outcomes, policy=policies)
def test_a_result_ends_the_row_of_losses(standing: Standing, outcome: Outcome, policy: RetryPolicy) -> None:
    if not isinstance(outcome, Deferred):
        assert transition(standing, outcome, policy).losses == 0


@given(standing=standings, outcome=outcomes, policy=policies)
def test_an_empty_reason_to_wait_keeps_the_error_that_a_person_sees(
    standing: Standing, outcome: Outcome, policy: RetryPolicy
) -> None:
    silent = replace(outcome, message="")
    next_state = transition(standing, silent, policy)
    assert next_state.keeps_error == isinstance(silent, Deferred)


def test_the_labels_are_those_of_the_users_enums() -> None:
    assert [status.value for status in SyncStatus] == [
        "New",
        "Selected",
        "Queued",
        "Processing",
        "Complete",
        "Error",
        "Skipped",
    ]
    assert [status.value for status in ProcessingStatus] == ["Queued", "Processing", "Complete", "Error"]
