"""One HubSpot account in memory."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from crm_sync_pipeline.simulators.hubspot.properties import Property


@dataclass(frozen=True, slots=True)
class HubspotContact:
    """A contact as HubSpot holds it: all values are text, the address is in lower case. Never changed in place."""

    id: str
    properties: Mapping[str, str]
    created_at: datetime
    updated_at: datetime

    @property
    def email(self) -> str | None:
        """The primary address."""
        return self.properties.get("email")

    def addresses(self) -> list[str]:
        """List the primary address and the secondary ones, by all of which the contact is found."""
        secondary = self.properties.get("hs_additional_emails", "").split(";")
        return [each for each in (self.email, *secondary) if each]


@dataclass
class Account:
    """Everything one token can reach. Not safe between threads by itself: the simulator's lock is.

    `archived` can be restored for 90 days; `erased` holds the addresses that were deleted for good.
    """

    now: Callable[[], datetime]
    properties: dict[str, Property] = field(default_factory=dict)
    contacts: dict[str, HubspotContact] = field(default_factory=dict)
    archived: dict[str, HubspotContact] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._ids = itertools.count(101)

    def next_id(self) -> str:
        """Take the id of the next contact. Ids are numbers, written as text, and not given twice."""
        return str(next(self._ids))

    def owner(self, address: str) -> HubspotContact | None:
        """Find who has this address, as the primary or a secondary one, in any case."""
        contact_id = self._owners.get(address.strip().lower())
        return None if contact_id is None else self.contacts[contact_id]

    def save(self, contact: HubspotContact) -> None:
        """Put a contact in place of its former self. The caller has checked that its addresses are free."""
        self._forget(contact.id)
        self.contacts[contact.id] = contact
        for address in contact.addresses():
            self._owners[address] = contact.id

    def archive(self, contact: HubspotContact) -> None:
        """Take a contact out, so that it can be restored; its addresses are free."""
        self.delete(contact)
        self.archived[contact.id] = contact

    def delete(self, contact: HubspotContact) -> None:
        """Take a contact out for good."""
        self._forget(contact.id)
        del self.contacts[contact.id]

    def snapshot(self) -> tuple[dict[str, HubspotContact], dict[str, str]]:
        """Remember who is there, for `restore`: a batch that is refused as a whole has written nothing."""
        return dict(self.contacts), dict(self._owners)

    def restore(self, before: tuple[dict[str, HubspotContact], dict[str, str]]) -> None:
        """Go back to a snapshot."""
        self.contacts, self._owners = before

    def _forget(self, contact_id: str) -> None:
        former = self.contacts.get(contact_id)
        for address in former.addresses() if former else ():
            self._owners.pop(address, None)


class ContactsByEmail(Mapping[str, HubspotContact]):
    """An account's contacts by primary address, in any case. Live, and safe to loop over while requests come in."""

    def __init__(self, account: Callable[[], Account]) -> None:
        self._account = account

    def __getitem__(self, email: str) -> HubspotContact:
        contact = self._account().owner(email)
        if contact is None or contact.email != email.strip().lower():
            raise KeyError(email)
        return contact

    def __iter__(self) -> Iterator[str]:
        return iter([contact.email for contact in tuple(self._account().contacts.values()) if contact.email])

    def __len__(self) -> int:
        return sum(1 for _ in self)
