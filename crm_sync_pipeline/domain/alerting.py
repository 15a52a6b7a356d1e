"""Alerts: what is wrong now, in words, and what of it has not been said yet."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

CALM_SHARE = 0.8
"""A limit was passed above it; it is over below this share of it, so that a figure at the limit says nothing twice."""

ENDED_AT_LEAST = 20
"""Of fewer contacts a share says nothing."""

EXPIRED_GRACE = timedelta(minutes=15)
"""Recovery comes with the next claim, which may have to wait until a run is done."""

MAX_CATCHING_UP = timedelta(hours=1)

DATABASE = "database"
DATABASE_GRACE = timedelta(minutes=5)
"""A failover or a restart takes less, and is not an alert."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is wrong. `error_percent` of the contacts that ended in the last day."""

    lag: timedelta = timedelta(minutes=15)
    error_percent: float = 5.0
    failed_runs: int = 3


@dataclass(frozen=True, slots=True)
class JobHealth:
    """A job's newest runs: how many failed in a row, counted up to the limit, and the newest that failed.

    `is_green`: the newest failed in that it recorded no contact although some were due; Dagster shows it as green.
    """

    name: str
    failed_in_a_row: int = 0
    failed_run_id: str | None = None
    is_green: bool = False

    @property
    def condition(self) -> str:
        """The name of the alert on its runs."""
        return f"failed_runs:{self.name}"

    def is_failing(self, limits: Limits) -> bool:
        """Whether it failed too often in a row."""
        return self.failed_in_a_row >= limits.failed_runs


@dataclass(frozen=True, slots=True)
class QueueHealth:
    """One CRM's queue, in figures that cost little to ask. `job` is the one that delivers to it, where it is known.

    `down` is the sentence of a destination that lets nothing through; `was_down_ago` how long ago that was last so, or
    a database or a job that let nothing through, while the backlog is not known to be gone. `expired_ago` is how long
    the oldest lease has been void.
    """

    crm: str
    title: str
    down: str | None = None
    was_down_ago: timedelta | None = None
    lag: timedelta | None = None
    ended: int = 0
    ended_in_error: int = 0
    expired_ago: timedelta | None = None
    expired_run_id: str | None = None
    job: JobHealth | None = None

    @property
    def error_percent(self) -> float:
        """Of what ended, how much ended in Error."""
        return 100 * self.ended_in_error / self.ended if self.ended else 0.0


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that may be wrong. `holds` None: it can't be told now, so what was said before stands.

    `alarm` says what is wrong and what to do, `all_clear` that it is over.
    """

    name: str
    holds: bool | None
    alarm: str
    all_clear: str
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be said: a condition was raised, or is over."""

    name: str
    is_raised: bool
    text: str

    @property
    def subject(self) -> str:
        """For the head of a mail."""
        return f"crm-sync: {self.name}{'' if self.is_raised else ' is over'}"


def changes(conditions: Iterable[Condition], told: Collection[str], ui_url: str | None = None) -> list[Change]:
    """What holds and was not told, and what was told and is over. `ui_url` makes the links to runs."""
    found = []
    for condition in conditions:
        if condition.holds and condition.name not in told:
            link = f" Run: {ui_url}/runs/{condition.run_id}" if ui_url and condition.run_id else ""
            found.append(Change(condition.name, True, condition.alarm + link))
        elif condition.holds is False and condition.name in told:
            found.append(Change(condition.name, False, condition.all_clear))
    return found


def is_catching_up(health: QueueHealth, limits: Limits) -> bool:
    """Whether an outage is over, and what it left behind is not: nothing more is said of that for an hour."""
    if health.down or health.was_down_ago is None or health.was_down_ago > MAX_CATCHING_UP:
        return False
    failed_last = health.job is not None and health.job.failed_in_a_row > 0
    return failed_last or health.expired_ago is not None or _over(health.lag, limits.lag) is not False


def conditions_of_queue(health: QueueHealth, limits: Limits) -> Iterator[Condition]:
    """What may be wrong with one CRM's queue.

    While a destination is down, and while the backlog of that is worked off, only its being down is told: lag, failed
    runs and leases that nobody recovers follow from it. The same goes for a job that fails again and again.
    """
    crm, title = health.crm, health.title
    is_down = bool(health.down) or is_catching_up(health, limits)
    is_explained = is_down or (health.job is not None and health.job.is_failing(limits))
    yield Condition(
        f"down:{crm}",
        bool(health.down),
        f"{title} is down: {health.down} Nothing is lost: what is selected waits in the queue, and {title} is asked "
        f"again by itself. To probe it at once when you have fixed it: `crm-sync resume {crm}`.",
        f"{title} answers again. The queue goes on; nothing is left to do.",
        health.job.failed_run_id if health.job else None,
    )
    yield Condition(
        f"lag:{crm}",
        None if is_explained else _over(health.lag, limits.lag),
        f"A contact has been due for {title} for {_minutes(health.lag)}; the limit is {_minutes(limits.lag)}. Look at "
        f"`crm-sync status --crm {crm}` and at the ticks of the sensor {crm}_queue_sensor: each says why it started no "
        "run.",
        f"No contact has been due for {title} for long any more: the queue has caught up.",
    )
    yield Condition(
        f"errors:{crm}",
        None if is_explained else _too_many_errors(health, limits),
        f"{health.ended_in_error} of the {health.ended} contacts that ended in the last day are in Error for {title} "
        f"({health.error_percent:.1f} %; the limit is {limits.error_percent:g} %). `crm-sync status --crm {crm}` shows "
        "the reasons, the most frequent first; fix the cause, then `crm-sync requeue`.",
        f"The share of Error for {title} is under its limit again.",
    )
    yield Condition(
        f"expired:{crm}",
        None if is_explained else health.expired_ago is not None and health.expired_ago > EXPIRED_GRACE,
        f"Contacts for {title} stand on Processing though their lease ran out {_minutes(health.expired_ago)} ago, and "
        f"no claim has recovered them. See that the daemon runs and that {crm}_queue_sensor is on; the next claim "
        "records what was journaled, and queues the rest.",
        f"Nothing stands on Processing for {title} past its lease any more.",
        health.expired_run_id,
    )
    if health.job:
        yield condition_of_job(health.job, limits, is_explained=is_down)


def condition_of_job(job: JobHealth, limits: Limits, *, is_explained: bool = False) -> Condition:
    """Whether too many runs in a row failed; not to be told where something else that is told explains it."""
    failed = f"The last {limits.failed_runs} runs of {job.name} failed. The last error of the newest says why"
    if job.is_green:
        failed = (
            f"The last {limits.failed_runs} runs of {job.name} recorded no contact although some were due. The ticks "
            "of its sensor say why"
        )
    return Condition(
        job.condition,
        (None if is_explained else True) if job.is_failing(limits) else False,
        f"{failed} and what to do; what was delivered is recorded, the rest is in the queue.",
        f"A run of {job.name} has succeeded again.",
        job.failed_run_id,
    )


def condition_of_database(error: str | None, lasting: timedelta) -> Condition:
    """Whether the database has let nobody see what may be wrong for too long; `error` says why it did not just now."""
    return Condition(
        DATABASE,
        error is not None and (lasting >= DATABASE_GRACE or None),
        f"The database has not worked for {_minutes(lasting)}: {error} Deliveries may have stopped, and no other alert "
        "is sent until it works. What is selected waits in the queue.",
        "The database works again. The queue goes on; nothing is left to do.",
    )


def _over(lag: timedelta | None, limit: timedelta) -> bool | None:
    return _compare(lag.total_seconds() if lag else 0, limit.total_seconds())


def _too_many_errors(health: QueueHealth, limits: Limits) -> bool | None:
    return _compare(health.error_percent if health.ended >= ENDED_AT_LEAST else 0, limits.error_percent)


def _compare(figure: float, limit: float) -> bool | None:
    if figure > limit:
        return True
    return False if figure <= CALM_SHARE * limit else None


def _minutes(wait: timedelta | None) -> str:
    return f"{(wait or timedelta(0)).total_seconds() / 60:.0f} min"
