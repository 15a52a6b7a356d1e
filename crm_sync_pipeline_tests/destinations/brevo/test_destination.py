"""Brevo's own: what is sent, and what its answers mean."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.brevo.settings import BrevoSettings
from crm_sync_pipeline.destinations.contract import Answer, body_of, payload_hash
from crm_sync_pipeline.destinations.destination import JSON_HEADERS, NotReadyError
from crm_sync_pipeline.domain.characters import trimmed
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.health import FAILURES_UNTIL_OPEN
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Rejected, Synced
from crm_sync_pipeline.domain.transition import Ending
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.destinations.conftest import CONTACT, EMAIL, KEY, Rig, attempted

ID = UUID("00000000-0000-4000-8000-00000000000a")
BREVO = Brevo(api_key=KEY)

# PostgreSQL stores neither NUL nor half a surrogate pair.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
phones = st.text("0123456789+-() ./x", max_size=25)
contacts = st.builds(
    Contact,
    id=st.just(ID),
    email=texts | st.emails(),
    name=st.none() | texts,
    phone_number=st.none() | texts | phones,
    domain_id=st.none() | texts,
    page_id=st.none() | texts,
    email_type=st.none() | texts,
    source_url=st.none() | texts,
    has_gmail=st.none() | st.booleans(),
)


def answered(status: int, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer as httpx gives it; a body that is neither bytes nor None is sent as JSON."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Answer(status, httpx.Headers(dict(headers or {})), raw)


def payload(contact: Contact, brevo: Brevo = BREVO) -> dict[str, Any]:
    return brevo.call_for(contact).payload


# What is sent


@settings(max_examples=50, deadline=None)
@given(contacts)
def test_an_attribute_is_sent_only_with_a_value_and_under_its_upper_case_name(contact: Contact) -> None:
    sent = payload(contact)["attributes"]
    assert all(name == name.upper() for name in sent)
    assert all(value is not None and value != "" for value in sent.values())
    assert all(isinstance(value, str | bool) for value in sent.values())
    plain = {"DOMAIN_ID": "domain_id", "PAGE_ID": "page_id", "EMAIL_TYPE": "email_type", "SOURCE_URL": "source_url"}
    for name, source in plain.items():
        assert sent.get(name) == (getattr(contact, source) or None)
    assert sent.get("HAS_GMAIL") is contact.has_gmail
    assert sent.get("FIRSTNAME") == contact.first_name
    assert sent.get("LASTNAME") == contact.last_name


@settings(max_examples=50, deadline=None)
@given(contacts, st.none() | st.integers(1, 10**9))
def test_a_body_has_these_fields_and_no_others_so_never_one_of_consent(contact: Contact, list_id: int | None) -> None:
    sent = payload(contact, Brevo(api_key=KEY, list_id=list_id))
    assert sent.keys() == {"email", "attributes", "updateEnabled"} | ({"listIds"} if list_id else set())
    assert sent["updateEnabled"] is True
    assert sent["email"] == contact.address
    assert sent.get("listIds") == ([list_id] if list_id else None)
    names = {"FIRSTNAME", "LASTNAME", "SMS", "DOMAIN_ID", "PAGE_ID", "EMAIL_TYPE", "SOURCE_URL", "HAS_GMAIL"}
    assert sent["attributes"].keys() <= names


def test_false_is_a_value_and_null_is_none() -> None:
    assert payload(Contact(ID, EMAIL, has_gmail=False))["attributes"] == {"HAS_GMAIL": False}
    assert payload(Contact(ID, EMAIL))["attributes"] == {}


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Ada Lovelace", "Ada", "Lovelace"),
        ("  Ada \t Lovelace  ", "Ada", "Lovelace"),
        ("Ada", "Ada", None),
        ("   ", None, None),
        ("", None, None),
        (None, None, None),
        ("Maria da Silva Santos", "Maria", "da Silva Santos"),
        ("王 小明", "王", "小明"),
        ("Søren\u00a0Ørsted", "Søren", "Ørsted"),
    ],
)
def test_a_name_is_split_once_at_its_first_white_space(name: str | None, first: str | None, last: str | None) -> None:
    sent = payload(Contact(ID, EMAIL, name=name))["attributes"]
    assert (sent.get("FIRSTNAME"), sent.get("LASTNAME")) == (first, last)


def test_the_call_goes_to_contacts_with_key_and_json(rig: Rig) -> None:
    simulator = rig.simulator
    assert isinstance(simulator, BrevoSimulator)
    rig.deliver(list_id=1)
    (request,) = simulator.requests
    assert (request.method, request.path, request.status) == ("POST", "/v3/contacts", 201)
    assert request.json["email"] == EMAIL
    assert request.json["listIds"] == [1]
    with_key = {"api-key": KEY, "content-type": "application/json", "accept": "application/json"}
    assert with_key.items() <= dict(BREVO.client().headers).items()


def test_blanks_around_a_key_are_not_sent() -> None:
    assert Brevo(api_key=f" {KEY}\n").headers()["api-key"] == KEY


@settings(max_examples=50, deadline=None)
@given(st.lists(contacts, min_size=1, max_size=5))
@example([Contact(ID, "a@example.com", name='"\\ \u2028 \U0001f600 ' * 9, source_url="]]>{}'\x7f")])
@example([Contact(ID, "\x01@example.com"), Contact(ID, "a@example.com", name="A\x1fB")])
def test_whatever_a_row_holds_brevo_reads_the_body_and_takes_the_contact_or_refuses_it(some: list[Contact]) -> None:
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], api_keys=None))
    brevo = Brevo(base_url="http://simulator/v3", api_key=KEY, phone_region="US")

    async def deliver() -> None:
        transport = httpx.ASGITransport(app=simulator.app)
        headers = {**JSON_HEADERS, **brevo.headers()}
        client = httpx.AsyncClient(transport=transport, base_url=brevo.base_url, headers=headers)
        async with client:
            for contact in some:
                attempt = await attempted(brevo, client, contact)
                if attempt.payload_hash is None:
                    assert attempt.outcome.reason in ("no_email", "address_not_ascii", "invalid_domain")
                    continue
                request = simulator.requests[-1]
                assert request.json == payload(contact, brevo), "the body is JSON, and says what was meant"
                assert request.status in (201, 204, 400)
                assert type(attempt.outcome) is (Rejected if request.status == 400 else Synced)
                assert attempt.payload_hash == payload_hash(body_of(request.json))
                assert attempt.outcome.reason in ("created", "updated", "invalid_email", "sms_in_use")

    asyncio.run(deliver())


# Phone numbers


def test_a_number_that_brevo_would_refuse_is_left_out_and_the_contact_goes_without_it(rig: Rig) -> None:
    national = Contact(ID, EMAIL, name="Ada", phone_number="(415) 555-2671")
    (attempt,) = rig.deliver(national)
    assert attempt.outcome == Synced(
        "1", "created", "Sent without its phone number, which lacks a country code (see BREVO_PHONE_REGION)"
    )
    assert "SMS" not in rig.simulator.requests[0].json["attributes"]


def test_with_a_region_national_numbers_are_sent_and_nothing_is_noted(rig: Rig) -> None:
    (attempt,) = rig.deliver(Contact(ID, EMAIL, phone_number="(415) 555-2671 ext. 3"), phone_region="US")
    assert attempt.outcome == Synced("1", "created", "")
    assert rig.simulator.requests[0].json["attributes"]["SMS"] == "+14155552671"


def test_a_number_that_is_wrong_in_its_region_is_noted_as_such() -> None:
    brevo = Brevo(api_key=KEY, phone_region="US")
    assert brevo.left_out(Contact(ID, EMAIL, phone_number="12")) == (
        "Sent without its phone number, which is not valid in US"
    )


@settings(max_examples=50, deadline=None)
@given(contacts, st.sampled_from([None, "US", "DE"]))
def test_a_note_is_made_exactly_when_a_number_was_left_out(contact: Contact, region: str | None) -> None:
    brevo = Brevo(api_key=KEY, phone_region=region)
    has_number = bool(trimmed(contact.phone_number or ""))
    note = brevo.left_out(contact)
    assert bool(note) == (has_number and "SMS" not in payload(contact, brevo)["attributes"])


# What answers mean


def test_201_with_an_id_is_created_and_204_updated() -> None:
    assert BREVO.read(answered(201, {"id": 21})) == Synced("21", "created")
    assert BREVO.read(answered(204)) == Synced(None, "updated")
    assert BREVO.read(answered(204, b" \r\n")) == Synced(None, "updated")


@pytest.mark.parametrize(
    "body",
    [None, {}, {"ID": None}, {"id": "21"}, {"id": 21.0}, {"id": True}, {"id": [21]}, [21], 21, "21", b"{", b"\xff\xfe"],
)
def test_a_201_without_an_integer_id_is_no_success(body: object) -> None:
    outcome = BREVO.read(answered(201, body))
    assert isinstance(outcome, Failed)
    assert outcome.reason == "unexpected_answer"
    assert "(201)" in outcome.message


@pytest.mark.parametrize("status", [200, 202, 203, 205, 206, 299])
def test_no_other_2xx_is_a_success(status: int) -> None:
    assert BREVO.read(answered(status, {"id": 21})) == Failed(
        "unexpected_answer", f"Brevo API error ({status}): unexpected answer; it is not taken for success"
    )


def test_a_204_with_a_body_is_no_success() -> None:
    assert isinstance(BREVO.read(answered(204, {"code": "x", "message": "y"})), Failed)


def clash(doing: str, what: str, verb: str = "is", ending: str = "associated") -> str:
    return f"Unable to {doing} contact, {what} {verb} already {ending} with another Contact"


REFUSALS = [
    ("email on create, by metadata", clash("create", "email"), ["email"], "email_in_use"),
    ("SMS on create, by metadata", clash("create", "SMS"), ["SMS"], "sms_in_use"),
    ("SMS on create, lower-case metadata", clash("create", "SMS"), ["sms"], "sms_in_use"),
    ("SMS on update, by metadata", clash("update", "SMS"), ["SMS"], "sms_in_use"),
    ("SMS on update, by words", clash("update", "SMS"), None, "sms_in_use"),
    ("SMS on update, by older words", clash("update", "SMS", ending="associate"), None, "sms_in_use"),
    ("SMS or EXT_ID, by metadata", clash("update", "SMS or EXT_ID", "are"), ["SMS", "EXT_ID"], "sms_in_use"),
    ("SMS or EXT_ID, by words", clash("update", "SMS or EXT_ID", "are"), None, "sms_in_use"),
    ("EXT_ID, by metadata", clash("update", "EXT_ID"), ["EXT_ID"], "ext_id_in_use"),
    ("WHATSAPP, by metadata", clash("update", "WHATSAPP"), ["WHATSAPP"], "duplicate"),
    ("WHATSAPP, by words", clash("update", "WHATSAPP"), None, "duplicate"),
    ("email change, by metadata", clash("update", "email"), ["email"], "email_in_use"),
    ("phone", "Invalid phone number", None, "invalid_phone"),
    ("email", "Invalid email address", None, "invalid_email"),
]


@pytest.mark.parametrize("code", ["duplicate_parameter", "invalid_parameter"])
@pytest.mark.parametrize(
    ("message", "identifiers", "reason"), [case[1:] for case in REFUSALS], ids=[c[0] for c in REFUSALS]
)
def test_each_refusal_has_its_reason_under_both_codes(
    code: str, message: str, identifiers: list[str] | None, reason: str
) -> None:
    body: dict[str, object] = {"code": code, "message": message}
    if identifiers is not None:
        body["metadata"] = {"duplicate_identifiers": identifiers}
    assert BREVO.read(answered(400, body)) == Rejected(reason, f"Brevo API error (400): {message}")


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("duplicate_parameter", "Contact already exist", "duplicate_parameter"),
        ("invalid_parameter", "Transactional attribute as primary Key is missing", "invalid_parameter"),
        ("missing_parameter", "Something is missing", "missing_parameter"),
        ("Not A Code", "Something", "http_400"),
        ("ünïcode", "Something", "http_400"),
        ("UPPER", "Something", "http_400"),
        ("x" * 500, "Something", "http_400"),
    ],
)
def test_another_refusal_is_named_by_its_code_where_that_is_one(code: str, message: str, reason: str) -> None:
    outcome = BREVO.read(answered(400, {"code": code, "message": message}))
    assert outcome == Rejected(reason, f"Brevo API error (400): {message}", may_be_ours=True)


@pytest.mark.parametrize(
    ("said", "reason", "remedy"),
    [
        ("authentication not found in headers", "no_api_key", "BREVO_API_KEY did not arrive; set a v3 key."),
        ("Key not found", "wrong_api_key", "Brevo refused BREVO_API_KEY; set a valid v3 key."),
        ("API Key is not enabled", "wrong_api_key", "Brevo refused BREVO_API_KEY; set a valid v3 key."),
        (
            "We have detected you are using an unrecognised IP address 203.0.113.7.",
            "ip_not_allowed",
            "https://app.brevo.com/security/authorised_ips",
        ),
        (
            "We have detected you are using an unrecognised IP address 2001:db8::1. If you performed this action make "
            "sure to add the new IP address in this link: https://app.brevo.com/security/authorised_ips",
            "ip_not_allowed",
            "https://app.brevo.com/security/authorised_ips",
        ),
    ],
)
def test_each_401_says_what_was_refused_and_what_to_do(said: str, reason: str, remedy: str) -> None:
    outcome = BREVO.read(answered(401, {"message": said, "code": "unauthorized"}))
    assert isinstance(outcome, DestinationDown)
    assert outcome.reason == reason
    assert outcome.message.startswith("Brevo API error (401): ")
    assert outcome.message.count(remedy) == 1
    assert "203.0.113.7" in outcome.message or "203.0.113.7" not in said


def test_without_a_key_brevo_says_so_and_so_do_we(rig: Rig) -> None:
    (attempt,) = rig.deliver(api_key="")
    assert attempt.outcome.reason == "no_api_key"
    with pytest.raises(NotReadyError, match=r"BREVO_API_KEY is not set\. Nothing was sent"):
        Brevo(api_key="").require_ready()
    BREVO.require_ready()


@pytest.mark.parametrize("status", [404, 405])
def test_a_wrong_path_points_at_the_base_url(status: int) -> None:
    outcome = BREVO.read(answered(status, b"<html>not here</html>"))
    assert isinstance(outcome, DestinationDown)
    assert "Check BREVO_API_BASE_URL; it is https://api.brevo.com/v3 now." in outcome.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 1),
        ({"x-sib-ratelimit-reset": "7"}, 7),
        ({"x-sib-ratelimit-reset": "0.5"}, 0.5),
        ({"x-sib-ratelimit-reset": "0"}, 0.1),
        ({"x-sib-ratelimit-reset": "-3"}, 0.1),
        ({"x-sib-ratelimit-reset": "45000"}, 60),
        ({"x-sib-ratelimit-reset": "nan"}, 0.1),
        ({"x-sib-ratelimit-reset": "inf"}, 60),
        ({"x-sib-ratelimit-reset": "1e999"}, 60),
        ({"x-sib-ratelimit-reset": "soon"}, 1),
        ({"retry-after": "2", "x-sib-ratelimit-reset": "7"}, 2),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "X-Sib-Ratelimit-Reset": "7"}, 7),
        ({"retry-after": "99999999999"}, 60),
    ],
)
def test_a_pause_is_read_from_the_headers_and_kept_within_its_bounds(headers: dict[str, str], seconds: float) -> None:
    outcome = BREVO.read(answered(429, b"not to be parsed", headers))
    assert type(outcome) is Deferred
    assert outcome.wait == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"x-sib-ratelimit-remaining": "1", "x-sib-ratelimit-reset": "1"}, 0),
        ({"x-sib-ratelimit-remaining": "0", "x-sib-ratelimit-reset": "0.4"}, 0.4),
        ({"x-sib-ratelimit-remaining": "0", "x-sib-ratelimit-reset": "3600"}, 60),
        ({"x-sib-ratelimit-remaining": "0"}, 0),
        ({"x-sib-ratelimit-remaining": "none", "x-sib-ratelimit-reset": "1"}, 0),
    ],
)
def test_after_the_last_request_of_the_limit_nothing_is_sent_for_a_while(
    headers: dict[str, str], seconds: float
) -> None:
    assert BREVO.pause_after(answered(204, b"", headers)) == seconds


def test_brevos_request_id_is_kept() -> None:
    assert BREVO.request_id(answered(201, {"id": 1}, {"Sib-Request-Id": "a-uuid"})) == "a-uuid"
    assert BREVO.request_id(answered(201, {"id": 1})) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
envelopes = st.fixed_dictionaries(
    {},
    optional={"id": json_values, "code": json_values, "message": json_values | texts, "metadata": json_values},
)
bodies = st.binary(max_size=60) | (json_values | envelopes).map(lambda value: json.dumps(value).encode())
header_names = st.sampled_from(["retry-after", "x-sib-ratelimit-reset", "sib-request-id", "content-type"])


@settings(max_examples=150, deadline=None)
@given(
    st.integers(100, 999) | st.sampled_from([200, 201, 204, 400, 401, 422, 429]),
    bodies,
    st.dictionaries(header_names, texts),
)
@example(400, b'{"message": "a \\u0000 b \\ud800 c"}', {})
@example(400, b"[" * 100_000, {})
@example(201, b'{"id": ' + b"9" * 5000 + b"}", {})
def test_whatever_comes_back_is_an_outcome_and_only_the_documented_is_success(
    status: int, body: bytes, headers: dict[str, str]
) -> None:
    answer = Answer(status, httpx.Headers([(name.encode(), value.encode()) for name, value in headers.items()]), body)
    outcome = BREVO.read(answer)
    assert type(outcome) in (Synced, Failed, Rejected, Deferred, DestinationDown)
    if isinstance(outcome, Synced):
        documented = (status == 201 and type(answer.data["id"]) in (int, type(None))) or (
            status == 204 and not body.strip()
        )
        assert documented
        return
    assert outcome.reason.isascii()
    assert outcome.reason.replace("_", "a").isalnum()
    assert len(outcome.reason) <= 64
    assert outcome.message.isprintable(), "one line, and PostgreSQL can store it"
    assert len(outcome.message) <= 500
    if isinstance(outcome, Deferred):
        assert outcome.wait <= timedelta(seconds=60)


@settings(max_examples=50, deadline=None)
@given(st.emails(), st.sampled_from([400, 401, 404, 422, 500]))
def test_an_address_that_brevo_quotes_is_masked(email: str, status: int) -> None:
    assume(not set(email) & set("'\"<>(),;:[]"))
    outcome = BREVO.read(answered(status, {"code": "invalid_parameter", "message": f"{email} is not valid"}))
    assert not isinstance(outcome, Synced)
    assert email not in outcome.message
    assert "is not valid" in outcome.message


# How the environment sets it


def test_settings_reach_the_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BREVO_API_KEY": DEFAULT_KEY,
        "BREVO_LIST_ID": "3",
        "BREVO_API_BASE_URL": "http://127.0.0.1:8099/v3/",
        "BREVO_REQUESTS_PER_SECOND": "20",
        "BREVO_CONCURRENCY": "4",
        "BREVO_PHONE_REGION": "de",
    }.items():
        monkeypatch.setenv(name, value)
    brevo = Brevo.from_settings(load_settings())
    assert brevo.headers()["api-key"] == DEFAULT_KEY
    assert (brevo.list_id, brevo.base_url, brevo.phone_region) == (3, "http://127.0.0.1:8099/v3", "DE")
    assert (brevo.requests_per_second, brevo.concurrency, brevo.timeout_seconds) == (20, 4, 30)
    assert load_settings().of(BrevoSettings).missing == ()
    assert DEFAULT_KEY not in repr(brevo)


WRONG: list[dict[str, Any]] = [
    {"requests_per_second": 0},
    {"requests_per_second": 10_001},
    {"concurrency": 65},
    {"list_id": 0},
    {"phone_region": "XX"},
    {"sms_in_use": "drop"},
    {"on_address_change": "copy"},
]


@pytest.mark.parametrize("value", WRONG, ids=str)
def test_it_refuses_what_the_settings_refuse(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(value))):
        BrevoSettings(**value)
    with pytest.raises(ValueError, match=next(iter(value))):
        Brevo(**value)


def test_it_has_the_defaults_of_the_settings() -> None:
    shared = [name for name in BrevoSettings.model_fields if name not in {"api_key", "bulk_threshold"}]
    alike = {name for name in shared if name in Brevo.model_fields}
    assert alike >= {key for value in WRONG for key in value}
    assert {name: Brevo.model_fields[name].default for name in alike} == {
        name: BrevoSettings.model_fields[name].default for name in alike
    }


def test_without_a_key_the_missing_setting_is_named() -> None:
    assert load_settings().of(BrevoSettings).missing == ("BREVO_API_KEY",)
    assert Brevo.from_settings(load_settings()).api_key == ""


def test_the_contact_of_these_tests_is_complete() -> None:
    assert payload(CONTACT)["attributes"].keys() == {"FIRSTNAME", "LASTNAME", "SMS", "SOURCE_URL"}


def test_a_list_that_does_not_exist_stops_everything_and_blames_no_contact(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(100)
    queue = world.queue()
    wrong = brevo.model_copy(update={"list_id": 99})
    batch = queue.claim(100)
    tally = deliver_batch(queue, wrong, batch)
    assert tally.reasons.keys() == {"unknown_list"}
    assert simulator.requests.total < brevo.concurrency + FAILURES_UNTIL_OPEN
    assert "Check BREVO_LIST_ID; it is 99 now." in (tally.down or "")
    assert queue.settle(batch.token).endings == {Ending.DEFERRED: 100}
