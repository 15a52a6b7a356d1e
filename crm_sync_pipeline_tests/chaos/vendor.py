"""What the harness knows of a vendor, so that everything else is the same for all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from crm_sync_pipeline.destinations.contract import body_of, payload_hash
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline_tests.chaos.watched import Watched


class Connect(Protocol):
    """Makes the destination of a worker. With `imports` it delivers by import what is due together."""

    def __call__(
        self, server: str, *, timeout_seconds: float, requests_per_second: float, imports: bool = False
    ) -> HttpDestination: ...


@dataclass(frozen=True)
class Vendor:
    """One vendor. All of it can be pickled, because evidence is kept.

    `simulate` makes the simulator of the trial with this seed, `connect` what delivers to it at a server's URL, and
    `settings` has the variables that do the same under Dagster. `secret` is what lets us in, and what nobody may see.
    `hopeless` has the words of the error of each address that can't be delivered to. `ablations` take a safeguard of
    the destination out, by name.

    `numbers_are_unique`: the vendor lets only one contact have a phone number. `drops_duplicates`: it is told what it
    has done before, and does that once for each selection with the same data. `names_each_id`: no answer is a success
    that names no id. `knows_opt_outs`: whoever has opted out there stays so.
    """

    entry: Entry
    simulate: Callable[[int], Watched]
    connect: Connect
    settings: Callable[[str], Mapping[str, str]]
    secret: str
    hopeless: Mapping[str, str] = field(default_factory=dict)
    has_imports: bool = False
    numbers_are_unique: bool = False
    drops_duplicates: bool = False
    names_each_id: bool = True
    knows_opt_outs: bool = True
    ablations: Mapping[str, Callable[[], None]] = field(default_factory=dict)

    @property
    def crm(self) -> Crm:
        """Its columns in the contacts table."""
        return self.entry.crm

    @property
    def name(self) -> str:
        """Its name in columns and tables."""
        return self.entry.name

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.entry.title

    def expected(self, contact: Contact) -> str:
        """The hash of what it is to hold of a contact."""
        destination = self._reference()
        return payload_hash(body_of(destination.lasting(destination.call_for(contact).payload)))

    def expected_by_import(self, contact: Contact) -> str:
        """The hash that the delivery keeps of a contact that went by import."""
        destination, its_hash = self._reference(), self.expected(contact)
        bulk = destination.bulk()
        return bulk.hash_of(destination.call_for(contact).payload, its_hash) if bulk else its_hash

    def _reference(self) -> HttpDestination:
        return self.connect("http://127.0.0.1", timeout_seconds=1, requests_per_second=1)
