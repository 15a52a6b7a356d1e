"""What Mautic says of our set-up before the first contact is sent: login, version, rights, segment, fields, clock."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import httpx

from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.destinations.http import printable
from crm_sync_pipeline.destinations.mautic.answers import by_index, contacts_in, is_mautics
from crm_sync_pipeline.destinations.mautic.fields import Field, field_lines, known_in, missing_in, to_create
from crm_sync_pipeline.domain.check import Line, State, ahead_of, clock_line
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed

ASK_SECONDS = 30
LONGEST_PAUSE_SECONDS = 5
LONGEST_NAME = 60
A_PAGE = 100

OLDEST_VERSION = 5
"""The first major version that was read; older ones may do otherwise."""

_DATE_IS_CUT_TO = timedelta(seconds=1)


class _Unanswered(Exception):  # noqa: N818 # an answer more than an error: it ends the questions that need another one
    def __init__(self, line: Line) -> None:
        super().__init__(line.says)
        self.line = line


class MauticCheck:
    """The questions of one check."""

    def __init__(
        self,
        mautic: HttpDestination,
        segment_id: int | None,
        aliases: Mapping[str, str],
        client: httpx.AsyncClient,
        clock: Callable[[], datetime],
    ) -> None:
        self._mautic = mautic
        self._segment_id = segment_id
        self._aliases = aliases
        self._client = client
        self._clock = clock

    async def lines(self, create_fields: bool) -> list[Line]:
        """Every answer; those that follow a refused login or a lost connection are left out."""
        found: list[Line] = []
        try:
            found += await self._login()
            found.append(await self._rights())
            if self._segment_id is not None:
                found.append(await self._segment(self._segment_id))
            found += await self._fields(create_fields)
        except _Unanswered as end:
            found.append(end.line)
        return found

    async def _login(self) -> list[Line]:
        before = self._clock()
        answer = await self._ask("GET", "/api/contacts?limit=1&minimal=1")
        after = self._clock()
        if answer.status == 403:
            raise _Unanswered(self._fault("Rights", answer))
        version = printable(answer.headers.get("mautic-version", ""))[:LONGEST_NAME]
        if answer.status != 200 or contacts_in(answer.data) is None or not version:
            raise _Unanswered(self._not_mautic(answer))
        return [
            Line("Login", State.GREEN, "Mautic lets us in"),
            _version_line(version),
            *_clock_lines(answer, before, after),
        ]

    async def _rights(self) -> Line:
        """By a batch without rows: the right to create contacts is looked at first, and then nothing is done."""
        answer = await self._ask("POST", "/api/contacts/batch/new", b"[]")
        if answer.status == 403:
            return self._fault("Rights", answer)
        if answer.status != 201:
            return Line("Rights", State.YELLOW, f"not known: {self._mautic.error_text(answer)}")
        return Line("Rights", State.GREEN, "contacts may be created")

    async def _segment(self, segment_id: int) -> Line:
        answer = await self._ask("GET", f"/api/segments/{segment_id}")
        said = self._mautic.error_text(answer)
        if answer.status == 404:
            to_do = "Set MAUTIC_SEGMENT_ID to the number that Mautic shows beside the segment, or take it away."
            return Line("Segment", State.RED, f"Mautic has no segment {segment_id} ({said})", to_do)
        if answer.status == 403:
            to_do = "Give the role of our user the right to view segments."
            return Line("Segment", State.RED, f"contacts can't join number {segment_id} ({said})", to_do)
        data = answer.data if answer.status == 200 else None
        found = data.get("list") if isinstance(data, dict) else None
        if not isinstance(found, dict):
            return Line("Segment", State.YELLOW, f"number {segment_id} is not known: {said}")
        name = redacted(printable(str(found.get("name"))))[:LONGEST_NAME]
        if found.get("isPublished") is False:
            return Line(
                "Segment", State.RED, f"number {segment_id}, '{name}', is not published, so that nobody can join it"
            )
        return Line("Segment", State.GREEN, f"contacts join number {segment_id}, '{name}'")

    async def _fields(self, create: bool) -> list[Line]:
        known = await self._known()
        if known is None:
            to_do = "Give the role of our user the right to custom fields, so that missing ones are found."
            return [
                Line("Fields", State.YELLOW, "may not be asked; Mautic ignores what is sent for missing ones", to_do)
            ]
        lines: list[Line] = []
        if create and missing_in(known, self._aliases):
            lines = await self._create(missing_in(known, self._aliases))
            known = await self._known() or known
        return [*lines, *field_lines(known, self._aliases)]

    async def _known(self) -> dict[str, Field] | None:
        """All fields of contacts, page by page; None where they may not be asked for."""
        known: dict[str, Field] = {}
        while True:
            start = len(known)
            answer = await self._ask("GET", f"/api/fields/contact?start={start}&limit={A_PAGE}")
            if answer.status == 403:
                return None
            data = answer.data if answer.status == 200 else None
            rows = by_index(data.get("fields")) if isinstance(data, dict) else None
            if rows is None:
                raise _Unanswered(self._not_mautic(answer))
            known |= known_in(rows.values())
            if len(rows) < A_PAGE or len(known) == start:
                return known

    async def _create(self, missing: Mapping[str, str]) -> list[Line]:
        made: list[str] = []
        lines: list[Line] = []
        for column, alias in missing.items():
            body = json.dumps(to_create(alias, column)).encode()
            answer = await self._ask("POST", "/api/fields/contact/new", body)
            if answer.status in (201, 202):
                made.append(alias)
            else:
                to_do = "Give the role of our user the right to create custom fields, or make it in Mautic."
                lines.append(Line(f"Field {alias}", State.RED, f"not made: {self._mautic.error_text(answer)}", to_do))
        return [Line("Fields made", State.GREEN, ", ".join(made)), *lines] if made else lines

    async def _ask(self, method: str, path: str, body: bytes | None = None, tries: int = 2) -> Answer:
        """One question, again after a pause where Mautic says "too many". `_Unanswered` where nothing else will do."""
        while True:
            tries -= 1
            answer = await self._mautic.exchange(self._client, method, path, body, within_seconds=ASK_SECONDS)
            if isinstance(answer, Failed):
                to_do = f"Look at the network, at proxies and at MAUTIC_BASE_URL; it is {self._mautic.base_url} now."
                raise _Unanswered(Line("Mautic", State.RED, answer.message, to_do))
            if answer.status != 429 or not tries:
                break
            await asyncio.sleep(min(self._mautic.pause_after(answer), LONGEST_PAUSE_SECONDS))
        outcome = self._mautic.read(answer)
        refused = isinstance(outcome, DestinationDown) and not outcome.answer  # for everybody, whatever is asked
        if refused or (answer.status in (404, 405) and not is_mautics(answer.data)):
            raise _Unanswered(self._fault("Login", answer))
        if answer.status == 429 or answer.status >= 500:
            raise _Unanswered(Line("Mautic", State.RED, self._mautic.error_text(answer), "Run the check again later."))
        return answer

    def _fault(self, name: str, answer: Answer) -> Line:
        outcome, said = self._mautic.read(answer), self._mautic.error_text(answer)
        return Line(name, State.RED, said, outcome.message.removeprefix(said).lstrip(". "))

    def _not_mautic(self, answer: Answer) -> Line:
        says = f"what answers at {self._mautic.base_url} does not speak as Mautic does (HTTP {answer.status})"
        return Line("Mautic", State.RED, says, "Check MAUTIC_BASE_URL, and proxies on the way.")


def _version_line(version: str) -> Line:
    major = version.partition(".")[0]
    if major.isascii() and major.isdecimal() and int(major) >= OLDEST_VERSION:
        return Line("Version", State.GREEN, version)
    says = f"{version}; what is sent was made for version {OLDEST_VERSION} and later"
    return Line("Version", State.YELLOW, says, "Deliver a few contacts first, and look at them in Mautic.")


def _clock_lines(answer: Answer, before: datetime, after: datetime) -> Sequence[Line]:
    """One line by the header Date; none where it is missing or can't be read."""
    try:
        theirs = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return ()
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=timezone.utc)
    return (clock_line("Mautic", ahead_of(theirs, before, after, _DATE_IS_CUT_TO)),)
