"""Answers word for word, and what HubSpot does with one contact and with properties, over plain HTTP."""

import re
from typing import Any

import httpx
import pytest

from crm_sync_pipeline.simulators.hubspot import PLANS, HubspotConfig, HubspotSimulator, Property
from crm_sync_pipeline_tests.simulators.conftest import ServeHubspot

CONTACTS = "/crm/v3/objects/contacts"
UNLIMITED = PLANS["unlimited"]
A_CORRELATION_ID = re.compile(rb'"correlationId":"[0-9a-f-]{36}"')


def create(http: httpx.Client, **properties: Any) -> httpx.Response:
    return http.post(CONTACTS, json={"properties": properties})


def said(answer: httpx.Response) -> tuple[int, bytes]:
    """Status and body, with the request's id cut out."""
    assert A_CORRELATION_ID.search(answer.content)
    return answer.status_code, A_CORRELATION_ID.sub(b'"correlationId":"?"', answer.content)


@pytest.mark.parametrize(
    ("properties", "status", "body"),
    [
        (
            {"email": "JANE@example.com"},
            409,
            b'{"status":"error","message":"Contact already exists. Existing ID: 101","correlationId":"?",'
            b'"context":{"existingId":["101"]},"category":"CONFLICT"}',
        ),
        (
            {"email": "example.lcom"},
            400,
            rb'{"status":"error","message":"Property values were not valid: [{\"isValid\":false,\"message\":'
            rb'\"Email address example.lcom is invalid\",\"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]",'
            rb'"correlationId":"?","category":"VALIDATION_ERROR"}',
        ),
        (
            {"email": "no@", "x": "1"},
            400,
            rb'{"status":"error","message":"Property values were not valid: [{\"isValid\":false,\"message\":'
            rb"\"Email address no@ is invalid\",\"error\":\"INVALID_EMAIL\",\"name\":\"email\"},{\"isValid\":false,"
            rb'\"message\":\"Property \\\"x\\\" does not exist\",\"error\":\"PROPERTY_DOESNT_EXIST\",\"name\":\"x\"}]",'
            rb'"correlationId":"?","errors":[{"message":"Property \"x\" does not exist","code":'
            rb'"PROPERTY_DOESNT_EXIST","context":{"propertyName":["x"]}}],"category":"VALIDATION_ERROR"}',
        ),
        (
            {"phone": "1"},
            400,
            b'{"status":"error","message":"Some required properties for CONTACT creates are missing: [One of '
            b'[firstname, email, lastname]]","correlationId":"?","category":"VALIDATION_ERROR"}',
        ),
        (
            {"firstname": ["Jane"]},
            400,
            b'{"status":"error","message":"Invalid input JSON on line 1, column 15: Cannot deserialize value of type '
            b'`java.lang.String` from Array value (token `JsonToken.START_ARRAY`)","correlationId":"?",'
            b'"category":"VALIDATION_ERROR"}',
        ),
    ],
)
def test_a_create_that_is_refused_is_answered_word_for_word(
    hubspot_http: httpx.Client, hubspot: HubspotSimulator, properties: Any, status: int, body: bytes
) -> None:
    assert create(hubspot_http, email="jane@example.com").status_code == 201
    assert said(create(hubspot_http, **properties)) == (status, body)
    assert list(hubspot.contacts) == ["jane@example.com"]


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        (
            "GET",
            f"{CONTACTS}/nobody%40example.com?idProperty=email",
            404,
            b'{"status":"error","message":"resource not found","correlationId":"?","category":"OBJECT_NOT_FOUND"}',
        ),
        (
            "PUT",
            f"{CONTACTS}/101",
            405,
            b'{"status":"error","message":"HTTP 405 Method Not Allowed","correlationId":"?",'
            b'"category":"METHOD_NOT_ALLOWED"}',
        ),
        (
            "GET",
            f"{CONTACTS}/101?idProperty=phone",
            400,
            b'{"status":"error","message":"Unable to perform update/upsert by non-unique 0-1 property",'
            b'"correlationId":"?","category":"VALIDATION_ERROR"}',
        ),
    ],
)
def test_what_is_not_there_is_answered_word_for_word(
    serve_hubspot: ServeHubspot, method: str, path: str, status: int, body: bytes
) -> None:
    http = serve_hubspot(HubspotSimulator())
    http.event_hooks = {}  # these are no operations of the document
    assert said(http.request(method, path)) == (status, body)


@pytest.mark.parametrize("token", [None, "Bearer", "Bearer pat-na1-other", "Basic pat-na1-simulator"])
def test_a_token_that_is_missing_or_wrong_is_401(serve_hubspot: ServeHubspot, token: str | None) -> None:
    http = serve_hubspot(HubspotSimulator())
    http.headers.pop("authorization")
    answer = http.get("/account-info/v3/details", headers={} if token is None else {"authorization": token})
    assert answer.status_code == 401
    assert answer.json()["message"].startswith("Authentication credentials not found.")
    assert answer.json()["category"] == "INVALID_AUTHENTICATION"


def test_a_token_without_a_scope_is_403_and_names_the_scope(serve_hubspot: ServeHubspot) -> None:
    simulator = HubspotSimulator(HubspotConfig(scopes=frozenset({"crm.objects.contacts.read"})))
    http = serve_hubspot(simulator)
    assert http.get("/crm/v3/properties/contacts").status_code == 200
    refused = create(http, email="jane@example.com")
    assert (refused.status_code, refused.json()["category"]) == (403, "MISSING_SCOPES")
    assert refused.json()["errors"] == [
        {
            "message": "One or more of the following scopes are required.",
            "context": {"requiredGranularScopes": ["crm.objects.contacts.write"]},
        }
    ]
    assert http.post("/crm/v3/properties/contacts", json={}).status_code == 403
    assert not simulator.contacts


def test_a_contact_is_text_with_a_number_for_an_id_and_its_address_in_lower_case(hubspot_http: httpx.Client) -> None:
    made = create(hubspot_http, email="Jane.Doe@Example.COM", firstname="Jane", zip="1234").json()
    assert made["id"] == "101" == made["properties"]["hs_object_id"]
    assert made["properties"]["email"] == "jane.doe@example.com"
    assert made["properties"]["zip"] == "1234"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["createdAt"])
    for path in ("101", "JANE.DOE%40example.com?idProperty=email"):
        read = hubspot_http.get(f"{CONTACTS}/{path}")
        assert read.json()["properties"]["firstname"] == "Jane"
    named = hubspot_http.get(f"{CONTACTS}/101?properties=phone,zip&properties=email").json()["properties"]
    assert {name for name, value in named.items() if value is None} == {"phone"}
    assert named.keys() == {"phone", "zip", "email", "createdate", "lastmodifieddate", "hs_object_id"}


def test_an_update_leaves_what_it_does_not_name_and_an_empty_text_empties(hubspot_http: httpx.Client) -> None:
    create(hubspot_http, email="a+b@example.com", firstname="Jane", lastname="Doe")
    path = f"{CONTACTS}/a%2Bb%40example.com?idProperty=email"
    changed = hubspot_http.patch(path, json={"properties": {"firstname": "", "phone": "1"}})
    assert changed.status_code == 200
    read = hubspot_http.get(f"{path}&properties=firstname,lastname,phone").json()["properties"]
    assert (read["firstname"], read["lastname"], read["phone"]) == (None, "Doe", "1")


def test_an_address_that_is_in_use_is_a_conflict_for_an_update_too(hubspot_http: httpx.Client) -> None:
    create(hubspot_http, email="jane@example.com")
    create(hubspot_http, email="john@example.com", hs_additional_emails="johnny@example.com")
    for taken in ("john@example.com", "johnny@example.com"):
        answer = hubspot_http.patch(f"{CONTACTS}/101", json={"properties": {"email": taken}})
        assert (answer.status_code, answer.json()["category"]) == (409, "CONFLICT")
    moved = hubspot_http.patch(f"{CONTACTS}/101", json={"properties": {"email": "JANE@example.org"}})
    assert moved.json()["properties"]["email"] == "jane@example.org"
    assert create(hubspot_http, email="jane@example.com").status_code == 201  # the old one is free


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("hs_object_id", "7", "READ_ONLY_VALUE"),
        ("hs_email_optout", "false", "READ_ONLY_VALUE"),
        ("lifecyclestage", "Lead", "INVALID_OPTION"),
        ("colours", "red;green", "INVALID_OPTION"),
        ("age", "1,000", "INVALID_INTEGER"),
        ("born", "1990-13-01", "INVALID_DATE"),
        ("vip", "yes", "INVALID_OPTION"),
        ("code", "abc", "FAILED_REGEX"),
        ("city", "x" * 65_537, "VALUE_TOO_LONG"),
    ],
)
def test_a_value_that_its_property_does_not_allow_is_refused(
    serve_hubspot: ServeHubspot, name: str, value: str, code: str
) -> None:
    http = serve_hubspot(
        HubspotSimulator(
            HubspotConfig(
                properties=(
                    Property("colours", "enumeration", "checkbox", options=("red", "blue")),
                    Property("age", "number", "number"),
                    Property("born", "date", "date"),
                    Property("vip", "bool", "booleancheckbox"),
                    Property("code", rule=("REGEX", "[0-9]+")),
                )
            )
        )
    )
    answer = create(http, email="jane@example.com", **{name: value})
    assert answer.status_code == 400
    assert f'"error":"{code}","name":"{name}"' in answer.json()["message"]
    right = {"colours": "red;blue", "age": "7.5", "born": "1990-12-01", "vip": "true", "code": "7"}
    assert create(http, email="jane@example.com", **right).status_code == 201


def test_a_lifecycle_stage_only_moves_forward_unless_it_is_cleared(
    hubspot_http: httpx.Client, hubspot: HubspotSimulator
) -> None:
    create(hubspot_http, email="jane@example.com", lifecyclestage="customer")
    for sent, stands in (("lead", "customer"), ("", None), ("lead", "lead")):
        hubspot_http.patch(f"{CONTACTS}/101", json={"properties": {"lifecyclestage": sent}})
        assert hubspot.contacts["jane@example.com"].properties.get("lifecyclestage") == stands


def test_an_archived_contact_frees_its_address_and_an_erased_one_blocks_it(
    hubspot_http: httpx.Client, hubspot: HubspotSimulator
) -> None:
    create(hubspot_http, email="jane@example.com")
    assert hubspot_http.delete(f"{CONTACTS}/101").status_code == 204
    assert hubspot_http.get(f"{CONTACTS}/101").status_code == 404
    assert create(hubspot_http, email="jane@example.com").json()["id"] == "102"
    assert hubspot.counts() == {"contacts": 1, "archived": 1, "properties": len(hubspot.account.properties)}
    for address in ("jane@example.com", "nobody@example.com"):
        body = {"objectId": address, "idProperty": "email"}
        assert hubspot_http.post(f"{CONTACTS}/gdpr-delete", json=body).status_code == 204
        assert create(hubspot_http, email=address).status_code == 400
    assert not hubspot.contacts


def test_properties_are_listed_read_and_made(serve_hubspot: ServeHubspot) -> None:
    http = serve_hubspot(HubspotSimulator(HubspotConfig(properties=())))
    listed = {each["name"]: each for each in http.get("/crm/v3/properties/contacts").json()["results"]}
    assert listed["hs_object_id"]["modificationMetadata"]["readOnlyValue"] is True
    assert "scrapersky_page_id" not in listed
    made = {"name": "scrapersky_page_id", "label": "Page", "type": "string", "fieldType": "text"}
    assert http.post("/crm/v3/properties/contacts", json=made).status_code == 400
    made["groupName"] = "contactinformation"
    assert http.post("/crm/v3/properties/contacts", json=made).status_code == 201
    assert http.post("/crm/v3/properties/contacts", json=made).status_code == 409
    assert http.post("/crm/v3/properties/contacts", json={**made, "name": "n", "type": "date"}).status_code == 400
    for path in ("/crm/v3/properties/0-1", "/crm/properties/2026-03/contacts"):
        assert http.get(f"{path}/scrapersky_page_id").json()["label"] == "Page"
    assert http.get("/crm/v3/properties/contacts/other").status_code == 404
    assert create(http, email="jane@example.com", scrapersky_page_id="7").status_code == 201


def test_the_rules_of_properties_can_be_read(serve_hubspot: ServeHubspot) -> None:
    rules = Property("code", rule=("MAX_LENGTH", "3"))
    http = serve_hubspot(HubspotSimulator(HubspotConfig(properties=(rules,))))
    for path in ("/crm/v3/property-validations/0-1", "/crm/property-validations/2026-09/0-1"):
        assert http.get(path).json()["results"] == [
            {
                "propertyName": "code",
                "propertyValidationRules": [{"ruleType": "MAX_LENGTH", "ruleArguments": ["3"]}],
            }
        ]


def test_the_account_tells_its_time_zone(serve_hubspot: ServeHubspot) -> None:
    http = serve_hubspot(HubspotSimulator(HubspotConfig(time_zone="Asia/Kolkata", portal_id=7)))
    for path in ("/account-info/v3/details", "/account-info/2026-03/details"):
        details = http.get(path).json()
        assert (details["portalId"], details["timeZone"], details["utcOffset"]) == (7, "Asia/Kolkata", "+05:30")


def test_a_switch_that_has_no_such_position_is_refused() -> None:
    with pytest.raises(ValueError, match="secondary_address is one of primary, conflict, not 'merge'"):
        HubspotConfig(secondary_address="merge")
    with pytest.raises(ValueError, match="partial_2026_09"):
        HubspotConfig(partial_2026_09="418")
    with pytest.raises(KeyError):
        HubspotConfig(time_zone="Mars/Olympus")
