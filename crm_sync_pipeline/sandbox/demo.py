"""`./run demo`: sample contacts through the real jobs, from a real PostgreSQL to simulated CRMs."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from crm_sync_pipeline.contact_queue.people.acts import Actor
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.contact_queue.reading.report import ErrorGroup
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS, load_settings
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.domain.explanation import explain
from crm_sync_pipeline.orchestration.jobs import claim_config
from crm_sync_pipeline.sandbox.accounts import simulated_account
from crm_sync_pipeline.sandbox.postgres import temporary
from crm_sync_pipeline.sandbox.sample_contacts import load, sample_contacts
from crm_sync_pipeline.settings import Settings
from crm_sync_pipeline.simulators import SIMULATIONS
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline.simulators.simulation import Simulation
from crm_sync_pipeline.simulators.simulator import Simulator

BATCH_SIZE = 150
POLL_SECONDS = 0.2
LINE_EVERY_SECONDS = 2.0


@dataclass
class Part:
    """One CRM of the demo: its simulator, and what came of its runs."""

    crm: Crm
    simulation: Simulation
    simulator: Simulator
    runs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Demo:
    """What the demo runs on."""

    database: Database
    parts: Sequence[Part]
    console: Console


def run_demo(size: int, console: Console, only: Sequence[str] = ()) -> None:
    """Do all of it; leaves nothing behind.

    `size` is how many contacts are loaded, 50 or more; `only` names the CRMs, without it they are all.
    """
    names = [name for name in SIMULATIONS if name in only or not only]
    parts = [Part(CRMS[name], SIMULATIONS[name], _build(SIMULATIONS[name])) for name in names]
    titles = ", ".join(part.crm.title for part in parts)
    what = (
        f"an embedded PostgreSQL, {'a simulator' if len(parts) == 1 else 'simulators'} of {titles}, real Dagster runs"
    )
    console.print(f"[bold]crm_sync_pipeline demo[/]: {what}.\n")
    with ExitStack() as stack:
        postgres, instance = stack.enter_context(temporary()), stack.enter_context(_instance())
        os.environ.update(
            CRM_SYNC_DATABASE_URL=postgres.url,  # the one that wins: DATABASE_URL may name a real database
            CRM_SYNC_CONTACTS_TABLE="contacts",
            NO_PROXY="127.0.0.1",
        )
        for part in parts:
            server = stack.enter_context(running(part.simulator.app))
            os.environ.update(simulated_account(part.crm.name, server.base_url))
            os.environ.update(part.simulation.demo_settings)
        settings = load_settings()  # that reach nothing but the simulators, whatever the environment and .env say
        demo = Demo(Database.from_settings(settings, CRMS), parts, console)
        stack.callback(lambda: demo.database.engine.dispose())
        demo.database.upgrade(lambda _line: None)
        loaded = load(demo.database, sample_contacts(size))
        selected = demo.database.acts(Actor("demo")).carry_out("select", Which(), names, everything=True)
        console.print(f"Loaded {loaded} contacts. {selected.message}")
        _deliver_all(demo, settings, instance, loaded)
        _show(demo)


def _build(simulation: Simulation) -> Simulator:
    return simulation.build(simulation.demo_plan, ())


@contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    """A real instance of its own, kept in a temporary folder; it tells nobody about itself."""
    with tempfile.TemporaryDirectory(prefix="crm-sync-demo-") as folder:
        quiet = {"telemetry": {"enabled": False}, "nux": {"enabled": False}}
        with dg.DagsterInstance.local_temp(folder, overrides=quiet) as instance:
            yield instance


def _deliver_all(demo: Demo, settings: Settings, instance: dg.DagsterInstance, contacts: int) -> None:
    """Run each CRM's job until nothing is due."""
    definitions = build_definitions(settings)
    quiet = {"console": {"config": {"log_level": "CRITICAL"}}}
    with _progress(demo, contacts * len(demo.parts)):
        for part in demo.parts:
            job = definitions.resolve_job_def(f"{part.crm.name}_sync")
            queue, started = demo.database.queue(part.crm.name), time.monotonic()
            while due := queue.depth(limit=BATCH_SIZE):
                config = dg.RunConfig(ops=claim_config(part.crm.name, due).ops, loggers=quiet)
                result = job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)
                part.runs += 1
                if not result.success:
                    break
            part.seconds = time.monotonic() - started


@contextmanager
def _progress(demo: Demo, total: int) -> Iterator[None]:
    """A bar on a terminal, a line every two seconds elsewhere, fed from the database while the jobs work."""
    over = threading.Event()
    columns = (TextColumn("Delivering"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    is_terminal = demo.console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=demo.console, disable=not is_terminal) as bar:
        task = bar.add_task("Delivering", total=total, rate="")

        def watch() -> None:
            started = spoke = time.monotonic()
            while not over.wait(POLL_SECONDS):
                done = _attempted(demo)
                now = time.monotonic()
                bar.update(task, completed=done, rate=f"{done / (now - started):.0f} deliveries/s")
                if not is_terminal and now - spoke >= LINE_EVERY_SECONDS:
                    spoke = now
                    demo.console.print(f"  {done} of {total} attempted")
            bar.update(task, completed=_attempted(demo))

        watcher = threading.Thread(target=watch, name="progress")
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


def _attempted(demo: Demo) -> int:
    report = demo.database.report()
    return sum(report.attempted(part.crm.name) for part in demo.parts)


def _show(demo: Demo) -> None:
    out, report = demo.console, demo.database.report()
    out.print("\n[bold]What became of them[/] (`crm-sync status` shows the same of your own)")
    ends = Table(box=None, pad_edge=False)
    ends.add_column("CRM")
    for heading in ("Complete", "waiting for a retry", "held there", "requests", "Dagster runs", "contacts/s"):
        ends.add_column(heading, justify="right")
    errors: list[tuple[Part, ErrorGroup]] = []
    for part in demo.parts:
        counts = report.status(part.crm).counts
        errors += [(part, group) for group in report.errors(part.crm)]
        there, attempts = part.simulator.counts().get("contacts", 0), report.attempted(part.crm.name)
        figures = (counts.get("Complete", 0), counts.get("Queued", 0), there, len(part.simulator.requests), part.runs)
        ends.add_row(part.crm.title, *map(str, figures), f"{attempts / part.seconds:.0f}")
    out.print(ends)
    if errors:
        out.print("\n[bold]Why some wait[/]")
        why = Table(box=None, pad_edge=False)
        for heading in ("CRM", "contacts", "reason", "what was said"):
            why.add_column(heading)
        for part, group in errors:
            why.add_row(part.crm.title, str(group.count), group.reason, escape(group.message))
        out.print(why)
        _explain(demo, *max(errors, key=lambda each: each[1].reason == "invalid_email"))
    out.print(
        "\n[bold]Next[/]\n"
        "  ./run dev     the same parts under Dagster's UI, with schedules and sensors on\n"
        "  README.md     how to use it on your own database and your own accounts"
    )


def _explain(demo: Demo, part: Part, group: ErrorGroup) -> None:
    name, contact_id = part.crm.name, demo.database.selection().find(group.contact_ids[0])
    facts = demo.database.report().facts(part.crm, contact_id, demo.database.policy(name).max_retries)
    answer = explain(facts, DESTINATIONS[name].remedies)
    demo.console.print(f"\n[bold]crm-sync explain {contact_id} --crm {name}[/]\n  {escape(answer.verdict)}")
    demo.console.print(f"  Next: {answer.next_step}")
