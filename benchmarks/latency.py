"""From select to request: how long a person's decision takes to reach Brevo, under the real daemon."""

import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import dagster as dg

from benchmarks.installation import Installation, installation
from benchmarks.people import load_people
from benchmarks.site import BenchmarkError, databases
from benchmarks.throughput import Say
from crm_sync_pipeline.contact_queue.people.acts import Actor
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import running

LONGEST_SECONDS = 60
PAUSE_SECONDS = (2.0, 8.0)
"""Between a request and the next selection, at random, so that it falls anywhere between two ticks of the sensor."""


@dataclass(frozen=True)
class Way:
    """Seconds after the selection."""

    run_asked_for: float
    worker_asked_for: float
    run_started: float
    requested: float


def latency(selections: int, say: Say) -> dict[str, Any]:
    """The median and the 95th percentile of so many selections, one after another, and where the time went."""
    ways = _ways(selections, say)
    whole = [way.requested for way in ways]
    return {
        "selections": selections,
        "p50": median(whole),
        "p95": quantiles(whole, n=20, method="inclusive")[-1] if len(whole) > 1 else whole[0],
        "longest": max(whole),
        "until_run_asked_for": median(way.run_asked_for for way in ways),
        "until_worker_asked_for": median(way.worker_asked_for - way.run_asked_for for way in ways),
        "until_run_started": median(way.run_started - way.worker_asked_for for way in ways),
        "until_requested": median(way.requested - way.run_started for way in ways),
        "seconds": [round(way.requested, 3) for way in ways],
    }


def _ways(selections: int, say: Say) -> Sequence[Way]:
    phase = random.Random(1)  # noqa: S311 # a moment, no secret
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"]))
    ways = []
    with (
        databases() as copies,
        copies.with_selected(0) as url,
        running(simulator.app) as server,
        tempfile.TemporaryDirectory(prefix="crm-sync-benchmark-") as folder,
        installation(
            Path(folder) / "home",
            DATABASE_URL=url,
            BREVO_API_KEY=DEFAULT_KEY,
            BREVO_API_BASE_URL=f"{server.base_url}/v3",
        ) as dev,
    ):
        database = Database(url=url, crms=CRMS)
        ids = load_people(database.engine, selections + 1, selected=False)
        for number, contact_id in enumerate(ids):
            simulator.requests.clear()
            selected_at = datetime.now(timezone.utc)
            database.acts(Actor("benchmark")).carry_out("select", Which([contact_id]), ["brevo"])
            if not simulator.requests.wait_for(lambda log: log.total > 0, LONGEST_SECONDS):
                raise BenchmarkError(f"A contact was selected, and not sent within {LONGEST_SECONDS} s.")
            requested = (simulator.requests[0].received_at - selected_at).total_seconds()
            time.sleep(phase.uniform(*PAUSE_SECONDS))
            if number:  # the first one pays for whatever is made once
                ways.append(_way(dev, selected_at, requested))
                say(f"select to request: {requested:.2f} s")
        database.engine.dispose()
    return ways


def _way(dev: Installation, selected_at: datetime, requested: float) -> Way:
    with dg.DagsterInstance.from_config(str(dev.home)) as instance:
        (run,) = instance.get_run_records(limit=1)
        events = {
            entry.dagster_event_type: entry.timestamp - selected_at.timestamp()
            for entry in reversed(instance.all_logs(run.dagster_run.run_id))
            if entry.dagster_event is not None
        }
    return Way(
        run_asked_for=events[dg.DagsterEventType.PIPELINE_ENQUEUED],
        worker_asked_for=events[dg.DagsterEventType.PIPELINE_STARTING],
        run_started=events[dg.DagsterEventType.PIPELINE_START],
        requested=requested,
    )
