"""The bulk path: contacts per second while nothing is waited for, requests, memory, and exactly the bad rows refused.

    python -m benchmarks.bulk --contacts 100000

The Brevo simulator takes its time for each import and refuses one address in a hundred. The worker is a process of its
own: it claims, delivers and settles until nothing is due, as the three ops of a run do.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import sqlalchemy as sa

from benchmarks.contender import peak_mib
from benchmarks.people import load_people
from benchmarks.site import LONGEST_SECONDS, ROOT, BenchmarkError, databases, environment
from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.contact_queue.database.transactions import PATIENCE, PATIENCE_FOR_RESULTS
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Tally
from crm_sync_pipeline.domain.retry import RetryPolicy
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import running

BATCH_SIZE = 50_000
ONE_BAD_IN = 100


def bulk(contacts: int, import_seconds: float) -> dict[str, Any]:
    """One run of the benchmark. BenchmarkError where the wrong contacts, or the wrong number of them, failed."""
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["general"], import_seconds=import_seconds))
    with databases() as copies, copies.with_selected(0) as url, running(simulator.app) as server:
        engine = engine_for(url)
        bad = _spoil(engine, load_people(engine, contacts))
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.bulk", "--worker", url, f"{server.base_url}/v3"],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        if done.returncode:
            raise BenchmarkError(f"The worker ended with {done.returncode}: {done.stderr[-2000:]}")
        _check(engine, bad, contacts)
        log = Counter(f"{each.method} {each.path.rpartition('/')[0]}" for each in simulator.requests)
    return {"contacts": contacts, **json.loads(done.stdout.splitlines()[-1]), "asked": dict(log)}


def _spoil(engine: sa.Engine, ids: list[Any]) -> set[Any]:
    bad = ids[::ONE_BAD_IN]
    spoil = sa.text("UPDATE contacts SET email = replace(email, '@', ' at ') WHERE id = ANY(:ids)")
    with engine.begin() as connection:
        connection.execute(spoil, {"ids": bad})
        connection.exec_driver_sql("CLUSTER contacts USING contacts_pkey")  # or the bad rows stand all at the end
    return set(bad)


def _check(engine: sa.Engine, bad: set[Any], contacts: int) -> None:
    with engine.connect() as connection:
        query = sa.text("SELECT id, brevo_processing_status::text AS state FROM contacts")
        by_state: dict[str, set[Any]] = {}
        for row in connection.execute(query):
            by_state.setdefault(row.state, set()).add(row.id)
    if by_state.get("Error", set()) != bad or len(by_state.get("Complete", ())) != contacts - len(bad):
        raise BenchmarkError(
            f"Not exactly the bad rows failed: { {state: len(ids) for state, ids in by_state.items()} }"
        )


def _work(database_url: str, brevo_url: str) -> dict[str, Any]:
    """Deliver all that is due, and say what it took."""
    database = Database(url=database_url, policies={"brevo": RetryPolicy(retry_rejected=False)}, crms=CRMS)
    brevo = Brevo(base_url=brevo_url, api_key=DEFAULT_KEY, list_id=1, bulk_threshold=5000)
    spent = dict.fromkeys(("claim", "deliver", "settle"), 0.0)
    total, began, cpu = Tally(), time.monotonic(), time.process_time()
    while True:
        at = time.monotonic()
        batch = database.queue("brevo", PATIENCE).claim(BATCH_SIZE, run_id="benchmark", adopts_imports=True)
        spent["claim"] += time.monotonic() - at
        if not batch.size:
            break
        queue = database.queue("brevo", PATIENCE_FOR_RESULTS)
        tally = deliver_batch(queue, brevo, batch, "benchmark")
        spent["deliver"] += tally.seconds - tally.waited_seconds
        total.add(tally)
        at = time.monotonic()
        queue.settle(batch.token)
        spent["settle"] += time.monotonic() - at
    seconds = time.monotonic() - began
    busy = seconds - total.waited_seconds
    done = sum(total.outcomes.values())
    return {
        "seconds": seconds,
        "waited_seconds": total.waited_seconds,
        "contacts_a_second": done / seconds,
        "contacts_a_second_while_not_waiting": done / busy,
        "spent": {name: round(value, 2) for name, value in spent.items()},
        "cpu_seconds": time.process_time() - cpu,
        "requests": total.requests,
        "peak_mib": peak_mib(),
        "reasons": dict(total.reasons),
    }


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--import-seconds", type=float, default=10.0, help="how long Brevo takes for an import")
    parser.add_argument("--worker", nargs=2, metavar=("DATABASE_URL", "BREVO_URL"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    figures = _work(*asked.worker) if asked.worker else bulk(asked.contacts, asked.import_seconds)
    sys.stdout.write(f"{json.dumps(figures)}\n")


if __name__ == "__main__":
    main()
