"""How history ends: old attempts go, and whatever is left of contacts that are gone, or are to be forgotten."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable, literal
from crm_sync_pipeline.contact_queue.database.transactions import in_transaction
from crm_sync_pipeline.contact_queue.people import acts_sql, chosen_sql, decide_sql, prune_sql
from crm_sync_pipeline.contact_queue.people.acts import Actor, as_row
from crm_sync_pipeline.domain.crm import Crms
from crm_sync_pipeline.domain.errors import CrmSyncError

CHUNK_SIZE = 5000


@dataclass(slots=True)
class Pruned:
    """What was removed, or would be. `note` says what was left alone, and why."""

    old_attempts: int = 0
    attempts_of_gone: int = 0
    deliveries_of_gone: int = 0
    old_imports: int = 0
    note: str = ""

    def says(self, days: int, dry_run: bool) -> str:
        """One sentence for people."""
        note = f" {self.note}" if self.note else ""
        return (
            f"{'Would remove' if dry_run else 'Removed'} {self.old_attempts} attempts older than {days} days, and of "
            f"contacts that are gone {self.attempts_of_gone} attempts and {self.deliveries_of_gone} deliveries.{note}"
        )


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed of one contact.

    `remote_ids` are all of the CRMs' own ids of it that were known, by the CRM's title; none where it was delivered and
    the CRM told no id.
    """

    contact_id: UUID
    deliveries: int
    attempts: int
    is_in_contacts: bool
    remote_ids: dict[str, list[str]]

    def says(self) -> str:
        """What was done, and what is left to the person who asked."""
        copies = "".join(f" {_copies(title, ids)}" for title, ids in self.remote_ids.items())
        row = "Its row in your contacts table is still there, and" if self.is_in_contacts else "Its row is gone; but"
        return (
            f"Removed {self.deliveries} deliveries and {self.attempts} attempts of contact {self.contact_id}. {row} "
            f"what a CRM holds of it is not touched: {'both are' if self.is_in_contacts else 'that is'} yours to "
            f"delete.{copies}"
        )


def _copies(title: str, ids: Sequence[str]) -> str:
    return (
        f"At {title} it is {' and '.join(ids)}."
        if ids
        else f"{title} has told no id of it: look for its address there."
    )


class History:
    """Removes history of ours. The contacts table is only read, but for a contact to be forgotten that waits."""

    def __init__(self, engine: sa.Engine, contacts: ContactsTable) -> None:
        self._engine = engine
        self._crms = contacts.crms
        self._columns = DestinationColumns.of(contacts, next(iter(contacts.crms.values())))
        self._of_each_crm = [DestinationColumns.of(contacts, crm) for crm in contacts.served]

    def prune(self, days: int, *, dry_run: bool = False, progress: Callable[[int], None] | None = None) -> Pruned:
        """Remove attempts older than this many days, and all that is left of contacts that are gone.

        A few thousand rows in each transaction; `progress` is told how many were looked at. An empty contacts table is
        taken for one that is just being loaded: then nothing counts as gone. Nor does it where row-level security may
        hide rows.
        """
        pruned = Pruned()
        if self._columns.hides_rows:
            pruned.note = (
                "Row-level security may hide contacts from our role, so none that can't be seen was taken for one that "
                "is gone; see `crm-sync db check`."
            )
        elif self._do(lambda connection: connection.execute(prune_sql.is_any(self._columns)).one_or_none()) is None:
            pruned.note = "The contacts table is empty, so nothing was taken for the history of a contact that is gone."
        else:
            self._prune_deliveries(pruned, dry_run=dry_run, progress=progress)
        self._prune_attempts(pruned, days, dry_run=dry_run, progress=progress)
        if not dry_run:
            pruned.old_imports = self._do(lambda one: one.execute(prune_sql.old_imports, {"days": days}).rowcount)
        return pruned

    def _prune_attempts(
        self, pruned: Pruned, days: int, *, dry_run: bool, progress: Callable[[int], None] | None
    ) -> None:
        query = prune_sql.prune_attempts(self._columns, not dry_run, not pruned.note)
        after: int | None = 0
        while after is not None:
            parameters = {"after": after, "size": CHUNK_SIZE, "days": days}
            row = self._one(query, parameters)
            pruned.old_attempts += row.old
            pruned.attempts_of_gone += row.of_gone
            after = row.last
            if progress:
                progress(row.looked_at)

    def _prune_deliveries(self, pruned: Pruned, *, dry_run: bool, progress: Callable[[int], None] | None) -> None:
        query = prune_sql.prune_deliveries(self._columns, not dry_run)
        after: UUID | None = UUID(int=0)
        while after is not None:
            parameters = {"after": after, "size": CHUNK_SIZE}
            row = self._one(query, parameters)
            pruned.deliveries_of_gone += row.of_gone
            after = row.last
            if progress:
                progress(CHUNK_SIZE)

    def forget(self, contact_id: UUID, actor: Actor) -> Forgotten:
        """Remove all that we have on one contact, and record that. CrmSyncError while it is claimed.

        Where it waits to be sent it is taken back: with its delivery goes what kept it waiting, such as a hold.
        """
        key = {"id": contact_id}

        def work(connection: sa.Connection) -> Forgotten:
            found = connection.execute(chosen_sql.lock_known(self._columns), {"ids": [contact_id]}).scalars().all()
            if self._columns.hides_rows and not found:
                raise CrmSyncError(
                    f"Contact {contact_id} can't be seen: row-level security may hide it from our role. It may still "
                    "wait to be sent, or be on hold. Nothing was removed. Run this as a role that sees every contact; "
                    "`crm-sync db check` names what keeps ours from it."
                )
            ours = connection.execute(prune_sql.deliveries_of, key).all()
            if claimed := [self._crms[row.destination].title for row in ours if row.claim_token]:
                raise CrmSyncError(
                    f"A run has claimed contact {contact_id} for {' and '.join(claimed)} right now. Nothing was "
                    "removed. Take the contact back (`crm-sync unselect`), or it may be sent again, and try again when "
                    "the run is done, in a few minutes at most."
                )
            for columns in self._of_each_crm:
                waits = columns.processing == literal("Queued")
                connection.execute(decide_sql.unselect(columns).where(waits), {"ids": [contact_id]})
            remote_ids = _known_ids(connection, contact_id, ours, self._crms)
            _, attempts, deliveries = (connection.execute(each, key).rowcount for each in prune_sql.forget_contact)
            if not (found or ours or attempts):
                raise CrmSyncError(f"There is no contact {contact_id}, and nothing of it. Check the id.")
            forgotten_by = [row.destination for row in ours]
            connection.execute(acts_sql.begin(as_row(actor, "forget", forgotten_by, str(contact_id), 1)))
            return Forgotten(contact_id, deliveries, attempts, bool(found), remote_ids)

        return in_transaction(self._engine, work)

    def _one(self, query: sa.Executable, parameters: Mapping[str, Any]) -> Any:
        return self._do(lambda connection: connection.execute(query, parameters).one())

    def _do(self, work: Callable[[sa.Connection], Any]) -> Any:
        return in_transaction(self._engine, work)


def _known_ids(connection: sa.Connection, contact_id: UUID, ours: Sequence[Any], crms: Crms) -> dict[str, list[str]]:
    """By a CRM's title, its ids of the contact: those that the journal tells, and that of the delivery."""
    key = {"id": contact_id}
    found: dict[str, list[str]] = {each: [] for each in connection.execute(prune_sql.delivered_to, key).scalars()}
    for row in [*connection.execute(prune_sql.known_ids_of, key), *ours]:
        if row.remote_id and row.remote_id not in found.setdefault(row.destination, []):
            found[row.destination].append(row.remote_id)
    return {crms[each].title: ids for each, ids in found.items()}
