"""One Brevo account in memory."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

IDENTIFYING_ATTRIBUTES = ("SMS", "WHATSAPP", "EXT_ID", "LANDLINE_NUMBER")
"""Unique in an account, as the e-mail address is. Source: reference/create-contact."""


@dataclass(frozen=True, slots=True)
class BrevoContact:
    """A contact as Brevo holds it: e-mail in lower case, attribute names in upper case, SMS in digits.

    `email` is None only for a contact that was created by its ext_id alone. Never changed in place.
    """

    id: int
    email: str | None
    attributes: Mapping[str, Any]
    list_ids: tuple[int, ...]
    email_blacklisted: bool
    sms_blacklisted: bool
    created_at: datetime
    modified_at: datetime

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield what nobody else may have: ("email", address), ("SMS", digits) ..."""
        if self.email is not None:
            yield "email", self.email
        for name in IDENTIFYING_ATTRIBUTES:
            if value := self.attributes.get(name):
                yield name, value


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of the account. `options` are the labels of a multiple-choice or category attribute."""

    name: str
    category: str
    type: str | None
    options: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ContactList:
    """One list. Its members are the contacts that name it."""

    id: int
    name: str
    folder_id: int
    created_at: datetime


@dataclass
class Account:
    """Everything one API key can reach. Not safe between threads by itself: the simulator's lock is."""

    now: Callable[[], datetime]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    folders: dict[int, str] = field(default_factory=lambda: {1: "Contacts"})
    lists: dict[int, ContactList] = field(default_factory=dict)
    contacts: dict[int, BrevoContact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._owners: dict[tuple[str, str], int] = {}
        self._contact_ids = itertools.count(1)

    def add_list(self, name: str, folder_id: int, list_id: int | None = None) -> ContactList:
        """Make a list; without an id it takes the next one."""
        new_id = max(self.lists, default=0) + 1 if list_id is None else list_id
        made = ContactList(new_id, name, folder_id, self.now())
        self.lists[new_id] = made
        return made

    def add_folder(self, name: str) -> int:
        """Make a folder; its id."""
        folder_id = max(self.folders, default=0) + 1
        self.folders[folder_id] = name
        return folder_id

    def next_contact_id(self) -> int:
        """Take the id of the next contact. Ids are not given twice."""
        return next(self._contact_ids)

    def owner(self, kind: str, value: str) -> BrevoContact | None:
        """Find who has this identifier."""
        owner_id = self._owners.get((kind, value))
        return None if owner_id is None else self.contacts[owner_id]

    def save(self, contact: BrevoContact) -> None:
        """Put a contact in place of its former self. The caller has checked that its identifiers are free."""
        former = self.contacts.get(contact.id)
        if former is not None:
            for identifier in former.identifiers():
                self._owners.pop(identifier, None)
        self.contacts[contact.id] = contact
        for identifier in contact.identifiers():
            self._owners[identifier] = contact.id

    def delete(self, contact: BrevoContact) -> None:
        """Take a contact out."""
        for identifier in contact.identifiers():
            self._owners.pop(identifier, None)
        del self.contacts[contact.id]

    def members(self, list_id: int) -> list[BrevoContact]:
        """List a list's contacts, oldest first."""
        return [contact for contact in self.contacts.values() if list_id in contact.list_ids]


class ContactsByEmail(Mapping[str, BrevoContact]):
    """An account's contacts by e-mail address, in any case. Live, and safe to loop over while requests come in."""

    def __init__(self, account: Callable[[], Account]) -> None:
        self._account = account

    def __getitem__(self, email: str) -> BrevoContact:
        contact = self._account().owner("email", email.strip().lower())
        if contact is None:
            raise KeyError(email)
        return contact

    def __iter__(self) -> Iterator[str]:
        return iter([contact.email for contact in tuple(self._account().contacts.values()) if contact.email])

    def __len__(self) -> int:
        return sum(1 for _ in self)
