"""Commands about contacts: ask, deliver now."""

import sys
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from crm_sync_pipeline.cli.acts import actor, one_crm
from crm_sync_pipeline.cli.db import database
from crm_sync_pipeline.cli.output import as_json, print_json, say
from crm_sync_pipeline.cli.progress import progress
from crm_sync_pipeline.cli.terminal import terminal
from crm_sync_pipeline.contact_queue.reading.figures import COUNTED_UP_TO
from crm_sync_pipeline.contact_queue.reading.report import QueueStatus
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS, load_settings
from crm_sync_pipeline.domain.address import shown_address
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.explanation import AttemptRecord, Facts
from crm_sync_pipeline.domain.explanation import explain as answer_for

if TYPE_CHECKING:
    from crm_sync_pipeline.destinations.destination import HttpDestination


@click.command()
@click.option("--crm", type=click.Choice(list(CRMS)), help="One CRM; without it, all that the table has columns for.")
@as_json
def status(crm: str | None, json_wanted: bool) -> None:
    """Show the queue: counts by state, due, lag, next retry, why contacts wait."""
    source = database()
    report = source.report()
    crms = [CRMS[crm]] if crm else report.crms()
    with progress("Counting the contacts"):
        states = [(report.status(each), report.errors(each)) for each in crms]
    if json_wanted:
        print_json(
            [{**_as_dict(state), "off": source.off.get(state.crm), "errors": errors} for state, errors in states]
        )
        return
    out = terminal()
    table = Table(box=None, pad_edge=False)
    for heading in ("", "New", "Queued", "due", "waiting", "Processing", "Complete", "Error", "lag", "next retry"):
        table.add_column(heading, justify="left" if not heading else "right")
    for state, _ in states:
        table.add_row(
            f"[bold]{state.title}[/]",
            str(state.counts.get("New", 0)),
            str(state.counts.get("Queued", 0)),
            _counted(state.now.due),
            _counted(state.now.waiting),
            str(state.counts.get("Processing", 0)),
            str(state.counts.get("Complete", 0)),
            str(state.counts.get("Error", 0)),
            "-" if state.now.lag_seconds is None else f"{state.now.lag_seconds:.0f} s",
            f"{state.next_retry_at:%H:%M:%S} UTC" if state.next_retry_at else "-",
        )
    out.print(table)
    for state, errors in states:
        if state.crm in source.off:
            queued = state.counts.get("Queued", 0)
            waiting = f" {queued} contacts wait until it is set, or another machine delivers them." if queued else ""
            out.print(f"[yellow]{state.title} is off[/]: {source.off[state.crm]} not set here.{waiting}")
        if state.down:
            out.print(f"[red]{state.title} is down[/]: {escape(state.down.message)}")
        if state.expired:
            minutes = state.expired.ago.total_seconds() / 60
            out.print(
                f"{state.title}: contacts have been Processing for up to {minutes:.0f} min past their lease, because a "
                "run died; the next claim recovers them."
            )
        if state.now.held:
            out.print(
                f"{state.title}: {_counted(state.now.held)} on hold; "
                f"`crm-sync release --all --crm {state.crm}` releases them."
            )
        if state.not_wanted:
            out.print(
                f"{state.title}: {state.not_wanted} Queued, but their sync status says that nobody wants them sent."
            )
        for group in errors:
            out.print(f"{state.title}: {group.count} {group.state}, {escape(group.reason)}: {escape(group.message)}")


def _counted(contacts: int) -> str:
    return f"{contacts:,}+" if contacts >= COUNTED_UP_TO else str(contacts)


def _as_dict(state: QueueStatus) -> dict[str, Any]:
    shown = {each.name: getattr(state, each.name) for each in fields(state) if each.name not in ("now", "expired")}
    now = {name: getattr(state.now, name) for name in ("due", "waiting", "held", "lag_seconds")}
    return {**shown, **now, "past_lease_seconds": state.expired.ago.total_seconds() if state.expired else None}


@click.command()
@click.argument("contact")
@one_crm
@as_json
def explain(contact: str, crm: str, json_wanted: bool) -> None:
    """Tell why CONTACT (an id or e-mail address) is, or is not, at a CRM: its attempts, and what happens next."""
    source = database()
    with progress("Looking for the contact"):  # an address that has no index is looked for in the whole table
        contact_id = source.selection().find(contact)
        facts = source.report().facts(CRMS[crm], contact_id, source.policy(crm).max_retries)
    if not facts.has_address:
        facts = replace(facts, needs_address=_destination(crm).needs_address)
    answer = answer_for(facts, DESTINATIONS[crm].remedies)
    if json_wanted:
        print_json({"verdict": answer.verdict, "next_step": answer.next_step, "facts": facts})
    else:
        _print_explanation(facts, answer.verdict, answer.next_step)


def _print_explanation(facts: Facts, verdict: str, next_step: str) -> None:
    out = terminal()
    out.print(f"[bold]{escape(shown_address(facts.email)) or '(no e-mail address)'}[/]  {facts.contact_id}")
    out.print(f"{facts.title}: {escape(facts.sync_status or '-')} / {facts.processing_status or '-'}")
    out.print(f"\n{escape(verdict)}\n[bold]Next:[/] {escape(next_step)}\n")
    table = Table(box=None, pad_edge=False)
    rows = [(each.at, _attempt_cells(each)) for each in facts.attempts]
    if facts.selected_at:
        rows.append((facts.selected_at, ("selected", "", "", "", "", "")))
    for heading in ("when (UTC)", "what", "outcome", "reason", "HTTP", "ms", "said"):
        table.add_column(heading)
    for at, cells in sorted(rows):
        table.add_row(f"{at:%Y-%m-%d %H:%M:%S}", *cells)
    if table.row_count:
        out.print(table)


def _attempt_cells(each: AttemptRecord) -> tuple[str, ...]:
    said, http = escape(each.message), str(each.http_status or "-")
    return f"attempt {each.number}", each.outcome, escape(each.reason), http, str(each.milliseconds), said


def _destination(crm: str) -> "HttpDestination":
    entry = DESTINATIONS[crm]
    return entry.destination().from_settings(load_settings())


@click.command(name="resume")
@click.argument("crm", type=click.Choice(list(CRMS)))
@as_json
def resume_crm(crm: str, json_wanted: bool) -> None:
    """Probe a CRM that is marked down now, with one due contact, instead of waiting for the next probe.

    Use it after you fixed what made it go down. If it answers, the queue goes on.
    """
    from crm_sync_pipeline.delivery.probe import resume

    destination = _destination(crm)
    source = database()
    with progress(f"Asking {destination.title}"):
        came = resume(source.queue(crm), destination, "crm-sync resume")
    source.acts(actor()).record("resume", [crm], "one due contact", came.sent)
    if json_wanted:
        print_json({"crm": crm, "answers": came.answers, "says": came.says})
    else:
        say(came.says)
    sys.exit(1 if came.answers is False else 0)


@click.command(name="sync-now")
@click.argument("contact")
@one_crm
@as_json
@click.pass_context
def sync_now(context: click.Context, contact: str, crm: str, json_wanted: bool) -> None:
    """Deliver CONTACT (an id or e-mail address) to one CRM at once, past schedule and queue."""
    from crm_sync_pipeline.delivery.door import deliver_contact

    destination = _destination(crm)
    destination.require_ready()
    source = database()
    acts = source.acts(actor())
    with progress(f"Delivering to {destination.title}"):
        contact_id = source.selection().find(contact)
        tally = deliver_contact(source.queue(crm), destination, contact_id, "crm-sync sync-now")
    acts.record("sync-now", [crm], str(contact_id), tally.outcomes["synced"])
    if tally.down:
        raise CrmSyncError(tally.down)
    context.invoke(explain, contact=str(contact_id), crm=crm, json_wanted=json_wanted)
    sys.exit(0 if tally.outcomes["synced"] else 1)
