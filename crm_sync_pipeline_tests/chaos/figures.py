"""The result of a level of the chaos harness: the row of its table."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Violation(NamedTuple):
    """A promise that did not hold. `seed` repeats the trial, `invariant` is its name, such as "I5"."""

    seed: int
    invariant: str
    sentence: str


@dataclass(slots=True)
class Figures:
    """What was done to the product and what came of it, over some trials of one level.

    `faults` counts by kind. `repeats` are requests that were obeyed for a contact whose last obeyed request had the
    same payload; `repeats_allowed` is the bound that the faults give. `worst_drain_seconds` runs from the moment when
    everything is healed to the empty queue. `lost_to_error` are healthy contacts whose claim ran out four times in a
    row, each truly so.
    """

    level: str
    destination: str
    trials: int = 0
    seeds: list[int] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    contacts: int = 0
    requests: int = 0
    imports: int = 0
    repeats: int = 0
    repeats_allowed: int = 0
    repeats_by_cause: Counter[str] = field(default_factory=Counter)
    worst_drain_seconds: float = 0.0
    lost_to_error: int = 0
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """Processes killed with SIGKILL, at a named point or at random."""
        return sum(count for kind, count in self.faults.items() if kind.startswith("kill"))

    def add(self, other: "Figures") -> None:
        """Count other trials of the same level in."""
        self.trials += other.trials
        self.seeds += other.seeds
        self.faults.update(other.faults)
        self.contacts += other.contacts
        self.requests += other.requests
        self.imports += other.imports
        self.repeats += other.repeats
        self.repeats_allowed += other.repeats_allowed
        self.repeats_by_cause.update(other.repeats_by_cause)
        self.worst_drain_seconds = max(self.worst_drain_seconds, other.worst_drain_seconds)
        self.lost_to_error += other.lost_to_error
        self.seconds += other.seconds
        self.violations += other.violations
        self.notes += other.notes
