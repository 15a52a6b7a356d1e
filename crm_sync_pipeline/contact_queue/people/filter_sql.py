"""A ContactFilter as SQL, for the contacts table as it was found."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import NOW, DestinationColumns, plain_text, seconds
from crm_sync_pipeline.contact_queue.database.tables import attempts
from crm_sync_pipeline.domain.contact_filter import OWN, ContactFilter
from crm_sync_pipeline.domain.crm import sync_status_of

_TIME = pg.TIMESTAMP(timezone=True)


def missing_columns(columns: DestinationColumns, wanted: ContactFilter) -> list[str]:
    """The columns that the filter asks for and the table does not have."""
    asked = [name for name in ("email_type", "domain_id", "page_id") if getattr(wanted, name) is not None]
    asked += ["has_gmail"] if wanted.has_gmail is not None else []
    asked += ["name"] if wanted.name_contains else []
    asked += [sync_status_of(crm) for crm in wanted.statuses if crm != OWN]
    return [name for name in asked if name not in columns.table.c]


def matching(columns: DestinationColumns, wanted: ContactFilter) -> sa.ColumnElement[bool]:
    """Whether a contact is one of those wanted. Statuses are compared as text: an enum may lack a label."""
    return sa.and_(sa.true(), *_conditions(columns, wanted))


def _conditions(columns: DestinationColumns, wanted: ContactFilter) -> Iterator[sa.ColumnElement[bool]]:
    table = columns.table
    for crm, statuses in wanted.statuses.items():
        status = columns.sync if crm == OWN else table.c[sync_status_of(crm)]
        yield _any_of(_text(status), [each.value for each in statuses])
    if wanted.states:
        yield _any_of(_text(columns.processing), [each.value for each in wanted.states])
    for name in ("email_type", "domain_id", "page_id"):
        if (value := getattr(wanted, name)) is not None:
            yield sa.func.lower(_text(table.c[name])) == value.lower()
    if wanted.has_gmail is not None:
        yield sa.func.coalesce(columns.has_gmail, sa.false()) == sa.literal(wanted.has_gmail)
    for name, text in (("email", wanted.email_contains), ("name", wanted.name_contains)):
        if text:
            yield sa.func.strpos(sa.func.lower(plain_text(table.c[name])), sa.func.lower(sa.literal(text, sa.Text))) > 0
    if wanted.reasons:
        yield _any_of(newest_reason(columns), wanted.reasons)
    if wanted.failed_since is not None:
        yield _newest_failure(columns, attempts.c.attempted_at) >= _moment(wanted.failed_since)
    if wanted.failed_until is not None:
        yield _newest_failure(columns, attempts.c.attempted_at) <= _moment(wanted.failed_until)


def _text(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    return sa.cast(column, sa.Text)


def _any_of(value: sa.ColumnElement[str], wanted: Sequence[str]) -> sa.ColumnElement[bool]:
    return value == sa.any_(sa.literal(list(wanted), pg.ARRAY(sa.Text)))


def _moment(at: datetime | timedelta) -> sa.ColumnElement[Any]:
    return (
        sa.literal(at, _TIME) if isinstance(at, datetime) else NOW - seconds(sa.literal(at.total_seconds(), sa.Float))
    )


def newest_reason(columns: DestinationColumns) -> sa.ColumnElement[str]:
    """Why a contact failed last, by the words of `ask.error_groups`; NULL for one whose newest attempt succeeded."""
    error = plain_text(columns.table.c[columns.crm.processing_error])
    ended_by_us = sa.func.substring(error, "^(lease_expired|not_recorded): ")
    return sa.func.coalesce(ended_by_us, _newest_failure(columns, attempts.c.reason))


def _newest_failure(columns: DestinationColumns, of_it: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Something of the newest attempt at a contact, looked up by its index; NULL where that was a success."""
    return (
        sa.select(sa.case((attempts.c.outcome != "synced", of_it)))
        .where(attempts.c.contact_id == columns.id, attempts.c.destination == columns.crm.name)
        .order_by(attempts.c.id.desc())
        .limit(1)
        .correlate(columns.table)
        .scalar_subquery()
    )
