"""Options that say which contacts an act is for: ids, a file, a filter, or all."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from crm_sync_pipeline.contact_queue.people.selection import Which, parse_ids
from crm_sync_pipeline.domain.contact_filter import ContactFilter, ids_in, parse_moment, parse_statuses
from crm_sync_pipeline.domain.transition import ProcessingStatus

_STATES = [status.value for status in ProcessingStatus]

_OPTIONS = [
    click.argument("ids", nargs=-1, metavar="[CONTACT_ID]..."),
    click.option("--all", "everything", is_flag=True, help="All that this applies to; see above."),
    click.option(
        "--file",
        "file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A text file with one contact id a line; the first column of a CSV file counts.",
    ),
    click.option(
        "--status",
        "statuses",
        multiple=True,
        metavar="[CRM=]STATUS",
        help="Sync status, such as New or Complete; name=Complete is that of another CRM. Several: any of them.",
    ),
    click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice(_STATES, case_sensitive=False),
        help="Processing status. Several: any of them.",
    ),
    click.option("--reason", "reasons", multiple=True, help="Why it failed last, such as http_503; see status."),
    click.option("--since", metavar="TIME", help="Failed last since: '2026-03-01 14:00' (UTC), or 90min, 2h, 3d ago."),
    click.option("--until", metavar="TIME", help="Failed last until then."),
    click.option("--email-type", help="E-mail type, such as CORPORATE."),
    click.option("--domain-id", help="The id of the domain."),
    click.option("--page-id", help="The id of the page."),
    click.option("--gmail/--no-gmail", "has_gmail", default=None, help="Has Gmail, or not."),
    click.option("--email-contains", default="", metavar="TEXT", help="Taken literally, whatever the case."),
    click.option("--name-contains", default="", metavar="TEXT", help="Taken literally, whatever the case."),
    click.option("--dry-run", is_flag=True, help="Say how many it would be, with some ids, and change nothing."),
]
_FILTER = ("statuses", "states", "reasons", "since", "until", "email_type", "domain_id", "page_id", "has_gmail")


def which_contacts(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command; `chosen` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen(options: dict[str, Any]) -> Which:
    """Which contacts these options mean. UsageError unless it is ids, a filter, or --all."""
    ids: Sequence[str] = options["ids"]
    file: Path | None = options["file"]
    filters = any(options[name] not in ((), None) for name in _FILTER)
    filters = filters or bool(options["email_contains"] or options["name_contains"])
    if ids or file:
        if options["everything"]:
            raise click.UsageError("Give contact ids, or --all, not both.")
        if filters:
            raise click.UsageError("Give contact ids, or a filter, not both.")
        return Which(parse_ids([*ids, *(_read(file) if file else ())]))
    if not (filters or options["everything"]):
        raise click.UsageError("Name contact ids, a --file with ids, or --all.")
    try:
        return Which(None, _filter(options))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _filter(options: dict[str, Any]) -> ContactFilter:
    return ContactFilter(
        statuses=parse_statuses(options["statuses"]),
        states=tuple(ProcessingStatus(state) for state in options["states"]),
        reasons=tuple(options["reasons"]),
        failed_since=parse_moment(options["since"] or ""),
        failed_until=parse_moment(options["until"] or ""),
        **{name: options[name] for name in ("email_type", "domain_id", "page_id", "has_gmail")},
        **{name: options[name].strip() for name in ("email_contains", "name_contains")},
    )


def _read(file: Path) -> list[str]:
    try:
        return ids_in(file.read_text("utf-8-sig"))
    except UnicodeDecodeError:
        raise click.UsageError(f"{file} is not a text file in UTF-8. Nothing was changed. Save it as one.") from None
