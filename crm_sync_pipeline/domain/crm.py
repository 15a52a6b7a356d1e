"""A CRM as the contacts table knows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


def sync_status_of(name: str) -> str:
    """The decision column of the CRM of that name."""
    return f"{name}_sync_status"


@dataclass(frozen=True, slots=True)
class Crm:
    """A CRM's columns on the contacts table, and what they become there.

    `by_address`: it knows a contact by the e-mail address, so that two rows with one address are one contact there.
    `holds_address`: its id column holds the e-mail address that was sent. `carries`: its fields that each optional
    column of the contacts table fills, where that is known.
    """

    name: str
    title: str
    id_column: str
    holds_address: bool = False
    by_address: bool = True
    carries: Mapping[str, Sequence[str]] = field(default_factory=dict, compare=False)

    def carried_by(self, column: str) -> Sequence[str]:
        """Its fields that a column of the contacts table fills: none for one that it is not sent."""
        return self.carries.get(column, ()) if self.carries else (column,)

    @property
    def sync_status(self) -> str:
        """The decision column's name."""
        return sync_status_of(self.name)

    @property
    def processing_status(self) -> str:
        """The state column's name."""
        return f"{self.name}_processing_status"

    @property
    def processing_error(self) -> str:
        """The error column's name."""
        return f"{self.name}_processing_error"

    @property
    def columns(self) -> tuple[str, ...]:
        """Its own columns' names."""
        return self.sync_status, self.processing_status, self.processing_error, self.id_column


Crms = Mapping[str, Crm]
"""CRMs by their names."""
