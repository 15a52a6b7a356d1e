"""Brevo's bulk import: taken at once, carried out in a process of its own.

Source: https://developers.brevo.com/reference/import-contacts and get-process (November 2026). What a failure file
holds beyond being a CSV with semicolons is unverified; what an import does with a bad phone number is invented:
the row goes in without it.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from crm_sync_pipeline.simulators.brevo.answers import Refused, error, invalid, unknown_list
from crm_sync_pipeline.simulators.brevo.config import BrevoConfig
from crm_sync_pipeline.simulators.brevo.contacts import Change, changed, create
from crm_sync_pipeline.simulators.brevo.lists import new_list
from crm_sync_pipeline.simulators.brevo.reads import shown_time
from crm_sync_pipeline.simulators.brevo.state import Account
from crm_sync_pipeline.simulators.brevo.values import PHONES, read_attributes, read_email, read_flag, read_ids

FAILURE_FILES = (
    "invalid_emails",
    "duplicate_contact_id",
    "duplicate_ext_id",
    "duplicate_email_id",
    "duplicate_phone_id",
    "duplicate_whatsapp_id",
    "duplicate_landline_number_id",
)
MOST_BYTES = 10 * 1024 * 1024
_DUPLICATE_OF = {
    "EXT_ID": "duplicate_ext_id",
    "SMS": "duplicate_phone_id",
    "WHATSAPP": "duplicate_whatsapp_id",
    "LANDLINE_NUMBER": "duplicate_landline_number_id",
}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Order:
    """What an import was asked for. Each row holds "email" and attributes side by side."""

    rows: Sequence[Row]
    from_file: bool
    list_ids: tuple[int, ...]
    update_existing: bool
    empty_erases: bool
    email_blacklist: bool
    sms_blacklist: bool


@dataclass
class Process:
    """One import in progress or done. `failures` maps a failure file to its rows."""

    id: int
    order: Order
    started_seconds: float
    created_at: datetime
    completed_at: datetime | None = None
    failures: dict[str, list[Row]] = field(default_factory=dict)

    def file(self, name: str) -> str:
        """Write one failure file: a CSV with semicolons, a column for each field that a failed row has."""
        rows = self.failures[name]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        written = io.StringIO()
        writer = csv.DictWriter(written, columns, restval="", delimiter=";", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return written.getvalue()


def read_order(account: Account, config: BrevoConfig, body: Mapping[str, Any], size_bytes: int) -> Order:
    """Read the body of POST /v3/contacts/import. `Refused` with 400 for what Brevo would not take."""
    given = [name for name in ("jsonBody", "fileBody", "fileUrl") if body.get(name) is not None]
    if len(given) != 1:
        raise Refused(error(400, "missing_parameter", "Pass one of fileUrl, fileBody, jsonBody"))  # invented
    if given[0] == "fileUrl":
        raise invalid("The simulator fetches nothing: pass fileBody or jsonBody instead of fileUrl")
    if size_bytes > MOST_BYTES:
        raise invalid("The body exceeds 10 MB")  # documented limit; invented wording
    rows = _json_rows(body["jsonBody"]) if given[0] == "jsonBody" else _file_rows(body["fileBody"])
    list_ids = read_ids(body, "listIds")
    if any(list_id not in account.lists for list_id in list_ids):
        raise Refused(unknown_list(config.unknown_list_is_404))
    wanted = body.get("newList")
    if wanted is None and not list_ids:
        raise Refused(error(400, "missing_parameter", "listIds or newList is mandatory"))  # status known, not wording
    flags = {
        name: bool(read_flag(body, name, default))
        for name, default in (
            ("updateExistingContacts", True),
            ("emptyContactsAttributes", False),
            ("emailBlacklist", False),
            ("smsBlacklist", False),
            ("disableNotification", False),
        )
    }
    if wanted is not None:
        if not isinstance(wanted, dict):
            raise invalid("newList should be an object")  # invented
        list_ids = (*list_ids, new_list(account, wanted.get("listName"), wanted.get("folderId")).id)
    return Order(
        rows=rows,
        from_file=given[0] == "fileBody",
        list_ids=list_ids,
        update_existing=flags["updateExistingContacts"],
        empty_erases=flags["emptyContactsAttributes"],
        email_blacklist=flags["emailBlacklist"],
        sms_blacklist=flags["smsBlacklist"],
    )


def _json_rows(sent: object) -> Sequence[Row]:
    if not isinstance(sent, list) or not all(isinstance(row, dict) for row in sent):
        raise invalid("jsonBody should be an array of objects")  # invented
    rows = []
    for row in sent:
        attributes = row.get("attributes") or {}
        if not isinstance(attributes, dict):
            raise invalid("attributes should be an object")  # invented
        rows.append({"email": row.get("email") or "", **{name.upper(): value for name, value in attributes.items()}})
    return rows


def _file_rows(sent: object) -> Sequence[Row]:
    if not isinstance(sent, str):
        raise invalid("fileBody should be a string")  # invented
    rows = csv.DictReader(io.StringIO(sent, newline=""), delimiter=";", restkey="", restval="")
    if not any(name.strip().upper() in ("EMAIL", "SMS", "EXT_ID") for name in rows.fieldnames or ()):
        raise invalid("fileBody needs a column EMAIL, SMS or EXT_ID")  # invented
    return [
        {
            "email" if name.strip().upper() == "EMAIL" else name.strip().upper(): value
            for name, value in row.items()
            if name
        }
        for row in rows
    ]


class Imports:
    """The processes of one account. They advance by the clock when somebody looks, not by themselves."""

    def __init__(self, account: Account, config: BrevoConfig) -> None:
        self._account = account
        self._config = config
        self.processes: dict[int, Process] = {}
        self._unfinished: list[Process] = []

    def start(self, order: Order, seconds: float) -> Process:
        """Queue an import; `seconds` is the clock's reading now."""
        process = Process(len(self.processes) + 1, order, seconds, self._account.now())
        self.processes[process.id] = process
        self._unfinished.append(process)
        return process

    def advance(self, seconds: float) -> None:
        """Carry out what is due by the clock's reading `seconds`, in the order it came."""
        while self._unfinished and self._elapsed(self._unfinished[0], seconds) >= self._config.import_seconds:
            process = self._unfinished.pop(0)
            if self._config.import_ends == "completed":
                self._carry_out(process)
            process.completed_at = max(
                self._account.now(), process.created_at + timedelta(seconds=self._config.import_seconds)
            )

    def shown(self, process: Process, seconds: float, files_url: str) -> dict[str, Any]:
        """Show a process as GET /v3/processes/{id} does; `info` only once it is completed."""
        shown: dict[str, Any] = {"id": process.id, "name": "IMPORTUSER", "status": self._status(process, seconds)}
        shown["created_at"] = shown_time(process.created_at)
        if process.completed_at is not None:
            shown["completed_at"] = shown_time(process.completed_at)
        if shown["status"] == "completed":
            shown["info"] = {
                "import": {
                    name: f"{files_url}/{process.id}/{name}.csv" if name in process.failures else None
                    for name in FAILURE_FILES
                }
            }
        return shown

    def _status(self, process: Process, seconds: float) -> str:
        if process.completed_at is not None:
            return self._config.import_ends
        # in_process is what accounts show; the enum of the OpenAPI document has "processing" in its place.
        return "queued" if self._elapsed(process, seconds) < self._config.import_seconds / 3 else "in_process"

    def _elapsed(self, process: Process, seconds: float) -> float:
        return seconds - process.started_seconds

    def _carry_out(self, process: Process) -> None:
        seen: set[str] = set()
        for row in process.order.rows:
            failure = self._carry_out_row(process.order, row, seen)
            if failure is not None:
                process.failures.setdefault(failure, []).append(row)

    def _carry_out_row(self, order: Order, row: Row, seen: set[str]) -> str | None:
        """Bring one row in. The name of the failure file it belongs to, or None."""
        attributes = self._attributes(order, row)
        email = None
        if row.get("email"):
            try:
                email = read_email(row["email"])
            except Refused:
                return "invalid_emails"
            if email in seen:
                return "duplicate_email_id"  # unverified: that the first row wins
            seen.add(email)
        change = Change(
            email=email,
            attributes=attributes,
            link=order.list_ids,
            email_blacklisted=True
            if order.email_blacklist
            else False
            if self._config.import_clears_blocklist
            else None,
            sms_blacklisted=True if order.sms_blacklist else None,
        )
        identifiers = change.identifiers()
        if not identifiers:
            return "invalid_emails"
        deciding = identifiers[:1] if email is not None else identifiers
        contact = next((owner for kind, value in deciding if (owner := self._account.owner(kind, value))), None)
        own_id = None if contact is None else contact.id
        for kind, value in identifiers:
            owner = self._account.owner(kind, value)
            if owner is not None and owner.id != own_id:
                return _DUPLICATE_OF[kind]
        if contact is None:
            create(self._account, change)
        elif order.update_existing:
            self._account.save(changed(self._account, contact, change))
        else:  # the lists are what the import is for; unverified
            self._account.save(changed(self._account, contact, Change(link=order.list_ids)))
        return None

    def _attributes(self, order: Order, row: Row) -> dict[str, Any]:
        known = self._account.attributes
        read: dict[str, Any] = {}
        for name, value in row.items():
            if name == "email" or (value == "" and not order.empty_erases):
                continue
            if name == "EXT_ID":
                read[name] = str(value)
            elif value == "" and name in known and name not in PHONES:
                read[name] = ""
            else:
                try:
                    read.update(read_attributes({name: value}, known, from_file=order.from_file))
                except Refused:
                    continue
        return read
