"""Brevo's import: what is sent, and how every answer is read, the unkind ones above all."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crm_sync_pipeline.destinations.brevo import bulk_import
from crm_sync_pipeline.destinations.brevo.bulk_import import FAILURE_FILES, BrevoImport
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.bulk import Broken, Finished, Stage
from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Rejected
from crm_sync_pipeline.simulators.brevo.imports import FAILURE_FILES as SIMULATED_FILES
from crm_sync_pipeline.simulators.server import running

T = TypeVar("T")
BREVO = Brevo(base_url="http://127.0.0.1:1/v3", api_key="xkeysib-a-key-that-nobody-may-see", list_id=7)
CONTACT = Contact(UUID(int=1), "Ann@Example.com ", name="Ann Lee", phone_number="+1 415 555 2671", has_gmail=False)


def answered(answer: httpx.Response | Exception, ask: Callable[[BrevoImport, httpx.AsyncClient], Awaitable[T]]) -> T:
    """What is made of one answer."""

    def respond(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def work() -> T:
        async with httpx.AsyncClient(base_url=BREVO.base_url, transport=httpx.MockTransport(respond)) as client:
            return await ask(BREVO.bulk(), client)

    return asyncio.run(work())


def posted(answer: httpx.Response | Exception) -> Any:
    return answered(answer, lambda bulk, client: bulk.post(client, b"{}"))


def looked(answer: httpx.Response | Exception) -> Any:
    return answered(answer, lambda bulk, client: bulk.look(client, 78))


def found(answer: httpx.Response | Exception, after: int = 3) -> Any:
    return answered(answer, lambda bulk, client: bulk.find(client, after))


# What is sent


def test_a_body_asks_for_an_update_without_a_notification_and_says_nothing_of_consent() -> None:
    prepared = BREVO.prepare(CONTACT)
    assert isinstance(prepared, Record)
    bulk = BREVO.bulk()
    row = bulk.row(prepared.call.payload)
    assert json.loads(bulk.body([row, row])) == {
        "listIds": [7],
        "updateExistingContacts": True,
        "emptyContactsAttributes": False,
        "disableNotification": True,
        "jsonBody": [{"email": "ann@example.com", "attributes": prepared.call.payload["attributes"]}] * 2,
    }


@given(rows=st.lists(st.text(max_size=20), max_size=5))
def test_a_body_is_its_rows_and_at_most_a_kilobyte_more(rows: list[str]) -> None:
    bulk = BREVO.bulk()
    encoded = [bulk.row({"email": each, "attributes": {}}) for each in rows]
    body = bulk.body(encoded)
    assert len(body) <= sum(len(row) + 2 for row in encoded) + 1024
    assert [row["email"] for row in json.loads(body)["jsonBody"]] == rows


# How answers are read


def test_a_process_is_taken_by_its_number() -> None:
    assert posted(httpx.Response(202, json={"processId": 78})) == 78


UNEXPECTED = [
    httpx.Response(200, json={"processId": 78}),
    httpx.Response(202),
    httpx.Response(202, json=[]),
    httpx.Response(202, json={"processId": "78"}),
    httpx.Response(202, json={"processId": True}),
    httpx.Response(202, json={"processId": 0}),
    httpx.Response(202, json={"processId": 2**63}),
    httpx.Response(202, text='{"processId": 7'),
    httpx.Response(204),
]


@pytest.mark.parametrize("answer", UNEXPECTED)
def test_no_other_answer_to_a_request_is_success(answer: httpx.Response) -> None:
    outcome = posted(answer)
    assert isinstance(outcome, Failed)
    assert outcome.reason == "unexpected_answer"


@pytest.mark.parametrize("ask", [posted, looked, found])
def test_errors_mean_what_they_mean_for_a_single_call(ask: Callable[[Any], Any]) -> None:
    down = ask(httpx.Response(401, json={"code": "unauthorized", "message": "Key not found"}))
    assert isinstance(down, DestinationDown)
    assert down.reason == "wrong_api_key"
    paused = ask(httpx.Response(429, headers={"x-sib-ratelimit-reset": "7"}))
    assert type(paused) is Deferred
    assert paused.wait.total_seconds() == 7
    assert ask(httpx.Response(524, text="<html>")).reason == "http_524"
    assert ask(httpx.ConnectError("no")).reason == "connection_lost"
    assert isinstance(ask(httpx.Response(400, json={"code": "invalid_parameter", "message": "x"})), Rejected)


def process(**fields: Any) -> httpx.Response:
    return httpx.Response(200, json={"id": 78, "name": "IMPORTUSER", **fields})


@pytest.mark.parametrize("status", ["queued", "in_process", "processing", "something new", ""])
def test_a_process_is_in_progress_until_its_end_is_said(status: str) -> None:
    assert looked(process(status=status)) is Stage.UNDER_WAY


@pytest.mark.parametrize("status", ["failed", "cancelled", "aborted"])
def test_an_end_that_is_no_good_one_makes_the_contacts_fail(status: str) -> None:
    ended = looked(process(status=status))
    assert isinstance(ended, Broken)
    assert ended.outcome == Failed("import_failed", f"Brevo's import 78 ended as '{status}'")


@pytest.mark.parametrize(
    "said",
    [
        {"error": "List ID does not exist"},
        {"info": {"error": "Invalid listIds"}},
        {"message": "The list 7 was not found"},
        {"error": {"code": "list_not_found", "message": "ann@example.com"}},
        {"errors": [{"message": "x"}, {"message": "listIds is invalid"}]},
    ],
)
def test_a_process_that_fails_for_its_list_names_the_setting(said: dict[str, Any]) -> None:
    ended = looked(process(status="failed", **said))
    assert isinstance(ended, Broken)
    assert ended.outcome.reason == "unknown_list"
    assert "import 78 ended with 'failed': " in ended.outcome.message
    assert ended.outcome.message.endswith(". Check BREVO_LIST_ID; it is 7 now.")


@pytest.mark.parametrize("said", [{"error": "list@example.com is invalid"}, {"info": {"listIds": [7]}}, {"error": 7}])
def test_a_process_that_fails_for_something_else_does_not_blame_the_list(said: dict[str, Any]) -> None:
    ended = looked(process(status="failed", **said))
    assert isinstance(ended, Broken)
    assert ended.outcome.reason == "import_failed"


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "document_not_found", "List ID does not exist"),
        (400, "invalid_parameter", "Invalid listIds"),
        (400, "document_not_found", "The list 7 does not exist"),
    ],
)
def test_an_import_into_a_list_that_is_gone_names_the_setting(status: int, code: str, message: str) -> None:
    outcome = posted(httpx.Response(status, json={"code": code, "message": message}))
    assert isinstance(outcome, DestinationDown)
    assert outcome.reason == "unknown_list"
    assert "Check BREVO_LIST_ID; it is 7 now." in outcome.message


def test_a_process_that_is_not_there_is_unknown() -> None:
    answer = httpx.Response(404, json={"code": "invalid_parameter", "message": "processId is invalid"})
    assert looked(answer) is Stage.UNKNOWN


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={"id": 79, "status": "completed", "info": {"import": {}}}),
        httpx.Response(200, json={"status": "completed", "info": {"import": {}}}),
        process(status=None),
        process(status=1),
        httpx.Response(200, json=[]),
        httpx.Response(200, text="completed"),
        httpx.Response(202, json={"id": 78, "status": "completed", "info": {"import": {}}}),
    ],
)
def test_an_answer_about_something_else_is_no_answer(answer: httpx.Response) -> None:
    assert isinstance(looked(answer), Failed)


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"info": None},
        {"info": {}},
        {"info": {"import": None}},
        {"info": {"import": []}},
        {"info": {"import": {"invalid_emails": 3}}},
        {"info": {"import": {"invalid_emails": "ftp://127.0.0.1/x.csv"}}},
        {"info": {"import": {"invalid_emails": "file:///etc/passwd"}}},
        {"info": {"import": {"invalid_emails": "http:///x.csv"}}},
    ],
)
def test_a_process_that_does_not_say_whom_it_refused_makes_nobody_complete(info: dict[str, Any]) -> None:
    ended = looked(process(status="completed", **info))
    assert isinstance(ended, Broken)
    assert ended.outcome.reason == "unexpected_answer"


def test_each_file_of_refusals_has_a_reason_of_its_own() -> None:
    files = {name: f"https://files.example.com/{name}.csv" for name in (*SIMULATED_FILES, "a_new_one")}
    ended = looked(process(status="completed", info={"import": {**files, "none_of_these": None, "nor_these": ""}}))
    assert isinstance(ended, Finished)
    reasons = {url.rpartition("/")[2]: why.reason for url, why in ended.refusals.items()}
    assert reasons == {
        "invalid_emails.csv": "invalid_email",
        "duplicate_contact_id.csv": "duplicate",
        "duplicate_ext_id.csv": "ext_id_in_use",
        "duplicate_email_id.csv": "email_in_use",
        "duplicate_phone_id.csv": "sms_in_use",
        "duplicate_whatsapp_id.csv": "whatsapp_in_use",
        "duplicate_landline_number_id.csv": "landline_in_use",
        "a_new_one.csv": "a_new_one",
    }
    assert set(FAILURE_FILES) == set(SIMULATED_FILES)


def listed(*processes: Any) -> httpx.Response:
    return httpx.Response(200, json={"count": len(processes), "processes": list(processes)})


def test_what_a_lost_answer_may_have_started_is_later_an_import_and_not_ours_yet() -> None:
    answer = listed(
        {"id": 9, "name": "IMPORTUSER", "status": "queued"},
        {"id": 8, "name": "EXPORTUSER", "status": "queued"},
        {"id": 5, "name": "IMPORTUSER", "status": "completed"},
        {"id": 3, "name": "IMPORTUSER", "status": "completed"},
    )
    assert found(answer) == [5, 9]
    assert found(answer, after=5) == [9]
    assert answered(answer, lambda bulk, client: bulk.newest(client)) == 9
    assert answered(listed(), lambda bulk, client: bulk.newest(client)) == 0


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={"processes": {}}),
        httpx.Response(200, json={"processes": [1]}),
        httpx.Response(200, json={"processes": [{"id": "9", "name": "IMPORTUSER"}]}),
        httpx.Response(200, json={"processes": [{"id": 9}]}),
        httpx.Response(200, json=[]),
    ],
)
def test_a_list_of_another_form_tells_nothing(answer: httpx.Response) -> None:
    assert isinstance(found(answer), Failed)


# Files of refused rows


@pytest.fixture(scope="module")
def files() -> Iterator[tuple[str, dict[str, Response], list[Request]]]:
    answers: dict[str, Response] = {}
    asked: list[Request] = []

    async def file(request: Request) -> Response:
        asked.append(request)
        return answers[request.path_params["name"]]

    with running(Starlette(routes=[Route("/{name}", file)])) as server:
        yield server.base_url, answers, asked


REFUSAL = Rejected("invalid_email", "words")


def refused(files: Any, *answers: Response) -> Any:
    base_url, known, _ = files
    known |= {str(number): answer for number, answer in enumerate(answers)}
    finished = Finished({f"{base_url}/{number}": REFUSAL for number in range(len(answers))})
    return asyncio.run(BREVO.bulk().refused(finished))


@pytest.mark.parametrize(
    "text",
    [
        "email;FIRSTNAME\na@example.com;Ann\nB@Example.com ;Bob\n",
        "\ufeffFIRSTNAME;EMAIL\r\nAnn;a@example.com\r\nBob;b@example.com\r\n",
        '"E-mail";X\n"a@example.com";"1;2\n3"\n\n"b@example.com"\n',
        "Email address\na@example.com\nb@example.com",
    ],
)
def test_the_refused_addresses_are_read_from_a_csv_with_semicolons(files: Any, text: str) -> None:
    assert refused(files, Response(text)) == dict.fromkeys(("a@example.com", "b@example.com"), REFUSAL)


@pytest.mark.parametrize("written", ["info@müller.de", "INFO@XN--MLLER-KVA.DE", "\xa0info@MÜLLER.de\u200b"], ids=ascii)
def test_a_refused_address_is_told_in_whatever_form_it_is_written(files: Any, written: str) -> None:
    assert refused(files, Response(f"email\n{written}\n")) == {"info@xn--mller-kva.de": REFUSAL}


@pytest.mark.parametrize(
    "answer",
    [
        Response(""),
        Response("FIRSTNAME;LASTNAME\nAnn;Lee\n"),
        Response("email,FIRSTNAME\na@example.com,Ann\n"),
        Response("X;email\nAnn\n"),
        Response("X;email\nAnn;\n"),
        Response("email\n" + "x" * 200_000),
        Response("<html>gone</html>"),
        Response("no", 403),
        Response("no", 404),
        Response("no", 500),
        RedirectResponse("http://127.0.0.1:1/elsewhere"),
    ],
)
def test_a_file_that_can_not_be_read_is_no_empty_file(files: Any, answer: Response) -> None:
    outcome = refused(files, Response("email\na@example.com\n"), answer)
    assert isinstance(outcome, Failed)
    assert outcome.reason == "refusals_unreadable"


def test_a_file_without_end_is_not_read_to_its_end(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_import, "MOST_FILE_BYTES", 1000)
    outcome = refused(files, Response("email\n" + "a@example.com\n" * 100))
    assert isinstance(outcome, Failed)


def test_the_key_is_not_shown_to_the_host_of_the_files(files: Any) -> None:
    files[2].clear()
    refused(files, Response("email\na@example.com\n"))
    (request,) = files[2]
    assert "api-key" not in request.headers
    assert "xkeysib" not in str(request.headers)
