"""What an installation costs that has nothing to do, with one destination and with four.

A real daemon with its code server, schedules and sensors on, nothing selected, Dagster's storage in the same
PostgreSQL. The statements are those that PostgreSQL logs, the CPU is that of the processes.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from benchmarks.installation import until
from benchmarks.site import ROOT, environment
from benchmarks.throughput import Say
from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres, start
from crm_sync_pipeline.simulators import SIMULATIONS
from crm_sync_pipeline.simulators.server import running

WARM_UP_SECONDS = 40
LOGGED = re.compile(r"^@(\w+) .*(?:statement|execute [^:]*): (?!BEGIN|COMMIT|ROLLBACK)", re.MULTILINE)
LOG_STATEMENTS = ("log_statement = 'all'", "log_line_prefix = '@%d '")


def idle(say: Say, seconds: int = 120) -> dict[str, Any]:
    """Statements per second by database, and CPU in percent of a core, with Brevo alone and with all destinations."""
    found = {}
    for title, names in (("one", ["brevo"]), ("four", list(SIMULATIONS))):
        found[title] = _measured(names, seconds)
        say(f"idle with {', '.join(names)}: {found[title]}")
    return {"seconds": seconds, **found}


def _measured(names: Sequence[str], seconds: int) -> dict[str, Any]:
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="crm-sync-idle-")))
        folder.chmod(0o755)  # PostgreSQL runs as another user where this one is root
        server = parts.enter_context(start(folder / "postgres"))
        settings = _settings(parts, server, names)
        daemon = parts.enter_context(_daemon(folder / "home", settings))
        time.sleep(WARM_UP_SECONDS)
        log, began_at = folder / "postgres" / "server.log", time.monotonic()
        offset, cpu = log.stat().st_size, _cpu_seconds(daemon)
        time.sleep(seconds)
        took = time.monotonic() - began_at
        spent = {name: after - cpu.get(name, 0.0) for name, after in _cpu_seconds(daemon).items()}
        with log.open("rb") as file:
            file.seek(offset)
            statements = Counter(LOGGED.findall(file.read().decode(errors="replace")))
    return {
        "statements_a_second": {name: round(count / took, 2) for name, count in sorted(statements.items())},
        "cpu_percent": {name: round(100 * each / took, 2) for name, each in spent.items()},
    }


def _settings(parts: ExitStack, server: EmbeddedPostgres, names: Sequence[str]) -> dict[str, str]:
    url = server.create_database("contacts_of_users")
    database = Database(url=url, crms=CRMS)
    database.upgrade(lambda _line: None)
    with engine_for(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting in LOG_STATEMENTS:
            connection.execute(sa.text(f"ALTER SYSTEM SET {setting}"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    database.engine.dispose()
    settings = {"DATABASE_URL": url, "CRM_SYNC_DAGSTER_DB_URL": server.create_database("dagster")}
    for name in names:
        simulation = SIMULATIONS[name]
        simulator = parts.enter_context(running(simulation.build(simulation.demo_plan, ()).app))
        settings |= simulation.settings_at(simulator.base_url)
    return settings


@contextmanager
def _daemon(home: Path, settings: Mapping[str, str]) -> Iterator[psutil.Process]:
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
    with (home / "daemon.log").open("wb") as log:
        daemon = psutil.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-m", "crm_sync_pipeline.definitions"],
            cwd=home,
            env={**environment(), "PYTHONPATH": str(ROOT), "DAGSTER_HOME": str(home), **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: b"SensorDaemon" in (home / "daemon.log").read_bytes(), 90, "the daemon looks at its sensors")
        yield daemon
    finally:
        family = [daemon, *daemon.children(recursive=True)]
        daemon.terminate()
        with suppress(psutil.TimeoutExpired):
            daemon.wait(20)
        for left in family:
            with suppress(psutil.NoSuchProcess):
                left.kill()


def _cpu_seconds(daemon: psutil.Process) -> dict[str, float]:
    """Of the daemon, and of its code server together with what else it has started."""
    found = {"daemon": sum(daemon.cpu_times()[:2]), "code server": 0.0}
    for child in daemon.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found["code server"] += sum(child.cpu_times()[:2])
    return found
