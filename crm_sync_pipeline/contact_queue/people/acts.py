"""Acts of people, each with its row in crm_sync.acts: who, when, what, how many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable
from crm_sync_pipeline.contact_queue.database.transactions import in_transaction
from crm_sync_pipeline.contact_queue.people import acts_sql
from crm_sync_pipeline.contact_queue.people.chunks import RowProgress
from crm_sync_pipeline.contact_queue.people.selection import Found, Selection, SelectionError, Which
from crm_sync_pipeline.contact_queue.people.verbs import VERBS
from crm_sync_pipeline.domain.crm import Crm

IDS_NAMED = 3


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `run_id` is the Dagster run that does it, None for crm-sync."""

    name: str
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """An act as it is recorded. `scope` says which contacts were meant, without personal data."""

    acted_at: datetime
    actor: str
    verb: str
    destinations: tuple[str, ...]
    scope: str
    contacts: int
    run_id: str | None


@dataclass(frozen=True, slots=True)
class ActResult:
    """The result of an act, or what it would be.

    `contacts` were changed, `changes` counts them times CRMs, `sample` are the ids of the first. `refused` counts those
    that PostgreSQL refused to change; the message names the first of them.
    """

    verb: str
    crms: tuple[str, ...]
    scope: str
    contacts: int
    changes: int
    sample: tuple[UUID, ...]
    dry_run: bool
    message: str
    refused: int = 0


def as_row(actor: Actor, verb: str, crms: Sequence[str], scope: str, contacts: int) -> dict[str, Any]:
    """An act as `record.begin` writes it."""
    return {
        "actor": actor.name,
        "run_id": actor.run_id,
        "verb": verb,
        "destinations": list(crms),
        "scope": scope,
        "contacts": contacts,
    }


class Acts:
    """Carries out what one person wants, and records it.

    `off` are the CRMs that nothing is delivered to, each with the variables that it lacks.
    """

    def __init__(
        self, engine: sa.Engine, contacts: ContactsTable, actor: Actor, off: Mapping[str, str] | None = None
    ) -> None:
        self._engine = engine
        self._off = off or {}
        self._selection = Selection(engine, contacts)
        self._actor = actor

    def carry_out(
        self,
        verb: str,
        which: Which,
        crms: Sequence[str],
        *,
        everything: bool = False,
        anyway: bool = False,
        dry_run: bool = False,
        changed_only: bool = False,
        progress: RowProgress | None = None,
    ) -> ActResult:
        """Do to contacts what `verb` says, some thousands in each transaction; with `dry_run` only say to how many.

        SelectionError, before anything is changed, where no contact or CRM is meant, or the filter matches everything
        and `everything` does not say that this is meant; a dry run needs no such word. So is a selection for a CRM that
        is off, whose contacts would wait for ever, unless `anyway` says that another machine delivers them. What an
        interrupted act has done stays, and is in its record.
        """
        if verb not in VERBS:
            raise SelectionError(f"'{verb}' is not a known act. Nothing was changed. Use one of {', '.join(VERBS)}.")
        targets = self._selection.known_crms(crms)
        if not targets:
            raise SelectionError("No CRM was named. Nothing was changed. Name one or more.")
        _require_meant(which, everything or dry_run)
        if verb == "select" and not (anyway or dry_run):
            self._require_on(targets)
        names, scope = tuple(crm.name for crm in targets), scope_of(which)
        act_id = None if dry_run else self._begin(verb, names, scope)

        def count(connection: sa.Connection, contacts: int) -> None:
            if contacts and act_id is not None:
                connection.execute(acts_sql.add(act_id, contacts))

        found = self._selection.carry_out(
            VERBS[verb],
            targets,
            which,
            dry_run=dry_run,
            changed_only=changed_only,
            progress=progress,
            afterwards=count,
        )
        message = _would(verb, targets, found) if dry_run else _done(verb, targets, which, found)
        return ActResult(
            verb, names, scope, found.contacts, found.changes, found.sample, dry_run, message, found.refused
        )

    def _require_on(self, crms: Sequence[Crm]) -> None:
        off = [f"{crm.title} ({self._off[crm.name]})" for crm in crms if crm.name in self._off]
        if off:
            raise SelectionError(
                f"Nothing is delivered to {' and '.join(off)}, because what stands in brackets is not set. Nothing was "
                "changed: the contacts would wait for ever. Set it, or, if another machine delivers them, say --anyway "
                "(in Dagster, anyway: true)."
            )

    def record(self, verb: str, crms: Sequence[str], scope: str, contacts: int) -> None:
        """Write down an act that was carried out elsewhere."""
        self._begin(verb, crms, scope, contacts)

    def _begin(self, verb: str, crms: Sequence[str], scope: str, contacts: int = 0) -> int:
        values = as_row(self._actor, verb, crms, scope, contacts)
        return in_transaction(
            self._engine, lambda connection: int(connection.execute(acts_sql.begin(values)).scalar_one())
        )

    def newest(self, limit: int = 20) -> list[Act]:
        """What was done last, by whomever, the newest first."""
        rows = in_transaction(self._engine, lambda connection: connection.execute(acts_sql.newest(limit)).all())
        return [
            Act(row.acted_at, row.actor, row.verb, tuple(row.destinations), row.scope, row.contacts, row.run_id)
            for row in rows
        ]


def _require_meant(which: Which, everything: bool) -> None:
    if which.ids is not None:
        if not which.filter.matches_everything:
            raise SelectionError("Give contact ids, or a filter, not both. Nothing was changed.")
        if not which.ids:
            raise SelectionError("No contact ids were given. Nothing was changed.")
    elif which.filter.matches_everything and not everything:
        raise SelectionError(
            "This filter matches every contact. Nothing was changed. Say --all (in Dagster, everything: true) if that "
            "is what you want, or name ids, a file, or a filter."
        )


def scope_of(which: Which) -> str:
    """Which contacts, for the record."""
    if which.ids is None:
        return str(which.filter)
    named = ", ".join(str(contact_id) for contact_id in which.ids[:IDS_NAMED])
    more = len(which.ids) - IDS_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _would(verb: str, crms: Sequence[Crm], found: Found) -> str:
    some = f" Such as {', '.join(str(contact_id) for contact_id in found.sample)}." if found.sample else ""
    return f"Would {verb} {found.contacts} contacts for {_titles(crms)}. Nothing was changed.{some}"


def _done(verb: str, crms: Sequence[Crm], which: Which, found: Found) -> str:
    if verb in ("select", "unselect"):
        return _decided(verb, crms, which, found)
    left_out = len(which.ids or ()) - found.contacts - found.refused
    why = {"requeue": "not in Error and not waiting for a retry", "hold": "on hold already", "release": "not on hold"}
    unknown = f" {left_out} left out: unknown, or {why[verb]}." if left_out > 0 else ""
    refused = f" {found.refused_because}" if found.refused else ""
    return f"{VERBS[verb].past} {found.contacts} contacts for {_titles(crms)}.{unknown}{refused}"


def _decided(verb: str, crms: Sequence[Crm], which: Which, found: Found) -> str:
    refused = f" {found.refused_because}" if found.refused else ""
    if not found.contacts:
        nobody = f"No contact was there to {verb}" if which.ids is None else "No contacts found with provided IDs"
        return f"{'No contact was changed' if found.refused else nobody}.{refused}"
    unknown = 0 if which.ids is None else len(which.ids) - found.contacts - found.refused
    queued = f", {found.changes} queued for processing" if verb == "select" else ""
    left_out = f"; {unknown} unknown ids were left out" if unknown else ""
    return f"{VERBS[verb].past} {found.contacts} contacts for {len(crms)} CRM(s){queued}{left_out}.{refused}"


def _titles(crms: Sequence[Crm]) -> str:
    return " and ".join(crm.title for crm in crms)
