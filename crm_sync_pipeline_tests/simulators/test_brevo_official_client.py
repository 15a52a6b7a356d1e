"""Brevo's own client drives the simulator, and each answer is held against Brevo's own OpenAPI document."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from brevo import Brevo
from brevo.contacts import (
    AddContactToListRequestBodyEmails,
    AddContactToListRequestBodyExtIds,
    AddContactToListRequestBodyIds,
    GetContactInfoResponse,
    ImportContactsRequestJsonBodyItem,
    ImportContactsRequestNewList,
    RemoveContactFromListRequestBodyAll,
    RemoveContactFromListRequestBodyEmails,
)
from brevo.core.api_error import ApiError

from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator, running
from crm_sync_pipeline_tests.simulators import brevo_contract
from crm_sync_pipeline_tests.simulators.conftest import NO_CERTIFICATES, ManualClock

pytestmark = pytest.mark.skipif(
    not brevo_contract.DOCUMENT.exists(), reason="Brevo's OpenAPI document does not lie beside this repository."
)


def official_client(server: RunningSimulator, http: httpx.Client, api_key: str = DEFAULT_KEY) -> Brevo:
    return Brevo(api_key=api_key, base_url=f"{server.base_url}/v3", httpx_client=http, max_retries=0, timeout=10)


def attributes_of(contact: GetContactInfoResponse) -> dict[str, Any]:
    return {name: value for name, value in contact.attributes if value is not None}


@pytest.fixture
def checked_http() -> Iterator[httpx.Client]:
    with httpx.Client(event_hooks={"response": [brevo_contract.check]}, verify=NO_CERTIFICATES) as http:
        yield http


@pytest.fixture
def client(brevo: BrevoSimulator, served: tuple[BrevoSimulator, RunningSimulator], checked_http: httpx.Client) -> Brevo:
    _ = brevo
    return official_client(served[1], checked_http)


def test_a_new_contact_is_created_with_an_id_and_can_be_read_back(client: Brevo) -> None:
    created = client.contacts.with_raw_response.create_contact(
        email=" Jane.Doe@Example.COM ",
        attributes={"FIRSTNAME": "Jane", "lastname": "Doe", "SMS": "+33 6 12 34 56 78", "HAS_GMAIL": False},
        list_ids=[1],
    )
    assert created.data is not None
    read = client.contacts.get_contact_info(created.data.id)
    assert read.email == "jane.doe@example.com"
    assert attributes_of(read) == {"FIRSTNAME": "Jane", "LASTNAME": "Doe", "SMS": "33612345678", "HAS_GMAIL": False}
    assert read.list_ids == [1]
    assert read.email_blacklisted is False


def test_an_upsert_of_a_known_address_answers_204_without_an_id(client: Brevo) -> None:
    client.contacts.create_contact(email="jane@example.com", attributes={"FIRSTNAME": "Jane"})
    updated = client.contacts.with_raw_response.create_contact(
        email="JANE@example.com", attributes={"LASTNAME": "Doe"}, update_enabled=True
    )
    assert updated.data is None
    assert attributes_of(client.contacts.get_contact_info("jane@example.com")) == {
        "FIRSTNAME": "Jane",
        "LASTNAME": "Doe",
    }


def test_a_duplicate_without_update_enabled_is_refused(client: Brevo) -> None:
    client.contacts.create_contact(email="jane@example.com")
    with pytest.raises(ApiError) as refused:
        client.contacts.create_contact(email="jane@example.com")
    assert refused.value.status_code == 400


def test_a_contact_is_found_by_address_id_phone_and_ext_id(client: Brevo) -> None:
    created = client.contacts.create_contact(
        email="a+b%c@example.com", ext_id="crm-7", attributes={"SMS": "0033612345678"}
    )
    assert created is not None
    for identifier, kind in (
        ("a+b%25c%40example.com", None),
        ("a+b%25c%40example.com", "email_id"),
        (created.id, None),
        (created.id, "contact_id"),
        ("33612345678", None),
        ("33612345678", "phone_id"),
        ("crm-7", "ext_id"),
    ):
        assert client.contacts.get_contact_info(identifier, identifier_type=kind).id == created.id


@pytest.mark.parametrize("identifier", ["nobody@example.com", 4711])
def test_nobody_is_404_to_read_update_and_delete(client: Brevo, identifier: str | int) -> None:
    for call in (client.contacts.get_contact_info, client.contacts.update_contact, client.contacts.delete_contact):
        with pytest.raises(ApiError) as missing:
            call(identifier)
        assert missing.value.status_code == 404


def test_an_update_changes_what_it_names_and_moves_lists(client: Brevo) -> None:
    other = client.contacts.create_list(name="Others", folder_id=1)
    client.contacts.create_contact(email="jane@example.com", attributes={"FIRSTNAME": "Jane"}, list_ids=[1])
    client.contacts.update_contact(
        "jane@example.com",
        attributes={"EMAIL": "jane@example.org", "LASTNAME": "Doe"},
        list_ids=[other.id],
        unlink_list_ids=[1],
    )
    moved = client.contacts.get_contact_info("jane@example.org")
    assert moved.list_ids == [other.id]
    assert attributes_of(moved) == {"FIRSTNAME": "Jane", "LASTNAME": "Doe"}


def test_a_deleted_contact_is_gone_and_its_identifiers_are_free(client: Brevo, brevo: BrevoSimulator) -> None:
    client.contacts.create_contact(email="jane@example.com", attributes={"SMS": "33612345678"})
    client.contacts.delete_contact("jane@example.com")
    assert not brevo.contacts
    client.contacts.create_contact(email="john@example.com", attributes={"SMS": "33612345678"})


def test_contacts_are_listed_newest_first_in_pages_with_the_total(client: Brevo) -> None:
    assert client.contacts.get_contacts().contacts == []
    for number in range(5):
        client.contacts.create_contact(email=f"c{number}@example.com", list_ids=[1] if number % 2 else [])
    first = client.contacts.get_contacts(limit=2)
    assert (first.count, [one.email for one in first.contacts]) == (5, ["c4@example.com", "c3@example.com"])
    second = client.contacts.get_contacts(limit=2, offset=1, sort="asc")
    assert [one.email for one in second.contacts] == ["c1@example.com", "c2@example.com"]
    assert client.contacts.get_contacts(list_ids=[1]).count == 2
    assert client.contacts.get_contacts(filter='equals(FIRSTNAME,"x")').count == 0
    assert client.contacts.get_contacts(ids=[1, 3]).count == 2
    with pytest.raises(ApiError):
        client.contacts.get_contacts(limit=1001)


def test_contacts_are_selected_by_the_time_they_changed(client: Brevo) -> None:
    client.contacts.create_contact(email="old@example.com")
    client.contacts.create_contact(email="new@example.com")
    since = client.contacts.get_contact_info("new@example.com").created_at
    assert client.contacts.get_contacts(created_since=since).count in (1, 2)  # both may be of one millisecond
    client.contacts.update_contact("old@example.com", attributes={"FIRSTNAME": "Changed"})
    assert client.contacts.get_contacts(modified_since=since).count == 2
    assert client.contacts.get_contacts(modified_since="2999-01-01T00:00:00.000Z").count == 0


def test_attributes_are_listed_made_once_and_then_stored(client: Brevo) -> None:
    client.contacts.create_attribute("normal", "SCORE", type="float")
    client.contacts.create_attribute("normal", "COUNTRIES", type="multiple-choice", multi_category_options=["FR", "DE"])
    client.contacts.create_attribute("category", "TIER", enumeration=[{"value": 1, "label": "gold"}])
    with pytest.raises(ApiError) as twice:
        client.contacts.create_attribute("normal", "score", type="float")
    assert twice.value.status_code == 400
    named = {attribute.name: attribute for attribute in client.contacts.get_attributes().attributes or ()}
    assert {"FIRSTNAME", "LASTNAME", "SMS", "DOMAIN_ID", "PAGE_ID", "EMAIL_TYPE", "SOURCE_URL"} <= set(named)
    assert (named["HAS_GMAIL"].type, named["SCORE"].type, named["TIER"].type) == ("boolean", "float", None)
    client.contacts.create_contact(
        email="jane@example.com", attributes={"SCORE": 1.5, "COUNTRIES": ["FR", "XX"], "TIER": "gold"}
    )
    stored = attributes_of(client.contacts.get_contact_info("jane@example.com"))
    assert stored == {"SCORE": 1.5, "COUNTRIES": ["FR"], "TIER": 1}


def test_contacts_join_and_leave_lists(client: Brevo) -> None:
    for name in ("a", "b"):
        client.contacts.create_contact(email=f"{name}@example.com")
    made = client.contacts.create_list(name="News", folder_id=1)
    joined = client.contacts.add_contact_to_list(
        made.id, request=AddContactToListRequestBodyEmails(emails=["a@example.com", "nobody@example.com"])
    )
    assert (joined.contacts.success, joined.contacts.failure) == (["a@example.com"], ["nobody@example.com"])
    client.contacts.add_contact_to_list(made.id, request=AddContactToListRequestBodyIds(ids=[2]))
    with pytest.raises(ApiError) as again:
        client.contacts.add_contact_to_list(made.id, request=AddContactToListRequestBodyIds(ids=[2]))
    assert again.value.body["message"] == "Contact already in list and/or does not exist"
    assert client.contacts.get_contacts_from_list(made.id).count == 2
    left = client.contacts.remove_contact_from_list(
        made.id, request=RemoveContactFromListRequestBodyEmails(emails=["a@example.com"])
    )
    assert left.contacts.success == ["a@example.com"]
    assert client.contacts.get_list(made.id).unique_subscribers == 1
    assert [one.name for one in client.contacts.get_lists().lists or ()] == ["News", "Contacts"]


def test_a_list_needs_a_folder_that_exists(client: Brevo) -> None:
    folder = client.contacts.create_folder(name="Campaigns")
    assert client.contacts.get_folders().count == 2
    made = client.contacts.create_list(name="News", folder_id=folder.id)
    assert client.contacts.get_list(made.id).folder_id == folder.id


def test_an_import_is_taken_then_processed_then_done(checked_http: httpx.Client, clock: ManualClock) -> None:
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], import_seconds=9), clock=clock)
    with running(simulator.app) as server:
        client = official_client(server, checked_http)
        taken = client.contacts.import_contacts(
            json_body=[ImportContactsRequestJsonBodyItem(email="jane@example.com", attributes={"FIRSTNAME": "Jane"})],
            list_ids=[1],
            disable_notification=True,
        )
        seen = []
        for seconds in (0, 4, 5):
            clock.advance(seconds)
            process = client.process.get_process(taken.process_id)
            seen.append((process.status, process.info is not None, len(simulator.contacts)))
        assert seen == [("queued", False, 0), ("in_process", False, 0), ("completed", True, 1)]
        assert client.process.get_processes().count == 1


def test_rows_an_import_cannot_take_stand_in_csv_files(client: Brevo, brevo: BrevoSimulator) -> None:
    client.contacts.create_contact(email="owner@example.com", attributes={"SMS": "33612345678"})
    taken = client.contacts.import_contacts(
        file_body=(
            "EMAIL;FIRSTNAME;SMS;UNKNOWN\n"
            "jane@example.com;Jane;;x\n"
            "not an address;John;;\n"
            "thief@example.com;Tim;33612345678;\n"
            "jane@example.com;Again;;\n"
        ),
        new_list=ImportContactsRequestNewList(list_name="Imported", folder_id=1),
    )
    info = client.process.get_process(taken.process_id).info
    assert info is not None
    files = info.import_
    assert files is not None
    assert files.duplicate_ext_id is None
    assert httpx.get(str(files.invalid_emails)).text == "email;FIRSTNAME;SMS;UNKNOWN\nnot an address;John;;\n"
    assert "thief@example.com" in httpx.get(str(files.duplicate_phone_id)).text
    assert "Again" in httpx.get(str(files.duplicate_email_id)).text
    assert dict(brevo.contacts["jane@example.com"].attributes) == {"FIRSTNAME": "Jane"}
    assert "thief@example.com" not in brevo.contacts


@pytest.mark.parametrize(("update_existing", "kept"), [(True, "New"), (False, "Old")])
def test_an_import_updates_known_contacts_unless_told_not_to(client: Brevo, update_existing: bool, kept: str) -> None:
    client.contacts.create_contact(email="jane@example.com", attributes={"FIRSTNAME": "Old"}, email_blacklisted=True)
    client.contacts.import_contacts(
        json_body=[ImportContactsRequestJsonBodyItem(email="JANE@example.com", attributes={"FIRSTNAME": "New"})],
        list_ids=[1],
        update_existing_contacts=update_existing,
    )
    jane = client.contacts.get_contact_info("jane@example.com")
    assert attributes_of(jane) == {"FIRSTNAME": kept}
    assert jane.email_blacklisted is True


@pytest.mark.parametrize(("erases", "left"), [(True, ""), (False, "Jane")])
def test_an_import_erases_with_empty_values_only_when_told(client: Brevo, erases: bool, left: str) -> None:
    client.contacts.create_contact(email="jane@example.com", attributes={"FIRSTNAME": "Jane"})
    client.contacts.import_contacts(
        file_body="EMAIL;FIRSTNAME\njane@example.com;\n", list_ids=[1], empty_contacts_attributes=erases
    )
    assert attributes_of(client.contacts.get_contact_info("jane@example.com")) == {"FIRSTNAME": left}


def test_an_import_without_a_list_is_refused(client: Brevo) -> None:
    with pytest.raises(ApiError) as refused:
        client.contacts.import_contacts(json_body=[ImportContactsRequestJsonBodyItem(email="jane@example.com")])
    assert refused.value.status_code == 400


def test_an_unknown_process_is_404(client: Brevo) -> None:
    with pytest.raises(ApiError) as missing:
        client.process.get_process(99)
    assert missing.value.status_code == 404


def test_the_account_answers_a_key_it_knows_and_no_other(
    client: Brevo, served: tuple[BrevoSimulator, RunningSimulator], checked_http: httpx.Client
) -> None:
    assert client.account.get_account().email == "owner@example.com"
    with pytest.raises(ApiError) as refused:
        official_client(served[1], checked_http, api_key="xkeysib-other").account.get_account()
    assert (refused.value.status_code, refused.value.body["message"]) == (401, "Key not found")


def test_a_list_can_be_emptied_at_once_and_lists_know_ext_ids(client: Brevo) -> None:
    client.contacts.create_contact(email="a@example.com", ext_id="crm-1")
    client.contacts.create_contact(email="b@example.com", list_ids=[1])
    client.contacts.add_contact_to_list(1, request=AddContactToListRequestBodyExtIds(ext_ids=["crm-1"]))
    emptied = client.contacts.remove_contact_from_list(1, request=RemoveContactFromListRequestBodyAll(all_=True))
    assert emptied.contacts.total == 2
    assert client.contacts.get_contacts_from_list(1).count == 0


@pytest.mark.parametrize("call", ["get_list", "get_contacts_from_list"])
def test_an_unknown_list_is_404(client: Brevo, call: str) -> None:
    with pytest.raises(ApiError) as missing:
        getattr(client.contacts, call)(99)
    assert missing.value.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/contacts/lists", {"name": "News", "folderId": 9}),
        ("POST", "/contacts/lists", {"name": "News"}),
        ("POST", "/contacts/lists", {"folderId": 1}),
        ("POST", "/contacts/folders", {}),
        ("POST", "/contacts/attributes/odd/NAME", {"type": "text"}),
        ("POST", "/contacts/attributes/normal/NAME", {"type": "odd"}),
        ("POST", "/contacts/attributes/category/NAME", {"enumeration": [{"value": "x"}]}),
        ("POST", "/contacts/lists/1/contacts/add", {"emails": ["a@example.com"], "ids": [1]}),
        ("POST", "/contacts/lists/1/contacts/add", {"ids": list(range(151))}),
        ("POST", "/contacts/lists/1/contacts/add", {"emails": [1]}),
        ("POST", "/contacts/import", {"jsonBody": [1], "listIds": [1]}),
        ("POST", "/contacts/import", {"jsonBody": [{"email": "a@example.com", "attributes": 1}], "listIds": [1]}),
        ("POST", "/contacts/import", {"fileBody": 1, "listIds": [1]}),
        ("POST", "/contacts/import", {"jsonBody": [], "newList": "x"}),
        ("GET", "/contacts?sort=up", None),
        ("GET", "/contacts?listIds=x", None),
        ("GET", "/contacts?modifiedSince=yesterday", None),
        ("GET", "/contacts?filter=FIRSTNAME", None),
        ("GET", "/contacts/1?identifierType=name", None),
    ],
)
def test_a_refusal_keeps_to_the_document_too(
    client: Brevo,
    served: tuple[BrevoSimulator, RunningSimulator],
    checked_http: httpx.Client,
    method: str,
    path: str,
    body: object,
) -> None:
    _ = client
    url = f"{served[1].base_url}/v3{path}"
    answer = checked_http.request(method, url, headers={"api-key": DEFAULT_KEY}, json=body)
    assert answer.status_code == 400
