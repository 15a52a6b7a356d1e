"""Which contacts share a request, and which wait for others."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline.delivery.requests import Waiting, halves_of, lines_of, requests_of
from crm_sync_pipeline.destinations.contract import Call, Limits, Record, Split, read_results, read_whole
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Outcome, Rejected, Synced


def contact(number: int, email: str = "") -> Contact:
    return Contact(UUID(int=number), email or f"{number}@example.com")


def record(number: int, path: str = "/many", body: bytes = b"12345") -> Record:
    return Record(contact(number), Call("POST", path, {}), body, "hash")


def numbers(requests: list[list[Record]]) -> list[list[int]]:
    return [[each.contact.id.int for each in request] for request in requests]


def test_contacts_of_one_address_are_never_taken_together_and_keep_their_order() -> None:
    waiting = Waiting(
        lines_of([contact(3, "B@x.de"), contact(1, "b@x.de "), contact(2, "a@x.de"), contact(4, "b@x.de")])
    )
    first = waiting.take(10)
    assert [each.id.int for each in first] == [2, 1]
    assert waiting.take(10) == [], "the others wait for those in flight"
    waiting.finish(first[0])
    assert waiting.take(10) == []
    waiting.finish(first[1])
    (second,) = waiting.take(10)
    assert second.id.int == 3
    waiting.finish(second)
    assert [each.id.int for each in waiting.take(10)] == [4]


def test_contacts_without_an_address_do_not_wait_for_each_other() -> None:
    waiting = Waiting(lines_of([Contact(UUID(int=number), " ") for number in (1, 2, 3)]))
    assert len(waiting.take(10)) == 3


def test_a_record_that_goes_alone_shares_its_request_with_nobody() -> None:
    records = [record(1), replace(record(2), alone=True), record(3), record(4)]
    assert numbers(requests_of(records, Limits(100))) == [[1, 3, 4], [2]]


def test_the_next_of_a_line_goes_before_those_that_were_not_begun() -> None:
    waiting = Waiting(lines_of([contact(1, "a@x.de"), contact(2, "a@x.de"), contact(3, "b@x.de")]))
    (first,) = waiting.take(1)
    waiting.finish(first)
    assert [each.id.int for each in waiting.take(2)] == [2, 3]


def test_what_is_added_waits_behind_all_others() -> None:
    waiting = Waiting(lines_of([contact(1)]))
    waiting.add([[contact(2)]])
    assert [each.id.int for each in waiting.take(2)] == [1, 2]


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        (Limits(), [[1], [2], [3], [4], [5]]),
        (Limits(2), [[1, 2], [3, 4], [5]]),
        (Limits(100), [[1, 2, 3, 4, 5]]),
        (Limits(100, body_bytes=10), [[1, 2], [3, 4], [5]]),
        (Limits(100, body_bytes=3), [[1], [2], [3], [4], [5]]),
    ],
)
def test_a_request_keeps_to_the_vendors_limits(limits: Limits, wanted: list[list[int]]) -> None:
    assert numbers(requests_of([record(number) for number in range(1, 6)], limits)) == wanted


def test_records_of_different_routes_do_not_share_a_request() -> None:
    records = [record(1), record(2, "/other"), record(3), record(4, "/other"), record(5)]
    assert numbers(requests_of(records, Limits(2))) == [[1, 3], [2, 4], [5]]


@pytest.mark.parametrize(
    ("count", "wanted"), [(2, [[1], [2]]), (3, [[1], [2, 3]]), (100, [[*range(1, 51)], [*range(51, 101)]])]
)
def test_halves_hold_everybody_once(count: int, wanted: list[list[int]]) -> None:
    assert numbers(halves_of([record(number) for number in range(1, count + 1)])) == wanted


def test_one_record_is_not_halved() -> None:
    with pytest.raises(ValueError, match="to blame"):
        halves_of([record(1)])


RECORDS = [record(1), record(2)]
ONE, TWO = (each.contact.id for each in RECORDS)
REFUSED = Rejected("invalid_email", "m")


@pytest.mark.parametrize(
    ("results", "reasons"),
    [
        ([], ["unanswered", "unanswered"]),
        ([(ONE, Synced("1"))], ["updated", "unanswered"]),
        ([(TWO, Synced("2")), (ONE, REFUSED)], ["invalid_email", "updated"]),
        ([(ONE, Synced("1")), (ONE, Synced("1")), (TWO, Synced("2"))], ["updated", "updated"]),
        ([(ONE, Synced("1")), (ONE, REFUSED), (TWO, Synced("2"))], ["unexpected_answer", "updated"]),
        ([(ONE, Synced("1")), (ONE, Synced("9"))], ["unexpected_answer", "unanswered"]),
        ([(UUID(int=9), Synced("9")), (TWO, Synced("2"))], ["unanswered", "updated"]),
    ],
)
def test_nobody_is_synced_by_silence(results: list[tuple[UUID, Outcome]], reasons: list[str]) -> None:
    found = read_results(RECORDS, results, "Vendor")
    assert [found[each.contact.id].reason for each in RECORDS] == reasons
    assert found.keys() == {ONE, TWO}, "nobody who was not sent"
    assert all(isinstance(found[each], Failed) for each in found if found[each].reason == "unanswered")


@pytest.mark.parametrize(
    ("outcome", "splits"),
    [
        (REFUSED, True),
        (DestinationDown("http_403", "m", answer="Forbidden"), True),
        (DestinationDown("wrong_api_key", "m"), False),
        (Failed("http_503", "m"), False),
        (Deferred("rate_limited"), False),
    ],
)
def test_a_whole_refusal_is_split_where_one_contact_may_be_to_blame(outcome: Outcome, splits: bool) -> None:
    reading: Any = read_whole(RECORDS, outcome)
    assert reading == (Split(outcome) if splits else {ONE: outcome, TWO: outcome})
    assert read_whole(RECORDS[:1], outcome) == {ONE: outcome}
