"""`python -m crm_sync_pipeline_tests.dirty`: dirty contacts go through the product; does each end as it must?"""

import sys
import time
from collections import Counter

import click
import dagster as dg
import pytest

from crm_sync_pipeline.sandbox.postgres import temporary
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import USERS_TABLE, World
from crm_sync_pipeline_tests.dirty.checks import twins_unnamed, wrong
from crm_sync_pipeline_tests.dirty.generator import Dirty, generate
from crm_sync_pipeline_tests.dirty.run import Dirt, Evidence
from crm_sync_pipeline_tests.product import Product


def delivered(dirty: Dirty) -> Evidence:
    """What became of these rows in an installation that is made for them."""
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"]))
    with (
        temporary() as postgres,
        running(simulator.app) as server,
        dg.DagsterInstance.ephemeral() as instance,
        pytest.MonkeyPatch.context() as environment,
    ):
        world = World(postgres.url)
        world.script(USERS_TABLE)
        world.upgrade()
        brevo_url = f"{server.base_url}/v3"
        product = Product(environment, world, simulator, instance, instance)
        product.set(
            CRM_SYNC_DATABASE_URL=world.url,
            CRM_SYNC_CONTACTS_TABLE="contacts",
            BREVO_API_KEY=DEFAULT_KEY,
            BREVO_API_BASE_URL=brevo_url,
            BREVO_REQUESTS_PER_SECOND="1000",
            NO_PROXY="127.0.0.1",
        )
        try:
            dirt = Dirt(product, brevo_url)
            dirt.load(dirty)
            dirt.deliver()
            return dirt.found()
        finally:
            world.engine.dispose()


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", type=click.IntRange(50, 4000), default=1000, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed makes the same rows.")
@click.option("--twice", is_flag=True, help="Do it all twice, and compare how each row ended.")
def main(rows: int, seed: int, twice: bool) -> None:
    started = time.monotonic()
    dirty = generate(seed, rows)
    evidence = delivered(dirty)
    found, unnamed = wrong(dirty, evidence), twins_unnamed(dirty, evidence)
    if twice:
        first, second = evidence.ends(dirty.rows), delivered(dirty).ends(dirty.rows)
        found += [
            f"row {number} ended otherwise the second time" for number in first if first[number] != second[number]
        ]
    for line in found + unnamed:
        click.echo(line)
    states = Counter(state for state, _, _ in evidence.states.values())
    ends = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    click.echo(
        f"{len(dirty.rows):,} rows of seed {seed}, {evidence.runs} runs, {len(evidence.requests):,} requests, "
        f"{time.monotonic() - started:.0f} s: {ends}; {evidence.numbers_left_out} numbers left out. "
        f"{len(found)} wrong; {len(unnamed)} overwritten by a later row that explain does not name."
    )
    sys.exit(bool(found or unnamed))


if __name__ == "__main__":
    main()
