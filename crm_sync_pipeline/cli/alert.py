"""Alerts: try the channels, see what was told."""

import sys

import click
from rich.markup import escape
from rich.table import Table

from crm_sync_pipeline.cli.db import database
from crm_sync_pipeline.cli.output import as_json, print_json, say
from crm_sync_pipeline.cli.progress import progress
from crm_sync_pipeline.cli.terminal import terminal
from crm_sync_pipeline.contact_queue.reading.alert_ledger import AlertLedger
from crm_sync_pipeline.destinations import DESTINATIONS, load_settings
from crm_sync_pipeline.monitoring.alerts import Watch, limits_of
from crm_sync_pipeline.monitoring.channels import AlertNotSentError, Channel, channels_of, missing_for_channels

TEST = "crm-sync: this is a test. Alerts reach you here; nothing is wrong."


@click.group()
def alert() -> None:
    """Try the channels that alerts go to, and see what is wrong now."""


@alert.command()
@as_json
def test(json_wanted: bool) -> None:
    """Send a test to each channel that is set, and say what came of it."""
    settings = load_settings().alerts
    missing = missing_for_channels(settings)
    with progress("Sending a test"):
        results = [(channel, _try(channel)) for channel in channels_of(settings)]
    if json_wanted:
        print_json(
            {
                "missing": missing,
                "channels": [{"channel": each.name, "at": each.shown, "problem": problem} for each, problem in results],
            }
        )
    else:
        for channel, problem in results:
            say(problem or f"The {channel.name} at {channel.shown} took the test.")
        if missing:
            say(missing)
    sys.exit(1 if missing or any(problem for _, problem in results) else 0)


def _try(channel: Channel) -> str | None:
    try:
        channel.send("crm-sync: a test", TEST)
    except AlertNotSentError as error:
        return str(error)
    return None


@alert.command(name="list")
@as_json
def list_alerts(json_wanted: bool) -> None:
    """Show what is wrong now, and what was told of it to whom. Runs that failed in a row are known to Dagster alone."""
    source, settings = database(), load_settings()
    watch = Watch(source, dict.fromkeys(DESTINATIONS), limits=limits_of(settings))
    with progress("Looking at the queue"):
        wrong = [each for each in watch.conditions() if each.holds]
    told = AlertLedger(source.engine).open_alerts()
    if json_wanted:
        now = [{"name": each.name, "says": each.alarm} for each in wrong]
        print_json({"wrong_now": now, "told": told})
        return
    for each in wrong:
        terminal().print(f"[bold red]{escape(each.name)}[/]  {escape(each.alarm)}")
    if not wrong:
        terminal().print("Nothing is wrong.")
    table = Table(box=None, pad_edge=False)
    for heading in ("told", "to", "since (UTC)"):
        table.add_column(heading)
    for row in told:
        table.add_row(escape(row.name), row.channel, f"{row.since:%Y-%m-%d %H:%M:%S}")
    if told:
        terminal().print(table)
