"""What HubSpot does with many contacts in a request: which rows fail alone, and how the answer says so."""

import json
from typing import Any

import httpx
import pytest

from crm_sync_pipeline.simulators.hubspot import HubspotConfig, HubspotSimulator
from crm_sync_pipeline_tests.simulators.conftest import ServeHubspot

CONTACTS = "/crm/v3/objects/contacts"
OF_2026_09 = "/crm/objects/2026-09/contacts"


def row(address: str, trace: str | None = None, **properties: Any) -> dict[str, Any]:
    made = {"id": address, "idProperty": "email", "properties": properties}
    return {**made, "objectWriteTraceId": trace} if trace else made


def upsert(http: httpx.Client, *rows: dict[str, Any], path: str = CONTACTS) -> httpx.Response:
    return http.post(f"{path}/batch/upsert", json={"inputs": list(rows)})


def addresses(answer: httpx.Response) -> dict[str, str]:
    """Who was written: id by address."""
    return {each["properties"]["email"]: each["id"] for each in answer.json()["results"]}


def test_an_upsert_creates_and_updates_and_says_which(hubspot_http: httpx.Client, hubspot: HubspotSimulator) -> None:
    upsert(hubspot_http, row("jane@example.com", firstname="Jane"))
    answer = upsert(hubspot_http, row("JANE@Example.com", lastname="Doe"), row("john@example.com"))
    assert answer.status_code == 200
    assert answer.json()["status"] == "COMPLETE"
    assert "errors" not in answer.json()
    assert {each["id"]: each["new"] for each in answer.json()["results"]} == {"101": False, "102": True}
    assert addresses(answer) == {"jane@example.com": "101", "john@example.com": "102"}
    assert hubspot.contacts["jane@example.com"].properties["firstname"] == "Jane"


def test_results_do_not_come_in_the_order_of_the_inputs(hubspot_http: httpx.Client) -> None:
    sent = [f"c{number}@example.com" for number in range(30)]
    answered = list(addresses(upsert(hubspot_http, *map(row, sent))))
    assert sorted(answered) == sorted(sent)
    assert answered != sent


def test_with_trace_ids_a_bad_row_fails_alone(hubspot_http: httpx.Client, hubspot: HubspotSimulator) -> None:
    answer = upsert(
        hubspot_http, row("jane@example.com", "a"), row("no address", "b"), row("x@example.com", "c", x="1")
    )
    assert answer.status_code == 207
    assert list(addresses(answer)) == ["jane@example.com"] == list(hubspot.contacts)
    assert answer.json()["status"] == "COMPLETE"
    assert answer.json()["numErrors"] == 2
    first, second = answer.json()["errors"]
    assert first == {
        "status": "error",
        "category": "VALIDATION_ERROR",
        "message": 'Property values were not valid: [{"isValid":false,"message":"Email address no address is invalid",'
        '"error":"INVALID_EMAIL","name":"email"}]',
        "context": {"objectWriteTraceId": ["b"]},
    }
    assert second["context"] == {"objectWriteTraceId": ["c"]}
    assert second["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"


def test_a_batch_of_bad_rows_is_a_207_without_results(hubspot_http: httpx.Client) -> None:
    answer = upsert(hubspot_http, row("no address", "a"), row("neither", "b"))
    assert (answer.status_code, answer.json()["results"]) == (207, [])


@pytest.mark.parametrize("traces", [(None, None), ("a", None), ("a", "a")])
def test_without_a_trace_id_for_each_a_bad_row_refuses_everything(
    hubspot_http: httpx.Client, hubspot: HubspotSimulator, traces: tuple[str | None, str | None]
) -> None:
    upsert(hubspot_http, row("old@example.com", firstname="Old"))
    answer = upsert(
        hubspot_http,
        row("old@example.com", traces[0], firstname="New"),
        row("new@example.com", "third", firstname="New"),
        row("no address", traces[1]),
    )
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Property values were not valid: [")
    assert list(hubspot.contacts) == ["old@example.com"]
    assert hubspot.contacts["old@example.com"].properties["firstname"] == "Old"
    assert not hubspot.requests[-1].wrote


@pytest.mark.parametrize("traces", [(None, None), ("a", "b")])
def test_an_address_twice_in_any_case_refuses_everything(
    hubspot_http: httpx.Client, hubspot: HubspotSimulator, traces: tuple[str | None, str | None]
) -> None:
    answer = upsert(hubspot_http, row("x@example.com", traces[0]), row("X@Example.com ", traces[1]))
    assert answer.status_code == 400
    body = answer.json()
    assert body["message"] == "Duplicate IDs found in batch input: [x@example.com]. IDs must be unique"
    assert (body["context"], body["category"]) == ({"ids": ["x@example.com"]}, "VALIDATION_ERROR")
    assert not hubspot.contacts


@pytest.mark.parametrize("kind", ["upsert", "update", "create", "read"])
def test_101_inputs_refuse_everything_and_100_do_not(
    hubspot_http: httpx.Client, hubspot: HubspotSimulator, kind: str
) -> None:
    rows = [row(f"c{number}@example.com", email=f"c{number}@example.com") for number in range(101)]
    if kind in ("update", "read"):
        upsert(hubspot_http, *rows[:100])
        rows = [{"id": str(101 + number), "properties": {"city": "x"}} for number in range(101)]
    more = {"properties": ["email"], "propertiesWithHistory": []} if kind == "read" else {}
    path = f"{CONTACTS}/batch/{kind}"
    assert hubspot_http.post(path, json={"inputs": rows, **more}).status_code == 400
    answer = hubspot_http.post(path, json={"inputs": rows[:100], **more})
    assert answer.status_code == (201 if kind == "create" else 200)
    assert len(answer.json()["results"]) == 100 == len(hubspot.contacts)


def test_an_upsert_by_another_property_than_the_address_is_refused(hubspot_http: httpx.Client) -> None:
    for rows in ([{**row("1"), "idProperty": "phone"}], [{"id": "x@example.com", "properties": {}}]):
        answer = upsert(hubspot_http, *rows)
        assert answer.status_code == 400
        assert answer.json()["message"] == "Unable to perform update/upsert by non-unique 0-1 property"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"inputs":{}}', b'{"inputs":[]}', b'{"inputs":[{"properties":{}}]}'])
def test_a_body_that_is_not_a_batch_is_refused(hubspot_http: httpx.Client, body: bytes) -> None:
    assert hubspot_http.post(f"{CONTACTS}/batch/upsert", content=body).status_code == 400


def test_a_secondary_address_is_answered_with_the_contact_that_has_it(
    hubspot_http: httpx.Client, hubspot: HubspotSimulator
) -> None:
    upsert(hubspot_http, row("jane@example.com", hs_additional_emails="jd@example.com"))
    answer = upsert(hubspot_http, row("JD@example.com", "a", firstname="Jane"), row("new@example.com", "b"))
    assert addresses(answer) == {"jane@example.com": "101", "new@example.com": "102"}
    assert hubspot.contacts["jane@example.com"].properties["firstname"] == "Jane"
    assert "jd@example.com" not in hubspot.contacts


@pytest.mark.parametrize("names_existing", [True, False])
def test_or_a_secondary_address_is_a_conflict(serve_hubspot: ServeHubspot, names_existing: bool) -> None:
    config = HubspotConfig(secondary_address="conflict", names_existing=names_existing)
    http = serve_hubspot(HubspotSimulator(config))
    upsert(http, row("jane@example.com", hs_additional_emails="jd@example.com"))
    answer = upsert(http, row("jd@example.com", "a"), row("new@example.com", "b"))
    assert answer.status_code == 207
    (error,) = answer.json()["errors"]
    assert error["category"] == "CONFLICT"
    known = {"objectWriteTraceId": ["a"]}
    assert error["context"] == ({"existingId": ["101"], **known} if names_existing else known)
    assert error["message"].endswith("Existing ID: 101" if names_existing else "already exists")
    alone = upsert(http, row("jd@example.com"))
    assert (alone.status_code, alone.json()["category"]) == (409, "CONFLICT")


def test_updates_go_by_id_and_those_who_are_not_there_are_one_error(
    hubspot_http: httpx.Client, hubspot: HubspotSimulator
) -> None:
    upsert(hubspot_http, row("jane@example.com"), row("john@example.com"))
    rows = [
        {"id": "101", "properties": {"email": "new@example.com"}, "objectWriteTraceId": "a"},
        {"id": "102", "properties": {"email": "new@example.com"}, "objectWriteTraceId": "b"},
        {"id": "7", "properties": {}, "objectWriteTraceId": "c"},
        {"id": "8", "properties": {}, "objectWriteTraceId": "d"},
    ]
    answer = hubspot_http.post(f"{CONTACTS}/batch/update", json={"inputs": rows})
    assert answer.status_code == 207
    assert addresses(answer) == {"new@example.com": "101"}
    taken, absent = answer.json()["errors"]
    assert (taken["category"], taken["context"]["objectWriteTraceId"]) == ("CONFLICT", ["b"])
    assert (absent["category"], absent["context"]) == ("OBJECT_NOT_FOUND", {"ids": ["7", "8"]})
    assert answer.json()["numErrors"] == 2  # groups, not rows
    assert sorted(hubspot.contacts) == ["john@example.com", "new@example.com"]


def test_a_read_names_who_is_not_there(hubspot_http: httpx.Client) -> None:
    upsert(hubspot_http, row("jane@example.com"))
    body = {"inputs": [{"id": "101"}, {"id": "7"}], "properties": ["email", "hs_email_optout"]}
    answer = hubspot_http.post(f"{CONTACTS}/batch/read", json={**body, "propertiesWithHistory": []})
    assert answer.status_code == 207
    (found,) = answer.json()["results"]
    assert (found["properties"]["email"], found["properties"]["hs_email_optout"]) == ("jane@example.com", None)
    assert answer.json()["errors"][0]["context"] == {"ids": ["7"]}
    there = {**body, "inputs": [{"id": "101"}], "propertiesWithHistory": []}
    assert hubspot_http.post(f"{CONTACTS}/batch/read", json=there).status_code == 200


def test_equal_errors_may_be_one_that_names_all_its_rows(serve_hubspot: ServeHubspot) -> None:
    http = serve_hubspot(HubspotSimulator(HubspotConfig(groups_errors=True)))
    answer = upsert(http, *(row(f"c{number}@example.com", str(number), x="1") for number in range(3)))
    (error,) = answer.json()["errors"]
    assert error["context"]["objectWriteTraceId"] == ["0", "1", "2"]
    assert answer.json()["numErrors"] == 1


def test_rows_that_were_written_may_name_their_trace_ids(serve_hubspot: ServeHubspot) -> None:
    http = serve_hubspot(HubspotSimulator(HubspotConfig(echoes_trace_ids=True)))
    (result,) = upsert(http, row("jane@example.com", "a")).json()["results"]
    assert result["objectWriteTraceId"] == "a"


@pytest.mark.parametrize(("position", "status", "written"), [("207", 207, 1), ("200", 200, 1), ("400", 400, 0)])
def test_2026_09_answers_a_partly_bad_batch_as_it_is_switched(
    serve_hubspot: ServeHubspot, position: str, status: int, written: int
) -> None:
    simulator = HubspotSimulator(HubspotConfig(partial_2026_09=position))
    http = serve_hubspot(simulator)
    rows = (row("jane@example.com", "a"), row("no address", "b"))
    assert upsert(http, *rows, path=OF_2026_09).status_code == status
    assert len(simulator.contacts) == written
    for path in (CONTACTS, "/crm/objects/2026-03/0-1"):
        assert upsert(http, *rows, path=path).status_code == 207


def test_2026_09_enforces_what_an_administrator_requires_of_new_contacts(serve_hubspot: ServeHubspot) -> None:
    http = serve_hubspot(HubspotSimulator(HubspotConfig(required=("company",))))
    sent = row("jane@example.com", "a")
    refused = upsert(http, sent, path=OF_2026_09)
    assert json.loads(refused.json()["errors"][0]["message"].partition(": ")[2])[0]["name"] == "company"
    assert upsert(http, sent).status_code == 200
    assert upsert(http, sent, path=OF_2026_09).status_code == 200  # it is not new any more
    assert upsert(http, row("john@example.com", company="X"), path=OF_2026_09).status_code == 200


def test_the_log_has_the_addresses_of_everybody_in_a_request(
    hubspot_http: httpx.Client, hubspot: HubspotSimulator
) -> None:
    upsert(hubspot_http, row("Jane@example.com", "a"), row("john@example.com", "b"))
    rows = [{"id": "102", "properties": {}}, {"id": "101", "properties": {"email": "new@example.com"}}]
    hubspot_http.post(f"{CONTACTS}/batch/update", json={"inputs": rows})
    body = {"inputs": [{"id": "101"}, {"id": "7"}], "properties": [], "propertiesWithHistory": []}
    hubspot_http.post(f"{CONTACTS}/batch/read", json=body)
    hubspot_http.get(f"{CONTACTS}/101")
    hubspot_http.get(f"{CONTACTS}/john%40example.com?idProperty=email")
    hubspot_http.get("/crm/v3/properties/contacts")
    assert [entry.emails for entry in hubspot.requests] == [
        ("jane@example.com", "john@example.com"),
        ("john@example.com", "new@example.com"),
        ("new@example.com",),
        ("new@example.com",),
        ("john@example.com",),
        (),
    ]


def test_a_fault_strikes_upserts_of_every_version_and_can_wait_for_one_contact(
    hubspot_http: httpx.Client, hubspot: HubspotSimulator
) -> None:
    hubspot.inject("status-503:email=b@*")
    for path in (CONTACTS, OF_2026_09):
        assert upsert(hubspot_http, row("a@example.com"), path=path).status_code == 200
        hubspot_http.event_hooks = {}  # a proxy's answers are not HubSpot's
        assert upsert(hubspot_http, row("a@example.com"), row("b@example.com"), path=path).status_code == 503
    assert list(hubspot.contacts) == ["a@example.com"]
