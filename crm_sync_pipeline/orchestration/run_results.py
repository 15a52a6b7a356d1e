"""What the newest finished runs of a job achieved, as their tags and their status say."""

from datetime import datetime, timezone
from math import ceil

import dagster as dg

from crm_sync_pipeline.domain.alerting import JobHealth
from crm_sync_pipeline.domain.backoff import RUNS_LOOKED_AT, FinishedRun, in_vain, wait_left
from crm_sync_pipeline.orchestration.own_runs import INSTALLATION_TAG, OwnRuns

QUEUE_DEPTH_TAG = "crm_sync/queue_depth"
"""On the runs that schedule and sensor start, because something was due: how many contacts the run is to take."""

RECORDED_TAG = "crm_sync/recorded"
"""On a run that achieved something: how many contacts it recorded, those of dead runs included."""

PUT_ASIDE_TAG = "crm_sync/put_aside"
"""On a run that claimed nothing because the database refused to change contacts: how many it put aside."""

FEW = 5
"""So few contacts that are put aside say nothing about the table, and are not a reason to make others wait."""

DESTINATION_TAG = "crm_sync/destination"
"""On the jobs that deliver. dagster.yaml lets one run at a time through for each value of this tag."""

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def achieved(run: dg.DagsterRun) -> bool | None:
    """Whether a finished run achieved something; None where that says nothing about the database. See FinishedRun."""
    if RECORDED_TAG in run.tags:
        return True
    if 0 < int(run.tags.get(PUT_ASIDE_TAG, "0")) <= FEW:
        return None
    was_due = QUEUE_DEPTH_TAG in run.tags and INSTALLATION_TAG in run.tags
    return False if was_due and run.status is not dg.DagsterRunStatus.CANCELED else None


def job_health(instance: dg.DagsterInstance, own: OwnRuns, job_name: str, limit: int) -> JobHealth:
    """How many of the job's newest runs in a row failed, counted up to `limit`.

    One that recorded no contact although some were due counts as failed, even if it is green. One that was cancelled
    counts as neither, nor does a green one that found nothing to do.
    """
    finished = dg.RunsFilter(job_name=job_name, statuses=FINISHED)
    failed: list[dg.DagsterRun] = []
    for record in own.newest(instance, finished, limit + RUNS_LOOKED_AT):
        run = record.dagster_run
        if run.is_failure or achieved(run) is False:
            failed.append(run)
        elif run.is_success and not _found_nothing(run):
            break
    return JobHealth(
        job_name,
        min(limit, len(failed)),
        failed[0].run_id if failed else None,
        is_green=bool(failed) and failed[0].is_success,
    )


def _found_nothing(run: dg.DagsterRun) -> bool:
    return DESTINATION_TAG in run.tags and INSTALLATION_TAG in run.tags and RECORDED_TAG not in run.tags


def reason_to_wait(instance: dg.DagsterInstance, own: OwnRuns, job_name: str) -> str | None:
    """Why the next run of the job must wait, where the last ones achieved nothing; None when it may start."""
    finished = dg.RunsFilter(job_name=job_name, statuses=FINISHED)
    records = own.newest(instance, finished, RUNS_LOOKED_AT)
    row = in_vain(_finished(record) for record in records)
    left = wait_left(row, now())
    if not left:
        return None
    (newest,) = (record.dagster_run for record in records if record.dagster_run.run_id == row[0].run_id)
    count = f"{len(row)} or more" if len(row) == RUNS_LOOKED_AT else str(len(row))
    return (
        f"The last {count} runs of {job_name} recorded no contact although some were due. {_said(instance, newest)} "
        f"The next run starts in {ceil(left.total_seconds())} s. To try at once, launch {job_name} by hand in the UI."
    )


def now() -> datetime:
    """This machine's time, as Dagster's records have it."""
    return datetime.now(timezone.utc)


def _finished(record: dg.RunRecord) -> FinishedRun:
    ended_at = record.update_timestamp.timestamp() if record.end_time is None else record.end_time
    run = record.dagster_run
    return FinishedRun(run.run_id, datetime.fromtimestamp(ended_at, timezone.utc), achieved(run))


def _said(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The sentence that the run failed with. Only our own is repeated: an error of another kind may quote a row."""
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return (
            "The newest one took none: a trigger, a rule or a policy may hold back changes of the contacts table, or "
            "an open transaction may lock the rows."
        )
    failures = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1).records
    for record in failures:
        event = record.event_log_entry.dagster_event
        said = event.step_failure_data.user_failure_data if event else None
        if said and said.description:
            return f"The newest one said: {said.description}"
    return "The newest one ended without a reason of ours; its log in the UI has Dagster's."
