import hashlib
import json
from dataclasses import dataclass, field
from operator import attrgetter
from uuid import UUID

from crm_sync_pipeline.domain.address import normal_form


@dataclass(frozen=True, slots=True)
class Contact:
    """One person's data, as read from a row of the contacts table; `repr` shows the id alone.

    `email` is as it stands in the table, "" where it is NULL. Every other field is None where the column is NULL or
    is not there at all. `selection` identifies the act by which somebody selected the contact; it is not sent.
    """

    id: UUID
    email: str = field(repr=False)
    name: str | None = field(default=None, repr=False)
    phone_number: str | None = field(default=None, repr=False)
    domain_id: str | None = field(default=None, repr=False)
    page_id: str | None = field(default=None, repr=False)
    email_type: str | None = field(default=None, repr=False)
    source_url: str | None = field(default=None, repr=False)
    has_gmail: bool | None = field(default=None, repr=False)
    selection: str = field(default="", repr=False, compare=False)

    @property
    def address(self) -> str:
        """The e-mail address that destinations key on, in its normal form; "" where there is none."""
        return normal_form(self.email)

    @property
    def first_name(self) -> str | None:
        """The name up to its first white space; None for a blank name."""
        return self._name_parts()[0]

    @property
    def last_name(self) -> str | None:
        """The name after its first white space; None where there is one word only."""
        return self._name_parts()[1]

    def _name_parts(self) -> tuple[str | None, str | None]:
        words = (self.name or "").split(maxsplit=1)
        first, last = (*words, None, None)[:2]
        return first, last.rstrip() if last else None

    def fingerprint(self) -> str:
        """Changes when anything that can be sent changes: 32 hex digits, safe to store."""
        return hashlib.sha256(json.dumps(_sent_fields(self)).encode()).hexdigest()[:32]


SENT_FIELDS = (
    "email",
    "name",
    "phone_number",
    "domain_id",
    "page_id",
    "email_type",
    "source_url",
    "has_gmail",
)
"""The fields of a Contact that may reach a destination: all but its id and selection, in their order."""

_sent_fields = attrgetter(*SENT_FIELDS)
