"""Commands about contacts: decide, ask, deliver now."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from crm_sync_pipeline.cli.db import database
from crm_sync_pipeline.cli.output import as_json, print_json
from crm_sync_pipeline.contact_queue.report import QueueStatus
from crm_sync_pipeline.contact_queue.tables import CRMS
from crm_sync_pipeline.delivery import deliver
from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline.destinations.base import HttpDestination
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.explanation import AttemptRecord, Facts
from crm_sync_pipeline.domain.explanation import explain as answer_for
from crm_sync_pipeline.resumption import resume
from crm_sync_pipeline.sandbox.terminal import terminal
from crm_sync_pipeline.settings import load_settings

one_crm = click.option("--crm", type=click.Choice(list(CRMS)), default="brevo", show_default=True)
ids_and_all = [
    click.argument("ids", nargs=-1, metavar="[CONTACT_ID]..."),
    click.option("--all", "everything", is_flag=True, help="All that this applies to; see above."),
    click.option(
        "--file",
        "file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A text file with one contact id a line; the first column of a CSV file counts.",
    ),
]


def _which(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(ids_and_all):
        command = option(command)
    return command


def _given_ids(ids: tuple[str, ...], everything: bool, file: Path | None) -> list[str] | None:
    """The ids from arguments and file, None for all. UsageError unless it is one or the other."""
    if everything and (ids or file):
        raise click.UsageError("Give contact ids, or --all, not both.")
    if not (everything or ids or file):
        raise click.UsageError("Name contact ids, a --file with ids, or --all.")
    return None if everything else [*ids, *(_ids_in(file) if file else ())]


def _ids_in(file: Path) -> list[str]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise click.UsageError(f"{file} is no text file in UTF-8. Nothing was changed. Save it as one.") from None
    first_column = [line.split(",")[0].strip().strip('"') for line in lines]
    if first_column and first_column[0].lower() in ("id", "contact_id"):
        first_column = first_column[1:]
    return [text for text in first_column if text]


def _decide(
    action: str,
    ids: tuple[str, ...],
    everything: bool,
    file: Path | None,
    crms: tuple[str, ...],
    json_wanted: bool,
    changed_only: bool = False,
) -> None:
    wanted = _given_ids(ids, everything, file)
    selection = database().selection()
    if wanted is None:
        result = selection.apply_to_all(action, crms, changed_only)
    else:
        result = selection.apply(action, wanted, crms, changed_only)
    if json_wanted:
        print_json(result)
    else:
        click.echo(result.message + ".")
        for crm in result.crms if action == "select" else ():
            if crm not in DESTINATIONS:
                click.echo(f"{CRMS[crm].title} is not delivered to by this version; its contacts wait in the queue.")
    sys.exit(1 if wanted and not result.updated_count else 0)


several_crms = click.option(
    "--crm", "crms", type=click.Choice(list(CRMS)), multiple=True, default=("brevo",), show_default=True
)


@click.command()
@_which
@several_crms
@click.option("--changed", "changed_only", is_flag=True, help="Do not send those whose data was delivered as it is.")
@as_json
def select(
    ids: tuple[str, ...],
    everything: bool,
    file: Path | None,
    crms: tuple[str, ...],
    changed_only: bool,
    json_wanted: bool,
) -> None:
    """Select contacts: they are delivered with the next run. One that is already queued keeps its place.

    --all selects those that are New, and sends nothing again. With --changed, a contact whose data is what the CRM took
    last is Complete without a call.
    """
    _decide("select", ids, everything, file, crms, json_wanted, changed_only)


@click.command()
@_which
@several_crms
@as_json
def unselect(
    ids: tuple[str, ...], everything: bool, file: Path | None, crms: tuple[str, ...], json_wanted: bool
) -> None:
    """Take contacts back: they are not sent, unless a run is delivering them at this moment.

    --all takes back all that wait or are being delivered.
    """
    _decide("unselect", ids, everything, file, crms, json_wanted)


@click.command()
@_which
@one_crm
@as_json
def requeue(ids: tuple[str, ...], everything: bool, file: Path | None, crm: str, json_wanted: bool) -> None:
    """Send contacts again at once, with fresh retries: those in Error or waiting for a retry."""
    wanted = _given_ids(ids, everything, file)
    count = database().selection().requeue(crm, wanted)
    if json_wanted:
        print_json({"crm": crm, "requeued_count": count})
    else:
        click.echo(f"Requeued {count} contacts for {CRMS[crm].title}.")


@click.command()
@click.option("--crm", type=click.Choice(list(CRMS)), help="One CRM; without it, all that the table has columns for.")
@as_json
def status(crm: str | None, json_wanted: bool) -> None:
    """Show the queue: counts by state, due, lag, next retry, why contacts wait."""
    report = database().report()
    crms = [CRMS[crm]] if crm else report.crms()
    states = [(report.status(each), report.errors(each)) for each in crms]
    if json_wanted:
        print_json([{**_as_dict(state), "errors": errors} for state, errors in states])
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
            str(state.due),
            str(state.waiting),
            str(state.counts.get("Processing", 0)),
            str(state.counts.get("Complete", 0)),
            str(state.counts.get("Error", 0)),
            "-" if state.lag_seconds is None else f"{state.lag_seconds:.0f} s",
            f"{state.next_retry_at:%H:%M:%S} UTC" if state.next_retry_at else "-",
        )
    out.print(table)
    for state, errors in states:
        if state.down:
            out.print(f"[red]{state.title} is down[/]: {escape(state.down.message)}")
        if state.expired_leases:
            out.print(f"{state.title}: {state.expired_leases} held by runs that died; the next claim recovers them.")
        if state.not_wanted:
            out.print(
                f"{state.title}: {state.not_wanted} Queued, but their sync status says that nobody wants them sent."
            )
        for group in errors:
            out.print(f"{state.title}: {group.count} {group.state}, {group.reason}: {escape(group.message)}")


def _as_dict(state: QueueStatus) -> dict[str, Any]:
    return {name: getattr(state, name) for name in state.__dataclass_fields__}


@click.command()
@click.argument("contact")
@one_crm
@as_json
def explain(contact: str, crm: str, json_wanted: bool) -> None:
    """Tell why CONTACT (an id or e-mail address) is, or is not, at a CRM: its attempts, and what happens next."""
    source = database()
    contact_id = source.selection().find(contact)
    facts = source.report().facts(CRMS[crm], contact_id, source.policy(crm).max_retries)
    answer = answer_for(facts)
    if json_wanted:
        print_json({"verdict": answer.verdict, "next_step": answer.next_step, "facts": facts})
    else:
        _print_explanation(facts, answer.verdict, answer.next_step)


def _print_explanation(facts: Facts, verdict: str, next_step: str) -> None:
    out = terminal()
    out.print(f"[bold]{escape(facts.email) or '(no e-mail address)'}[/]  {facts.contact_id}")
    out.print(f"{facts.title}: {facts.sync_status} / {facts.processing_status or '-'}")
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
    return f"attempt {each.number}", each.outcome, each.reason, http, str(each.milliseconds), said


def _destination(crm: str) -> HttpDestination:
    if crm not in DESTINATIONS:
        raise click.UsageError(f"{CRMS[crm].title} is not delivered to by this version. Nothing was sent.")
    return DESTINATIONS[crm].from_settings(load_settings(), secrets_from_environment=False)


@click.command(name="resume")
@click.argument("crm", type=click.Choice(list(CRMS)))
@as_json
def resume_crm(crm: str, json_wanted: bool) -> None:
    """Ask a CRM that is down at once, by one due contact, instead of waiting for the next probe.

    Use it after you mended what made it go down. If it answers, the queue goes on.
    """
    destination = _destination(crm)
    came = resume(database().queue(crm), destination, "crm-sync resume")
    if json_wanted:
        print_json({"crm": crm, "answers": came.answers, "says": came.says})
    else:
        click.echo(came.says)
    sys.exit(1 if came.answers is False else 0)


@click.command(name="sync-now")
@click.argument("contact")
@one_crm
@as_json
@click.pass_context
def sync_now(context: click.Context, contact: str, crm: str, json_wanted: bool) -> None:
    """Deliver CONTACT (an id or e-mail address) to one CRM at once, past schedule and queue."""
    destination = _destination(crm)
    destination.require_ready()
    source = database()
    contact_id = source.selection().find(contact)
    queue = source.queue(crm)
    batch = queue.claim_contact(contact_id, run_id="crm-sync sync-now")
    try:
        tally = deliver(queue, destination, batch, "crm-sync sync-now")
    finally:
        queue.settle(batch.token)
    if tally.down:
        raise CrmSyncError(tally.down)
    context.invoke(explain, contact=str(contact_id), crm=crm, json_wanted=json_wanted)
    sys.exit(0 if tally.outcomes["synced"] else 1)
