"""The shipped workflow runs in a real n8n, and what the simulator says is what that n8n says."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from crm_sync_pipeline.destinations.n8n.destination import N8n
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.check import Line, State
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import Synced
from crm_sync_pipeline.simulators.exchange import Answer
from crm_sync_pipeline.simulators.n8n import N8nConfig, N8nSimulator, answers
from crm_sync_pipeline.simulators.n8n.authorization import signed
from crm_sync_pipeline.simulators.n8n.config import USER
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.destinations.conftest import attempted
from crm_sync_pipeline_tests.simulators.conftest import NO_CERTIFICATES
from crm_sync_pipeline_tests.simulators.real_n8n import PROGRAM, Json, RealN8n, running_n8n

pytestmark = [
    pytest.mark.skipif(not PROGRAM, reason="n8n is not installed (npm install n8n; N8N_PROGRAM names it)."),
    pytest.mark.timeout(600),
]

SHIPPED = Path(__file__).parents[2] / "docs" / "destinations" / "n8n" / "workflow.json"
SECRET = "a-secret-of-a-test"
BODY = {"contact_id": "c1", "email": "jane@example.com", "name": "Jane Doe"}
HEADER = {"Authorization": f"Bearer {SECRET}"}

CREDENTIALS: list[Json] = [
    {
        "id": "CrmSyncSecret001",
        "name": "crm-sync",
        "type": "httpHeaderAuth",
        "data": {"name": "Authorization", "value": f"Bearer {SECRET}"},
    },
    {"id": "basic", "name": "basic", "type": "httpBasicAuth", "data": {"user": USER, "password": SECRET}},
    {
        "id": "jwt",
        "name": "jwt",
        "type": "jwtAuth",
        "data": {"keyType": "passphrase", "secret": SECRET, "algorithm": "HS256"},
    },
]


def node(name: str, kind: str, parameters: Json) -> Json:
    return {
        "parameters": parameters,
        "id": name,
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": 1,
        "position": [200, 0],
    }


def workflow(
    path: str, mode: str, *, auth: str = "none", fails: bool = False, with_respond_node: bool = False, data: str = ""
) -> Json:
    """A webhook, and one node behind it that does nothing, or fails; behind that, perhaps, one that answers."""
    kinds = {"header": "httpHeaderAuth", "basic": "httpBasicAuth", "jwt": "jwtAuth"}
    ids = {"header": "CrmSyncSecret001", "basic": "basic", "jwt": "jwt"}
    hook: Json = {
        "parameters": {"httpMethod": "POST", "path": path, "responseMode": mode, "options": {}},
        "id": f"{path}-1",
        "name": "Webhook",
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2,
        "position": [0, 0],
        "webhookId": path,
    }
    if data:
        hook["parameters"]["responseData"] = data
    if auth != "none":
        hook["parameters"]["authentication"] = f"{auth}Auth"
        hook["credentials"] = {kinds[auth]: {"id": ids[auth], "name": ids[auth]}}
    kind, parameters = ("stopAndError", {"errorMessage": "No"}) if fails else ("noOp", {})
    nodes = [hook, node("Last", kind, parameters)]
    connections = {"Webhook": {"main": [[{"node": "Last", "type": "main", "index": 0}]]}}
    if with_respond_node:
        nodes.append(node("Respond", "respondToWebhook", {"respondWith": "json", "responseBody": "={{ {} }}"}))
        connections["Last"] = {"main": [[{"node": "Respond", "type": "main", "index": 0}]]}
    return {
        "id": f"Wf{path.replace('-', '')}"[:16],
        "name": path,
        "active": False,
        "nodes": nodes,
        "connections": connections,
        "settings": {"executionOrder": "v1"},
    }


def failing(shipped: Json) -> Json:
    """The shipped workflow, whose work fails."""
    broken = deepcopy(shipped)
    broken["id"] = "ShippedThatFails"
    for node in broken["nodes"]:
        if node["name"] == "Webhook":
            node["parameters"]["path"], node["webhookId"] = "shipped-that-fails", "shipped-that-fails"
        if node["name"] == "Your work":
            node["type"], node["typeVersion"] = "n8n-nodes-base.stopAndError", 1
            node["parameters"] = {"errorMessage": "No"}
    return broken


def forgetting(shipped: Json) -> Json:
    """What the shipped workflow does every night, at a call and for keys of any age."""
    nodes = {node["name"]: node for node in deepcopy(shipped)["nodes"]}
    table, forget = nodes["Table of keys"], nodes["Forget old keys"]
    (condition,) = forget["parameters"]["filters"]["conditions"]
    condition["keyValue"] = condition["keyValue"].replace("$now.minus(", "$now.plus(")
    made = workflow("forget", "lastNode")
    made["nodes"] = [made["nodes"][0], table, {**forget, "alwaysOutputData": True}]
    made["connections"] = {
        "Webhook": {"main": [[{"node": table["name"], "type": "main", "index": 0}]]},
        table["name"]: {"main": [[{"node": forget["name"], "type": "main", "index": 0}]]},
    }
    return made


WORKFLOWS = [
    json.loads(SHIPPED.read_text()),
    failing(json.loads(SHIPPED.read_text())),
    forgetting(json.loads(SHIPPED.read_text())),
    workflow("on-received", "onReceived"),
    workflow("on-received-fails", "onReceived", fails=True),
    workflow("last-node", "lastNode"),
    workflow("last-node-fails", "lastNode", fails=True),
    workflow("respond-fails", "responseNode", fails=True, with_respond_node=True),
    workflow("no-respond", "responseNode"),
    workflow("no-data", "lastNode", data="noData"),
    workflow("no-data-fails", "lastNode", fails=True, data="noData"),
    workflow("basic", "lastNode", auth="basic"),
    workflow("jwt", "lastNode", auth="jwt"),
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealN8n]:
    with running_n8n(tmp_path_factory.mktemp("n8n"), WORKFLOWS, CREDENTIALS, "crm-sync") as n8n:
        yield n8n


@pytest.fixture
def http(real: RealN8n) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=real.base_url, trust_env=False, timeout=60, verify=NO_CERTIFICATES) as client:
        yield client


def key(name: str) -> dict[str, str]:
    return {**HEADER, "Idempotency-Key": name}


# The shipped workflow


def test_the_shipped_workflow_works_once_for_each_key_and_names_itself(http: httpx.Client) -> None:
    first, second, other = (http.post("/webhook/crm-sync", json=BODY, headers=key(name)) for name in ("a", "a", "b"))

    assert [each.status_code for each in (first, second, other)] == [200, 200, 200]
    assert [each.json()["duplicate"] for each in (first, second, other)] == [False, True, False]
    assert {each.json()["workflow_id"] for each in (first, second, other)} == {"CrmSyncContact01"}
    assert len({each.json()["execution_id"] for each in (first, second, other)}) == 3


def test_the_shipped_workflow_does_not_remember_a_key_whose_work_failed(http: httpx.Client) -> None:
    first, second = (http.post("/webhook/shipped-that-fails", json=BODY, headers=key("c")) for _ in range(2))

    assert [each.status_code for each in (first, second)] == [500, 500], "the second one is no duplicate"


def test_the_shipped_workflow_forgets_keys_by_their_age(http: httpx.Client) -> None:
    first, second = (http.post("/webhook/crm-sync", json=BODY, headers=key("e")) for _ in range(2))
    forgot = http.post("/webhook/forget", json={})
    third = http.post("/webhook/crm-sync", json=BODY, headers=key("e"))

    assert forgot.status_code == 200, forgot.text
    assert [each.json()["duplicate"] for each in (first, second, third)] == [False, True, False]


def test_our_own_client_delivers_by_the_shipped_workflow_and_finds_all_green(real: RealN8n) -> None:
    n8n = N8n(webhook_url=f"{real.base_url}/webhook/crm-sync", webhook_secret=SECRET, timeout_seconds=30)
    contact = Contact(UUID(int=1), "jane@example.com", "Jane Doe", selection="once")

    async def work() -> tuple[Attempt, Attempt, list[Line]]:
        async with n8n.client() as client:
            first, second = [await attempted(n8n, client, contact) for _ in range(2)]
            lines = await n8n.check(client, clock=lambda: datetime.now(timezone.utc))
            return first, second, list(lines)

    first, second, lines = asyncio.run(work())

    assert first.outcome == Synced("CrmSyncContact01", "accepted")
    assert second.outcome == Synced("CrmSyncContact01", "duplicate")
    assert first.request_id
    assert [(line.name, line.state) for line in lines] == [
        (name, State.GREEN) for name in ("URL", "n8n", "Webhook", "Secret")
    ]


def test_a_workflow_that_fails_before_its_respond_node_is_not_taken_for_success(real: RealN8n) -> None:
    n8n = N8n(webhook_url=f"{real.base_url}/webhook/respond-fails", timeout_seconds=30)

    async def work() -> Attempt:
        async with n8n.client() as client:
            return await attempted(n8n, client, Contact(UUID(int=1), "jane@example.com"))

    assert asyncio.run(work()).outcome.reason == "no_answer"


# What the simulator says is what n8n says


AS_SHIPPED = N8nConfig()


@dataclass(frozen=True)
class Case:
    """One request to n8n and to a simulator that is set up alike."""

    name: str
    path: str = "/webhook/crm-sync"
    config: N8nConfig = AS_SHIPPED
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


ON_RECEIVED = N8nConfig(path="on-received", mode="on-received", auth="none")
LAST_NODE = N8nConfig(path="last-node", mode="last-node", auth="none")
BASIC, JWT = N8nConfig(path="basic", auth="basic"), N8nConfig(path="jwt", auth="jwt")
FROM_A_BROWSER = {"Origin": "https://example.com"}

CASES = [
    Case("the shipped workflow", headers=key("d"), body=json.dumps(BODY).encode()),
    Case("no secret"),
    Case("a wrong secret", headers={"Authorization": "Bearer x"}),
    Case("no secret, and no JSON", body=b'{"a":'),
    Case("no JSON", headers=HEADER, body=b'{"a":'),
    Case("no body", "/webhook/last-node", LAST_NODE, body=b""),
    Case("a list", "/webhook/last-node", LAST_NODE, body=b"[1]"),
    Case("on received", "/webhook/on-received", ON_RECEIVED),
    Case("the last node", "/webhook/last-node?a=1", LAST_NODE, body=b'{"b":2}'),
    Case("no data", "/webhook/no-data", N8nConfig(path="no-data", mode="no-data", auth="none")),
    Case("no respond node", "/webhook/no-respond", N8nConfig(path="no-respond", mode="no-respond", auth="none")),
    Case("a slash at the end", "/webhook/last-node/", LAST_NODE),
    Case("basic, missing", "/webhook/basic", BASIC),
    Case("basic, wrong", "/webhook/basic", BASIC, headers={"Authorization": "Basic eDp5"}),
    Case("jwt, missing", "/webhook/jwt", JWT),
    Case("jwt, not one", "/webhook/jwt", JWT, headers={"Authorization": "Bearer x"}),
    Case("jwt, not JSON", "/webhook/jwt", JWT, headers={"Authorization": "Bearer a.b.c"}),
    Case("jwt, of another secret", "/webhook/jwt", JWT, headers={"Authorization": f"Bearer {signed({}, 'x')}"}),
    Case("an unknown path", "/webhook/nope"),
    Case("an unknown path, GET", "/webhook/nope", method="GET", body=b""),
    Case("another method", method="GET", body=b""),
    Case("an odd method", method="PROPFIND", body=b""),
    Case("a test URL", "/webhook-test/crm-sync"),
    Case("OPTIONS", method="OPTIONS", body=b""),
    Case("OPTIONS elsewhere", "/webhook/nope", method="OPTIONS", body=b""),
    Case("OPTIONS of a browser", method="OPTIONS", headers=FROM_A_BROWSER, body=b""),
    Case("OPTIONS of a browser elsewhere", "/webhook/nope", method="OPTIONS", headers=FROM_A_BROWSER, body=b""),
    Case("health", "/healthz", method="GET", body=b""),
    Case("readiness", "/healthz/readiness", method="GET", body=b""),
    Case("large", "/webhook/on-received", ON_RECEIVED, body=b'{"x":"' + b"x" * (15 << 20) + b'"}'),
    Case("too large", "/webhook/on-received", ON_RECEIVED, body=b'{"x":"' + b"x" * (17 << 20) + b'"}'),
]
FAILING = [
    ("on-received-fails", "on-received"),
    ("last-node-fails", "last-node"),
    ("respond-fails", "respond"),
    ("no-data-fails", "no-data"),
]
HEADERS = ("content-type", "www-authenticate", "access-control-allow-methods")


def shown(answer: httpx.Response) -> Json:
    """An answer without what differs from one execution, or one machine, to the next."""
    try:
        body = answer.json()
    except ValueError:
        body = answer.text
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name not in ("headers", "webhookUrl", "execution_id")}
        if "stacktrace" in body:
            body["stacktrace"] = "..."
    headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
    return {"status": answer.status_code, "headers": headers, "body": body}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_simulator_answers_as_n8n(http: httpx.Client, case: Case) -> None:
    headers = {**case.headers, **({"Content-Type": "application/json"} if case.body else {})}
    simulator = N8nSimulator(replace(case.config, secret=SECRET))
    with running(simulator.app) as server, httpx.Client(base_url=server.base_url, verify=NO_CERTIFICATES) as simulated:
        said = shown(simulated.request(case.method, case.path, headers=headers, content=case.body))

    assert said == shown(http.request(case.method, case.path, headers=headers, content=case.body))


@pytest.mark.parametrize(("path", "mode"), FAILING)
def test_the_simulator_answers_as_n8n_where_a_workflow_fails(http: httpx.Client, path: str, mode: str) -> None:
    simulator = N8nSimulator(N8nConfig(path=path, mode=mode, auth="none"))
    simulator.switches.workflow_fails = True
    with running(simulator.app) as server, httpx.Client(base_url=server.base_url, verify=NO_CERTIFICATES) as simulated:
        said = shown(simulated.post(f"/webhook/{path}", json=BODY))

    assert said == shown(http.post(f"/webhook/{path}", json=BODY))


def test_the_simulator_starts_as_n8n(real: RealN8n) -> None:
    """Whatever n8n said before it was up is what the simulator says, in that order; it has said one of it at least."""
    starts = [
        answers.STARTING_UP,
        answers.no_route("POST", "/webhook/crm-sync"),
        answers.not_registered("POST", "crm-sync", shows_stack=True),
        answers.other_method("POST", "POST", shows_stack=True),  # seen once, while it registered its webhooks
    ]
    known = [shown(httpx.Response(each.status, headers=_headers_of(each), content=each.body)) for each in starts]

    places = [known.index(shown(said)) for said in real.while_starting]

    assert places
    assert places == sorted(places)


def _headers_of(answer: Answer) -> list[tuple[bytes, bytes]]:
    return [*answer.headers, *([(b"content-type", answer.content_type)] if answer.content_type else [])]
