from collections.abc import Mapping, Sequence

import dagster as dg

from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.orchestration.guards import BatchLimit
from crm_sync_pipeline.orchestration.ops import (
    ClaimConfig,
    ResumeConfig,
    build_resume_op,
    build_sync_op,
    claim_batch,
    record_results,
)
from crm_sync_pipeline.orchestration.run_results import DESTINATION_TAG
from crm_sync_pipeline.settings import SyncSettings

SHORTEST_RUNTIME_LIMIT_SECONDS = 900


def claim_config(destination: str, batch_size: int) -> dg.RunConfig:
    """The run config of a job that takes `batch_size` due contacts."""
    return dg.RunConfig(ops={"claim_batch": ClaimConfig(destination=destination, batch_size=batch_size)})


def build_sync_job(
    destination: HttpDestination,
    sync: SyncSettings,
    owner: str,
    tags: Mapping[str, str],
    off_because: str | None = None,
) -> dg.JobDefinition:
    """The job `<destination>_sync`: claim_batch, sync_to_<destination>, record_results, in one process.

    A run that dies is started again from its first step: its contacts come back by their lease, not by its old token.
    """
    name = destination.name
    sync_op = build_sync_op(destination)
    longest_batch = BatchLimit.of(max(sync.sensor_batch_limit, sync.scheduler_batch_size), destination).largest
    limit_seconds = max(SHORTEST_RUNTIME_LIMIT_SECONDS, round(3 * longest_batch / destination.requests_per_second))

    @dg.job(
        name=f"{name}_sync",
        description=(f"Off: {off_because} " if off_because else "")
        + f"Deliver the selected contacts that are due to {destination.title}: claim a batch, send it, "
        "record what came of each. Schedule and sensor start it; with a contact_id in its config it delivers that one.",
        owners=[owner],
        config=claim_config(name, sync.scheduler_batch_size),
        executor_def=dg.in_process_executor,
        tags={
            **tags,
            DESTINATION_TAG: name,
            "dagster/retry_strategy": "ALL_STEPS",
            "dagster/max_runtime": str(limit_seconds),
        },
    )
    def sync_job() -> None:
        batch = claim_batch()
        record_results(batch=batch, sent=sync_op(batch))

    return sync_job


def build_resume_job(destinations: Sequence[str], owner: str, tags: Mapping[str, str]) -> dg.JobDefinition:
    """The job `resume_destination`: ask one that is down now, instead of waiting for its next probe."""
    resume_op = build_resume_op(destinations)

    @dg.job(
        name="resume_destination",
        description="Ask a destination that is down now, by one due contact, instead of waiting for the next probe.",
        owners=[owner],
        config=dg.RunConfig(ops={"probe_destination": ResumeConfig(destination=destinations[0])}),
        executor_def=dg.in_process_executor,
        tags=tags,
    )
    def resume_job() -> None:
        resume_op()

    return resume_job
