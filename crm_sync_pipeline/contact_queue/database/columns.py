import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable, literal
from crm_sync_pipeline.contact_queue.database.sent_columns import NO, YES, is_read_in_words
from crm_sync_pipeline.contact_queue.database.tables import deliveries
from crm_sync_pipeline.domain.contact import SENT_FIELDS
from crm_sync_pipeline.domain.crm import Crm

NOW = sa.func.now()
EPOCH: sa.ColumnElement[Any] = sa.literal_column("'epoch'::timestamptz")
UUID_TYPE = pg.UUID(as_uuid=True)
TOKEN = sa.bindparam("token", type_=UUID_TYPE)


class _Array(sa.types.UserDefinedType[Any]):
    """An array that is handed over as one text: psycopg takes three times as long over a list."""

    cache_ok = True
    render_bind_cast = True

    def __init__(self, of: str, write: Callable[[Any], str]) -> None:
        self.of, self.write = of, write

    def get_col_spec(self, **_words: Any) -> str:
        return f"{self.of}[]"

    def bind_processor(self, _dialect: sa.Dialect) -> Callable[[Any], str]:
        return lambda values: "{" + ",".join(map(self.write, values)) + "}"


IDS = sa.bindparam("ids", type_=_Array("uuid", attrgetter("hex")))
PLACES = sa.bindparam("places", type_=_Array("tid", '"{}"'.format))
SIZE = sa.bindparam("size", type_=sa.Integer)


built_once = lru_cache(maxsize=64)
"""For what builds a statement: SQLAlchemy compiles one object once, and tells others apart at length each time."""


def seconds(value: sa.ColumnElement[float]) -> sa.ColumnElement[Any]:
    """An interval of `value` seconds."""
    return sa.literal_column("interval '1 second'") * value


LEASE_SECONDS = sa.bindparam("lease_seconds", type_=sa.Float)
LEASE = seconds(LEASE_SECONDS)


def rows_of(parameter: str, fields: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.TableValuedAlias:
    """The rows in a parameter that `as_rows` wrote, as a table of that name.

    One parameter however many rows: quicker to send than an array a column, and a plan fits any number of them.
    """
    written = sa.cast(sa.bindparam(f"{parameter}_rows", type_=sa.Text), pg.JSON)
    columns = [sa.column(name, kind) for name, kind in fields.items()]
    return sa.func.json_to_recordset(written).table_valued(*columns).render_derived(parameter, with_types=True)


def as_rows(parameter: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The parameter that `rows_of` reads; what is None may be left out of a row.

    PostgreSQL's text has no NUL, and refuses all rows where one of them has: it becomes "?".
    """
    written = json.dumps(listed := list(rows), ensure_ascii=False, default=str)
    if r"\u0000" in written:
        without = ({name: _without_nul(value) for name, value in row.items()} for row in listed)
        written = json.dumps(list(without), ensure_ascii=False, default=str)
    return {f"{parameter}_rows": written}


def _without_nul(value: Any) -> Any:
    return value.replace("\0", "?") if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class DestinationColumns:
    """The contacts table as one destination sees it."""

    table: sa.TableClause
    crm: Crm
    enum_of_sync: str | None = None
    enum_of_processing: str | None = None
    """The enum that a status column's domain is made of; None where the column is not a domain over an enum."""

    hides_rows: bool = False
    """Whether row-level security may keep rows from our role."""

    gmail_in_words: bool = False
    """Whether has_gmail is of another type than boolean."""

    @classmethod
    def of(cls, contacts: ContactsTable, crm: Crm) -> "DestinationColumns":
        """The columns of `crm` on `contacts`."""
        sync, processing = (contacts.enum_of(name) for name in (crm.sync_status, crm.processing_status))
        return cls(contacts.known, crm, sync, processing, contacts.hides_rows, is_read_in_words(contacts))

    @property
    def id(self) -> sa.ColumnElement[UUID]:
        """The contact's id."""
        return sa.type_coerce(self.table.c.id, UUID_TYPE)

    @property
    def place(self) -> sa.ColumnElement[Any]:
        """Where the row lies. It stays there for as long as a transaction holds its lock and does not write to it."""
        return self.table.c.ctid

    @property
    def sync(self) -> sa.ColumnElement[Any]:
        """The person's decision."""
        return _comparable(self.table.c[self.crm.sync_status], self.enum_of_sync)

    @property
    def processing(self) -> sa.ColumnElement[Any]:
        """The system's state."""
        return _comparable(self.table.c[self.crm.processing_status], self.enum_of_processing)

    @property
    def is_queued(self) -> sa.ColumnElement[bool]:
        """Wanted by a person and waiting: the predicate of the partial index, to the letter."""
        return sa.and_(self.processing == literal("Queued"), self.sync.in_([literal("Selected"), literal("Queued")]))

    @property
    def is_claimed(self) -> sa.ColumnElement[bool]:
        """As a claim left it: nobody has decided otherwise since."""
        return opaque_to_planner(sa.and_(self.processing == literal("Processing"), self.sync == literal("Processing")))

    @property
    def delivered_to(self) -> sa.ColumnElement[Any]:
        """Of a delivery: the address that it went to last, as it stood in the row; NULL where that is not kept."""
        if not self.crm.holds_address or self.crm.id_column not in self.table.c:
            return sa.cast(sa.null(), sa.Text)
        return sa.case((deliveries.c.synced_at.is_not(None), sa.cast(self.table.c[self.crm.id_column], sa.Text)))

    @property
    def is_processing(self) -> sa.ColumnElement[bool]:
        """Of a contact that is looked up by its id: a claim has it, or had it."""
        return opaque_to_planner(self.processing == literal("Processing"))

    @property
    def is_fresh(self) -> sa.ColumnElement[bool]:
        """Whether a person selected it since the last attempt: only people write Selected."""
        return self.sync == literal("Selected")

    @property
    def steering(self) -> sa.ColumnElement[Any]:
        """The index's first key: what waits for a retry of this destination stands behind what is due.

        A fresh selection waits for nothing, though it was made by another program that left the retry columns as they
        were.
        """
        c = self.table.c
        waits = sa.and_(c.last_failed_crm == literal(self.crm.name), self.sync != literal("Selected"))
        return sa.func.coalesce(sa.case((waits, c.next_retry_at)), EPOCH)

    @property
    def delivery(self) -> sa.ColumnElement[bool]:
        """The join to this destination's delivery."""
        return sa.and_(deliveries.c.contact_id == self.id, deliveries.c.destination == literal(self.crm.name))

    @property
    def is_due(self) -> sa.ColumnElement[bool]:
        """Of a queued contact: past its wait, not on hold, and claimed by nobody. Its delivery is looked up by its key.

        PostgreSQL might make a join by reading all deliveries, where nearly all of a million wait for a retry.
        """
        looked_up = sa.select(self._may_go).where(self.delivery).correlate(self.table).scalar_subquery()
        return sa.and_(self.steering <= NOW, sa.func.coalesce(looked_up, sa.true()))

    @property
    def _may_go(self) -> sa.ColumnElement[bool]:
        waits_no_more = sa.or_(deliveries.c.next_retry_at.is_(None), deliveries.c.next_retry_at <= NOW)
        return sa.and_(deliveries.c.held_at.is_(None), sa.or_(self.is_fresh, waits_no_more), is_free())

    @property
    def has_gmail(self) -> sa.ColumnElement[bool]:
        """The column as it is where it is boolean; else what its words mean, NULL for words that mean neither.

        In the collation "C": in Turkish, a capital I becomes another letter than i.
        """
        column = self.table.c.has_gmail
        if not self.gmail_in_words:
            return column
        text = sa.func.btrim(sa.cast(column, sa.Text), literal(" \t\r\n"))
        word = sa.func.lower(sa.collate(text, "C"))
        return sa.case(
            (word.in_([literal(each) for each in YES]), sa.true()),
            (word.in_([literal(each) for each in NO]), sa.false()),
        )

    def sent_fields(self) -> list[sa.ColumnElement[Any]]:
        """What may be sent, as text (has_gmail as boolean), NULL for a column that the table does not have."""
        found: list[sa.ColumnElement[Any]] = []
        for name in SENT_FIELDS:
            if name not in self.table.c:
                found.append(sa.null().label(name))
            elif name == "has_gmail":
                found.append(self.has_gmail.label(name))
            else:
                found.append(sa.cast(self.table.c[name], sa.Text).label(name))
        return found


def plain_text(value: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The value as text, compared as the database does by default.

    Patterns and parts of a text can't be looked for by some collations that a column may have.
    """
    return sa.cast(value, sa.Text).collate("default")


class _Enum(sa.types.UserDefinedType[Any]):
    """An enum of the user's, by its name as PostgreSQL writes it."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_words: Any) -> str:
        return self.name


def _comparable(column: sa.ColumnElement[Any], enum: str | None) -> sa.ColumnElement[Any]:
    """PostgreSQL finds no operator for a domain over an enum and a literal of no type; it does for the enum."""
    return column if enum is None else sa.cast(column, _Enum(enum))


def opaque_to_planner(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The condition, opaque to the planner.

    It may think that next to nothing is Processing, and then begin there: it would read all that is, or the whole
    table, for each of a thousand contacts that it should look up by their ids.
    """
    return sa.case((condition, sa.true()), else_=sa.false())


def is_free() -> sa.ColumnElement[bool]:
    """The delivery is not claimed, or its lease has run out (or there is no delivery yet)."""
    return sa.or_(deliveries.c.claim_token.is_(None), deliveries.c.lease_expires_at <= NOW)
