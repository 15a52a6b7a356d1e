"""Commands that need no account and no database of yours: simulate, demo, dev."""

from pathlib import Path

import click

from crm_sync_pipeline.sandbox.demo import run_demo
from crm_sync_pipeline.sandbox.dev import run_dev
from crm_sync_pipeline.simulators import SIMULATIONS
from crm_sync_pipeline.simulators.server import PortInUseError, RunningSimulator, serve
from crm_sync_pipeline.simulators.simulation import Simulation

VAR = Path("var")


@click.group()
def simulate() -> None:
    """Stand in for a CRM's API, on this machine only."""


def _command(name: str, simulation: Simulation) -> click.Command:
    @click.command(name, help=f"Stand in for {simulation.title}: {simulation.does}, with faults on request.")
    @click.option(
        "--port", type=click.IntRange(0, 65535), default=8099, show_default=True, help="0 takes any free one."
    )
    @click.option("--plan", default=simulation.plan, show_default=True, help=simulation.plans)
    @click.option(
        "--fault", "faults", multiple=True, help="Such as latency=100 or status-500-empty:times=3; repeatable."
    )
    def run(port: int, plan: str, faults: tuple[str, ...]) -> None:
        try:
            serve(simulation.build(plan, faults).app, port=port, on_started=tell)
        except PortInUseError as error:
            raise click.ClickException(str(error)) from None
        except ValueError as error:
            raise click.UsageError(str(error)) from None

    def tell(running: RunningSimulator) -> None:
        variables = simulation.settings_at(running.base_url)
        click.echo(f"The simulator of {simulation.title} runs until you press Ctrl-C. To use it:")
        click.echo(f"  export {' '.join(f'{name}={value}' for name, value in variables.items())}")
        click.echo(
            f"What it was sent: {running.base_url}/simulator/requests, what it holds: "
            f"{running.base_url}/simulator/state"
        )

    return run


for name, simulation in SIMULATIONS.items():
    simulate.add_command(_command(name, simulation))


@click.command()
@click.option("--contacts", type=click.IntRange(50, 100_000), default=300, show_default=True, help="How many to load.")
def demo(contacts: int) -> None:
    """Deliver sample contacts to a simulated CRM, through real Dagster runs, and show what became of them."""
    run_demo(contacts)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Of Dagster's UI.")
def dev(port: int) -> None:
    """Run Dagster with schedule and sensor on, beside stand-ins for whatever is not set.

    CRM_SYNC_DATABASE_URL or DATABASE_URL, and the account of a CRM, where set, are used as they are.
    """
    run_dev(VAR, port)
