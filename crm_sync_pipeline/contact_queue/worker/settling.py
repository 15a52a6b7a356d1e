"""Settling: a token's attempts become transitions, written only where nobody decided otherwise meanwhile."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns, as_rows
from crm_sync_pipeline.contact_queue.database.rows import contact_of
from crm_sync_pipeline.contact_queue.database.transactions import (
    PATIENCE_FOR_RESULTS,
    blames_row,
    in_halves,
    in_transaction_without,
)
from crm_sync_pipeline.contact_queue.worker import forget_sql, settle_sql
from crm_sync_pipeline.domain.address import normal_form
from crm_sync_pipeline.domain.batch import Settlement
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import Delivered, fields_as_text, fields_of
from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES, UNCHANGED, Deferred, Failed, Synced, outcome_of
from crm_sync_pipeline.domain.retry import RetryPolicy
from crm_sync_pipeline.domain.transition import (
    ProcessingStatus,
    Standing,
    SyncStatus,
    Transition,
    transition,
    transition_after_loss,
    transition_after_refusal,
)

SETTLED_AT_ONCE = 1000
UUID_END = 2**128 - 1
NOT_SENT = Deferred("not_sent")
ASIDE = timedelta(hours=1)
"""How long a row is left alone that takes no update at all."""


class Settling:
    """Settles the deliveries of one destination: those of a token, and those that dead runs left behind."""

    def __init__(self, engine: sa.Engine, columns: DestinationColumns, policy: RetryPolicy, lease: timedelta) -> None:
        self.crm = columns.crm
        self.lease = lease
        self._engine = engine
        self._policy = policy
        self._columns = columns

    def settle(self, token: UUID) -> Settlement:
        """Turn this token's attempts into transitions, and give back what was not sent. Twice is as once."""
        total = Settlement()
        first: UUID | None = UUID(int=0)
        while first is not None:

            def work(
                connection: sa.Connection, is_careful: bool, first: UUID = first
            ) -> tuple[Settlement, UUID | None]:
                return self._settle_claimed(connection, token, first, is_careful)

            settled, first = in_transaction_without(self._engine, work, PATIENCE_FOR_RESULTS)
            total.add(settled)
        return total

    def _settle_claimed(
        self, connection: sa.Connection, token: UUID, first: UUID, is_careful: bool
    ) -> tuple[Settlement, UUID | None]:
        """Settle some, from the id `first` on; returns from where to go on, None at the end."""
        query = settle_sql.lock_claimed(self._columns)
        rows = connection.execute(query, {"token": token, "size": SETTLED_AT_ONCE, "first": first}).all()
        settled = self._settle_rows(connection, rows, was_lost=False, is_careful=is_careful)
        if len(rows) == SETTLED_AT_ONCE:
            return settled, UUID(int=min(rows[-1].id.int + 1, UUID_END))
        forgotten: int = connection.execute(forget_sql.forget_deleted(self._columns), {"token": token}).rowcount
        settled.superseded += forgotten
        return settled, first if forgotten else None  # what was deleted may have stood before others

    def recover(self) -> Settlement:
        """Settle what dead runs left behind: what was journaled is recorded, not sent again; the rest is queued."""
        total = Settlement()
        while True:
            settled, is_all = in_transaction_without(self._engine, self._settle_expired)
            total.add(settled)
            if is_all:
                return total

    def _settle_expired(self, connection: sa.Connection, is_careful: bool) -> tuple[Settlement, bool]:
        size = {"size": SETTLED_AT_ONCE}
        lease = {"lease_seconds": self.lease.total_seconds()}
        expired = settle_sql.lock_expired(self._columns)
        rows = connection.execute(expired, size).all()
        settled = self._settle_rows(connection, rows, was_lost=True, is_careful=is_careful)
        stranded = connection.execute(settle_sql.recover_stranded(self._columns), size | lease).rowcount
        forgotten = connection.execute(forget_sql.forget_deleted_and_expired(self._columns), size).rowcount
        return settled, max(len(rows), stranded, forgotten) < SETTLED_AT_ONCE

    def _settle_rows(
        self, connection: sa.Connection, rows: Sequence[Any], *, was_lost: bool, is_careful: bool
    ) -> Settlement:
        """Settle locked rows together; where that `is_careful`, one that PostgreSQL refuses to write ends alone."""
        settlement = Settlement()
        if not rows:
            return settlement
        if not is_careful:
            return self._settle_together(connection, rows, was_lost)
        for settled in in_halves(
            connection,
            rows,
            lambda some: self._settle_together(connection, some, was_lost),
            lambda row, refusal: self._settle_refused(connection, row, refusal),
        ):
            settlement.add(settled)
        return settlement

    def _settle_refused(self, connection: sa.Connection, row: Any, refusal: str) -> Settlement:
        """End a contact in Error whose row does not take the result; put it aside where not even that is taken."""
        attempt = self._attempts(connection, [row]).get((row.claim_token, row.id))
        next_state = transition_after_refusal(Standing(row.retry_count, row.lost_count), refusal)
        try:
            with connection.begin_nested():
                error = settle_sql.settle_both(self._columns, next_state.sync_status, next_state.processing_status)
                connection.execute(error, as_rows("settled", [_settled(row, next_state, attempt)]))
        except sa.exc.DBAPIError as error:
            if blames_row(error) is None:
                raise
            aside = {"token": row.claim_token, "ids": [row.id], "lease_seconds": ASIDE.total_seconds()}
            connection.execute(settle_sql.put_aside(self.crm.name), aside)
        return Settlement(Counter({next_state.ending: 1}))

    def _attempts(self, connection: sa.Connection, rows: Sequence[Any]) -> dict[tuple[UUID, UUID], Any]:
        key = {"ids": [row.id for row in rows], "tokens": list({row.claim_token for row in rows})}
        found = connection.execute(settle_sql.attempts_of(self.crm.name), key)
        return {(attempt.claim_token, attempt.contact_id): attempt for attempt in found}

    def _settle_together(self, connection: sa.Connection, rows: Sequence[Any], was_lost: bool) -> Settlement:
        settlement = Settlement()
        done = self._attempts(connection, rows)
        by_status: dict[tuple[SyncStatus, ProcessingStatus], list[dict[str, Any]]] = defaultdict(list)
        superseded: list[dict[str, Any]] = []
        for row in rows:
            attempt = done.get((row.claim_token, row.id))
            if not row.is_claimed:
                settlement.superseded += 1
                superseded.append(_settled(row, _as_it_stands(row), attempt))
                continue
            contact = contact_of(row)
            next_state = self._transition(row, contact, attempt, was_lost)
            settlement.endings[next_state.ending] += 1
            reference = self._reference(contact, next_state, attempt)
            by_status[next_state.sync_status, next_state.processing_status].append(
                _settled(row, next_state, attempt, reference)
            )
        for (sync, processing), group in by_status.items():
            connection.execute(settle_sql.settle_both(self._columns, sync, processing), as_rows("settled", group))
        if superseded:
            ids = {"ids": [entry["id"] for entry in superseded]}
            for statement in settle_sql.honour_decisions(self._columns):
                connection.execute(statement, ids)
            connection.execute(settle_sql.honour_queued(self._columns), ids)
            connection.execute(settle_sql.settle_deliveries(self.crm.name), as_rows("settled", superseded))
        return settlement

    def _transition(self, row: Any, contact: Contact, attempt: Any | None, was_lost: bool) -> Transition:
        standing = Standing(row.retry_count, row.lost_count)
        if attempt is None:
            return transition_after_loss(standing) if was_lost else transition(standing, NOT_SENT, self._policy)
        edited = attempt.contact_hash != contact.fingerprint()
        overtaken = _is_overtaken(row, attempt)
        outcome = outcome_of(attempt.outcome, attempt.reason, attempt.message, attempt.remote_id)
        return transition(Standing(row.retry_count, row.lost_count, edited, overtaken), outcome, self._policy)

    def _reference(self, contact: Contact, next_state: Transition, attempt: Any | None) -> str | None:
        """What the CRM's id column on the contacts table is to hold; None leaves it as it is."""
        if next_state.sync_status is not SyncStatus.Complete or attempt is None:
            return None
        return contact.email if self.crm.holds_address else attempt.remote_id


def _as_it_stands(row: Any) -> Transition:
    """For a contact that a person changed: the claim on the delivery ends, and nothing else changes."""
    return transition(Standing(row.retry_count, row.lost_count), NOT_SENT, RetryPolicy())


def _settled(row: Any, next_state: Transition, attempt: Any | None, reference: str | None = None) -> dict[str, Any]:
    entry = {
        "id": row.id,
        "token": row.claim_token,
        "error": next_state.error,
        "keeps_error": next_state.keeps_error,
        "reference": reference,
        "shared": next_state.shared.value,
        "retry_count": next_state.retry_count,
        "due_in_seconds": None if next_state.due_in is None else next_state.due_in.total_seconds(),
        "lost_count": next_state.losses,
        "payload_hash": _known_payload(row, attempt),
        "remote_id": row.remote_id,
        "remote_fields": _remote_fields(row, attempt),
    }
    if attempt is not None and attempt.outcome == OUTCOME_NAMES[Synced]:
        entry["remote_id"] = attempt.remote_id or _id_of_same_address(row)
        entry["synced_at"] = attempt.attempted_at if attempt.reason != UNCHANGED else None
    return entry


def _known_payload(row: Any, attempt: Any | None) -> str | None:
    """The hash of what the destination holds; None where a call may have landed that nobody saw the end of."""
    if attempt is None or attempt.outcome == OUTCOME_NAMES[Failed]:
        return None
    if attempt.outcome != OUTCOME_NAMES[Synced]:
        known: str | None = row.payload_hash
        return known
    return None if _is_overtaken(row, attempt) else attempt.payload_hash


def _id_of_same_address(row: Any) -> str | None:
    """The id that is known already, unless it is that of another address than the one that was delivered."""
    has_moved = Delivered(normal_form(row.delivered_to or "")).differs_from(contact_of(row))
    known: str | None = None if has_moved else row.remote_id
    return known


def _remote_fields(row: Any, attempt: Any | None) -> str | None:
    """What the destination may hold of ours after an attempt; a late call may have brought back what was emptied."""
    if attempt is None or attempt.remote_fields is None:
        known: str | None = row.remote_fields
        return known
    after = fields_of(attempt.remote_fields)
    return fields_as_text(after | fields_of(row.remote_fields) if _is_overtaken(row, attempt) else after)


def _is_overtaken(row: Any, attempt: Any) -> bool:
    return row.late_payload_hash not in (None, attempt.payload_hash)
