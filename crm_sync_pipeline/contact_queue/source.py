"""The database that holds the contacts: its queues, and what else is asked of it. Imports no Dagster."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from crm_sync_pipeline.contact_queue.database.catalogue import find_contacts_table
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable
from crm_sync_pipeline.contact_queue.database.engine import AS_READ, engine_for, engine_without_time_outs
from crm_sync_pipeline.contact_queue.database.finding import Finding
from crm_sync_pipeline.contact_queue.database.schema import check, require_usable
from crm_sync_pipeline.contact_queue.database.transactions import (
    NO_PATIENCE,
    DatabaseError,
    in_transaction,
    what_happened,
)
from crm_sync_pipeline.contact_queue.database.url import LOOKS_LIKE, DatabaseUrlError, parsed
from crm_sync_pipeline.contact_queue.people.acts import Actor, Acts
from crm_sync_pipeline.contact_queue.people.pruning import History
from crm_sync_pipeline.contact_queue.people.selection import Selection
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.reading.report import Report
from crm_sync_pipeline.domain.crm import Crm, Crms
from crm_sync_pipeline.domain.retry import RetryPolicy
from crm_sync_pipeline.settings import DATABASE_URL, Settings, SyncSettings
from crm_sync_pipeline.settings.values import plain

if TYPE_CHECKING:
    from crm_sync_pipeline.contact_queue.database.upgrade import Say

T = TypeVar("T")

DESCRIBED_AGAIN_AFTER_SECONDS = 60


class Database(BaseModel):
    """The PostgreSQL that holds the contacts table and, beside it, schema crm_sync."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(repr=False, description="postgresql://...; env CRM_SYNC_DATABASE_URL or DATABASE_URL.")
    url_variable: str = Field(default=DATABASE_URL, description="The variable that the URL is read from, for messages.")
    contacts_table: str = Field(default="contacts", description="Table or schema.table; env CRM_SYNC_CONTACTS_TABLE.")
    lease_seconds: int = Field(default=300, ge=1, description="How long a claim holds without progress.")
    crms: Mapping[str, Crm] = Field(default={}, description="The CRMs that the table may have columns for, by name.")
    off: Mapping[str, str] = Field(
        default={}, description="The CRMs that nothing is delivered to, by name, with the variables that they lack."
    )
    policies: Mapping[str, RetryPolicy] = Field(
        default={}, description="When deliveries are tried again, by destination; the default for one not named."
    )

    @classmethod
    def from_settings(cls, settings: Settings, crms: Crms, off: Mapping[str, str] | None = None) -> "Database":
        """As the settings name it, with these CRMs, of which some may be off."""
        general, secret = settings.general, settings.general.database
        return cls(
            url=secret.get_secret_value() if secret else "",
            url_variable=general.database_variable,
            contacts_table=general.crm_sync_contacts_table,
            lease_seconds=general.crm_sync_lease_seconds,
            crms=crms,
            off=off or {},
            policies={name: _policy(sync) for name, sync in settings.sync.items()},
        )

    def policy(self, destination: str) -> RetryPolicy:
        """When this destination's deliveries are tried again."""
        return self.policies.get(destination, RetryPolicy())

    def giving_up_after(self, seconds: int) -> "Database":
        """A copy that gives up connecting after `seconds`."""
        return self.model_copy(update={"url": self._url_giving_up_after(seconds)})

    @property
    def engine(self) -> sa.Engine:
        """The engine for `url`. DatabaseUrlError where there is no URL, or a wrong one."""
        return engine_for(self._url_that_is_set(), self.url_variable)

    def _url_that_is_set(self) -> str:
        url = plain(self.url)  # Dagster hands it on as it stands in the environment
        if not url:
            raise DatabaseUrlError(
                f"{self.url_variable} is not set. Nothing was done. Set it to the PostgreSQL that holds your contacts, "
                f"such as {LOOKS_LIKE}, or try `./run demo`, which brings its own."
            )
        return url

    def _url_giving_up_after(self, seconds: int) -> str:
        url = parsed(self._url_that_is_set(), self.url_variable)
        return url.rendered(connect_timeout=str(seconds))

    def contacts(self, patience: timedelta = NO_PATIENCE) -> ContactsTable:
        """The contacts table as it is now. DatabaseError where it can't be reached or found."""
        found = in_transaction(
            self.engine,
            lambda connection: find_contacts_table(connection, self.contacts_table, self.crms),
            patience,
        )
        if found is None:
            raise DatabaseError(
                f"There is no table {self.contacts_table} in the database. Nothing was done. Name yours with "
                "CRM_SYNC_CONTACTS_TABLE, or let `crm-sync db upgrade` create one."
            )
        return found

    def check(self, destination: str | None = None) -> list[Finding]:
        """Every fault of the database, and what is well, for one destination or all: `crm-sync db check`."""
        contacts = self.contacts()
        crms = [contacts.crms[destination]] if destination else None
        return in_transaction(self.engine, lambda connection: check(connection, contacts, crms))

    def clock(self) -> datetime:
        """PostgreSQL's time, with its zone."""
        query = sa.select(sa.func.clock_timestamp())
        now: datetime = in_transaction(
            self.engine, lambda connection: connection.execute(query).scalar_one(), NO_PATIENCE
        )
        return now

    def upgrade(self, say: "Say") -> ContactsTable:
        """Add schema crm_sync and the indexes, and the contacts table where there is none; `say` hears each step."""
        try:
            from crm_sync_pipeline.contact_queue.database.upgrade import upgrade  # Alembic, which nothing else needs

            return upgrade(engine_without_time_outs(self.engine), self._table_to_upgrade(), self.crms, say)
        except sa.exc.DBAPIError as error:
            raise DatabaseError(what_happened(self.engine, error)) from None

    def _table_to_upgrade(self) -> str:
        """With the schema that the URL's search path leads to: an upgrade's sessions do not have that path."""
        path = self.engine.get_execution_options()[AS_READ].search_path
        if path is None or "." in self.contacts_table:
            return self.contacts_table
        found = in_transaction(
            self.engine, lambda connection: find_contacts_table(connection, self.contacts_table, self.crms)
        )
        return f"{found.schema if found else path.partition(',')[0]}.{self.contacts_table}"

    def queue(self, destination: str, patience: timedelta = NO_PATIENCE) -> ContactQueue:
        """The queue of one destination. DatabaseError names what its columns or our tables lack.

        `patience`: how long to wait for a database that does not answer now.
        """
        last = self._last_description(destination)
        last.contacts = None
        contacts, described_at = self.contacts(patience), time.monotonic()
        require_usable(self.engine, contacts, contacts.crms[destination])
        last.contacts, last.described_at = contacts, described_at
        return self._queue_on(contacts, destination)

    def ask(self, destination: str, question: Callable[[ContactQueue], T]) -> T:
        """The answer of a destination's queue, for questions that are asked all the time and change nothing.

        The catalogue is read once a minute instead of for each question. Where PostgreSQL refuses a statement, the
        table may have changed (a column, a type or a table of ours is gone): it is described again, and asked again.
        """
        last = self._last_description(destination)
        contacts = last.contacts
        if contacts is not None and time.monotonic() < last.described_at + DESCRIBED_AGAIN_AFTER_SECONDS:
            try:
                return question(self._queue_on(contacts, destination))
            except DatabaseError as error:
                if not error.is_refusal:
                    raise
        return question(self.queue(destination))

    def _queue_on(self, contacts: ContactsTable, destination: str) -> ContactQueue:
        lease = timedelta(seconds=self.lease_seconds)
        return ContactQueue(self.engine, contacts, contacts.crms[destination], self.policy(destination), lease)

    def _last_description(self, destination: str) -> "_Description":
        return _last_description(plain(self.url), self.contacts_table, tuple(self.crms.values()), destination)

    def selection(self) -> Selection:
        """What people decide: select, unselect, requeue."""
        return Selection(self.engine, self.contacts())

    def acts(self, actor: Actor) -> Acts:
        """What people do with contacts (select, requeue, hold and the like), each act recorded with who did it."""
        return Acts(self.engine, self.contacts(), actor, self.off)

    def history(self) -> History:
        """What ends: prune, forget."""
        return History(self.engine, self.contacts())

    def report(self) -> Report:
        """What people ask: status, explain."""
        return Report(self.engine, self.contacts(), timedelta(seconds=self.lease_seconds), self.off)


def _policy(sync: SyncSettings) -> RetryPolicy:
    delay = timedelta(minutes=sync.retry_delay_minutes)
    return RetryPolicy(sync.max_retries, delay, sync.retry_exponential, sync.retry_rejected)


@dataclass
class _Description:
    """A contacts table that was found fit for a destination, and when, by this process's clock."""

    contacts: ContactsTable | None = None
    described_at: float = 0.0


@lru_cache(maxsize=64)
def _last_description(_url: str, _contacts_table: str, _crms: tuple[Crm, ...], _destination: str) -> _Description:
    """One for all resources of the process: Dagster makes a new resource for each tick."""
    return _Description()
