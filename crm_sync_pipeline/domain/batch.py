"""What crosses the boundaries between ops, queue and destination: counts and ids, never a contact's data."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES, UNCHANGED, WITHOUT_ITS_NUMBER, Outcome, Synced
from crm_sync_pipeline.domain.transition import Ending


@dataclass(frozen=True, slots=True)
class Batch:
    """What one run claimed: `size` contacts for `destination`, under `token`.

    `note` says why nothing was claimed, and names contacts that were `put_aside` because the database refuses to change
    them. `is_quarantined`: its one contact was claimed alone, because two workers in a row were lost with it.
    `recovered` is how many contacts of dead runs the claim settled before it took its own; 0 where some of these are
    still left behind.
    """

    destination: str
    token: UUID
    size: int
    note: str = ""
    is_quarantined: bool = False
    recovered: int = 0
    put_aside: int = 0

    def problem(self) -> str | None:
        """The sentence with which the run must fail: some contacts can't be claimed."""
        return self.note if self.put_aside else None


@dataclass(frozen=True, slots=True)
class LeaseStatus:
    """The lease after a write to the journal: on `total` deliveries, for `lease_seconds` from when it was asked.

    0 deliveries: the lease is lost. `taken_back` are the contacts that a person unselected, selected anew or deleted
    since the claim; None where nobody looked.
    """

    total: int
    lease_seconds: float = 0.0
    taken_back: frozenset[UUID] | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver one contact.

    `milliseconds` is the time of the request that carried it, together with others if `request_size` is above 1; 0
    where none was sent. `contact_hash` is the fingerprint of what was read from the row, `payload_hash` that of the
    JSON sent, or of what was not sent because the destination holds it already (`made_call` tells). `remote_fields` are
    the destination's fields that hold, or may hold, a value of ours after it; None where it changed nothing.
    """

    contact_id: UUID
    outcome: Outcome
    contact_hash: str
    payload_hash: str | None = None
    http_status: int | None = None
    request_id: str | None = None
    milliseconds: int = 0
    request_size: int = 1
    remote_fields: frozenset[str] | None = None

    @property
    def made_call(self) -> bool:
        """Whether a request was sent."""
        return self.payload_hash is not None and self.outcome.reason != UNCHANGED


@dataclass(slots=True)
class Tally:
    """The results of one run's attempts. `down` is the sentence of a destination that lets nothing through.

    `waited_seconds` of its `seconds` went by while an import was sent and carried out.
    `numbers_left_out` counts the contacts that were sent without the phone number that they have.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    rate_limited: int = 0
    numbers_left_out: int = 0
    seconds: float = 0.0
    waited_seconds: float = 0.0
    down: str | None = None

    def count(self, outcome: Outcome, times: int = 1) -> None:
        """Add one attempt, or `times` attempts with the same outcome."""
        self.outcomes[OUTCOME_NAMES[type(outcome)]] += times
        self.reasons[outcome.reason] += times
        if isinstance(outcome, Synced) and WITHOUT_ITS_NUMBER in outcome.message:
            self.numbers_left_out += times

    def add(self, other: "Tally") -> None:
        """Count another batch's attempts in."""
        self.outcomes.update(other.outcomes)
        self.reasons.update(other.reasons)
        self.requests += other.requests
        self.rate_limited += other.rate_limited
        self.numbers_left_out += other.numbers_left_out
        self.seconds += other.seconds
        self.waited_seconds += other.waited_seconds
        self.down = self.down or other.down

    @property
    def attempted(self) -> int:
        """How many attempts were counted."""
        return sum(self.outcomes.values())

    def problem(self) -> str | None:
        """The sentence with which the run must fail: the destination is down, or nothing at all got through."""
        if self.down:
            return f"{self.down} What was not delivered is back in the queue."
        if self.outcomes["failed"] and not self.outcomes["synced"] and not self.outcomes["rejected"]:
            reasons = ", ".join(f"{reason} ({count})" for reason, count in self.reasons.most_common())
            return f"None of the {sum(self.outcomes.values())} contacts was delivered: {reasons}. They will be retried."
        if self.rate_limited and not self.outcomes:
            return f"Nothing got through: {self.rate_limited} requests were answered with 'too many requests' (429)."
        return None

    def as_metadata(self) -> dict[str, Any]:
        """Numbers for the UI: Dagster plots ints and floats."""
        names = ("synced", "failed", "rejected", "deferred")
        return {name: self.outcomes[name] for name in names} | {
            "requests": self.requests,
            "rate_limited": self.rate_limited,
            "unchanged": self.reasons[UNCHANGED],
            "numbers_left_out": self.numbers_left_out,
            "seconds": round(self.seconds, 3),
            "contacts_per_second": round(self.attempted / self.seconds, 1) if self.seconds else 0.0,
            "waited_seconds": round(self.waited_seconds, 3),
            "reasons": dict(self.reasons),
        }


@dataclass(slots=True)
class Settlement:
    """What became of the deliveries of a token.

    `superseded` are those whose contact a person unselected, re-selected or deleted meanwhile: their decision stands.
    """

    endings: Counter[Ending] = field(default_factory=Counter)
    superseded: int = 0

    @property
    def total(self) -> int:
        """How many deliveries were settled."""
        return sum(self.endings.values()) + self.superseded

    def add(self, other: "Settlement") -> None:
        """Count another settlement in."""
        self.endings.update(other.endings)
        self.superseded += other.superseded

    def as_metadata(self) -> dict[str, int]:
        """One number an ending, zeros included, and `superseded`."""
        return {ending.value: self.endings[ending] for ending in Ending} | {"superseded": self.superseded}


@dataclass(slots=True)
class Sent:
    """What the second step of a run passes on: the tally of all attempts.

    `followed_by` are the tokens of claims that were made, and settled, after the batch; `settled` is what became of
    them.
    """

    tally: Tally
    followed_by: list[UUID] = field(default_factory=list)
    settled: Settlement = field(default_factory=Settlement)
