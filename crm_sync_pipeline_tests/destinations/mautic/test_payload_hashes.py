"""What Mautic is sent of a contact, byte for byte: databases hold the hashes, by which a contact counts as unchanged.

One that changes sends every contact again, once. Where that is meant, write the new one here, and say so in CHANGELOG.
"""

from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.domain.contact import Contact

ONLY_ADDRESS = {"email": "ann@example.com"}
ALL_FIELDS = {
    "email": "ann@example.com",
    "name": "Ann van Example",
    "phone_number": "+49 30 901820",
    "domain_id": "d0000000-0000-4000-8000-000000000001",
    "page_id": "a0000000-0000-4000-8000-000000000002",
    "email_type": "CORPORATE",
    "source_url": "https://example.com/a?b=c",
    "has_gmail": True,
}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no field but the address": (ONLY_ADDRESS, {}, "c5977b2268a02ec76186df5b8687321d"),
    "all fields": (ALL_FIELDS, {}, "e39164c00f0aab55eb8394d09a4be6fc"),
    "all fields, tags": (ALL_FIELDS, {"tags": "crm,new"}, "64e2695e7c403ac922aa8388b83ce532"),
    "all fields, a segment": (ALL_FIELDS, {"segment_id": 7}, "55e7c061be7637d96439598e4f501978"),
    "has_gmail false": ({**ONLY_ADDRESS, "has_gmail": False}, {}, "c161fcb31e3ff064f43bb8b93c7d6eca"),
    "an international domain": ({"email": "ann@m\u00fcller.example"}, {}, "0944bbd3492578742b702fda7c9ba151"),
    "a name beyond ASCII": (
        {**ONLY_ADDRESS, "name": "Zo\u00eb \u738b\u5c0f\u660e"},
        {},
        "134a816c45bf03f2ba0bf887a0345f9f",
    ),
}


@pytest.mark.parametrize(("fields", "options", "pinned"), CASES.values(), ids=CASES)
def test_the_hash_of_what_is_sent_to_mautic_is_the_one_that_databases_hold(
    fields: dict[str, Any], options: dict[str, Any], pinned: str
) -> None:
    prepared = Mautic(base_url="http://m.example", **options).prepare(Contact(UUID(int=1), **fields))

    assert isinstance(prepared, Record)
    assert prepared.payload_hash == pinned, f"Mautic would get {prepared.body.decode()}"


def test_contacts_that_differ_in_what_is_sent_have_hashes_that_differ() -> None:
    assert len({pinned for _, _, pinned in CASES.values()}) == len(CASES)
