"""What the harness prints, and writes into a document."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from crm_sync_pipeline_tests.chaos.figures import Figures, Violation

_SHOWN_OF_EACH = 5


def rows_of(figures: Figures) -> list[tuple[str, str]]:
    """The table of one level, one row a figure."""
    rows = [
        ("destination", figures.destination),
        ("trials", f"{figures.trials}"),
        ("seeds", _seeds(figures.seeds)),
        ("contacts", f"{figures.contacts:,}"),
        ("requests", f"{figures.requests:,}"),
        *([("imports", f"{figures.imports:,}")] if figures.imports else []),
        ("SIGKILLs", f"{figures.kills:,}"),
    ]
    rows += [(f"fault: {kind}", f"{count:,}") for kind, count in sorted(figures.faults.items()) if count]
    rows.append(("sent again", f"{figures.repeats:,}"))
    rows += [(f"sent again: {cause}", f"{count:,}") for cause, count in figures.repeats_by_cause.most_common()]
    if figures.repeats_allowed:
        rows.append(("bound of what may be sent again", f"{figures.repeats_allowed:,}"))
    rows += [
        ("healthy contacts lost four times in a row", f"{figures.lost_to_error:,}"),
        ("worst time from heal to empty queue", f"{figures.worst_drain_seconds:.1f} s"),
        ("violations", f"{len(figures.violations):,}"),
    ]
    if figures.trials >= 3 and not figures.violations:
        rows.append(("so trials that violate are, with 95 % confidence, at most", f"{300 / figures.trials:.1f} %"))
    return rows


def show(console: Console, all_figures: Sequence[Figures]) -> None:
    """Print a table for each level, then what went wrong."""
    for figures in all_figures:
        table = Table("", "", title=f"{figures.level} level", title_justify="left", show_header=False)
        table.columns[1].justify = "right"
        for name, value in rows_of(figures):
            table.add_row(name, value)
        console.print(table)
        for violation in _samples(figures.violations):
            console.print(
                f"seed {violation.seed}: {violation.invariant}: {violation.sentence}", style="red", markup=False
            )
        for note in figures.notes:
            console.print(note, markup=False)


def write_markdown(path: Path, all_figures: Sequence[Figures]) -> None:
    """Write the same tables as Markdown."""
    lines: list[str] = []
    for figures in all_figures:
        lines += [f"### {figures.level.capitalize()} level", "", "| | |", "|---|---:|"]
        lines += [f"| {name} | {value} |" for name, value in rows_of(figures)]
        lines += ["", *(f"- seed {one.seed}: {one.invariant}: {one.sentence}" for one in figures.violations), ""]
    path.write_text("\n".join(lines).rstrip() + "\n")


def _samples(violations: Sequence[Violation]) -> list[Violation]:
    """Some of each invariant, in their order."""
    shown: Counter[str] = Counter()
    samples = []
    for violation in violations:
        shown[violation.invariant] += 1
        if shown[violation.invariant] <= _SHOWN_OF_EACH:
            samples.append(violation)
    return samples


def _seeds(seeds: Sequence[int]) -> str:
    ordered = sorted(seeds)
    if not ordered:
        return ""
    if ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]} to {ordered[-1]}"
    return ", ".join(map(str, ordered))
