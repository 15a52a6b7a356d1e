"""The command line, crm-sync. Exit codes: 0 done, 1 something failed, 2 wrong use."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from crm_sync_pipeline.domain.characters import safe_to_print
from crm_sync_pipeline.domain.errors import CrmSyncError, WrongUseError

FAILED, WRONG_USE = 1, 2

COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "acts": ("acts", "list_acts", "Show what people did last: who, when, what, and to how many contacts."),
    "alert": ("alert", "alert", "Try the channels that alerts go to, and see what is wrong now."),
    "check": (
        "check",
        "check_crm",
        "Tell whether deliveries will work, before the first one: settings, database, account, fields, clocks.",
    ),
    "db": ("db", "db", "Check and prepare the database."),
    "demo": (
        "sandbox",
        "demo",
        "Deliver sample contacts to simulated CRMs, through real Dagster runs, and show what became of them.",
    ),
    "dev": ("sandbox", "dev", "Run Dagster with schedules and sensors on, with simulators for whatever is not set."),
    "explain": (
        "contacts",
        "explain",
        "Tell why CONTACT (an id or e-mail address) is, or is not, at a CRM: its attempts, and what happens next.",
    ),
    "forget": (
        "history",
        "forget",
        "Remove all that this program keeps on CONTACT (an id or e-mail address): for requests of erasure.",
    ),
    "hold": (
        "acts",
        "hold",
        "Put contacts on hold: no run takes them until they are released, also when they are selected again.",
    ),
    "metrics": ("metrics", "show_metrics", "Print the queue's metrics as OpenMetrics, or --serve them to Prometheus."),
    "prune": (
        "history",
        "prune",
        "Remove old attempts, and the history of contacts that are gone, as the job prune_history does each night.",
    ),
    "release": ("acts", "release", "Let contacts go that are on hold."),
    "requeue": (
        "acts",
        "requeue",
        "Send contacts again at once, with fresh retries: those in Error or waiting for a retry.",
    ),
    "resume": (
        "contacts",
        "resume_crm",
        "Probe a CRM that is marked down now, with one due contact, instead of waiting for the next probe.",
    ),
    "select": ("acts", "select", "Select contacts: they are delivered with the next run."),
    "simulate": ("sandbox", "simulate", "Stand in for a CRM's API, on this machine only."),
    "status": ("contacts", "status", "Show the queue: counts by state, due, lag, next retry, why contacts wait."),
    "sync-now": (
        "contacts",
        "sync_now",
        "Deliver CONTACT (an id or e-mail address) to one CRM at once, past schedule and queue.",
    ),
    "unselect": (
        "acts",
        "unselect",
        "Take contacts back: they are not sent, unless a run is delivering them at this moment.",
    ),
}
"""By name: the module in this package, the command in it, and the first sentence of its help."""


class _Commands(click.Group):
    """Imports a command when it runs: Dagster and SQLAlchemy take seconds, which `--help` and `status` need not.

    Wrong use is told without what would steer a terminal: the name of a file, for one, can hold escape sequences.
    """

    def list_commands(self, _context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), attribute)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, click.Command(name, help=sentence).get_short_help_str(limit))
                    for name, (_, _, sentence) in sorted(COMMANDS.items())
                ]
            )

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _safe_to_print():
            return super().make_context(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        with _safe_to_print():
            return super().invoke(context)


@contextmanager
def _safe_to_print() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        said = error.format_message()
        shown = safe_to_print(said)
        if shown == said:
            raise
        if isinstance(error, click.UsageError):
            raise click.UsageError(shown, error.ctx) from None
        raise click.ClickException(shown) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="crm-sync-pipeline")
def crm_sync() -> None:
    """Deliver selected contacts from PostgreSQL to CRMs, and see what became of them.

    Settings come from the environment and from a .env file in the working folder; .env.example names them all.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a mistake that a person can fix is told in one sentence, without a stack trace."""
    try:
        crm_sync.main(args=list(arguments) if arguments is not None else None, prog_name="crm-sync")
    except WrongUseError as error:
        _tell(error)
        sys.exit(WRONG_USE)
    except CrmSyncError as error:
        _tell(error)
        sys.exit(FAILED)


def _tell(error: CrmSyncError) -> None:
    click.echo(safe_to_print(f"Error: {error}"), err=True)
