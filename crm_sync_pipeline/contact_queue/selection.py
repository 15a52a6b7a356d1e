"""What people decide: select, unselect, requeue."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.schema import require_columns, require_usable
from crm_sync_pipeline.contact_queue.statements import ask, decide, unchanged
from crm_sync_pipeline.contact_queue.statements.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.tables import CRMS, ContactsTable, Crm
from crm_sync_pipeline.contact_queue.transactions import in_transaction
from crm_sync_pipeline.domain.errors import CrmSyncError

ACTIONS = ("select", "unselect")
_AT_ONCE = 5000


_Which = Callable[[DestinationColumns], sa.ColumnElement[bool]]
_Statement = Callable[[DestinationColumns], sa.Update]
_EVERY: Mapping[str, tuple[_Which, _Statement]] = {
    "select": (decide.is_new, decide.select_new),
    "unselect": (decide.is_wanted_still, decide.unselect_wanted),
}


class SelectionError(CrmSyncError):
    """A selection that names something we do not know."""


@dataclass(frozen=True, slots=True)
class SelectionResult:
    """What a selection did. `updated_count` counts the contacts found, `queued_count` contacts times CRMs."""

    updated_count: int
    queued_count: int
    unknown_count: int
    crms: tuple[str, ...]
    action: str
    message: str


class Selection:
    """Writes decisions into the contacts table; both statuses change together, each CRM on its own."""

    def __init__(self, engine: sa.Engine, contacts: ContactsTable) -> None:
        self._engine = engine
        self._contacts = contacts

    def apply(
        self, action: str, ids: Iterable[str | UUID], crms: Sequence[str], changed_only: bool = False
    ) -> SelectionResult:
        """Select or unselect contacts for CRMs. SelectionError names an unknown action or CRM, or a malformed id.

        A contact that already waits in the queue keeps its place when it is selected again. With `changed_only`, one
        whose data is what its destination took last is Complete without a call.
        """
        if action not in ACTIONS:
            raise SelectionError(f"'{action}' is no action. Nothing was changed. Use {' or '.join(ACTIONS)}.")
        targets = self.known_crms(crms)
        wanted = parse_ids(ids)
        if not wanted or not targets:
            missing = "contact ids" if not wanted else "CRMs"
            return SelectionResult(0, 0, 0, tuple(crms), action, f"No {missing} were given; nothing was changed")
        found = 0
        for start in range(0, len(wanted), _AT_ONCE):
            found += self._apply_some(action, wanted[start : start + _AT_ONCE], targets, changed_only)
        return _result(action, found, len(wanted) - found, tuple(crm.name for crm in targets))

    def apply_to_all(self, action: str, crms: Sequence[str], changed_only: bool = False) -> SelectionResult:
        """Select every contact that is New, or unselect every one that waits or is being delivered, for these CRMs.

        What is Complete, in Error or Skipped stays as it is: to send such contacts again, name them.
        """
        if action not in ACTIONS:
            raise SelectionError(f"'{action}' is no action. Nothing was changed. Use {' or '.join(ACTIONS)}.")
        targets = self.known_crms(crms)
        columns = [DestinationColumns.of(self._contacts, crm) for crm in targets]
        which, statement = _EVERY[action]
        found = queued = 0
        for changed, writes in self._in_stretches(columns, which, statement, changed_only):
            found += changed
            queued += writes if action == "select" else 0
        names = tuple(crm.name for crm in targets)
        message = _result(action, found, 0, names).message if found else f"No contact was there to {action}"
        return SelectionResult(found, queued, 0, names, action, message)

    def _in_stretches(
        self, columns: Sequence[DestinationColumns], which: _Which, statement: _Statement, changed_only: bool = False
    ) -> Iterator[tuple[int, int]]:
        """Write to all contacts that `which` holds for, so many ids at a time, each lot in a transaction of its own.

        Yields how many contacts and how many rows times CRMs were written. Whatever the table's size, no transaction
        is long, and nothing is kept in memory.
        """
        if not columns:
            return
        any_of_them = sa.or_(*(which(each) for each in columns))
        first: UUID | None = UUID(int=0)
        while first is not None:

            def write(connection: sa.Connection, first: UUID = first) -> tuple[UUID | None, int, int]:
                stretch = {"first": first, "size": _AT_ONCE}
                behind = connection.execute(decide.end_of_stretch(columns[0]), stretch).scalar_one_or_none()
                lock = decide.lock_stretch(columns[0], any_of_them, to_the_end=behind is None)
                found = connection.execute(lock, stretch if behind is None else stretch | {"behind": behind})
                ids = found.scalars().all()
                written = sum(connection.execute(statement(each), {"ids": ids}).rowcount for each in columns if ids)
                for each in columns if changed_only and ids else ():
                    connection.execute(unchanged.mark_changed_only(each), {"ids": ids})
                return behind, len(ids), written

            first, changed, written = in_transaction(self._engine, write)
            yield changed, written

    def _apply_some(self, action: str, ids: Sequence[UUID], targets: Sequence[Crm], changed_only: bool) -> int:
        def write(connection: sa.Connection) -> int:
            columns = [DestinationColumns.of(self._contacts, crm) for crm in targets]
            found = connection.execute(ask.lock_known(columns[0]), {"ids": list(ids)}).scalars().all()
            for target in columns:
                statement = decide.select(target) if action == "select" else decide.unselect(target)
                connection.execute(statement, {"ids": found})
                if changed_only:
                    connection.execute(unchanged.mark_changed_only(target), {"ids": found})
            return len(found)

        return in_transaction(self._engine, write)

    def requeue(self, crm: str, ids: Iterable[str | UUID] | None = None) -> int:
        """Make those in Error or waiting for a retry due now, with fresh retries; `ids` None: all. Returns how many."""
        (target,) = self.known_crms([crm])
        require_usable(self._engine, self._contacts, target)
        columns = DestinationColumns.of(self._contacts, target)
        if ids is None:
            return sum(changed for changed, _ in self._in_stretches([columns], decide.has_failed, decide.requeue))
        wanted = parse_ids(ids)
        lots = (wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE))
        return sum(self._requeue_some(columns, lot) for lot in lots)

    def _requeue_some(self, columns: DestinationColumns, ids: Sequence[UUID]) -> int:
        def write(connection: sa.Connection) -> int:
            connection.execute(ask.lock_known(columns), {"ids": ids})
            return connection.execute(decide.requeue(columns), {"ids": ids}).rowcount

        return in_transaction(self._engine, write)

    def known_crms(self, crms: Sequence[str]) -> list[Crm]:
        """The CRMs by name, each once. SelectionError for one that we, or this table, do not know.

        SchemaError for one whose columns are there in part.
        """
        targets = []
        for name in dict.fromkeys(crms):
            crm = CRMS.get(name)
            if crm is None:
                raise SelectionError(f"'{name}' is no CRM. Nothing was changed. Use one of {', '.join(CRMS)}.")
            if not self._contacts.has(crm):
                raise SelectionError(
                    f"{self._contacts.qualified} has no columns {crm.sync_status} and {crm.processing_status}. Nothing "
                    f"was changed. Add them to select contacts for {crm.title}."
                )
            require_columns(self._contacts, crm)
            targets.append(crm)
        return targets

    def find(self, text: str) -> UUID:
        """The id of the contact that `text` names, by id or e-mail address.

        CrmSyncError where there is none, SelectionError where there are several, or `text` is neither.
        """
        columns = DestinationColumns.of(self._contacts, next(iter(CRMS.values())))
        with self._engine.connect() as connection:
            if "@" not in text:
                (contact_id,) = parse_ids([text])
                found = connection.execute(ask.known(columns), {"ids": [contact_id]}).scalars().all()
            else:
                found = connection.execute(ask.by_address(columns), {"address": text}).scalars().all()
        if not found:
            raise CrmSyncError(f"There is no contact {text}. Nothing was done. Check the id or the address.")
        if len(found) > 1:
            listed = ", ".join(str(contact_id) for contact_id in found)
            raise SelectionError(
                f"{len(found)} contacts have that address. Nothing was done. Name one by its id: {listed}."
            )
        contact: UUID = found[0]
        return contact


def parse_ids(ids: Iterable[str | UUID]) -> list[UUID]:
    """The ids, each once, in their order. SelectionError names the first that is no UUID."""
    return list(dict.fromkeys(text if isinstance(text, UUID) else _parse_id(text) for text in ids))


def _parse_id(text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError:
        raise SelectionError(
            f"'{text}' is no contact id. Nothing was changed. An id looks like 3f2b0c1e-9c1d-4c57-8f5e-2a1b3c4d5e6f."
        ) from None


def _result(action: str, found: int, unknown: int, crms: tuple[str, ...]) -> SelectionResult:
    queued = found * len(crms) if action == "select" else 0
    if not found:
        message = "No contacts found with provided IDs"
    elif action == "select":
        message = f"Selected {found} contacts for {len(crms)} CRM(s), {queued} queued for processing"
    else:
        message = f"Unselected {found} contacts for {len(crms)} CRM(s)"
    if found and unknown:
        message += f"; {unknown} unknown ids were left out"
    return SelectionResult(found, queued, unknown, crms, action, message)
