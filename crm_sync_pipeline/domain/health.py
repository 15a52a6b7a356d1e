"""The circuit breaker: when to stop calling a destination, and when to ask again."""

from dataclasses import dataclass
from datetime import timedelta

from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected, Synced

FAILURES_UNTIL_OPEN = 5
FIRST_PROBE_AFTER = timedelta(minutes=1)
LONGEST_PROBE_DELAY = timedelta(minutes=15)


@dataclass(slots=True)
class Breaker:
    """Opens at the first refusal of our set-up, or at five `Failed` in a row. `opened_by` is that outcome.

    A run in which nothing got through may have had fewer requests than that, with many contacts in each: `end` counts
    the contacts.

    A refusal that one contact may have caused is shown to it only once `Blame` has decided that it is everybody's.
    """

    failures_in_a_row: int = 0
    contacts_failed: int = 0
    got_through: bool = False
    last_failure: Failed | None = None
    opened_by: Failed | DestinationDown | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing more should be sent."""
        return self.opened_by is not None

    def observe(self, outcome: Outcome, contacts: int = 1) -> None:
        """Take note of the outcome of a request; one that is neither success nor failure leaves the count alone."""
        if isinstance(outcome, DestinationDown):
            self.opened_by = self.opened_by or outcome
        elif isinstance(outcome, Failed):
            self.failures_in_a_row += 1
            self.contacts_failed += contacts
            self.last_failure = outcome
            if self.failures_in_a_row >= FAILURES_UNTIL_OPEN:
                self.opened_by = self.opened_by or outcome
        elif isinstance(outcome, (Synced, Rejected)):
            self.failures_in_a_row = 0
            self.got_through = True

    def end(self) -> None:
        """The run is over: where nobody got through and five contacts failed, the next ones are not to be spent."""
        if not self.got_through and self.contacts_failed >= FAILURES_UNTIL_OPEN:
            self.opened_by = self.opened_by or self.last_failure


@dataclass(frozen=True, slots=True)
class Down:
    """A destination that lets nothing through.

    `probes_done` counts the probes that failed since it went down, `lasted` says for how long it has been down, and
    `next_probe_in` is negative once a probe is due.
    """

    reason: str
    message: str
    probes_done: int
    next_probe_in: timedelta
    lasted: timedelta = timedelta(0)

    @property
    def probe_is_due(self) -> bool:
        """Whether one contact may be tried now."""
        return self.next_probe_in <= timedelta(0)


def probe_delay(probes_done: int, asked_for: timedelta = timedelta(0)) -> timedelta:
    """Wait before the next probe: 1, 2, 4 ... at most 15 minutes, but no less than the destination has asked for.

    `probes_done` counts from 0; ValueError below.
    """
    if probes_done < 0:
        raise ValueError(f"probes_done is {probes_done}; it counts from 0.")
    return max(min(FIRST_PROBE_AFTER * (1 << min(probes_done, 10)), LONGEST_PROBE_DELAY), asked_for)


@dataclass(frozen=True, slots=True)
class Work:
    """What a run would find: `due` contacts, and whether there is something to recover, looked for where none is due.

    While the destination is down and no probe is due, neither is looked for.
    """

    down: Down | None
    due: int = 0
    needs_recovery: bool = False
