"""What becomes of a run that is told to stop, or that dies: real processes, as in production."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from crm_sync_pipeline.delivery.engine import GRACE_SECONDS
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.dagster_definitions import CALL_SECONDS, LEASE_SECONDS, TRIGGERS
from crm_sync_pipeline_tests.chaos.dagster_runs import Runs
from crm_sync_pipeline_tests.chaos.dagster_services import DagsterServices, dagster_services, until

pytestmark = pytest.mark.whole_dagster

SHORT_LEASE_SECONDS = 8
LONG_LEASE = {
    "database": {"url": {"env": "DATABASE_URL"}, "lease_seconds": 300},
    "brevo": {
        "api_key": {"env": "BREVO_API_KEY"},
        "base_url": {"env": "BREVO_API_BASE_URL"},
        "requests_per_second": 10,
        "timeout_seconds": 120,
    },
}
"""For the runs that are told to stop: what they give back must not come back by a lease that runs out.

Nor may the call that hangs end by its own time limit, however long the others took to start.
"""

IN_PROGRESS = 6
"""So many outcomes are journaled when a run counts as being in the middle of its batch."""

SIGNAL_TAKES = timedelta(seconds=1)
"""From the click, or the signal, until the worker's main thread has it, on a busy machine."""

GIVEN_BACK_SECONDS = 5
"""What recording and giving back may take, beyond what the calls in flight get."""

HANGING = "100@example.com"
"""First in the order in which a batch is sent, so that it is in flight when the others are in progress."""
ALL = 900


@pytest.fixture
def simulator() -> BrevoSimulator:
    return BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"]), ["latency=700", f"hang:email={HANGING}"])


@pytest.fixture
def services(
    monkeypatch: pytest.MonkeyPatch,
    world: World,
    postgres: EmbeddedPostgres,
    simulator: BrevoSimulator,
    tmp_path: Path,
) -> Iterator[DagsterServices]:
    """A code server, a daemon and a webserver; three runs at a time, and none that nobody launched."""
    monkeypatch.setenv("CRM_SYNC_DAGSTER_DB_URL", postgres.create_database("dagster_of_stopping"))
    with running(simulator.app) as brevo:
        environment = {
            "DATABASE_URL": world.url,
            "BREVO_API_KEY": DEFAULT_KEY,
            "BREVO_API_BASE_URL": f"{brevo.base_url}/v3",
            "BREVO_REQUESTS_PER_SECOND": "100",
            LEASE_SECONDS: str(SHORT_LEASE_SECONDS),
            CALL_SECONDS: "2",
            TRIGGERS: "off",
        }
        with dagster_services(tmp_path, environment, runs_at_a_time=3) as services:
            services.start_code_server()
            services.start_daemon()
            services.start_webserver()
            yield services
    postgres.drop_database("dagster_of_stopping")


@pytest.mark.timeout(180)
def test_a_stopped_run_gives_back_at_once_what_it_did_not_send_and_a_dead_one_blocks_no_longer_than_its_lease(
    world: World, simulator: BrevoSimulator, services: DagsterServices
) -> None:
    """One long test, because Dagster needs ten seconds to come up and each run three."""
    runs = Runs(services.graphql)
    world.add_many(ALL)
    launched = {runs.launch(250, **LONG_LEASE) for _ in range(2)}
    until(lambda: all(_claimed(world, run_id) for run_id in launched), 60, "two runs have claimed")
    dead = runs.launch(500)
    until(lambda: all(_is_in_progress(world, run_id) for run_id in (*launched, dead)), 60, "all are in progress")
    (signalled,) = (run_id for run_id in launched if HANGING in _addresses(world, run_id))
    (terminated,) = launched - {signalled}
    worker, last_worker = (_worker_of(run_id, services) for run_id in (signalled, dead))

    worker.terminate()
    signalled_at = _now()
    runs.terminate(terminated)
    terminated_at = _now()
    last_worker.kill()
    services.kill_code_server()
    until(
        lambda: not _claimed(world, terminated), GIVEN_BACK_SECONDS, "the terminated run gave back what it had claimed"
    )
    _assert_ended_well(world, simulator, terminated, terminated_at)
    until(lambda: runs.status(terminated) == "CANCELED", 20, "and it shows as canceled")

    assert runs.status(dead) == "STARTED", "Dagster does not notice that worker and code server died together"
    services.start_code_server(**{TRIGGERS: "on"})
    until(
        lambda: not _claimed(world, signalled),
        GRACE_SECONDS + GIVEN_BACK_SECONDS,
        "the signalled run gave back what it had claimed",
    )
    assert _now() - signalled_at > timedelta(seconds=GRACE_SECONDS - 1), "a call in flight got its ten seconds"
    _assert_ended_well(world, simulator, signalled, signalled_at)
    simulator.heal()
    simulator.inject("latency=700")
    until(lambda: runs.status(dead) == "FAILURE", SHORT_LEASE_SECONDS + 25, "the sensor sees that the dead run is dead")

    until(lambda: _working(world) - {*launched, dead}, 60, "another claims what all these left")
    (successor,) = _working(world) - {*launched, dead}
    claimed = _addresses(world, successor)
    services.stop_daemon()
    simulator.heal()
    until(lambda: runs.status(successor) == "SUCCESS", 60, "and goes on without a daemon, to its good end")
    complete = world.rows("SELECT email FROM contacts WHERE brevo_sync_status = 'Complete'")
    assert claimed <= {row["email"] for row in complete}
    assert _claimed(world, successor) == 0


def _assert_ended_well(world: World, simulator: BrevoSimulator, run_id: str, told_at: datetime) -> None:
    """Nothing new was sent; what was sent is recorded; the rest is due now, as if it had never been claimed."""
    addresses = _addresses(world, run_id)
    sent = [request for request in simulator.requests if request.email in addresses]
    late = [request for request in sent if request.received_at > told_at + SIGNAL_TAKES]
    assert late == [], "no request starts once the run is told to stop"
    complete = {row["email"] for row in _contacts(world, run_id) if row["sync"] == row["processing"] == "Complete"}
    assert complete == {request.email for request in sent} - {HANGING}, "what was in flight is recorded"
    back = [row for row in _contacts(world, run_id) if row["email"] not in complete]
    assert back, "the run was in the middle of its batch"
    for row in back:
        assert (row["sync"], row["processing"], row["error"]) == ("Queued", "Queued", None)
        assert (row["retry_count"], row["lost_count"], row["claim_token"]) == (0, 0, None), "nothing was spent"
        assert row["waits"] is False, "and it is due now"


def _contacts(world: World, run_id: str) -> list[dict[str, Any]]:
    return world.rows(
        """
        SELECT c.email, c.brevo_sync_status::text AS sync, c.brevo_processing_status::text AS processing,
               c.brevo_processing_error AS error, d.retry_count, d.lost_count, d.claim_token,
               d.next_retry_at IS NOT NULL AND d.next_retry_at > now() AS waits
        FROM contacts c JOIN crm_sync.deliveries d ON d.contact_id = c.id WHERE d.run_id = :run_id
        """,
        run_id=run_id,
    )


def _addresses(world: World, run_id: str) -> set[str]:
    return {row["email"] for row in _contacts(world, run_id)}


def _is_in_progress(world: World, run_id: str) -> bool:
    count = "SELECT count(*) FROM crm_sync.attempts WHERE run_id = :run_id"
    return int(world.value(count, run_id=run_id)) >= IN_PROGRESS


def _claimed(world: World, run_id: str) -> int:
    count = "SELECT count(*) FROM crm_sync.deliveries WHERE run_id = :run_id AND claim_token IS NOT NULL"
    return int(world.value(count, run_id=run_id))


def _working(world: World) -> set[str]:
    return {row["run_id"] for row in world.rows("SELECT DISTINCT run_id FROM crm_sync.attempts")}


def _worker_of(run_id: str, services: DagsterServices) -> psutil.Process:
    """Each event of a run names the process that wrote it."""
    with dg.DagsterInstance.from_config(str(services.home)) as instance:
        written = [entry.dagster_event.pid for entry in instance.all_logs(run_id) if entry.dagster_event]
    (worker,) = [worker for worker in services.workers() if worker.pid in written]
    return worker


def _now() -> datetime:
    return datetime.now(timezone.utc)
