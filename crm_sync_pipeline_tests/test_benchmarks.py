from collections.abc import Iterator
from importlib import import_module
from uuid import uuid4
from xml.etree import ElementTree

import httpx
import pytest

from benchmarks import hubspot, outage
from benchmarks.chart import draw
from benchmarks.contender import Measured, Task
from benchmarks.people import load_people, people
from benchmarks.results import render
from benchmarks.site import BenchmarkError, LoopbackServer, loopback_server
from benchmarks.throughput import CONTENDERS, Contender, require_all, throughput
from crm_sync_pipeline.destinations.hubspot.destination import Hubspot
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.simulators.hubspot import DEFAULT_KEY, PLANS, HubspotConfig, HubspotSimulator
from crm_sync_pipeline.simulators.server import running
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


def test_hubspots_limit_is_kept_by_ours_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubspot, "USED_REQUESTS", 1)
    ours = [each for each in hubspot.CONTENDERS if each.runs == 2]
    rows = hubspot.hubspot(lambda _line: None, 400, ours)
    assert [(row["requests"], row["too_many_requests"]) for row in rows] == [(4, 0)]
    page = render({"machine": {"processor": "one of a kind"}, "hubspot": rows})
    assert f"(a) {ours[0].title}" in page


@pytest.mark.parametrize("module", ["hubspot_official", "hubspot_bare"])
def test_whoever_sends_the_same_batches_to_hubspot_sends_the_values_that_the_product_sends(module: str) -> None:
    simulator = HubspotSimulator(HubspotConfig(limits=PLANS["unlimited"]))
    with running(simulator.app) as server:
        task = Task(150, server.base_url, in_the_air=8, api_key=DEFAULT_KEY)
        assert import_module(f"benchmarks.contenders.{module}").run(task) == 150
    person = list(people(150))[140]
    contact = Contact(
        uuid4(),
        person.email,
        person.name,
        phone_number=person.phone_number,
        domain_id=person.domain_id,
        page_id=person.page_id,
    )
    sent = Hubspot().call_for(contact).payload["properties"]
    held = simulator.contacts[person.email].properties
    assert {name: held[name] for name in sent if "date" not in name} == {
        name: value for name, value in sent.items() if "date" not in name
    }


def test_an_outage_of_hubspot_changes_no_attempt_at_brevo(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOUR": 10, "MINUTES": 50, "STEP": 5, "ONE_BAD_IN": 4}.items():
        monkeypatch.setattr(outage, name, value)
    rows = outage.outage(lambda _line: None, 4)
    assert [row["retries"] for row in rows] == [6, 6, 6]
    assert outage.DOWN in render({"machine": {"processor": "one of a kind"}, "outage": rows})


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
