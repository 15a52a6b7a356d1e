"""`./run demo`: sample contacts through the real job, from a real PostgreSQL to a simulated CRM."""

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from crm_sync_pipeline.contact_queue.people.acts import Actor
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS, load_settings
from crm_sync_pipeline.domain.explanation import explain
from crm_sync_pipeline.orchestration.jobs import claim_config
from crm_sync_pipeline.sandbox.postgres import temporary
from crm_sync_pipeline.sandbox.sample_contacts import load, sample_contacts
from crm_sync_pipeline.settings import Settings
from crm_sync_pipeline.simulators import SIMULATIONS
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline.simulators.simulator import Simulator

BATCH_SIZE = 150
POLL_SECONDS = 0.2
LINE_EVERY_SECONDS = 2.0
NAME, SIMULATION = next(iter(SIMULATIONS.items()))
CRM = CRMS[NAME]


@dataclass(frozen=True)
class Demo:
    """What the demo runs on."""

    database: Database
    simulator: Simulator
    console: Console


def run_demo(size: int, console: Console) -> None:
    """Do all of it; leaves nothing behind. `size` is how many contacts are loaded, 50 or more."""
    parts = f"an embedded PostgreSQL, a simulator of {CRM.title}, real Dagster runs"
    console.print(f"[bold]crm_sync_pipeline demo[/]: {parts}.\n")
    simulator = SIMULATION.build(SIMULATION.demo_plan, ())
    with temporary() as postgres, running(simulator.app) as server, _instance() as instance:
        settings = _settings(postgres.url, server.base_url)
        database = Database.from_settings(settings, CRMS)
        try:
            demo = Demo(database, simulator, console)
            database.upgrade(lambda _line: None)
            loaded = load(database, sample_contacts(size))
            selected = database.acts(Actor("demo")).carry_out("select", Which(), [NAME], everything=True)
            console.print(f"Loaded {loaded} contacts. {selected.message}")
            started = time.monotonic()
            runs = _deliver_all(demo, settings, instance, loaded)
            _show(demo, runs, time.monotonic() - started)
        finally:
            database.engine.dispose()


def _settings(database_url: str, simulator_url: str) -> Settings:
    """Settings that reach nothing but the simulators, whatever the environment and a .env file say."""
    os.environ.update(
        CRM_SYNC_DATABASE_URL=database_url,  # the one that wins: DATABASE_URL may name a real database
        CRM_SYNC_CONTACTS_TABLE="contacts",
        NO_PROXY="127.0.0.1",
        **SIMULATION.settings_at(simulator_url),
        **SIMULATION.demo_settings,
    )
    return load_settings()


@contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    """A real instance of its own, kept in a temporary folder; it tells nobody about itself."""
    with tempfile.TemporaryDirectory(prefix="crm-sync-demo-") as folder:
        quiet = {"telemetry": {"enabled": False}, "nux": {"enabled": False}}
        with dg.DagsterInstance.local_temp(folder, overrides=quiet) as instance:
            yield instance


def _deliver_all(demo: Demo, settings: Settings, instance: dg.DagsterInstance, total: int) -> Counter[str]:
    """Run the job until nothing is due; returns how many runs ended how."""
    job = build_definitions(settings).resolve_job_def(f"{NAME}_sync")
    queue, runs = demo.database.queue(NAME), Counter[str]()
    with _progress(demo, total):
        while due := queue.depth(limit=BATCH_SIZE):
            ops = claim_config(NAME, due).ops
            config = dg.RunConfig(ops=ops, loggers={"console": {"config": {"log_level": "CRITICAL"}}})
            result = job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)
            runs["success" if result.success else "failure"] += 1
            if not result.success:
                break
    return runs


@contextmanager
def _progress(demo: Demo, total: int) -> Iterator[None]:
    """A bar on a terminal, a line every two seconds elsewhere, fed from the database while the job works."""
    over = threading.Event()
    columns = (TextColumn("Delivering"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    is_terminal = demo.console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=demo.console, disable=not is_terminal) as bar:
        task = bar.add_task("Delivering", total=total, rate="")

        def watch() -> None:
            started = spoke = time.monotonic()
            while not over.wait(POLL_SECONDS):
                done = _answered(demo)
                now = time.monotonic()
                bar.update(task, completed=done, rate=f"{done / (now - started):.0f} contacts/s")
                if not is_terminal and now - spoke >= LINE_EVERY_SECONDS:
                    spoke = now
                    demo.console.print(f"  {done} of {total} attempted")
            bar.update(task, completed=_answered(demo))

        watcher = threading.Thread(target=watch, name="progress")
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


def _answered(demo: Demo) -> int:
    return demo.database.report().attempted(NAME)


def _show(demo: Demo, runs: Counter[str], seconds: float) -> None:
    out, report = demo.console, demo.database.report()
    state, errors = report.status(CRM), report.errors(CRM)
    out.print("\n[bold]What became of them[/] (`crm-sync status` shows the same of your own)")
    ends = Table(box=None, pad_edge=False)
    ends.add_column("end state")
    ends.add_column("contacts", justify="right")
    for name, count in sorted(state.counts.items()):
        ends.add_row(f"{name}, waiting for a retry" if name == "Queued" else name, str(count))
    out.print(ends)
    if errors:
        out.print("\n[bold]Why some wait[/]")
        why = Table(box=None, pad_edge=False)
        for heading in ("contacts", "reason", "what was said", "retry due (UTC)"):
            why.add_column(heading)
        for group in errors:
            due = f"{group.next_retry_at:%H:%M:%S}" if group.next_retry_at else "-"
            why.add_row(str(group.count), group.reason, escape(group.message), due)
        out.print(why)
        first = max(errors, key=lambda group: group.reason == "invalid_email").contact_ids[0]
        answer = explain(
            report.facts(CRM, demo.database.selection().find(first), demo.database.policy(NAME).max_retries),
            DESTINATIONS[NAME].remedies,
        )
        out.print(f"\n[bold]crm-sync explain {first}[/]\n  {escape(answer.verdict)}\n  Next: {answer.next_step}")
    held = demo.simulator.counts()
    delivered = state.counts.get("Complete", 0)
    attempts = _answered(demo)
    out.print(
        f"\nThe simulator of {CRM.title} now holds {held['contacts']} contacts; "
        f"it was sent {len(demo.simulator.requests)} requests."
    )
    out.print(
        f"{sum(runs.values())} Dagster runs, {attempts} attempts, {delivered} contacts delivered in {seconds:.1f} s: "
        f"{attempts / seconds:.0f} contacts/s."
    )
    out.print(
        "\n[bold]Next[/]\n"
        "  ./run dev     the same parts under Dagster's UI, with schedule and sensor on\n"
        "  README.md     how to use it on your own database and your own account"
    )
