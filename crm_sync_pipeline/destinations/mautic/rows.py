"""A contact as a row of a batch.

https://developer.mautic.org/#create-contact
"""

import re
from collections.abc import Mapping
from typing import Any

from crm_sync_pipeline.destinations.http import printable
from crm_sync_pipeline.destinations.mautic.fields import LONGEST_TEXT
from crm_sync_pipeline.destinations.phone import international_number
from crm_sync_pipeline.domain.contact import Contact

_KEPT_IN_LOOKUPS = re.compile(r"[a-z0-9!#$%&'*+\-=?^_`{|}~@.\[\]]*")
"""PHP's FILTER_SANITIZE_EMAIL, by which Mautic cleans an address before it looks it up (November 2026)."""


def is_ambiguous(address: str) -> bool:
    """Whether Mautic would look for another address: a/b@example.com is ab@example.com to it, somebody else's."""
    return not _KEPT_IN_LOOKUPS.fullmatch(address)


def row_of(contact: Contact, aliases: Mapping[str, str], tags: list[str]) -> dict[str, Any]:
    """Address, the fields that have a value, and tags. A boolean is 0 or 1; what no text field holds is left out."""
    left_out = too_long(contact, aliases)
    values = {name: value for name, value in _values(contact, aliases).items() if name not in left_out}
    return {"email": contact.address, **values, **({"tags": tags} if tags else {})}


def too_long(contact: Contact, aliases: Mapping[str, str]) -> list[str]:
    """The fields whose value is longer than a text in Mautic, which would refuse the contact for it."""
    return [name for name, value in _values(contact, aliases).items() if len(str(value)) > LONGEST_TEXT]


def _values(contact: Contact, aliases: Mapping[str, str]) -> dict[str, str | int]:
    values = {
        "firstname": contact.first_name,
        "lastname": contact.last_name,
        # Mautic takes any text, so a number whose country nobody knows goes as it is typed.
        "phone": international_number(contact.phone_number, None) or printable(contact.phone_number or ""),
        **{alias: getattr(contact, column) for column, alias in aliases.items()},
    }
    return {
        name: int(value) if isinstance(value, bool) else value
        for name, value in values.items()
        if value is not None and value != ""
    }
