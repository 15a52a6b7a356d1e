"""Asking a destination that is down at once, instead of waiting for the next probe."""

from dataclasses import dataclass

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.run import deliver
from crm_sync_pipeline.destinations.destination import HttpDestination


@dataclass(frozen=True, slots=True)
class Resumption:
    """What came of asking a destination that is down. `says` is for people; `answers` None: nothing could be sent."""

    says: str
    answers: bool | None
    sent: int = 0


def resume(queue: ContactQueue, destination: HttpDestination, run_id: str | None = None) -> Resumption:
    """Send one due contact to a destination that is down, whenever the next probe was due; closes the breaker, or not.

    Where no contact is due, the next one that is becomes the probe, at once.
    """
    destination.require_ready()
    title = destination.title
    if not queue.breaker.probe_now():
        return Resumption(f"{title} is not down. Nothing was sent.", answers=True)
    batch = queue.claim(1, run_id=run_id)
    if not batch.size:
        return Resumption(f"{title}: no contact is due to try it with. The next one that is will be the probe.", None)
    try:
        tally = deliver(queue, destination, batch, run_id)
    finally:
        queue.settle(batch.token)
    if queue.breaker.state():
        return Resumption(
            tally.problem() or f"{title} is still down: the probe did not get through.", False, batch.size
        )
    return Resumption(f"{title} answers again. The queue goes on.", True, batch.size)
