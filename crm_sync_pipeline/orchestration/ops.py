"""The three ops of every destination's job: claim, sync, record. Only a token and counts pass between them."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

import dagster as dg
from pydantic import Field

from crm_sync_pipeline.contact_queue.database.transactions import PATIENCE, PATIENCE_FOR_RESULTS
from crm_sync_pipeline.contact_queue.people.selection import parse_ids
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.reading.figures import Failure
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.delivery.door import deliver_batch, deliver_quarantined
from crm_sync_pipeline.delivery.probe import resume
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.batch import Batch, Sent
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.orchestration.actor import actor_of
from crm_sync_pipeline.orchestration.assets import FAILURES_SHOWN, delivered
from crm_sync_pipeline.orchestration.plain_failure import plain_failure
from crm_sync_pipeline.orchestration.run_memory import OpenClaims
from crm_sync_pipeline.orchestration.run_progress import progress_in
from crm_sync_pipeline.orchestration.run_results import DESTINATION_TAG, PUT_ASIDE_TAG, RECORDED_TAG


class ResumeConfig(dg.Config):
    """Which destination to ask."""

    destination: str = Field(description="The CRM that is down.")


class ClaimConfig(dg.Config):
    """What one run takes. 500 contacts at 10 requests per second need 50 s of the 300 s lease."""

    destination: str = Field(description="The CRM to deliver to: the job's own.")
    batch_size: int = Field(default=10, ge=1, le=50_000, description="How many due contacts to take at most.")
    contact_id: str | None = Field(
        default=None, description="Deliver this one contact at once, whatever its state, instead of those due."
    )


@dg.op(tags={"kind": "postgres"})
def claim_batch(
    context: dg.OpExecutionContext,
    config: ClaimConfig,
    database: dg.ResourceParam[Database],
    open_claims: dg.ResourceParam[OpenClaims],
) -> Batch:
    """Take a lease on the contacts now due for one destination, after recovering what dead runs left behind."""
    with plain_failure():
        own = context.run.tags.get(DESTINATION_TAG, config.destination)
        if own != config.destination:
            raise CrmSyncError(f"This job delivers to {own}, not to '{config.destination}'. Nothing was claimed.")
        queue = database.queue(config.destination, PATIENCE)
        token = open_claims.open(queue)
        try:
            if config.contact_id:
                (contact_id,) = parse_ids([config.contact_id])
                batch = queue.claim_contact(contact_id, context.run_id, token)
            else:
                batch = queue.claim(config.batch_size, context.run_id, token, adopts_imports=True)
        except Exception:  # the claim was rolled back, which can't be said of one that is interrupted
            open_claims.close(token)
            raise
    context.add_output_metadata({"claimed": batch.size, **({"note": batch.note} if batch.note else {})})
    note = f" {batch.note}" if batch.note else ""
    context.log.info("batch_claimed destination=%s size=%d%s", batch.destination, batch.size, note)
    return batch


def build_sync_op(destination: HttpDestination) -> dg.OpDefinition:
    """The op `sync_to_<destination>`.

    It is synchronous and has no RetryPolicy: an `async def` op gets no clean-up on Terminate, and a RetryPolicy turns
    Terminate into a second run of the op.
    """
    name = destination.name

    @dg.op(name=f"sync_to_{name}", required_resource_keys={"database", "open_claims", name}, tags={"kind": name})
    def sync(context: dg.OpExecutionContext, batch: Batch) -> Sent:
        """Call the destination for each contact of the batch, and journal each outcome as it arrives."""
        with plain_failure():
            queue = context.resources.database.queue(batch.destination, PATIENCE_FOR_RESULTS)
        crm: HttpDestination = getattr(context.resources, name)
        try:
            with plain_failure():
                crm.require_ready()
                with progress_in(context.log, name) as progress:
                    sent = Sent(deliver_batch(queue, crm, batch, context.run_id, progress))
                if batch.is_quarantined:
                    deliver_quarantined(queue, crm, sent, context.run_id)
        except BaseException:
            with plain_failure():
                # What is journaled counts, what an import holds is left to the next claim, the rest is given back.
                queue.settle(batch.token)
            context.resources.open_claims.close(batch.token)
            raise
        context.add_output_metadata(sent.tally.as_metadata())
        return sent

    return sync


@dg.op(tags={"kind": "postgres"})
def record_results(
    context: dg.OpExecutionContext,
    database: dg.ResourceParam[Database],
    open_claims: dg.ResourceParam[OpenClaims],
    batch: Batch,
    sent: Sent,
) -> Iterator[dg.AssetMaterialization | dg.AssetObservation | dg.Output[None]]:
    """Write what became of each contact, give back the rest, then report.

    The run fails where the destination is down, and where the database refuses to change a contact.
    """
    with plain_failure():
        queue = database.queue(batch.destination, PATIENCE_FOR_RESULTS)
        settled = queue.settle(batch.token)
    open_claims.close(batch.token)
    settled.add(sent.settled)
    tally = sent.tally
    if recorded := batch.recovered + (settled.total if batch.size else 0):
        context.instance.add_run_tags(context.run_id, {RECORDED_TAG: str(recorded)})
    elif batch.put_aside:
        context.instance.add_run_tags(context.run_id, {PUT_ASIDE_TAG: str(batch.put_aside)})
    metadata = {**tally.as_metadata(), **settled.as_metadata()}  # `deferred` counts those given back, called or not
    context.add_output_metadata(metadata)
    counts = " ".join(f"{name}={count}" for name, count in settled.as_metadata().items())
    context.log.info("batch_recorded destination=%s %s seconds=%.1f", batch.destination, counts, tally.seconds)
    if batch.size:
        yield delivered(batch.destination, metadata, _failures(queue, batch, sent))
    if problem := tally.problem() or batch.problem():
        raise dg.Failure(problem, metadata=metadata, allow_retries=False)
    yield dg.Output(None)


def _failures(queue: ContactQueue, batch: Batch, sent: Sent) -> list[Failure]:
    """For people to look at: that they can't be read is no reason to fail a run that has recorded everything."""
    if not (sent.tally.outcomes["failed"] or sent.tally.outcomes["rejected"]):
        return []
    with suppress(CrmSyncError):
        return queue.figures.failures([batch.token, *sent.followed_by], FAILURES_SHOWN)
    return []


def build_resume_op(destinations: Iterable[str]) -> dg.OpDefinition:
    """The op `probe_destination` of the job `resume_destination`, which can ask any of these."""
    known = sorted(destinations)

    @dg.op(name="probe_destination", required_resource_keys={"database", *known})
    def probe_destination(context: dg.OpExecutionContext, config: ResumeConfig) -> None:
        """Send one due contact to a destination that is down, now, and close the breaker if it answers."""
        with plain_failure():
            if config.destination not in known:
                raise CrmSyncError(
                    f"'{config.destination}' is not a known destination. Nothing was sent. "
                    f"Use one of {', '.join(known)}."
                )
            queue = context.resources.database.queue(config.destination, PATIENCE)
            came = resume(queue, getattr(context.resources, config.destination), context.run_id)
            acts = context.resources.database.acts(actor_of(context))
            acts.record("resume", [config.destination], "one due contact", came.sent)
        context.add_output_metadata({"came_to": came.says})
        if came.answers is False:
            raise dg.Failure(came.says, allow_retries=False)
        context.log.info("destination_resumed destination=%s %s", config.destination, came.says)

    return probe_destination
