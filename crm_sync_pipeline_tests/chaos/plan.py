"""What is done to one trial, and when: drawn from its seed alone."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crm_sync_pipeline.simulators.faults import KINDS

FAULT_SECONDS = 5.0
DRAIN_SECONDS = 90.0
ABLATED_SECONDS, ABLATED_DRAIN_SECONDS = 3.0, 20.0
"""A product without a safeguard may never come to an end, and need not."""

LEASE_SECONDS = 2
WORKERS = 3
IMPORTS_EVERY = 3
"""One trial in so many delivers by import what is due together."""

_WEIGHTS: Mapping[str, float] = {
    "kill": 5,
    "stop": 1,
    "stop_until_taken": 1,
    "interrupt": 0.8,
    "restart_fast": 0.4,
    "restart_immediate": 0.4,
    "database_cut": 1,
    "database_black_hole": 0.9,
    "database_delay": 0.7,
    "commit_answer_lost": 2,
    "vendor_cut": 1,
    "vendor_black_hole": 0.7,
    "vendor_delay": 0.7,
    "vendor_fault": 4,
}

_ODDS: Mapping[str, float] = {
    "before_claim": 0.01,
    "claim_not_committed": 0.02,
    "claimed": 0.02,
    "before_call": 0.005,
    "after_call_before_journal": 0.01,
    "in_lease_extension": 0.01,
    "journal_not_committed": 0.01,
    "journaled": 0.01,
    "mid_batch": 0.005,
    "before_settle": 0.03,
    "settle_not_committed": 0.03,
    "settled": 0.03,
    "in_recovery": 0.1,
    "import_begun": 0.03,
    "import_posted": 0.03,
    "import_noted": 0.03,
    "adoption_not_committed": 0.03,
}
"""Those that are passed with each call have the smallest: a worker should come to something before it dies."""

_HOW_LONG: Mapping[str, tuple[float, float]] = {
    "stop_until_taken": (4.0, 5.0),
    "stop": (LEASE_SECONDS + 0.2, LEASE_SECONDS + 1.0),
    "database_black_hole": (0.1, LEASE_SECONDS + 0.6),
    "database_delay": (0.2, 0.8),
    "vendor_black_hole": (0.1, 0.9),
    "vendor_delay": (0.2, 0.8),
}


@dataclass(frozen=True, slots=True)
class Act:
    """One fault: `at` seconds after the start, for `seconds` where it lasts."""

    at: float
    kind: str
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class Plan:
    """A trial's faults. `odds` are those of the named points; `moved` is how far each worker's clock is off.

    With `imports` the workers send what is due together as one import, if the vendor has such a thing.
    """

    seed: int
    acts: Sequence[Act]
    odds: Mapping[str, float] = field(default_factory=dict)
    moved: Sequence[float] = ()
    has_killer: bool = False
    imports: bool = False
    fault_seconds: float = FAULT_SECONDS
    drain_seconds: float = DRAIN_SECONDS


def plan_of_only(
    seed: int, acts: Sequence[Act], odds: Mapping[str, float], drain_seconds: float = ABLATED_DRAIN_SECONDS
) -> Plan:
    """A plan of these acts and these odds, and nothing else."""
    return Plan(seed, acts, odds, moved=[0.0] * WORKERS, fault_seconds=ABLATED_SECONDS, drain_seconds=drain_seconds)


def plan_of(seed: int) -> Plan:
    """The plan of a seed. Each fault of the simulator has its turn within so many seeds in a row as there are kinds."""
    dice = random.Random(f"plan {seed}")  # noqa: S311  # repeatable on purpose
    kinds = dice.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()), k=dice.randint(14, 24))
    acts = [_act(kind, dice) for kind in kinds]
    names = sorted(KINDS)
    acts.append(Act(dice.uniform(0, FAULT_SECONDS), "vendor_fault", detail=_fault(names[seed % len(names)], dice)))
    deadliness = dice.choice([2.0, 4.0, 8.0, 12.0])
    return Plan(
        seed,
        sorted(acts, key=lambda act: act.at),
        {point: probability * deadliness for point, probability in _ODDS.items()},
        [dice.choice([0.0, 0.0, 3600.0, -3600.0]) for _ in range(WORKERS)],
        has_killer=seed % 5 == 0,
        imports=seed % IMPORTS_EVERY == 2,
    )


def _act(kind: str, dice: random.Random) -> Act:
    shortest, longest = _HOW_LONG.get(kind, (0.0, 0.0))
    at = dice.uniform(0.1, max(1.0, FAULT_SECONDS - longest * 2 / 3))
    detail = ""
    if kind == "vendor_fault":
        detail = _fault(dice.choice(sorted(KINDS)), dice)
    elif kind == "database_black_hole":
        detail = dice.choice(["late", "never"])
    return Act(at, kind, dice.uniform(shortest, longest), detail)


def _fault(kind: str, dice: random.Random) -> str:
    if kind == "latency":
        return f"latency={dice.choice([50, 150, 600])}:for=0.5"
    if kind == "slow-body":
        return f"slow-body={dice.choice([100, 1000])}:times=2"
    if kind == "status-429":
        return f"status-429:reset={dice.choice([0.1, 0.3])}:times={dice.randint(1, 4)}"
    return f"{kind}:times={dice.randint(1, 3)}"
