"""Where the contenders compete: a server, a durable PostgreSQL, a process for each contender."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import httpx
import psutil

from benchmarks.contender import Measured, Task
from benchmarks.people import load_people
from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres, start

LONGEST_SECONDS = 1200
SETTLE_SECONDS = 0.3
ROOT = Path(__file__).parents[1]


class BenchmarkError(RuntimeError):
    """A contender failed, or did not deliver everything: its time means nothing."""


@dataclass
class LoopbackServer:
    """The server of benchmarks/server.py, in a process of its own."""

    url: str
    process: psutil.Popen

    def reset(self, latency_seconds: float) -> None:
        """Forget what arrived, and answer that much later from now on."""
        httpx.post(f"{self.url}/reset", json={"latency_seconds": latency_seconds}, trust_env=False).raise_for_status()

    def counts(self) -> dict[str, int]:
        """What arrived since the last reset."""
        counts: dict[str, int] = httpx.get(f"{self.url}/counts", trust_env=False).json()
        return counts


@contextmanager
def loopback_server() -> Iterator[LoopbackServer]:
    """Serve while the block runs."""
    process = psutil.Popen(
        [sys.executable, "-m", "benchmarks.server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield LoopbackServer(f"http://127.0.0.1:{int(process.stdout.readline())}", process)
    finally:
        process.kill()
        process.communicate()


@dataclass
class Databases:
    """Copies of one database with so many selected contacts, each used once."""

    home: Path
    parts: ExitStack
    _templates: dict[tuple[int, str], str] = field(default_factory=dict)
    _made: int = 0

    @cached_property
    def server(self) -> EmbeddedPostgres:
        """The PostgreSQL, started when it is first needed."""
        return self.parts.enter_context(start(self.home))

    @contextmanager
    def with_selected(self, contacts: int, crm: str = "brevo") -> Iterator[str]:
        """The URL of a database in which this many contacts are selected for a CRM."""
        if (contacts, crm) not in self._templates:
            self._templates[contacts, crm] = self._template(contacts, crm)
        self._made += 1
        name = f"benchmark_{self._made}"
        url = self.server.create_database(name, self._templates[contacts, crm])
        try:
            yield url
        finally:
            engine_for(url).dispose()
            self.server.drop_database(name)

    def _template(self, contacts: int, crm: str) -> str:
        name = f"with_{contacts}_{crm}"
        database = Database(url=self.server.create_database(name), crms=CRMS)
        database.upgrade(lambda _line: None)
        load_people(database.engine, contacts, crms=[crm])
        database.engine.dispose()
        return name

    def unfinished(self, url: str, crm: str = "brevo") -> int:
        """How many contacts of that database are not Complete."""
        with engine_for(url).connect() as connection:
            query = (
                "SELECT count(*) FROM contacts"
                f" WHERE ({crm}_sync_status, {crm}_processing_status) IS DISTINCT FROM ('Complete', 'Complete')"
            )
            return int(connection.exec_driver_sql(query).scalar_one())

    def attempts_that_failed(self, url: str) -> int:
        """How many attempts in our journal came to anything but success."""
        with engine_for(url).connect() as connection:
            query = "SELECT count(*) FROM crm_sync.attempts WHERE outcome <> 'synced'"
            return int(connection.exec_driver_sql(query).scalar_one())

    def cpu_seconds(self) -> float:
        """What PostgreSQL has used so far, in all its processes, those that ended included."""
        time.sleep(SETTLE_SECONDS)  # a backend that ends right now would be counted twice, or not at all
        postmaster = psutil.Process(self.server.pid)
        own = postmaster.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for backend in postmaster.children():
            with suppress(psutil.NoSuchProcess):  # it has just ended, and counts among the children's times now
                times = backend.cpu_times()
                total += times.user + times.system
        return total


@contextmanager
def databases() -> Iterator[Databases]:
    """A PostgreSQL with its default settings, on disk: each COMMIT is durable, as yours are."""
    with tempfile.TemporaryDirectory(prefix="crm-sync-benchmark-") as folder:
        Path(folder).chmod(0o711)  # root's server runs as somebody else
        with ExitStack() as parts:
            yield Databases(Path(folder) / "postgres", parts)


def run_contender(name: str, task: Task) -> Measured:
    """Let a contender do the task in a process of its own. BenchmarkError where it fails."""
    command = [sys.executable, "-m", f"benchmarks.contenders.{name}", json.dumps(asdict(task))]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def environment() -> dict[str, str]:
    """This process's environment without the project's own settings, and with no proxy on the way to loopback."""
    ours = ("DATABASE_URL", *(f"{name.upper()}_" for name in CRMS), "CRM_SYNC_", "DAGSTER_HOME")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
