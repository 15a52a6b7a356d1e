"""The user's contacts table as it was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.domain.contact import SENT_FIELDS
from crm_sync_pipeline.domain.crm import Crm, Crms


@dataclass(frozen=True, slots=True)
class Column:
    """A column as PostgreSQL describes it. `type` as format_type() writes it; `labels` of an enum, else None.

    Of a domain, `type` is what it is made of in the end. `strict_domains` are those of its domains that refuse NULL.
    `generated`: the expression that PostgreSQL computes it by.
    """

    name: str
    type: str
    not_null: bool
    type_name: str
    labels: tuple[str, ...] | None = None
    domain: str | None = None
    strict_domains: tuple[str, ...] = ()
    generated: str | None = None

    @property
    def described(self) -> str:
        """The type for people: with the domain's name where it is one."""
        return self.type if self.domain is None else f"domain {self.domain} over {self.type}"


@dataclass(frozen=True, slots=True)
class ContactsTable:
    """The user's contacts table: what it is called, and which columns it has.

    `hides_rows`: row-level security may keep rows from our role. A row that we can't see need not be gone then.
    `crms`: those that it may have columns for, by name.
    """

    schema: str
    name: str
    columns: Mapping[str, Column]
    hides_rows: bool = False
    crms: Crms = field(default_factory=dict)

    @property
    def clause(self) -> sa.TableClause:
        """The table for statements; its columns carry no type, so that enum and text statuses read alike."""
        return _clause(self.schema, self.name, tuple(self.columns))

    @property
    def known(self) -> sa.TableClause:
        """The table for statements, with the columns that we know alone, and the place (`ctid`) of each row.

        SQLAlchemy takes a parameter for a value to be written where an updated table has a column of that name. One
        object for all descriptions that are equal, so that the statements on it are built once.
        """
        known = {*_SHARED_COLUMNS, *SENT_FIELDS, *(name for crm in self.crms.values() for name in crm.columns)}
        return _clause(self.schema, self.name, ("ctid", *(name for name in self.columns if name in known)))

    @property
    def qualified(self) -> str:
        """schema.name, quoted where PostgreSQL needs it."""
        return _PREPARER.format_table(self.clause)

    @property
    def served(self) -> list[Crm]:
        """The CRMs that contacts can be selected for: those whose two status columns are there."""
        return [crm for crm in self.crms.values() if self.has(crm)]

    def has(self, crm: Crm) -> bool:
        """Whether the table has this CRM's two status columns, so that contacts can be selected for it."""
        return crm.sync_status in self.columns and crm.processing_status in self.columns

    def enum_of(self, name: str) -> str | None:
        """The enum behind a column that is a domain over one; None for every other column."""
        column = self.columns.get(name)
        return column.type_name if column is not None and column.domain and column.labels else None


_SHARED_COLUMNS = (
    *("id", "email", "created_at", "updated_at"),
    *("retry_count", "next_retry_at", "last_retry_at", "last_failed_crm"),
)


@lru_cache(maxsize=16)
def _clause(schema: str, name: str, columns: tuple[str, ...]) -> sa.TableClause:
    return sa.table(name, *(sa.column(column) for column in columns), schema=schema)


_PREPARER = pg.dialect().identifier_preparer  # type: ignore[no-untyped-call] # SQLAlchemy leaves dialect() untyped


def quoted(name: str) -> str:
    """An identifier, quoted where PostgreSQL needs it."""
    return str(_PREPARER.quote(name))


def literal(text: str) -> sa.ColumnElement[Any]:
    """A quoted SQL literal of no type: it fits enum and text columns, and lets a generic plan use partial indexes."""
    escaped = text.replace("'", "''")
    return sa.literal_column(f"'{escaped}'")
