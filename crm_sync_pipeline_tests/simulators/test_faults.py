"""Each fault as a client meets it, over real sockets."""

import json
import time
from typing import Any

import httpx
import pytest

from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.faults import KINDS, Fault
from crm_sync_pipeline_tests.simulators.conftest import ManualClock, Serve

JANE = {"email": "jane@example.com", "updateEnabled": True}


def upsert(http: httpx.Client, email: str = "jane@example.com") -> httpx.Response:
    return http.post("/v3/contacts", json={"email": email, "updateEnabled": True})


@pytest.mark.parametrize(
    ("fault", "status", "body", "content_type"),
    [
        ("status-400", 400, b'{"code":"invalid_parameter","message":"Invalid phone number"}', "application/json"),
        ("status-401-key", 401, b'{"message":"Key not found","code":"unauthorized"}\n', "application/json"),
        (
            "status-401-ip",
            401,
            b'{"message":"We have detected you are using an unrecognised IP address 203.0.113.7. If you performed this '
            b"action make sure to add the new IP address in this link: "
            b'https://app.brevo.com/security/authorised_ips","code":"unauthorized"}\n',
            "application/json",
        ),
        ("status-402", 402, b'{"code":"not_enough_credits","message":"Insufficient credits"}', "application/json"),
        ("status-403", 403, b'{"code":"permission_denied","message":"Permission denied"}', "application/json"),
        ("status-404", 404, b'{"code":"document_not_found","message":"Contact does not exist"}', "application/json"),
        (
            "status-405",
            405,
            b'{"code":"method_not_allowed","message":"POST Method is not allowed on this path"}',
            "application/json",
        ),
        ("status-429", 429, b'{"code":"too_many_requests","message":"Too many requests"}', "application/json"),
        ("status-500-empty", 500, b"", None),
    ],
)
def test_a_refusal_is_worded_as_the_vendor_words_it_and_writes_nothing(
    http: httpx.Client, brevo: BrevoSimulator, fault: str, status: int, body: bytes, content_type: str | None
) -> None:
    brevo.inject(fault)
    answer = upsert(http)
    assert (answer.status_code, answer.content, answer.headers.get("content-type")) == (status, body, content_type)
    assert not brevo.contacts


@pytest.mark.parametrize(
    ("fault", "status", "part", "content_type"),
    [
        ("status-425", 425, b'"code":"account_in_process"', "application/json"),
        ("status-502-html", 502, b"<h1>502 Bad Gateway</h1>", "text/html"),
        ("status-503", 503, b"upstream connect error", "text/plain"),
        ("status-524-html", 524, b"Error code 524", "text/html"),
        ("garbage-201", 201, b'{"id": 4', "application/json"),
        ("empty-201", 201, b"", "application/json"),
        ("unexpected-200", 200, b"[{", "application/json"),
        ("wrong-content-type", 201, b'{"id":1}', "text/html"),
        ("megabyte-body", 201, b"x" * 1_000_000, "application/json"),
    ],
)
def test_what_proxies_and_bugs_send_arrives_as_they_send_it(
    http: httpx.Client, brevo: BrevoSimulator, fault: str, status: int, part: bytes, content_type: str
) -> None:
    brevo.inject(fault)
    answer = upsert(http)
    assert answer.status_code == status
    assert part in answer.content
    assert answer.headers["content-type"].startswith(content_type)
    assert answer.headers["sib-request-id"]
    assert brevo.requests[-1].wrote == KINDS[fault].wrote == ("jane@example.com" in brevo.contacts)


def test_a_long_success_is_not_given_for_what_was_refused(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("megabyte-body")
    assert upsert(http, email="no address").status_code == 400
    assert not brevo.contacts


def test_a_reset_before_the_write_leaves_no_contact(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("reset-before-write:times=1")
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        upsert(http)
    assert not brevo.contacts
    assert upsert(http).status_code == 201


def test_a_reset_after_the_write_leaves_the_contact(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("reset-after-write:times=1")
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        upsert(http)
    assert "jane@example.com" in brevo.contacts
    assert upsert(http).status_code == 204


def test_a_hanging_request_is_never_answered(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("hang:times=1")
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v3/contacts", json=JANE, timeout=0.1)
    assert brevo.requests.wait_for(lambda log: log.total == 1)
    assert brevo.requests[-1].status is None
    assert upsert(http).status_code == 201


def test_a_late_answer_has_written_before_it_is_late(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("latency=60000:times=1")
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v3/contacts", json=JANE, timeout=0.1)
    assert brevo.requests.wait_for(lambda log: log.total == 1)
    assert "jane@example.com" in brevo.contacts


def test_latencies_add_up_and_leave_the_answer_as_it_is(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("latency=20")
    brevo.inject("latency=30:jitter=10")
    brevo.inject("status-503")
    begun = time.perf_counter()
    assert upsert(http).status_code == 503
    assert time.perf_counter() - begun >= 0.036
    assert brevo.requests[-1].fault == "latency=20 latency=30:jitter=10 status-503"


def test_a_slow_body_comes_in_drips(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("slow-body=100")
    begun = time.perf_counter()
    with http.stream("POST", "/v3/contacts", json=JANE) as answer:
        pieces = list(answer.iter_raw())
    assert b"".join(pieces) == b'{"id":1}'
    assert time.perf_counter() - begun >= 0.09
    assert len(pieces) > 1


def test_an_answer_without_a_body_is_late_where_others_drip(http: httpx.Client, brevo: BrevoSimulator) -> None:
    upsert(http)
    brevo.inject("slow-body=50")
    begun = time.perf_counter()
    assert upsert(http).status_code == 204
    assert time.perf_counter() - begun >= 0.045


@pytest.mark.parametrize(
    ("fault", "reset", "retry_after"),
    [
        ("status-429", "1", None),
        ("status-429:reset=45", "45", None),
        ("status-429:reset=0.5:retry-after=7", "0.5", "7"),
    ],
)
def test_a_429_bears_the_headers_it_is_given(
    http: httpx.Client, brevo: BrevoSimulator, fault: str, reset: str, retry_after: str | None
) -> None:
    brevo.inject(fault)
    headers = upsert(http).headers
    assert (headers["x-sib-ratelimit-remaining"], headers["x-sib-ratelimit-reset"]) == ("0", reset)
    assert headers.get("retry-after") == retry_after


def test_shut_for_some_seconds_counts_down_and_opens_again(serve: Serve, clock: ManualClock) -> None:
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"]), ["status-429:for=30"], clock=clock)
    client = serve(simulator)
    assert upsert(client).headers["x-sib-ratelimit-reset"] == "30"
    clock.advance(20)
    assert upsert(client).headers["x-sib-ratelimit-reset"] == "10"
    clock.advance(10)
    assert upsert(client).status_code == 201
    assert not simulator.faults()


def test_a_fault_strikes_the_next_n_requests_and_no_more(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("status-503:times=2")
    assert [upsert(http).status_code for _ in range(4)] == [503, 503, 201, 204]


def test_the_first_fault_that_matches_strikes_and_the_next_waits_its_turn(
    http: httpx.Client, brevo: BrevoSimulator
) -> None:
    brevo.inject("status-503:times=1")
    brevo.inject("status-425:times=1")
    assert [upsert(http).status_code for _ in range(3)] == [503, 425, 201]


def test_a_fault_by_chance_strikes_the_same_requests_for_the_same_seed(serve: Serve) -> None:
    def struck(seed: int) -> list[int]:
        simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], seed=seed), ["status-503:rate=0.3"])
        client = serve(simulator)
        return [upsert(client).status_code for _ in range(60)]

    first = struck(1)
    assert 5 <= first.count(503) <= 35
    assert struck(1) == first
    assert struck(2) != first


def test_a_fault_strikes_only_the_contacts_it_is_for(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("status-400:email=*@Example.ORG")
    assert upsert(http, "a@example.org").status_code == 400
    assert upsert(http, "A@EXAMPLE.org").status_code == 400
    assert upsert(http, "a@example.com").status_code == 201


def test_a_fault_strikes_upserts_unless_it_names_other_requests(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("status-503")
    assert http.get("/v3/contacts").status_code == 200
    assert http.get("/v3/account").status_code == 200
    brevo.heal()
    brevo.inject("status-503:method=GET:path=/v3/contacts*")
    assert http.get("/v3/contacts/lists").status_code == 503
    assert http.get("/v3/account").status_code == 200
    assert upsert(http).status_code == 201
    brevo.inject("status-402:method=*:path=*")
    assert http.get("/v3/account").status_code == 402


@pytest.mark.parametrize(("written", "contacts"), [("yes", 1), ("no", 0)])
@pytest.mark.parametrize("kind", ["status-500-empty", "status-524-html", "garbage-201", "slow-body=1", "hang"])
def test_any_fault_can_strike_before_or_after_the_write(
    http: httpx.Client, brevo: BrevoSimulator, kind: str, written: str, contacts: int
) -> None:
    brevo.inject(f"{kind}:written={written}")
    try:
        http.post("/v3/contacts", json=JANE, timeout=0.1 if kind == "hang" else 10)
    except httpx.ReadTimeout:
        assert brevo.requests.wait_for(lambda log: log.total == 1)
    assert len(brevo.contacts) == contacts == brevo.requests[-1].wrote


def test_a_refusal_of_the_vendor_is_no_write_whatever_the_fault_says(http: httpx.Client, brevo: BrevoSimulator) -> None:
    brevo.inject("empty-201")
    assert upsert(http, "no address").status_code == 201
    assert brevo.requests[-1].wrote is False


def test_a_request_that_the_key_or_the_limit_refuses_spends_no_fault(serve: Serve, clock: ManualClock) -> None:
    simulator = BrevoSimulator(BrevoConfig(), ["status-503:times=1"], clock=clock)
    client = serve(simulator)
    assert client.post("/v3/contacts", json=JANE, headers={"api-key": "wrong"}).status_code == 401
    assert upsert(client).status_code == 503


def test_a_healed_simulator_answers_truly(http: httpx.Client, brevo: BrevoSimulator) -> None:
    number = brevo.inject(Fault("status-503"))
    brevo.inject("status-425")
    assert brevo.heal(number) == 1
    assert upsert(http).status_code == 425
    assert brevo.heal() == 1
    assert upsert(http).status_code == 201


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hang"])
def test_after_any_fault_the_same_client_goes_on(http: httpx.Client, brevo: BrevoSimulator, kind: str) -> None:
    brevo.inject(f"{kind}=1:times=1" if KINDS[kind].default_ms else f"{kind}:times=1")
    try:
        upsert(http)
    except httpx.ReadError:
        assert kind.startswith("reset-")
    assert upsert(http).status_code in (201, 204)
    assert json.loads(http.get("/v3/contacts").content)["count"] == 1


def test_a_fault_for_one_contact_strikes_the_whole_request_that_it_is_in(
    brevo: BrevoSimulator, http: httpx.Client
) -> None:
    brevo.inject("status-503:email=b@example.com:path=/v3/contacts/import")
    rows: list[dict[str, Any]] = [{"email": email, "attributes": {}} for email in ("a@example.com", "B@example.com")]

    def start(*rows: Any) -> int:
        return http.post("/v3/contacts/import", json={"jsonBody": rows, "listIds": [1]}).status_code

    assert (start(*rows), start(rows[0])) == (503, 202)
    assert [request.emails for request in brevo.requests] == [("a@example.com", "b@example.com"), ("a@example.com",)]
    assert brevo.requests.contacts == 3
