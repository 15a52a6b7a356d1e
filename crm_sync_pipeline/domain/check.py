"""Will it work? One line for each thing that has to be right before the first contact is sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

WORTH_KNOWING = timedelta(seconds=5)
TOO_FAR_APART = timedelta(minutes=5)
"""Clocks that far apart make times in the UI and at the vendor useless, and are about to fail TLS."""

BAR = r"\|"
"""A bar within a cell of a table in Markdown: SQL has some."""


class State(Enum):
    """Of one line: all is well, worth knowing, or it will not work."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Line:
    """The answer to one question. `to_do` is "" where nothing is to do, or where `says` tells already."""

    name: str
    state: State
    says: str
    to_do: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All answers for one destination, known to people as `title`."""

    title: str
    lines: tuple[Line, ...]

    @property
    def red(self) -> tuple[Line, ...]:
        """What keeps it from working."""
        return tuple(line for line in self.lines if line.state is State.RED)

    @property
    def is_good(self) -> bool:
        """Whether the first contact can be sent."""
        return not self.red

    def sentence(self) -> str:
        """All in one line, without the details."""
        if self.is_good:
            return f"{self.title} is ready."
        return f"{self.title} is not ready: {', '.join(line.name for line in self.red)}. Nothing was sent."

    def as_markdown(self) -> str:
        """A table for Dagster's UI."""
        rows = [(line.state.value, line.name, line.says, line.to_do) for line in self.lines]
        table = [("", "asked", "answer", "what to do"), ("---",) * 4, *rows]
        return "\n".join(f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |" for row in table)


def ahead_of(theirs: datetime, before: datetime, after: datetime, precision: timedelta = timedelta(0)) -> timedelta:
    """By how much our clock is ahead of theirs at least; negative where it is behind.

    `theirs` was read between `before` and `after` of ours, and cut down to `precision`.
    """
    if (ahead := before - theirs - precision) > timedelta(0):
        return ahead
    return min(after - theirs, timedelta(0))


def clock_line(whose: str, ahead: timedelta) -> Line:
    """How this machine's clock stands to another one. Waits go by PostgreSQL's alone, so a little does no harm."""
    name, apart = f"Clock of {whose}", abs(ahead)
    if apart < WORTH_KNOWING:
        return Line(name, State.GREEN, "agrees with this machine's")
    state = State.RED if apart >= TOO_FAR_APART else State.YELLOW
    how = "ahead of" if ahead > timedelta(0) else "behind"
    says = f"this machine's clock is {_roughly(apart)} {how} it; times in Dagster and in logs will not match"
    return Line(name, state, says, "Let NTP set the clocks (chrony, systemd-timesyncd).")


def _roughly(wait: timedelta) -> str:
    seconds = round(wait.total_seconds())
    return f"{seconds} s" if seconds < 90 else f"{round(seconds / 60):,} min"
