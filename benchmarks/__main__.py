"""`./run bench`: measure, and write benchmarks/RESULTS.md and benchmarks/chart.svg."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.bulk import bulk
from benchmarks.chart import draw
from benchmarks.hubspot import hubspot
from benchmarks.idle import idle
from benchmarks.latency import latency
from benchmarks.limits import limits
from benchmarks.machine import describe_machine
from benchmarks.memory import memory
from benchmarks.outage import outage
from benchmarks.results import render
from benchmarks.tables import SIZES, measure_tables
from benchmarks.throughput import throughput

HERE = Path(__file__).parent
PARTS = {
    "brevo": ("throughput", "limits", "latency", "memory", "bulk", "tables", "idle"),
    "hubspot": ("hubspot", "outage"),
}
"""What is measured of each destination; "tables" is about the queue, whoever is behind it."""

EVERY_PART = [part for parts in PARTS.values() for part in parts]


@click.command()
@click.option("--quick", is_flag=True, help="A look: one repeat, few selections, no million. Ten minutes.")
@click.option(
    "--destination", type=click.Choice(list(PARTS)), default="brevo", show_default=True, help="Measure these parts."
)
@click.option(
    "--only",
    type=click.Choice(EVERY_PART),
    multiple=True,
    help="Measure this part anew; repeatable.",
)
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), default=HERE, help="Where the results go, if not here."
)
def bench(quick: bool, destination: str, only: tuple[str, ...], into: Path) -> None:
    """Measure this project against what else there is: three quarters of an hour, on an idle machine.

    The parts that are not measured now keep the figures that they have.
    """
    measure: dict[str, Callable[[], Any]] = {
        "throughput": lambda: throughput(1 if quick else 5, click.echo),
        "limits": lambda: limits(click.echo, 100 if quick else 300),
        "latency": lambda: latency(8 if quick else 50, click.echo),
        "bulk": lambda: bulk(10_000 if quick else 100_000, import_seconds=10),
        "memory": lambda: memory(click.echo, (500,) if quick else (500, 1_000_000)),
        "hubspot": lambda: hubspot(click.echo, 3_000 if quick else 10_000),
        "outage": lambda: outage(click.echo, 10 if quick else 100),
        "idle": lambda: idle(click.echo, 30 if quick else 120),
        "tables": lambda: list(map(asdict, measure_tables((10_000,) if quick else SIZES, click.echo))),
    }
    into.mkdir(parents=True, exist_ok=True)
    kept = into / "results.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    results["machine"] = describe_machine()
    for part in only or PARTS[destination]:
        results.setdefault("load_before", {})[part] = round(os.getloadavg()[0], 1)
        results[part] = measure[part]()
        kept.write_text(json.dumps(results, indent=1) + "\n")
        (into / "RESULTS.md").write_text(render(results))
        if part == "throughput":
            (into / "chart.svg").write_text(draw(results[part]))
    click.echo(f"Written: {into / 'RESULTS.md'}")


if __name__ == "__main__":
    bench()
