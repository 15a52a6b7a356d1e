"""The job prune_history: old attempts, what is left of contacts that are gone, and old runs of ours."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import islice

import dagster as dg
from pydantic import Field

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.orchestration.own_runs import OwnRuns
from crm_sync_pipeline.orchestration.plain_failure import plain_failure
from crm_sync_pipeline.orchestration.run_results import FINISHED
from crm_sync_pipeline.settings import HistorySettings

NAME = "prune_history"
RUNS_PER_JOB = 100_000
RUNS_FOR = timedelta(minutes=20)
"""How long runs are removed for; the next night goes on. One takes 10 to 60 ms."""


def build_prune_job(
    history: HistorySettings, job_names: Sequence[str], owner: str, tags: Mapping[str, str]
) -> dg.JobDefinition:
    """The job `prune_history`; of Dagster's runs it removes those of `job_names` alone, and its own."""
    ours = [*job_names, NAME]

    class PruneAttemptsConfig(dg.Config):
        """What is history."""

        days: int = Field(default=history.history_days, ge=1, description="Remove attempts older than this many days.")
        dry_run: bool = Field(default=False, description="Say what would be removed, and remove nothing.")

    class PruneRunsConfig(dg.Config):
        """Which runs are history."""

        days: int = Field(default=history.run_history_days, ge=1, description="Remove runs older than this many days.")
        dry_run: bool = Field(default=False, description="Say what would be removed, and remove nothing.")

    @dg.op
    def prune_attempts(
        context: dg.OpExecutionContext, config: PruneAttemptsConfig, database: dg.ResourceParam[Database]
    ) -> None:
        """Remove old attempts, and what is left of contacts that are gone, a few thousand in each transaction."""
        with plain_failure():
            pruned = database.history().prune(config.days, dry_run=config.dry_run)
        context.log.info("history_pruned dry_run=%s %s", config.dry_run, pruned.says(config.days, config.dry_run))
        context.add_output_metadata(
            {
                "attempts_removed": pruned.old_attempts + pruned.attempts_of_gone,
                "deliveries_removed": pruned.deliveries_of_gone,
                "says": pruned.says(config.days, config.dry_run),
            }
        )

    @dg.op
    def prune_runs(context: dg.OpExecutionContext, config: PruneRunsConfig) -> None:
        """Remove old runs that are finished, with their events: Dagster keeps them for ever by itself."""
        before = datetime.now(timezone.utc) - timedelta(days=config.days)
        removed = remove_runs(context.instance, OwnRuns.of_run(context.run), ours, before, dry_run=config.dry_run)
        context.add_output_metadata({"runs_removed": removed, "dry_run": config.dry_run})

    @dg.job(
        name=NAME,
        description=f"Remove attempts older than {history.history_days} days, the history of contacts that are gone, "
        f"and finished runs older than {history.run_history_days} days.",
        executor_def=dg.in_process_executor,
        tags={**tags, "dagster/max_runtime": str(2 * round(RUNS_FOR.total_seconds()))},
        owners=[owner],
    )
    def prune_history() -> None:
        prune_attempts()
        prune_runs()

    return prune_history


def remove_runs(
    instance: dg.DagsterInstance, own: OwnRuns, job_names: Sequence[str], before: datetime, *, dry_run: bool
) -> int:
    """Remove our own finished runs of these jobs that were created before that time; returns how many.

    Runs of other code on the same instance are left alone. With `dry_run` they are only counted.
    """
    removed, until = 0, time.monotonic() + RUNS_FOR.total_seconds()
    for job_name in job_names:
        finished = dg.RunsFilter(job_name=job_name, statuses=FINISHED, created_before=before)
        old = islice(own.records(instance, finished, ascending=True), RUNS_PER_JOB)
        for run_id in [record.dagster_run.run_id for record in old]:
            if not dry_run:
                instance.delete_run(run_id)
            removed += 1
            if time.monotonic() > until:
                return removed
    return removed


def build_prune_schedule(job: dg.JobDefinition, owner: str, *, is_on: bool) -> dg.ScheduleDefinition:
    """The schedule `prune_history_schedule`: each night, where there is a database."""
    return dg.ScheduleDefinition(
        name=f"{NAME}_schedule",
        job=job,
        cron_schedule="17 3 * * *",
        description="Each night." if is_on else "Off: DATABASE_URL is not set. Set it and reload the code location.",
        default_status=dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED,
        owners=[owner],
    )
