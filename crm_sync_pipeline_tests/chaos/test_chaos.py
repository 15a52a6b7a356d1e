"""That the chaos harness can be repeated, and sees what it must; `./run chaos` is the real thing."""

from collections.abc import Iterator

import pytest

from crm_sync_pipeline_tests.chaos.ablations import struck_by
from crm_sync_pipeline_tests.chaos.figures import Figures
from crm_sync_pipeline_tests.chaos.plan import Plan, plan_of, plan_of_only
from crm_sync_pipeline_tests.chaos.points import POINTS
from crm_sync_pipeline_tests.chaos.site import Site, site
from crm_sync_pipeline_tests.chaos.trial import figures_of, run_trial


@pytest.fixture(scope="module")
def here() -> Iterator[Site]:
    with site() as made:
        yield made


def trial(here: Site, plan: Plan, ablation: str, destination: str) -> Figures:
    return figures_of(plan, run_trial(here, plan, ablation, destination), destination)


def test_a_seed_gives_the_same_plan_each_time() -> None:
    assert plan_of(3) == plan_of(3) != plan_of(4)
    assert {act.kind for seed in range(50) for act in plan_of(seed).acts} >= {"kill", "stop", "restart_immediate"}
    assert set(plan_of(1).odds) == set(POINTS)


# The other two, token and journal, need a fault at the right moment: `./run chaos --ablate` shows them in a few trials.
@pytest.mark.parametrize(
    ("destination", "ablation", "seen_by"),
    [
        ("brevo", "lease", "I6"),
        ("brevo", "locks", "I5"),
        ("batches", "matching", "I3/I4"),
        ("hubspot", "matching", "I3/I4"),
        ("mautic", "matching", "I3/I4"),
        ("n8n", "keys", "I15"),
    ],
)
def test_a_product_without_a_safeguard_is_found_out(here: Site, destination: str, ablation: str, seen_by: str) -> None:
    plans = (plan_of_only(seed, *struck_by(ablation), drain_seconds=3) for seed in range(1, 7))
    trials = (trial(here, plan, ablation, destination) for plan in plans)
    assert any(seen_by in {each.invariant for each in figures.violations} for figures in trials)
