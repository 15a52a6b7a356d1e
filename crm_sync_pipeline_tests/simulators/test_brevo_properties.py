"""What holds for every contact, asked of the simulator without a network."""

import json
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from crm_sync_pipeline.simulators.brevo import DEFAULT_ATTRIBUTES, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.exchange import Answer, Request

EMAILS = st.from_regex(r"[a-zA-Z0-9]{1,8}(\.[a-zA-Z]{1,8})?@[a-zA-Z0-9]{1,8}\.(com|org)", fullmatch=True)
PHONES = st.integers(600_000_000, 799_999_999).map("33{}".format)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "FIRSTNAME": st.text(max_size=9),
        "lastname": st.text(max_size=9),
        "HAS_GMAIL": st.booleans(),
        "SMS": PHONES,
        "UNKNOWN": st.text(max_size=9),
    },
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def ask(simulator: BrevoSimulator, method: str, path: str, body: Any = None) -> Answer:
    path, _, query = path.partition("?")
    scope = {
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"content-type", b"application/json")],
    }
    return simulator.handle(Request(scope, b"" if body is None else json.dumps(body).encode()))


def account() -> BrevoSimulator:
    return BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], import_seconds=0))


@given(email=EMAILS, attributes=ATTRIBUTES, list_ids=st.lists(st.just(1)))
def test_an_upsert_repeated_changes_nothing_more(email: str, attributes: dict[str, Any], list_ids: list[int]) -> None:
    simulator = account()
    body = {"email": email, "attributes": attributes, "listIds": list_ids, "updateEnabled": True}
    assert ask(simulator, "POST", "/v3/contacts", body).status == 201
    once = simulator.contacts[email]
    assert ask(simulator, "POST", "/v3/contacts", body).status == 204
    twice = simulator.contacts[email]
    assert (once.id, once.attributes, once.list_ids) == (twice.id, twice.attributes, twice.list_ids)
    assert len(simulator.contacts) == 1


@given(email=EMAILS, spelling=st.sampled_from([str.upper, str.lower, str.title, " {} ".format]))
def test_one_address_in_any_case_is_one_contact(email: str, spelling: Any) -> None:
    simulator = account()
    ask(simulator, "POST", "/v3/contacts", {"email": email})
    assert ask(simulator, "POST", "/v3/contacts", {"email": spelling(email)}).status == 400
    assert ask(simulator, "GET", f"/v3/contacts/{quote(spelling(email), safe='')}").status == 200
    assert list(simulator.contacts) == [email.lower()]


@given(lists=st.lists(st.lists(st.sampled_from([1, 2, 3]), max_size=3), min_size=1, max_size=5))
def test_an_upsert_never_takes_a_contact_off_a_list(lists: list[list[int]]) -> None:
    simulator = BrevoSimulator(BrevoConfig(lists={1: "a", 2: "b", 3: "c"}))
    for list_ids in lists:
        ask(simulator, "POST", "/v3/contacts", {"email": "a@b.com", "listIds": list_ids, "updateEnabled": True})
    assert set(simulator.contacts["a@b.com"].list_ids) == {list_id for list_ids in lists for list_id in list_ids}


@given(writes=st.lists(st.tuples(st.sampled_from("abcd"), PHONES | st.sampled_from(["33600000001", ""])), max_size=12))
def test_a_phone_number_never_belongs_to_two_contacts(writes: list[tuple[str, str]]) -> None:
    simulator = account()
    for name, number in writes:
        body = {"email": f"{name}@example.com", "attributes": {"SMS": number}, "updateEnabled": True}
        assert ask(simulator, "POST", "/v3/contacts", body).status in (201, 204, 400)
    numbers = [contact.attributes["SMS"] for contact in simulator.contacts.values() if "SMS" in contact.attributes]
    assert len(numbers) == len(set(numbers))


@given(rows=st.lists(st.tuples(EMAILS | st.sampled_from(["", "nobody"]), ATTRIBUTES), max_size=9))
def test_every_row_of_an_import_is_stored_or_stands_in_a_failure_file(rows: list[tuple[str, dict[str, Any]]]) -> None:
    simulator = account()
    body = {"jsonBody": [{"email": email, "attributes": attributes} for email, attributes in rows], "listIds": [1]}
    assert ask(simulator, "POST", "/v3/contacts/import", body).status == 202
    stored = set(simulator.contacts) | {contact.attributes.get("SMS") for contact in simulator.contacts.values()}
    failed = [row for rows in simulator.imports.processes[1].failures.values() for row in rows]
    for email, attributes in rows:
        sent = {"email": email, **{name.upper(): value for name, value in attributes.items()}}
        assert sent in failed or (email.lower() or attributes["SMS"]) in stored


PATHS = (
    "POST /v3/contacts",
    "GET /v3/contacts",
    "PUT /v3/contacts/1",
    "PUT /v3/contacts/a%40b.com?identifierType=email_id",
    "POST /v3/contacts/import",
    "POST /v3/contacts/lists",
    "POST /v3/contacts/folders",
    "POST /v3/contacts/lists/1/contacts/add",
    "POST /v3/contacts/lists/1/contacts/remove",
    "POST /v3/contacts/attributes/normal/NEW",
    "POST /v3/contacts/attributes/category/NEW",
)
FIELDS = (
    *("email", "attributes", "listIds", "unlinkListIds", "ext_id", "updateEnabled", "emailBlacklisted", "name"),
    *("smtpBlacklistSender", "contacts", "jsonBody", "fileBody", "newList", "folderId", "type", "enumeration"),
    *("multiCategoryOptions", "emails", "ids", "extIds", "all", "id", "sms"),
)
VALUES = (
    JSON
    | st.sampled_from(["a@b.com", [1], [{"email": "a@b.com"}], "EMAIL;SMS\na@b.com;1\n", ["a@b.com"], True])
    | st.dictionaries(st.sampled_from([*DEFAULT_ATTRIBUTES, "EMAIL", "EXT_ID"]), JSON, max_size=3)
)


@settings(max_examples=300)
@given(path=st.sampled_from(PATHS), body=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5) | JSON)
def test_no_body_whatever_brings_the_simulator_down(path: str, body: Any) -> None:
    simulator = account()
    ask(simulator, "POST", "/v3/contacts", {"email": "a@b.com", "ext_id": "x"})
    method, _, target = path.partition(" ")
    assert ask(simulator, method, target, body).status in (200, 201, 202, 204, 400, 404, 405)
    assert ask(simulator, "GET", "/v3/contacts").status == 200
    assert ask(simulator, "GET", "/v3/processes").status == 200


QUERIES = ("limit", "offset", "sort", "ids", "listIds", "createdSince", "modifiedSince", "filter", "identifierType")


@given(
    path=st.sampled_from(["/v3/contacts", "/v3/contacts/lists", "/v3/contacts/a%40b.com", "/v3/contacts/33600000000"]),
    query=st.dictionaries(st.sampled_from(QUERIES), st.text(max_size=9) | st.integers().map(str)),
)
def test_no_query_whatever_brings_the_simulator_down(path: str, query: dict[str, str]) -> None:
    asked = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    assert ask(account(), "GET", f"{path}?{asked}").status in (200, 400, 404)
