"""What Prometheus gets, and that the dashboard asks for nothing else."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.domain.outcome import Failed, Synced
from crm_sync_pipeline.monitoring.metrics import QueueCollector
from crm_sync_pipeline_tests.builders import World, one_run

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "crm-sync.json"
OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def served_by(database: Database) -> Iterator[str]:
    registry = CollectorRegistry()
    registry.register(QueueCollector(database, ["brevo"]))
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def served(world: World) -> Iterator[str]:
    yield from served_by(world.database)


def families(text: str) -> Iterator[Metric]:
    yield from text_string_to_metric_families(text)  # type: ignore[no-untyped-call] # prometheus-client's gap


def scrape(url: str) -> Samples:
    answer = httpx.get(url, headers=OPEN_METRICS, timeout=30)
    assert answer.status_code == 200
    assert "@" not in answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): float(sample.value)
        for family in families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_figures_are_those_of_the_queue(world: World, served: str) -> None:
    assert value(scrape(served), "crm_sync_contacts", crm="brevo", state="due") == 0
    world.add("anna@example.com", "bert@example.com", "carl@example.com")
    one_run(world.queue(), Synced("1", "created"), Failed("http_503", "Brevo answered 503."), size=2)
    world.pass_time(timedelta(minutes=1))
    world.queue().breaker.open("http_503", "Brevo is disturbed.")
    found = scrape(served)
    states = {state: value(found, "crm_sync_contacts", crm="brevo", state=state) for state in ("due", "waiting")}
    assert states == {"due": 1, "waiting": 1}
    assert 60 <= value(found, "crm_sync_lag_seconds", crm="brevo") < 90
    assert value(found, "crm_sync_destination_down", crm="brevo") == 1
    assert value(found, "crm_sync_up") == 1
    assert value(found, "crm_sync_attempts_total", crm="brevo", outcome="failed", reason="http_503") == 1


def test_a_counter_counts_each_attempt_once_and_never_falls_though_history_is_pruned(world: World, served: str) -> None:
    label = {"crm": "brevo", "outcome": "synced", "reason": "created"}
    world.add("before@example.com")
    one_run(world.queue())
    scrape(served)
    seen = []
    for n in range(4):
        world.add(f"{n}@example.com")
        one_run(world.queue())
        seen.append(value(scrape(served), "crm_sync_attempts_total", **label))
        world.pass_time(timedelta(minutes=2))  # the first ones become old enough to be counted for good
    world.execute("DELETE FROM crm_sync.attempts")
    seen.append(value(scrape(served), "crm_sync_attempts_total", **label))
    assert seen == [1, 2, 3, 4, 4]


def test_a_database_that_is_away_is_told_in_the_metric_and_the_process_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = Database(url="postgresql://nobody:sesame@127.0.0.1:9/nothing")
    for url in served_by(away):
        for _ in range(2):
            assert scrape(url) == {("crm_sync_up", frozenset()): 0}
    (said,) = [record.getMessage() for record in caplog.records if record.name == "crm_sync_pipeline"]
    assert said.startswith("metrics_unavailable The database at 127.0.0.1:9 can't be used")
    assert "sesame" not in said


def _queries() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    choices = [each["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    return choices + [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_every_query_of_the_dashboard_asks_for_what_is_served(world: World, served: str) -> None:
    scrape(served)
    world.add("anna@example.com")
    one_run(world.queue())
    labels: dict[str, set[str]] = {}
    for name, pairs in scrape(served):
        labels.setdefault(name, set()).update(label for label, _ in pairs)
    asked = _queries()
    assert len(asked) >= 8
    for query in asked:
        names = re.findall(r"\bcrm_sync_[a-z_]+", query)
        assert names, query
        for name in names:
            assert name in labels, f"{query}: {name} is not served"
        known = set().union(*(labels[name] for name in names))
        used = re.findall(r"(?:by|without) \(([^)]*)\)", query) + re.findall(r"[{,]\s*([a-z_]+)\s*[=!]", query)
        for label in ",".join(used).replace(" ", "").split(","):
            assert not label or label in known, f"{query}: {label} is no label of {names}"
