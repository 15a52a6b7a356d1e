"""What a real run worker of Dagster's holds at most, for a batch of 500, with little and with much behind it."""

import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from benchmarks.installation import POLL_SECONDS, Installation, installation
from benchmarks.people import load_people, queue_many
from benchmarks.site import BenchmarkError, databases
from benchmarks.throughput import Say
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import running

BATCH_SIZE = 500
MANY = 1_000_000
LONGEST_SECONDS = 120


def memory(say: Say, queued: tuple[int, ...] = (BATCH_SIZE, MANY)) -> list[dict[str, Any]]:
    """One row for each backlog: the peak of the first worker, and how long its run took in Dagster."""
    return [_row(count, say) for count in queued]


def _row(queued: int, say: Say) -> dict[str, Any]:
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"]))
    with (
        databases() as copies,
        copies.with_selected(0) as url,
        running(simulator.app) as server,
        tempfile.TemporaryDirectory(prefix="crm-sync-benchmark-") as folder,
    ):
        database = Database(url=url, crms=CRMS)
        if queued <= BATCH_SIZE:
            load_people(database.engine, queued)
        else:
            queue_many(database.engine, queued)
        database.engine.dispose()
        settings = {
            "DATABASE_URL": url,
            "BREVO_API_KEY": DEFAULT_KEY,
            "BREVO_API_BASE_URL": f"{server.base_url}/v3",
            "BREVO_REQUESTS_PER_SECOND": "1000",
            "BREVO_SYNC_SENSOR_BATCH_LIMIT": str(BATCH_SIZE),
        }
        with installation(Path(folder) / "home", **settings) as dev:
            peak_mib = _peak_of_first_worker(dev)
            with dg.DagsterInstance.from_config(str(dev.home)) as instance:
                run = instance.get_run_records(ascending=True, limit=1)[0]
        if not run.start_time or not run.end_time:
            raise BenchmarkError(f"The run ended {run.dagster_run.status.value}.")
        run_seconds = run.end_time - run.start_time
        say(f"{queued} queued: the worker's peak is {peak_mib:.0f} MiB, its run took {run_seconds:.1f} s")
        return {
            "queued": queued,
            "batch": BATCH_SIZE,
            "peak_mib": peak_mib,
            "run_seconds": run_seconds,
            "requests": simulator.requests.total,
        }


def _peak_of_first_worker(dev: Installation) -> float:
    deadline = time.monotonic() + LONGEST_SECONDS
    peak_kib, worker = 0, None
    while time.monotonic() < deadline:
        worker = worker or next(iter(dev.workers()), None)
        if worker is not None:
            with suppress(OSError, ValueError):
                peak_kib = max(peak_kib, _peak_kib(worker.pid))
            if not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE:
                return peak_kib / 1024
        time.sleep(POLL_SECONDS)
    raise BenchmarkError(f"No run worker came and went within {LONGEST_SECONDS} s.")


def _peak_kib(pid: int) -> int:
    """Linux's own record of a process's largest resident set. OSError or ValueError once the process is gone."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise ValueError(pid)
