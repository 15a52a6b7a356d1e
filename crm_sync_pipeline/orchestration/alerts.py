import logging
from collections.abc import Mapping, Sequence

import dagster as dg

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.monitoring.alerts import DatabaseTrouble, Watch, limits_of
from crm_sync_pipeline.monitoring.channels import channels_of, missing_for_channels
from crm_sync_pipeline.orchestration.own_runs import INSTALLATION_TAG, OwnRuns, installation_tag
from crm_sync_pipeline.orchestration.run_results import job_health, now
from crm_sync_pipeline.settings import Settings

logger = logging.getLogger("crm_sync_pipeline")

LOOKS_EVERY_SECONDS = 28
"""Every 30 s: the daemon comes by every 5 s, and a few milliseconds early."""


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
    limits, installation = limits_of(settings), installation_tag(settings)[INSTALLATION_TAG]
    what = f"Tells {' and '.join(each.name for each in channels)} when something goes wrong, and when it is over."

    @dg.sensor(
        name="alert_sensor",
        minimum_interval_seconds=LOOKS_EVERY_SECONDS,
        description=f"Off: {off_because}" if off_because else f"{what} {missing or ''}".strip(),
        default_status=dg.DefaultSensorStatus.STOPPED if off_because else dg.DefaultSensorStatus.RUNNING,
        owners=[owner],
    )
    def look(context: dg.SensorEvaluationContext, database: dg.ResourceParam[Database]) -> dg.SkipReason:
        if off_because:
            return dg.SkipReason(off_because)
        own = OwnRuns.of_sensor(context, installation)
        watch = Watch(
            database,
            {crm: job_health(context.instance, own, job, limits.failed_runs) for crm, job in jobs_of_crms.items()},
            channels,
            limits,
            settings.alerts.ui_url,
            [job_health(context.instance, own, job, limits.failed_runs) for job in other_jobs],
        )
        notified, trouble = watch.check_and_notify_whatever_the_database_does(
            DatabaseTrouble.from_json(context.cursor), now()
        )
        context.update_cursor(trouble.as_json())
        for problem in notified.problems:
            logger.warning("alert_not_sent %s", problem)
        sent = [f"Told {channel}: {change.text}" for channel, change in notified.sent]
        return dg.SkipReason(" ".join([*sent, *notified.problems]) or "Nothing has changed.")

    return look
