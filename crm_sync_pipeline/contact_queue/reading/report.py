"""What people ask: how does the queue stand, and what became of one contact."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.addresses import parameters_for
from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable
from crm_sync_pipeline.contact_queue.database.schema import require_usable
from crm_sync_pipeline.contact_queue.database.transactions import in_transaction
from crm_sync_pipeline.contact_queue.reading import report_sql
from crm_sync_pipeline.contact_queue.reading.figures import Expired, Figures, QueueFigures
from crm_sync_pipeline.contact_queue.worker.breaker import BreakerRecord
from crm_sync_pipeline.domain.address import normal_form
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.explanation import AttemptRecord, Facts, Twin
from crm_sync_pipeline.domain.health import Down
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.domain.transition import ProcessingStatus


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """One CRM's queue. `counts` are those of the whole table, by state; `now` is counted up to COUNTED_UP_TO.

    `not_wanted` are Queued, though their sync status says that nobody selected them. `expired` is what has stood
    Processing longest past its lease.
    """

    crm: str
    title: str
    counts: dict[str, int]
    not_wanted: int
    now: QueueFigures
    next_retry_at: datetime | None
    expired: Expired | None
    down: Down | None


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Deliveries whose newest attempt failed or was refused for one reason, and what became of them."""

    reason: str
    message: str
    state: str
    count: int
    next_retry_at: datetime | None = None
    contact_ids: tuple[str, ...] = field(default=())


class Report:
    """Reads the tables and changes nothing. `status` counts the whole table: for people, not for the sensor."""

    def __init__(
        self, engine: sa.Engine, contacts: ContactsTable, lease: timedelta, off: Mapping[str, str] | None = None
    ) -> None:
        self._engine = engine
        self._contacts = contacts
        self._lease = lease
        self._off = off or {}

    def crms(self) -> list[Crm]:
        """The CRMs that this contacts table has columns for."""
        return self._contacts.served

    def status(self, crm: Crm) -> QueueStatus:
        """How many contacts stand where, for one CRM."""
        require_usable(self._engine, self._contacts, crm)
        columns = DestinationColumns.of(self._contacts, crm)
        figures = Figures(self._engine, columns, self._lease)
        query = report_sql.counts_by_state(columns)
        rows = in_transaction(self._engine, lambda connection: connection.execute(query).all())
        return QueueStatus(
            crm.name,
            crm.title,
            {row.state: row.total for row in rows},
            sum(row.not_wanted for row in rows),
            figures.now(),
            figures.next_retry_at(),
            figures.longest_expired(),
            BreakerRecord(self._engine, crm.name).state(),
        )

    def attempted(self, destination: str) -> int:
        """How many attempts the journal holds for one destination."""
        query = report_sql.attempts_count(destination)
        return in_transaction(self._engine, lambda connection: int(connection.execute(query).scalar_one()))

    def contacts_count(self) -> int:
        """How many rows the contacts table has."""
        query = sa.select(sa.func.count()).select_from(self._contacts.clause)
        return in_transaction(self._engine, lambda connection: int(connection.execute(query).scalar_one()))

    def errors(self, crm: Crm, ids_shown: int = 3) -> list[ErrorGroup]:
        """Why deliveries wait for a retry or ended in Error, the most frequent reason first; addresses are masked."""
        query = report_sql.error_groups(DestinationColumns.of(self._contacts, crm), ids_shown)
        rows = in_transaction(self._engine, lambda connection: connection.execute(query).all())
        return [
            ErrorGroup(
                row.reason,
                redacted(row.message or ""),
                row.state,
                row.total,
                row.next_retry_at,
                tuple(row.contact_ids),
            )
            for row in rows
        ]

    def facts(self, crm: Crm, contact_id: UUID, max_retries: int) -> Facts:
        """All that is known of one delivery. CrmSyncError for an unknown contact."""
        require_usable(self._engine, self._contacts, crm)
        columns = DestinationColumns.of(self._contacts, crm)

        def read(connection: sa.Connection) -> Facts:
            row = connection.execute(report_sql.delivery_of(columns), {"id": contact_id}).one_or_none()
            if row is None:
                raise CrmSyncError(f"There is no contact {contact_id}. Check the id.")
            attempts = tuple(
                AttemptRecord(
                    attempt.attempted_at,
                    attempt.number,
                    attempt.outcome,
                    attempt.reason,
                    attempt.message,
                    attempt.http_status,
                    attempt.request_id,
                    attempt.milliseconds,
                    attempt.run_id,
                )
                for attempt in connection.execute(report_sql.history_of(crm.name), {"id": contact_id})
            )
            return Facts(
                contact_id=str(contact_id),
                email=row.email or "",
                destination=crm.name,
                title=crm.title,
                sync_status=row.sync_status,
                processing_status=row.processing_status,
                error=row.error,
                now=row.now,
                max_retries=max_retries,
                retry_count=row.retry_count or 0,
                next_retry_at=row.next_retry_at,
                lease_expires_at=row.lease_expires_at if row.claim_token else None,
                lost_count=row.lost_count or 0,
                run_id=row.run_id,
                selected_at=row.selected_at,
                synced_at=row.synced_at,
                remote_id=row.remote_id,
                held_at=row.held_at,
                overwritten_by=_overwritten_by(connection, columns, row, contact_id),
                down=BreakerRecord(self._engine, crm.name).state(),
                off=self._off.get(crm.name, ""),
                attempts=attempts,
            )

        return in_transaction(self._engine, read)


def _overwritten_by(connection: sa.Connection, columns: DestinationColumns, row: Any, contact_id: UUID) -> Twin | None:
    """Asked only of what was delivered, because it takes a look at every address."""
    if not columns.crm.by_address:
        return None
    address = normal_form(row.email or "")
    if row.processing_status != ProcessingStatus.Complete.value or row.synced_at is None or not address:
        return None
    key = {"id": contact_id, "synced_at": row.synced_at, "payload_hash": row.payload_hash, **parameters_for(address)}
    found = connection.execute(report_sql.overwritten_by(columns), key)
    return next((Twin(str(each.id), each.synced_at) for each in found if normal_form(each.email) == address), None)
