"""The command line, crm-sync. Exit codes: 0 done, 1 something failed, 2 wrong use."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from crm_sync_pipeline.cli.acts import hold, list_acts, release, requeue, select, unselect
from crm_sync_pipeline.cli.alert import alert
from crm_sync_pipeline.cli.check import check_crm
from crm_sync_pipeline.cli.contacts import explain, resume_crm, status, sync_now
from crm_sync_pipeline.cli.db import db
from crm_sync_pipeline.cli.history import forget, prune
from crm_sync_pipeline.cli.metrics import show_metrics
from crm_sync_pipeline.cli.output import say
from crm_sync_pipeline.cli.sandbox import demo, dev, simulate
from crm_sync_pipeline.contact_queue.people.selection import SelectionError
from crm_sync_pipeline.domain.characters import safe_to_print
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.settings import SettingsError

FAILED, WRONG_USE = 1, 2


class _Commands(click.Group):
    """Wrong use is told without what would steer a terminal: the name of a file, for one, can hold escape sequences."""

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


for command in (
    *(db, check_crm, select, unselect, requeue, hold, release, sync_now, resume_crm),
    *(status, explain, list_acts, simulate, demo, dev),
):
    crm_sync.add_command(command)


for command in (alert, show_metrics, prune, forget):
    crm_sync.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a mistake that a person can mend is told in one sentence, without a stack trace."""
    try:
        crm_sync.main(args=list(arguments) if arguments is not None else None, prog_name="crm-sync")
    except (SettingsError, SelectionError) as error:
        say(f"Error: {error}", is_error=True)
        sys.exit(WRONG_USE)
    except CrmSyncError as error:
        say(f"Error: {error}", is_error=True)
        sys.exit(FAILED)
