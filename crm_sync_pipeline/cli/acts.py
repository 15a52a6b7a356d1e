"""Commands that change what becomes of contacts: select, unselect, requeue, hold, release; and what was done last."""

import getpass
import os
import sys
from dataclasses import asdict
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from crm_sync_pipeline.cli.db import database
from crm_sync_pipeline.cli.filters import chosen, which_contacts
from crm_sync_pipeline.cli.output import as_json, print_json, say
from crm_sync_pipeline.cli.progress import progress
from crm_sync_pipeline.cli.terminal import terminal
from crm_sync_pipeline.contact_queue.people.acts import Actor, ActResult
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.destinations import CRMS

several_crms = click.option(
    "--crm", "crms", type=click.Choice(list(CRMS)), multiple=True, default=(next(iter(CRMS)),), show_default=True
)
one_crm = click.option("--crm", type=click.Choice(list(CRMS)), default=next(iter(CRMS)), show_default=True)


def actor() -> Actor:
    """The operating system's user."""
    try:
        return Actor(getpass.getuser())
    except (OSError, KeyError, ImportError):  # a user id without a name, as in containers
        return Actor(f"uid {os.getuid()}")


def _carry_out(
    verb: str,
    which: Which,
    crms: tuple[str, ...],
    options: dict[str, Any],
    *,
    changed_only: bool = False,
    anyway: bool = False,
) -> ActResult:
    source = database()
    total = source.report().contacts_count() if which.ids is None else len(which.ids)
    with progress(f"{verb} contacts".capitalize(), total) as advance:
        return source.acts(actor()).carry_out(
            verb,
            which,
            crms,
            everything=options["everything"],
            anyway=anyway,
            dry_run=options["dry_run"],
            changed_only=changed_only,
            progress=advance,
        )


def _decide(
    action: str,
    crms: tuple[str, ...],
    json_wanted: bool,
    options: dict[str, Any],
    *,
    changed_only: bool = False,
    anyway: bool = False,
) -> None:
    which = chosen(options)
    if which.ids is not None and not which.ids:
        say("No contact ids were given; nothing was changed.")
        return
    result = _carry_out(action, which, crms, options, changed_only=changed_only, anyway=anyway)
    if json_wanted:
        print_json(asdict(result) if result.dry_run else _as_selection(result, which))
    else:
        say(result.message)
    sys.exit(1 if result.refused or (which.ids and not result.contacts) else 0)


def _as_selection(result: ActResult, which: Which) -> dict[str, Any]:
    return {
        "updated_count": result.contacts,
        "queued_count": result.changes if result.verb == "select" else 0,
        "unknown_count": 0 if which.ids is None else len(which.ids) - result.contacts - result.refused,
        "refused_count": result.refused,
        "crms": result.crms,
        "action": result.verb,
        "message": result.message.removesuffix("."),
    }


@click.command()
@which_contacts
@several_crms
@click.option("--changed", "changed_only", is_flag=True, help="Do not send those whose data was delivered as it is.")
@click.option("--anyway", is_flag=True, help="Also for a CRM that is not set up here: another machine delivers to it.")
@as_json
def select(crms: tuple[str, ...], changed_only: bool, anyway: bool, json_wanted: bool, **options: Any) -> None:
    """Select contacts: they are delivered with the next run. One that is already queued keeps its place.

    --all selects those that are New, and sends nothing again; so does a filter that names no status or state. With
    --changed, a contact whose data is what the CRM took last is Complete without a call.
    """
    _decide("select", crms, json_wanted, options, changed_only=changed_only, anyway=anyway)


@click.command()
@which_contacts
@several_crms
@as_json
def unselect(crms: tuple[str, ...], json_wanted: bool, **options: Any) -> None:
    """Take contacts back: they are not sent, unless a run is delivering them at this moment.

    --all takes back all that wait or are being delivered; so does a filter, unless it names a status or state.
    """
    _decide("unselect", crms, json_wanted, options)


@click.command()
@which_contacts
@one_crm
@as_json
def requeue(crm: str, json_wanted: bool, **options: Any) -> None:
    """Send contacts again at once, with fresh retries: those in Error or waiting for a retry.

    --all requeues all of them, a filter those of them that it matches: by state, reason or time, for one.
    """
    result = _carry_out("requeue", chosen(options), (crm,), options)
    if json_wanted and not result.dry_run:
        print_json({"crm": crm, "requeued_count": result.contacts})
        sys.exit(1 if result.refused else 0)
    _say(result, json_wanted)


@click.command()
@which_contacts
@several_crms
@as_json
def hold(crms: tuple[str, ...], json_wanted: bool, **options: Any) -> None:
    """Put contacts on hold: no run takes them until they are released, also when they are selected again.

    --all holds all that wait or are being delivered; so does a filter, unless it names a status or state. Of those that
    a run is delivering, the ones that are sent already stay sent.
    """
    _say(_carry_out("hold", chosen(options), crms, options), json_wanted)


@click.command()
@which_contacts
@several_crms
@as_json
def release(crms: tuple[str, ...], json_wanted: bool, **options: Any) -> None:
    """Let contacts go that are on hold. --all releases all of them."""
    _say(_carry_out("release", chosen(options), crms, options), json_wanted)


def _say(result: ActResult, json_wanted: bool) -> None:
    if json_wanted:
        print_json(asdict(result))
    else:
        say(result.message)
    sys.exit(1 if result.refused else 0)


@click.command(name="acts")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@as_json
def list_acts(limit: int, json_wanted: bool) -> None:
    """Show what people did last: who, when, what, and to how many contacts."""
    done = database().acts(actor()).newest(limit)
    if json_wanted:
        print_json(done)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("when (UTC)", "who", "what", "CRM", "contacts", "which", "run"):
        table.add_column(heading, justify="right" if heading == "contacts" else "left")
    for act in done:
        when, where = f"{act.acted_at:%Y-%m-%d %H:%M:%S}", " ".join(act.destinations)
        table.add_row(
            when, escape(act.actor), act.verb, where, str(act.contacts), escape(act.scope), (act.run_id or "-")[:8]
        )
    terminal().print(table if done else "Nobody has done anything yet.")
