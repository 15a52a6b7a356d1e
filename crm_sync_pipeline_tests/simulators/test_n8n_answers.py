"""n8n's answers, word for word, and the workflow behind the webhook; driven by a plain HTTP client."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from crm_sync_pipeline.simulators.n8n import DEFAULT_SECRET, PATH, N8nConfig, N8nSimulator
from crm_sync_pipeline.simulators.n8n.authorization import signed
from crm_sync_pipeline.simulators.n8n.config import USER
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.simulators.conftest import NO_CERTIFICATES, ManualClock

URL = f"/webhook/{PATH}"
BODY = {"contact_id": "c1", "email": "Jane@Example.com", "name": "Jane Doe"}
WITH_SECRET = {"Authorization": f"Bearer {DEFAULT_SECRET}"}

Start = Callable[..., tuple[N8nSimulator, httpx.Client]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Serve a simulator, and give a client that knows its secret."""
    with ExitStack() as stack:

        def served(config: N8nConfig | None = None, **options: Any) -> tuple[N8nSimulator, httpx.Client]:
            simulator = N8nSimulator(config, **options)
            server = stack.enter_context(running(simulator.app))
            http = httpx.Client(base_url=server.base_url, headers=WITH_SECRET, verify=NO_CERTIFICATES, timeout=10)
            return simulator, stack.enter_context(http)

        yield served


def without_stack(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    body.pop("stacktrace", None)
    return body


# What the webhook answers


def test_the_shipped_workflow_names_itself_and_its_execution(start: Start) -> None:
    simulator, http = start()

    answer = http.post(URL, json=BODY)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert answer.json() == {"workflow_id": simulator.config.workflow_id, "execution_id": "1", "duplicate": False}
    assert simulator.contacts["c1"] == BODY


def test_on_received_answers_at_once_and_also_where_the_workflow_then_fails(start: Start) -> None:
    simulator, http = start(N8nConfig(mode="on-received"))
    simulator.switches.workflow_fails = True

    answer = http.post(URL, json=BODY)

    assert (answer.status_code, answer.json()) == (200, {"message": "Workflow was started"})
    assert simulator.contacts == {}


def test_last_node_answers_the_item_of_a_workflow_that_does_nothing(start: Start) -> None:
    _, http = start(N8nConfig(mode="last-node"))

    said = http.post(f"{URL}?a=1", json=BODY).json()

    assert (said["body"], said["query"], said["params"]) == (BODY, {"a": "1"}, {})
    assert said["executionMode"] == "production"
    assert said["webhookUrl"] == f"{http.base_url}{URL}".replace("//webhook", "/webhook")
    assert said["headers"]["authorization"] == WITH_SECRET["Authorization"], "n8n keeps the secret with the execution"


@pytest.mark.parametrize("mode", ["shipped", "last-node", "no-data"])
def test_a_workflow_that_fails_is_a_500_where_its_last_node_answers(start: Start, mode: str) -> None:
    simulator, http = start(N8nConfig(mode=mode))
    simulator.switches.workflow_fails = True

    answer = http.post(URL, json=BODY)

    assert (answer.status_code, answer.json()) == (500, {"message": "Error in workflow"})
    assert [each.has_failed for each in simulator.executions] == [True]


def test_a_workflow_that_fails_before_its_respond_node_is_a_200_without_a_body(start: Start) -> None:
    simulator, http = start(N8nConfig(mode="respond"))
    done = http.post(URL, json=BODY)
    simulator.switches.workflow_fails = True
    failed = http.post(URL, json=BODY)

    assert done.json()["duplicate"] is False
    assert (failed.status_code, failed.content) == (200, b"")
    assert failed.headers["content-type"] == "application/json; charset=utf-8"


def test_where_no_data_is_asked_for_success_looks_like_that(start: Start) -> None:
    simulator, http = start(N8nConfig(mode="no-data"))

    answer = http.post(URL, json=BODY)

    assert (answer.status_code, answer.content) == (200, b"")
    assert simulator.contacts["c1"] == BODY


def test_without_a_respond_node_there_is_no_answer_but_a_500(start: Start) -> None:
    _, http = start(N8nConfig(mode="no-respond"))

    answer = http.post(URL, json=BODY)

    said = {"code": 0, "message": "No Respond to Webhook node found in the workflow"}
    assert (answer.status_code, without_stack(answer)) == (500, said)


def test_a_list_is_a_body_like_any_other(start: Start) -> None:
    simulator, http = start()

    assert http.post(URL, json=[1, 2]).status_code == 200
    assert simulator.executions[0].body == [1, 2]


# Who may call


@pytest.mark.parametrize("sent", [None, "", "Bearer wrong", DEFAULT_SECRET, f"bearer {DEFAULT_SECRET}"])
def test_a_missing_and_a_wrong_header_are_refused_alike_in_plain_text(start: Start, sent: str | None) -> None:
    simulator, http = start()
    del http.headers["Authorization"]

    answer = http.post(URL, json=BODY, headers={} if sent is None else {"Authorization": sent})

    assert (answer.status_code, answer.text) == (403, "Authorization data is wrong!")
    assert answer.headers["www-authenticate"] == 'Basic realm="Webhook"'
    assert "content-type" not in answer.headers
    assert simulator.executions == []


@pytest.mark.parametrize(
    ("auth", "credentials", "answer"),
    [
        ("basic", None, (401, "Authorization is required!")),
        ("basic", "Bearer x", (401, "Authorization is required!")),
        ("basic", "Basic eDp5", (403, "Authorization data is wrong!")),
        ("jwt", None, (401, "No token provided")),
        ("jwt", "Bearer a.b.c", (403, "invalid token")),
        ("jwt", "Bearer a", (403, "jwt malformed")),
        ("jwt", f"Bearer {signed({'sub': 'x'}, 'another secret')}", (403, "invalid signature")),
    ],
)
def test_the_other_kinds_of_auth_tell_missing_from_wrong(
    start: Start, auth: str, credentials: str | None, answer: tuple[int, str]
) -> None:
    _, http = start(N8nConfig(auth=auth))
    del http.headers["Authorization"]

    refused = http.post(URL, json=BODY, headers={"Authorization": credentials} if credentials else {})

    assert (refused.status_code, refused.text) == answer


def test_who_has_the_secret_is_let_in_by_each_kind_of_auth(start: Start) -> None:
    for auth in ("basic", "jwt", "none"):
        _, http = start(N8nConfig(auth=auth))
        del http.headers["Authorization"]
        headers = {"jwt": {"Authorization": f"Bearer {signed({'sub': 'x'}, DEFAULT_SECRET)}"}}.get(auth, {})
        if auth == "basic":
            http.auth = httpx.BasicAuth(USER, DEFAULT_SECRET)
        assert http.post(URL, json=BODY, headers=headers).status_code == 200, auth


# What is not there


def test_an_unknown_path_and_an_inactive_workflow_are_not_registered(start: Start) -> None:
    simulator, http = start()
    unknown = http.post("/webhook/nope", json=BODY)
    simulator.switches.is_active = False
    inactive = http.post(URL, json=BODY)

    for answer, path in ((unknown, "nope"), (inactive, PATH)):
        said = without_stack(answer)
        assert (answer.status_code, said["code"]) == (404, 404)
        assert said["message"] == f'The requested webhook "POST {path}" is not registered.'
        assert said["hint"].startswith("The workflow must be active for a production URL to run successfully.")


def test_another_method_is_told_which_one_is_registered_and_executes_nothing(start: Start) -> None:
    simulator, http = start()

    answer = http.get(URL)

    assert answer.status_code == 404
    said = "This webhook is not registered for GET requests. Did you mean to make a POST request?"
    assert without_stack(answer) == {"code": 404, "message": said}
    assert simulator.executions == []


def test_a_test_url_listens_only_after_a_click(start: Start) -> None:
    _, http = start()

    answer = http.post(f"/webhook-test/{PATH}", json=BODY)

    assert answer.status_code == 404
    assert without_stack(answer)["message"] == f'The requested webhook "{PATH}" is not registered.'
    assert without_stack(answer)["hint"].startswith("Click the 'Execute workflow' button on the canvas")


def test_options_from_a_browser_names_the_methods_of_a_path_and_executes_nothing(start: Start) -> None:
    simulator, http = start()

    unasked = http.options(URL)
    there, elsewhere = (http.options(path, headers={"Origin": "http://localhost"}) for path in (URL, "/webhook/nope"))

    assert (unasked.status_code, unasked.headers.get("access-control-allow-methods")) == (204, None)
    assert (there.status_code, there.content) == (204, b"")
    assert there.headers["access-control-allow-methods"] == "OPTIONS, POST"
    assert (elsewhere.status_code, elsewhere.headers["access-control-allow-methods"]) == (204, "OPTIONS")
    assert simulator.executions == []


def test_errors_have_a_stack_trace_unless_n8n_runs_in_production(start: Start) -> None:
    _, developing = start()
    _, producing = start(N8nConfig(shows_stack=False))

    assert "stacktrace" in developing.post("/webhook/nope").json()
    assert "stacktrace" not in producing.post("/webhook/nope").json()


# What can't be read


def test_a_body_that_is_not_json_is_422_with_the_parsers_words(start: Start) -> None:
    _, http = start()

    answer = http.post(URL, content=b'{"a":', headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    said = {"code": 422, "message": "Failed to parse request body", "hint": "Unexpected end of JSON input"}
    assert without_stack(answer) == said


def test_a_body_beyond_the_limit_is_a_500_and_not_a_413(start: Start) -> None:
    simulator, http = start(N8nConfig(most_bytes=1000))

    def padded(size: int) -> bytes:
        return json.dumps({"x": "x" * (size - len('{"x": ""}'))}).encode()

    assert http.post(URL, content=padded(1000)).status_code == 200
    answer = http.post(URL, content=padded(1001))

    assert (answer.status_code, without_stack(answer)["code"]) == (500, 0)
    assert without_stack(answer)["message"] == "There was a problem executing the workflow"
    assert len(simulator.executions) == 1


# Restarts, and a database that is gone


def test_a_restart_refuses_then_says_200_then_404_and_then_it_is_up(start: Start, clock: ManualClock) -> None:
    simulator, http = start(clock=clock)
    simulator.restart()

    with pytest.raises(httpx.TransportError):
        http.post(URL, json=BODY)
    with pytest.raises(httpx.TransportError):
        http.get("/healthz")
    clock.advance(simulator.config.refusing_seconds)
    starting, health, readiness = http.post(URL, json=BODY), http.get("/healthz"), http.get("/healthz/readiness")
    clock.advance(simulator.config.starting_seconds)
    without_routes = http.post(URL, json=BODY)
    clock.advance(simulator.config.without_routes_seconds)
    unregistered = http.post(URL, json=BODY)
    assert simulator.contacts == {}, "nothing of this was a delivery"
    clock.advance(simulator.config.unregistered_seconds)
    up = http.post(URL, json=BODY)

    assert (starting.status_code, starting.text) == (200, "n8n is starting up. Please wait")
    assert starting.headers["content-type"] == "text/html; charset=utf-8"
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert (readiness.status_code, readiness.json()) == (503, {"status": "error"})
    assert without_routes.status_code == 404
    assert without_routes.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<pre>Cannot POST {URL}</pre>" in without_routes.text
    assert without_stack(unregistered)["message"] == f'The requested webhook "POST {PATH}" is not registered.'
    assert up.status_code == 200
    assert simulator.contacts["c1"] == BODY


def test_a_restart_leaves_the_control_endpoint_and_what_the_workflow_remembers(
    start: Start, clock: ManualClock
) -> None:
    simulator, http = start(clock=clock)
    http.post(URL, json=BODY, headers={"Idempotency-Key": "k"})

    assert http.post("/simulator/restart").status_code == 204
    assert http.get("/simulator/state").json()["holds"] == {"contacts": 1, "executions": 1, "duplicates": 0}
    clock.advance(60)

    assert http.post(URL, json=BODY, headers={"Idempotency-Key": "k"}).json()["duplicate"] is True
    assert simulator.counts() == {"contacts": 1, "executions": 2, "duplicates": 1}


def test_a_lost_database_is_a_503_everywhere_but_at_the_health_check(start: Start) -> None:
    simulator, http = start()
    assert http.post("/simulator/switches", json={"database_is_lost": True}).json()["database_is_lost"] is True

    answer = http.post(URL, json=BODY)

    assert (answer.status_code, without_stack(answer)) == (503, {"code": 503, "message": "Database is not ready!"})
    assert http.get("/healthz").status_code == 200
    assert http.get("/healthz/readiness").status_code == 503
    assert simulator.executions == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"is_active": 1}', b'{"is_awake": true}'])
def test_a_switch_that_there_is_not_is_refused_and_changes_nothing(start: Start, body: bytes) -> None:
    simulator, http = start()
    before = repr(simulator.switches)

    refused = http.post("/simulator/switches", content=body)

    assert refused.status_code == 400
    assert "is_active, workflow_fails, database_is_lost" in refused.json()["message"]
    assert repr(simulator.switches) == before


# De-duplication, the log, faults


def test_a_key_is_worked_on_once_and_the_repeat_is_answered_as_a_duplicate(start: Start) -> None:
    simulator, http = start()
    keyed = {"Idempotency-Key": "k1"}

    first, second = (http.post(URL, json=BODY, headers=keyed).json() for _ in range(2))
    other = http.post(URL, json=BODY, headers={"Idempotency-Key": "k2"}).json()

    assert [first["duplicate"], second["duplicate"], other["duplicate"]] == [False, True, False]
    assert [each.key for each in simulator.executions] == ["k1", "k1", "k2"]


def test_a_key_is_remembered_only_once_the_work_is_done(start: Start) -> None:
    simulator, http = start()
    keyed = {"Idempotency-Key": "k1"}
    simulator.switches.workflow_fails = True
    assert http.post(URL, json=BODY, headers=keyed).status_code == 500
    simulator.switches.workflow_fails = False

    assert http.post(URL, json=BODY, headers=keyed).json()["duplicate"] is False
    assert simulator.contacts["c1"] == BODY


def test_without_a_key_each_request_is_worked_on(start: Start) -> None:
    simulator, http = start()

    assert [http.post(URL, json=BODY).json()["duplicate"] for _ in range(2)] == [False, False]
    assert simulator.counts() == {"contacts": 1, "executions": 2, "duplicates": 0}


def test_a_request_is_logged_with_its_address_and_one_without_with_none(start: Start) -> None:
    simulator, http = start()

    http.post(URL, json=BODY)
    http.post(URL, json={**BODY, "email": None})

    assert [each.emails for each in simulator.requests] == [("jane@example.com",), ()]
    assert [each.wrote for each in simulator.requests] == [True, True]


def test_a_fault_strikes_whatever_the_webhooks_path_is(start: Start) -> None:
    simulator, http = start(N8nConfig(path="a/b"), faults=["status-503:times=1"])

    assert [http.post("/webhook/a/b", json=BODY).status_code for _ in range(2)] == [503, 200]
    assert len(simulator.contacts) == 1


@pytest.mark.parametrize("changes", [{"mode": "never"}, {"auth": "smile"}])
def test_a_set_up_that_there_is_not_is_refused_by_name(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes.values()))):
        N8nConfig(**changes)  # type: ignore[arg-type]
