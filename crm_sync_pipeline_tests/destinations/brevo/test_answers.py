"""Whose fault an answer of Brevo's is: a setting's, a contact's, or nobody's."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.domain.check import Line
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.domain.transition import Ending
from crm_sync_pipeline.settings import SettingsError
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.destinations.conftest import CONTACT, EMAIL, KEY, attempted

BREVO = Brevo(api_key=KEY)
WITH_LIST = Brevo(api_key=KEY, list_id=99)


def answered(status: int, body: object = b"", headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def refused(message: str, code: str = "invalid_parameter", status: int = 400, **more: object) -> Answer:
    return answered(status, {"code": code, "message": message, **more})


# A list that is gone


GONE = [
    refused("List ID does not exist", "document_not_found", 404),
    refused("Invalid listIds"),
    refused("listIds is invalid"),
    refused("List ID does not exist"),
    refused("Invalid list id 99"),
    refused("List ids are not valid"),
    refused("The list 99 does not exist", "document_not_found"),
    refused("The given list was not found", "document_not_found", 404),
    refused("Unable to create contact, list with id 99 has been deleted"),
    refused("Contact lists do not exist"),
    refused("No such list: 99", "document_not_found", 404),
    refused("Could not find list #99", "document_not_found", 404),
    refused("'listIds[0]' should be an existing list"),
    refused("Not found", "list_not_found", 404),
    refused("Bad request", "invalid_list_id"),
    refused("Invalid value", metadata={"invalid_identifiers": ["listIds"]}),
    refused("Invalid value", metadata={"listIds": [99]}),
    refused("Invalid value", metadata={"field": "list_ids"}),
    refused("Invalid listIds", status=422),
]


@pytest.mark.parametrize("answer", GONE, ids=lambda answer: answer.body.decode())
def test_a_list_that_is_gone_is_the_settings_fault_and_no_contacts(answer: Answer) -> None:
    outcome = WITH_LIST.read(answer)
    assert isinstance(outcome, DestinationDown)
    assert outcome.reason == "unknown_list"
    assert "Check BREVO_LIST_ID; it is 99 now." in outcome.message
    assert "BREVO_API_BASE_URL" not in outcome.message


@pytest.mark.parametrize("answer", GONE, ids=lambda answer: answer.body.decode())
def test_where_no_list_is_set_none_is_to_blame(answer: Answer) -> None:
    outcome = BREVO.read(answer)
    assert outcome.reason != "unknown_list"
    assert isinstance(outcome, DestinationDown if answer.status == 404 else Rejected)


@pytest.mark.parametrize(
    "answer",
    [
        refused("list@example.com is not valid"),
        refused("Invalid email address list@lists.example.com"),
        refused("Invalid email address: 'list is invalid'@example.com"),
        refused('"Mailing list" is not a valid LASTNAME'),
        refused("'The list is invalid' is not valid for attribute LASTNAME"),
        refused("SOURCE_URL https://example.com/lists/list-ids is too long"),
        refused("SOURCE_URL www.example.com/?listIds=3 is too long"),
        refused("EMAIL_TYPE is not in the list of allowed values"),
        refused("Invalid playlist id"),
        refused("The contact is blacklisted"),
        refused("Contact already in list and/or does not exist"),
        refused("Too long", metadata={"value": "my list"}),
        refused("Unable to update contact, SMS is already associated", metadata={"duplicate_identifiers": ["SMS"]}),
        refused("Too long", "value_not_in_list"),
    ],
    ids=lambda answer: answer.body.decode(),
)
def test_a_contacts_own_data_with_the_word_list_in_it_is_no_list(answer: Answer) -> None:
    assert isinstance(WITH_LIST.read(answer), Rejected)


@pytest.mark.parametrize("message", ["Contact does not exist", "list@example.com not found", ""])
def test_another_404_still_points_at_the_base_url(message: str) -> None:
    outcome = WITH_LIST.read(refused(message, "document_not_found", 404))
    assert outcome.reason == "http_404"
    assert "Check BREVO_API_BASE_URL" in outcome.message


@pytest.mark.parametrize("is_404", [False, True])
def test_with_a_list_that_is_gone_no_contact_pays_and_the_breaker_opens(world: World, is_404: bool) -> None:
    world.add_many(20)
    queue = world.queue()
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], unknown_list_is_404=is_404))
    with running(simulator.app) as server:
        destination = Brevo(base_url=f"{server.base_url}/v3", api_key="xkeysib-simulator", list_id=99)
        batch = queue.claim(20)
        tally = deliver_batch(queue, destination, batch)
    assert tally.reasons.keys() == {"unknown_list"}
    assert "Check BREVO_LIST_ID; it is 99 now." in (tally.down or "")
    assert queue.settle(batch.token).endings == {Ending.DEFERRED: 20}
    assert queue.breaker.state() is not None


@pytest.mark.parametrize(("status", "message"), [(404, "List ID does not exist"), (400, "listId is not valid")])
def test_check_names_the_list_whatever_the_status(status: int, message: str) -> None:
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"]))
    api = simulator.app

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        gone = JSONResponse({"code": "invalid_parameter", "message": message}, status)
        await (gone if scope.get("path") == "/v3/contacts/lists/99" else api)(scope, receive, send)

    with running(app) as server:
        lines = checked(Brevo(base_url=f"{server.base_url}/v3", api_key="xkeysib-simulator", list_id=99))
    (line,) = [each for each in lines if each.name == "List"]
    assert line.says.startswith("Brevo has no list 99 ")
    assert "Set BREVO_LIST_ID" in line.to_do
    assert "Attributes" in {each.name for each in lines}, "what can be asked is asked"


# The way to Brevo: redirects, and proxies that want a password


class Gateway:
    """Something between us and Brevo that answers in its place, over real HTTP."""

    status = 302
    headers: Mapping[str, str] = {}
    body = "<html>Please sign in</html>"
    base_url = ""

    async def answer(self, _request: Request) -> Response:
        return PlainTextResponse(self.body, self.status, self.headers)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    app = Starlette(routes=[Route("/{path:path}", gateway.answer, methods=["GET", "POST"])])
    with running(app) as server:
        gateway.base_url = server.base_url
        yield gateway


def sent(destination: Brevo) -> Outcome:
    async def work() -> Outcome:
        async with destination.client() as client:
            return (await attempted(destination, client, CONTACT)).outcome

    return asyncio.run(work())


def checked(destination: Brevo) -> list[Line]:
    async def work() -> list[Line]:
        async with destination.client() as client:
            return list(await destination.check(client, clock=lambda: datetime.now(timezone.utc)))

    return asyncio.run(work())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_set_up_fault_that_names_where_to_and_the_setting(gateway: Gateway, status: int) -> None:
    gateway.status = status
    gateway.headers = {"Location": "https://ann:secret@login.example.com:8443/sso;sid=secret?key=secret#secret"}
    outcome = sent(Brevo(base_url=f"{gateway.base_url}/v3", api_key=KEY))
    assert isinstance(outcome, DestinationDown)
    assert outcome.reason == f"http_{status}"
    assert f"({status}): it redirects to https://login.example.com:8443/sso. " in outcome.message
    assert f"Check BREVO_API_BASE_URL; it is {gateway.base_url}/v3 now." in outcome.message
    assert "secret" not in outcome.message
    (line,) = checked(Brevo(base_url=f"{gateway.base_url}/v3", api_key=KEY))
    assert "it redirects to https://login.example.com:8443/sso" in line.says
    assert "Check BREVO_API_BASE_URL" in line.to_do


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/v4/contacts?email=ann@example.com", "https://api.brevo.com/v4/contacts"),
        ("contacts/", "https://api.brevo.com/v3/contacts/"),
        ("//mirror.example.com/v3", "https://mirror.example.com/v3"),
        ("https://example.com/people/ann.lee@example.com", "https://example.com/people/a***@example.com"),
        ("HTTPS://[2001:db8::1]/v3", "https://[2001:db8::1]/v3"),
        ("https://example.com/a\x1b[2J\x00b", "https://example.com/a [2J b"),
        ("", "an address that cannot be read"),
        ("//[", "an address that cannot be read"),
        ("mailto:ann@example.com", "an address that cannot be read"),
        ("https://ann:secret@", "an address that cannot be read"),
        ("https://example.com/" + "x" * 5000, "https://example.com/" + "x" * 130),
    ],
)
def test_where_a_redirect_leads_is_shown_without_what_may_be_secret(location: str, shown: str) -> None:
    outcome = BREVO.read(answered(302, b"<html>", {"location": location}))
    assert isinstance(outcome, DestinationDown)
    assert f"it redirects to {shown}. " in outcome.message
    assert "it redirects to an address" in BREVO.read(answered(301)).message


def test_a_proxy_that_answers_407_is_a_set_up_fault_that_names_its_variables(gateway: Gateway) -> None:
    gateway.status = 407
    gateway.headers = {"Proxy-Authenticate": "Basic"}
    destination = Brevo(base_url=f"{gateway.base_url}/v3", api_key=KEY)
    assert_wants_a_password(destination)


def test_a_proxy_that_refuses_a_tunnel_with_407_is_the_same_set_up_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1") as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
            destination = Brevo(base_url="https://brevo.invalid/v3", api_key=KEY)
            await asyncio.to_thread(assert_wants_a_password, destination)

    asyncio.run(work())


def assert_wants_a_password(destination: Brevo) -> None:
    outcome = sent(destination)
    assert isinstance(outcome, DestinationDown)
    assert outcome.reason == "http_407"
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        assert name in outcome.message
    (line,) = checked(destination)
    assert "(407): proxy authentication required" in line.says
    assert "HTTPS_PROXY" in line.to_do


@pytest.mark.parametrize("status", [300, 304, 305, 306, 408, 418])
def test_a_status_that_only_looks_like_those_is_a_failure_as_before(status: int) -> None:
    assert BREVO.read(answered(status)).reason == f"http_{status}"
    assert not isinstance(BREVO.read(answered(status)), DestinationDown)


# A success without an id


def test_a_201_whose_id_is_null_is_a_success_without_a_remote_id() -> None:
    assert BREVO.read(answered(201, {"id": None})) == Synced(None, "created")
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], tells_no_id=True))
    with running(simulator.app) as server:
        destination = Brevo(base_url=f"{server.base_url}/v3", api_key="xkeysib-simulator")
        assert sent(destination) == Synced(None, "created")
        assert sent(destination) == Synced(None, "updated")
    assert EMAIL in simulator.contacts


# Where sentences meet


@pytest.mark.parametrize("ending", ["", ".", " ", ". ", "...", ":"])
@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407])
def test_sentences_meet_with_exactly_one_full_stop(status: int, ending: str) -> None:
    message = BREVO.read(refused(f"It was refused{ending}", "unauthorized", status)).message
    assert message.startswith(f"Brevo API error ({status}): It was refused. ")
    assert message.endswith(".")
    assert ".." not in message


@pytest.mark.parametrize("ending", ["", ".", ". Allow it at https://app.brevo.com/security/authorised_ips"])
def test_the_sentence_about_an_ip_address_ends_once(ending: str) -> None:
    message = BREVO.read(refused(f"unrecognised IP address 203.0.113.7{ending}", "unauthorized", 401)).message
    assert message.endswith("https://app.brevo.com/security/authorised_ips.")
    assert message.count("authorised_ips") == 1
    assert "203.0.113.7. Allow" in message
    assert ".." not in message


@pytest.mark.parametrize("ending", ["!", "?"])
def test_a_sentence_that_ends_otherwise_keeps_its_end(ending: str) -> None:
    assert f"): Stop{ending} Look at" in BREVO.read(refused(f"Stop{ending}", "permission_denied", 403)).message


def test_after_five_failures_too_the_sentences_are_parted(world: World) -> None:
    world.add_many(20)
    queue = world.queue()
    batch = queue.claim(20)
    tally = deliver_batch(queue, Brevo(base_url="http://127.0.0.1:1/v3", api_key=KEY, concurrency=1), batch)
    queue.settle(batch.token)
    assert (tally.problem() or "").count(". What was not delivered is back in the queue.") == 1
    down = queue.breaker.state()
    assert down is not None
    assert down.message.endswith(".")
    assert not down.message.endswith("..")


# Keys that can't be right


KEYS = [
    ("xsmtpsib-0123456789abcdef-SECRET", "is an SMTP key"),
    ("XSMTPSIB-0123456789abcdef-SECRET", "is an SMTP key"),
    ("xkeysib-0123...SECRET", "is shortened"),
    ("xkeysib-0123\u2026SECRET", "is shortened"),
    ("xkeysib-****SECRET", "is shortened"),
    ("xkeysib-0123••••SECRET", "is shortened"),
    ("xkeysib-xxxxxxxxSECRET", "a placeholder"),
    ("xkeysib-0123'SECRET", "has quotes or blanks inside"),
    ('xkeysib-"0123"SECRET', "has quotes or blanks inside"),
    ("xkeysib-0123 SECRET", "has quotes or blanks inside"),
    ("xkeysib-0123\nSECRET", "has quotes or blanks inside"),
    ("SECRET", "does not begin with xkeysib-"),
    ("api-key:xkeysib-SECRET", "does not begin with xkeysib-"),
]


@pytest.mark.parametrize(("key", "hint"), KEYS)
def test_a_401_says_what_is_visibly_wrong_with_the_key_and_shows_no_part_of_it(key: str, hint: str) -> None:
    outcome = Brevo(api_key=key).read(refused("Key not found", "unauthorized", 401))
    assert outcome.reason == "wrong_api_key"
    assert hint in outcome.message
    assert outcome.message.count("The key that is set") == 1
    assert "SECRET" not in outcome.message
    assert "0123" not in outcome.message


@pytest.mark.parametrize("key", [KEY, f" '{KEY}' ", "xkeysib-" + "0123456789abcdef" * 4 + "-AbCdEfGhIjKlMnOp"])
def test_a_key_that_looks_right_gets_no_hint(key: str) -> None:
    message = Brevo(api_key=key).read(refused("Key not found", "unauthorized", 401)).message
    assert message.endswith("Brevo refused BREVO_API_KEY; set a valid v3 key.")


@pytest.mark.parametrize(("key", "hint"), [each for each in KEYS if each[0].isascii() and each[0].isprintable()])
def test_check_says_it_too(key: str, hint: str) -> None:
    with running(BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"])).app) as server:
        (line, *_) = checked(Brevo(base_url=f"{server.base_url}/v3", api_key=key))
    assert line.name == "Key"
    assert hint in line.to_do
    assert "SECRET" not in f"{line.says} {line.to_do}"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("xkeysib-0123\u2026SECRET", "is shortened"),
        ("xkeysib-0123••••SECRET", "is shortened"),
        ("xkeysib-0123 SECRET", "has quotes or blanks inside"),
        ("\u2018xkeysib-0123\u2019SECRET", "has quotes or blanks inside"),
    ],
)
def test_a_key_that_no_header_takes_is_refused_with_the_same_hint(
    monkeypatch: pytest.MonkeyPatch, key: str, hint: str
) -> None:
    monkeypatch.setenv("BREVO_API_KEY", key)
    with pytest.raises(SettingsError, match=hint) as raised:
        load_settings()
    assert "SECRET" not in str(raised.value)


# Refusals that are not Brevo's


HTML = b"<html><head><title>400 Bad Request</title></head><body>nginx</body></html>"


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Bad Request",
        HTML,
        b"[]",
        b"null",
        b"[" * 100_000,
        {"message": "Invalid phone number"},
        {"code": "invalid_parameter"},
        {"code": 400, "message": "Invalid email address"},
        {"code": "invalid_parameter", "message": 7},
        {"code": None, "message": "Something"},
        {"error": {"code": "invalid_parameter", "message": "Invalid email address"}},
        {"metadata": {"duplicate_identifiers": ["SMS"]}},
        {"status": 400, "title": "Bad Request", "detail": "email"},
    ],
    ids=str,
)
def test_a_refusal_that_does_not_have_brevos_form_blames_nobody(status: int, body: object) -> None:
    outcome = WITH_LIST.read(answered(status, body))
    assert isinstance(outcome, Failed)
    assert outcome.reason == "unexpected_refusal"
    assert outcome.message.startswith(f"Brevo API error ({status}): ")
    assert "no contact is blamed. Look for a proxy or a firewall" in outcome.message
    assert "<html" not in outcome.message
    assert len(outcome.message) <= 500


def test_a_proxy_that_refuses_everything_opens_the_breaker_after_five_and_the_rest_spend_nothing(
    world: World, gateway: Gateway
) -> None:
    world.add_many(50)
    queue = world.queue()
    gateway.status, gateway.body = 400, HTML.decode()
    batch = queue.claim(50)
    tally = deliver_batch(queue, Brevo(base_url=f"{gateway.base_url}/v3", api_key=KEY, concurrency=1), batch)
    assert tally.outcomes == {"failed": 5}
    assert tally.reasons == {"unexpected_refusal": 5}
    assert "Look for a proxy or a firewall between this machine and Brevo." in (tally.down or "")
    assert queue.settle(batch.token).endings == {Ending.RETRY: 5, Ending.DEFERRED: 45}
    assert queue.breaker.state() is not None


# Reasons


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("invalid_parameter", "Invalid phone number", "invalid_phone"),
        ("invalid_parameter", "Invalid phone number +49 30 901820", "invalid_phone"),
        ("invalid_parameter", "The SMS number is not valid", "invalid_phone"),
        ("invalid_parameter", "Invalid email address", "invalid_email"),
        ("duplicate_parameter", "Invalid email address: ann@example.com", "invalid_email"),
        ("invalid_parameter", "Unable to create contact, email is not valid", "invalid_email"),
        ("invalid_parameter", "email is invalid", "invalid_email"),
        ("invalid_parameter", "Unable to update contact, email is already associated", "email_in_use"),
        ("invalid_parameter", "Unable to update contact, LANDLINE_NUMBER is already associated", "duplicate"),
        ("invalid_parameter", "Your plan's email limit is reached", "invalid_parameter"),
        ("invalid_parameter", "Attribute EMAIL_TYPE is not valid", "invalid_parameter"),
        ("invalid_parameter", "Invalid email template", "invalid_parameter"),
        ("invalid_parameter", "Attribute HOME_PHONE is invalid", "invalid_parameter"),
        ("invalid_parameter", "Your sender email is not valid", "invalid_parameter"),
        ("invalid_parameter", "LASTNAME 'Phonewell' is too long", "invalid_parameter"),
        ("invalid_parameter", "phone@example.com may not be contacted", "invalid_parameter"),
        ("invalid_parameter", "The account's phone support must be asked first", "invalid_parameter"),
        ("invalid_parameter", "'Invalid email address' is too long for LASTNAME", "invalid_parameter"),
        ("invalid_parameter", "COMPANY sms already associated@example.com is too long", "invalid_parameter"),
        ("missing_parameter", "Please provide Email or SMS attribute value to create user", "missing_parameter"),
        ("not_enough_credits", "Invalid email address", "not_enough_credits"),
        ("account_under_validation", "Your phone number is not valid yet", "account_under_validation"),
    ],
)
def test_a_reason_comes_from_the_code_or_from_a_sentence_of_brevos_and_never_from_a_mere_word(
    code: str, message: str, reason: str
) -> None:
    assert BREVO.read(refused(message, code)).reason == reason


@pytest.mark.parametrize(
    ("identifiers", "reason"),
    [(["SMS"], "sms_in_use"), (["email"], "email_in_use"), (["ext_id"], "ext_id_in_use"), (["WHATSAPP"], "duplicate")],
)
@pytest.mark.parametrize("code", ["invalid_parameter", "missing_parameter", "document_not_found"])
def test_metadata_counts_for_more_than_code_and_words(code: str, identifiers: list[str], reason: str) -> None:
    answer = refused("Invalid email address, phone", code, metadata={"duplicate_identifiers": identifiers})
    assert BREVO.read(answer).reason == reason


# Whether an answer may be about another than it was given for


OWN_DATA = {"invalid_email", "invalid_phone", "email_in_use", "sms_in_use", "ext_id_in_use", "duplicate"}


@pytest.mark.parametrize(
    ("message", "more", "reason"),
    [
        ("Invalid email address", {}, "invalid_email"),
        ("Invalid phone number", {}, "invalid_phone"),
        ("Unable to update contact, email is already associated", {}, "email_in_use"),
        ("Quota", {"metadata": {"duplicate_identifiers": ["SMS"]}}, "sms_in_use"),
        ("Quota", {"metadata": {"duplicate_identifiers": ["ext_id"]}}, "ext_id_in_use"),
        ("Quota", {"metadata": {"duplicate_identifiers": ["WHATSAPP"]}}, "duplicate"),
        ("Your plan's email limit is reached", {}, "invalid_parameter"),
        ("Attribute EMAIL_TYPE is not valid", {}, "invalid_parameter"),
        ("Invalid email address", {"code": "not_enough_credits"}, "not_enough_credits"),
        ("Something", {"code": "Not A Code"}, "http_400"),
    ],
)
def test_a_refusal_may_be_about_the_account_unless_it_says_what_is_wrong_with_the_contact(
    message: str, more: dict[str, Any], reason: str
) -> None:
    outcome = BREVO.read(refused(message, **more))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.may_be_ours) == (reason, reason not in OWN_DATA)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 402, 403, 404, 405])
def test_a_set_up_status_may_be_one_contacts_and_keeps_the_words_of_the_answer_apart(status: int) -> None:
    outcome = BREVO.read(answered(status, b"<html>"))
    assert isinstance(outcome, DestinationDown)
    assert outcome.answer.startswith(f"Brevo API error ({status}): ")
    assert outcome.message.startswith(outcome.answer)
    assert len(outcome.message) > len(outcome.answer), "what to do is not part of it"


def test_a_refused_list_may_be_one_contacts_too() -> None:
    outcome = WITH_LIST.read(refused("Invalid listIds"))
    assert isinstance(outcome, DestinationDown)
    assert outcome.answer == "Brevo API error (400): Invalid listIds"


@pytest.mark.parametrize("status", [401, 407])
def test_a_refused_key_or_password_holds_for_everybody(status: int) -> None:
    outcome = BREVO.read(answered(status, {"code": "unauthorized", "message": "Key not found"}))
    assert isinstance(outcome, DestinationDown)
    assert outcome.answer == ""
