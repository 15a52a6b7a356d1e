"""What people decide: select, unselect, requeue."""

from collections.abc import Iterable, Sequence
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

    def apply_to_all(self, action: str, crms: Sequence[str]) -> SelectionResult:
        """Select every contact that is New, or unselect every one that waits or is being delivered, for these CRMs.

        What is Complete, in Error or Skipped stays as it is: to send such contacts again, name them.
        """
        if action not in ACTIONS:
            raise SelectionError(f"'{action}' is no action. Nothing was changed. Use {' or '.join(ACTIONS)}.")
        targets = self.known_crms(crms)
        changed: set[UUID] = set()
        queued = 0
        for target in targets:
            statement = decide.all_for(DestinationColumns.of(self._contacts, target), action == "select")
            while ids := self._some_of_all(statement):
                changed.update(ids)
                queued += len(ids) if action == "select" else 0
        names = tuple(crm.name for crm in targets)
        message = _result(action, len(changed), 0, names).message if changed else f"No contact was there to {action}"
        return SelectionResult(len(changed), queued, 0, names, action, message)

    def _some_of_all(self, statement: sa.Update) -> Sequence[UUID]:
        return in_transaction(
            self._engine, lambda connection: connection.execute(statement, {"size": _AT_ONCE}).scalars().all()
        )

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
        wanted = None if ids is None else parse_ids(ids)
        statement = decide.requeue(DestinationColumns.of(self._contacts, target), everything=wanted is None)

        def write(connection: sa.Connection) -> int:
            return len(connection.execute(statement, {} if wanted is None else {"ids": wanted}).all())

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
