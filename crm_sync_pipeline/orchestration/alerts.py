import logging
from collections.abc import Mapping, Sequence

import dagster as dg

from crm_sync_pipeline.alert_channels import channels_of, missing_for_channels
from crm_sync_pipeline.contact_queue.database import DatabaseResource
from crm_sync_pipeline.domain.alerting import JobHealth
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.settings import Settings
from crm_sync_pipeline.watching import Watch, limits_of

logger = logging.getLogger("crm_sync_pipeline")

LOOKS_EVERY_SECONDS = 28
"""Every 30 s: the daemon comes by every 5 s, and a few milliseconds early."""

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


def job_health(instance: dg.DagsterInstance, job_name: str, limit: int) -> JobHealth:
    """How many of the job's newest runs failed in a row; one that was cancelled counts as neither."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name, statuses=ENDED), limit=limit)
    failed = []
    for record in records:
        if record.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
            break
        failed.append(record.dagster_run.run_id)
    return JobHealth(job_name, len(failed), failed[0] if failed else None)


def build_alert_sensor(
    settings: Settings, jobs_of_crms: Mapping[str, str], other_jobs: Sequence[str], owner: str
) -> dg.SensorDefinition:
    """The sensor `alert_sensor`: tells people when something goes wrong, and when it is over. Off without a channel.

    `jobs_of_crms` has the job that delivers to each CRM.
    """
    channels = channels_of(settings.alerts)
    missing = missing_for_channels(settings.alerts)
    if not settings.general.database:
        missing = "DATABASE_URL is not set."
    off_because = None if channels and settings.general.database else missing
    limits = limits_of(settings)
    what = f"Tells {' and '.join(each.name for each in channels)} when something goes wrong, and when it is over."

    @dg.sensor(
        name="alert_sensor",
        minimum_interval_seconds=LOOKS_EVERY_SECONDS,
        description=f"Off: {off_because}" if off_because else f"{what} {missing or ''}".strip(),
        default_status=dg.DefaultSensorStatus.STOPPED if off_because else dg.DefaultSensorStatus.RUNNING,
        owners=[owner],
    )
    def look(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SkipReason:
        if off_because:
            return dg.SkipReason(off_because)
        try:
            looked = Watch(
                database,
                {crm: job_health(context.instance, job, limits.failed_runs) for crm, job in jobs_of_crms.items()},
                channels,
                limits,
                settings.alerts.ui_url,
                [job_health(context.instance, job, limits.failed_runs) for job in other_jobs],
            ).look()
        except CrmSyncError as error:
            return dg.SkipReason(str(error))
        for problem in looked.problems:
            logger.warning("alert_not_sent %s", problem)
        told = [f"Told {channel}: {change.text}" for channel, change in looked.told]
        return dg.SkipReason(" ".join([*told, *looked.problems]) or "Nothing has changed.")

    return look
