"""Contacts that the destination took as they are: they count as delivered without being sent, if it still has them."""

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from crm_sync_pipeline.delivery.requests import Line
from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.destinations.destination import LOOKED_UP_AT_ONCE, HttpDestination
from crm_sync_pipeline.domain.delivered import Delivered


def set_apart(
    destination: HttpDestination, lines: Sequence[Line], before: Mapping[UUID, Delivered]
) -> tuple[list[Sequence[Record]], list[Line]]:
    """Those that need not be sent, in groups that can be looked up at once, and the other lines in their order.

    One whose id at the destination is not known is sent: there is no asking for many addresses at once. So is one that
    shares its address with another contact of the batch, because the two are sent in order.
    """
    found: list[Record] = []
    others: list[Line] = []
    for line in lines:
        prepared = _unchanged(destination, line, before)
        if prepared:
            found.append(prepared)
        else:
            others.append(line)
    return list(_groups(found)), others


def _unchanged(destination: HttpDestination, line: Line, before: Mapping[UUID, Delivered]) -> Record | None:
    known = before.get(line[0].id)
    if len(line) > 1 or known is None or known.payload_hash is None or known.remote_id is None:
        return None
    prepared = destination.prepare(line[0], known)
    return prepared if isinstance(prepared, Record) and prepared.is_unchanged else None


def _groups(found: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for first in range(0, len(found), LOOKED_UP_AT_ONCE):
        yield found[first : first + LOOKED_UP_AT_ONCE]
