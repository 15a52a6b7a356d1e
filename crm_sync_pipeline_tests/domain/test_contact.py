import dataclasses
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.contact import SENT_FIELDS, Contact

ID = UUID("3f2b0c1e-9c1d-4c57-8f5e-2a1b3c4d5e6f")
ANNA = Contact(
    ID,
    "Anna@Example.com",
    "Anna Maria Berg",
    "+4915112345678",
    "d-1",
    "p-1",
    "FREE",
    "https://example.com/team",
    True,
)

text_fields = st.none() | st.text(max_size=20)
contacts = st.builds(
    Contact,
    id=st.uuids(),
    email=st.text(max_size=30),
    name=text_fields,
    phone_number=text_fields,
    domain_id=text_fields,
    page_id=text_fields,
    email_type=text_fields,
    source_url=text_fields,
    has_gmail=st.none() | st.booleans(),
)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        (None, None, None),
        ("", None, None),
        ("   ", None, None),
        ("\t\n\u00a0\u3000", None, None),
        ("Anna", "Anna", None),
        ("  Anna  ", "Anna", None),
        ("Anna Berg", "Anna", "Berg"),
        ("Anna Maria van den Berg", "Anna", "Maria van den Berg"),
        ("  Anna \t  Berg \n", "Anna", "Berg"),
        ("Anna\u00a0Berg", "Anna", "Berg"),
        ("Anna\nBerg", "Anna", "Berg"),
        ("山田 太郎", "山田", "太郎"),
        ("山田\u3000太郎", "山田", "太郎"),
        ("Владимир Ильич", "Владимир", "Ильич"),
        ("محمد علي", "محمد", "علي"),
        ("O'Brien-Smith", "O'Brien-Smith", None),
        ("Zoë 🦊", "Zoë", "🦊"),
    ],
)
def test_a_name_is_split_once_at_its_first_white_space(name: str | None, first: str | None, last: str | None) -> None:
    contact = Contact(ID, "a@example.com", name)
    assert (contact.first_name, contact.last_name) == (first, last)


@given(name=st.none() | st.text())
def test_no_name_crashes_and_no_part_of_it_is_blank_or_lost(name: str | None) -> None:
    contact = Contact(ID, "a@example.com", name)
    first, last = contact.first_name, contact.last_name
    for part in (first, last):
        assert part is None or part == part.strip() != ""
    assert (first is None) == (not (name or "").strip())
    assert "".join((first or "", last or "")).split() == "".join((name or "").split(maxsplit=1)).split()


@pytest.mark.parametrize(
    ("email", "address"),
    [("Anna@Example.COM", "anna@example.com"), ("  anna@example.com\n", "anna@example.com"), ("", ""), (" \t ", "")],
)
def test_the_address_is_trimmed_and_lower_cased(email: str, address: str) -> None:
    assert Contact(ID, email).address == address


@given(contact=contacts)
def test_a_fingerprint_is_stable_and_safe_to_store(contact: Contact) -> None:
    again = dataclasses.replace(contact)
    assert contact.fingerprint() == again.fingerprint()
    assert len(contact.fingerprint()) == 32
    assert set(contact.fingerprint()) <= set("0123456789abcdef")


@given(one=contacts, other=contacts)
def test_fingerprints_differ_exactly_when_something_sent_differs(one: Contact, other: Contact) -> None:
    same = all(getattr(one, name) == getattr(other, name) for name in SENT_FIELDS)
    assert (one.fingerprint() == other.fingerprint()) == same


@pytest.mark.parametrize("name", SENT_FIELDS)
def test_an_edit_of_any_sent_field_changes_the_fingerprint(name: str) -> None:
    emptied: dict[str, Any] = {name: "" if name == "email" else None}
    assert dataclasses.replace(ANNA, **emptied).fingerprint() != ANNA.fingerprint()


def test_blank_and_missing_are_told_apart() -> None:
    assert dataclasses.replace(ANNA, name="").fingerprint() != dataclasses.replace(ANNA, name=None).fingerprint()


def test_every_field_but_id_and_selection_may_be_sent() -> None:
    assert ["id", *SENT_FIELDS, "selection"] == [field.name for field in dataclasses.fields(Contact)]


def test_repr_shows_the_id_and_nothing_personal() -> None:
    assert repr(ANNA) == f"Contact(id={ID!r})"
    assert str(ANNA) == repr(ANNA)
