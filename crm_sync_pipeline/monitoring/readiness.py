"""Will it work? What has to be right in the database and at the destination, before the first contact is sent."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable
from crm_sync_pipeline.contact_queue.database.schema import SchemaError
from crm_sync_pipeline.contact_queue.database.sent_columns import REWRITES, missing_columns
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.check import CheckReport, Line, State, ahead_of, clock_line
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.masking import redacted

DUE_COUNTED_UP_TO = 100_000
LOOKED_AT = 1000
"""How many contacts are read of those due, and of those delivered lately: enough to tell what most are like."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """This machine's time."""
    return datetime.now(timezone.utc)


def check(
    database: Database,
    destination: HttpDestination,
    *,
    create_fields: bool = False,
    clock: Clock = utc_now,
) -> CheckReport:
    """Ask the database and the destination; whatever fails is a line. Sends no contact.

    With `create_fields` the destination is given the fields that it lacks; nothing else is changed anywhere.
    """
    name = destination.name
    lines, queue = _of_database(database, name, clock)
    lines += _of_destination(destination, create_fields, clock)
    if queue:
        lines += [*_of_queue(queue), *_of_contacts(queue, destination)]
    return CheckReport(destination.title, tuple(lines))


def _of_database(database: Database, name: str, clock: Clock) -> tuple[list[Line], ContactQueue | None]:
    lines: list[Line] = []
    try:
        contacts = database.contacts()
        before = clock()
        theirs = database.clock()
        lines.append(Line("Database", State.GREEN, f"reached; the contacts are in {contacts.qualified}"))
        lines.append(clock_line("PostgreSQL", ahead_of(theirs, before, clock())))
        wrong = [finding for finding in database.check(name) if finding.ok is False]
        lines += [
            Line("Schema", State.RED, f"{finding.subject}: {finding.detail}", finding.remedy) for finding in wrong
        ]
        if wrong:
            return lines, None
        queue = database.queue(name)
    except SchemaError as error:  # no column of this destination's is there
        return [*lines, Line("Schema", State.RED, str(error))], None
    except CrmSyncError as error:
        return [*lines, Line("Database", State.RED, str(error))], None
    lines.append(Line("Schema", State.GREEN, "every column, right, table and index that is needed is there"))
    lines += _of_missing_columns(contacts, queue.crm)
    return lines, queue


def _of_missing_columns(contacts: ContactsTable, crm: Crm) -> list[Line]:
    carried = {column.name: crm.carried_by(column.name) for column in missing_columns(contacts)}
    missing = [column for column in missing_columns(contacts) if carried[column.name]]
    if not missing:
        return []
    unsent = [attribute for column in missing for attribute in carried[column.name]]
    says = (
        f"{contacts.qualified} has no {', '.join(column.name for column in missing)}; contacts are delivered without "
        f"{', '.join(unsent)}"
    )
    if similar := [f"{', '.join(column.similar)} (like {column.name})" for column in missing if column.similar]:
        says += f". Similar columns are there: {'; '.join(similar)}"
    if remedies := [column.remedy for column in missing if column.remedy]:
        to_do = f"Where a similar column holds the same, add a generated one. {REWRITES}: {' '.join(remedies)}"
    else:
        to_do = "Nothing, if you have no such data. Else add a column of that name."
    return [Line("Columns", State.YELLOW, says, to_do)]


def _of_destination(destination: HttpDestination, create_fields: bool, clock: Clock) -> Sequence[Line]:
    async def ask() -> Sequence[Line]:
        async with destination.client() as client:
            return await destination.check(client, create_fields=create_fields, clock=clock)

    try:
        destination.require_ready()
        return asyncio.run(ask())
    except CrmSyncError as error:
        return [Line(destination.access, State.RED, str(error))]
    except Exception as error:  # such as a proxy's address in the environment that can't be read
        why = f"can't be asked ({type(error).__name__}: {redacted(str(error).partition(chr(10))[0])})"
        return [Line(destination.title, State.RED, why, "Check the proxy settings of this machine.")]


def _of_queue(queue: ContactQueue) -> list[Line]:
    title, name = queue.crm.title, queue.crm.name
    try:
        down, due = queue.breaker.state(), queue.depth(DUE_COUNTED_UP_TO)
    except CrmSyncError as error:
        return [Line("Queue", State.RED, str(error))]
    if down:
        to_do = f"Fix what is red here, then `crm-sync resume {name}`. Else the next probe finds out."
        breaker = Line("Breaker", State.YELLOW, f"open, nothing is sent: {down.message}", to_do)
    else:
        breaker = Line("Breaker", State.GREEN, f"closed: {title} is not known to be down")
    many = f"{due:,} contacts are due" if due < DUE_COUNTED_UP_TO else f"{DUE_COUNTED_UP_TO:,} contacts or more are due"
    return [breaker, Line("Due", State.GREEN, many if due else "no contact is due; `crm-sync select` queues some")]


def _of_contacts(queue: ContactQueue, destination: HttpDestination) -> Sequence[Line]:
    try:
        return destination.check_contacts(queue.sample(LOOKED_AT))
    except CrmSyncError as error:
        return [Line("Contacts", State.RED, str(error))]
