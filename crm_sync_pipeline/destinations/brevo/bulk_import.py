"""Brevo's bulk import: POST /v3/contacts/import, whose process says later what became of the rows.

https://developers.brevo.com/reference/import-contacts and get-process (read in November 2026)
"""

import asyncio
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import httpx

from crm_sync_pipeline.destinations.brevo.answers import SMS_IN_USE
from crm_sync_pipeline.destinations.brevo.lists import said_of_list
from crm_sync_pipeline.destinations.bulk import Broken, BulkImport, Finished, Stage
from crm_sync_pipeline.destinations.contract import Answer, payload_hash
from crm_sync_pipeline.destinations.destination import MESSAGE_LIMIT, HttpDestination
from crm_sync_pipeline.destinations.http import printable
from crm_sync_pipeline.domain.address import normal_form
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.domain.outcome import Deferred, Failed, Outcome, Rejected
from crm_sync_pipeline.domain.sentences import sentences

MOST_FILE_BYTES = 32 * 1024 * 1024
"""More than any import's refused rows can come to: a body holds 8 MB."""

FILE_SECONDS = 60
FILE_ATTEMPTS = 3
LONGEST_LISTING = 50

_IMPORT = "IMPORTUSER"
_OVER_FOR_NOTHING = frozenset({"failed", "cancelled", "canceled", "aborted"})

_REFUSALS = {
    "invalid_emails": ("invalid_email", "its e-mail address is not valid"),
    "duplicate_contact_id": ("duplicate", "another contact has its id"),
    "duplicate_ext_id": ("ext_id_in_use", "another contact has its ext_id"),
    "duplicate_email_id": ("email_in_use", "another contact has its e-mail address"),
    "duplicate_phone_id": (SMS_IN_USE, "another contact has its phone number"),
    "duplicate_whatsapp_id": ("whatsapp_in_use", "another contact has its WhatsApp number"),
    "duplicate_landline_number_id": ("landline_in_use", "another contact has its landline number"),
}
FAILURE_FILES = tuple(_REFUSALS)
"""The files of refused rows that Brevo documents."""

_STABLE_NAME = re.compile("[a-z][a-z0-9_]{0,63}")
_ADDRESS_COLUMNS = frozenset({"email", "e-mail", "email address", "email_address", "email_id"})


class UnreadableError(Exception):
    """What Brevo shows of refused rows is not what it documents."""


class BrevoImport(BulkImport):
    """Imports into the account and list of one Brevo.

    No consent field is sent, as in single calls. What an import does to the blocklisting of a contact that opted out is
    not documented, which is why imports are off unless somebody asks for them.
    """

    most_bytes: ClassVar[int] = 8_000_000

    def __init__(self, brevo: HttpDestination, list_id: int | None, *, omits_sms_in_use: bool = False) -> None:
        self._brevo = brevo
        self._list_id = list_id
        self._omits_sms_in_use = omits_sms_in_use

    def row(self, payload: Mapping[str, Any]) -> bytes:
        """A contact's row of the body: the address and attributes that a single call would send."""
        contact = {"email": payload["email"], "attributes": payload["attributes"]}
        return json.dumps(contact, separators=(",", ":")).encode()

    def hash_of(self, payload: Mapping[str, Any], single: str) -> str:
        """What the journal keeps: another hash for a row with booleans, which an import may leave as they were.

        Source: github.com/sendinblue/APIv3-python-library/issues/95.
        """
        has_boolean = any(isinstance(value, bool) for value in payload["attributes"].values())
        return payload_hash(self.row(payload)) if has_boolean else single

    def body(self, rows: Sequence[bytes]) -> bytes:
        """The body of an import with these rows. Brevo takes 10 MB and recommends 8; a list is mandatory."""
        options = {
            "listIds": [self._list_id],
            "updateExistingContacts": True,
            "emptyContactsAttributes": False,
            "disableNotification": True,
        }
        head = json.dumps(options).encode()
        return b"".join((head[:-1], b', "jsonBody": [', b",\n".join(rows), b"]}"))

    async def newest(self, client: httpx.AsyncClient) -> int | Outcome:
        """The number of Brevo's newest process; 0 where there is none. An Outcome where it could not be asked."""
        listed = await self._listed(client, 1)
        return max(number for number, _ in [(0, ""), *listed]) if isinstance(listed, list) else listed

    async def find(self, client: httpx.AsyncClient, after: int) -> Sequence[int] | Outcome:
        """The numbers of the imports after process `after`. A process has no mark of ours: kind and number are all."""
        listed = await self._listed(client, LONGEST_LISTING)
        if not isinstance(listed, list):
            return listed
        return sorted(number for number, name in listed if name == _IMPORT and number > after)

    async def _listed(self, client: httpx.AsyncClient, limit: int) -> list[tuple[int, str]] | Outcome:
        answer = await self._brevo.exchange(client, "GET", f"/processes?limit={limit}&sort=desc")
        data = self._data_of(answer, 200)
        if not isinstance(data, dict):
            return data
        processes = data.get("processes", [])
        if isinstance(processes, list) and all(
            isinstance(each, dict) and _is_number(each.get("id")) and isinstance(each.get("name"), str)
            for each in processes
        ):
            return [(each["id"], each["name"]) for each in processes]
        return self._unexpected(answer)

    async def post(self, client: httpx.AsyncClient, body: bytes) -> int | Outcome:
        """Start an import; returns its process. 202 with a number is success, and nothing else."""
        answer = await self._brevo.exchange(client, "POST", "/contacts/import", body)
        data = self._data_of(answer, 202)
        if not isinstance(data, dict):
            return data
        number = data.get("processId")
        return number if isinstance(number, int) and _is_number(number) else self._unexpected(answer)

    async def look(self, client: httpx.AsyncClient, process_id: int) -> Stage | Finished | Broken | Outcome:
        """How far a process has got. A status that Brevo does not document counts as in progress."""
        answer = await self._brevo.exchange(client, "GET", f"/processes/{process_id}")
        if isinstance(answer, Answer) and answer.status == 404:
            return Stage.UNKNOWN
        data = self._data_of(answer, 200)
        if not isinstance(data, dict):
            return data
        status = data.get("status")
        if data.get("id") != process_id or not isinstance(status, str):
            return self._unexpected(answer)
        if status in _OVER_FOR_NOTHING:
            return Broken(self._failed(process_id, status, data))
        if status != "completed":
            return Stage.UNDER_WAY
        try:
            return Finished(_refusals_in(data))
        except UnreadableError as error:
            return Broken(
                Failed("unexpected_answer", f"The result of Brevo's import {process_id} could not be parsed: {error}")
            )

    def _failed(self, process_id: int, status: str, process: Mapping[str, Any]) -> Failed:
        """Why a process has imported nobody. That it names a list that is gone is unverified.

        The contacts are tried one by one next, and the first of those answers stops everything.
        """
        if said := redacted(printable(said_of_list(process)))[:MESSAGE_LIMIT]:
            why = f"Brevo's import {process_id} ended with '{status}': {said}"
            return Failed("unknown_list", sentences(why, f"Check BREVO_LIST_ID; it is {self._list_id} now"))
        return Failed("import_failed", f"Brevo's import {process_id} ended as '{status}'")

    def _data_of(self, answer: Answer | Failed, wanted: int) -> dict[str, Any] | Outcome:
        if isinstance(answer, Failed):
            return answer
        data = answer.data
        if answer.status == wanted and isinstance(data, dict):
            return data
        return self._unexpected(answer) if 200 <= answer.status < 300 else self._brevo.read(answer)

    def _unexpected(self, answer: Answer | Failed) -> Failed:
        if isinstance(answer, Failed):
            return answer
        return Failed(
            "unexpected_answer", self._brevo.error_text(answer, "unexpected answer; it is not taken for success")
        )

    async def refused(self, finished: Finished) -> Mapping[str, Rejected | Deferred] | Failed:
        """Why each refused address was refused. The files are on another host, which gets no key.

        A single call can leave a number out that another contact has, and says so; an import can't.
        """
        found: dict[str, Rejected | Deferred] = {}
        try:
            for url, refusal in finished.refusals.items():
                text = await _text_of(url)
                goes_alone = self._omits_sms_in_use and refusal.reason == SMS_IN_USE
                why = Deferred(refusal.reason) if goes_alone else refusal
                found.update(dict.fromkeys(_addresses_in(text), why))
        except UnreadableError as error:
            return Failed("refusals_unreadable", f"Brevo's list of refused contacts can't be read: {error}")
        return found


def _refusals_in(process: Mapping[str, Any]) -> Mapping[str, Rejected]:
    """By the address of its file, why rows were refused. UnreadableError where it is not said at all."""
    info = process.get("info")
    files = info.get("import") if isinstance(info, dict) else None
    if not isinstance(files, dict):
        raise UnreadableError("it names no files")
    found = {}
    for name, url in files.items():
        if url is None or url == "":
            continue
        if not isinstance(url, str) or not re.match("https?://[^/]", url):
            raise UnreadableError(f"'{printable(name)[:64]}' is not the address of a file")
        unknown = (name if _STABLE_NAME.fullmatch(name) else "import_refused", printable(name)[:64])
        reason, words = _REFUSALS.get(name, unknown)
        found[url] = Rejected(reason, f"Brevo's import refused the contact: {words}")
    return found


async def _text_of(url: str) -> str:
    why = ""
    for _ in range(FILE_ATTEMPTS):
        try:
            return await asyncio.wait_for(_fetched(url), FILE_SECONDS)
        except UnreadableError:
            raise
        except asyncio.TimeoutError:
            why = f"no answer within {FILE_SECONDS} seconds"
        except Exception as error:  # httpx has errors outside HTTPError, and so have its transports
            why = type(error.__cause__ or error).__name__
    raise UnreadableError(why)


async def _fetched(url: str) -> str:
    from crm_sync_pipeline.destinations.client import client_for  # see HttpDestination.client

    async with client_for(url, {}, connections=1) as client, client.stream("GET", url) as response:
        if response.status_code != 200:
            problem = UnreadableError if response.status_code < 500 else OSError
            raise problem(f"status {response.status_code}")
        read = bytearray()
        async for piece in response.aiter_bytes():
            read += piece
            if len(read) > MOST_FILE_BYTES:
                raise UnreadableError("the file is longer than the import was")
    return read.decode("utf-8-sig", "replace")


def _addresses_in(text: str) -> Iterator[str]:
    """The addresses in a CSV with semicolons. UnreadableError where there is no column of them, or a row has none."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=";")
    try:
        head = [name.strip().lower() for name in next(rows, [])]
        column = next((index for index, name in enumerate(head) if name in _ADDRESS_COLUMNS), None)
        if column is None:
            raise UnreadableError("the file has no column of addresses")
        for row in rows:
            if not any(row):
                continue
            address = normal_form(row[column]) if len(row) > column else ""
            if not address:
                raise UnreadableError("a row of the file has no address")
            yield address
    except csv.Error:
        raise UnreadableError("the file is not a CSV") from None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63
