"""One episode under Dagster: fill the table, let it deliver, do what the plan says, heal, wait, gather the evidence."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.audit import PEOPLE, as_actor
from crm_sync_pipeline_tests.chaos.contacts import OPTED_OUT, Filling, fill
from crm_sync_pipeline_tests.chaos.dagster_definitions import CALL_SECONDS, DESTINATION, LEASE_SECONDS, TRIGGERS
from crm_sync_pipeline_tests.chaos.dagster_faults import DagsterFaults, Plan
from crm_sync_pipeline_tests.chaos.dagster_keeps import everything_kept, failures_in, secrets_in
from crm_sync_pipeline_tests.chaos.dagster_people import Impatient
from crm_sync_pipeline_tests.chaos.dagster_runs import Runs
from crm_sync_pipeline_tests.chaos.dagster_services import dagster_services
from crm_sync_pipeline_tests.chaos.dagster_watching import CALM, DATABASE_URL, FOLDER, ODDS
from crm_sync_pipeline_tests.chaos.evidence import Evidence, Life, calls_in, read_tables
from crm_sync_pipeline_tests.chaos.people import People
from crm_sync_pipeline_tests.chaos.proxy import Port, Proxy
from crm_sync_pipeline_tests.chaos.site import Site, folder
from crm_sync_pipeline_tests.chaos.time_passing import Clockwork
from crm_sync_pipeline_tests.chaos.trace import read_trace
from crm_sync_pipeline_tests.chaos.vendor import Vendor
from crm_sync_pipeline_tests.chaos.watched import Watched

BATCH_SIZE = 12
RUNS_AT_A_TIME = 3
REQUESTS_PER_SECOND = 15
LATENCY = "latency=150:jitter=100"
"""Of the simulator: with the pace, a batch takes two seconds, and some calls are always in flight."""

LEASE, CALL = 8, 1.5
"""Seconds; as leases run out in earnest here, they are short."""

PEOPLE_PAUSES = (0.05, 0.45)
STALLED_SECONDS = 120.0
"""The queue counts as stuck when it has not moved for as long: a run starts within seconds, unless others load us."""

RUNS_END_SECONDS = 120.0
QUIET_SECONDS = 1.0
_LOOK_SECONDS = 0.5

POINTS: Mapping[str, float] = {
    "before_claim": 0.01,
    "claim_not_committed": 0.02,
    "claimed": 0.02,
    "before_call": 0.002,
    "after_call_before_journal": 0.002,
    "in_lease_extension": 0.003,
    "journal_not_committed": 0.005,
    "journaled": 0.005,
    "mid_batch": 0.001,
    "before_settle": 0.02,
    "settle_not_committed": 0.03,
    "settled": 0.02,
    "in_recovery": 0.03,
}
"""How often a worker kills itself at a named point, on top of the kills of the plan."""


@dataclass
class Outcome:
    """What an episode left behind.

    `drain_seconds` is None where the queue was not empty in the end, `runs_left` are the runs that never ended,
    `failures` what failed steps said, `secrets` where something stands that should not.
    """

    evidence: Evidence
    faults: Counter[str]
    requests: int
    drain_seconds: float | None
    runs_left: Mapping[str, str]
    failures: Counter[str]
    secrets: list[str]
    people: Counter[str]
    seconds: float = 0.0


def run_episode(site: Site, vendor: Vendor, plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Do one episode, from an empty database to the evidence."""
    started_at = time.monotonic()

    def tell(what: str) -> None:
        say(f"seed {plan.seed}: {what} after {time.monotonic() - started_at:.0f} s")

    with ExitStack() as stack:
        notes, home = stack.enter_context(folder()), stack.enter_context(folder())
        world = stack.enter_context(site.database(f"episode_{plan.seed}", LEASE))
        filling = fill(world, vendor, 20 + 6 * plan.kills, has_killer=plan.has_killer)
        simulator = vendor.simulate(plan.seed)
        simulator.opt_out(OPTED_OUT)
        simulator.inject(LATENCY)
        server = stack.enter_context(running(simulator.app))
        database_proxy = stack.enter_context(Proxy(site.socket))
        vendor_proxy = stack.enter_context(Proxy(Port(server.port)))
        instance = stack.enter_context(_instance_database(site, plan.seed))
        environment = _environment(vendor, plan, instance, database_proxy, vendor_proxy, notes)
        services = stack.enter_context(dagster_services(home, environment, RUNS_AT_A_TIME))
        services.start_code_server()
        services.start_daemon()
        services.start_webserver()
        tell("Dagster is up")
        runs = Runs(services.graphql, vendor.name)
        playing = World(as_actor(site.postgres.url_of(f"episode_{plan.seed}"), PEOPLE))
        people = People(playing, vendor.crm, filling.healthy, plan.seed, PEOPLE_PAUSES)
        clockwork = Clockwork(world, vendor.crm)
        faults = DagsterFaults(
            plan,
            services,
            site.postgres,
            database_proxy,
            vendor_proxy,
            simulator,
            notes / "trace",
            _each(_LOOK_SECONDS, lambda: _let_time_pass(clockwork)),
        )
        with Impatient(runs, clockwork.unfinished, RUNS_AT_A_TIME, BATCH_SIZE):
            with people:
                faults.do_all()
            tell("everything has happened")
            faults.heal()
            (notes / CALM).touch()
            drain_seconds = _drain(clockwork)
        tell("the queue is empty" if drain_seconds is not None else "the queue is NOT empty")
        left = _runs_left(runs)
        services.stop()
        return Outcome(
            evidence=_evidence(world, vendor, simulator, faults, notes, filling, clockwork),
            faults=faults.done,
            requests=simulator.requests.total,
            drain_seconds=drain_seconds,
            runs_left=left,
            failures=failures_in(instance),
            secrets=list(secrets_in(everything_kept(home, instance), vendor.secret)),
            people=people.done,
            seconds=time.monotonic() - started_at,
        )


@contextmanager
def _instance_database(site: Site, seed: int) -> Iterator[World]:
    """Dagster's own database, as nobody's faults reach it."""
    name = f"dagster_{seed}"
    instance = World(site.postgres.create_database(name))
    try:
        yield instance
    finally:
        instance.engine.dispose()
        site.postgres.drop_database(name)


def _environment(
    vendor: Vendor, plan: Plan, instance: World, database: Proxy, server: Proxy, notes: Path
) -> dict[str, str]:
    behind_proxy = database.url_of_database(f"dagster_{plan.seed}")
    url = database.url_of_database(f"episode_{plan.seed}")
    its = vendor.name.upper()
    return {
        "DATABASE_URL": url,
        **vendor.settings(f"http://127.0.0.1:{server.port}"),
        f"{its}_REQUESTS_PER_SECOND": str(REQUESTS_PER_SECOND),
        f"{its}_CONCURRENCY": "4",
        f"{its}_SYNC_SENSOR_BATCH_LIMIT": str(BATCH_SIZE),
        f"{its}_SYNC_SCHEDULER_MAX_INSTANCES": str(RUNS_AT_A_TIME),
        DESTINATION: vendor.name,
        "CRM_SYNC_DAGSTER_DB_URL": behind_proxy if plan.storage_is_behind_proxy else instance.url,
        LEASE_SECONDS: str(LEASE),
        CALL_SECONDS: str(CALL),
        TRIGGERS: "on",
        FOLDER: str(notes),
        ODDS: json.dumps(POINTS),
        DATABASE_URL: url,
    }


def _each(seconds: float, act: Callable[[], None]) -> Callable[[], None]:
    """Do something every so many seconds, however often one is asked."""
    done_at = 0.0

    def ask() -> None:
        nonlocal done_at
        if time.monotonic() - done_at > seconds:
            done_at = time.monotonic()
            act()

    return ask


def _let_time_pass(clockwork: Clockwork) -> None:
    clockwork.let_retries_be_due()
    clockwork.let_probes_be_due()
    clockwork.look_for_idle_transactions()


def _drain(clockwork: Clockwork) -> float | None:
    """Wait until the queue is empty; how long that took, None where nothing moved any more."""
    healed_at = moved_at = time.monotonic()
    before: int | None = None
    empty_since: float | None = None
    while (now := time.monotonic()) < moved_at + STALLED_SECONDS:
        _let_time_pass(clockwork)
        left = clockwork.unfinished()
        if left != before:
            before, moved_at = left, now
        if left == 0:
            empty_since = empty_since or now
            if now - empty_since >= QUIET_SECONDS:
                return empty_since - healed_at
        else:
            empty_since = None
        time.sleep(_LOOK_SECONDS)
    return None


def _runs_left(runs: Runs) -> Mapping[str, str]:
    """The runs that never end, though nothing is left to do: Dagster has to notice that their workers are gone."""
    deadline = time.monotonic() + RUNS_END_SECONDS
    while (left := runs.in_progress()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def _evidence(
    world: World,
    vendor: Vendor,
    simulator: Watched,
    faults: DagsterFaults,
    notes: Path,
    filling: Filling,
    clockwork: Clockwork,
) -> Evidence:
    events = read_trace(notes / "trace")
    killed = faults.killed_at | {event.worker: event.at for event in events if event.name == "killed"}
    return Evidence(
        vendor=vendor,
        **read_tables(world, vendor.crm),
        obeyed=tuple(simulator.obeyed),
        epoch=time.time() - time.monotonic(),
        calls=calls_in(events),
        lives={event.worker: Life(killed.get(event.worker)) for event in events},
        events=events,
        disturbed=faults.disturbed,
        hopeless=filling.hopeless,
        clashing=filling.clashing,
        killers=filling.killers,
        ids=simulator.ids(),
        opted_out=simulator.opted_out(),
        idle_in_transaction=clockwork.idle_in_transaction,
    )
