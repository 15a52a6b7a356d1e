"""One trial: fill the table, let workers and people at it, do what the plan says, heal, wait, gather the evidence."""

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.audit import PEOPLE, as_actor
from crm_sync_pipeline_tests.chaos.contacts import OPTED_OUT, Filling, fill
from crm_sync_pipeline_tests.chaos.crew import Crew
from crm_sync_pipeline_tests.chaos.evidence import Evidence, Life, calls_in, read_tables, with_imports
from crm_sync_pipeline_tests.chaos.faults import Faults
from crm_sync_pipeline_tests.chaos.figures import Figures, Violation
from crm_sync_pipeline_tests.chaos.invariants import violations_in
from crm_sync_pipeline_tests.chaos.losses import lost_four_times_in_a_row
from crm_sync_pipeline_tests.chaos.people import People
from crm_sync_pipeline_tests.chaos.plan import LEASE_SECONDS, Plan
from crm_sync_pipeline_tests.chaos.proxy import Port, Proxy
from crm_sync_pipeline_tests.chaos.repeats import repeats_allowed, repeats_in
from crm_sync_pipeline_tests.chaos.site import Site, folder
from crm_sync_pipeline_tests.chaos.time_passing import Clockwork
from crm_sync_pipeline_tests.chaos.trace import read_trace
from crm_sync_pipeline_tests.chaos.vendor import Vendor
from crm_sync_pipeline_tests.chaos.vendors.registry import VENDORS
from crm_sync_pipeline_tests.chaos.watched import Watched
from crm_sync_pipeline_tests.chaos.worker import Orders

CONTACTS = 100
BATCH_SIZE = 16
REQUESTS_PER_SECOND = 75
"""Of all workers together: they share one pace."""
QUIET_SECONDS = 0.4
"""The queue counts as empty once it has been so for as long: a worker that slept may still bring something back."""

_TICK_SECONDS = 0.02
_LOOK_SECONDS = 0.25
_WARM_UP_SECONDS = 20.0


@dataclass
class Outcome:
    """What a trial left behind. `drain_seconds` is None where the queue was not empty in the end."""

    evidence: Evidence
    faults: Counter[str]
    requests: int
    imports: int
    drain_seconds: float | None
    seconds: float = 0.0
    people: Counter[str] = field(default_factory=Counter)


def run_trial(site: Site, plan: Plan, ablation: str | None = None, destination: str = "brevo") -> Outcome:
    """Do one trial, from an empty database to the evidence."""
    started_at = time.monotonic()
    vendor = VENDORS[destination]
    with ExitStack() as stack:
        notes = stack.enter_context(folder())
        name = f"trial_{plan.seed}"
        world = stack.enter_context(site.database(name, LEASE_SECONDS))
        filling = fill(world, vendor, CONTACTS, has_killer=plan.has_killer)
        simulator = vendor.simulate(plan.seed)
        simulator.opt_out(OPTED_OUT)
        server = stack.enter_context(running(simulator.app))
        database_proxy = stack.enter_context(Proxy(site.socket))
        vendor_proxy = stack.enter_context(Proxy(Port(server.port)))
        first = Orders(
            name="0",
            seed=plan.seed,
            database_url=database_proxy.url_of_database(name),
            destination=destination,
            server_url=f"http://127.0.0.1:{vendor_proxy.port}",
            folder=notes,
            lease_seconds=LEASE_SECONDS,
            batch_size=BATCH_SIZE,
            requests_per_second=REQUESTS_PER_SECOND,
            odds=plan.odds,
            imports=plan.imports and vendor.has_imports,
            ablation=ablation,
        )
        orders = [
            replace(first, name=str(number), clock_moved_seconds=moved) for number, moved in enumerate(plan.moved)
        ]
        people = People(World(as_actor(site.postgres.url_of(name), PEOPLE)), vendor.crm, filling.healthy, plan.seed)
        clockwork = Clockwork(world, vendor.crm)
        crew = stack.enter_context(Crew(orders))
        _wait_for_work(notes / "trace")
        faults = Faults(plan, site, crew, clockwork, database_proxy, vendor_proxy, simulator, vendor.title)
        with people:
            _disturb(faults, clockwork, plan.fault_seconds)
        drain_seconds = _drain(faults, clockwork, plan.drain_seconds)
        crew.dismiss()
        evidence = _evidence(world, vendor, simulator, crew, faults, notes, filling, clockwork)
    _count_kills(faults.done, evidence)
    return Outcome(
        evidence,
        faults.done,
        simulator.requests.total,
        len(simulator.processes),
        drain_seconds,
        time.monotonic() - started_at,
        people.done,
    )


def figures_of(plan: Plan, outcome: Outcome, destination: str = "brevo") -> Figures:
    """Check the invariants, and count."""
    evidence = outcome.evidence
    causes = Counter(repeat.cause for repeat in repeats_in(evidence))
    figures = Figures(
        "process",
        destination,
        trials=1,
        seeds=[plan.seed],
        faults=outcome.faults,
        contacts=len(evidence.of_contacts),
        requests=outcome.requests,
        imports=outcome.imports,
        repeats=causes.total(),
        repeats_by_cause=causes,
        repeats_allowed=repeats_allowed(evidence),
        worst_drain_seconds=plan.drain_seconds if outcome.drain_seconds is None else outcome.drain_seconds,
        seconds=outcome.seconds,
        violations=[Violation(plan.seed, name, sentence) for name, sentence in violations_in(evidence)],
        lost_to_error=sum(
            lost_four_times_in_a_row(evidence, contact)
            for contact in evidence.ended_in_error()
            if contact not in evidence.killers
        ),
    )
    figures.faults.update({f"people {act}": count for act, count in outcome.people.items()})
    return figures


def _wait_for_work(trace: Path) -> None:
    """Until the first worker has claimed something; a trial in which none ever does has faults all the same."""
    deadline = time.monotonic() + _WARM_UP_SECONDS
    while time.monotonic() < deadline and not (trace.exists() and trace.stat().st_size):
        time.sleep(_TICK_SECONDS)


def _disturb(faults: Faults, clockwork: Clockwork, seconds: float) -> None:
    """The bad time. Retries are due once in its middle, so that most failures are not final; probes always."""
    end = time.monotonic() + seconds
    retries_due_at, look_at = end - seconds / 2, 0.0
    while (now := time.monotonic()) < end or not faults.are_over:
        faults.do_what_is_due()
        if now >= retries_due_at:
            retries_due_at = float("inf")
            clockwork.let_retries_be_due()
        if now >= look_at:
            look_at = now + _LOOK_SECONDS
            clockwork.let_probes_be_due()
            clockwork.look_for_idle_transactions()
        time.sleep(_TICK_SECONDS)


def _drain(faults: Faults, clockwork: Clockwork, limit_seconds: float) -> float | None:
    """Heal everything, and wait until the queue is empty; returns how long that took, None where it did not happen."""
    faults.heal()
    healed_at = time.monotonic()
    empty_since: float | None = None
    retries_due_at = healed_at
    while (now := time.monotonic()) < healed_at + limit_seconds:
        if now >= retries_due_at:
            retries_due_at = now + _LOOK_SECONDS
            clockwork.let_retries_be_due()
            clockwork.let_probes_be_due()
            clockwork.look_for_idle_transactions()
        if clockwork.unfinished() == 0:
            empty_since = empty_since or now
            if now - empty_since >= QUIET_SECONDS:
                return empty_since - healed_at
        else:
            empty_since = None
        time.sleep(2 * _TICK_SECONDS)
    return None


def _evidence(
    world: World,
    vendor: Vendor,
    simulator: Watched,
    crew: Crew,
    faults: Faults,
    notes: Path,
    filling: Filling,
    clockwork: Clockwork,
) -> Evidence:
    events = read_trace(notes / "trace")
    tables = read_tables(world, vendor.crm)
    simulator.catch_up()
    killed = faults.killed_at | {event.worker: event.at for event in events if event.name == "killed"}
    epoch = time.time() - time.monotonic()
    return Evidence(
        vendor=vendor,
        **tables,
        obeyed=tuple(simulator.obeyed),
        epoch=epoch,
        calls=with_imports(calls_in(events), simulator.processes, tables["attempts"], epoch),
        lives={
            worker.name: Life(killed.get(worker.name), worker.ended_at, tuple(worker.stopped)) for worker in crew.all
        },
        events=events,
        disturbed=faults.disturbed,
        hopeless=filling.hopeless,
        clashing=filling.clashing,
        killers=filling.killers,
        ids=simulator.ids(),
        opted_out=simulator.opted_out(),
        hung=crew.hung,
        idle_in_transaction=clockwork.idle_in_transaction,
    )


def _count_kills(faults: Counter[str], evidence: Evidence) -> None:
    """The kills at named points, which the workers themselves wrote down."""
    faults["kill at random"] = faults.pop("kill", 0)
    for event in evidence.events:
        if event.name == "killed":
            faults[f"kill at {event.told['point'].replace('_', ' ')}"] += 1
