"""`./run chaos`: everything dies, everything heals, and nothing may be lost, overwritten, doubled or stuck."""

import time
from pathlib import Path

import click
from rich.console import Console

from crm_sync_pipeline_tests.chaos.ablations import ABLATIONS
from crm_sync_pipeline_tests.chaos.figures import Figures
from crm_sync_pipeline_tests.chaos.process_level import run_process_level
from crm_sync_pipeline_tests.chaos.report import show, write_markdown
from crm_sync_pipeline_tests.chaos.vendors.registry import REAL, VENDORS

FAST_TRIALS, FAST_SECONDS = 8, 10.0
LONG_TRIALS = 300
ABLATED_TRIALS = 6
FAST_DAGSTER = {"kills": 3, "restarts": 1, "cuts": 1}
LONG_DAGSTER = {"kills": 200, "restarts": 20, "cuts": 20}


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--long", "is_long", is_flag=True, help=f"{LONG_TRIALS} trials and 200 kills under Dagster: an hour.")
@click.option("--level", type=click.Choice(["process", "dagster", "both"]), default="both", show_default=True)
@click.option("--trials", type=click.IntRange(1), help="How many trials on the process level.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the first trial; the next has the next.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Trials at the same time.")
@click.option(
    "--ablate",
    type=click.Choice(sorted({*ABLATIONS, *(name for vendor in VENDORS.values() for name in vendor.ablations)})),
    help="Take a safeguard out: violations must show. Some belong to one destination.",
)
@click.option(
    "--destination", type=click.Choice(list(VENDORS)), default="brevo", show_default=True, help="Whom it delivers to."
)
@click.option("--batches", is_flag=True, help="The same as --destination batches: a vendor that does not exist.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the tables into this file too.")
def main(
    is_long: bool,
    level: str,
    trials: int | None,
    seed: int,
    jobs: int,
    ablate: str | None,
    destination: str,
    batches: bool,
    markdown: Path | None,
) -> None:
    console = Console(soft_wrap=True)

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    destination = "batches" if batches else destination
    ablations = [*ABLATIONS, *VENDORS[destination].ablations]
    if ablate and ablate not in ablations:
        raise click.BadParameter(f"for '{destination}' it is one of {', '.join(ablations)}.", param_hint="--ablate")
    if level == "dagster" and destination not in REAL:
        raise click.UsageError(f"Dagster runs no job for '{destination}'; there are {', '.join(REAL)}.")
    done: list[Figures] = []
    if level in ("process", "both") or ablate:
        count = trials or (ABLATED_TRIALS if ablate else LONG_TRIALS if is_long else FAST_TRIALS)
        until = 0.0 if trials or is_long or ablate else time.monotonic() + FAST_SECONDS
        seeds = range(seed, seed + count)
        done.append(
            run_process_level(seeds=seeds, jobs=jobs, say=say, ablation=ablate, until=until, destination=destination)
        )
    if level in ("dagster", "both") and not ablate and destination in REAL:
        from crm_sync_pipeline_tests.chaos.dagster_level import run_dagster_level

        amount = LONG_DAGSTER if is_long else FAST_DAGSTER
        done.append(run_dagster_level(**amount, seed=seed, say=say, destination=destination))
    show(console, done)
    if ablate:
        caught = len({violation.seed for figures in done for violation in figures.violations})
        say(f"Without {ablate}, {caught} of {done[0].trials} trials violated something. None would mean blind checks.")
    if markdown:
        write_markdown(markdown, done)
    raise SystemExit(1 if any(figures.violations for figures in done) else 0)


if __name__ == "__main__":
    main()
