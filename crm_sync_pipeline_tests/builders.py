"""Things that tests are made of: a database with a contacts table, contacts in it, the passing of time."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable
from crm_sync_pipeline.contact_queue.database.engine import engine_for, engine_without_time_outs
from crm_sync_pipeline.contact_queue.database.upgrade import upgrade
from crm_sync_pipeline.contact_queue.people.acts import Actor, ActResult, Acts
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.batch import Attempt, Settlement
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import Outcome, Synced
from crm_sync_pipeline.domain.retry import RetryPolicy

TESTS = Actor("tests")
"""Who does what a test needs beforehand."""

LEASE = timedelta(seconds=300)

T = TypeVar("T")

USERS_TABLE = """
-- A contacts table as a user may already have it: native enums, foreign keys, columns that are not ours.
CREATE SCHEMA IF NOT EXISTS public;
CREATE TYPE contact_email_type_enum AS ENUM ('SERVICE','CORPORATE','FREE','UNKNOWN');
CREATE TYPE hubspot_sync_status AS ENUM ('New','Selected','Queued','Processing','Complete','Error','Skipped');
CREATE TYPE hubspot_sync_processing_status AS ENUM ('Queued','Processing','Complete','Error');
CREATE TYPE crm_sync_status AS ENUM ('New','Selected','Queued','Processing','Complete','Error','Skipped');
CREATE TYPE crm_processing_status AS ENUM ('Queued','Processing','Complete','Error');
CREATE TABLE domains (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
CREATE TABLE pages (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
CREATE TABLE contacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    domain_id uuid NOT NULL REFERENCES domains(id) ON DELETE CASCADE,
    page_id uuid NOT NULL REFERENCES pages(id) ON DELETE CASCADE,
    email text NOT NULL, email_type contact_email_type_enum, has_gmail boolean DEFAULT false,
    context text, source_url text, source_job_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    name varchar, phone_number varchar,
    hubspot_sync_status hubspot_sync_status NOT NULL DEFAULT 'New',
    hubspot_processing_status hubspot_sync_processing_status, hubspot_processing_error text, hubspot_contact_id varchar,
    brevo_sync_status crm_sync_status NOT NULL DEFAULT 'New',
    brevo_processing_status crm_processing_status, brevo_processing_error text, brevo_contact_id varchar,
    mautic_sync_status crm_sync_status NOT NULL DEFAULT 'New',
    mautic_processing_status crm_processing_status, mautic_processing_error text, mautic_contact_id varchar,
    n8n_sync_status crm_sync_status NOT NULL DEFAULT 'New',
    n8n_processing_status crm_processing_status, n8n_processing_error text, n8n_workflow_id varchar,
    retry_count integer NOT NULL DEFAULT 0, last_retry_at timestamptz, next_retry_at timestamptz,
    last_failed_crm varchar,
    debounce_validation_status crm_sync_status DEFAULT 'New', enrichment_status varchar(20),
    enriched_address jsonb, enrichment_duration_seconds float,
    CONSTRAINT contacts_domain_id_email_key UNIQUE (domain_id, email)
);
INSERT INTO domains DEFAULT VALUES;
INSERT INTO pages DEFAULT VALUES;
"""

BREVO_ONLY_TABLE = """
-- Text statuses, Brevo's columns alone, another name in another schema, and none of the optional columns but name.
CREATE SCHEMA app;
CREATE TABLE app.people (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email varchar(320) NOT NULL,
    name text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    brevo_sync_status text NOT NULL DEFAULT 'New',
    brevo_processing_status varchar(20),
    brevo_processing_error text,
    brevo_contact_id varchar,
    retry_count integer NOT NULL DEFAULT 0, last_retry_at timestamptz, next_retry_at timestamptz,
    last_failed_crm varchar
);
"""


@dataclass(frozen=True)
class World:
    """A database with a contacts table in it, and what tests do to it."""

    url: str
    table: str = "contacts"
    lease: timedelta = LEASE
    policies: Mapping[str, RetryPolicy] | None = None
    _found: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was looked up in the catalogue: again only when a test has changed more than rows."""

    @property
    def database(self) -> Database:
        return Database(
            url=self.url,
            contacts_table=self.table,
            crms=CRMS,
            lease_seconds=int(self.lease.total_seconds()),
            policies=dict(self.policies or {}),
        )

    @property
    def engine(self) -> sa.Engine:
        return engine_for(self.url)

    def _look_up(self, what: str, look: Callable[[], T]) -> T:
        found: T = self._found[what] if what in self._found else self._found.setdefault(what, look())
        return found

    def execute(self, statement: str, **parameters: Any) -> None:
        self._forget(statement)
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), parameters)

    def script(self, statements: str) -> None:
        self._forget(statements)
        with self.engine.begin() as connection:
            connection.exec_driver_sql(statements)

    def _forget(self, statements: str) -> None:
        if not re.match(r"\s*(INSERT|UPDATE|DELETE|TRUNCATE)\b[^;]*$", statements):
            self._found.clear()

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(query), parameters).mappings()]

    def value(self, query: str, **parameters: Any) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(sa.text(query), parameters).scalar_one()

    def upgrade(self) -> list[str]:
        said: list[str] = []
        self._found.clear()
        upgrade(engine_without_time_outs(self.engine), self.table, CRMS, said.append)
        return said

    def queue(self, destination: str = "brevo") -> ContactQueue:
        database = self.database
        contacts = self._look_up(destination, lambda: self._usable(destination))
        return ContactQueue(self.engine, contacts, CRMS[destination], database.policy(destination), self.lease)

    def _usable(self, destination: str) -> ContactsTable:
        self.database.queue(destination)
        return self.database.contacts()

    @property
    def _acts(self) -> Acts:
        return self._look_up("acts", lambda: self.database.acts(TESTS))

    def add(self, *emails: str, selected: bool = True, **columns: Any) -> list[UUID]:
        """Contacts with these addresses, selected for Brevo unless told otherwise; their ids, in order."""
        owner = self._look_up("contacts", self.database.contacts).columns.get("domain_id")
        owners = owner is not None and owner.not_null
        ids = []
        for email in emails:
            values = {"email": email, **columns}
            names = ", ".join(values)
            marks = ", ".join(f":{name}" for name in values)
            fixed = ", domain_id, page_id" if owners else ""
            picked = ", (SELECT id FROM domains LIMIT 1), (SELECT id FROM pages LIMIT 1)" if owners else ""
            if owners and self.value("SELECT count(*) FROM contacts WHERE email = :email", email=email):
                picked = ", (SELECT domain_id FROM extra), (SELECT id FROM pages LIMIT 1)"
            extra = "WITH extra AS (INSERT INTO domains DEFAULT VALUES RETURNING id AS domain_id) " if owners else ""
            with self.engine.begin() as connection:
                ids.append(
                    connection.execute(
                        sa.text(
                            f"{extra}INSERT INTO {self.table} ({names}{fixed}) VALUES ({marks}{picked}) RETURNING id"
                        ),
                        values,
                    ).scalar_one()
                )
        if selected and ids:
            self.select(*ids)
        return ids

    def add_many(self, count: int, crm: str = "brevo") -> None:
        """So many contacts of the user's table, selected for one CRM, by one statement."""
        self.execute(
            f"""
            INSERT INTO contacts (email, domain_id, page_id, {crm}_sync_status, {crm}_processing_status)
            SELECT n || '@example.com', domains.id, pages.id, 'Selected', 'Queued'
            FROM generate_series(1, :count) n,
                 (SELECT id FROM domains LIMIT 1) domains, (SELECT id FROM pages LIMIT 1) pages
            """,
            count=count,
        )

    def select(self, *ids: UUID, crms: Sequence[str] = ("brevo",)) -> None:
        self.act("select", ids, crms)

    def unselect(self, *ids: UUID, crms: Sequence[str] = ("brevo",)) -> None:
        self.act("unselect", ids, crms)

    def act(
        self, verb: str, ids: Sequence[UUID] | None = None, crms: Sequence[str] = ("brevo",), **how: Any
    ) -> ActResult:
        """What a person does to these contacts; `ids` None: to all that the verb assumes."""
        return self._acts.carry_out(verb, Which(ids), crms, everything=ids is None, **how)

    def contact(self, contact_id: UUID) -> dict[str, Any]:
        (row,) = self.rows(f"SELECT * FROM {self.table} WHERE id = :id", id=contact_id)
        return row

    def status(self, contact_id: UUID, crm: str = "brevo") -> tuple[str, str | None]:
        row = self.contact(contact_id)
        return row[f"{crm}_sync_status"], row[f"{crm}_processing_status"]

    def delivery(self, contact_id: UUID, crm: str = "brevo") -> dict[str, Any]:
        (row,) = self.rows(
            "SELECT * FROM crm_sync.deliveries WHERE contact_id = :id AND destination = :crm", id=contact_id, crm=crm
        )
        return row

    def snapshot(self) -> list[str]:
        """Every row of the contacts table and of ours, with the transaction that wrote it: any write at all shows."""
        tables = (self.table, "crm_sync.deliveries", "crm_sync.attempts", "crm_sync.destinations")
        found = []
        for table in tables:
            rows = self.rows(f"SELECT t.xmin::text AS writer, t::text AS row FROM {table} t ORDER BY t::text")
            found += [f"{table} {row['writer']} {row['row']}" for row in rows]
        return found

    def pass_deliveries(self, wait: timedelta) -> None:
        """Let time pass for our own tables alone, where the contacts can't be written."""
        self.execute(
            "UPDATE crm_sync.deliveries SET lease_expires_at = lease_expires_at - CAST(:wait AS interval)", wait=wait
        )

    def pass_time(self, wait: timedelta) -> None:
        """Let time pass by moving every stored time back; PostgreSQL's clock is the only one that decides anything."""
        with self.engine.begin() as connection:
            for table, columns in {
                self.table: ("updated_at", "next_retry_at", "last_retry_at"),
                "crm_sync.deliveries": (
                    "next_retry_at",
                    "lease_expires_at",
                    "selected_at",
                    "changed_only_at",
                    "synced_at",
                ),
                "crm_sync.destinations": ("down_since", "next_probe_at", "paced_until"),
                "crm_sync.attempts": ("attempted_at",),
                "crm_sync.imports": ("posted_at", "finished_at"),
            }.items():
                moved = ", ".join(f"{column} = {column} - CAST(:wait AS interval)" for column in columns)
                connection.execute(sa.text(f"UPDATE {table} SET {moved}"), {"wait": wait})


def attempt(contact: Contact, outcome: Outcome | None = None) -> Attempt:
    """An attempt at this very state of the contact; it succeeded unless told otherwise."""
    return Attempt(contact.id, outcome or Synced("1", "created"), contact.fingerprint(), http_status=201)


def one_run(queue: ContactQueue, *outcomes: Outcome, size: int = 1000) -> Settlement:
    """Claim what is due, come to these outcomes in id order (the last one goes for all that remain), settle."""
    batch = queue.claim(size)
    wanted = list(outcomes) or [Synced("1", "created")]
    done = [
        attempt(contact, wanted[min(index, len(wanted) - 1)])
        for index, contact in enumerate(queue.contacts_of(batch.token))
    ]
    queue.journal(batch.token, done)
    return queue.settle(batch.token)
