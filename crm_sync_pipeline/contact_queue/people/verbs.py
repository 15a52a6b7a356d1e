"""What people do to contacts, as conditions and statements: select, unselect, requeue, hold, release."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.people import decide_sql, hold_sql, unchanged_sql

RowCondition = Callable[[DestinationColumns], sa.ColumnElement[bool]]
Write = Callable[[sa.Connection, DestinationColumns, Sequence[UUID]], int]


@dataclass(frozen=True, slots=True)
class Verb:
    """`applies` is always true of the contacts it changes; `assumes` too, unless they are named, or their state is.

    `write` changes locked contacts and returns how many it found to change.
    """

    name: str
    past: str
    write: Write
    applies: RowCondition
    assumes: RowCondition


def _any(_columns: DestinationColumns) -> sa.ColumnElement[bool]:
    return sa.true()


def _not_on_hold(columns: DestinationColumns) -> sa.ColumnElement[bool]:
    return ~hold_sql.is_on_hold(columns)


def _select(connection: sa.Connection, columns: DestinationColumns, ids: Sequence[UUID]) -> int:
    connection.execute(decide_sql.select(columns), {"ids": ids})
    keep_on_hold(connection, columns, ids)
    return len(ids)


def select_changed(connection: sa.Connection, columns: DestinationColumns, ids: Sequence[UUID]) -> int:
    """Select, and skip what has not changed since it was delivered."""
    connection.execute(decide_sql.select(columns), {"ids": ids})
    connection.execute(unchanged_sql.mark_changed_only(columns), {"ids": ids})
    keep_on_hold(connection, columns, ids)
    return len(ids)


def _unselect(connection: sa.Connection, columns: DestinationColumns, ids: Sequence[UUID]) -> int:
    connection.execute(decide_sql.unselect(columns), {"ids": ids})
    return len(ids)


def _requeue(connection: sa.Connection, columns: DestinationColumns, ids: Sequence[UUID]) -> int:
    changed = connection.execute(decide_sql.requeue(columns), {"ids": ids}).rowcount
    keep_on_hold(connection, columns, ids)
    return changed


def keep_on_hold(connection: sa.Connection, columns: DestinationColumns, ids: Sequence[UUID]) -> None:
    """What was on hold before it was selected again is out of the claims' way again."""
    on_hold = connection.execute(hold_sql.keep_fresh_start(columns), {"ids": ids}).scalars().all()
    if on_hold:
        connection.execute(hold_sql.shelve(columns), {"ids": on_hold})


def _hold(connection: sa.Connection, columns: DestinationColumns, ids: Sequence[UUID]) -> int:
    connection.execute(hold_sql.hold(columns), {"ids": ids})
    connection.execute(hold_sql.shelve(columns), {"ids": ids})
    return len(ids)


def _release(connection: sa.Connection, columns: DestinationColumns, ids: Sequence[UUID]) -> int:
    connection.execute(hold_sql.unshelve(columns), {"ids": ids})
    return connection.execute(hold_sql.release(columns.crm.name), {"ids": ids}).rowcount


VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("select", "Selected", _select, _any, decide_sql.is_new),
        Verb("unselect", "Unselected", _unselect, _any, decide_sql.is_wanted_still),
        Verb("requeue", "Requeued", _requeue, decide_sql.has_failed, _any),
        Verb("hold", "Put on hold", _hold, _not_on_hold, decide_sql.is_wanted_still),
        Verb("release", "Released", _release, hold_sql.is_on_hold, _any),
    )
}
