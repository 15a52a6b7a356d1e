"""The way in: every batch and every single contact that is delivered enters by a function of this module."""

import time
from uuid import UUID

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.bulk import way_by_import
from crm_sync_pipeline.delivery.engine import Engine, RunProgress
from crm_sync_pipeline.delivery.run import deliver, one_by_one
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.batch import Batch, Sent, Tally

__all__ = ["RunProgress", "deliver_batch", "deliver_contact", "deliver_quarantined"]

QUARANTINE_SECONDS = 60


def deliver_batch(
    queue: ContactQueue,
    destination: HttpDestination,
    batch: Batch,
    run_id: str | None = None,
    progress: RunProgress | None = None,
) -> Tally:
    """Attempt every contact of the batch once: by import what is long enough or was begun so, the rest one by one."""
    if not batch.size:
        return Tally()
    by_import = way_by_import(queue, destination, batch)
    ways = [by_import, one_by_one] if by_import else [one_by_one]
    return Engine(queue, destination, batch, run_id, progress).run(*ways)


def deliver_contact(queue: ContactQueue, destination: HttpDestination, contact_id: UUID, run_id: str) -> Tally:
    """Claim, attempt and settle one contact at once, past schedule and queue, whatever its state.

    CrmSyncError where it is unknown, on hold, or claimed by a live run.
    """
    batch = queue.claim_contact(contact_id, run_id=run_id)
    try:
        return deliver(queue, destination, batch, run_id, sends_unchanged=True)
    finally:
        queue.settle(batch.token)


def deliver_quarantined(queue: ContactQueue, destination: HttpDestination, sent: Sent, run_id: str) -> None:
    """One quarantined contact after another, each under its own claim, settled before the next; for a minute.

    After a machine died twice in the middle of a large batch, all of it is quarantined, and a run for each would take
    an hour. Should one of them kill this worker, those before it are done. Their results are added to `sent`.
    """
    ends_at = time.monotonic() + QUARANTINE_SECONDS
    while not sent.tally.down and time.monotonic() < ends_at:
        batch = queue.claim(1, run_id=run_id, only_quarantined=True)
        if not batch.size:
            return
        sent.followed_by.append(batch.token)
        try:
            sent.tally.add(deliver(queue, destination, batch, run_id))
        finally:
            sent.settled.add(queue.settle(batch.token))
