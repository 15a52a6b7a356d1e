"""What is known of a destination's copy of a contact."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Delivered:
    """What earlier attempts tell about the destination's copy of one contact.

    `address` is the normal form of the e-mail address that it was delivered under last, "" where that is not known.
    `remote_id` is the destination's own id of it. `fields` are the destination's names of those fields that hold, or
    may hold, a value that we sent. `payload_hash` is that of the JSON delivered last where the same need not be sent
    again, else None. `is_shared`: another row that is wanted at the destination has `address` as well.
    """

    address: str = field(default="", repr=False)
    remote_id: str | None = None
    fields: frozenset[str] = frozenset()
    payload_hash: str | None = None
    is_shared: bool = False

    def has_moved_to(self, address: str) -> bool:
        """Whether the contact was delivered under another address than this one."""
        return self.address not in ("", address)


NEVER = Delivered()
"""Of a contact that was not delivered yet."""


def fields_as_text(fields: frozenset[str] | None) -> str | None:
    """The names in one text, as the tables keep them; None for what is not known."""
    return None if fields is None else ",".join(sorted(fields))


def fields_of(text: str | None) -> frozenset[str]:
    """The names in such a text."""
    return frozenset(filter(None, (text or "").split(",")))
