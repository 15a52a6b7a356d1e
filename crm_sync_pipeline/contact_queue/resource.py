"""The database as a Dagster resource, and the engine behind it."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import dagster as dg
import psycopg
import sqlalchemy as sa
from pydantic import Field

from crm_sync_pipeline.contact_queue.database.catalogue import find_contacts_table, other_kind
from crm_sync_pipeline.contact_queue.database.connection import BoundedConnection, connect_args
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable
from crm_sync_pipeline.contact_queue.database.ddl import connect_without_time_outs
from crm_sync_pipeline.contact_queue.database.finding import Finding
from crm_sync_pipeline.contact_queue.database.schema import check, require_usable
from crm_sync_pipeline.contact_queue.database.transactions import (
    AT_ONCE,
    READ_FROM,
    DatabaseError,
    in_transaction,
    what_happened,
)
from crm_sync_pipeline.contact_queue.database.upgrade import Say, upgrade
from crm_sync_pipeline.contact_queue.database.url import LOOKS_LIKE, DatabaseUrlError, parsed
from crm_sync_pipeline.contact_queue.people.acts import Actor, Acts
from crm_sync_pipeline.contact_queue.people.pruning import History
from crm_sync_pipeline.contact_queue.people.selection import Selection
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.reading.report import Report
from crm_sync_pipeline.domain.crm import Crm, Crms
from crm_sync_pipeline.domain.retry import RetryPolicy
from crm_sync_pipeline.settings import DATABASE_URL, Settings
from crm_sync_pipeline.settings.values import plain

AS_READ = "crm_sync_url"
"""The engine's execution option that holds the PostgresUrl, with what an engine's URL leaves out."""


def engine_for(url: str, variable: str = DATABASE_URL) -> sa.Engine:
    """The process's engine for a URL: psycopg 3 whatever driver the URL names, short time-outs, checked connections.

    DatabaseUrlError where the URL can't be one of PostgreSQL's; it names `variable`, which the URL was read from.
    """
    return _engine_for(url, variable)


@lru_cache(maxsize=8)
def _engine_for(url: str, variable: str) -> sa.Engine:
    postgres = parsed(url, variable)
    engine = sa.create_engine(
        postgres.url,
        pool_pre_ping=True,
        hide_parameters=True,  # they are people's data, and an error's text ends in logs
        use_native_hstore=False,  # nothing of ours is one, and each new connection would ask for it
        pool_size=5,
        max_overflow=10,
        connect_args=connect_args(postgres) | {"application_name": "crm_sync_pipeline"},
        execution_options={READ_FROM: variable, AS_READ: postgres},
    )

    @sa.event.listens_for(engine, "do_connect")
    def connect(*arguments: Any) -> BoundedConnection:
        _dialect, _record, words, options = arguments
        return BoundedConnection.connect(*words, **options, autocommit=True).prepared(postgres.search_path)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            ours: Any = connection.connection.driver_connection
            connection.exec_driver_sql(ours.begin)

    return engine


def engine_without_time_outs(engine: sa.Engine) -> sa.Engine:
    """For migrations: an index of a large table may take long, and may have to wait long.

    No statement is prepared: behind a pooler in transaction mode the next one may run on another server connection.
    """
    options = engine.get_execution_options()
    own = {"prepare_threshold": None, "application_name": "crm_sync_pipeline"}
    unlimited = sa.create_engine(
        engine.url,
        poolclass=sa.NullPool,
        hide_parameters=True,
        isolation_level="READ COMMITTED",  # an idle transaction of another level would keep a snapshot
        connect_args=connect_args(options[AS_READ]) | own,
        execution_options={name: options[name] for name in (READ_FROM, AS_READ)},
    )

    @sa.event.listens_for(unlimited, "do_connect")
    def connect(*arguments: Any) -> psycopg.Connection[Any]:
        _dialect, _record, words, options = arguments
        return connect_without_time_outs(words, options)

    return unlimited


class RetryConfig(dg.Config):
    """When a delivery is tried again; see RetryPolicy."""

    max_retries: int = Field(default=3, ge=0, description="Retries after the first attempt.")
    delay_minutes: int = Field(default=5, ge=1, description="Minutes before the first retry.")
    exponential: bool = Field(default=True, description="Double the wait each time, or add.")
    retry_rejected: bool = Field(default=True, description="Retry refused data too.")

    @property
    def policy(self) -> RetryPolicy:
        """The same as the domain's policy."""
        delay = timedelta(minutes=self.delay_minutes)
        return RetryPolicy(self.max_retries, delay, self.exponential, self.retry_rejected)


class CrmConfig(dg.Config):
    """A CRM's columns on the contacts table: the fields of the domain's Crm, as Dagster writes them down."""

    name: str
    title: str
    id_column: str
    holds_address: bool = False
    carries: dict[str, list[str]] = Field(default={})


def as_config(crms: Crms) -> list[CrmConfig]:
    """These CRMs, for the field `crms` of a DatabaseResource."""
    return [
        CrmConfig(
            name=crm.name,
            title=crm.title,
            id_column=crm.id_column,
            holds_address=crm.holds_address,
            carries={column: list(fields) for column, fields in crm.carries.items()},
        )
        for crm in crms.values()
    ]


class DatabaseResource(dg.ConfigurableResource[None]):
    """The PostgreSQL that holds the contacts table and, beside it, schema crm_sync."""

    url: str = Field(repr=False, description="postgresql://...; env CRM_SYNC_DATABASE_URL or DATABASE_URL.")
    url_variable: str = Field(default=DATABASE_URL, description="The variable that the URL is read from, for messages.")
    contacts_table: str = Field(default="contacts", description="Table or schema.table; env CRM_SYNC_CONTACTS_TABLE.")
    lease_seconds: int = Field(default=300, ge=1, description="How long a claim holds without progress.")
    retries: dict[str, RetryConfig] = Field(default={}, description="By destination; the default for one not named.")
    crms: list[CrmConfig] = Field(default=[], description="The CRMs that the contacts table may have columns for.")

    @classmethod
    def from_settings(cls, settings: Settings, crms: Crms, *, secrets_from_environment: bool) -> "DatabaseResource":
        """The database as the environment sets it; with `secrets_from_environment` Dagster reads the URL itself."""
        variable, secret = settings.general.database_variable, settings.general.database
        url = secret.get_secret_value() if secret else ""
        return cls(
            url=dg.EnvVar(variable) if url and secrets_from_environment else url,
            url_variable=variable,
            contacts_table=settings.general.crm_sync_contacts_table,
            lease_seconds=settings.general.crm_sync_lease_seconds,
            retries={
                name: RetryConfig(
                    max_retries=sync.max_retries,
                    delay_minutes=sync.retry_delay_minutes,
                    exponential=sync.retry_exponential,
                    retry_rejected=sync.retry_rejected,
                )
                for name, sync in settings.sync.items()
            },
            crms=as_config(crms),
        )

    @property
    def known_crms(self) -> Crms:
        """The CRMs that the contacts table may have columns for, by name."""
        return {each.name: Crm(**each.model_dump()) for each in self.crms}

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

    def giving_up_after(self, seconds: int) -> "DatabaseResource":
        """The same database, for who would rather have no answer than a late one: so long may connecting take."""
        url = parsed(self._url_that_is_set(), self.url_variable)
        return DatabaseResource(
            url=url.rendered(connect_timeout=str(seconds)),
            url_variable=self.url_variable,
            contacts_table=self.contacts_table,
            lease_seconds=self.lease_seconds,
            retries=self.retries,
            crms=self.crms,
        )

    def contacts(self, patience: timedelta = AT_ONCE) -> ContactsTable:
        """The contacts table as it is now. DatabaseError where it can't be reached or found."""
        found, kind = in_transaction(
            self.engine,
            lambda connection: (
                find_contacts_table(connection, self.contacts_table, self.known_crms),
                other_kind(connection, self.contacts_table),
            ),
            patience,
        )
        if kind:
            raise DatabaseError(
                f"{self.contacts_table} is {kind}; the queue needs an ordinary table, whose rows it can lock. "
                "Nothing was done. Name the table behind it with CRM_SYNC_CONTACTS_TABLE."
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
        now: datetime = in_transaction(self.engine, lambda connection: connection.execute(query).scalar_one(), AT_ONCE)
        return now

    def upgrade(self, say: Say) -> ContactsTable:
        """Add schema crm_sync and the indexes, and the contacts table where there is none; `say` hears each step."""
        try:
            return upgrade(engine_without_time_outs(self.engine), self._table_to_upgrade(), self.known_crms, say)
        except sa.exc.DBAPIError as error:
            raise DatabaseError(what_happened(self.engine, error)) from None

    def _table_to_upgrade(self) -> str:
        """With the schema that the URL's search path leads to: an upgrade's sessions do not have that path."""
        path = self.engine.get_execution_options()[AS_READ].search_path
        if path is None or "." in self.contacts_table:
            return self.contacts_table
        found = in_transaction(
            self.engine, lambda connection: find_contacts_table(connection, self.contacts_table, self.known_crms)
        )
        return f"{found.schema if found else path.partition(',')[0]}.{self.contacts_table}"

    def policy(self, destination: str) -> RetryPolicy:
        """When this destination's deliveries are tried again."""
        return self.retries.get(destination, RetryConfig()).policy

    def queue(self, destination: str, patience: timedelta = AT_ONCE) -> ContactQueue:
        """The queue of one destination. DatabaseError names what its columns or our tables lack.

        `patience`: how long to wait for a database that does not answer now.
        """
        contacts = self.contacts(patience)
        crm = contacts.crms[destination]
        require_usable(self.engine, contacts, crm)
        return ContactQueue(self.engine, contacts, crm, self.policy(destination), timedelta(seconds=self.lease_seconds))

    def selection(self) -> Selection:
        """What people decide: select, unselect, requeue."""
        return Selection(self.engine, self.contacts())

    def acts(self, actor: Actor) -> Acts:
        """The same, each act recorded with who did it."""
        return Acts(self.engine, self.contacts(), actor)

    def history(self) -> History:
        """What ends: prune, forget."""
        return History(self.engine, self.contacts())

    def report(self) -> Report:
        """What people ask: status, explain."""
        return Report(self.engine, self.contacts(), timedelta(seconds=self.lease_seconds))
