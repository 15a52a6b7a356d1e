"""What HubSpot's answers mean for each row, in each shape that was seen, and in some that were not."""

import asyncio
import json
from datetime import datetime, timedelta, timezone
from itertools import product
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from starlette.types import Receive, Scope, Send

from crm_sync_pipeline.destinations.contract import Answer, Record, Split
from crm_sync_pipeline.destinations.hubspot.changes import Taken, Unmatched
from crm_sync_pipeline.destinations.hubspot.destination import Hubspot
from crm_sync_pipeline.destinations.hubspot.limits import until_midnight
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import Delivered
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.simulators.server import running

HUBSPOT = Hubspot(api_key="pat-na1-x")
ANN, BOB, CYD = (
    Contact(UUID(int=number), f"{name}@example.com") for number, name in enumerate(("ann", "bob", "cyd"), 1)
)
INVALID = (
    'Property values were not valid: [{"isValid":false,"message":"Email address x is invalid",'
    '"error":"INVALID_EMAIL","name":"email"}]'
)


def record(contact: Contact, before: Delivered | None = None) -> Record:
    prepared = HUBSPOT.prepare(contact, before) if before else HUBSPOT.prepare(contact)
    assert isinstance(prepared, Record)
    return prepared


def result(contact_id: object, email: object, **more: Any) -> dict[str, Any]:
    return {"id": contact_id, "properties": {"email": email}, "new": True, **more}


def error(context: object = None, category: str = "VALIDATION_ERROR", message: str = INVALID) -> dict[str, Any]:
    made: dict[str, Any] = {"status": "error", "category": category, "message": message}
    return made if context is None else {**made, "context": context}


def read(*contacts: Contact, status: int = 207, **body: Any) -> dict[str, Outcome]:
    """The outcomes by the names of the contacts."""
    answer = Answer(status, {}, json.dumps({"status": "COMPLETE", "results": [], **body}).encode())
    reading = HUBSPOT.reading([record(each) for each in contacts], answer)
    assert not isinstance(reading, Split)
    return {each.email.partition("@")[0]: reading[each.id] for each in contacts}


def trace(contact: Contact) -> str:
    return str(contact.id)


@pytest.mark.parametrize(
    "context",
    [
        {"objectWriteTraceId": [trace(BOB)]},
        {"objectWriteTraceId": trace(BOB)},
        {"objectWriteTraceIds": [trace(BOB)]},
        {"ids": ["BOB@example.com"]},
        {"id": ["bob@example.com"]},
        {"ids": ["else@example.com"], "objectWriteTraceId": [trace(BOB)]},
    ],
)
def test_an_error_is_the_row_s_that_its_context_names(context: Any) -> None:
    said = read(ANN, BOB, results=[result("7", "ANN@example.com")], errors=[error(context)])
    assert said["ann"] == Synced("7", "created")
    assert said["bob"] == Rejected("invalid_email", "HubSpot API error (400): Email address x is invalid")


def test_an_error_may_be_that_of_several_rows() -> None:
    context = {"objectWriteTraceId": [trace(BOB), trace(CYD)]}
    said = read(ANN, BOB, CYD, results=[result(7, "ann@example.com")], errors=[error(context)], numErrors=1)
    assert [type(each) for each in said.values()] == [Synced, Rejected, Rejected]


@pytest.mark.parametrize(
    "context", [None, {}, [], "bob", {"objectWriteTraceId": ["unknown"]}, {"objectWriteTraceId": None}]
)
def test_of_an_error_that_names_nobody_the_rows_without_a_result_are_sent_alone(context: Any) -> None:
    said = read(ANN, BOB, CYD, results=[result("7", "ann@example.com")], errors=[error(context)])
    assert [type(each) for each in said.values()] == [Synced, Unmatched, Unmatched]
    assert isinstance(read(BOB, errors=[error(context)])["bob"], Rejected), "alone it is told"


@pytest.mark.parametrize(
    ("message", "more", "reason", "may_be_ours"),
    [
        (INVALID, {}, "invalid_email", False),
        (INVALID.replace("INVALID_EMAIL", "INVALID_OPTION"), {}, "invalid_option", True),
        ("no JSON in it", {"errors": [{"message": "m", "code": "SOME_CODE"}]}, "some_code", True),
        ("no JSON in it", {"errors": [{"message": "m"}]}, "validation_error", True),
        ("Property values were not valid: [", {}, "validation_error", True),
        ("Property values were not valid: [7]", {"errors": "x"}, "validation_error", True),
        ("", {}, "validation_error", True),
    ],
)
def test_a_reason_is_found_in_the_message_in_errors_or_in_the_category(
    message: str, more: dict[str, Any], reason: str, may_be_ours: bool
) -> None:
    said = read(ANN, BOB, errors=[{**error({"objectWriteTraceId": [trace(ANN)]}, message=message), **more}])["ann"]
    assert isinstance(said, Rejected)
    assert (said.reason, said.may_be_ours) == (reason, may_be_ours)


def test_a_missing_property_counts_although_errors_lists_fewer_problems_than_the_message() -> None:
    problems = [
        {"message": "Email address x is invalid", "error": "INVALID_EMAIL", "name": "email"},
        {"message": 'Property "day" does not exist', "error": "PROPERTY_DOESNT_EXIST", "name": "day"},
    ]
    listed = [{"message": "Email address x is invalid", "code": "INVALID_EMAIL"}]
    body = {**error(message=f"Property values were not valid: {json.dumps(problems)}"), "errors": listed}
    answer = Answer(400, {}, json.dumps(body).encode())
    for records in ([record(ANN)], [record(ANN), record(BOB)]):
        reading = HUBSPOT.reading(records, answer)
        assert not isinstance(reading, Split), "halves would be refused for it as well"
        (outcome,) = set(reading.values())
        assert isinstance(outcome, DestinationDown)
        assert (outcome.reason, outcome.answer) == ("unknown_property", "")
        assert "Email address x is invalid; Property" in outcome.message


@pytest.mark.parametrize(
    ("category", "kind", "reason"),
    [
        ("RATE_LIMITS", "Deferred", "rate_limited"),
        ("MISSING_SCOPES", "DestinationDown", "missing_scopes"),
        ("INTERNAL_ERROR", "Failed", "http_500"),
        ("", "Failed", "http_500"),
    ],
)
def test_an_error_of_a_row_that_is_not_about_its_data_blames_nobody(category: str, kind: str, reason: str) -> None:
    said = read(ANN, BOB, errors=[error({"objectWriteTraceId": [trace(ANN)]}, category=category, message="m")])["ann"]
    assert (type(said).__name__, said.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("context", "message", "existing"),
    [
        ({"existingId": ["55"]}, "Contact already exists", "55"),
        ({}, "Contact already exists. Existing ID: 551", "551"),
        ({}, "Contact already exists", ""),
    ],
)
def test_a_conflict_tells_whose_address_it_is_if_it_can(context: dict[str, Any], message: str, existing: str) -> None:
    named = {**context, "objectWriteTraceId": [trace(ANN)]}
    said = read(ANN, BOB, errors=[error(named, "CONFLICT", message)])["ann"]
    assert isinstance(said, Taken)
    assert (said.reason, said.existing_id) == ("email_in_use", existing)


def test_a_result_with_a_known_id_is_the_row_s_whatever_its_address() -> None:
    known = record(ANN, Delivered(remote_id="7", fields=record(ANN).fields))
    body = {"status": "COMPLETE", "results": [result("7", "other@example.com"), result("8", "bob@example.com")]}
    reading = HUBSPOT.reading([known, record(BOB)], Answer(200, {}, json.dumps(body).encode()))
    assert not isinstance(reading, Split)
    assert isinstance(reading[ANN.id], Synced)
    assert reading[ANN.id].remote_id == "7"  # type: ignore[union-attr]


def test_a_result_whose_trace_id_and_address_name_two_rows_is_nobodys() -> None:
    swapped = [
        result("7", "ann@example.com", objectWriteTraceId=trace(BOB)),
        result("8", "bob@example.com", objectWriteTraceId=trace(ANN)),
    ]
    assert {type(each) for each in read(ANN, BOB, results=swapped).values()} == {Unmatched}


def test_a_row_that_is_named_twice_with_different_results_is_failed() -> None:
    both = read(
        ANN, BOB, results=[result("7", "ann@example.com")], errors=[error({"objectWriteTraceId": [trace(ANN)]})]
    )
    assert both["ann"] == Failed("unexpected_answer", "HubSpot's answer says two things about this contact")


def test_nobody_is_synced_by_silence() -> None:
    assert {each.reason for each in read(ANN, BOB).values()} == {"unanswered"}
    assert read(ANN, status=200)["ann"].reason == "unanswered"


def test_a_result_of_somebody_else_is_a_lone_row_s_own() -> None:
    said = read(ANN, results=[result("7", "primary@example.com")])["ann"]
    assert said == Synced("7", "created", "HubSpot has its address as a secondary one of contact 7")
    two = [result("7", "primary@example.com"), result("8", "x@example.com")]
    assert read(ANN, results=two)["ann"].reason == "unanswered"


@pytest.mark.parametrize("status", ["PENDING", "PROCESSING", "CANCELED", None])
def test_a_batch_that_is_not_complete_is_no_success(status: str | None) -> None:
    body = {"status": status, "results": [result("7", "ann@example.com")]}
    reading = HUBSPOT.reading([record(ANN)], Answer(200, {}, json.dumps(body).encode()))
    assert not isinstance(reading, Split)
    assert reading[ANN.id].reason == "unexpected_answer"


@pytest.mark.parametrize("wrong", [{"id": None}, {"id": "x"}, {"id": True}, {"properties": None}, {"properties": {}}])
def test_a_result_without_an_id_or_an_address_is_nobodys(wrong: dict[str, Any]) -> None:
    said = read(ANN, BOB, results=[{**result("7", "ann@example.com"), **wrong}, result("8", "bob@example.com")])
    assert not isinstance(said["ann"], Synced)
    assert isinstance(said["bob"], Synced)


@pytest.mark.parametrize(
    ("now", "zone", "hours"),
    [
        ("2026-01-07T04:00", "America/New_York", 1),  # eleven in the evening of the 6th there
        ("2026-11-25T19:00", "UTC", 5),
        ("2026-03-28T23:00", "Europe/Berlin", 23),  # the night in which the clocks go forward, just after midnight
        ("2026-03-28T23:30", "Europe/Berlin", 22.5),
    ],
)
def test_the_day_ends_at_midnight_where_the_account_is(now: str, zone: str, hours: float) -> None:
    wait = until_midnight(datetime.fromisoformat(now).replace(tzinfo=timezone.utc), ZoneInfo(zone))
    just_after = now == "2026-03-28T23:00"
    assert wait == (timedelta(minutes=1) if just_after else timedelta(hours=hours, minutes=1))


class Parrot:
    """A server that says what it is told to."""

    status = 200
    body = b""

    async def app(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"soon")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


WRONG_TYPES: list[object] = [None, True, 7, 1e308, [], {}, [[1]], [{}], "21"]
BODIES = [
    b"",
    b"<html>oops</html>",
    b'{"status": "COMPLETE", "results": [',
    b"\xff\xfe\x00",
    b"null",
    b"[" * 100_000,
    b'{"status":"error","message":"\\ud800\\u0000","category":"\\ud800"}',
    *(json.dumps({"status": "COMPLETE", "results": value, "errors": value}).encode() for value in WRONG_TYPES),
    *(
        json.dumps({"status": "COMPLETE", "results": [{"id": value, "properties": value, "new": value}]}).encode()
        for value in WRONG_TYPES
        if value not in (7, "21")  # true ids
    ),
    *(
        json.dumps(
            {"status": "COMPLETE", "results": [], "errors": [{"category": value, "message": value, "context": value}]}
        ).encode()
        for value in WRONG_TYPES
    ),
    *(
        json.dumps({"status": "error", "message": value, "category": value, "errors": value, "context": value}).encode()
        for value in WRONG_TYPES
    ),
    *(
        json.dumps(
            {
                "status": "error",
                "message": "m",
                "category": "CONFLICT",
                "errors": value,
                "context": {"existingId": value},
            }
        ).encode()
        for value in WRONG_TYPES
    ),
]
STATUSES = [200, 201, 202, 207, 299, 302, 400, 401, 403, 404, 409, 418, 422, 423, 429, 477, 500, 599]


def test_no_answer_however_odd_is_an_error_or_passes_for_success() -> None:
    parrot, told = Parrot(), 0

    async def ask(base_url: str) -> int:
        hubspot = Hubspot(base_url=base_url, api_key="k", timeout_seconds=10)
        before = Delivered(remote_id="7", fields=frozenset({"phone", "address:0"}))
        asked = 0
        async with hubspot.client() as client:
            for parrot.status, parrot.body in product(STATUSES, BODIES):
                for prepared in (record(ANN), record(ANN, before)):  # an upsert, and a look
                    sent = await hubspot.send(client, [prepared])
                    for attempt in sent.attempts:
                        what = f"{parrot.status} {parrot.body[:200]!r}: {attempt.outcome}"
                        assert not isinstance(attempt.outcome, Synced), what
                        assert attempt.outcome.message.isprintable(), what
                        assert len(attempt.outcome.message) <= 500, what
                        following = hubspot.next_request(prepared, attempt.outcome)
                        assert following is None or isinstance(following, Record), what
                    asked += 1
        return asked

    with running(parrot.app) as server:
        told = asyncio.run(ask(server.base_url))
    assert told == len(STATUSES) * len(BODIES) * 2
