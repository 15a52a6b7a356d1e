"""check: what can be known of the webhook before a contact is sent, and without executing its workflow."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest

from crm_sync_pipeline.destinations.n8n.destination import N8n
from crm_sync_pipeline.domain.check import Line, State
from crm_sync_pipeline.monitoring.readiness import check
from crm_sync_pipeline.simulators.n8n import N8nConfig, N8nSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World


def lines_of(n8n: N8n) -> Sequence[Line]:
    async def ask() -> Sequence[Line]:
        async with n8n.client() as client:
            return await n8n.check(client, clock=lambda: datetime.now(timezone.utc))

    return asyncio.run(ask())


def by_name(lines: Sequence[Line]) -> Mapping[str, Line]:
    return {line.name: line for line in lines}


def changed(n8n: N8n, **changes: Any) -> N8n:
    return N8n(**{**dict(n8n), **changes})


def test_when_all_is_well_every_line_is_green_and_nothing_was_executed(n8n: N8n, n8n_simulator: N8nSimulator) -> None:
    lines = lines_of(n8n)

    assert [(line.name, line.state) for line in lines] == [
        (name, State.GREEN) for name in ("URL", "n8n", "Webhook", "Secret")
    ]
    assert n8n_simulator.executions == []
    assert [(each.method, each.path) for each in n8n_simulator.requests] == [
        ("GET", "/healthz"),
        ("OPTIONS", "/webhook/crm-sync"),
    ]


def test_a_test_url_is_red_and_is_not_asked_for(n8n: N8n, n8n_simulator: N8nSimulator) -> None:
    line = by_name(lines_of(changed(n8n, webhook_url=n8n.webhook_url.replace("/webhook/", "/webhook-test/"))))["URL"]

    assert line.state is State.RED
    assert "a test URL" in line.says
    assert [each.path for each in n8n_simulator.requests] == ["/healthz"]


def test_a_workflow_that_is_not_active_is_red_and_green_once_it_is(n8n: N8n, n8n_simulator: N8nSimulator) -> None:
    n8n_simulator.switches.is_active = False
    line = by_name(lines_of(n8n))["Webhook"]

    assert line.state is State.RED
    assert "no workflow that is active has a webhook of this path" in line.says
    assert "Activate (publish) the workflow" in line.to_do
    n8n_simulator.switches.is_active = True
    assert by_name(lines_of(n8n))["Webhook"].state is State.GREEN


def test_a_webhook_of_another_method_is_red(n8n: N8n) -> None:
    with running(N8nSimulator(N8nConfig(method="GET")).app) as server:
        line = by_name(lines_of(changed(n8n, webhook_url=f"{server.base_url}/webhook/crm-sync")))["Webhook"]

    assert (line.state, line.says) == (State.RED, "it is registered for GET, not for POST")


@pytest.mark.parametrize("fault", ["status-404", "status-403", "status-502-html", "status-405"])
def test_a_proxy_that_answers_instead_of_n8n_is_never_green(n8n: N8n, n8n_simulator: N8nSimulator, fault: str) -> None:
    n8n_simulator.inject(f"{fault}:method=OPTIONS:path=*")

    assert by_name(lines_of(n8n))["Webhook"].state is not State.GREEN


def test_nobody_listening_is_one_red_line_of_n8n(n8n: N8n) -> None:
    lines = by_name(lines_of(changed(n8n, webhook_url="http://127.0.0.1:1/webhook/x")))

    assert lines["n8n"].state is State.RED
    assert lines["n8n"].says.startswith("Connection to n8n failed")
    assert "Webhook" not in lines


def test_while_n8n_starts_the_webhook_is_red(n8n: N8n, n8n_simulator: N8nSimulator) -> None:
    now = n8n_simulator.clock()
    for seconds in (0, n8n_simulator.config.starting_seconds):
        n8n_simulator.start.clock = lambda seconds=seconds: now + seconds  # type: ignore[misc]
        n8n_simulator.start.at = now - n8n_simulator.config.refusing_seconds
        line = by_name(lines_of(n8n))["Webhook"]
        assert line.state is State.RED
        assert "Run the check again" in line.to_do


def test_without_a_secret_the_line_is_yellow(n8n: N8n) -> None:
    line = by_name(lines_of(changed(n8n, webhook_secret="")))["Secret"]

    assert line.state is State.YELLOW
    assert "whoever knows the webhook's URL can call it" in line.says


def test_a_path_that_is_not_n8ns_own_is_worth_knowing(n8n: N8n) -> None:
    with running(N8nSimulator(N8nConfig(path="x")).app) as server:
        lines = by_name(lines_of(changed(n8n, webhook_url=f"{server.base_url}/hooks/x")))

    assert lines["URL"].state is State.YELLOW


def test_a_column_that_is_not_sent_to_n8n_is_not_missed(fresh: World, n8n: N8n) -> None:
    fresh.script("ALTER TABLE contacts DROP COLUMN phone_number, DROP COLUMN has_gmail")
    report = check(fresh.database, n8n)

    assert report.is_good
    assert "Columns" not in by_name(report.lines)
    assert [f.detail for f in fresh.database.check("n8n") if "n8n gets no" in f.detail] == []

    fresh.script("ALTER TABLE contacts DROP COLUMN name")
    line = by_name(check(fresh.database, n8n).lines)["Columns"]
    assert line.says == "public.contacts has no name; contacts are delivered without name"


def test_no_line_shows_the_webhooks_path_or_the_secret(n8n: N8n, n8n_simulator: N8nSimulator) -> None:
    n8n_simulator.switches.is_active = False

    shown = str(lines_of(n8n))

    assert "crm-sync" not in shown.replace("crm-sync sync-now", "")
    assert n8n.webhook_secret not in shown
