"""What is known of a destination's copy of a contact."""

import hashlib
from dataclasses import dataclass, field

from crm_sync_pipeline.domain.contact import Contact

MARK = "address:"
"""How the mark of an address begins, among the names of fields."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What earlier attempts tell about the destination's copy of one contact.

    `address` is the normal form of the e-mail address that it was delivered under last, "" where that is not known.
    `marks` then stand for it, of which nobody can read an address: one, or several where a call was lost on the way.
    `remote_id` is the destination's own id of it. `fields` are the destination's names of those fields that hold, or
    may hold, a value that we sent. `payload_hash` is that of the JSON delivered last where the same need not be sent
    again, else None. `is_shared`: another row that is wanted at the destination has `address`, or the same copy.
    """

    address: str = field(default="", repr=False)
    remote_id: str | None = None
    fields: frozenset[str] = frozenset()
    payload_hash: str | None = None
    is_shared: bool = False
    marks: frozenset[str] = frozenset()

    def differs_from(self, contact: Contact) -> bool:
        """Whether the contact was, or may have been, delivered under another address than the one that it has now."""
        if self.address:
            return self.address != contact.address
        return bool(self.marks) and self.marks != {mark_of(contact)}

    def was_sent_to(self, contact: Contact, address: str) -> bool:
        """Whether this contact was, or may have been, delivered under that address."""
        return address == self.address or mark_of(contact, address) in self.marks


NEVER = Delivered()
"""Of a contact that was not delivered yet."""


def mark_of(contact: Contact, address: str | None = None) -> str:
    """What is kept of an address, by default the contact's own: it can't be read, nor compared between two contacts."""
    text = f"{contact.id} {contact.address if address is None else address}"
    return MARK + hashlib.sha256(text.encode()).hexdigest()[:16]


def fields_as_text(fields: frozenset[str] | None) -> str | None:
    """The names in one text, as the tables keep them; None for what is not known."""
    return None if fields is None else ",".join(sorted(fields))


def fields_of(text: str | None) -> frozenset[str]:
    """The names in such a text."""
    return frozenset(filter(None, (text or "").split(",")))
