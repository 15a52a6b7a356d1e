"""Writing to many contacts without a long transaction: so many ids at a time, each lot in a transaction of its own."""

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

AT_ONCE = 2000
AT_MOST = 5000
LOCKED_FOR_SECONDS = 0.4
"""So long an application may wait that writes to one of the contacts: after a lot that took longer they are smaller."""

Progress = Callable[[int], None]
"""Told how many rows of the table were gone through since it was told last."""


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
class Lot:
    """What one transaction did. `changes` counts contacts times CRMs; `refused` were left as they are."""

    ids: Sequence[UUID]
    changes: int
    refused: Sequence[Refusal] = ()


class Stretches:
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

    def over_table(self, progress: Progress | None = None) -> Iterator[Lot]:
        """The whole table, in the order of the ids."""
        columns = self._targets[0].columns
        lock = partial(chosen_sql.stretch, columns, self._meant(), locks=self._write is not None)
        inner, last = lock(to_the_end=False), lock(to_the_end=True)
        first: UUID | None = UUID(int=0)
        size = AT_ONCE
        while first is not None:

            def work(
                connection: sa.Connection, is_careful: bool, first: UUID = first, size: int = size
            ) -> tuple[UUID | None, Lot]:
                stretch: dict[str, Any] = {"first": first, "size": size}
                behind = connection.execute(chosen_sql.end_of_stretch(columns), stretch).scalar_one_or_none()
                if behind is None:
                    return behind, self._lot(connection, last, stretch, is_careful)
                return behind, self._lot(connection, inner, stretch | {"behind": behind}, is_careful)

            began = time.monotonic()
            first, lot = in_transaction_without(self._engine, work)
            if progress:
                progress(size)
            size = _next_size(size, time.monotonic() - began)
            yield lot

    def over_ids(self, ids: Sequence[UUID], progress: Progress | None = None) -> Iterator[Lot]:
        """Those of these ids that there are."""
        query = chosen_sql.named(self._targets[0].columns, self._meant(), locks=self._write is not None)
        start, size = 0, AT_ONCE
        while start < len(ids):
            some = {"ids": list(ids[start : start + size])}

            def work(connection: sa.Connection, is_careful: bool, some: dict[str, Any] = some) -> Lot:
                return self._lot(connection, query, some, is_careful)

            began = time.monotonic()
            lot = in_transaction_without(self._engine, work)
            if progress:
                progress(len(some["ids"]))
            start += size
            size = _next_size(size, time.monotonic() - began)
            yield lot

    def _meant(self) -> dict[str, sa.ColumnElement[bool]]:
        return {label: target.which for label, target in zip(self._labels, self._targets, strict=True)}

    def _lot(
        self, connection: sa.Connection, query: sa.Executable, parameters: dict[str, Any], is_careful: bool
    ) -> Lot:
        found = connection.execute(query, parameters)
        if len(self._targets) == 1:
            lot = self._lot_of_one(connection, found.scalars().all(), is_careful)
        else:
            lot = self._lot_of_several(connection, found.all(), is_careful)
        if self._afterwards:
            self._afterwards(connection, len(lot.ids))
        return lot

    def _lot_of_one(self, connection: sa.Connection, ids: Sequence[UUID], is_careful: bool) -> Lot:
        return self._written(connection, self._targets[0], ids, is_careful)

    def _lot_of_several(self, connection: sa.Connection, rows: Sequence[Any], is_careful: bool) -> Lot:
        changed: set[UUID] = set()
        changes = 0
        refused: dict[UUID, Refusal] = {}
        for label, target in zip(self._labels, self._targets, strict=True):
            ids = [row.id for row in rows if getattr(row, label)]
            written = self._written(connection, target, ids, is_careful)
            changes += written.changes
            changed.update(written.ids)
            refused |= {each.contact_id: each for each in written.refused}
        return Lot([row.id for row in rows if row.id in changed], changes, list(refused.values()))

    def _written(self, connection: sa.Connection, target: Target, ids: Sequence[UUID], is_careful: bool) -> Lot:
        write = self._write
        if write is None or not ids:
            return Lot(ids, len(ids))

        def together(some: Sequence[UUID]) -> Lot:
            changes = write(connection, target.columns, some)
            return Lot(some if changes else (), changes)

        if not is_careful:
            return together(ids)
        lots = in_halves(connection, ids, together, lambda one, why: Lot((), 0, (Refusal(one, why),)))
        return Lot(
            [each for lot in lots for each in lot.ids],
            sum(lot.changes for lot in lots),
            [each for lot in lots for each in lot.refused],
        )


def _next_size(size: int, took_seconds: float) -> int:
    if took_seconds > LOCKED_FOR_SECONDS:
        return max(1, size // 2)
    return min(AT_MOST, size * 2) if took_seconds < LOCKED_FOR_SECONDS / 4 else size
