"""What Mautic's simulator answers, word for word, and what it then holds."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest

from crm_sync_pipeline.simulators.mautic import (
    DEFAULT_CLIENT,
    DEFAULT_PASSWORD,
    DEFAULT_SECRET,
    DEFAULT_USER,
    MauticConfig,
    MauticSimulator,
)
from crm_sync_pipeline.simulators.server import RunningSimulator, running
from crm_sync_pipeline_tests.simulators.conftest import NO_CERTIFICATES, ManualClock

FORM = {"grant_type": "client_credentials", "client_id": DEFAULT_CLIENT, "client_secret": DEFAULT_SECRET}
BASIC = httpx.BasicAuth(DEFAULT_USER, DEFAULT_PASSWORD)
NEW, EDIT = "/api/contacts/batch/new", "/api/contacts/batch/edit"
OfMautic = Callable[[MauticSimulator], httpx.Client]


def token_of(http: httpx.Client) -> str:
    answer = http.post("/oauth/v2/token", data=FORM)
    assert answer.status_code == 200
    return str(answer.json()["access_token"])


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def nobody(server: RunningSimulator) -> httpx.Client:
    """A client without any login."""
    return httpx.Client(base_url=server.base_url, timeout=10, verify=NO_CERTIFICATES)


@pytest.fixture(scope="module")
def mautic_served() -> Iterator[tuple[MauticSimulator, RunningSimulator]]:
    simulator = MauticSimulator()
    with running(simulator.app) as server:
        yield simulator, server


@pytest.fixture
def mautic(mautic_served: tuple[MauticSimulator, RunningSimulator]) -> MauticSimulator:
    simulator, _ = mautic_served
    simulator.heal()
    simulator.reset()
    return simulator


@pytest.fixture
def http(mautic: MauticSimulator, mautic_served: tuple[MauticSimulator, RunningSimulator]) -> Iterator[httpx.Client]:
    """A client of that instance, logged in."""
    _ = mautic
    with nobody(mautic_served[1]) as client:
        client.headers.update(bearer(token_of(client)))
        yield client


@pytest.fixture
def serve_mautic() -> Iterator[OfMautic]:
    """Serve another instance, and give a client that is not logged in."""
    with ExitStack() as stack:

        def start(simulator: MauticSimulator) -> httpx.Client:
            return stack.enter_context(nobody(stack.enter_context(running(simulator.app))))

        yield start


def batch(http: httpx.Client, *rows: Mapping[str, Any], expect: int = 201) -> dict[str, Any]:
    answer = http.post(NEW, json=list(rows))
    assert answer.status_code == expect, answer.text
    found: dict[str, Any] = answer.json()
    return found


# Who may call


def test_a_token_is_given_for_a_client_and_lasts_an_hour(serve_mautic: OfMautic, clock: ManualClock) -> None:
    http = serve_mautic(MauticSimulator(clock=clock))
    answer = http.post("/oauth/v2/token", data=FORM)
    given = answer.json()
    assert (given["expires_in"], given["token_type"], given["scope"]) == (3600, "bearer", "")
    assert set(given) == {"access_token", "expires_in", "token_type", "scope"}, "there is no refresh token"
    assert http.get("/api/contacts", headers=bearer(given["access_token"])).status_code == 200
    clock.advance(3600)
    expired = http.get("/api/contacts", headers=bearer(given["access_token"]))
    assert (expired.status_code, expired.content) == (
        401,
        b'{"errors":[{"message":"The access token provided has expired.","code":401,"type":"invalid_grant"}]}',
    )


@pytest.mark.parametrize("wrong", [{"client_id": "other"}, {"client_secret": "other"}])
def test_a_wrong_client_is_a_400_and_not_a_401(http: httpx.Client, wrong: dict[str, str]) -> None:
    answer = http.post("/oauth/v2/token", data={**FORM, **wrong})
    assert (answer.status_code, answer.content) == (
        400,
        b'{"errors":[{"message":"The client credentials are invalid","code":400,"type":"invalid_client"}]}',
    )


def test_a_token_that_was_revoked_is_invalid(http: httpx.Client, mautic: MauticSimulator) -> None:
    assert mautic.revoke_tokens() == 1
    answer = http.get("/api/contacts")
    assert (answer.status_code, answer.content) == (
        401,
        b'{"errors":[{"message":"The access token provided is invalid.","code":401,"type":"invalid_grant"}]}',
    )
    assert http.get("/api/contacts", headers=bearer(token_of(http))).status_code == 200


def test_tokens_are_revoked_by_the_control_endpoint_too(http: httpx.Client) -> None:
    assert http.delete("/simulator/tokens").json() == {"revoked": 1}
    assert http.get("/api/contacts").status_code == 401


def test_an_api_that_is_off_says_so_to_everybody_and_before_it_looks_at_a_client(
    http: httpx.Client, mautic: MauticSimulator
) -> None:
    mautic.switches.api_enabled = False
    for answer in (http.get("/api/contacts"), http.post("/oauth/v2/token", data={})):
        assert (answer.status_code, answer.json()) == (
            403,
            {
                "errors": [
                    {
                        "message": "API disabled. You need to enable the API in the API settings of Mautic's "
                        "Configuration.",
                        "code": 403,
                        "type": "api_disabled",
                    }
                ]
            },
        )


def test_basic_auth_logs_in_where_it_is_on(http: httpx.Client, mautic: MauticSimulator) -> None:
    assert http.get("/api/contacts", auth=BASIC).status_code == 200
    wrong = http.get("/api/contacts", auth=(DEFAULT_USER, "other"))
    assert (wrong.status_code, wrong.json()["errors"][0]["message"], wrong.json()["errors"][0]["type"]) == (
        401,
        "Authorization denied, invalid credentials.",
        "access_denied",
    )
    mautic.switches.basic_auth_enabled = False
    off = http.get("/api/contacts", auth=BASIC)
    assert (off.status_code, off.json()["errors"][0]["type"]) == (403, "access_denied")
    assert http.get("/api/contacts").status_code == 200, "OAuth2 needs no basic auth"


def test_nobody_is_401(serve_mautic: OfMautic) -> None:
    assert serve_mautic(MauticSimulator()).get("/api/contacts").status_code == 401


def test_switches_are_set_by_the_control_endpoint_and_a_wrong_one_is_refused(http: httpx.Client) -> None:
    set_ = http.post("/simulator/switches", json={"api_enabled": False, "forbidden": ["fields"]})
    assert set_.json() == {"api_enabled": False, "basic_auth_enabled": True, "forbidden": ["fields"]}
    assert http.get("/api/contacts").status_code == 403
    wrongs: list[Any] = [{"unknown": True}, {"forbidden": ["money"]}, {"forbidden": 1}, []]
    for wrong in wrongs:
        assert http.post("/simulator/switches", json=wrong).status_code == 400


def test_a_user_who_may_not_create_contacts_is_refused_as_a_whole_and_one_who_may_not_edit_by_row(
    http: httpx.Client, mautic: MauticSimulator
) -> None:
    batch(http, {"email": "jane@example.com"})
    mautic.switches.forbidden = frozenset({"contacts:create"})
    refused = http.post(NEW, json=[{"email": "joe@example.com"}])
    assert (refused.status_code, refused.content) == (
        403,
        b'{"errors":[{"code":403,"message":"You do not have access to the requested area/action.","details":[]}]}',
    )
    mautic.switches.forbidden = frozenset({"contacts:edit"})
    answer = batch(http, {"email": "jane@example.com"}, {"email": "joe@example.com"})
    assert answer["statusCodes"] == [403, 201]
    assert answer["errors"][0]["code"] == 403


# One contact


def test_a_new_contact_is_201_and_one_who_is_known_by_the_address_200_and_merged(http: httpx.Client) -> None:
    created = http.post("/api/contacts/new", json={"email": "jane@example.com", "firstname": "Jane", "tags": ["a"]})
    assert (created.status_code, created.headers["mautic-version"]) == (201, "5.1.1")
    contact = created.json()["contact"]
    assert contact["fields"]["all"]["email"] == contact["fields"]["core"]["email"]["value"] == "jane@example.com"
    assert (contact["tags"], contact["doNotContact"], contact["fields"]["personal"]) == (
        [{"id": 1, "tag": "a"}],
        [],
        [],
    )
    merged = http.post("/api/contacts/new", json={"email": "jane@example.com,", "lastname": "Doe", "tags": ["b", "-a"]})
    assert merged.status_code == 200, "the address is cleaned before it is looked up"
    again = merged.json()["contact"]
    assert (again["id"], again["fields"]["all"]["firstname"], again["fields"]["all"]["lastname"]) == (
        contact["id"],
        "Jane",
        "Doe",
    )
    assert [tag["tag"] for tag in again["tags"]] == ["b"]


@pytest.mark.parametrize("email", ["foo@", "a%b@example.com", "a&b@example.com", "zo\u00eb@example.com"])
def test_a_wrong_address_is_a_400_that_names_the_field(http: httpx.Client, email: str) -> None:
    answer = http.post("/api/contacts/new", json={"email": email})
    assert answer.status_code == 400
    assert answer.json() == {
        "errors": [
            {"code": 400, "message": f"email: {email} is invalid.", "details": {"email": [f"{email} is invalid."]}}
        ]
    }


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({"firstname": "x" * 191}, 201),
        ({"firstname": "x" * 192}, 400),
        ({"country": "United States"}, 201),
        ({"country": "US"}, 400),
        ({"scrapersky_has_gmail": 1}, 201),
        ({"scrapersky_has_gmail": "perhaps"}, 400),
        ({"website": "https://example.com"}, 201),
        ({"website": "example"}, 400),
        ({"points": "many"}, 400),
    ],
)
def test_values_are_held_against_the_type_of_their_field(http: httpx.Client, row: dict[str, Any], status: int) -> None:
    assert http.post("/api/contacts/new", json={"email": "jane@example.com", **row}).status_code == status


def test_an_unknown_field_is_overlooked_without_a_word(http: httpx.Client, mautic: MauticSimulator) -> None:
    answer = http.post("/api/contacts/new", json={"email": "jane@example.com", "shoe_size": "44"})
    assert answer.status_code == 201
    assert "shoe_size" not in mautic.contacts["jane@example.com"].fields


def test_blanks_are_overlooked_until_somebody_says_that_they_count(http: httpx.Client, mautic: MauticSimulator) -> None:
    batch(http, {"email": "jane@example.com", "firstname": "Jane", "lastname": "Doe", "phone": "1"})
    batch(http, {"email": "jane@example.com", "firstname": "", "lastname": None})
    assert mautic.contacts["jane@example.com"].fields["firstname"] == "Jane"
    batch(http, {"email": "jane@example.com", "firstname": "", "lastname": None, "overwriteWithBlank": True})
    fields = mautic.contacts["jane@example.com"].fields
    assert (fields["firstname"], fields["lastname"], fields["phone"]) == (None, None, "1")


def test_a_zero_is_overlooked_so_that_a_yes_stays_a_yes(http: httpx.Client, mautic: MauticSimulator) -> None:
    batch(http, {"email": "jane@example.com", "scrapersky_has_gmail": 1})
    batch(http, {"email": "jane@example.com", "scrapersky_has_gmail": 0, "overwriteWithBlank": True})
    assert mautic.contacts["jane@example.com"].fields["scrapersky_has_gmail"] == 1
    batch(http, {"email": "jane@example.com", "scrapersky_has_gmail": "", "overwriteWithBlank": True})
    assert mautic.contacts["jane@example.com"].fields["scrapersky_has_gmail"] is None


def test_newer_versions_take_a_zero(serve_mautic: OfMautic) -> None:
    mautic = MauticSimulator(MauticConfig(ignores_zero=False))
    http = serve_mautic(mautic)
    http.auth = BASIC
    batch(http, {"email": "jane@example.com", "scrapersky_has_gmail": 1})
    batch(http, {"email": "jane@example.com", "scrapersky_has_gmail": 0})
    assert mautic.contacts["jane@example.com"].fields["scrapersky_has_gmail"] == 0


def test_upper_case_makes_a_second_contact_where_the_database_compares_bytes(
    http: httpx.Client, mautic: MauticSimulator, serve_mautic: OfMautic
) -> None:
    assert batch(http, {"email": "jane@example.com"}, {"email": "Jane@Example.com"})["statusCodes"] == [201, 201]
    assert len(mautic.instance.contacts) == 2
    other = serve_mautic(MauticSimulator(MauticConfig(case_sensitive=False)))
    other.auth = BASIC
    assert batch(other, {"email": "jane@example.com"}, {"email": "Jane@Example.com"})["statusCodes"] == [201, 200]


def test_what_is_cut_out_of_an_address_before_the_lookup_makes_it_another_ones(
    http: httpx.Client, mautic: MauticSimulator
) -> None:
    batch(http, {"email": "ab@example.com"})
    assert batch(http, {"email": "a/b@example.com"})["statusCodes"] == [200]
    assert [contact.email for contact in mautic.instance.contacts.values()] == ["a/b@example.com"]


def test_a_contact_is_read_listed_found_and_deleted(http: httpx.Client) -> None:
    batch(http, *({"email": f"p{number}@example.com"} for number in range(40)))
    assert http.get("/api/contacts/7").json()["contact"]["fields"]["all"]["email"] == "p6@example.com"
    assert len(http.get("/api/contacts").json()["contacts"]) == 30, "a page is 30 unless it is said"
    found = http.get("/api/contacts", params={"search": "email:p3@example.com", "limit": 5}).json()
    assert (found["total"], list(found["contacts"])) == ("1", ["4"])
    part = http.get("/api/contacts", params={"search": "email:3@example.com"}).json()
    assert part["total"] == "4", "a part of an address is enough"
    where = {"where[0][col]": "email", "where[0][expr]": "in", "where[0][val]": "p1@example.com,p2@example.com"}
    assert list(http.get("/api/contacts", params=where).json()["contacts"]) == ["2", "3"]
    gone = http.delete("/api/contacts/7/delete")
    assert (gone.status_code, gone.json()["contact"]["id"]) == (200, None)
    missing = http.get("/api/contacts/7")
    assert (missing.status_code, missing.content) == (
        404,
        b'{"errors":[{"code":404,"message":"Item was not found.","details":[]}]}',
    )


def test_who_may_not_be_contacted_stays_so_whatever_is_sent(http: httpx.Client, mautic: MauticSimulator) -> None:
    batch(http, {"email": "jane@example.com"})
    added = http.post("/api/contacts/1/dnc/email/add", json={"reason": 1})
    assert added.json()["contact"]["doNotContact"][0] | {"id": 0} == {
        "id": 0,
        "reason": 1,
        "comments": "",
        "channel": "email",
        "channelId": None,
    }
    batch(http, {"email": "jane@example.com", "firstname": "Jane", "overwriteWithBlank": True})
    http.patch(EDIT, json=[{"id": 1, "email": "jane@example.org"}])
    assert mautic.contacts["jane@example.org"].do_not_contact == {"email": 1}
    assert http.post("/api/contacts/1/dnc/email/add", json={"reason": 0}).status_code == 400
    assert http.post("/api/contacts/1/dnc/email/remove").json()["recordFound"] is True
    assert mautic.contacts["jane@example.org"].do_not_contact == {}


def test_a_row_may_set_and_lift_what_forbids_contact(http: httpx.Client, mautic: MauticSimulator) -> None:
    batch(http, {"email": "jane@example.com", "doNotContact": [{"channel": "email", "reason": 3, "comments": ""}]})
    assert mautic.contacts["jane@example.com"].do_not_contact == {"email": 3}
    batch(http, {"email": "jane@example.com", "doNotContact": [{"channel": "email", "reason": 0}]})
    assert mautic.contacts["jane@example.com"].do_not_contact == {}


def test_contacts_that_share_the_value_of_another_unique_field_are_one(
    http: httpx.Client, mautic: MauticSimulator
) -> None:
    fields = mautic.instance.fields
    fields["phone"] = replace(fields["phone"], is_unique=True)
    sent = [{"email": f"p{number}@example.com", "phone": "1"} for number in range(2)]
    assert batch(http, *sent, {"email": "p2@example.com"})["statusCodes"] == [201, 200, 201]
    assert sorted(mautic.contacts) == ["p1@example.com", "p2@example.com"]


# Batches


def test_a_batch_is_201_whatever_became_of_its_rows(http: httpx.Client) -> None:
    answer = batch(http, {"email": "jane@example.com"}, {"email": "jane@example.com"}, {"email": "foo@"})
    assert answer["statusCodes"] == [201, 200, 400]
    assert [contact["id"] for contact in answer["contacts"]] == [1, 1], "the second row was merged into the first"
    assert answer["errors"] == {
        "2": {
            "code": 400,
            "message": "email: foo@ is invalid.",
            "details": {"email": ["foo@ is invalid."]},
            "type": None,
        }
    }
    assert list(batch(http, {"email": "joe@example.com"})) == ["contacts", "statusCodes"], "no errors, no key"


def test_contacts_and_errors_are_lists_only_where_their_keys_begin_at_0_without_a_gap(http: httpx.Client) -> None:
    bad, good = {"email": "foo@"}, {"email": "jane@example.com"}
    first = batch(http, bad, good)
    assert (list(first["contacts"]), isinstance(first["errors"], list)) == (["1"], True)
    middle = batch(http, good, bad, good)
    assert (list(middle["contacts"]), list(middle["errors"])) == (["0", "2"], ["1"])
    none = batch(http, bad, bad)
    assert (none["contacts"], len(none["errors"])) == ([], 2)


def test_more_than_200_rows_are_a_500_and_write_nothing(http: httpx.Client, mautic: MauticSimulator) -> None:
    rows = [{"email": f"p{number}@example.com"} for number in range(201)]
    answer = http.post(NEW, json=rows)
    assert (answer.status_code, answer.content) == (
        500,
        b'{"errors":[{"code":500,"message":"A max of 200 entities are supported at a time.","details":[]}]}',
    )
    assert not mautic.instance.contacts
    assert len(batch(http, *rows[:200])["contacts"]) == 200


def test_a_patch_of_a_batch_is_200_and_nobody_is_404_in_their_row(http: httpx.Client, mautic: MauticSimulator) -> None:
    batch(http, {"email": "jane@example.com", "firstname": "Jane"}, {"email": "joe@example.com"})
    answer = http.patch(EDIT, json=[{"id": 99}, {"id": 1, "email": "jane@example.org"}, {"id": 2, "email": "foo@"}])
    assert (answer.status_code, answer.json()["statusCodes"]) == (200, [404, 200, 400])
    assert answer.json()["errors"]["0"] == {"message": "Item was not found.", "code": 404, "type": "api"}
    assert list(answer.json()["contacts"]) == ["1", "2"], "a row that the form refused is shown as it was"
    assert mautic.contacts["jane@example.org"].fields["firstname"] == "Jane"


def test_a_put_blanks_what_is_not_sent_and_creates_who_is_not_there(
    http: httpx.Client, mautic: MauticSimulator
) -> None:
    batch(http, {"email": "jane@example.com", "firstname": "Jane", "lastname": "Doe"})
    answer = http.put(
        EDIT, json=[{"id": 1, "email": "jane@example.com", "firstname": "J"}, {"email": "joe@example.com"}]
    )
    assert answer.json()["statusCodes"] == [200, 201]
    assert mautic.contacts["jane@example.com"].fields["lastname"] is None
    assert "joe@example.com" in mautic.contacts
    single = http.put("/api/contacts/77/edit", json={"email": "jim@example.com"})
    assert (single.status_code, single.json()["contact"]["id"]) == (201, 3)
    assert http.patch("/api/contacts/77/edit", json={"email": "jim@example.com"}).status_code == 404


def test_an_edit_to_the_address_of_another_contact_merges_them_and_loses_that_they_may_not_be_contacted(
    http: httpx.Client, mautic: MauticSimulator
) -> None:
    batch(http, {"email": "old@example.com", "firstname": "Jane"}, {"email": "new@example.com", "city": "Rome"})
    http.post("/api/contacts/2/dnc/email/add", json={"reason": 1})
    http.patch("/api/contacts/1/edit", json={"email": "new@example.com"})
    (left,) = mautic.instance.contacts.values()
    assert (left.id, left.email, left.fields["firstname"], left.fields["city"]) == (
        1,
        "new@example.com",
        "Jane",
        "Rome",
    )
    assert left.do_not_contact == {}


@pytest.mark.parametrize(
    ("content", "status"), [(b"[{", 400), (b'{"email":"a@example.com"}', 500), (b"[1]", 500), (b"[]", 201)]
)
def test_a_body_that_is_no_batch_is_refused(http: httpx.Client, content: bytes, status: int) -> None:
    answer = http.post(NEW, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status


def test_a_form_does_as_well_as_json(http: httpx.Client, mautic: MauticSimulator) -> None:
    http.post("/api/contacts/new", data={"email": "jane@example.com", "tags[]": ["a", "b"]})
    assert mautic.contacts["jane@example.com"].tags == ("a", "b")


# Fields and segments


def test_fields_are_listed_in_pages_and_made(http: httpx.Client) -> None:
    first = http.get("/api/fields/contact").json()
    assert (first["total"], len(first["fields"])) == (32, 30)
    assert len(http.get("/api/fields/contact", params={"start": 30}).json()["fields"]) == 2
    made = http.post("/api/fields/contact/new", json={"label": "Shoe size", "alias": "shoe_size", "type": "text"})
    assert (made.status_code, made.json()["field"]["alias"], made.json()["field"]["isPublished"]) == (
        201,
        "shoe_size",
        True,
    )
    assert http.post("/api/fields/contact/new", json={"label": "Shoe size"}).json()["field"]["alias"] == "shoe_size1"
    bad = http.post("/api/fields/contact/new", json={"label": "Yes?", "type": "boolean"})
    assert (bad.status_code, bad.json()["errors"][0]["message"]) == (400, "A 'positive' label is required.")
    labels = {"yes": "Yes", "no": "No"}
    good = http.post("/api/fields/contact/new", json={"label": "Yes?", "type": "boolean", "properties": labels})
    assert good.status_code == 201


def test_a_field_that_waits_for_the_cron_job_is_202_and_overlooked_until_then(serve_mautic: OfMautic) -> None:
    mautic = MauticSimulator(MauticConfig(fields_in_background=True))
    http = serve_mautic(mautic)
    http.auth = BASIC
    made = http.post("/api/fields/contact/new", json={"label": "Size", "alias": "size"})
    assert (made.status_code, made.json()["field"]["isPublished"]) == (202, False)
    batch(http, {"email": "jane@example.com", "size": "44"})
    assert "size" not in mautic.contacts["jane@example.com"].fields
    assert mautic.publish_fields() == 1
    batch(http, {"email": "jane@example.com", "size": "44"})
    assert mautic.contacts["jane@example.com"].fields["size"] == "44"


def test_contacts_join_a_segment_and_each_is_told_apart(http: httpx.Client, mautic: MauticSimulator) -> None:
    batch(http, {"email": "jane@example.com"}, {"email": "joe@example.com"})
    assert http.get("/api/segments/1").json()["list"]["name"] == "Contacts"
    joined = http.post("/api/segments/1/contacts/add", json={"ids": [1, 99]})
    assert joined.json() == {"success": 1, "details": {"1": {"success": True}, "99": {"success": False}}}
    assert http.post("/api/segments/1/contact/2/add").json() == {"success": 1}
    assert all(contact.segments == {1} for contact in mautic.instance.contacts.values())
    assert http.post("/api/segments/9/contacts/add", json={"ids": [1]}).status_code == 404
    assert http.get("/api/segments/9").status_code == 404
    assert http.post("/api/segments/1/contacts/add", json={}).status_code == 400


def test_a_segment_that_is_not_published_takes_nobody(http: httpx.Client, mautic: MauticSimulator) -> None:
    mautic.instance.add_segment(2, "Drafts", is_published=False)
    assert http.get("/api/segments/2").json()["list"]["isPublished"] is False
    assert http.post("/api/segments/2/contacts/add", json={"ids": []}).status_code == 403


# Limits, faults and the log


def test_the_hourly_limit_refuses_in_its_own_words_until_the_hour_is_over(
    serve_mautic: OfMautic, clock: ManualClock
) -> None:
    http = serve_mautic(MauticSimulator(MauticConfig(calls_per_hour=2), clock=clock))
    http.auth = BASIC
    first = http.get("/api/contacts")
    assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == ("2", "1")
    assert int(first.headers["x-ratelimit-reset"]) > 1_700_000_000, "a moment, not a wait"
    http.get("/api/contacts")
    refused = http.get("/api/contacts")
    assert (refused.status_code, refused.content) == (
        429,
        b'{ "errors": [ { "code": 429, "message": "You exceeded the rate limit of 2 API calls per hour.", '
        b'"details": [] } ]}',
    )
    clock.advance(3600)
    assert http.get("/api/contacts").status_code == 200


def test_a_batch_is_slow_where_latency_says_so_and_its_contacts_are_all_in_the_log(
    http: httpx.Client, mautic: MauticSimulator
) -> None:
    mautic.inject("latency=200:email=joe@*")
    answer = http.post(NEW, json=[{"email": "Jane@example.com"}, {"email": "joe@example.com"}])
    assert answer.elapsed.total_seconds() >= 0.2
    http.patch(EDIT, json=[{"id": 2, "city": "Rome"}])
    http.post("/api/segments/1/contacts/add", json={"ids": [1, 2]})
    http.get("/api/contacts", params={"search": "email:joe@example.com"})
    http.get("/api/contacts/1")
    assert [request.emails for request in mautic.requests if request.path != "/oauth/v2/token"] == [
        ("jane@example.com", "joe@example.com"),
        ("joe@example.com",),
        ("jane@example.com", "joe@example.com"),
        ("joe@example.com",),
        ("jane@example.com",),
    ]
    assert [request.wrote for request in mautic.requests][1:] == [True, True, True, False, False]


@pytest.mark.parametrize("path", ["/api/contacts/batch/new", "/api/contacts/1/edit", "/oauth/v2/token"])
def test_a_method_that_a_path_does_not_know_is_405(http: httpx.Client, path: str) -> None:
    assert http.delete(path).status_code == 405


def test_what_is_not_served_says_whose_gap_it_is(http: httpx.Client) -> None:
    answer = http.get("/api/campaigns")
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (
        404,
        "The simulator does not serve GET /api/campaigns",
    )


def test_a_reset_forgets_contacts_tokens_and_switches(http: httpx.Client, mautic: MauticSimulator) -> None:
    batch(http, {"email": "jane@example.com"})
    mautic.switches.forbidden = frozenset({"fields"})
    assert http.post("/simulator/reset").status_code == 204
    assert mautic.counts() == {"contacts": 0, "fields": 32, "segments": 1, "tokens": 0}
    assert mautic.switches.forbidden == frozenset()


def test_a_configuration_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="1 call per hour or more"):
        MauticConfig(calls_per_hour=0)
    with pytest.raises(ValueError, match="money"):
        MauticConfig(forbidden=frozenset({"money"}))
    with pytest.raises(ValueError, match="whole number of calls per hour"):
        MauticConfig.parse("fast")
    assert MauticConfig.parse("1000").calls_per_hour == 1000
    assert MauticConfig.parse("unlimited").calls_per_hour is None
