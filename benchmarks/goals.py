"""What was aimed for, and what was reached: ratios of one run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """A measured figure and its bound; `at_least` where more is better."""

    what: str
    measured: float
    bound: float
    unit: str = ""
    at_least: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether it keeps the bound."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def cells(self) -> tuple[str, str, str, str]:
        """As a row of a table."""
        sign = "≥" if self.at_least else "≤"
        return (self.what, f"{sign} {_figure(self.bound, self.unit)}", _figure(self.measured, self.unit), self._word())

    def _word(self) -> str:
        return "reached" if self.is_reached else "**missed**"


def _figure(value: float, unit: str) -> str:
    if unit == "%":
        return f"{value:.0%}"
    digits = 0 if value >= 100 or value == int(value) else 2
    return f"{value:,.{digits}f} {unit}".strip()


def goals(results: Mapping[str, Any]) -> list[Goal]:
    """Those that the results can tell of."""
    return [
        *_of_throughput(results.get("throughput") or []),
        *_of_limits(results.get("limits") or []),
        *_of_latency(results.get("latency")),
        *_of_memory(results.get("memory") or []),
        *_of_bulk(results.get("bulk")),
        *_of_hubspot(results.get("hubspot") or []),
        *_of_outage(results.get("outage") or []),
        *_of_idle(results.get("idle")),
        *_of_tables(results.get("tables") or []),
    ]


def _of_throughput(rows: Sequence[Row]) -> Iterator[Goal]:
    found = {(row["contender"], row["contacts"], row["latency_ms"]): row for row in rows}
    ours, loop, threads = (found.get((name, 5000, 0)) for name in ("ours 32", "official 1", "official 10"))
    if ours and loop and threads:
        title = "5,000 contacts, no latency"
        yield Goal(f"{title}: (a)'s time, of (d)'s", ours["seconds"] / threads["seconds"], 1)
        yield Goal(f"{title}: CPU a contact, of (c)'s", ours["cpu_ms"] / loop["cpu_ms"], 1)
    for number in (8, 32):
        ours, bare = found.get((f"ours {number}", 1000, 100)), found.get((f"bare {number}", 1000, 100))
        if ours and bare:
            what = f"1,000 contacts at 100 ms, {number} in flight: (a)'s time, of (e)'s"
            yield Goal(what, ours["seconds"] / bare["seconds"], 1.3)


def _of_limits(rows: Sequence[Row]) -> Iterator[Goal]:
    for row in rows:
        if row["letter"] == "a" and not row["beside"]:
            yield Goal(f"10 a second, {row['title']}: share of the limit", row["share"], 0.95, "%", at_least=True)
            yield Goal(f"10 a second, {row['title']}: 429s", row["too_many_requests"], 0)
        elif row["letter"] == "a":
            what = f"10 a second, {row['beside']}"
            yield Goal(f"{what}: share of the limit, all together", row["share_of_all"], 0.9, "%", at_least=True)
            yield Goal(f"{what}: contacts that failed", row["failed_attempts"], 0)


def _of_latency(row: Row | None) -> Iterator[Goal]:
    if row:
        yield Goal("from select to request, half of them", row["p50"], 6, "s")
        yield Goal("from select to request, 95 of 100", row["p95"], 10, "s")


def _of_memory(rows: Sequence[Row]) -> Iterator[Goal]:
    for row in rows:
        what = f"peak memory of a run worker, {row['queued']:,} queued"
        yield Goal(what, row["peak_mib"] * 2**20 / 10**6, 200, "MB")


def _of_bulk(row: Row | None) -> Iterator[Goal]:
    if row:
        what = f"bulk, {row['contacts']:,} contacts"
        yield Goal(f"{what}: requests", row["requests"], 25)
        rate = row["contacts_a_second_while_not_waiting"]
        yield Goal(f"{what}: contacts per second while it does not wait", rate, 2500, at_least=True)
        yield Goal(f"{what}: peak memory of the worker", row["peak_mib"] * 2**20 / 10**6, 350, "MB")


def _of_hubspot(rows: Sequence[Row]) -> Iterator[Goal]:
    ours = [row for row in rows if row["letter"] == "a"]
    if ours:
        best = max(ours, key=lambda row: row["sustained_share"])
        what = f"HubSpot, {best['contacts']:,} contacts"
        yield Goal(f"{what}: sustained share of the limit", best["sustained_share"], 0.95, "%", at_least=True)
        yield Goal(f"{what}: requests", best["requests"], 100 * best["contacts"] / 10_000)
        yield Goal(f"{what}: 429s", max(row["too_many_requests"] for row in ours), 0)


def _of_outage(rows: Sequence[Row]) -> Iterator[Goal]:
    if rows:
        alone, _, down = rows
        what = "HubSpot down for an hour"
        yield Goal(f"{what}: Brevo's time, of that alone", down["seconds"] / alone["seconds"], 1.1)
        yield Goal(f"{what}: Brevo's retries beyond those alone", down["retries"] - alone["retries"], 0)
        yield Goal(f"{what}: healthy contacts in Error there", down["hubspot_errors"] - down["refused"], 0)


def _of_idle(row: Row | None) -> Iterator[Goal]:
    if row:
        one, four = row["one"], row["four"]
        ratio = sum(four["statements_a_second"].values()) / sum(one["statements_a_second"].values())
        yield Goal("idle with four destinations: statements per second, of those with one", ratio, 1.5)
        ratio = four["cpu_percent"]["daemon"] / one["cpu_percent"]["daemon"]
        yield Goal("idle with four destinations: CPU of the daemon, of that with one", ratio, 1.5)


def _of_tables(rows: Sequence[Row]) -> Iterator[Goal]:
    sizes = sorted({row["rows"] for row in rows})
    for order in dict.fromkeys(row["order"] for row in rows):
        medians = {(row["work"], row["rows"]): row["median_ms"] for row in rows if row["order"] == order}
        for work in ("claim of 1,000", "settling 1,000"):
            if len(sizes) > 1:
                ratio = medians[work, sizes[-1]] / medians[work, sizes[0]]
                yield Goal(f"{work} at {sizes[-1]:,} rows, of the same at {sizes[0]:,}; {order}", ratio, 1.5)
        questions = {key: found for key, found in medians.items() if "sensor" in key[0]}
        for size in sizes:  # the second is asked only where the first finds nothing, which takes no time
            asked = max(found for (_, rows_there), found in questions.items() if rows_there == size)
            yield Goal(f"the sensor's question at {size:,} rows; {order}", asked, 10, "ms")
