import httpx
import pytest

from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline.simulators.faults import KINDS, OPTIONS


def upsert(http: httpx.Client, email: str = "jane@example.com") -> httpx.Response:
    return http.post("/v3/contacts", json={"email": email, "updateEnabled": True})


def test_faults_are_set_listed_and_healed_while_it_runs(http: httpx.Client) -> None:
    made = http.post("/simulator/faults", json={"fault": "status-503:times=2"})
    assert made.status_code == 201
    number = made.json()["faults"][0]["id"]
    assert upsert(http).status_code == 503
    assert http.get("/simulator/faults").json()["faults"] == [
        {"id": number, "fault": "status-503:times=2", "times_left": 1}
    ]
    assert http.delete(f"/simulator/faults/{number}").json() == {"healed": 1, "faults": []}
    http.post("/simulator/faults", json={"faults": ["status-503", "latency=1"]})
    assert http.delete("/simulator/faults").json() == {"healed": 2, "faults": []}
    assert upsert(http).status_code == 201


def test_it_says_which_faults_there_are(http: httpx.Client) -> None:
    known = http.get("/simulator/faults").json()
    assert list(known["kinds"]) == list(KINDS)
    assert list(known["options"]) == list(OPTIONS)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"fault":"nonsense"}', "Known faults"),
        (b'{"faults":["status-503","latency=x"]}', "a number of milliseconds"),
        (b'{"faults":"status-503"}', "Send"),
        (b'{"fault":5}', "Send"),
        (b"[]", "Send"),
        (b"", "Send"),
    ],
)
def test_what_is_no_fault_is_refused_and_sets_nothing(http: httpx.Client, body: bytes, says: str) -> None:
    refused = http.post("/simulator/faults", content=body)
    assert refused.status_code == 400
    assert says in refused.json()["message"]
    assert http.get("/simulator/faults").json()["faults"] == []


def test_the_state_counts_what_is_stored_and_what_was_answered(http: httpx.Client, brevo: BrevoSimulator) -> None:
    upsert(http)
    upsert(http)
    http.post("/simulator/faults", json={"fault": "hang"})
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v3/contacts", json={}, timeout=0.1)
    assert brevo.requests.wait_for(lambda log: log.total == 3)
    state = http.get("/simulator/state").json()
    assert state["holds"] == {"contacts": 1, "lists": 1, "attributes": 8, "imports": 0}
    assert state["answers"] == {"201": 1, "204": 1, "none": 1}
    assert state["requests"] == 3


def test_requests_are_listed_in_order_with_what_became_of_them(http: httpx.Client) -> None:
    upsert(http)
    http.post("/simulator/faults", json={"fault": "status-503:times=1"})
    upsert(http, "JOHN@example.com")
    http.get("/v3/contacts/jane%40example.com")
    listed = http.get("/simulator/requests").json()
    shown = ("method", "path", "status", "emails", "wrote", "fault")
    assert [tuple(one[name] for name in shown) for one in listed["requests"]] == [
        ("POST", "/v3/contacts", 201, ["jane@example.com"], True, None),
        ("POST", "/v3/contacts", 503, ["john@example.com"], False, "status-503:times=1"),
        ("GET", "/v3/contacts/jane@example.com", 200, ["jane@example.com"], False, None),
    ]
    assert listed["requests"][0]["body"] == {"email": "jane@example.com", "updateEnabled": True}
    assert listed["requests"][0]["received_at"].endswith("+00:00")
    newest = http.get("/simulator/requests?limit=1").json()
    assert (newest["total"], len(newest["requests"]), newest["requests"][0]["method"]) == (3, 1, "GET")
    assert http.get("/simulator/requests?limit=0").json()["requests"] == []
    assert http.get("/simulator/requests?limit=x").status_code == 400


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"email":"\\ud800"}', b'{"a":NaN}'])
def test_a_body_that_is_hardly_text_is_listed_too(http: httpx.Client, body: bytes) -> None:
    http.post("/v3/contacts", content=body, headers={"content-type": "application/json"})
    assert http.get("/simulator/requests").status_code == 200


def test_a_reset_forgets_requests_and_contacts_and_keeps_faults(http: httpx.Client, brevo: BrevoSimulator) -> None:
    upsert(http)
    http.post("/simulator/faults", json={"fault": "status-503"})
    assert http.post("/simulator/reset").status_code == 204
    state = http.get("/simulator/state").json()
    assert (state["holds"]["contacts"], state["requests"], len(state["faults"])) == (0, 0, 1)
    assert len(brevo.requests) == 0


def test_steering_needs_no_key_and_leaves_no_trace_in_the_log(http: httpx.Client, brevo: BrevoSimulator) -> None:
    assert httpx.get(http.base_url.join("/simulator/state")).status_code == 200
    assert brevo.requests.total == 0
