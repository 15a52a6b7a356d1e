"""The hashes in `deliveries.payload_hash` of contacts that n8n has accepted.

They are part of the Idempotency-Key, too: if a single byte changes, a contact whose answer was lost before an upgrade
is worked on once more after it. That is why the hashes are literals. A deliberate change belongs in CHANGELOG.md.
"""

import time
from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.destinations.n8n.destination import N8n
from crm_sync_pipeline.domain.contact import Contact

ALL_FIELDS: dict[str, Any] = {
    "email": "ann.example@example.com",
    "name": "Ann  Example Smith ",
    "phone_number": "+49 30 901820",
    "domain_id": "00000000-0000-4000-8000-0000000000d1",
    "page_id": "00000000-0000-4000-8000-0000000000e1",
    "email_type": "CORPORATE",
    "source_url": "https://example.com/team?page=2&lang=en",
    "has_gmail": True,
}
ONLY_ADDRESS = {"email": "ann.example@example.com"}

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "all fields": (ALL_FIELDS, "9f4734c8d77e494b9c374309e267020d"),
    "no field but the address": (ONLY_ADDRESS, "ce7dec3ff125262de881dd8617b16504"),
    "no address": ({"email": "", "name": "Ann"}, "aeefbaa674ff85752fbc66aa8240b369"),
    "a name of one word": ({**ONLY_ADDRESS, "name": "Ann"}, "c37c65eaa9fb2e5f87d6258bf6ec9203"),
    "an international domain": ({"email": "ann@m\u00fcller.example"}, "051ef7ea4430ffe74ca56485496e83a4"),
    "an upper-case address": ({"email": " Ann.EXAMPLE@Example.COM"}, "ce7dec3ff125262de881dd8617b16504"),
    "a name beyond ASCII": (
        {**ONLY_ADDRESS, "name": "Zo\u00eb \u738b\u5c0f\u660e \U0001f600"},
        "4addd967d704a769c725a9402c10205e",
    ),
}


def record_of(fields: dict[str, Any]) -> Record:
    n8n = N8n(webhook_url="https://n8n.example.com/webhook/x", delivers_without_email=True)
    record = n8n.prepare(Contact(UUID(int=1), **fields))
    assert isinstance(record, Record)
    return record


@pytest.mark.parametrize(("fields", "pinned"), CASES.values(), ids=CASES)
def test_the_hash_of_what_is_sent_to_n8n_is_the_one_that_databases_hold(fields: dict[str, Any], pinned: str) -> None:
    record = record_of(fields)

    assert record.payload_hash == pinned, f"n8n would get {record.body.decode()}"


def test_when_a_contact_was_sent_says_nothing_of_its_data() -> None:
    first = record_of(ALL_FIELDS)
    time.sleep(0.002)
    second = record_of(ALL_FIELDS)

    assert first.body != second.body, "each has its own timestamp"
    assert first.payload_hash == second.payload_hash
    assert first.idempotency_key == second.idempotency_key
