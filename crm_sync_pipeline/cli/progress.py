"""How far a long command is: a bar on a terminal, else a line every ten seconds. Both go to stderr."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

SHOWN_AFTER_SECONDS = 1.0
LINE_EVERY_SECONDS = 10.0
DRAWN_EVERY_SECONDS = 0.2
BAR_COLUMNS = 12

Advance = Callable[[int], None]


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Advance]:
    """While this lasts, show how far it is: tell `advance` how many more rows were gone through.

    Without `total` it shows how long it has taken. What is over within a second shows nothing.
    """
    shown = _Shown(what, total)
    thread = threading.Thread(target=shown.keep_showing, name="progress", daemon=True)
    thread.start()
    try:
        yield shown.advance
    finally:
        shown.is_over.set()
        thread.join()


class _Shown:
    """It is shown by a thread of its own, so that it goes on while the database works on one statement."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._began = time.monotonic()
        self.is_over = threading.Event()

    def advance(self, count: int) -> None:
        self._done += count

    def keep_showing(self) -> None:
        if self.is_over.wait(SHOWN_AFTER_SECONDS):
            return
        if sys.stderr.isatty():
            self._draw()
        else:
            while not self.is_over.wait(LINE_EVERY_SECONDS):
                click.echo(f"{self._what}: {self._says()}", err=True)

    def _draw(self) -> None:
        columns = (
            SpinnerColumn() if self._total is None else BarColumn(BAR_COLUMNS),
            TextColumn("{task.description}: {task.fields[says]}"),
        )
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
            task = bar.add_task(self._what, total=self._total, says=self._says())
            while not self.is_over.wait(DRAWN_EVERY_SECONDS):
                bar.update(task, completed=self._done, says=self._says())

    def _says(self) -> str:
        return says(self._done, self._total, time.monotonic() - self._began)


def says(done: int, total: int | None, elapsed_seconds: float) -> str:
    """'120,000 of 1,000,000, 24,000 a second, 37 s left'."""
    if total is None and not done:
        return f"{_span(elapsed_seconds)} so far"
    rate = done / elapsed_seconds if elapsed_seconds > 0 else 0.0
    if total is None:
        return f"{done:,} so far, {rate:,.0f} per second"
    done = min(done, total)  # the last chunk of a table is seldom full
    left = f", {_span((total - done) / rate)} left" if rate else ""
    return f"{done:,} of {total:,}, {rate:,.0f} per second{left}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
