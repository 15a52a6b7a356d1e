from collections.abc import Iterator
from importlib import import_module
from xml.etree import ElementTree

import httpx
import pytest

from benchmarks.chart import draw
from benchmarks.contender import Measured, Task
from benchmarks.people import load_people
from benchmarks.results import render
from benchmarks.site import BenchmarkError, LoopbackServer, loopback_server
from benchmarks.throughput import CONTENDERS, Contender, require_all, throughput
from crm_sync_pipeline_tests.builders import World

CONTACTS = 20


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    with loopback_server() as running:
        yield running


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.key)
def test_every_contender_delivers_each_contact_once(
    contender: Contender, server: LoopbackServer, created: World
) -> None:
    server.reset(0)
    load_people(created.engine, CONTACTS)
    task = Task(CONTACTS, f"{server.url}/v3", created.url, contender.in_the_air)
    delivered = import_module(f"benchmarks.contenders.{contender.module}").run(task)
    counts = server.counts()
    assert (delivered, counts["requests"], counts["contacts"]) == (CONTACTS, CONTACTS, CONTACTS)
    complete = created.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'")
    assert complete == (CONTACTS if contender.has_database else 0)


def test_the_results_tell_of_each_contender_that_took_part() -> None:
    bare = [contender for contender in CONTENDERS if contender.key == "bare 8"]
    rows = throughput(1, lambda _line: None, cases=[(CONTACTS, 0)], contenders=bare)
    page = render({"machine": {"processor": "one of a kind"}, "throughput": rows})
    assert all(contender.title in page for contender in bare)
    assert "one of a kind" in page


def test_the_chart_cuts_a_bar_that_is_far_longer_than_the_others() -> None:
    rows = [
        {
            "letter": letter,
            "title": f"<{letter}>",
            "contacts": 5000,
            "contacts_measured": 5000,
            "latency_ms": 0,
            "seconds": seconds,
        }
        for letter, seconds in (("a", 3.0), ("b", 300.0), ("c", 6.0))
    ]
    chart = ElementTree.fromstring(draw(rows))  # noqa: S314 # our own
    bars = [float(bar.attrib["width"]) for bar in chart.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert bars[1] == bars[2] == 2 * bars[0]
    assert "300" in "".join(chart.itertext())


@pytest.mark.parametrize(
    ("counts", "delivered"),
    [
        ({"contacts": 19, "requests": 20}, 20),
        ({"contacts": 20, "requests": 21}, 20),
        ({"contacts": 20, "requests": 20}, 19),
    ],
    ids=["one was lost", "one was sent twice", "one failed"],
)
def test_a_contender_that_does_not_deliver_all_once_stops_the_benchmark(counts: dict[str, int], delivered: int) -> None:
    with pytest.raises(BenchmarkError, match=CONTENDERS[0].title):
        require_all(CONTENDERS[0], CONTACTS, Measured(1.0, 1.0, 1.0, delivered), counts)


def test_the_server_answers_as_brevo_does(server: LoopbackServer) -> None:
    server.reset(0)
    with httpx.Client(base_url=f"{server.url}/v3", trust_env=False) as client:
        first, second = (client.post("/contacts", json={"email": "a@example.com"}) for _ in range(2))
    assert (first.status_code, first.json()) == (201, {"id": 1})
    assert (second.status_code, second.content) == (204, b"")
    assert first.headers["x-sib-ratelimit-remaining"] == "99999"
