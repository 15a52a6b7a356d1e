"""RESULTS.md, from what was measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.goals import Goal, goals

Row = Mapping[str, Any]

INTRODUCTION = """\
# Benchmark results

Made by `./run bench`. The figures of a part come from one run on one machine, and only those compare: `./run bench
--only throughput` measures a part anew and leaves the others as they are, from another hour. `./run bench --quick`
takes a look in a few minutes. [results.json](results.json) has every repeat.
"""

THROUGHPUT = """\
## From Selected to Complete

All contenders deliver the same contacts, with a value in every field, to one server on loopback
([server.py](server.py)), each in a process of its own; they take turns, and the median of {repeats} counts. Requests
are counted at the server, and statuses in PostgreSQL: a contender that loses or doubles a contact stops the benchmark.

- **(a) ours**: claim, deliver, journal and settle by the product's own functions, in batches of 500 as the sensor takes
  them, until every contact is Complete in PostgreSQL. Not through Dagster, which adds what "A real run" below says.
- **(b) the earlier implementation's algorithm**, on the same table: ten contacts a cycle, for each a new client, one
  request, two commits, one after another. Without its five-minute pause between cycles.
- **(c), (d) the official `brevo-python`**, in a loop and by ten threads; no database.
- **(e) bare aiohttp**: no database, no retries, nothing written down: the limit.

CPU is that of the contender's process while it works, and PostgreSQL's beside it. "≈": measured with fewer contacts
(one after another, so that each takes the same time) and scaled.
"""

LIMITS = """\
## Ten requests per second

The Brevo simulator keeps Brevo's own limit (a token bucket of ten a second) and answers after 100 ms. Share: contacts
delivered, of those that the limit allows in the time from the first step to the last. Each contender once.
"""

LATENCY = """\
## From select to request

Under `crm-sync dev` as `./run dev` starts it, with the real daemon: a contact is selected at a random moment, and the
clock stops when the simulator gets its request. {selections} selections, one after another.
"""

MEMORY = """\
## A real run

A run worker of Dagster's that takes a batch of {batch}, with that many queued, and with a million: the largest resident
set that Linux saw of it, and how long the run took from its start to its end (at most 1,000 requests per second; the
simulator, the daemon and the webserver work on the same cores).
"""

BULK = """\
## Bulk import

{contacts:,} contacts by `POST /contacts/import`, one in a hundred with an address that Brevo refuses: exactly those end
in Error, or the benchmark stops. The worker is a process of its own.
"""

HUBSPOT = """\
## HubSpot: a hundred requests in ten seconds

{contacts:,} contacts, a hundred in a request. The HubSpot simulator keeps HubSpot's limit of any ten seconds and
answers after 100 ms; the account has been used evenly before, so that no burst passes for a pace. Sustained: contacts
per second from the first request to the last; a thousand is the limit. Seconds, and CPU per contact, are from the first
step to the last: claim, journal and settling included. Whoever has no database sends the same batches, and each again a
second after its 429. A contender that loses a contact stops the benchmark. Each contender once.
"""

IDLE = """\
## With nothing to do

A real daemon with its code server, schedules and sensors on, nothing selected, Dagster's storage in the same
PostgreSQL, for {seconds} seconds: statements per second, as PostgreSQL logs them, and CPU in percent of a core. One
destination is Brevo.
"""

OUTAGE = """\
## HubSpot is down for an hour

Three installations live through the same hour, minute by minute, and 40 minutes more. Contacts are selected every
minute: for Brevo alone, for both, and for both while HubSpot answers 503 for that hour. Brevo and HubSpot refuse one
contact in fifty. Brevo's attempts (whose, in which minute, with what result) are the same in all three, or the
benchmark stops.
"""

TABLES = """\
## As the table grows

Half of each table is selected; up to a million wait for a retry; the rest is delivered. Where the contacts were
selected as their rows lie, those of a claim stand side by side, as they do when what was added together is selected
together. Scattered is the hardest case: each contact stands in a page of its own. Medians of sixteen rounds, the sizes
taking turns; the sensor asks nine times a round, as it does four times a second. PostgreSQL has the memory that the
operations page advises for [large tables](../docs/operations.md#large-tables), a quarter of the machine's as
`shared_buffers` and 64 MB as `wal_buffers`, and else its default settings; it takes huge pages where the system has
some, and here they were {huge_pages}. What a claim takes longer in a large table is not for looking: a thousand
contacts with random ids stand in a thousand pages of each index, and scattered in a thousand of the table, and
PostgreSQL writes a page whole to its log when it is touched first after a checkpoint.
"""


def render(results: Mapping[str, Any]) -> str:
    """The whole of RESULTS.md; a part that was not measured is left out."""
    parts = [INTRODUCTION, *_machine(results["machine"], results.get("load_before") or {}), *_goals(goals(results))]
    for name, part in PARTS.items():
        if results.get(name):
            parts += part(results[name])
    return "\n".join(parts)


def _machine(machine: Mapping[str, str], load_before: Mapping[str, float]) -> Iterator[str]:
    loads = ", ".join(f"{part} {load}" for part, load in load_before.items())
    yield _table(("measured on", ""), [*machine.items(), *([("load before", loads)] if loads else [])])


def _goals(reached: Sequence[Goal]) -> Iterator[str]:
    if reached:
        yield "## Goals\n"
        yield _table(("", "goal", "measured", ""), (goal.cells() for goal in reached))


def _throughput(rows: Sequence[Row]) -> Iterator[str]:
    yield THROUGHPUT.format(repeats=max(len(row["seconds_of_repeats"]) for row in rows))
    cases = dict.fromkeys((row["contacts"], row["latency_ms"]) for row in rows)
    for contacts, latency_ms in cases:
        of_case = [row for row in rows if (row["contacts"], row["latency_ms"]) == (contacts, latency_ms)]
        yield f"### {contacts:,} contacts, {latency_ms} ms until an answer\n"
        limits = {row["contender"]: row["seconds"] for row in of_case if row["letter"] == "e"}
        heads = ("", "seconds", "contacts/s", "of (e)'s time", "CPU ms/contact", "PostgreSQL", "peak MiB")
        yield _table(heads, (_throughput_row(row, limits) for row in of_case))


def _throughput_row(row: Row, limits: Mapping[str, float]) -> Sequence[str]:
    about = "≈ " if row["contacts_measured"] < row["contacts"] else ""
    limit = limits.get(f"bare {row['contender'].split()[-1]}")
    return (
        f"({row['letter']}) {row['title']}",
        f"{about}{row['seconds']:.2f}",
        f"{about}{row['contacts'] / row['seconds']:.0f}",
        f"{row['seconds'] / limit:.2f}" if limit else "",
        f"{row['cpu_ms']:.2f}",
        f"{row['postgres_cpu_ms']:.2f}" if row["postgres_cpu_ms"] else "",
        f"{row['peak_mib']:.0f}",
    )


def _limits(rows: Sequence[Row]) -> Iterator[str]:
    yield LIMITS
    heads = ("", "delivered", "seconds", "share of the limit", "all on the account", "429s", "failed attempts")
    yield _table(heads, (_limits_row(row) for row in rows))


def _limits_row(row: Row) -> Sequence[str]:
    return (
        f"({row['letter']}) {row['title']}" + (f", {row['beside']}" if row["beside"] else ""),
        f"{row['delivered']} of {row['contacts']}",
        f"{row['seconds']:.1f}",
        f"{row['share']:.0%}",
        f"{row['share_of_all']:.0%}" if row["beside"] else "",
        str(row["too_many_requests"]),
        str(row["failed_attempts"]),
    )


def _latency(row: Row) -> Iterator[str]:
    yield LATENCY.format(**row)
    ways = (
        ("**half of them within**", row["p50"]),
        ("**95 of 100 within**", row["p95"]),
        ("the longest", row["longest"]),
        ("median until the sensor asked for a run (it looks every 5 s)", row["until_run_asked_for"]),
        ("then until the run queue started a worker (it looks every second)", row["until_worker_asked_for"]),
        ("then until the worker began (it imports Dagster, then ours)", row["until_run_started"]),
        ("then until the request arrived (claim, client, connection)", row["until_requested"]),
    )
    yield _table(("from select to request", "seconds"), ((name, f"{seconds:.2f}") for name, seconds in ways))


def _memory(rows: Sequence[Row]) -> Iterator[str]:
    yield MEMORY.format(**rows[0])
    yield _table(
        ("queued", "peak MiB of the worker", "seconds of the run"),
        ((f"{row['queued']:,}", f"{row['peak_mib']:.0f}", f"{row['run_seconds']:.1f}") for row in rows),
    )


def _bulk(row: Row) -> Iterator[str]:
    yield BULK.format(**row)
    figures = (
        ("contacts per second, waiting included", f"{row['contacts_a_second']:,.0f}"),
        ("contacts per second while it does not wait", f"{row['contacts_a_second_while_not_waiting']:,.0f}"),
        ("requests", f"{row['requests']}"),
        ("seconds", f"{row['seconds']:.1f}"),
        ("seconds of it that it waited for Brevo", f"{row['waited_seconds']:.1f}"),
        ("CPU seconds of the worker", f"{row['cpu_seconds']:.1f}"),
        ("peak MiB of the worker", f"{row['peak_mib']:.0f}"),
    )
    yield _table(("bulk import", ""), figures)


def _hubspot(rows: Sequence[Row]) -> Iterator[str]:
    yield HUBSPOT.format(**rows[0])
    heads = ("", "sustained", "of the limit", "seconds", "requests", "429s", "CPU ms/contact", "PostgreSQL", "peak MiB")
    yield _table(heads, (_hubspot_row(row) for row in rows))


def _hubspot_row(row: Row) -> Sequence[str]:
    return (
        f"({row['letter']}) {row['title']}",
        f"{row['sustained']:.0f}",
        f"{row['sustained_share']:.0%}",
        f"{row['seconds']:.1f}",
        f"{row['requests']}",
        f"{row['too_many_requests']}",
        f"{row['cpu_ms']:.2f}",
        f"{row['postgres_cpu_ms']:.2f}" if row["postgres_cpu_ms"] else "",
        f"{row['peak_mib']:.0f}",
    )


def _idle(row: Row) -> Iterator[str]:
    yield IDLE.format(**row)
    heads = ("destinations", "contacts' database", "Dagster's database", "daemon", "code server")
    yield _table(heads, (_idle_row(title, row[title]) for title in ("one", "four")))


def _idle_row(title: str, row: Row) -> Sequence[str]:
    statements, cpu = row["statements_a_second"], row["cpu_percent"]
    asked = (f"{statements.get(name, 0):.1f}" for name in ("contacts_of_users", "dagster"))
    return (title, *asked, *(f"{cpu[name]:.1f} %" for name in ("daemon", "code server")))


def _outage(rows: Sequence[Row]) -> Iterator[str]:
    yield OUTAGE
    heads = ("", "contacts", "Brevo: attempts", "retries", "in Error", "contacts/s", "HubSpot: requests", "in Error")
    yield _table(heads, (_outage_row(row) for row in rows))


def _outage_row(row: Row) -> Sequence[str]:
    return (
        row["title"],
        f"{row['contacts']:,}",
        f"{row['attempts']:,}",
        f"{row['retries']}",
        f"{row['brevo_errors']}",
        f"{row['contacts_a_second']:.0f}",
        f"{row['hubspot_requests']}",
        f"{row['hubspot_errors']}",
    )


def _tables(rows: Sequence[Row]) -> Iterator[str]:
    yield TABLES.format(huge_pages=rows[0]["huge_pages"])
    sizes = sorted({row["rows"] for row in rows})
    heads = ("milliseconds", *(f"{size:,} rows" for size in sizes), "largest / smallest")
    for order in dict.fromkeys(row["order"] for row in rows):
        yield f"### Selected {order}\n"
        medians = {(row["work"], row["rows"]): row["median_ms"] for row in rows if row["order"] == order}
        works = dict.fromkeys(work for work, _ in medians)
        yield _table(heads, (_tables_row(work, [medians[work, size] for size in sizes]) for work in works))


def _tables_row(work: str, of_sizes: Sequence[float]) -> Sequence[str]:
    return (work, *(f"{each:.1f}" for each in of_sizes), f"{of_sizes[-1] / of_sizes[0]:.2f}")


PARTS: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "throughput": _throughput,
    "limits": _limits,
    "latency": _latency,
    "memory": _memory,
    "bulk": _bulk,
    "hubspot": _hubspot,
    "outage": _outage,
    "idle": _idle,
    "tables": _tables,
}


def _table(heads: Sequence[str], rows: Any) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
