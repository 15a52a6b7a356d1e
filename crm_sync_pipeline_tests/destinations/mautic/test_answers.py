"""What each answer of Mautic's means for each contact of its request."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.destinations.contract import Answer, Record, Split
from crm_sync_pipeline.destinations.mautic.answers import by_index
from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.simulators.mautic import MauticConfig, MauticSimulator
from crm_sync_pipeline.simulators.mautic.answers import as_php
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.destinations.mautic.conftest import deliver, person

MAUTIC = Mautic(base_url="http://mautic.example", username="u", password="p")
PEOPLE = [person(number) for number in range(3)]


def records() -> list[Record]:
    prepared = [MAUTIC.prepare(each) for each in PEOPLE]
    return [each for each in prepared if isinstance(each, Record)]


def shown(number: int, email: str | None = None) -> dict[str, Any]:
    return {"id": 100 + number, "fields": {"all": {"email": email or f"p{number}@example.com"}}}


BAD = {"code": 400, "message": "email: x is invalid.", "details": {"email": ["x is invalid."]}, "type": None}


def body(contacts: Any, statuses: Any, errors: Any = None) -> bytes:
    found = {"contacts": contacts, "statusCodes": statuses}
    return json.dumps(found if errors is None else {**found, "errors": errors}).encode()


def read(answer: bytes, status: int = 201) -> list[Outcome]:
    reading = MAUTIC.reading(records(), Answer(status, {}, answer))
    assert isinstance(reading, Mapping)
    return [reading[each.id] for each in PEOPLE]


def kinds(outcomes: list[Outcome]) -> list[type]:
    return [type(each) for each in outcomes]


# Lists and objects


@pytest.mark.parametrize("bad", [{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}, set()])
def test_each_contact_gets_its_own_result_whichever_rows_were_bad(bad: set[int]) -> None:
    contacts = as_php({n: shown(n) for n in range(3) if n not in bad})
    errors = as_php(dict.fromkeys(sorted(bad), BAD)) if bad else None
    outcomes = read(body(contacts, [400 if n in bad else 201 for n in range(3)], errors))
    assert kinds(outcomes) == [Rejected if n in bad else Synced for n in range(3)]
    assert [each.remote_id for each in outcomes if isinstance(each, Synced)] == [
        str(100 + n) for n in range(3) if n not in bad
    ]


def test_objects_do_as_well_as_lists_everywhere() -> None:
    as_object = {str(n): shown(n) for n in range(3)}
    assert kinds(read(body(as_object, {"0": 201, "1": 200, "2": 201}))) == [Synced] * 3
    shuffled = dict(reversed(as_object.items()))
    assert [each.remote_id for each in read(body(shuffled, [201] * 3)) if isinstance(each, Synced)] == [
        "100",
        "101",
        "102",
    ]


@pytest.mark.parametrize("value", [None, 1, "x", True])
def test_what_is_not_an_array_of_php_is_none(value: object) -> None:
    assert by_index(value) is None
    assert by_index({"a": 1, "-1": 2, "²": 3, "7": 4, "9" * 30: 5}) == {7: 4}


# Nobody is synced by silence, or by somebody else's result


def test_a_row_without_a_status_has_not_been_delivered() -> None:
    outcomes = read(body([shown(0), shown(1), shown(2)], [201, 201]))
    assert [(type(each), each.reason) for each in outcomes[2:]] == [(Failed, "unanswered")]


@pytest.mark.parametrize(
    "contact",
    [
        {**shown(1), "id": 555},
        {**shown(0), "id": None},
        {**shown(0), "id": "100"},
        {**shown(0), "id": True},
        {**shown(0), "id": 0},
        {"id": 100},
        {"id": 100, "fields": []},
        {"id": 100, "fields": {"all": []}},
        None,
        [],
        7,
    ],
)
def test_a_success_without_the_contact_or_with_another_address_is_none(contact: Any) -> None:
    outcomes = read(body([contact, shown(1), shown(2)], [201] * 3))
    assert [(type(each), each.reason) for each in outcomes[:1]] == [(Failed, "unexpected_answer")]
    assert kinds(outcomes[1:]) == [Synced, Synced]


def test_two_rows_that_have_become_one_contact_are_our_set_ups_fault_and_nobodys() -> None:
    outcomes = read(body([shown(0), {**shown(1), "id": 100}, shown(2)], [201, 200, 201]))
    assert [(type(each), each.reason) for each in outcomes[:2]] == [(DestinationDown, "contacts_merged")] * 2
    assert isinstance(outcomes[2], Synced)


def test_an_address_is_compared_in_lower_case_and_found_in_the_groups_too() -> None:
    upper = shown(0, "P0@EXAMPLE.com")
    grouped = {"id": 101, "fields": {"core": {"email": {"value": "p1@example.com"}}}}
    assert kinds(read(body([upper, grouped, shown(2)], [201] * 3))) == [Synced] * 3


def test_a_status_that_contradicts_the_errors_is_no_success() -> None:
    outcomes = read(body([shown(0), shown(1), shown(2)], [201] * 3, [BAD]))
    assert kinds(outcomes) == [Failed, Synced, Synced]


@pytest.mark.parametrize("status", [200, 202, 204, 206])
def test_a_2xx_that_is_not_documented_for_a_batch_of_new_contacts_is_no_success(status: int) -> None:
    outcomes = read(body([shown(0), shown(1), shown(2)], [201] * 3), status)
    assert {(type(each), each.reason) for each in outcomes} == {(Failed, "unexpected_answer")}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["contacts", "statusCodes", "errors", "0", "1", "id", "x"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_however_odd_is_a_success(data: Any) -> None:
    assert Synced not in kinds(read(json.dumps(data).encode()))


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"null", b"[]"])
def test_what_is_not_json_is_no_success(content: bytes) -> None:
    assert {(type(each), each.reason) for each in read(content)} == {(Failed, "unexpected_answer")}


# Rows that were refused


@pytest.mark.parametrize(
    ("status", "error", "kind", "reason"),
    [
        (400, BAD, Rejected, "invalid_email"),
        (422, BAD, Rejected, "invalid_email"),
        (400, {"code": 400, "message": "m", "details": {"firstname": ["Too long."]}}, Rejected, "invalid_value"),
        (400, {"code": 400, "message": "No", "details": []}, Rejected, "http_400"),
        (400, None, Failed, "http_400"),
        (403, {"message": "No access", "code": 403, "type": "api"}, DestinationDown, "http_403"),
        (404, {"message": "Item was not found.", "code": 404, "type": "api"}, Failed, "http_404"),
        (409, {"code": 409, "message": "locked", "details": []}, Failed, "http_409"),
        (500, {"code": 500, "message": "oops", "details": []}, Failed, "http_500"),
        ("400", BAD, Failed, "unexpected_answer"),
        (None, None, Failed, "unexpected_answer"),
        (201, BAD, Failed, "unexpected_answer"),
    ],
)
def test_a_row_that_was_refused_is_read_by_its_own_status(
    status: Any, error: Any, kind: type[Outcome], reason: str
) -> None:
    outcomes = read(body({"1": shown(1), "2": shown(2)}, [status, 201, 201], [error] if error else None))
    assert (type(outcomes[0]), outcomes[0].reason) == (kind, reason)
    assert kinds(outcomes[1:]) == [Synced, Synced]


@pytest.mark.parametrize(
    ("details", "may_be_ours"),
    [
        ({"email": ["x is invalid."]}, False),
        ({"phone": ["Too long."], "lastname": ["Too long."]}, False),
        ({"scrapersky_email_type": ["The selected choice is invalid."]}, True),
        ([], True),
    ],
)
def test_a_refusal_of_a_field_of_ours_may_be_the_fields_fault_and_not_the_contacts(
    details: Any, may_be_ours: bool
) -> None:
    error = {"code": 400, "message": "m", "details": details}
    (refused, *_) = read(body({"1": shown(1), "2": shown(2)}, [400, 201, 201], [error]))
    assert isinstance(refused, Rejected)
    assert refused.may_be_ours is may_be_ours


def test_no_value_that_was_sent_shows_in_a_refusal() -> None:
    error = {
        "code": 400,
        "message": "x",
        "details": {"email": ["p0@example.com is invalid."], "firstname": ["Ann is not a name, ANN."]},
    }
    (refused, *_) = read(body({"1": shown(1), "2": shown(2)}, [400, 201, 201], [error]))
    assert isinstance(refused, Rejected)
    assert refused.message == "Mautic API error (400): email: … is invalid.; firstname: … is not a name, …."


def test_a_bad_row_fails_alone_over_http(mautic: Mautic, instance: MauticSimulator) -> None:
    good, bad, other = deliver(mautic, [person(1), person(2, email="bad@localhost-"), person(3)])
    assert kinds([each.outcome for each in (good, bad, other)]) == [Synced, Rejected, Synced]
    assert "bad@" not in bad.outcome.message
    assert sorted(instance.contacts) == ["p1@example.com", "p3@example.com"]


# A request that was refused as a whole


def test_too_many_rows_are_our_set_ups_fault_and_never_tried_again_as_an_outage() -> None:
    refused = b'{"errors":[{"code":500,"message":"A max of 200 entities are supported at a time.","details":[]}]}'
    for status in (500, 400):
        outcomes = read(refused, status)
        assert {(type(each), each.reason) for each in outcomes} == {(DestinationDown, "batch_too_large")}
        assert all("MAUTIC_BATCH_SIZE to 200 or less" in each.message for each in outcomes)


def test_any_other_500_is_mautics_outage() -> None:
    assert {(type(each), each.reason) for each in read(b"", 500)} == {(Failed, "http_500")}


def test_a_refusal_of_a_whole_batch_is_halved_and_a_single_one_is_to_blame() -> None:
    refused = Answer(400, {}, json.dumps({"errors": [BAD]}).encode())
    assert isinstance(MAUTIC.reading(records(), refused), Split)
    (single, *_) = records()
    reading = MAUTIC.reading([single], refused)
    assert isinstance(reading, Mapping)
    assert reading[single.contact.id].reason == "invalid_email"


def test_a_400_that_is_not_mautics_blames_nobody() -> None:
    outcomes = read(b"<html>Blocked by the firewall</html>", 400)
    assert {(type(each), each.reason) for each in outcomes} == {(Failed, "unexpected_refusal")}


@pytest.mark.parametrize(
    "said", [{"errors": [{"message": "No", "code": 400}]}, {"error": {"message": "No", "code": 400}}]
)
def test_the_old_form_of_an_error_is_read_as_the_new_one(said: Any) -> None:
    assert MAUTIC.vendor_message(Answer(400, {}, json.dumps(said).encode())) == "No"


def test_a_user_without_rights_is_told_which_it_needs(mautic: Mautic, instance: MauticSimulator) -> None:
    instance.switches.forbidden = frozenset({"contacts:create"})
    (attempt,) = deliver(mautic, [person(1)])
    assert isinstance(attempt.outcome, DestinationDown)
    assert "view, create and edit contacts" in attempt.outcome.message


# The hourly limit


def limited(seconds: float, **headers: str) -> Answer:
    date = "Wed, 25 Nov 2026 12:00:00 GMT"
    reset = str(int(1795608000 + seconds))
    return Answer(429, {"date": date, "x-ratelimit-reset": reset, "x-ratelimit-remaining": "0", **headers}, b"")


def test_a_short_wait_is_a_pause_by_the_servers_own_clock() -> None:
    outcome = MAUTIC.read(limited(30))
    assert type(outcome) is Deferred
    assert MAUTIC.pause_after(limited(30)) == 30


def test_an_hour_that_is_used_up_opens_the_breaker_until_it_is_over() -> None:
    outcome = MAUTIC.read(limited(1800))
    assert isinstance(outcome, DestinationDown)
    assert (outcome.reason, outcome.wait.total_seconds(), outcome.answer) == ("hourly_limit", 1800, "")
    assert "30 minutes" in outcome.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, 1.0), ({"x-ratelimit-reset": "soon"}, 1.0), ({"x-ratelimit-reset": "-1"}, 1.0), ({"retry-after": "7"}, 7.0)],
)
def test_a_429_without_a_moment_that_makes_sense_is_waited_for_shortly(headers: dict[str, str], seconds: float) -> None:
    answer = Answer(429, headers, b"")
    assert type(MAUTIC.read(answer)) is Deferred
    assert MAUTIC.pause_after(answer) == seconds


def test_the_simulators_hour_is_waited_for_and_costs_no_contact(mautic: Mautic) -> None:
    simulator = MauticSimulator(MauticConfig(calls_per_hour=1))
    with running(simulator.app) as server:
        here = mautic.model_copy(update={"base_url": server.base_url})
        first, second = deliver(here, [person(1)])[0], deliver(here, [person(2)])[0]
    assert isinstance(first.outcome, Synced)
    assert isinstance(second.outcome, DestinationDown)
    assert 3500 < second.outcome.wait.total_seconds() <= 3600
