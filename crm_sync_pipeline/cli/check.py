"""The command check: tells whether deliveries will work."""

import sys

import click
from rich.markup import escape
from rich.table import Table

from crm_sync_pipeline.cli.output import as_json, print_json
from crm_sync_pipeline.cli.progress import progress
from crm_sync_pipeline.cli.terminal import terminal
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS, load_settings
from crm_sync_pipeline.domain.check import CheckReport, Line, State
from crm_sync_pipeline.monitoring.readiness import check
from crm_sync_pipeline.settings import SettingsError

_MARKS = {State.GREEN: "[green]ok[/]", State.YELLOW: "[yellow]note[/]", State.RED: "[red]WRONG[/]"}


@click.command(name="check")
@click.option("--crm", type=click.Choice(list(DESTINATIONS)), default=next(iter(DESTINATIONS)), show_default=True)
@click.option("--create-fields", is_flag=True, help="Create the fields that the CRM lacks. Changes nothing else.")
@click.option("--create-attributes", "create_fields", is_flag=True, hidden=True, help="The former name.")
@as_json
def check_crm(crm: str, create_fields: bool, json_wanted: bool) -> None:
    """Tell whether deliveries will work, before the first one: settings, database, account, fields, clocks.

    One line a question, with what to do. Sends no contact. Exit code 1 where a line is red.
    """
    report = _report(crm, create_fields)
    if json_wanted:
        print_json({"crm": crm, "is_good": report.is_good, "says": report.sentence(), "lines": report.lines})
    else:
        _print(report)
    sys.exit(0 if report.is_good else 1)


def _report(crm: str, create_fields: bool) -> CheckReport:
    entry = DESTINATIONS[crm]
    try:
        settings = load_settings()
    except SettingsError as error:
        return CheckReport(entry.title, (Line("Settings", State.RED, str(error)),))
    with progress(f"Asking the database and {entry.title}"):
        report = check(
            Database.from_settings(settings, CRMS),
            entry.destination().from_settings(settings),
            create_fields=create_fields,
        )
    read = Line("Settings", State.GREEN, "read from the environment and .env")
    return CheckReport(report.title, (read, *report.lines))


def _print(report: CheckReport) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for line in report.lines:
        to_do = f"\n[bold]To do:[/] {escape(line.to_do)}" if line.to_do else ""
        table.add_row(_MARKS[line.state], escape(line.name), f"{escape(line.says)}{to_do}")
    out = terminal()
    out.print(table)
    out.print(escape(report.sentence()))
