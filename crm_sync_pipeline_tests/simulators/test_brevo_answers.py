"""Bodies byte for byte, and what Brevo does with values, over plain HTTP."""

import re
from typing import Any

import httpx
import pytest

from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline_tests.simulators.conftest import UNLIMITED, Serve

JANE = {"email": "jane@example.com", "attributes": {"SMS": "+33612345678"}, "updateEnabled": True}


def upsert(http: httpx.Client, email: str = "jane@example.com", **fields: Any) -> httpx.Response:
    return http.post("/v3/contacts", json={"email": email, "updateEnabled": True, **fields})


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (
            {"email": "jane@example.com"},
            400,
            b'{"code":"duplicate_parameter","message":"Unable to create contact, email is already associated with '
            b'another Contact","metadata":{"duplicate_identifiers":["email"]}}',
        ),
        (
            {"email": "john@example.com", "attributes": {"SMS": "0033612345678"}},
            400,
            b'{"code":"duplicate_parameter","message":"Unable to create contact, SMS is already associated with '
            b'another Contact","metadata":{"duplicate_identifiers":["SMS"]}}',
        ),
        (
            {"email": "other@example.com", "attributes": {"SMS": "33612345678"}, "updateEnabled": True},
            400,
            b'{"code":"duplicate_parameter","message":"Unable to update contact, SMS is already associated with '
            b'another Contact","metadata":{"duplicate_identifiers":["SMS"]}}',
        ),
        (
            {
                "email": "other@example.com",
                "attributes": {"SMS": "33612345678"},
                "ext_id": "crm-1",
                "updateEnabled": True,
            },
            400,
            b'{"code":"duplicate_parameter","message":"Unable to update contact, SMS or EXT_ID are already associated '
            b'with another Contact","metadata":{"duplicate_identifiers":["SMS","EXT_ID"]}}',
        ),
        (
            {"email": "john@example.com", "attributes": {"SMS": "0612345678"}},
            400,
            b'{"code":"invalid_parameter","message":"Invalid phone number"}',
        ),
        ({"email": "no address"}, 400, b'{"code":"invalid_parameter","message":"Invalid email address"}'),
        (
            {"attributes": {"FIRSTNAME": "Jane"}},
            400,
            b'{"code":"missing_parameter","message":"Please provide Email or SMS attribute value to create user"}',
        ),
        (
            {"email": "john@example.com", "smtpBlacklistSender": ["nobody"], "updateEnabled": True},
            400,
            b'{"code":"invalid_parameter","message":"Invalid smtpBlacklistSender format"}',
        ),
        (
            {"email": "john@example.com", "listIds": [7]},
            400,
            b'{"code":"invalid_parameter","message":"List ID does not exist"}',
        ),
        ({"email": "john@example.com"}, 201, b'{"id":3}'),
        (JANE, 204, b""),
    ],
)
def test_writes_are_answered_word_for_word(http: httpx.Client, sent: Any, status: int, body: bytes) -> None:
    upsert(http, attributes=JANE["attributes"], ext_id="crm-1")
    upsert(http, "other@example.com")
    answer = http.post("/v3/contacts", json=sent)
    assert (answer.status_code, answer.content) == (status, body)


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        (
            "GET",
            "/v3/contacts/x%40y.com",
            404,
            b'{"code":"document_not_found","message":"Contact does not exist"}',
        ),
        ("GET", "/v3/processes/9", 404, b'{"code":"invalid_parameter","message":"processId is invalid"}'),
        (
            "PATCH",
            "/v3/contacts",
            405,
            b'{"code":"method_not_allowed","message":"PATCH Method is not allowed on this path"}',
        ),
        ("GET", "/v3/contacts", 200, b'{"contacts":[],"count":0}'),
    ],
)
def test_reads_are_answered_word_for_word(http: httpx.Client, method: str, path: str, status: int, body: bytes) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.content) == (status, body)


@pytest.mark.parametrize(
    ("key", "body"),
    [
        (None, b'{"message":"authentication not found in headers","code":"unauthorized"}\n'),
        ("", b'{"message":"authentication not found in headers","code":"unauthorized"}\n'),
        ("xkeysib-wrong", b'{"message":"Key not found","code":"unauthorized"}\n'),
    ],
)
def test_a_key_that_is_missing_or_wrong_is_401(http: httpx.Client, key: str | None, body: bytes) -> None:
    request = httpx.Request("GET", http.base_url.join("/v3/account"), headers={} if key is None else {"api-key": key})
    answer = http.send(request)
    assert (answer.status_code, answer.content) == (401, body)


def test_any_key_opens_an_account_that_asks_for_none_in_particular(serve: Serve) -> None:
    client = serve(BrevoSimulator(BrevoConfig(api_keys=None)))
    assert client.get("/v3/account", headers={"api-key": "whatever"}).status_code == 200
    assert client.get("/v3/account", headers={"api-key": ""}).status_code == 401


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({}, b'{"email":"jane@example.com"}'),
        ({"content-type": "text/plain"}, b'{"email":"jane@example.com"}'),
        ({"content-type": "application/json"}, b'{"email":'),
        ({"content-type": "application/json"}, b'{"email":NaN}'),
        ({"content-type": "application/json"}, b'["jane@example.com"]'),
        ({"content-type": "application/json"}, b"\xff"),
        ({"content-type": "application/json"}, b"[" * 100_000),
    ],
)
def test_a_body_that_is_no_labelled_json_object_is_400(
    http: httpx.Client, brevo: BrevoSimulator, headers: dict[str, str], content: bytes
) -> None:
    answer = http.post("/v3/contacts", headers=headers, content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
    assert not brevo.contacts


def test_every_answer_names_its_request(http: httpx.Client) -> None:
    ids = [http.get("/v3/contacts").headers["sib-request-id"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one) for one in ids)


@pytest.mark.parametrize("sent", ["33612345678", "+33612345678", "0033612345678", "+33 (6) 12-34.56 78", 33612345678])
def test_a_phone_number_is_stored_as_digits_with_its_country(
    http: httpx.Client, brevo: BrevoSimulator, sent: str | int
) -> None:
    assert upsert(http, attributes={"SMS": sent}).status_code == 201
    assert brevo.contacts["jane@example.com"].attributes["SMS"] == "33612345678"


@pytest.mark.parametrize("sent", ["12345", "+12345", "0612345678", "+33", "call me", "336123456789012345", [], True])
def test_a_bad_phone_number_refuses_the_whole_contact(http: httpx.Client, brevo: BrevoSimulator, sent: object) -> None:
    assert upsert(http, attributes={"FIRSTNAME": "Jane", "SMS": sent}).json()["message"] == "Invalid phone number"
    assert not brevo.contacts


def test_an_empty_phone_number_takes_it_away(http: httpx.Client, brevo: BrevoSimulator) -> None:
    upsert(http, attributes={"SMS": "33612345678"})
    assert upsert(http, attributes={"SMS": ""}).status_code == 204
    assert "SMS" not in brevo.contacts["jane@example.com"].attributes
    assert upsert(http, "john@example.com", attributes={"SMS": "33612345678"}).status_code == 201


def test_a_contact_of_a_phone_number_alone_gets_a_synthetic_address(http: httpx.Client, brevo: BrevoSimulator) -> None:
    assert http.post("/v3/contacts", json={"attributes": {"SMS": "33612345678"}}).status_code == 201
    assert list(brevo.contacts) == ["33612345678@mailin-sms.com"]


def test_what_the_account_does_not_know_or_cannot_type_is_ignored(http: httpx.Client, brevo: BrevoSimulator) -> None:
    sent = {"FIRSTNAME": ["a"], "LASTNAME": None, "HAS_GMAIL": "perhaps", "PAGE_ID": 7, "SHOE_SIZE": "42"}
    assert upsert(http, attributes=sent).status_code == 201
    assert dict(brevo.contacts["jane@example.com"].attributes) == {"PAGE_ID": "7"}


def test_unknown_attributes_are_refused_where_the_account_says_so(serve: Serve) -> None:
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], refuse_unknown_attributes=True))
    answer = upsert(serve(simulator), attributes={"SHOE_SIZE": "42"})
    assert answer.status_code == 400
    assert not simulator.contacts


def test_an_attribute_nobody_knows_is_refused_but_email_is_no_attribute(serve: Serve) -> None:
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], refuse_unknown_attributes=True))
    client = serve(simulator)
    upsert(client)
    assert client.put("/v3/contacts/1", json={"attributes": {"EMAIL": "new@example.com"}}).status_code == 204
    assert list(simulator.contacts) == ["new@example.com"]


def test_a_synthetic_address_that_is_taken_is_not_given_again(http: httpx.Client, brevo: BrevoSimulator) -> None:
    http.post("/v3/contacts", json={"attributes": {"SMS": "33612345678"}})
    http.put("/v3/contacts/1", json={"attributes": {"SMS": "33600000000"}})
    assert http.post("/v3/contacts", json={"attributes": {"SMS": "33612345678"}}).status_code == 201
    assert http.get("/v3/contacts/2?identifierType=contact_id").json().get("email") is None
    assert brevo.contacts["33612345678@mailin-sms.com"].id == 1


def test_values_are_kept_by_the_type_of_their_attribute(serve: Serve) -> None:
    types = {"BORN": "date", "score": "float", "HAS_GMAIL": "boolean"}
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], attributes=types))
    client = serve(simulator)
    upsert(client, attributes={"BORN": "2001-02-03", "SCORE": 1.5, "HAS_GMAIL": True})
    kept = {"BORN": "2001-02-03", "SCORE": 1.5, "HAS_GMAIL": True}
    assert dict(simulator.contacts["jane@example.com"].attributes) == kept
    upsert(client, attributes={"BORN": "2001-02-30", "SCORE": "many", "HAS_GMAIL": "?"})
    assert dict(simulator.contacts["jane@example.com"].attributes) == kept


@pytest.mark.parametrize("value", ["yes", "true", "t", "1", 1, 0, 1.0, [True], {"value": True}])
def test_what_is_not_a_boolean_is_dropped_without_a_word_one_by_one_and_by_an_import(
    http: httpx.Client, brevo: BrevoSimulator, value: object
) -> None:
    upsert(http, attributes={"HAS_GMAIL": value, "FIRSTNAME": "Jane"})
    body = {"jsonBody": [{"email": "joe@example.com", "attributes": {"HAS_GMAIL": value}}], "listIds": [1]}
    assert http.post("/v3/contacts/import", json=body).status_code == 202
    assert dict(brevo.contacts["jane@example.com"].attributes) == {"FIRSTNAME": "Jane"}
    assert "HAS_GMAIL" not in brevo.contacts["joe@example.com"].attributes


def test_in_a_file_a_boolean_is_written_as_a_word(http: httpx.Client, brevo: BrevoSimulator) -> None:
    body = {"fileBody": "EMAIL;HAS_GMAIL\njoe@example.com;yes\njane@example.com;0", "listIds": [1]}
    assert http.post("/v3/contacts/import", json=body).status_code == 202
    assert brevo.contacts["joe@example.com"].attributes["HAS_GMAIL"] is True
    assert brevo.contacts["jane@example.com"].attributes["HAS_GMAIL"] is False


def test_a_blocked_contact_stays_blocked_until_somebody_says_otherwise(
    http: httpx.Client, brevo: BrevoSimulator
) -> None:
    upsert(http, emailBlacklisted=True)
    upsert(http, attributes={"FIRSTNAME": "Jane"}, listIds=[1])
    assert brevo.contacts["jane@example.com"].email_blacklisted
    assert brevo.contacts["jane@example.com"].list_ids == (1,)
    upsert(http, emailBlacklisted=False)
    assert not brevo.contacts["jane@example.com"].email_blacklisted


def test_a_new_address_takes_the_blocking_away(http: httpx.Client, brevo: BrevoSimulator) -> None:
    upsert(http, emailBlacklisted=True)
    assert http.put("/v3/contacts/1", json={"attributes": {"EMAIL": "j@example.com"}}).status_code == 204
    assert not brevo.contacts["j@example.com"].email_blacklisted


@pytest.mark.parametrize(
    "address",
    [
        "info@müller.de",
        "josé@example.com",
        "\u200binfo@example.com",
        "info@exa\xadmple.com",
        "\u212aate@example.com",
        "info@example.com\xa0",
        "info@例え.jp",
        "info@example。com",
    ],
    ids=ascii,
)
def test_an_address_that_is_not_ascii_is_refused(http: httpx.Client, brevo: BrevoSimulator, address: str) -> None:
    answer = upsert(http, address)
    assert (answer.status_code, answer.json()["message"]) == (400, "Invalid email address")
    assert not brevo.contacts


@pytest.mark.parametrize("address", ["info@xn--mller-kva.de", "info@xn--80aealotwbjpid2k.xn--p1ai"])
def test_an_international_domain_is_taken_as_the_dns_has_it(
    http: httpx.Client, brevo: BrevoSimulator, address: str
) -> None:
    assert upsert(http, address).is_success
    assert list(brevo.contacts) == [address]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("jane@example.com", "Contact already exist"),
        ("john@example.com", "Unable to update contact, email is already associated with another Contact"),
        ("nowhere", "Invalid email address"),
    ],
)
def test_an_address_that_does_not_change_or_is_taken_is_refused(http: httpx.Client, address: str, message: str) -> None:
    upsert(http)
    upsert(http, "john@example.com")
    answer = http.put("/v3/contacts/jane%40example.com", json={"attributes": {"EMAIL": address}})
    assert (answer.status_code, answer.json()["code"], answer.json()["message"]) == (400, "invalid_parameter", message)


def test_the_wording_of_2024_can_be_had(serve: Serve) -> None:
    client = serve(BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], old_duplicate_wording=True)))
    client.post("/v3/contacts", json={"email": "jane@example.com"})
    answer = client.post("/v3/contacts", json={"email": "jane@example.com"})
    assert answer.content == b'{"code":"duplicate_parameter","message":"Contact already exist"}'


def test_an_escaped_identifier_is_one_segment(http: httpx.Client, brevo: BrevoSimulator) -> None:
    for email in ("a/b@example.com", "a#b@example.com", "a?b@example.com", "a%b@example.com"):
        upsert(http, email)
        path = "/v3/contacts/" + "".join(f"%{ord(c):02X}" if c in "/#?%@" else c for c in email)
        assert http.get(path).json()["email"] == email
    assert len(brevo.contacts) == 4


@pytest.mark.parametrize(
    "body",
    [
        {"listIds": [1]},
        {"jsonBody": [], "fileBody": "EMAIL\n", "listIds": [1]},
        {"fileUrl": "http://127.0.0.1/x.csv", "listIds": [1]},
        {"jsonBody": [{"email": "a@example.com"}], "listIds": [7]},
        {"jsonBody": [{"email": "a@example.com"}], "listIds": [1], "updateExistingContacts": "yes"},
        {"jsonBody": [{"email": "a@example.com"}], "newList": {"listName": "x", "folderId": 9}},
        {"fileBody": "NAME\nx\n", "listIds": [1]},
        {"fileBody": "EMAIL\n" + "a@example.com\n" * 800_000, "listIds": [1]},
    ],
    ids=["nothing", "two", "url", "list", "flag", "folder", "columns", "size"],
)
def test_an_import_that_cannot_be_carried_out_is_refused_at_once(http: httpx.Client, body: dict[str, Any]) -> None:
    assert http.post("/v3/contacts/import", json=body).status_code == 400
    assert http.get("/v3/processes").json() == {"count": 0, "processes": []}


def test_an_import_can_block_and_on_request_unblock(serve: Serve) -> None:
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], import_seconds=0, import_clears_blocklist=True))
    client = serve(simulator)
    rows = {"jsonBody": [{"email": "jane@example.com"}], "listIds": [1]}
    client.post("/v3/contacts/import", json={**rows, "emailBlacklist": True})
    assert simulator.contacts["jane@example.com"].email_blacklisted
    client.post("/v3/contacts/import", json=rows)
    assert not simulator.contacts["jane@example.com"].email_blacklisted


def test_an_account_starts_with_the_attributes_and_lists_it_is_given(serve: Serve) -> None:
    config = BrevoConfig(limits=PLANS["unlimited"], attributes={"nom": "text"}, lists={5: "Clients", 9: "Autres"})
    client = serve(BrevoSimulator(config))
    assert client.get("/v3/contacts/attributes").json() == {
        "attributes": [{"name": "NOM", "category": "normal", "type": "text"}]
    }
    assert [one["id"] for one in client.get("/v3/contacts/lists?sort=asc").json()["lists"]] == [5, 9]
    assert client.post("/v3/contacts/lists", json={"name": "x", "folderId": 1}).json() == {"id": 10}


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"attributes": {"AGE": "integer"}}, "AGE cannot be 'integer'"),
        ({"lists": {0: "x"}}, "begin at 1"),
        ({"import_seconds": -1}, "0 or more"),
        ({"request_log_size": 0}, "at least 1"),
    ],
)
def test_a_config_that_makes_no_account_is_refused(wrong: dict[str, Any], names: str) -> None:
    with pytest.raises(ValueError, match=names):
        BrevoSimulator(BrevoConfig(**wrong))


def test_a_reset_account_is_as_it_was_at_the_start(http: httpx.Client, brevo: BrevoSimulator) -> None:
    upsert(http)
    brevo.reset()
    assert (len(brevo.contacts), len(brevo.requests), brevo.counts()["lists"]) == (0, 0, len(UNLIMITED.lists))
    assert upsert(http).json() == {"id": 1}


def test_the_key_is_not_in_the_log(http: httpx.Client, brevo: BrevoSimulator) -> None:
    upsert(http)
    assert DEFAULT_KEY not in repr(list(brevo.requests))
