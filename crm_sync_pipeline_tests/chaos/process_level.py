"""The process level: many trials, each with workers of its own, in as many jobs as are wanted."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack

from crm_sync_pipeline_tests.chaos.ablations import struck_by
from crm_sync_pipeline_tests.chaos.evidence import keep
from crm_sync_pipeline_tests.chaos.figures import Figures
from crm_sync_pipeline_tests.chaos.plan import plan_of, plan_of_only
from crm_sync_pipeline_tests.chaos.site import Site, site
from crm_sync_pipeline_tests.chaos.trial import figures_of, run_trial

_stack = ExitStack()
_sites: list[Site] = []


def run_process_level(
    *,
    seeds: Sequence[int],
    jobs: int,
    say: Callable[[str], None],
    ablation: str | None = None,
    until: float = 0.0,
    destination: str = "brevo",
) -> Figures:
    """Run one trial per seed; `say` hears a line for each. After `until`, a monotonic time, none but the first start.

    The first ones, as many as there are jobs, run however late it is: a run that tried nothing would prove nothing.
    `destination` is a name in the registry of vendors.
    """
    total = Figures("process", destination)
    started_at = time.monotonic()
    for figures in _trials(seeds, jobs, ablation, until, destination):
        total.add(figures)
        (seed,) = figures.seeds
        say(
            f"seed {seed}: {figures.kills} kills, {figures.requests} requests, {figures.repeats} sent again, "
            f"empty after {figures.worst_drain_seconds:.1f} s, {len(figures.violations)} violations"
        )
        for violation in figures.violations[:5]:
            say(f"  seed {seed}: {violation.invariant}: {violation.sentence}")
    total.seconds = time.monotonic() - started_at
    return total


def _trials(seeds: Sequence[int], jobs: int, ablation: str | None, until: float, destination: str) -> Iterator[Figures]:
    if jobs == 1:
        with site() as here:
            for number, seed in enumerate(seeds):
                if number and until and time.monotonic() > until:
                    return
                yield _one(here, seed, ablation, destination)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_open_site) as pool:
        waiting = [
            pool.submit(_one_in_a_job, seed, ablation, until if number >= jobs else 0.0, destination)
            for number, seed in enumerate(seeds)
        ]
        try:
            for done in as_completed(waiting):
                if figures := done.result():
                    yield figures
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C, what is in progress is finished, and no more


def _one(here: Site, seed: int, ablation: str | None, destination: str) -> Figures:
    plan = plan_of_only(seed, *struck_by(ablation)) if ablation else plan_of(seed)
    outcome = run_trial(here, plan, ablation, destination)
    figures = figures_of(plan, outcome, destination)
    if figures.violations and ablation is None:
        keep(outcome.evidence, f"process-{destination}", seed)
    return figures


def _open_site() -> None:
    """Once a job; its server stops when the job's process ends."""
    _sites.append(_stack.enter_context(site()))


def _one_in_a_job(seed: int, ablation: str | None, until: float, destination: str) -> Figures | None:
    if until and time.monotonic() > until:
        return None
    return _one(_sites[0], seed, ablation, destination)
