"""Writing to many contacts without a long transaction: in chunks of ids, each in a transaction of its own."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.database.transactions import in_halves, in_transaction_without
from crm_sync_pipeline.contact_queue.people import chosen_sql

FIRST_SIZE = 2000
MAX_SIZE = 5000
LOCKED_FOR_SECONDS = 0.4
"""How long an application that writes to one of the contacts may have to wait: after a longer chunk, chunks shrink."""

RowProgress = Callable[[int], None]
"""Called with the number of rows that were gone through since the call before."""


@dataclass(frozen=True, slots=True)
class Target:
    """One CRM's columns, and which contacts are meant for it."""

    columns: DestinationColumns
    which: sa.ColumnElement[bool]


Write = Callable[[sa.Connection, DestinationColumns, Sequence[UUID]], int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A contact that PostgreSQL refused to change, and its words for it: a constraint of the table, or a trigger."""

    contact_id: UUID
    why: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one transaction did. `changes` counts contacts times CRMs; `refused` were left as they are."""

    ids: Sequence[UUID]
    changes: int
    refused: Sequence[Refusal] = ()


class ChunkedUpdate:
    """Goes through the contacts table, or through ids, and writes to whom a condition holds for.

    Whatever the table's size, no transaction is long, and nothing is kept in memory. The contacts are locked in id
    order, so two of these cannot deadlock. Without `write` nothing is locked. A contact that PostgreSQL refuses to
    change is left as it is, and the others go on. `afterwards` runs in each transaction, with the number of contacts
    that it changed.
    """

    def __init__(
        self,
        engine: sa.Engine,
        targets: Sequence[Target],
        write: Write | None,
        afterwards: Callable[[sa.Connection, int], object] | None = None,
    ) -> None:
        self._engine = engine
        self._targets = targets
        self._write = write
        self._afterwards = afterwards
        self._labels = [f"meant_{number}" for number in range(len(targets))]

    def over_table(self, progress: RowProgress | None = None) -> Iterator[Chunk]:
        """The whole table, in the order of the ids."""
        columns = self._targets[0].columns
        lock = partial(chosen_sql.chunk, columns, self._meant(), locks=self._write is not None)
        inner, last = lock(is_last=False), lock(is_last=True)
        first: UUID | None = UUID(int=0)
        size = FIRST_SIZE
        while first is not None:

            def work(
                connection: sa.Connection, is_careful: bool, first: UUID = first, size: int = size
            ) -> tuple[UUID | None, Chunk]:
                span: dict[str, Any] = {"first": first, "size": size}
                behind = connection.execute(chosen_sql.end_of_chunk(columns), span).scalar_one_or_none()
                if behind is None:
                    return behind, self._chunk(connection, last, span, is_careful)
                return behind, self._chunk(connection, inner, span | {"behind": behind}, is_careful)

            began = time.monotonic()
            first, chunk = in_transaction_without(self._engine, work)
            if progress:
                progress(size)
            size = _next_size(size, time.monotonic() - began)
            yield chunk

    def over_ids(self, ids: Sequence[UUID], progress: RowProgress | None = None) -> Iterator[Chunk]:
        """Those of these ids that there are."""
        query = chosen_sql.named(self._targets[0].columns, self._meant(), locks=self._write is not None)
        start, size = 0, FIRST_SIZE
        while start < len(ids):
            some = {"ids": list(ids[start : start + size])}

            def work(connection: sa.Connection, is_careful: bool, some: dict[str, Any] = some) -> Chunk:
                return self._chunk(connection, query, some, is_careful)

            began = time.monotonic()
            chunk = in_transaction_without(self._engine, work)
            if progress:
                progress(len(some["ids"]))
            start += size
            size = _next_size(size, time.monotonic() - began)
            yield chunk

    def _meant(self) -> dict[str, sa.ColumnElement[bool]]:
        return {label: target.which for label, target in zip(self._labels, self._targets, strict=True)}

    def _chunk(
        self, connection: sa.Connection, query: sa.Executable, parameters: dict[str, Any], is_careful: bool
    ) -> Chunk:
        found = connection.execute(query, parameters)
        if len(self._targets) == 1:
            chunk = self._chunk_for_one(connection, found.scalars().all(), is_careful)
        else:
            chunk = self._chunk_for_several(connection, found.all(), is_careful)
        if self._afterwards:
            self._afterwards(connection, len(chunk.ids))
        return chunk

    def _chunk_for_one(self, connection: sa.Connection, ids: Sequence[UUID], is_careful: bool) -> Chunk:
        return self._written(connection, self._targets[0], ids, is_careful)

    def _chunk_for_several(self, connection: sa.Connection, rows: Sequence[Any], is_careful: bool) -> Chunk:
        changed: set[UUID] = set()
        changes = 0
        refused: dict[UUID, Refusal] = {}
        for label, target in zip(self._labels, self._targets, strict=True):
            ids = [row.id for row in rows if getattr(row, label)]
            written = self._written(connection, target, ids, is_careful)
            changes += written.changes
            changed.update(written.ids)
            refused |= {each.contact_id: each for each in written.refused}
        return Chunk([row.id for row in rows if row.id in changed], changes, list(refused.values()))

    def _written(self, connection: sa.Connection, target: Target, ids: Sequence[UUID], is_careful: bool) -> Chunk:
        write = self._write
        if write is None or not ids:
            return Chunk(ids, len(ids))

        def together(some: Sequence[UUID]) -> Chunk:
            changes = write(connection, target.columns, some)
            return Chunk(some if changes else (), changes)

        if not is_careful:
            return together(ids)
        chunks = in_halves(connection, ids, together, lambda one, why: Chunk((), 0, (Refusal(one, why),)))
        return Chunk(
            [each for chunk in chunks for each in chunk.ids],
            sum(chunk.changes for chunk in chunks),
            [each for chunk in chunks for each in chunk.refused],
        )


def _next_size(size: int, took_seconds: float) -> int:
    if took_seconds > LOCKED_FOR_SECONDS:
        return max(1, size // 2)
    return min(MAX_SIZE, size * 2) if took_seconds < LOCKED_FOR_SECONDS / 4 else size
