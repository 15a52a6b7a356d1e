"""Which contacts go together in one request, and which wait for others. Pure: it sends nothing."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby

from crm_sync_pipeline.destinations.contract import Limits, Record
from crm_sync_pipeline.domain.contact import Contact

Line = Sequence[Contact]
"""Contacts with one address, in the order in which they are sent: never two of them at a time."""


def lines_of(contacts: Iterable[Contact]) -> list[Line]:
    """The contacts in one line per address, always in the same order."""
    ordered = sorted(contacts, key=lambda contact: (contact.address, contact.id))
    return [list(line) for _, line in groupby(ordered, key=_line_of)]


def _line_of(contact: Contact) -> str:
    """What contacts of one line share. Those without an address have nothing in common."""
    return contact.address or str(contact.id)


class Waiting:
    """The lines that wait to be sent. The first contact of a line is taken; the others follow when it is finished."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self._ready: deque[Line] = deque(lines)
        self._rest: dict[str, Line] = {}

    def add(self, lines: Iterable[Line]) -> None:
        """Let these wait as well, behind all others."""
        self._ready.extend(lines)

    def take(self, limit: int) -> list[Contact]:
        """The first contacts of at most `limit` lines, which are nobody else's from now on; none when none is ready."""
        taken: list[Contact] = []
        while self._ready and len(taken) < limit:
            line = self._ready.popleft()
            taken.append(line[0])
            self._rest[_line_of(line[0])] = line[1:]
        return taken

    def finish(self, contact: Contact) -> None:
        """The contact has its result, so that the next one with its address may go."""
        if rest := self._rest.pop(_line_of(contact), ()):
            self._ready.appendleft(rest)


def requests_of(records: Sequence[Record], limits: Limits) -> list[list[Record]]:
    """The records in requests: each of one route, and within the limits. One that is too large goes alone."""
    found: list[list[Record]] = []
    sizes: list[int] = []
    for record in records:
        place = next(
            (
                index
                for index, request in enumerate(found)
                if request[0].route == record.route
                and not (record.alone or request[0].alone)
                and len(request) < limits.contacts_per_request
                and (limits.body_bytes is None or sizes[index] + len(record.body) <= limits.body_bytes)
            ),
            None,
        )
        if place is None:
            found.append([record])
            sizes.append(len(record.body))
        else:
            found[place].append(record)
            sizes[place] += len(record.body)
    return found


def halves_of(records: Sequence[Record]) -> list[list[Record]]:
    """A request that was refused as a whole in two, to find out whose fault it is. ValueError for a single record."""
    if len(records) < 2:
        raise ValueError("One record can't be halved: it is to blame.")
    middle = len(records) // 2
    return [list(records[:middle]), list(records[middle:])]
