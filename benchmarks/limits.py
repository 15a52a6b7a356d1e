"""Brevo's ten requests per second, kept by the Brevo simulator: who uses them, who loses contacts over them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from benchmarks.contender import Task
from benchmarks.contenders.neighbour import PREFIX
from benchmarks.site import ROOT, BenchmarkError, Databases, databases, environment, run_contender
from benchmarks.throughput import CONTENDERS, Contender, Say
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.request_log import LoggedRequest, RequestLog
from crm_sync_pipeline.simulators.server import running

LIMIT = 10
CONTACTS = 300
LATENCY = "latency=100"
NEIGHBOURS_SHARE = 0.5
NEIGHBOUR = "beside a program that takes half"
TWO_RUNS = "two runs at a time"


def limits(say: Say, contacts: int = CONTACTS, contenders: Sequence[Contender] = CONTENDERS) -> list[dict[str, Any]]:
    """One row a contender, alone on the account; then ours beside a neighbour, and beside itself."""
    alone = [contender for contender in contenders if contender.key != "bare 8"]
    ours = next(contender for contender in contenders if contender.key == "ours 8")
    rows = []
    with databases() as copies:
        for contender, beside in [*((each, "") for each in alone), (ours, NEIGHBOUR), (ours, TWO_RUNS)]:
            rows.append(row := _row(contender, beside, contacts, copies))
            say(f"10 a second: {row['title']} {beside}: {row['share']:.0%} of the limit in {row['seconds']:.1f} s")
    return rows


def _row(contender: Contender, beside: str, contacts: int, copies: Databases) -> dict[str, Any]:
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["general"]), faults=[LATENCY])
    with running(simulator.app) as server, copies.with_selected(contacts) as url:
        task = Task(contacts, f"{server.base_url}/v3", url, contender.in_the_air, requests_per_second=LIMIT)
        if beside == NEIGHBOUR:
            with _neighbour(task, simulator.requests):
                seconds, delivered = _run(contender, [task])
        elif beside == TWO_RUNS:
            seconds, delivered = _run(contender, [replace(task, batch_size=max(1, contacts // 6))] * 2)
        else:
            seconds, delivered = _run(contender, [task])
        failed = copies.attempts_that_failed(url) if contender.module == "ours" else contacts - delivered
    own = [request for request in simulator.requests if not (request.email or "").startswith(PREFIX)]
    began, ended = own[0].received_at, own[-1].received_at + timedelta(seconds=1 / LIMIT)
    meanwhile = [request for request in simulator.requests if began <= request.received_at < ended]
    return {
        "letter": contender.letter,
        "title": contender.title,
        "beside": beside,
        "contacts": contacts,
        "seconds": seconds,
        "delivered": delivered,
        "arrived": len({request.email for request in own if request.wrote}),
        "failed_attempts": failed,
        "share": delivered / seconds / LIMIT,
        "share_of_all": _count(meanwhile, 201, 204) / (ended - began).total_seconds() / LIMIT,
        "too_many_requests": _count(own, 429),
        "too_many_requests_of_all": _count(meanwhile, 429),
    }


def _run(contender: Contender, tasks: Sequence[Task]) -> tuple[float, int]:
    with ThreadPoolExecutor(len(tasks)) as threads:
        measured = list(threads.map(lambda task: run_contender(contender.module, task), tasks))
    return max(each.seconds for each in measured), sum(each.delivered for each in measured)


def _count(log: Sequence[LoggedRequest], *statuses: int) -> int:
    return sum(request.status in statuses for request in log)


@contextmanager
def _neighbour(task: Task, log: RequestLog) -> Iterator[None]:
    told = json.dumps(asdict(task) | {"requests_per_second": LIMIT * NEIGHBOURS_SHARE})
    command = [sys.executable, "-m", "benchmarks.contenders.neighbour", told]
    process = subprocess.Popen(command, cwd=ROOT, env=environment())
    try:
        if not log.wait_for(lambda log: log.total > 0, timeout_seconds=30):
            raise BenchmarkError("The other program on the account sent nothing.")
        yield
    finally:
        process.kill()
        process.wait()
