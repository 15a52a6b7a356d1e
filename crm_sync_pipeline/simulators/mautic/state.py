"""One Mautic instance in memory."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class MauticContact:
    """A contact as Mautic holds it: `fields` by alias, None where one is blank. Never changed in place.

    `do_not_contact` has a reason for each channel: 1 unsubscribed, 2 bounced, 3 set by hand.
    """

    id: int
    fields: Mapping[str, Any]
    tags: tuple[str, ...]
    segments: frozenset[int]
    do_not_contact: Mapping[str, int]
    added_at: datetime
    modified_at: datetime

    @property
    def email(self) -> str | None:
        """The address as it was stored."""
        return self.fields.get("email")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of contacts. One that is not published is overlooked as if it were not there."""

    id: int
    alias: str
    label: str
    type: str
    group: str = "core"
    is_published: bool = True
    char_length_limit: int = 191
    is_unique: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment. Nobody can join one that is not published."""

    id: int
    name: str
    alias: str
    is_published: bool = True


# Every Mautic has these. Source: LeadBundle/Model/FieldModel.php.
CORE_FIELDS: Mapping[str, tuple[str, str]] = {
    "title": ("lookup", "core"),
    "firstname": ("text", "core"),
    "lastname": ("text", "core"),
    "company": ("text", "core"),
    "position": ("text", "core"),
    "email": ("email", "core"),
    "mobile": ("tel", "core"),
    "phone": ("tel", "core"),
    "points": ("number", "core"),
    "fax": ("tel", "core"),
    "address1": ("text", "core"),
    "address2": ("text", "core"),
    "city": ("text", "core"),
    "state": ("region", "core"),
    "zipcode": ("text", "core"),
    "country": ("country", "core"),
    "preferred_locale": ("locale", "core"),
    "timezone": ("timezone", "core"),
    "attribution": ("number", "core"),
    "attribution_date": ("datetime", "core"),
    "website": ("url", "core"),
    "facebook": ("text", "social"),
    "foursquare": ("text", "social"),
    "instagram": ("text", "social"),
    "linkedin": ("text", "social"),
    "skype": ("text", "social"),
    "twitter": ("text", "social"),
}


@dataclass
class Instance:
    """Everything one login can reach. Not safe between threads by itself: the simulator's lock is."""

    now: Callable[[], datetime]
    case_sensitive: bool
    contacts: dict[int, MauticContact] = field(default_factory=dict)
    fields: dict[str, Field] = field(default_factory=dict)
    segments: dict[int, Segment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_address: dict[str, list[int]] = {}
        self._contact_ids, self._field_ids = itertools.count(1), itertools.count(1)
        for alias, (kind, group) in CORE_FIELDS.items():
            self.add_field(alias, alias.capitalize(), kind, group=group)

    def add_field(self, alias: str, label: str, kind: str, **options: Any) -> Field:
        """Make a field of contacts."""
        made = Field(next(self._field_ids), alias, label, kind, **options)
        self.fields[alias] = made
        return made

    def add_segment(self, segment_id: int, name: str, *, is_published: bool = True) -> Segment:
        """Make a segment."""
        made = Segment(segment_id, name, name.lower().replace(" ", "-"), is_published)
        self.segments[segment_id] = made
        return made

    def next_contact_id(self) -> int:
        """Take the id of the next contact. Ids are not given twice."""
        return next(self._contact_ids)

    def with_address(self, email: str) -> list[MauticContact]:
        """List whoever has this address, oldest first: nothing keeps two contacts from having one."""
        return [self.contacts[each] for each in self._by_address.get(self._key(email), ())]

    def save(self, contact: MauticContact) -> None:
        """Put a contact in place of its former self."""
        self._forget_address(contact.id)
        self.contacts[contact.id] = contact
        if contact.email:
            self._by_address.setdefault(self._key(contact.email), []).append(contact.id)
            self._by_address[self._key(contact.email)].sort()

    def delete(self, contact: MauticContact) -> None:
        """Take a contact out, for good."""
        self._forget_address(contact.id)
        del self.contacts[contact.id]

    def _forget_address(self, contact_id: int) -> None:
        former = self.contacts.get(contact_id)
        if former and former.email:
            ids = self._by_address[self._key(former.email)]
            ids.remove(contact_id)
            if not ids:
                del self._by_address[self._key(former.email)]

    def _key(self, email: str) -> str:
        return email if self.case_sensitive else email.lower()


class ContactsByEmail(Mapping[str, MauticContact]):
    """An instance's contacts by their address; of several with one address, the oldest. Live, and safe to loop over."""

    def __init__(self, instance: Callable[[], Instance]) -> None:
        self._instance = instance

    def __getitem__(self, email: str) -> MauticContact:
        found = self._instance().with_address(email.strip()) or self._instance().with_address(email.strip().lower())
        if not found:
            raise KeyError(email)
        return found[0]

    def __iter__(self) -> Iterator[str]:
        held = tuple(self._instance().contacts.values())
        return iter(dict.fromkeys(contact.email for contact in held if contact.email))

    def __len__(self) -> int:
        return sum(1 for _ in self)
