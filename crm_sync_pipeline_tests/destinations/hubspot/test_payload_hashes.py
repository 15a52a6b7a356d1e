"""The hashes in `deliveries.payload_hash` of contacts that HubSpot has accepted.

If what they are made of changes by a single byte, no stored hash matches any more: with HUBSPOT_SKIP_UNCHANGED, every
contact is sent once more after the upgrade. That is why the hashes are literals. A deliberate change belongs in
CHANGELOG.md.
"""

from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.destinations.hubspot import destination
from crm_sync_pipeline.destinations.hubspot.destination import Hubspot
from crm_sync_pipeline.domain.contact import Contact

ALL_FIELDS: dict[str, Any] = {
    "email": "ann.example@example.com",
    "name": "Ann  Example Smith ",
    "phone_number": " +49 30 901820",
    "domain_id": "00000000-0000-4000-8000-0000000000d1",
    "page_id": "00000000-0000-4000-8000-0000000000e1",
    "email_type": "CORPORATE",
    "source_url": "https://example.com/team?page=2&lang=en",
    "has_gmail": True,
}
ONLY_ADDRESS = {"email": "ann.example@example.com"}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "all fields": (ALL_FIELDS, {}, "ef7ca1b7e501cb528b3a094f73344d51"),
    "no field but the address": (ONLY_ADDRESS, {}, "1ed7478db27a299e55f60a0bb0f70f61"),
    "a name of one word": ({**ONLY_ADDRESS, "name": "Ann"}, {}, "18b8f9c9ab2e4d24f3033163a19f58e2"),
    "a field that is not sent": (
        {**ONLY_ADDRESS, "has_gmail": True, "email_type": "FREE"},
        {},
        "1ed7478db27a299e55f60a0bb0f70f61",
    ),
    "an upper-case address": ({"email": " Ann.EXAMPLE@Example.COM"}, {}, "1ed7478db27a299e55f60a0bb0f70f61"),
    "an international domain": ({"email": "ann@m\u00fcller.example"}, {}, "d23c1e252a7186f848a215b76638edd9"),
    "a name beyond ASCII": (
        {**ONLY_ADDRESS, "name": "Zo\u00eb \u738b\u5c0f\u660e \U0001f600"},
        {},
        "2bdc984b61be061e71debd32f5d7e661",
    ),
    "another property": (ALL_FIELDS, {"custom_property_page_id": "page"}, "54ab9debbc00825887e0dae806da6ed6"),
    "another path": (ALL_FIELDS, {"path_prefix": "/crm/objects/2026-03/contacts"}, "ef7ca1b7e501cb528b3a094f73344d51"),
    "another date property": (ALL_FIELDS, {"custom_property_sync_date": "day"}, "ef7ca1b7e501cb528b3a094f73344d51"),
}


def hash_of(fields: dict[str, Any], options: dict[str, Any], contact: int = 1) -> str:
    prepared = Hubspot(api_key="k", **options).prepare(Contact(UUID(int=contact), **fields))
    assert isinstance(prepared, Record)
    return prepared.payload_hash


@pytest.mark.parametrize(("fields", "options", "pinned"), CASES.values(), ids=CASES)
def test_the_hash_of_what_is_sent_to_hubspot_is_the_one_that_databases_hold(
    fields: dict[str, Any], options: dict[str, Any], pinned: str
) -> None:
    assert hash_of(fields, options) == pinned


def test_neither_the_day_nor_the_trace_id_is_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hash_of(ALL_FIELDS, {})
    monkeypatch.setattr(destination, "today", lambda: "2031-01-07")
    assert hash_of(ALL_FIELDS, {}, contact=2) == before
