"""Every contender delivers the same contacts to the same server; they take turns."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.contender import Measured, Task
from benchmarks.site import BenchmarkError, Databases, LoopbackServer, databases, loopback_server, run_contender

Say = Callable[[str], None]


@dataclass(frozen=True)
class Contender:
    """One row of the tables. `most` is how many contacts it is measured with where each answer takes 100 ms."""

    letter: str
    title: str
    module: str
    in_the_air: int
    has_database: bool = False
    most: Mapping[int, int] | None = None

    @property
    def key(self) -> str:
        """What it is called in the results."""
        return f"{self.module} {self.in_the_air}"

    def contacts_measured(self, contacts: int, latency_ms: int) -> int:
        """How many of the contacts it really delivers; what is beyond is scaled."""
        return min(contacts, (self.most or {}).get(latency_ms, contacts))


CONTENDERS = (
    Contender("a", "ours, 32 in flight", "ours", 32, has_database=True),
    Contender("a", "ours, 8 in flight (default)", "ours", 8, has_database=True, most={100: 1000}),
    Contender("b", "the earlier implementation", "earlier", 1, has_database=True, most={0: 100, 100: 100}),
    Contender("c", "brevo-python in a loop", "official", 1, most={100: 100}),
    Contender("d", "brevo-python, 10 threads", "official", 10, most={100: 1000}),
    Contender("e", "bare aiohttp, 32 in flight", "bare", 32),
    Contender("e", "bare aiohttp, 8 in flight", "bare", 8, most={100: 1000}),
)

CASES = ((1000, 0), (5000, 0), (1000, 100), (5000, 100))
"""Contacts, and milliseconds until an answer comes."""


def throughput(
    repeats: int,
    say: Say,
    cases: Iterable[tuple[int, int]] = CASES,
    contenders: Sequence[Contender] = CONTENDERS,
) -> list[dict[str, Any]]:
    """One row for each case and contender: medians, and the seconds of every repeat."""
    samples: dict[tuple[str, int, int], list[dict[str, float]]] = defaultdict(list)
    rows = []
    with databases() as copies, loopback_server() as server:
        for contacts, latency_ms in cases:
            for _ in range(repeats):
                for contender in contenders:
                    count = contender.contacts_measured(contacts, latency_ms)
                    key = (contender.key, count, latency_ms)
                    if len(samples[key]) < repeats:
                        samples[key].append(_measure(contender, count, latency_ms, server, copies))
            for contender in contenders:
                count = contender.contacts_measured(contacts, latency_ms)
                rows.append(_row(contender, contacts, count, latency_ms, samples[contender.key, count, latency_ms]))
                say(f"{contacts} contacts, {latency_ms} ms: {contender.title}: {rows[-1]['seconds']:.2f} s")
    return rows


def _measure(
    contender: Contender, contacts: int, latency_ms: int, server: LoopbackServer, copies: Databases
) -> dict[str, float]:
    server.reset(latency_ms / 1000)
    with copies.with_selected(contacts) if contender.has_database else nullcontext("") as url:
        before = copies.cpu_seconds() if contender.has_database else 0.0
        measured = run_contender(contender.module, Task(contacts, f"{server.url}/v3", url, contender.in_the_air))
        of_postgres = copies.cpu_seconds() - before if contender.has_database else 0.0
        if contender.has_database and (unfinished := copies.unfinished(url)):
            raise BenchmarkError(f"{contender.title} left {unfinished} of {contacts} contacts unfinished.")
    require_all(contender, contacts, measured, server.counts())
    return {
        "seconds": measured.seconds,
        "cpu_ms": measured.cpu_seconds / contacts * 1000,
        "postgres_cpu_ms": of_postgres / contacts * 1000,
        "peak_mib": measured.peak_mib,
    }


def require_all(contender: Contender, contacts: int, measured: Measured, counts: Mapping[str, int]) -> None:
    """BenchmarkError where a contact was lost, or sent twice."""
    arrived = (counts["contacts"], counts["requests"], measured.delivered)
    if arrived != (contacts, contacts, contacts):
        raise BenchmarkError(f"{contender.title}: of {contacts} contacts (arrived, requests, delivered): {arrived}.")


def _row(
    contender: Contender, contacts: int, count: int, latency_ms: int, samples: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    middle = {name: median(sample[name] for sample in samples) for name in samples[0]}
    return {
        "contender": contender.key,
        "letter": contender.letter,
        "title": contender.title,
        "contacts": contacts,
        "latency_ms": latency_ms,
        "contacts_measured": count,
        **middle,
        "seconds": middle["seconds"] * contacts / count,
        "seconds_of_repeats": [round(sample["seconds"], 3) for sample in samples],
    }
