"""The state machine of one delivery: where it stands, the result of the attempt, what becomes of it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from crm_sync_pipeline.domain.outcome import Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.domain.retry import RetryPolicy

ERROR_LIMIT = 500
LAST_ERROR_LIMIT = 400
LOSSES_UNTIL_QUARANTINE = 2
LOSSES_UNTIL_ERROR = 4


class SyncStatus(str, Enum):
    """`{crm}_sync_status`: a person's decision, and what people see. Named as its labels, for forms."""

    New = "New"
    Selected = "Selected"
    Queued = "Queued"
    Processing = "Processing"
    Complete = "Complete"
    Error = "Error"
    Skipped = "Skipped"


class ProcessingStatus(str, Enum):
    """`{crm}_processing_status`: the system's state, which the claim polls; NULL where nothing is to be done."""

    Queued = "Queued"
    Processing = "Processing"
    Complete = "Complete"
    Error = "Error"


class Ending(str, Enum):
    """The word for the result of a settled delivery, in tallies and in the UI."""

    COMPLETE = "complete"
    RETRY = "retry"
    ERROR = "error"
    DEFERRED = "deferred"
    AGAIN = "again"


class SharedColumns(str, Enum):
    """What a transition does to the retry columns that all CRMs share on the contacts table."""

    RECORD_FAILURE = "record_failure"
    CLEAR_IF_OURS = "clear_if_ours"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a delivery stands when its claim is settled.

    `retries_done` counts the retries scheduled so far, `losses` the claims in a row that expired without an outcome,
    `edited` says that what is sent of the contact has changed since it was read for this attempt, `overtaken` that a
    worker without a lease has sent something else meanwhile, which may have landed last.
    """

    retries_done: int = 0
    losses: int = 0
    edited: bool = False
    overtaken: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """A delivery's next state.

    `due_in` is the wait until it is due again, None where it is not. `error` is what a person sees, None to clear it;
    with `keeps_error` the old one stays.
    """

    ending: Ending
    sync_status: SyncStatus
    processing_status: ProcessingStatus
    retry_count: int
    due_in: timedelta | None = None
    error: str | None = None
    keeps_error: bool = False
    losses: int = 0
    shared: SharedColumns = SharedColumns.KEEP


def transition(standing: Standing, outcome: Outcome, policy: RetryPolicy) -> Transition:
    """What becomes of a delivery whose attempt resulted in `outcome`."""
    if isinstance(outcome, Synced):
        return _again() if standing.edited or standing.overtaken else _complete()
    if isinstance(outcome, Rejected) and standing.edited:
        return _again()  # what was refused is no longer what the row says
    if isinstance(outcome, (Failed, Rejected)):
        return _after_failure(standing, outcome, policy)
    return _back_in_queue(
        standing.retries_done,
        standing.losses,
        due_in=outcome.wait,
        error=outcome.message[:ERROR_LIMIT] or None,
    )


def transition_after_loss(standing: Standing) -> Transition:
    """What becomes of a delivery whose lease ran out without an outcome: no retry is spent; the fourth loss ends it."""
    losses = standing.losses + 1
    if losses >= LOSSES_UNTIL_ERROR:
        text = (
            f"lease_expired: {losses} workers in a row ended without a result for this contact. "
            "Look at its data and at the worker's log, then select it again."
        )
        return _error(standing.retries_done, text)
    return _back_in_queue(standing.retries_done, losses, due_in=timedelta(0))


def transition_after_refusal(standing: Standing, refusal: str) -> Transition:
    """What becomes of a delivery whose result the contacts row does not take: a constraint, a column too short."""
    text = f"not_recorded: the contacts table refused the result: {refusal}. Fix the row or the table, then select it."
    return _error(standing.retries_done, text)


def _complete() -> Transition:
    return Transition(
        Ending.COMPLETE,
        SyncStatus.Complete,
        ProcessingStatus.Complete,
        retry_count=0,
        shared=SharedColumns.CLEAR_IF_OURS,
    )


def _again() -> Transition:
    return Transition(
        Ending.AGAIN,
        SyncStatus.Queued,
        ProcessingStatus.Queued,
        retry_count=0,
        due_in=timedelta(0),
        shared=SharedColumns.CLEAR_IF_OURS,
    )


def _after_failure(standing: Standing, outcome: Failed | Rejected, policy: RetryPolicy) -> Transition:
    if isinstance(outcome, Rejected) and not policy.retry_rejected:
        return _error(standing.retries_done, outcome.message)
    if policy.is_spent(standing.retries_done):
        last = outcome.message[:LAST_ERROR_LIMIT]
        return _error(standing.retries_done, f"Max retries exceeded ({policy.max_retries}). Last error: {last}")
    return Transition(
        Ending.RETRY,
        SyncStatus.Queued,
        ProcessingStatus.Queued,
        retry_count=standing.retries_done + 1,
        due_in=policy.delay(standing.retries_done),
        error=outcome.message[:ERROR_LIMIT],
        shared=SharedColumns.RECORD_FAILURE,
    )


def _error(retry_count: int, text: str) -> Transition:
    return Transition(
        Ending.ERROR,
        SyncStatus.Error,
        ProcessingStatus.Error,
        retry_count=retry_count,
        error=text[:ERROR_LIMIT],
        shared=SharedColumns.RECORD_FAILURE,
    )


def _back_in_queue(retry_count: int, losses: int, due_in: timedelta, error: str | None = None) -> Transition:
    return Transition(
        Ending.DEFERRED,
        SyncStatus.Queued,
        ProcessingStatus.Queued,
        retry_count=retry_count,
        due_in=due_in,
        error=error,
        keeps_error=error is None,
        losses=losses,
    )
