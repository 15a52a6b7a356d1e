"""When a schedule or a sensor has nothing to start, and the sentence that says why."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import dagster as dg

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.orchestration.own_runs import OwnRuns
from crm_sync_pipeline.orchestration.run_results import reason_to_wait

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

BEGUN = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """How many contacts a run takes at most: `ordinary`, or `bulk` once so many are due that they can be imported."""

    ordinary: int
    bulk: int = 0
    bulk_threshold: int | None = None

    @classmethod
    def of(cls, ordinary: int, destination: HttpDestination) -> "BatchLimit":
        """As the destination is set."""
        return cls(ordinary, destination.bulk_batch_limit, destination.bulk_threshold)

    @property
    def largest(self) -> int:
        """The most that a run may take."""
        return max(self.ordinary, self.bulk if self.bulk_threshold else 0)

    def counted_up_to(self) -> int:
        """How far to count what is due; beyond it nothing depends on the number."""
        return max(self.ordinary, self.bulk_threshold or 0)

    def size(self, depth: int) -> int:
        """How many contacts to take when so many are due."""
        if self.bulk_threshold and depth >= self.bulk_threshold:
            return max(self.ordinary, self.bulk)
        return min(max(depth, 1), self.ordinary)


@dataclass(frozen=True, slots=True)
class NotNow:
    """Why no run is started. `may_change`: the same question may have another answer within a second."""

    says: str
    may_change: bool = True


def due_or_reason(
    instance: dg.DagsterInstance,
    own: OwnRuns,
    database: Database,
    job_name: str,
    destination: str,
    max_runs: int,
    limit: BatchLimit,
) -> int | NotNow:
    """How many contacts a run should take; or why none should be started now."""
    try:
        unfinished = list(own.records(instance, dg.RunsFilter(job_name=job_name, statuses=UNFINISHED)))
        if len(unfinished) - _end_dead_runs(instance, database, destination, unfinished) >= max_runs:
            return NotNow(f"{job_name} is in progress; the next tick looks again.")
        due = database.ask(destination, lambda queue: _due_or_reason(queue, limit))
        if isinstance(due, NotNow):
            return due
        if reason := reason_to_wait(instance, own, job_name):
            return NotNow(reason, may_change=False)
        database.queue(destination)  # reads the catalogue: no run is started that could not work
        return limit.size(due)
    except CrmSyncError as error:
        return NotNow(str(error))


def finds_nothing(database: Database, destination: str, limit: BatchLimit) -> bool:
    """Whether there is nothing to start now, by a look at our database alone: Dagster's storage is not asked."""
    try:
        return isinstance(database.ask(destination, lambda queue: _due_or_reason(queue, limit)), NotNow)
    except CrmSyncError:
        return False


def _due_or_reason(queue: ContactQueue, limit: BatchLimit) -> int | NotNow:
    work = queue.work(limit.counted_up_to())
    if work.down and not work.down.probe_is_due:
        wait = round(work.down.next_probe_in.total_seconds())
        return NotNow(f"{queue.crm.title} is down; the next probe is due in {wait} s. {work.down.message}")
    if not work.due and not work.needs_recovery:
        return NotNow(f"No contact is due for {queue.crm.title}.")
    return work.due


def _end_dead_runs(
    instance: dg.DagsterInstance, database: Database, destination: str, records: Sequence[dg.RunRecord]
) -> int:
    """Mark runs as failed whose worker is gone; returns how many.

    When worker and code server die together, Dagster never learns of it, and the run would keep its place until
    max_runtime ends it. A run that holds no live claim and has said nothing for a lease does no work: should its worker
    be alive after all, its token is void.
    """
    lease = timedelta(seconds=database.lease_seconds)
    begun = [record.dagster_run for record in records if record.dagster_run.status in BEGUN]
    silent = [run for run in begun if _silent_for(instance, run, lease)]
    dead = [run for run in silent if not database.ask(destination, partial(_has_live_claim, run))]
    for run in dead:
        instance.report_run_failed(
            run,
            f"The worker of this run is gone: it holds no claim, and has said nothing for "
            f"{lease.total_seconds():g} s. The next run takes up its contacts.",
        )
    return len(dead)


def _has_live_claim(run: dg.DagsterRun, queue: ContactQueue) -> bool:
    return queue.has_live_claim(run.run_id)


def _silent_for(instance: dg.DagsterInstance, run: dg.DagsterRun, wait: timedelta) -> bool:
    newest = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return bool(newest) and time.time() - newest[0].timestamp > wait.total_seconds()
