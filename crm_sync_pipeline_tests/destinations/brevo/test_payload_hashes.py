"""The hashes in `deliveries.payload_hash` of contacts that Brevo has accepted.

If a single byte of the request changes, no stored hash matches any more: with BREVO_SKIP_UNCHANGED, every contact is
sent once more after the upgrade. That is why the hashes are literals. A deliberate change belongs in CHANGELOG.md.
"""

from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import Rejected

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
GERMANY = {"phone_region": "DE"}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "all fields": (ALL_FIELDS, {}, "c574b108bfdfa1981ceb7dd3b767900f"),
    "no field but the address": (ONLY_ADDRESS, {}, "38a1a110469ad3b47229d5a245b5ff76"),
    "a name of one word": ({**ONLY_ADDRESS, "name": "Ann"}, {}, "828886de21a55e49185822895c174290"),
    "a national number, no region": (
        {**ONLY_ADDRESS, "phone_number": "030 901820"},
        {},
        "38a1a110469ad3b47229d5a245b5ff76",
    ),
    "a national number, a region": (
        {**ONLY_ADDRESS, "phone_number": "030 901820"},
        GERMANY,
        "dea9765208ae1e4631832bd4ff22e65e",
    ),
    "all fields, a list": (ALL_FIELDS, {"list_id": 7}, "366d4254fb32ea6320e8b73251490abf"),
    "has_gmail true": ({**ONLY_ADDRESS, "has_gmail": True}, {}, "d0732b6f1c5e28328d1c4ff02b5ddca4"),
    "has_gmail false": ({**ONLY_ADDRESS, "has_gmail": False}, {}, "2ab230b641d20033a85e05720d84d01c"),
    "an international domain": ({"email": "ann@m\u00fcller.example"}, {}, "5a4163aea51369d7a7828b8e56d99ca1"),
    "an upper-case address": ({"email": " Ann.EXAMPLE@Example.COM"}, {}, "38a1a110469ad3b47229d5a245b5ff76"),
    "a name beyond ASCII": (
        {**ONLY_ADDRESS, "name": "Zo\u00eb \u738b\u5c0f\u660e \U0001f600"},
        {},
        "b4104094302008037429417883570f4a",
    ),
}


@pytest.mark.parametrize(("fields", "options", "pinned"), CASES.values(), ids=CASES)
def test_the_hash_of_what_is_sent_to_brevo_is_the_one_that_databases_hold(
    fields: dict[str, Any], options: dict[str, Any], pinned: str
) -> None:
    brevo = Brevo(api_key="k", **options)

    prepared = brevo.prepare(Contact(UUID(int=1), **fields))

    assert isinstance(prepared, Record)
    assert prepared.payload_hash == pinned, f"Brevo would get {prepared.body.decode()}"


def test_the_contacts_whose_hashes_are_pinned_differ_in_what_is_sent_where_they_should() -> None:
    pinned = {case: hash_ for case, (_, _, hash_) in CASES.items()}
    same_as_the_address_alone = {case for case, hash_ in pinned.items() if hash_ == pinned["no field but the address"]}

    assert same_as_the_address_alone == {
        "no field but the address",
        "a national number, no region",  # it can't be dialled, so it is left out
        "an upper-case address",
    }
    assert len(set(pinned.values())) == len(pinned) - 2


def test_a_number_that_another_contact_has_leaves_the_hash_of_the_contact_without_it() -> None:
    brevo = Brevo(api_key="k")
    with_number = brevo.prepare(Contact(UUID(int=1), **ALL_FIELDS))
    assert isinstance(with_number, Record)

    without = brevo.next_request(with_number, Rejected("sms_in_use", ""))

    assert without is not None
    assert without.payload_hash == "23029e2f73d1682916a7d5ee4bb5f1cb"
