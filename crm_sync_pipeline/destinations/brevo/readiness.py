"""What Brevo says of our set-up before the first contact is sent: key, IP address, list, attributes, clock.

https://developers.brevo.com/reference/get-account, get-list, get-attributes, create-attribute
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import httpx

from crm_sync_pipeline.destinations.brevo.attributes import SENT_TYPES, Attribute, attribute_lines, known_in, missing_in
from crm_sync_pipeline.destinations.brevo.lists import refuses_list
from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.destinations.http import printable
from crm_sync_pipeline.destinations.phone import international_number, why_left_out
from crm_sync_pipeline.destinations.phone_text import LeftOut
from crm_sync_pipeline.destinations.statuses import OUR_SETUP
from crm_sync_pipeline.domain.check import Line, State, ahead_of, clock_line
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.domain.outcome import Failed

ASK_SECONDS = 10
LONGEST_PAUSE_SECONDS = 5
LONGEST_NAME = 60

_DATE_IS_CUT_TO = timedelta(seconds=1)
_BY_REASON = {"ip_not_allowed": "IP address", "no_api_key": "Key", "wrong_api_key": "Key"}


class _Unanswered(Exception):  # noqa: N818 # an answer more than an error: it ends the questions that need another one
    def __init__(self, line: Line) -> None:
        super().__init__(line.says)
        self.line = line


class BrevoCheck:
    """The questions of one check. `/account` allows 100 requests an hour, so it is asked once."""

    def __init__(
        self,
        brevo: HttpDestination,
        list_id: int | None,
        client: httpx.AsyncClient,
        clock: Callable[[], datetime],
    ) -> None:
        self._brevo = brevo
        self._list_id = list_id
        self._client = client
        self._clock = clock

    async def lines(self, create_fields: bool) -> list[Line]:
        """Every answer; those that follow a refused key or a lost connection are left out."""
        found: list[Line] = []
        try:
            found += await self._account()
            if self._list_id is not None:
                found.append(await self._list(self._list_id))
            found += await self._attributes(create_fields)
        except _Unanswered as end:
            found.append(end.line)
        return found

    async def _account(self) -> list[Line]:
        before = self._clock()
        answer = await self._ask("GET", "/account", tries=1)
        after = self._clock()
        clock = _clock_lines(answer, before, after)
        if answer.status == 429:
            says = "not asked: all programs of the account together have used up what Brevo allows in an hour"
            return [Line("Key", State.YELLOW, says, "The attributes are asked with the same key."), *clock]
        data = self._data(answer)
        if not isinstance(data.get("plan"), list):
            raise _Unanswered(self._not_brevo(answer))
        return [
            Line("Key", State.GREEN, f"Brevo takes it, for the account {_shown(data.get('companyName'))}"),
            Line("IP address", State.GREEN, "Brevo lets this machine in"),
            *clock,
        ]

    async def _list(self, list_id: int) -> Line:
        answer = await self._ask("GET", f"/contacts/lists/{list_id}")
        if answer.status == 404 or (answer.status == 400 and refuses_list(answer.data)):
            to_do = "Set BREVO_LIST_ID to the number that Brevo shows beside the list, or take it away."
            return Line("List", State.RED, f"Brevo has no list {list_id} ({self._brevo.error_text(answer)})", to_do)
        return Line("List", State.GREEN, f"contacts join number {list_id}, {_shown(self._data(answer).get('name'))}")

    async def _attributes(self, create: bool) -> list[Line]:
        answer = await self._ask("GET", "/contacts/attributes")
        known = known_in(self._data(answer))
        if known is None:
            raise _Unanswered(self._not_brevo(answer))
        lines: list[Line] = []
        if create and (missing := missing_in(known)):
            made, lines = await self._create(missing)
            known |= {name: Attribute("normal", SENT_TYPES[name]) for name in made}
        return [*lines, *attribute_lines(known)]

    async def _create(self, names: list[str]) -> tuple[list[str], list[Line]]:
        made: list[str] = []
        lines: list[Line] = []
        for name in names:
            body = json.dumps({"type": SENT_TYPES[name]}).encode()
            try:
                answer = await self._ask("POST", f"/contacts/attributes/normal/{name}", body)
            except _Unanswered as end:  # those made so far must be told
                lines.append(end.line)
                break
            if answer.status == 201:
                made.append(name)
            else:
                lines.append(Line(f"Attribute {name}", State.RED, f"not made: {self._brevo.error_text(answer)}"))
        if made:
            says = ", ".join(f"{name} ({SENT_TYPES[name]})" for name in made)
            lines.insert(0, Line("Attributes made", State.GREEN, says))
        return made, lines

    async def _ask(self, method: str, path: str, body: bytes | None = None, tries: int = 2) -> Answer:
        """One question, again after a pause where Brevo says "too many". `_Unanswered` where nothing else will do."""
        while True:
            tries -= 1
            answer = await self._brevo.exchange(self._client, method, path, body, within_seconds=ASK_SECONDS)
            if isinstance(answer, Failed):
                to_do = f"Look at the network, at proxies and at BREVO_API_BASE_URL; it is {self._brevo.base_url} now."
                raise _Unanswered(Line("Brevo", State.RED, answer.message, to_do))
            if answer.status != 429 or not tries:
                break
            await asyncio.sleep(min(self._brevo.pause_after(answer), LONGEST_PAUSE_SECONDS))
        if answer.status in OUR_SETUP and not (answer.status == 404 and "/lists/" in path):
            raise _Unanswered(self._setup_fault(answer))
        return answer

    def _setup_fault(self, answer: Answer) -> Line:
        fault, said = self._brevo.read_setup_fault(answer), self._brevo.error_text(answer)
        to_do = fault.message.removeprefix(said).lstrip(". ") or "Allow this machine's address there."
        return Line(_BY_REASON.get(fault.reason, "Brevo"), State.RED, said, to_do)

    def _data(self, answer: Answer) -> Mapping[str, Any]:
        """The object that Brevo answers with. `_Unanswered` where it is none."""
        if answer.status == 429:
            to_do = "Run the check again in a minute."
            raise _Unanswered(Line("Brevo", State.RED, "too many requests at the moment; not all was asked", to_do))
        if not 200 <= answer.status < 300:
            to_do = "Run the check again; if it lasts, look at Brevo's status page."
            raise _Unanswered(Line("Brevo", State.RED, self._brevo.error_text(answer), to_do))
        data = answer.data
        if not isinstance(data, dict):
            raise _Unanswered(self._not_brevo(answer))
        return data

    def _not_brevo(self, answer: Answer) -> Line:
        says = f"what answers at {self._brevo.base_url} does not speak as Brevo does (HTTP {answer.status})"
        return Line("Brevo", State.RED, says, "Check BREVO_API_BASE_URL, and proxies on the way.")


def why_number_left_out(text: str | None, region: str | None) -> str:
    """What is wrong with the number, and the setting that would help; "" where nothing is wrong."""
    why = why_left_out(text, region)
    return f"{why} (see BREVO_PHONE_REGION)" if why == LeftOut.NO_COUNTRY_CODE.value else why


def numbers_left_out(contacts: Sequence[Contact], region: str | None) -> list[Line]:
    """A yellow line where phone numbers of these contacts are left out: how many, why, and what to do."""
    reasons: Counter[str] = Counter()
    example = None
    for contact in contacts:
        if why := why_number_left_out(contact.phone_number, region):
            reasons[why] += 1
            example = example or contact.id
    if not reasons:
        return []
    many = f"{reasons.total():,} of the {len(contacts):,} contacts due or delivered lately"
    whys = "; ".join(f"{why} ({count:,})" for why, count in reasons.most_common())
    says = f"{many} have a phone number that is left out, because it {whys}"
    wants_region = any("BREVO_PHONE_REGION" in why for why in reasons)
    to_do = "Set BREVO_PHONE_REGION to the country whose numbers have no country code. " if wants_region else ""
    return [Line("Phone numbers", State.YELLOW, says, f"{to_do}`crm-sync explain {example}` shows one of them.")]


def numbers_shared(contacts: Sequence[Contact], region: str | None, *, omits: bool) -> list[Line]:
    """A yellow line where several of these contacts, with addresses of their own, have one phone number.

    At Brevo a number belongs to one contact. Which of them gets it depends on who is sent first.
    """
    holders: dict[str, dict[str, UUID]] = defaultdict(dict)
    for contact in contacts:
        if number := international_number(contact.phone_number, region):
            holders[number][contact.address] = contact.id
    later = [list(each.values())[1:] for each in holders.values() if len(each) > 1]
    if not later:
        return []
    says = (
        f"{sum(map(len, later)):,} of the {len(contacts):,} contacts due or delivered lately share their phone number "
        f"with another; Brevo lets one contact have it, so the others are "
        f"{'delivered without it' if omits else 'refused (sms_in_use)'}"
    )
    to_do = "" if omits else "BREVO_SMS_IN_USE=omit delivers them without it. "
    return [Line("Shared numbers", State.YELLOW, says, f"{to_do}`crm-sync explain {later[0][0]}` shows one of them.")]


def _clock_lines(answer: Answer, before: datetime, after: datetime) -> list[Line]:
    """One line by the header Date; none where it is missing or can't be read."""
    try:
        theirs = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return []
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=timezone.utc)
    return [clock_line("Brevo", ahead_of(theirs, before, after, _DATE_IS_CUT_TO))]


def _shown(name: object) -> str:
    words = redacted(printable(name))[:LONGEST_NAME] if isinstance(name, str) else ""
    return f"'{words}'" if words else "without a name"
