"""The level of real Dagster runs: episodes under a real daemon and code server, with real kills."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx

from crm_sync_pipeline_tests.chaos.dagster_episode import Outcome, run_episode
from crm_sync_pipeline_tests.chaos.dagster_faults import Plan
from crm_sync_pipeline_tests.chaos.dagster_keeps import unforeseen_in
from crm_sync_pipeline_tests.chaos.dagster_runs import RunsError
from crm_sync_pipeline_tests.chaos.dagster_services import ServicesError
from crm_sync_pipeline_tests.chaos.evidence import keep
from crm_sync_pipeline_tests.chaos.figures import Figures, Violation
from crm_sync_pipeline_tests.chaos.invariants import violations_in
from crm_sync_pipeline_tests.chaos.losses import lost_four_times_in_a_row
from crm_sync_pipeline_tests.chaos.repeats import repeats_in
from crm_sync_pipeline_tests.chaos.site import site
from crm_sync_pipeline_tests.chaos.vendors.registry import VENDORS

KILLS_PER_EPISODE = 25
SHOWN = 10


def run_dagster_level(
    *, kills: int, restarts: int, cuts: int, seed: int, say: Callable[[str], None], destination: str = "brevo"
) -> Figures:
    """So many SIGKILLs, restarts of PostgreSQL and network cuts, in episodes with a fresh database each.

    The episode number i has the seed `seed` + i.
    """
    total = Figures("dagster", destination)
    failures: Counter[str] = Counter()
    started_at = time.monotonic()
    with site() as place:
        for plan in plans(kills, restarts, cuts, seed):
            try:
                outcome = run_episode(place, VENDORS[destination], plan, say)
            except (ServicesError, RunsError, httpx.HTTPError) as error:
                total.violations.append(Violation(plan.seed, "I1", f"the episode was broken off: {error}"))
                say(f"seed {plan.seed}: broken off: {error}")
                continue
            figures = _figures_of(plan, outcome)
            total.add(figures)
            if figures.violations:
                keep(outcome.evidence, f"dagster-{destination}", plan.seed)
            failures.update(outcome.failures)
            say(
                f"seed {plan.seed}: {figures.kills} kills, {figures.requests} requests, {figures.repeats} sent again, "
                f"empty after {figures.worst_drain_seconds:.1f} s, {len(figures.violations)} violations"
            )
            for violation in figures.violations[:SHOWN]:
                say(f"  seed {violation.seed}: {violation.invariant}: {violation.sentence}")
    total.notes += [f"steps failed {times} times with: {said}" for said, times in failures.most_common(SHOWN)]
    total.seconds = time.monotonic() - started_at
    return total


def plans(kills: int, restarts: int, cuts: int, seed: int) -> Iterator[Plan]:
    """Everything is spread evenly; Dagster's own storage is cut as well in every second episode."""
    episodes = max(1, round(kills / KILLS_PER_EPISODE))

    def share(of: int, number: int) -> int:
        return of * (number + 1) // episodes - of * number // episodes

    for number in range(episodes):
        yield Plan(
            seed + number,
            share(kills, number),
            share(restarts, number),
            share(cuts, number),
            kill_share=0.45 if kills >= KILLS_PER_EPISODE else 0.7,
            storage_is_behind_proxy=(seed + number) % 2 == 1,
            has_killer=kills >= KILLS_PER_EPISODE and number % 3 == 0,
        )


def _figures_of(plan: Plan, outcome: Outcome) -> Figures:
    evidence = outcome.evidence
    causes = Counter(repeat.cause for repeat in repeats_in(evidence))
    faults = Counter(outcome.faults)
    faults.update(f"kill {event.told['point']}" for event in evidence.events if event.name == "killed")
    faults.update({f"people {act}": count for act, count in outcome.people.items()})
    return Figures(
        "dagster",
        outcome.evidence.vendor.name,
        trials=1,
        seeds=[plan.seed],
        faults=faults,
        contacts=len(evidence.of_contacts),
        requests=outcome.requests,
        repeats=causes.total(),
        repeats_by_cause=causes,
        worst_drain_seconds=math.inf if outcome.drain_seconds is None else outcome.drain_seconds,
        seconds=outcome.seconds,
        violations=[Violation(plan.seed, name, sentence) for name, sentence in _violations(outcome)],
        lost_to_error=sum(
            lost_four_times_in_a_row(evidence, contact)
            for contact in evidence.ended_in_error()
            if contact not in evidence.killers
        ),
    )


def _violations(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Those of every level, and what Dagster alone can do wrong."""
    yield from violations_in(outcome.evidence)
    for run_id, status in outcome.runs_left.items():
        yield "I1", f"run {run_id} stands {status} long after everything was healed"
    for sentence in unforeseen_in(outcome.failures):
        yield "I13", sentence
    for sentence in outcome.secrets:
        yield "secrets", sentence
