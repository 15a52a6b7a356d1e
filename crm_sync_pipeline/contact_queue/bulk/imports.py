"""Imports of one destination: what is sent at once is written down before, and waited for by the run that has it."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.bulk import adopt_sql, candidates_sql, imports_sql
from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns, as_rows
from crm_sync_pipeline.contact_queue.database.rows import contact_of, delivered_of
from crm_sync_pipeline.contact_queue.database.transactions import PATIENCE_FOR_RESULTS, in_transaction
from crm_sync_pipeline.domain.bulk import Results
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import Delivered
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES, WITHOUT_ITS_NUMBER, Outcome, Synced

PAGE = 2000
JOURNALED_AT_ONCE = 5000

MAX_ADOPTIONS = 5
MAX_IMPORT_AGE = timedelta(hours=2)
"""When an import whose runs die, or find the destination down, is left alone and its contacts are queued again."""

_FIRST = UUID(int=0)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Import:
    """An import in progress. `process_id` is None as long as the destination has not said what it calls it."""

    id: UUID
    contacts: int
    after_process_id: int
    process_id: int | None = None
    age_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One contact of an import, without its data.

    `message` says what was left out of what was sent; `remote_fields` are those that hold a value, as the tables keep
    them.
    """

    contact_id: UUID
    contact_hash: str
    payload_hash: str
    address_hash: str
    message: str = ""
    remote_fields: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contact that may go into an import, and what is known of its copy."""

    contact: Contact
    before: Delivered


class Imports:
    """What is in progress by import for one destination. Every method is one short transaction."""

    def __init__(self, engine: sa.Engine, columns: DestinationColumns, lease: timedelta) -> None:
        self._engine = engine
        self._columns = columns
        self._crm = columns.crm.name
        self._lease_seconds = lease.total_seconds()

    def candidates(self, token: UUID) -> Iterator[Candidate]:
        """The contacts of this token that may go into an import, in id order, read a page at a time."""
        query = candidates_sql.page(self._columns)
        parameters = {"token": token, "after": _FIRST, "size": PAGE, "everything": False}
        while rows := self._do(lambda connection: connection.execute(query, parameters).all()):
            yield from (Candidate(contact_of(row), delivered_of(row)) for row in rows if row.goes)
            parameters["after"] = rows[-1].id

    def begin(self, token: UUID, run_id: str | None, started: Import, entries: Sequence[Entry]) -> frozenset[UUID]:
        """Write down what is about to be sent; returns who may be: all who are claimed, and whom nobody took back."""
        key = {"the_import": started.id, "token": token}
        parameters = {
            **key,
            "by_run": run_id,
            "total": len(entries),
            "after_number": started.after_process_id,
        }
        rows = as_rows("entries", map(_as_row, entries))

        def write(connection: sa.Connection) -> frozenset[UUID]:
            connection.execute(imports_sql.begin(self._crm), parameters)
            added = frozenset(connection.execute(imports_sql.add_entries(self._columns), {**key, **rows}).scalars())
            if not added:
                self._give_up(connection, started.id)
            elif len(added) < len(entries):
                connection.execute(imports_sql.count_entries(self._crm), {**key, "total": len(added)})
            return added

        return self._do(write)

    def of(self, token: UUID) -> Import | None:
        """The import that this token waits for."""
        row = self._do(
            lambda connection: connection.execute(imports_sql.of_token(self._crm), {"token": token}).one_or_none()
        )
        if row is None:
            return None
        return Import(row.id, row.contacts, row.after_process_id, row.process_id, float(row.age_seconds))

    def note_process(self, import_id: UUID, process_id: int) -> None:
        """Remember what the destination calls it."""
        parameters = {"the_import": import_id, "number": process_id}
        self._do(lambda connection: connection.execute(imports_sql.note_process(self._crm), parameters))

    def only_its_own(self, pending: Import, processes: Sequence[int]) -> int | None:
        """The one of these processes that can be no other import's; None where there is none, or no telling which.

        Asked after the destination was: an import that began since is none of them.
        """
        query = imports_sql.processes_of_others(self._crm)
        parameters = {"the_import": pending.id, "after_number": pending.after_process_id}
        others = set(self._do(lambda connection: connection.execute(query, parameters).scalars().all()))
        left = [each for each in processes if each not in others]
        return left[0] if len(left) == 1 and None not in others else None

    def overtaken(self, import_id: UUID, token: UUID) -> list[Entry]:
        """Those that the token has not claimed any more: what was sent of them may have landed late."""
        parameters = {"the_import": import_id, "token": token}
        query = imports_sql.overtaken(self._crm)
        rows = self._do(lambda connection: connection.execute(query, parameters).mappings().all())
        return [Entry(**row) for row in rows]

    def unknown(self, pending: Import, address_hashes: Sequence[str]) -> int:
        """How many of these addresses never were in the import. 0 if it is journaled in part: it was asked then."""
        parameters = {"the_import": pending.id, "hashes": list(address_hashes)}
        query = imports_sql.count_known(self._crm)
        row = self._do(lambda connection: connection.execute(query, parameters).one())
        return len(address_hashes) - row.known if row.total == pending.contacts else 0

    def finish(self, pending: Import, token: UUID, run_id: str | None, results: Results) -> Counter[Outcome]:
        """Journal what became of each contact, and be done with the import; returns the outcomes, counted.

        A few thousand at a time: should this worker die, the next one adopts the rest. Nothing where another run has
        taken the import over.
        """
        own = {address: _outcome_words(outcome) for address, outcome in results.by_address_hash.items()}
        key = {"the_import": pending.id, "token": token}
        parameters = {
            **key,
            **{f"others_{name}": word for name, word in _outcome_words(results.others).items()},
            "results": json.dumps(own),
            "by_run": run_id,
            "called": f"process {pending.process_id}",
            "size": JOURNALED_AT_ONCE,
        }
        outcomes = {_words_of(outcome): outcome for outcome in [*results.by_address_hash.values(), results.others]}

        def some(connection: sa.Connection) -> tuple[bool, Sequence[Any]]:
            if connection.execute(imports_sql.lock(self._crm), key).one_or_none() is None:
                return True, ()
            done = connection.execute(imports_sql.journal_some(self._crm), parameters).all()
            is_over = bool(connection.execute(imports_sql.is_empty(self._crm), key).scalar_one())
            if is_over:
                connection.execute(imports_sql.finish(self._crm), key)
            return is_over, done

        counts: Counter[Outcome] = Counter()
        is_over = False
        while not is_over:
            is_over, done = self._do(some)
            for row in done:
                outcome = outcomes[row.outcome, row.reason]
                if row.lacks_number and isinstance(outcome, Synced):
                    outcome = replace(outcome, message=WITHOUT_ITS_NUMBER)
                counts[outcome] += row.total
        return counts

    def give_up(self, import_id: UUID) -> None:
        """Nothing will be heard of this import: its contacts go another way."""
        self._do(lambda connection: self._give_up(connection, import_id))

    def _give_up(self, connection: sa.Connection, import_id: UUID) -> None:
        connection.execute(imports_sql.remove_entries(self._crm), {"the_import": import_id})
        connection.execute(imports_sql.finish(self._crm), {"the_import": import_id})

    def abandon(self, token: UUID) -> None:
        """Stop waiting: the next claim adopts what this token waits for."""
        self._do(lambda connection: connection.execute(adopt_sql.abandon(self._crm), {"token": token}))

    def adopt(self, connection: sa.Connection, token: UUID, run_id: str | None) -> int:
        """Within a claim: wait under `token` for an import whose run is gone; returns how many contacts it holds.

        One that was adopted too often, or is too old, is given up: recovery then queues its contacts.
        """
        while left := connection.execute(adopt_sql.lock_left_behind(self._crm)).one_or_none():
            key = {"the_import": left.id}
            connection.execute(adopt_sql.lock_contacts(self._columns), key)
            moved = 0
            if left.taken_up < MAX_ADOPTIONS and left.age_seconds < MAX_IMPORT_AGE.total_seconds():
                parameters = {
                    **key,
                    "token": token,
                    "by_run": run_id,
                    "old_token": left.claim_token,
                    "lease_seconds": self._lease_seconds,
                }
                moved = connection.execute(adopt_sql.move_deliveries(self._crm), parameters).rowcount
            if moved:
                connection.execute(adopt_sql.adopt(self._crm), {**key, "token": token, "by_run": run_id})
                return moved
            if connection.execute(adopt_sql.is_waited_for(self._crm), key).scalar_one():
                return 0  # another run adopted it, or came back to life, before the lock was ours
            self._give_up(connection, left.id)
        return 0

    def _do(self, work: Callable[[sa.Connection], T]) -> T:
        return in_transaction(self._engine, work, PATIENCE_FOR_RESULTS)


def _as_row(entry: Entry) -> Mapping[str, Any]:
    return {
        "contact_id": entry.contact_id,
        "contact_hash": entry.contact_hash,
        "payload_hash": entry.payload_hash,
        "address_hash": entry.address_hash,
        "message": entry.message,
        "remote_fields": entry.remote_fields,
    }


def _words_of(outcome: Outcome) -> tuple[str, str]:
    return OUTCOME_NAMES[type(outcome)], outcome.reason


def _outcome_words(outcome: Outcome) -> Mapping[str, str]:
    name, reason = _words_of(outcome)
    return {"outcome": name, "reason": reason, "message": redacted(outcome.message)}
