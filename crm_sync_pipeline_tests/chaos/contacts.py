"""The contacts of a trial: healthy ones, ones that can't be delivered, and ones that harm whoever touches them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.vendor import Vendor
from crm_sync_pipeline_tests.chaos.wrapping import KILLER, KILLERS_ADDRESS

_ODD_NAMES = (
    "Ŕëñé \N{PILE OF POO}",
    "x" * 20_000,
    "'; DROP TABLE contacts; --",
    "\u202e\u0000".replace("\0", ""),
    "  ",
)
_ODD_ADDRESSES = ("no address at all", "   ")
OPTED_OUT = frozenset(f"person{number}@example.com" for number in range(1, 6))
"""Addresses of healthy contacts whom the vendor knew before, and who want no mail. They are delivered all the same."""

_SAME_NUMBER = "+14155550123"


@dataclass(frozen=True)
class Filling:
    """`healthy` are people's to play with; the rest is as in Evidence."""

    healthy: Sequence[UUID]
    hopeless: Mapping[UUID, str]
    clashing: frozenset[UUID]
    killers: frozenset[UUID]


def fill(world: World, vendor: Vendor, healthy: int, *, has_killer: bool) -> Filling:
    """Add and select them all, in one statement each."""
    world.execute(
        """
        INSERT INTO contacts (email, name, domain_id, page_id)
        SELECT 'person' || n || '@example.com', 'Person ' || n, domains.id, pages.id
        FROM generate_series(1, :count) n,
             (SELECT id FROM domains LIMIT 1) domains, (SELECT id FROM pages LIMIT 1) pages
        """,
        count=healthy,
    )
    ids = [row["id"] for row in world.rows("SELECT id FROM contacts ORDER BY length(email), email")]
    odd = [_add(world, f"odd{number}@example.com", name=name) for number, name in enumerate(_ODD_NAMES)]
    oddly_addressed = {
        _add(world, address): vendor.hopeless.get(address)
        for address in {**dict.fromkeys(_ODD_ADDRESSES), **vendor.hopeless}
    }
    same_number = [_add(world, f"number{number}@example.com", phone_number=_SAME_NUMBER) for number in (1, 2)]
    killers = frozenset([_add(world, KILLERS_ADDRESS, name=KILLER)] if has_killer else [])
    # Two CRMs are selected, and only one has workers: the other's columns must stay as they are.
    neighbour = next(name for name in ("hubspot", "brevo") if name != vendor.name)
    world.select(*ids, *odd, *oddly_addressed, *same_number, *killers, crms=(vendor.name, neighbour))
    hopeless = {contact: words for contact, words in oddly_addressed.items() if words}
    return Filling(ids, hopeless, frozenset(same_number if vendor.numbers_are_unique else []), killers)


def _add(world: World, email: str, **columns: str) -> UUID:
    (contact,) = world.add(email, selected=False, **columns)
    return contact
