"""What people decide: select, unselect, requeue, hold, release."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.addresses import parameters_for
from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable
from crm_sync_pipeline.contact_queue.database.schema import require_usable
from crm_sync_pipeline.contact_queue.people import chosen_sql
from crm_sync_pipeline.contact_queue.people.chunks import ChunkedUpdate, Refusal, RowProgress, Target
from crm_sync_pipeline.contact_queue.people.filter_sql import matching, missing_columns
from crm_sync_pipeline.contact_queue.people.verbs import Verb, select_changed
from crm_sync_pipeline.domain.address import normal_form
from crm_sync_pipeline.domain.contact_filter import ContactFilter
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.domain.errors import CrmSyncError, WrongUseError
from crm_sync_pipeline.domain.masking import redacted

SAMPLE = 10


class SelectionError(WrongUseError):
    """A selection that names something we do not know."""


@dataclass(frozen=True, slots=True)
class Which:
    """Contacts by their ids, or, where `ids` is None, those that the filter matches."""

    ids: Sequence[UUID] | None = None
    filter: ContactFilter = field(default_factory=ContactFilter)


@dataclass(frozen=True, slots=True)
class Found:
    """How many contacts were changed, or would be; that times CRMs; the ids of the first.

    `refused` counts those that PostgreSQL refused to change; `refusals` has the first of them.
    """

    contacts: int
    changes: int
    sample: tuple[UUID, ...]
    refused: int = 0
    refusals: tuple[Refusal, ...] = ()

    @property
    def refused_because(self) -> str:
        """A sentence about those that were refused; "" where there are none."""
        if not self.refused:
            return ""
        first = self.refusals[0]
        others = f" The others: {', '.join(str(each.contact_id) for each in self.refusals[1:])}."
        more = self.refused - len(self.refusals)
        return (
            f"{self.refused} {'contact was' if self.refused == 1 else 'contacts were'} left unchanged, because the "
            f"database refuses to change {'it' if self.refused == 1 else 'them'}: {first.contact_id}: {first.why}."
            f"{others if self.refusals[1:] else ''}{f' And {more} more.' if more else ''} Fix the row, or the "
            "constraint or trigger of the table."
        )


class Selection:
    """Writes decisions into the contacts table; both statuses change together, each CRM on its own."""

    def __init__(self, engine: sa.Engine, contacts: ContactsTable) -> None:
        self._engine = engine
        self._contacts = contacts

    def carry_out(
        self,
        verb: Verb,
        crms: Sequence[Crm],
        which: Which,
        *,
        dry_run: bool = False,
        changed_only: bool = False,
        progress: RowProgress | None = None,
        afterwards: Callable[[sa.Connection, int], object] | None = None,
    ) -> Found:
        """Do to contacts what the verb says; with `dry_run` find out to how many, and change nothing.

        Those that the filter matches are taken where they stand as the verb assumes, unless the filter names a state.
        SelectionError where the filter asks for a column that the table does not have.
        """
        if not crms:
            return Found(0, 0, ())
        targets = [self._target(verb, crm, which) for crm in crms]
        write = select_changed if verb.name == "select" and changed_only else verb.write
        update = ChunkedUpdate(self._engine, targets, None if dry_run else write, afterwards)
        chunks = update.over_table(progress) if which.ids is None else update.over_ids(which.ids, progress)
        contacts = changes = refused = 0
        sample: list[UUID] = []
        refusals: list[Refusal] = []
        for chunk in chunks:
            contacts += len(chunk.ids)
            changes += chunk.changes
            sample += chunk.ids[: SAMPLE - len(sample)]
            refused += len(chunk.refused)
            refusals += chunk.refused[: SAMPLE - len(refusals)]
        return Found(contacts, changes, tuple(sample), refused, tuple(refusals))

    def _target(self, verb: Verb, crm: Crm, which: Which) -> Target:
        columns = DestinationColumns.of(self._contacts, crm)
        if which.ids is not None:
            return Target(columns, verb.applies(columns))
        if missing := missing_columns(columns, which.filter):
            raise SelectionError(
                f"{self._contacts.qualified} has no column {', '.join(missing)}, which the filter asks for. "
                "Nothing was changed. Leave that out."
            )
        conditions = [verb.applies(columns), matching(columns, which.filter)]
        if not which.filter.names_state_for(crm.name):
            conditions.append(verb.assumes(columns))
        return Target(columns, sa.and_(*conditions))

    def known_crms(self, crms: Sequence[str]) -> list[Crm]:
        """The CRMs by name, each once. SelectionError for one that we, or this table, do not know.

        SchemaError for one whose columns are there in part, and where our own tables are missing.
        """
        targets = []
        for name in dict.fromkeys(crms):
            crm = self._contacts.crms.get(name)
            if crm is None:
                known = ", ".join(self._contacts.crms)
                raise SelectionError(f"'{name}' is not a known CRM. Nothing was changed. Use one of {known}.")
            if not self._contacts.has(crm):
                raise SelectionError(
                    f"{self._contacts.qualified} has no columns {crm.sync_status} and {crm.processing_status}. Nothing "
                    f"was changed. Add them to select contacts for {crm.title}."
                )
            require_usable(self._engine, self._contacts, crm)
            targets.append(crm)
        return targets

    def find(self, text: str) -> UUID:
        """The id of the contact that `text` names, by id or e-mail address.

        CrmSyncError where there is none, SelectionError where there are several, or `text` is neither.
        """
        columns = DestinationColumns.of(self._contacts, next(iter(self._contacts.crms.values())))
        with self._engine.connect() as connection:
            if "@" not in text:
                (contact_id,) = parse_ids([text])
                found = connection.execute(chosen_sql.known(columns), {"ids": [contact_id]}).scalars().all()
            else:
                address = normal_form(text)
                rows = connection.execute(chosen_sql.by_address(columns), parameters_for(address))
                found = [row.id for row in rows if normal_form(row.email) == address]
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
    """The ids, each once, in their order. SelectionError names the first that is not a UUID."""
    return list(dict.fromkeys(text if isinstance(text, UUID) else _parse_id(text) for text in ids))


def _parse_id(text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError:
        raise SelectionError(
            f"'{redacted(text[:50])}' is not a contact id. Nothing was changed. "
            "An id looks like 3f2b0c1e-9c1d-4c57-8f5e-2a1b3c4d5e6f."
        ) from None
