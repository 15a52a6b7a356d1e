"""docs/operations.md says what follows from each unkind answer; here each one is brought about, and comes to that."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES, DestinationDown, Outcome, Synced
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.faults import KINDS, Fault
from crm_sync_pipeline.simulators.server import RunningSimulator, running
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.destinations.conftest import CONTACT, EMAIL, attempted

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
HEADING = "What each unkind answer results in"
SHORT = 0.4
"""Seconds: the time limit of a call here; what is to exceed it is set to a minute."""


@dataclass(frozen=True)
class Row:
    """One row of the table; `comes_back` is for people alone."""

    comes_back: str
    fault: str
    outcome: str
    reason: str
    is_stored: bool
    spends_retry: bool
    next: str


def _rows() -> Iterator[Row]:
    section = PAGE.read_text().split(f"## {HEADING}\n")[1].split("\n## ")[0]
    for line in re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[1:]:
        said, fault, outcome, reason, stored, spends, following = (cell.strip("`") for cell in line.split(" | "))
        yield Row(said, fault, outcome, reason, _is_yes(stored), _is_yes(spends), following)


def _is_yes(cell: str) -> bool:
    return {"yes": True, "no": False}[cell]


ROWS = list(_rows())


@pytest.fixture(scope="module")
def _served() -> Iterator[tuple[BrevoSimulator, RunningSimulator]]:
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"]))
    with running(simulator.app) as server:
        yield simulator, server


@pytest.fixture
def simulator(_served: tuple[BrevoSimulator, RunningSimulator]) -> BrevoSimulator:
    """One for all tests of this module, as good as new for each."""
    _served[0].heal()
    _served[0].reset()
    return _served[0]


@pytest.fixture
def brevo_server(_served: tuple[BrevoSimulator, RunningSimulator]) -> RunningSimulator:
    return _served[1]


@pytest.fixture
def destination(brevo: Brevo) -> Brevo:
    return brevo.model_copy(update={"timeout_seconds": SHORT})


def attempt(destination: Brevo) -> Attempt:
    async def work() -> Attempt:
        async with destination.client() as client:
            return await attempted(destination, client, CONTACT)

    return asyncio.run(work())


def name_of(outcome: Outcome) -> str:
    return "destination down" if isinstance(outcome, DestinationDown) else OUTCOME_NAMES[type(outcome)]


def test_every_fault_that_the_simulator_knows_has_its_row_and_no_row_stands_twice() -> None:
    assert {Fault.parse(row.fault).kind for row in ROWS} == KINDS.keys()
    assert len({row.fault for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_an_answer_comes_to_what_the_table_says_and_the_repeat_does_no_harm(
    destination: Brevo, simulator: BrevoSimulator, row: Row
) -> None:
    simulator.inject(row.fault)
    first = attempt(destination)
    assert (name_of(first.outcome), first.outcome.reason) == (row.outcome, row.reason)
    assert (EMAIL in simulator.contacts) is row.is_stored
    simulator.heal()
    repeated = attempt(destination)
    assert isinstance(repeated.outcome, Synced)
    assert (repeated.http_status, repeated.outcome.reason) == ((204, "updated") if row.is_stored else (201, "created"))
    assert len(simulator.contacts) == 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_a_contact_goes_where_the_table_says(
    world: World, destination: Brevo, simulator: BrevoSimulator, row: Row
) -> None:
    (contact,) = world.add("a@example.com")
    simulator.inject(f"{row.fault}:times=1" + (":reset=0.1" if row.fault == "status-429" else ""))
    queue = world.queue()
    batch = queue.claim(1)
    tally = deliver_batch(queue, destination, batch)
    queue.settle(batch.token)
    (wait,) = world.rows("SELECT extract(epoch FROM next_retry_at - now()) / 60 AS minutes FROM crm_sync.deliveries")
    down, waits = queue.breaker.state(), round(wait["minutes"] or 0)
    followed = {
        "Complete": tally.requests == 1 and world.status(contact) == ("Complete", "Complete"),
        "sent again in the same run, after a pause": (tally.requests, tally.rate_limited) == (2, 1),
        "tried again after 5 minutes": (waits, down) == (5, None),
        "a probe after 1 minute": waits == 0 and down is not None and round(down.next_probe_in.total_seconds()) == 60,
    }
    assert [what for what, is_so in followed.items() if is_so] == [row.next]
    assert (world.delivery(contact)["retry_count"] == 1) is row.spends_retry
    assert world.status(contact)[1] in ("Complete", "Queued"), "one answer ends nobody in Error"


# What no table can list

LONG = b"x" * (1 << 20)
WRONG_TYPES: list[object] = [None, True, 7, 1e308, [], {}, [[1]], "21"]
BODIES = {
    "empty": b"",
    "white": b" \r\n\t ",
    "no JSON": b"<html>oops</html>",
    "half of it": b'{"id": 4',
    "no UTF-8": b"\xff\xfe\x00",
    "a megabyte of noise": LONG,
    "a megabyte of words": b'{"code": "' + LONG + b'", "message": "' + LONG + b'"}',
    "a list": b'[{"id": 1}]',
    "a number": b"1",
    "null": b"null",
    "brackets without end": b"[" * 100_000,
    "not a number": b'{"id": NaN}',
    "half a surrogate pair": b'{"id": "\\ud800", "code": "\\ud800", "message": "\\ud800\\u0000"}',
    **{
        f"{value!r} in every field": json.dumps(
            {"id": value, "code": value, "message": value, "metadata": {"duplicate_identifiers": value}}
        ).encode()
        for value in WRONG_TYPES
        if value != 7 and value is not None  # true ids
    },
    **{f"{value!r} as metadata": json.dumps({"metadata": value}).encode() for value in WRONG_TYPES},
}
STATUSES = [200, 201, 202, 206, 299, 300, 302, 304, 400, 401, 404, 409, 418, 422, 425, 429, 451, 500, 503, 599]
HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-type", b"application/json; charset=klingon"),
    (b"content-type", b"\xff/\xfe"),
    (b"content-encoding", b"gzip"),  # which the body is not
    (b"location", b"//["),
    (b"retry-after", b"soon"),
    (b"x-sib-ratelimit-reset", b"-1e999"),
    (b"sib-request-id", b"\xe9" * 3000),
]


class Parrot:
    """A server that says what it is told to."""

    status = 200
    body = b""
    header = HEADERS[0]

    async def app(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        length = (b"content-length", str(len(self.body)).encode())
        headers = [self.header, *([length] if self.status != 304 else [])]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if self.status == 304 else self.body})


def test_no_answer_however_odd_is_an_error_or_passes_for_success() -> None:
    parrot = Parrot()
    told: list[str] = []

    async def ask(base_url: str) -> None:
        destination = Brevo(base_url=base_url, api_key="k", timeout_seconds=10)
        async with destination.client() as client:
            for parrot.status, (name, parrot.body) in product(STATUSES, BODIES.items()):
                parrot.header = HEADERS[len(told) % len(HEADERS)]
                outcome = (await attempted(destination, client, CONTACT)).outcome
                told.append(f"{parrot.status} {name} {parrot.header!r}: {outcome}")
                assert not isinstance(outcome, Synced), told[-1]
                assert outcome.message.isprintable(), told[-1]
                assert len(outcome.message) <= 500, told[-1]
                assert name_of(outcome) != "rejected" or parrot.status in (400, 422), told[-1]

    with running(parrot.app) as server:
        asyncio.run(ask(server.base_url))
    assert len(told) == len(STATUSES) * len(BODIES)
