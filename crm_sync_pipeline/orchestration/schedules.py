import dagster as dg

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.orchestration.guards import BatchLimit, NotNow, due_or_reason
from crm_sync_pipeline.orchestration.jobs import claim_config
from crm_sync_pipeline.orchestration.own_runs import INSTALLATION_TAG, OwnRuns
from crm_sync_pipeline.orchestration.run_results import QUEUE_DEPTH_TAG
from crm_sync_pipeline.settings import SyncSettings


def build_schedule(
    destination: HttpDestination, job: dg.JobDefinition, sync: SyncSettings, owner: str, off_because: str | None
) -> dg.ScheduleDefinition:
    """The schedule `<destination>_sync_schedule`: every five minutes, ten contacts. Off where a setting is missing."""
    name = destination.name
    limit = BatchLimit.of(sync.scheduler_batch_size, destination)
    what = (
        f"Every {sync.scheduler_interval_minutes} minutes, {sync.scheduler_batch_size} contacts, "
        f"{sync.scheduler_max_instances} run(s) at a time."
    )

    @dg.schedule(
        name=f"{name}_sync_schedule",
        job=job,
        cron_schedule=sync.cron,
        description=f"Off: {off_because}" if off_because else what,
        default_status=dg.DefaultScheduleStatus.STOPPED if off_because else dg.DefaultScheduleStatus.RUNNING,
        owners=[owner],
    )
    def tick(
        context: dg.ScheduleEvaluationContext, database: dg.ResourceParam[Database]
    ) -> dg.RunRequest | dg.SkipReason:
        if off_because:
            return dg.SkipReason(off_because)
        own = OwnRuns(job.tags.get(INSTALLATION_TAG))
        due = due_or_reason(context.instance, own, database, job.name, name, sync.scheduler_max_instances, limit)
        if isinstance(due, NotNow):
            return dg.SkipReason(due.says)
        size = max(due, sync.scheduler_batch_size)
        return dg.RunRequest(run_config=claim_config(name, size), tags={QUEUE_DEPTH_TAG: str(due)})

    return tick
