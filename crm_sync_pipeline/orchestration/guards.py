"""When a schedule or a sensor has nothing to start, and the sentence that says why."""

import dagster as dg

from crm_sync_pipeline.contact_queue.database import DatabaseResource
from crm_sync_pipeline.domain.errors import CrmSyncError

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def due_or_reason(
    instance: dg.DagsterInstance, database: DatabaseResource, job_name: str, destination: str, max_runs: int, limit: int
) -> int | dg.SkipReason:
    """How many contacts a run should take, at most `limit`; or why none should be started now."""
    under_way = instance.get_runs_count(dg.RunsFilter(job_name=job_name, statuses=UNFINISHED))
    if under_way >= max_runs:
        return dg.SkipReason(f"{job_name} is under way; the next tick looks again.")
    try:
        queue = database.queue(destination)
        down = queue.breaker.state()
        if down and not down.probe_is_due:
            wait = round(down.next_probe_in.total_seconds())
            return dg.SkipReason(f"{queue.crm.title} is down; the next probe is due in {wait} s. {down.message}")
        depth = queue.depth(limit)
        if depth or queue.needs_recovery():
            return max(depth, 1)
        return dg.SkipReason(f"No contact is due for {queue.crm.title}.")
    except CrmSyncError as error:
        return dg.SkipReason(str(error))
