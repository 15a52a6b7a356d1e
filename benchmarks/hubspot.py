"""HubSpot's hundred requests in ten seconds, kept by the HubSpot simulator: how much of them becomes contacts."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.contender import Measured, Task
from benchmarks.site import BenchmarkError, Databases, databases, run_contender
from benchmarks.throughput import Say
from crm_sync_pipeline.simulators.hubspot import DEFAULT_KEY, HubspotConfig, HubspotLimits, HubspotSimulator
from crm_sync_pipeline.simulators.server import running

CONTACTS = 10_000
REQUESTS_PER_SECOND = 10
CONTACTS_PER_REQUEST = 100
LIMITS = HubspotLimits(per_ten_seconds=10 * REQUESTS_PER_SECOND, per_day=None)
USED_REQUESTS = 100
LATENCY = "latency=100"
UPSERTS = "/batch/upsert"


@dataclass(frozen=True)
class Contender:
    """One row of the table. `batch_size` is how many contacts a run of ours claims, `runs` how many run at a time."""

    letter: str
    title: str
    module: str
    in_the_air: int
    batch_size: int = 0
    runs: int = 1


CONTENDERS = (
    Contender("a", "ours, two runs at a time, 1,000 contacts each", "ours", 8, batch_size=1000, runs=2),
    Contender("a", "ours, one run of 10,000 contacts", "ours", 8, batch_size=10_000),
    Contender("a", "ours, one run at a time, 500 contacts (default)", "ours", 8, batch_size=500),
    Contender("c", "hubspot-api-client in a loop", "hubspot_official", 1),
    Contender("e", "bare aiohttp, 8 in flight", "hubspot_bare", 8),
)


def hubspot(say: Say, contacts: int = CONTACTS, contenders: Sequence[Contender] = CONTENDERS) -> list[dict[str, Any]]:
    """One row for each contender, each once. BenchmarkError where one lost a contact."""
    rows = []
    with databases() as copies:
        for contender in contenders:
            rows.append(row := _row(contender, contacts, copies))
            pace = f"{row['sustained']:.0f} contacts per second ({row['sustained_share']:.0%} of the limit)"
            say(f"HubSpot: {row['title']}: {pace}")
    return rows


def _row(contender: Contender, contacts: int, copies: Databases) -> dict[str, Any]:
    simulator = HubspotSimulator(HubspotConfig(limits=LIMITS), faults=[LATENCY])
    has_database = bool(contender.batch_size)
    with (
        running(simulator.app) as server,
        copies.with_selected(contacts, "hubspot") if has_database else nullcontext("") as url,
    ):
        task = Task(
            contacts,
            server.base_url,
            url,
            contender.in_the_air,
            requests_per_second=REQUESTS_PER_SECOND,
            batch_size=contender.batch_size,
            destination="hubspot",
            api_key=DEFAULT_KEY,
        )
        before = copies.cpu_seconds() if has_database else 0.0
        with _used_before(server.base_url, simulator):
            measured = _run(contender, task)
        of_postgres = copies.cpu_seconds() - before if has_database else 0.0
        if has_database and (unfinished := copies.unfinished(url, "hubspot")):
            raise BenchmarkError(f"{contender.title} left {unfinished} of {contacts} contacts unfinished.")
    own = [request for request in simulator.requests if request.path.endswith(UPSERTS)]
    obeyed = [request.received_at for request in own if request.status == 200]
    if (measured.delivered, len(simulator.contacts)) != (contacts, contacts):
        raise BenchmarkError(f"{contender.title}: of {contacts}, {len(simulator.contacts)} arrived.")
    limit = REQUESTS_PER_SECOND * CONTACTS_PER_REQUEST
    sustained = (len(obeyed) - 1) * CONTACTS_PER_REQUEST / (obeyed[-1] - obeyed[0]).total_seconds()
    return {
        "letter": contender.letter,
        "title": contender.title,
        "contacts": contacts,
        "seconds": measured.seconds,
        "contacts_a_second": contacts / measured.seconds,
        "share": contacts / measured.seconds / limit,
        "sustained": sustained,
        "sustained_share": sustained / limit,
        "requests": len(obeyed),
        "too_many_requests": sum(request.status == 429 for request in own),
        "cpu_ms": measured.cpu_seconds / contacts * 1000,
        "postgres_cpu_ms": of_postgres / contacts * 1000,
        "peak_mib": measured.peak_mib,
    }


def _run(contender: Contender, task: Task) -> Measured:
    with ThreadPoolExecutor(contender.runs) as threads:
        measured = list(threads.map(lambda _: run_contender(contender.module, task), range(contender.runs)))
    return Measured(
        max(each.seconds for each in measured),
        sum(each.cpu_seconds for each in measured),
        max(each.peak_mib for each in measured),
        sum(each.delivered for each in measured),
    )


@contextmanager
def _used_before(url: str, simulator: HubspotSimulator) -> Iterator[None]:
    """Spend the account's requests evenly, from ten seconds before until the first upsert arrives.

    A window that nobody has used lets a hundred requests through at once: a burst would pass for a pace.
    """
    ends, full = threading.Event(), threading.Event()

    def spend() -> None:
        with httpx.Client(headers={"Authorization": f"Bearer {DEFAULT_KEY}"}, trust_env=False) as client:
            number = 0
            while not ends.wait(1 / REQUESTS_PER_SECOND):
                if any(request.path.endswith(UPSERTS) for request in simulator.requests[-1:]):
                    return
                client.get(f"{url}/account-info/v3/details")
                number += 1
                if number >= USED_REQUESTS:
                    full.set()

    thread = threading.Thread(target=spend, name="spender", daemon=True)
    thread.start()
    full.wait(60)
    try:
        yield
    finally:
        ends.set()
        thread.join()
