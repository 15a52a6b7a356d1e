import time
from datetime import timedelta

import dagster as dg

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.orchestration.assets import observed
from crm_sync_pipeline.orchestration.guards import BatchLimit, NotNow, due_or_reason, finds_nothing
from crm_sync_pipeline.orchestration.jobs import claim_config
from crm_sync_pipeline.orchestration.own_runs import INSTALLATION_TAG, OwnRuns
from crm_sync_pipeline.orchestration.run_results import QUEUE_DEPTH_TAG
from crm_sync_pipeline.settings import SyncSettings

INTERVAL_SECONDS = 4
"""The daemon looks every 5 s. Asked for exactly that, it comes a few milliseconds early and skips every second look."""

LOOKS_FOR = timedelta(seconds=4)
LOOKS_AGAIN_EVERY = timedelta(seconds=0.25)
"""A tick that finds nothing to start looks again until the next tick is near, so that nobody waits for one.

With several destinations on, it looks that many times as long, so that the daemon starts no more ticks than with one.
"""


def build_sensor(
    destination: HttpDestination,
    job: dg.JobDefinition,
    sync: SyncSettings,
    owner: str,
    off_because: str | None,
    how_many_are_on: int = 1,
) -> dg.SensorDefinition:
    """The sensor `<destination>_queue_sensor`: starts a run when contacts are due, sized to the backlog.

    `how_many_are_on`: destinations whose sensors are on, this one included.
    """
    name = destination.name
    limit = BatchLimit.of(sync.sensor_batch_limit, destination)
    what = (
        f"Starts a run of {job.name} when contacts are due, for {sync.sensor_batch_limit} of them at most, and notes "
        "how the queue stands when it has changed. A tick that starts nothing says why."
    )

    @dg.sensor(
        name=f"{name}_queue_sensor",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        description=f"Off: {off_because}" if off_because else what,
        default_status=dg.DefaultSensorStatus.STOPPED if off_because else dg.DefaultSensorStatus.RUNNING,
        tags={"crm_sync/destination": name},
        owners=[owner],
    )
    def tick(
        context: dg.SensorEvaluationContext, database: dg.ResourceParam[Database]
    ) -> dg.SensorResult | dg.SkipReason:
        if off_because:
            return dg.SkipReason(off_because)
        own = OwnRuns.of_sensor(context, job.tags.get(INSTALLATION_TAG))
        until = time.monotonic() + LOOKS_FOR.total_seconds() * max(1, how_many_are_on)
        while True:
            is_over = time.monotonic() > until
            if not is_over and finds_nothing(database, name, limit):
                time.sleep(LOOKS_AGAIN_EVERY.total_seconds())
                continue
            due = due_or_reason(context.instance, own, database, job.name, name, sync.scheduler_max_instances, limit)
            if not isinstance(due, NotNow):
                break
            if not due.may_change or is_over:
                events, cursor = observed(database, name, context.cursor, at_once=False)
                return dg.SensorResult(skip_reason=due.says, asset_events=events, cursor=cursor)
            time.sleep(LOOKS_AGAIN_EVERY.total_seconds())
        run = dg.RunRequest(run_config=claim_config(name, due), tags={QUEUE_DEPTH_TAG: str(due)})
        events, cursor = observed(database, name, context.cursor, at_once=True)
        return dg.SensorResult(run_requests=[run], asset_events=events, cursor=cursor)

    return tick
