"""What n8n's answers mean for a contact, and that none of them shows the webhook's URL."""

import json
from datetime import timedelta

import pytest

from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.destinations.n8n.destination import N8n
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.simulators.exchange import Answer as SimulatedAnswer
from crm_sync_pipeline.simulators.n8n import answers as simulated

SECRET, PATH = "the-secret-of-a-test", "path-that-nobody-may-see"
URL = f"https://n8n.example.com/webhook/{PATH}"
HTML = b"<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>"


def n8n(**changes: object) -> N8n:
    return N8n(**{"webhook_url": URL, "webhook_secret": SECRET, **changes})


def answer(status: int, body: object = b"", **headers: str) -> Answer:
    return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def of_simulator(said: SimulatedAnswer) -> Answer:
    return Answer(said.status, {}, said.body)


# Success, and what only looks like it


@pytest.mark.parametrize(
    ("body", "remote_id", "reason"),
    [
        ({"workflow_id": "w1", "execution_id": "7", "duplicate": False}, "w1", "accepted"),
        ({"workflow_id": "w1", "execution_id": "8", "duplicate": True}, "w1", "duplicate"),
        ({"workflowId": "w2"}, "w2", "accepted"),
        ({"workflow_id": 12}, "12", "accepted"),
        ([{"workflow_id": "w3"}], "w3", "accepted"),
        ([{"workflow_id": "w3"}, {"workflow_id": "w4"}], None, "accepted"),
        ({"executionId": "7"}, None, "accepted"),
        ({"message": "Workflow was started"}, None, "accepted"),
        ({"workflow_id": ""}, None, "accepted"),
        ({"workflow_id": True}, None, "accepted"),
        ({"workflow_id": {"a": 1}}, None, "accepted"),
        ({"workflow_id": "w" * 101}, None, "accepted"),
        ({"workflow_id": "w\u0000"}, None, "accepted"),
        ({"duplicate": "yes"}, None, "accepted"),
        ([], None, "accepted"),
        (None, None, "accepted"),
        ("ok", None, "accepted"),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202])
def test_json_is_success_and_names_the_workflow_where_it_does(
    status: int, body: object, remote_id: str | None, reason: str
) -> None:
    assert n8n().read(answer(status, body)) == Synced(remote_id, reason)


def test_a_204_is_success() -> None:
    assert n8n().read(answer(204)) == Synced(None, "accepted")


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_an_answer_without_a_body_is_that_of_a_workflow_that_failed_before_its_answer(status: int, body: bytes) -> None:
    outcome = n8n().read(answer(status, body))

    assert isinstance(outcome, Failed)
    assert outcome.reason == "no_answer"
    assert "respond when the last node finishes" in outcome.message


@pytest.mark.parametrize("body", [HTML, b"OK", b'{"id": 4', b"\xff\xfe", b"[" * 100_000])
def test_a_2xx_that_is_not_json_is_no_success(body: bytes) -> None:
    outcome = n8n().read(answer(200, body))

    assert isinstance(outcome, Failed)
    assert outcome.reason == "unexpected_answer"


def test_the_page_that_n8n_shows_while_it_starts_is_no_success() -> None:
    outcome = n8n().read(of_simulator(simulated.STARTING_UP))

    assert isinstance(outcome, Failed)
    assert (outcome.reason, outcome.down_after) == ("starting_up", None)
    assert "Nothing was executed" in outcome.message


def test_what_a_workflow_echoes_of_a_contact_is_not_taken_for_the_start_up_page() -> None:
    assert isinstance(n8n().read(answer(200, {"body": {"name": "n8n is starting up"}})), Synced)


# Not registered


@pytest.mark.parametrize(
    "said",
    [
        simulated.not_registered("POST", PATH, shows_stack=True),
        simulated.other_method("POST", "GET", shows_stack=False),
        simulated.no_route("POST", f"/webhook/{PATH}"),
    ],
    ids=["inactive", "other method", "starting"],
)
def test_a_404_is_transient_for_ten_minutes_and_then_our_set_up(said: SimulatedAnswer) -> None:
    outcome = n8n().read(of_simulator(said))

    assert isinstance(outcome, Failed)
    assert (outcome.reason, outcome.down_after) == ("http_404", timedelta(minutes=10))
    assert "activate (publish) the workflow" in outcome.message
    assert PATH not in outcome.message


def test_the_words_of_a_404_are_shown_without_the_path() -> None:
    outcome = n8n().read(of_simulator(simulated.not_registered("POST", PATH, shows_stack=True)))

    assert isinstance(outcome, Failed)
    said = 'n8n API error (404): The requested webhook "POST <webhook>" is not registered.'
    assert outcome.message.startswith(said)
    assert "which leads to https://n8n.example.com now" in outcome.message


# Our set-up


@pytest.mark.parametrize(
    ("said", "changes", "reason", "to_do"),
    [
        (simulated.HEADER_WRONG, {}, "wrong_secret", "n8n refused N8N_WEBHOOK_SECRET"),
        (simulated.BASIC_MISSING, {}, "wrong_secret", "Header Auth"),
        (simulated.JWT_WRONG, {}, "wrong_secret", "Header Auth"),
        (simulated.HEADER_WRONG, {"webhook_secret": ""}, "no_secret", "Set N8N_WEBHOOK_SECRET"),
        (simulated.FAULT_ANSWERS["status-401-ip"], {}, "ip_not_allowed", "IP(s) Whitelist"),
    ],
)
def test_who_is_not_let_in_is_our_set_ups_fault_at_once_and_for_everybody(
    said: SimulatedAnswer, changes: dict[str, object], reason: str, to_do: str
) -> None:
    outcome = n8n(**changes).read(of_simulator(said))

    assert isinstance(outcome, DestinationDown)
    assert (outcome.reason, outcome.answer) == (reason, ""), "no contact is suspected"
    assert said.body.decode() in outcome.message
    assert to_do in outcome.message


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (f"https://n8n.example.com/webhook/{PATH}", "https://n8n.example.com"),
        (f"https://user:pass@login.example.com/?next={PATH}", "https://login.example.com"),
        (f"/webhook/{PATH}/", "another path"),
        ("", "another path"),
    ],
)
def test_a_redirect_is_not_followed_and_tells_where_it_leads_without_a_path(location: str, shown: str) -> None:
    outcome = n8n().read(answer(301, location=location))

    assert isinstance(outcome, DestinationDown)
    assert outcome.reason == "http_301"
    assert f"(301): it redirects to {shown}. " in outcome.message
    assert PATH not in f"{outcome!r}"


# A contact that is refused


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_workflow_refuses_is_the_contacts_and_ten_in_a_row_are_everybodys(status: int) -> None:
    outcome = n8n().read(answer(status, {"message": "jane@example.com has no company"}))

    assert outcome == Rejected(
        f"http_{status}", f"n8n API error ({status}): j***@example.com has no company", may_be_ours=True
    )


def test_a_page_of_html_refuses_no_contact_but_one_that_is_too_large() -> None:
    assert isinstance(n8n().read(answer(400, HTML)), Failed)
    assert isinstance(n8n().read(answer(422, HTML)), Failed)
    too_large = n8n().read(answer(413, b"<html><h1>413 Request Entity Too Large</h1></html>"))
    assert isinstance(too_large, Rejected)
    assert too_large.message == "n8n API error (413): request entity too large"


# What n8n fails at


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (simulated.WORKFLOW_ERROR, "http_500", "Error in workflow"),
        (simulated.no_respond_node(shows_stack=True), "http_500", "No Respond to Webhook node found in the workflow"),
        (simulated.too_large(shows_stack=True), "http_500", "There was a problem executing the workflow"),
        (simulated.database_lost(shows_stack=False), "http_503", "Database is not ready!"),
    ],
)
def test_what_n8n_or_its_workflow_fails_at_is_retried_with_its_words(
    said: SimulatedAnswer, reason: str, words: str
) -> None:
    assert n8n().read(of_simulator(said)) == Failed(reason, f"n8n API error ({said.status}): {words}")


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 405, 422, 429, 500, 503])
@pytest.mark.parametrize("is_json", [True, False])
def test_no_answer_makes_url_or_secret_visible(status: int, is_json: bool) -> None:
    """Words of an echoing workflow, or of a proxy that names what it was asked."""
    words = f"{URL} /webhook/{PATH} {PATH} Bearer {SECRET}"
    said = answer(status, {"message": words} if is_json else words.encode(), location=URL)

    outcome: Outcome = n8n().read(said)

    for private in (PATH, SECRET):
        assert private not in f"{outcome!r}"


def test_the_execution_is_the_requests_id() -> None:
    assert n8n().request_id(answer(200, {"execution_id": "41"})) == "41"
    assert n8n().request_id(answer(200, {"executionId": 42})) == "42"
    assert n8n().request_id(answer(500, HTML)) is None
