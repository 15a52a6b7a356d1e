"""The end of history: prune what is old, forget a contact."""

import click

from crm_sync_pipeline.cli.acts import actor
from crm_sync_pipeline.cli.db import database
from crm_sync_pipeline.cli.output import as_json, print_json, say
from crm_sync_pipeline.cli.progress import progress
from crm_sync_pipeline.contact_queue.people.selection import parse_ids
from crm_sync_pipeline.destinations import load_settings


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@as_json
def prune(dry_run: bool, json_wanted: bool) -> None:
    """Remove old attempts, and the history of contacts that are gone, as the job prune_history does each night.

    Days are set by CRM_SYNC_HISTORY_DAYS. Runs of Dagster are removed by that job alone.
    """
    days = load_settings().history.history_days
    with progress("Going through the history") as advance:
        pruned = database().history().prune(days, dry_run=dry_run, progress=advance)
    if json_wanted:
        print_json({"dry_run": dry_run, "days": days, "pruned": pruned})
    else:
        say(pruned.says(days, dry_run))


@click.command()
@click.argument("contact")
@as_json
def forget(contact: str, json_wanted: bool) -> None:
    """Remove all that this program keeps on CONTACT (an id or e-mail address): for requests of erasure.

    Attempts, deliveries and the CRM's id of it. The row in your contacts table and the copy at the CRM are yours to
    delete: delete the row first, then forget its id. Only the contact's id stays, in the record of acts.
    """
    source = database()
    contact_id = source.selection().find(contact) if "@" in contact else parse_ids([contact])[0]
    forgotten = source.history().forget(contact_id, actor())
    if json_wanted:
        print_json(forgotten)
    else:
        say(forgotten.says())
