"""The contacts that every contender delivers: the same people, whoever sends them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

FIRST_NAMES = ("Anna", "Ben", "Chloé", "David", "Elif", "Farid", "Grace", "Hugo", "Inés", "Jonas", "Keiko", "Liam")
LAST_NAMES = ("Andersson", "Brown", "Costa", "Dubois", "Evans", "Fischer", "García", "Haddad", "Ivanova", "Jensen")


@dataclass(frozen=True, slots=True)
class Person:
    """One contact, with a value in every field that is sent."""

    email: str
    name: str
    phone_number: str
    email_type: str
    has_gmail: bool
    source_url: str
    domain_id: str
    page_id: str

    @property
    def attributes(self) -> dict[str, Any]:
        """The same as Brevo's attributes."""
        first, _, last = self.name.partition(" ")
        return {
            "FIRSTNAME": first,
            "LASTNAME": last,
            "SMS": self.phone_number,
            "DOMAIN_ID": self.domain_id,
            "PAGE_ID": self.page_id,
            "EMAIL_TYPE": self.email_type,
            "SOURCE_URL": self.source_url,
            "HAS_GMAIL": self.has_gmail,
        }


def people(count: int) -> Iterator[Person]:
    """So many people, always the same."""
    for number in range(count):
        first, last = FIRST_NAMES[number % len(FIRST_NAMES)], LAST_NAMES[number % len(LAST_NAMES)]
        yield Person(
            email=f"contact.{number:06d}@example.com",
            name=f"{first} {last}",
            phone_number=f"+1650{2000000 + number}",
            email_type="CORPORATE",
            has_gmail=number % 5 == 0,
            source_url=f"https://example.com/team/{number}",
            domain_id=str(UUID(int=number)),
            page_id=str(UUID(int=2**64 + number)),
        )


def load_people(
    engine: sa.Engine, count: int, *, selected: bool = True, crms: Sequence[str] = ("brevo",)
) -> list[UUID]:
    """Put them into the contacts table, selected for these CRMs or not, and let PostgreSQL know how many; their ids."""
    rows = [asdict(person) for person in people(count)]
    columns = "".join(f", {crm}_sync_status, {crm}_processing_status" for crm in crms)
    statuses = ", 'Selected', 'Queued'" if selected else ", 'New', NULL"
    insert = sa.text(
        "INSERT INTO contacts (email, name, phone_number, email_type, has_gmail, source_url, domain_id, page_id"
        f"{columns})"
        " SELECT email, name, phone_number, email_type, has_gmail, source_url, domain_id, page_id"
        f"{statuses * len(crms)} FROM jsonb_to_recordset(CAST(:people AS jsonb)) AS person (email text, name text,"
        " phone_number text, email_type text, has_gmail boolean, source_url text, domain_id uuid, page_id uuid)"
        " RETURNING id"
    )
    with engine.begin() as connection:
        ids = list(connection.execute(insert, {"people": json.dumps(rows)}).scalars())
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE contacts")
    return ids


def queue_many(engine: sa.Engine, count: int) -> None:
    """Put so many plain contacts into the table, selected for Brevo, by one statement: quick enough for millions."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql(
            "INSERT INTO contacts (email, name, brevo_sync_status, brevo_processing_status)"
            " SELECT 'contact.' || n || '@example.com', 'Anna Brown', 'Selected', 'Queued'"
            f" FROM generate_series(1, {count:d}) n"
        )
        connection.exec_driver_sql("VACUUM ANALYZE contacts")
