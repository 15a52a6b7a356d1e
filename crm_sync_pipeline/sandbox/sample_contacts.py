"""Contacts to try things with: ordinary ones, and all the awkward ones that turn up in real tables.

Every address is at a domain that is reserved for examples (RFC 2606); no number belongs to anybody we know of.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import count, islice, product
from uuid import uuid4

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.source import Database

FIRST_NAMES = ("Anna", "Ben", "Chloé", "David", "Elif", "Farid", "Grace", "Hugo", "Inés", "Jonas", "Keiko", "Liam")
LAST_NAMES = ("Andersson", "Brown", "Costa", "Dubois", "Evans", "Fischer", "García", "Haddad", "Ivanova", "Jensen")
EMAIL_TYPES = ("CORPORATE", "FREE", "SERVICE", "UNKNOWN")


@dataclass(frozen=True)
class SampleContact:
    """A row for the contacts table; `why` says what is awkward about it, "" where nothing is."""

    email: str
    name: str | None = None
    phone_number: str | None = None
    email_type: str = "CORPORATE"
    has_gmail: bool = False
    source_url: str = "https://example.com/team"
    why: str = ""


SCENARIOS = (
    SampleContact("ada.lovelace@example.com", "Ada Lovelace", why="requirement: an ordinary contact"),
    SampleContact(
        "grace.hopper@example.com", "Grace Hopper", "+1 650 253 0000", why="requirement: with a phone number"
    ),
    SampleContact("linus@example.org", "Linus", why="requirement: one-word name"),
    SampleContact("info@example.net", None, email_type="SERVICE", why="requirement: no name"),
    SampleContact("invalid-email", "Nobody Reachable", why="requirement: an invalid address"),
)

AWKWARD = (
    SampleContact("blank.name@example.com", "   ", why="a name of blanks"),
    SampleContact("cher@example.com", "Cher", why="one-word name"),
    SampleContact("long.name@example.com", "María del Carmen  de la Cruz y Ortega", why="many-word name"),
    SampleContact("zhang.wei@example.com", "张 伟", why="Chinese name"),
    SampleContact("fatima@example.com", "فاطمة الزهراء", why="Arabic name"),
    SampleContact("olga@example.com", "Ольга Иванова", why="Cyrillic name"),
    SampleContact("emoji@example.com", "Zoë 🎈 Bell", why="a name with an emoji"),
    SampleContact("france@example.com", "Camille Petit", "+33 1 42 68 53 00", why="phone: France, with country code"),
    SampleContact("uk@example.com", "Oliver Smith", "0044 20 7946 0018", why="phone: United Kingdom, with 00"),
    SampleContact("us@example.com", "Emma Johnson", "(415) 555-2671", why="phone: national, no country code"),
    SampleContact("germany@example.com", "Lena Müller", "+49 (0)30 901820", why="phone: Germany, with (0)"),
    SampleContact("india@example.com", "Arjun Rao", "+91-22-2278-2000", why="phone: India, with hyphens"),
    SampleContact("brazil@example.com", "João Silva", "+55 11 3218-5800", why="phone: Brazil"),
    SampleContact("japan@example.com", "佐藤 健", "+81 3-3211-4411", why="phone: Japan"),
    SampleContact("spain@example.com", "Lucía Gómez", "912 345 678", why="phone: Spain, no country code"),
    SampleContact("extension@example.com", "Noah Clark", "+1 650-253-0001 ext. 12", why="phone: with an extension"),
    SampleContact("short.phone@example.com", "Mia Wong", "12345", why="phone: too short"),
    SampleContact("words.phone@example.com", "Tom Reed", "call me maybe", why="phone: words"),
    SampleContact("twin@example.com", "Twin One", why="the same address in two rows"),
    SampleContact("twin@example.com", "Twin Two", why="the same address in two rows"),
    SampleContact("Mixed.Case@Example.COM", "Max Mixed", why="mixed-case address"),
    SampleContact("  padded@example.com ", "Pia Padded", why="blanks around the address"),
    SampleContact("", "Erin Empty", why="an empty address"),
    SampleContact("two..dots@example.com", "Dot Dot", why="an invalid address"),
    SampleContact("shared.phone.1@example.com", "Sam First", "+1 212 736 5000", why="one phone number, two contacts"),
    SampleContact("shared.phone.2@example.com", "Sue Second", "+1 212 736 5000", why="one phone number, two contacts"),
)


def sample_contacts(size: int) -> Iterator[SampleContact]:
    """`size` contacts: the requirement's five, the awkward ones, then ordinary ones without end."""
    special = (*SCENARIOS, *AWKWARD)
    yield from special[:size]
    ordinary = (
        SampleContact(
            _ascii(f"{first}.{last}.{number}@example.com").lower(),
            f"{first} {last}",
            email_type=EMAIL_TYPES[number % len(EMAIL_TYPES)],
            has_gmail=number % 5 == 0,
        )
        for number in count(1)
        for first, last in product(FIRST_NAMES, LAST_NAMES)
    )
    yield from islice(ordinary, max(0, size - len(special)))


def load(database: Database, contacts: Iterable[SampleContact]) -> int:
    """Insert them, each for a domain and a page of its own, New and waiting to be selected; returns how many."""
    table = database.contacts().clause
    rows = [
        {name: value for name, value in asdict(contact).items() if name != "why"}
        | {"domain_id": uuid4(), "page_id": uuid4()}
        for contact in contacts
    ]
    with database.engine.begin() as connection:
        connection.execute(sa.insert(table), rows)
    return len(rows)


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
