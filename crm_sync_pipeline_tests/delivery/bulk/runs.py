"""Runs that import, runs that die at a chosen moment, and what they asked Brevo for."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.brevo.bulk_import import BrevoImport
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Batch, Settlement, Tally
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import LEASE, World

PAST_THE_LEASE = LEASE + timedelta(seconds=1)
POST, LOOK = "POST /v3/contacts/import", "GET /v3/processes/N"


def asked(simulator: BrevoSimulator) -> Counter[str]:
    """How often which path was asked for."""
    paths = ((each.method, each.path) for each in simulator.requests)
    return Counter(
        f"{method} {'/v3/processes/N' if path.startswith('/v3/processes/') else path}" for method, path in paths
    )


def run(queue: ContactQueue, brevo: Brevo, size: int = 1000) -> tuple[Tally, Settlement]:
    batch = queue.claim(size, adopts_imports=True)
    return finished(queue, batch, deliver_batch(queue, brevo, batch))


def finished(queue: ContactQueue, batch: Batch, tally: Tally) -> tuple[Tally, Settlement]:
    """As the op that records results does."""
    return tally, queue.settle(batch.token)


def endings(settled: Settlement) -> dict[str, int]:
    return {ending.value: count for ending, count in settled.endings.items() if count}


class Meanwhile:
    """A destination whose `look` does something first, the first time."""

    def __init__(self, brevo: Brevo, does: Any, method: str = "look") -> None:
        self.calls = 0
        meanwhile = self

        class Bulk(BrevoImport):
            pass

        async def call(bulk: BrevoImport, *arguments: Any) -> Any:
            if not meanwhile.calls:
                meanwhile.calls += 1
                await asyncio.to_thread(does)
            return await getattr(BrevoImport, method)(bulk, *arguments)

        setattr(Bulk, method, call)

        class Watched(Brevo):
            def bulk(self) -> BrevoImport:
                return Bulk(self, self.list_id)

        self.brevo = Watched(**dict(brevo))


def die(queue: ContactQueue, brevo: Brevo, when: str) -> Batch:
    """A run that ends, without a trace of its own, when it is about to call this method of the import."""
    batch = queue.claim(1000, adopts_imports=True)

    class Dies(BaseException):
        pass

    def end() -> None:
        raise Dies

    queue.imports.abandon = lambda _: None  # type: ignore[method-assign, assignment] # nobody tidies up after a kill
    with pytest.raises(Dies):
        deliver_batch(queue, Meanwhile(brevo, end, when).brevo, batch)
    return batch


def in_progress(world: World) -> int:
    count: int = world.value("SELECT count(*) FROM crm_sync.imports WHERE finished_at IS NULL")
    return count
