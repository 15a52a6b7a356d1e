"""Why is this contact not at its destination? One answer, from the facts."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from crm_sync_pipeline.domain.health import Down


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """An attempt as the journal has it. `message` holds no personal data."""

    at: datetime
    number: int
    outcome: str
    reason: str
    message: str
    http_status: int | None
    request_id: str | None
    milliseconds: int
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one delivery. Times carry a zone; `now` is PostgreSQL's."""

    contact_id: str
    email: str = field(repr=False)
    destination: str
    title: str
    sync_status: str | None
    processing_status: str | None
    error: str | None
    now: datetime
    max_retries: int
    retry_count: int = 0
    next_retry_at: datetime | None = None
    lease_expires_at: datetime | None = None
    lost_count: int = 0
    run_id: str | None = None
    selected_at: datetime | None = None
    synced_at: datetime | None = None
    remote_id: str | None = None
    down: Down | None = None
    attempts: tuple[AttemptRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`verdict` says where the delivery stands and why, `next_step` what happens next and when, or what to do."""

    verdict: str
    next_step: str


def explain(facts: Facts) -> Answer:
    """The one answer for a delivery, whatever its state."""
    state, decision = facts.processing_status, facts.sync_status
    if state == "Queued":
        return _queued(facts)
    if state == "Processing":
        return _processing(facts)
    if state == "Complete":
        when = f" at {_clock(facts.synced_at)}" if facts.synced_at else ""
        return Answer(f"{facts.title} has it: delivered{when}.", "Nothing. Select it again to send it again.")
    if state == "Error":
        return Answer(
            f"Given up: {facts.error or 'no reason was recorded'}",
            f"Nothing by itself. Mend the cause, then `crm-sync requeue {facts.contact_id}`.",
        )
    if facts.attempts:
        return Answer(
            f"Not selected for {facts.title} (sync status {decision}); it was attempted before and then taken back.",
            f"Nothing. `crm-sync select {facts.contact_id}` sends it.",
        )
    return Answer(
        f"Never selected for {facts.title} (sync status {decision}).",
        f"Nothing. `crm-sync select {facts.contact_id}` sends it.",
    )


def _queued(facts: Facts) -> Answer:
    if facts.sync_status not in ("Selected", "Queued"):
        return Answer(
            f"Not wanted: its sync status is {facts.sync_status}, though its processing status is still Queued.",
            f"Nothing. `crm-sync select {facts.contact_id}` sends it, `crm-sync unselect` clears it.",
        )
    if facts.lease_expires_at and facts.lease_expires_at > facts.now:
        return Answer(
            "Selected again while a run is delivering it.",
            f"It goes out once more when that run is done, by {_clock(facts.lease_expires_at)} at the latest.",
        )
    if facts.down:
        return Answer(
            f"Waiting, because {facts.title} is down: {facts.down.message}",
            f"{facts.title} is tried again {_within(facts.down.next_probe_in)}; the contact has lost nothing.",
        )
    if facts.next_retry_at and facts.next_retry_at > facts.now and facts.sync_status == "Queued":
        if not facts.retry_count:
            return Answer(
                f"Put off: {facts.error or 'the run ended early'}", f"It is due at {_clock(facts.next_retry_at)}."
            )
        return Answer(
            f"Waiting for retry {facts.retry_count} of {facts.max_retries}. Last error: {facts.error}",
            f"Attempt {facts.retry_count + 1} is due at {_clock(facts.next_retry_at)} "
            f"({_within(facts.next_retry_at - facts.now)}). It reads the row afresh, so a correction counts.",
        )
    return Answer(
        "Queued and due.", "The next run takes it: the sensor looks every few seconds, the schedule every few minutes."
    )


def _processing(facts: Facts) -> Answer:
    if facts.lease_expires_at and facts.lease_expires_at > facts.now:
        return Answer(
            f"Being delivered right now{f' by run {facts.run_id}' if facts.run_id else ''}.",
            f"Its result follows, by {_clock(facts.lease_expires_at)} at the latest.",
        )
    return Answer(
        "The run that held it has died, or another program left it Processing.",
        "The next claim records what was journaled, or queues it again; no retry is spent.",
    )


def _clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}" if at else "?"


def _within(wait: timedelta) -> str:
    seconds = max(0, round(wait.total_seconds()))
    if seconds < 1:
        return "now"
    return f"in {seconds} s" if seconds < 90 else f"in {round(seconds / 60)} min"
