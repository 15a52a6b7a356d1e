"""`./run dev`: Dagster's UI, schedules and sensors, with simulators for whatever is not set."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

import httpx
import psutil
from rich.console import Console

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS, load_settings
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.sandbox.accounts import simulated_account
from crm_sync_pipeline.sandbox.postgres import start
from crm_sync_pipeline.sandbox.sample_contacts import load, sample_contacts
from crm_sync_pipeline.simulators import SIMULATIONS
from crm_sync_pipeline.simulators.server import running

SAMPLE_SIZE = 300
STOP_SECONDS = 2.5


class DevError(CrmSyncError):
    """`./run dev` can't start."""


def run_dev(var: Path, port: int, console: Console) -> None:
    """Run until Ctrl-C or SIGTERM, then stop everything within five seconds. DevError where it can't start."""
    if not (Path("dagster.yaml").exists() and Path("workspace.yaml").exists()):
        raise DevError(
            "There is no dagster.yaml and workspace.yaml here. Nothing was started. Go to the checkout first."
        )
    _require_free(port)
    stop = threading.Event()
    with _told_to_stop(stop), ExitStack() as parts:  # a second Ctrl-C must not end the stopping
        environment = _prepare(parts, var, console)
        server = parts.enter_context(_dagster(environment, port))
        parts.enter_context(_announced(console, server, port, stop))
        while server.poll() is None and not stop.wait(0.2):
            pass
        if server.poll() is not None:
            raise DevError(f"Dagster ended by itself with exit code {server.returncode}; its own lines above say why.")
        console.print("Stopping ...")


def _prepare(parts: ExitStack, var: Path, console: Console) -> dict[str, str]:
    """Start what is not set; returns the environment for Dagster."""
    settings = load_settings()
    environment = {
        "DAGSTER_HOME": str(Path.cwd()),
        "PYTHONWARNINGS": "ignore:Function `dev_command` is superseded",  # it says so at every start
        **{name: value for name, value in os.environ.items() if value},
    }
    for name in DESTINATIONS:
        title = DESTINATIONS[name].title
        if not settings.destinations[name].missing:
            account = DESTINATIONS[name].destination().from_settings(settings)
            console.print(f"{title}: your account, by {account.base_url}")
        elif name in SIMULATIONS:
            simulation = SIMULATIONS[name]
            simulator = parts.enter_context(running(simulation.build(simulation.plan, ()).app))
            environment.update(simulated_account(name, simulator.base_url))
            environment["NO_PROXY"] = f"127.0.0.1,{environment.get('NO_PROXY', '')}"
            console.print(f"{title}: simulated; what it was sent is at {simulator.base_url}/simulator/requests")
    if settings.general.database:
        console.print(f"Database: yours, by {settings.general.database_variable}")
        return environment
    postgres = parts.enter_context(start(var / "postgres"))
    environment["DATABASE_URL"] = postgres.url
    database = Database(url=postgres.url, contacts_table=settings.general.crm_sync_contacts_table, crms=CRMS)
    parts.callback(lambda: database.engine.dispose())
    database.upgrade(lambda line: console.print(f"  {line}"))
    if not database.report().contacts_count():
        load(database, sample_contacts(SAMPLE_SIZE))
    console.print("Database: an embedded PostgreSQL with sample contacts, kept in var/postgres. In another terminal:")
    console.print(f"  export DATABASE_URL='{postgres.url}'")
    crms = " ".join(f"--crm {name}" for name in DESTINATIONS)
    console.print(f"  .venv/bin/crm-sync select --all --anyway {crms}")
    console.print("Then watch the sensors start runs.")
    return environment


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise DevError(
                f"Port {port} is taken by another program, so Dagster's UI can't start. Nothing was started. "
                f"Stop that program, or choose another port: ./run dev --port {port + 1}"
            ) from None


@contextmanager
def _told_to_stop(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set the event; what stood before is put back."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _dagster(environment: Mapping[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`dagster dev` in a session of its own; at the end its whole group is stopped.

    The group, because run workers have to hear of it too: they journal what arrived and give the rest back.
    """
    command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        command,
        env=environment,
        start_new_session=True,
        preexec_fn=_heed_interrupts,  # no threads have been started that could hold a lock
    )
    try:
        yield server
    finally:
        family = _family_of(server.pid)
        for number, patience in ((signal.SIGINT, STOP_SECONDS), (signal.SIGKILL, 1.0)):
            with suppress(ProcessLookupError):
                os.killpg(server.pid, number)
            if _is_gone(server, family, patience):
                break


def _heed_interrupts() -> None:
    """Dagster started in the background of a script inherits an ignored SIGINT, and then nothing stops it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _family_of(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def _is_gone(server: subprocess.Popen[bytes], family: Iterable[psutil.Process], patience: float) -> bool:
    """Wait until Dagster and all it started have ended; a zombie, which nobody may ever reap, counts as ended."""
    deadline = time.monotonic() + patience
    while server.poll() is None or any(is_alive(process) for process in family):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs: one that has ended and that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def _announced(console: Console, server: subprocess.Popen[bytes], port: int, stop: threading.Event) -> Iterator[None]:
    """Say where the UI is once it answers."""

    def watch() -> None:
        while server.poll() is None and not stop.wait(0.3):
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/server_info", trust_env=False).is_success:
                    console.print(f"\n[bold]Dagster's UI: http://127.0.0.1:{port}[/]   (Ctrl-C stops everything)\n")
                    return

    announcer = threading.Thread(target=watch, name="announcer", daemon=True)
    announcer.start()
    yield
