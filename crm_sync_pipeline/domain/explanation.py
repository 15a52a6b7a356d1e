"""Why is this contact not at its destination? One explanation, from the facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import MAXYEAR, datetime, timedelta

from crm_sync_pipeline.domain.address import normal_form
from crm_sync_pipeline.domain.health import Down
from crm_sync_pipeline.domain.outcome import NOT_CLAIMED, UNCHANGED

NO_EMAIL = "no_email"
"""The reason of a contact that was not sent, because it has no e-mail address."""

_REMEDIES = {
    NO_EMAIL: "Fill in its e-mail address",
    "invalid_domain": "Correct its e-mail address",
    "address_not_ascii": "Correct its e-mail address",
}
"""What a person does about a refusal of ours, by its reason; each destination has those of its own."""


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
class Twin:
    """Another contact with the same e-mail address, and when the destination took it last."""

    contact_id: str
    synced_at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one delivery. Times carry a zone; `now` is PostgreSQL's.

    `overwritten_by`: who was delivered to the same address since, with other data. `off`: the variables that are not
    set here, without which nothing is delivered. `needs_address`: whether it can't be sent without an e-mail address.
    """

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
    held_at: datetime | None = None
    overwritten_by: Twin | None = None
    off: str = ""
    needs_address: bool = True
    attempts: tuple[AttemptRecord, ...] = ()

    @property
    def last(self) -> AttemptRecord | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def has_address(self) -> bool:
        """Whether its row has an e-mail address."""
        return bool(normal_form(self.email))

    @property
    def lacks_address(self) -> bool:
        """Whether it can't be sent because it has no e-mail address."""
        return self.needs_address and not self.has_address

    def command(self, verb: str) -> str:
        """What to type for this delivery, and for no other destination's."""
        return f"`crm-sync {verb} {self.contact_id} --crm {self.destination}`"


@dataclass(frozen=True, slots=True)
class Explanation:
    """`verdict` says where the delivery stands and why, `next_step` what happens next and when, or what to do."""

    verdict: str
    next_step: str


def explain(facts: Facts, remedies: Mapping[str, str] | None = None) -> Explanation:
    """The one explanation for a delivery, whatever its state.

    `remedies` says what a person does about each of the destination's own refusals, by its reason: of a contact's data,
    and of our set-up.
    """
    known = {**_REMEDIES, **(remedies or {})}
    to_do = _to_do(facts, known)
    if not facts.held_at or facts.processing_status == "Processing":
        return _as_it_stands(facts, to_do, known)
    release = facts.command("release")
    if facts.processing_status == "Queued" and facts.sync_status in ("Selected", "Queued"):
        return Explanation(f"On hold since {_clock(facts.held_at)}.", f"Nothing by itself. {release} releases it.")
    explanation = _as_it_stands(facts, to_do, known)
    return Explanation(
        explanation.verdict,
        f"{explanation.next_step} It has been on hold since {_clock(facts.held_at)}; nothing is sent until {release}.",
    )


def _as_it_stands(facts: Facts, to_do: str, remedies: Mapping[str, str]) -> Explanation:
    state, decision = facts.processing_status, facts.sync_status
    if state == "Queued":
        return _queued(facts, to_do, remedies)
    if state == "Processing":
        return _processing(facts)
    if state == "Complete":
        return _complete(facts)
    if state == "Error":
        return Explanation(
            f"Given up: {facts.error or 'no reason was recorded'}",
            f"Nothing by itself. {to_do or 'Fix the cause'}, then {facts.command('requeue')}.",
        )
    if facts.lease_expires_at and facts.lease_expires_at > facts.now:
        return Explanation(
            f"Not selected for {facts.title} any more (sync status {decision}): taken back after a run had claimed it.",
            "Nothing, unless it was sent before: then its attempt shows here, and its status stays as it is.",
        )
    select = f"Nothing. {facts.command('select')} sends it."
    if facts.attempts or facts.run_id or facts.selected_at:
        what = "was attempted before and then taken back" if facts.attempts else "was taken back before it was sent"
        return Explanation(f"Not selected for {facts.title} (sync status {decision}); it {what}.", select)
    return Explanation(f"Never selected for {facts.title} (sync status {decision}).", select)


def _queued(facts: Facts, to_do: str, remedies: Mapping[str, str]) -> Explanation:
    if facts.sync_status not in ("Selected", "Queued"):
        return Explanation(
            f"Not wanted: its sync status is {facts.sync_status}, though its processing status is still Queued.",
            f"Nothing. {facts.command('select')} sends it, {facts.command('unselect')} clears it.",
        )
    if facts.lease_expires_at and facts.lease_expires_at > facts.now:
        if facts.last and facts.last.reason == NOT_CLAIMED:
            return Explanation(
                f"Put aside, because the database refuses to change its row: {facts.last.message}",
                "Fix the row, or the constraint or trigger of the table. It is tried again at "
                f"{_clock(facts.lease_expires_at)}, or at once by {facts.command('sync-now')}.",
            )
        return Explanation(
            "Selected again while a run is delivering it.",
            f"It goes out once more when that run is done, by {_clock(facts.lease_expires_at)} at the latest.",
        )
    if facts.lacks_address:
        return Explanation("Can't be sent: it has no e-mail address.", f"{to_do}; {_next_look(facts)}.")
    if facts.down:
        first = f"{remedies[facts.down.reason]}. " if facts.down.reason in remedies else ""
        return Explanation(
            f"Waiting, because {facts.title} is down: {facts.down.message}",
            f"{first}{facts.title} is tried again {_within(facts.down.next_probe_in)}; the contact has lost nothing.",
        )
    if facts.next_retry_at and facts.next_retry_at > facts.now and facts.sync_status == "Queued":
        if facts.next_retry_at.year == MAXYEAR:
            return Explanation(
                "Not due: another program put its next retry off for ever, in the contacts table.",
                f"Nothing by itself. {facts.command('unselect')} and then {facts.command('select')} make it due.",
            )
        if not facts.retry_count:
            return Explanation(
                f"Put off: {facts.error or 'the run ended early'}", f"It is due at {_clock(facts.next_retry_at)}."
            )
        first = f"{to_do}. " if to_do else ""
        return Explanation(
            f"Waiting for retry {facts.retry_count} of {facts.max_retries}. Last error: {facts.error}",
            f"{first}Attempt {facts.retry_count + 1} is due at {_clock(facts.next_retry_at)} "
            f"({_within(facts.next_retry_at - facts.now)}). It reads the row afresh, so a correction counts.",
        )
    if facts.off:
        return Explanation(
            f"Queued and due, but {facts.title} is off here: {facts.off} not set.",
            "It waits until that is set, or another machine delivers it.",
        )
    return Explanation(
        "Queued and due.", "The next run takes it: the sensor looks every few seconds, the schedule every few minutes."
    )


def _complete(facts: Facts) -> Explanation:
    when = f" at {_clock(facts.synced_at)}" if facts.synced_at else ""
    if twin := facts.overwritten_by:
        return Explanation(
            f"Delivered{when}, but since {_clock(twin.synced_at)} {facts.title} has shown another row's data: contact "
            f"{twin.contact_id} has the same e-mail address, and was delivered later.",
            "Nothing. Correct one of the two addresses, or unselect the row that should not count.",
        )
    last = facts.last if facts.last and facts.last.outcome == "synced" else None
    but = f" {last.message}." if last and last.message else ""
    if last and last.reason == UNCHANGED:
        return Explanation(
            f"{facts.title} has it: delivered{when}, and unchanged since, so the last run did not send it.{but}",
            "Nothing. Once its data changes, selecting it sends it again.",
        )
    return Explanation(f"{facts.title} has it: delivered{when}.{but}", "Nothing. Select it again to send it again.")


def _to_do(facts: Facts, remedies: Mapping[str, str]) -> str:
    """What a person does about the cause; "" where only the destination's own words say it."""
    if facts.lacks_address:
        return remedies[NO_EMAIL]
    last = facts.last
    return remedies.get(last.reason, "") if last and last.outcome == "rejected" else ""


def _next_look(facts: Facts) -> str:
    if facts.next_retry_at and facts.next_retry_at > facts.now and facts.sync_status == "Queued":
        return f"the attempt at {_clock(facts.next_retry_at)} reads the row afresh"
    return "the next run reads the row afresh"


def _processing(facts: Facts) -> Explanation:
    if facts.lease_expires_at and facts.lease_expires_at > facts.now:
        return Explanation(
            f"Being delivered right now{f' by run {facts.run_id}' if facts.run_id else ''}.",
            f"Its result follows, by {_clock(facts.lease_expires_at)} at the latest.",
        )
    return Explanation(
        "The run that claimed it has died, or another program left it Processing.",
        "The next claim records what was journaled, or queues it again; no retry is spent.",
    )


def _clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}" if at else "?"


def _within(wait: timedelta) -> str:
    seconds = max(0, round(wait.total_seconds()))
    if seconds < 1:
        return "now"
    return f"in {seconds} s" if seconds < 90 else f"in {round(seconds / 60)} min"
