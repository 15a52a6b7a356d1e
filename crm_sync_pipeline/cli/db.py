import sys

import click
from rich.markup import escape
from rich.table import Table

from crm_sync_pipeline.cli.output import as_json, print_json, say
from crm_sync_pipeline.cli.progress import progress
from crm_sync_pipeline.cli.terminal import terminal
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS, load_settings, off_in


def database() -> Database:
    """The database that the environment names."""
    settings = load_settings()
    return Database.from_settings(settings, CRMS, off_in(settings))


@click.group()
def db() -> None:
    """Check and prepare the database."""


@db.command()
@as_json
def check(json_wanted: bool) -> None:
    """Verify the contacts table field by field, our own tables and indexes. Changes nothing."""
    findings = database().check()
    failed = [finding for finding in findings if finding.ok is False]
    if json_wanted:
        print_json({"ok": not failed, "findings": findings})
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for finding in findings:
            mark = {True: "[green]ok[/]", False: "[red]WRONG[/]", None: "[dim]absent[/]"}[finding.ok]
            table.add_row(mark, escape(finding.subject), escape(finding.detail))
        terminal().print(table)
        for finding in failed:
            fix = f" Fix it with:\n    {escape(finding.remedy)}" if finding.remedy else ""
            terminal().print(f"[bold]{escape(finding.subject)}[/]: {escape(finding.detail or 'wrong')}.{fix}")
        for finding in findings:
            if finding.ok is None and finding.remedy:
                terminal().print(
                    f"[bold]{escape(finding.subject)}[/]: {escape(finding.detail)}:\n    {escape(finding.remedy)}"
                )
        if not failed:
            terminal().print("The database is ready.")
    sys.exit(1 if failed else 0)


@db.command()
@as_json
def upgrade(json_wanted: bool) -> None:
    """Add schema crm_sync and our indexes; create the contacts table where there is none. Safe to run again."""
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        if not json_wanted:
            say(line)

    with progress("Preparing the database"):  # an index of millions takes its time
        contacts = database().upgrade(tell)
    if json_wanted:
        print_json({"contacts_table": contacts.qualified, "changes": said})
    elif not said:
        say(f"Nothing to do: {contacts.qualified} and schema crm_sync are up to date.")
