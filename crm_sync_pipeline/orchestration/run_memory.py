"""What a run keeps in the memory of its process: what passes between its ops, and the claims it has yet to settle.

Every job of ours runs in one process, so neither needs a disk, and both end with the run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import dagster as dg

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.domain.masking import redacted


class OutputsInMemory(dg.IOManager):
    """The outputs of one run's ops."""

    def __init__(self) -> None:
        self._outputs: dict[tuple[str, ...], Any] = {}

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Keep an output until the run ends."""
        self._outputs[tuple(context.get_identifier())] = obj

    def load_input(self, context: dg.InputContext) -> Any:
        """The output of another op of this run. Failure where it was an op of an earlier run."""
        key = tuple(context.get_identifier())
        if key not in self._outputs:
            raise dg.Failure(
                "The outputs of the earlier run are gone: they ended with it. Nothing was sent. Its claim is over, so "
                "whatever it did not deliver is back in the queue, or comes back when the lease of the claim ends. "
                "Use 'Re-execute all', or leave it to the sensor to start a run.",
                allow_retries=False,
            )
        return self._outputs[key]


@dg.io_manager(description="Keeps what passes between ops, a claim token and counts, in memory: it ends with the run.")
def outputs_in_memory() -> OutputsInMemory:
    """The I/O manager of every job."""
    return OutputsInMemory()


class OpenClaims:
    """The claims that one run has made and not settled yet."""

    def __init__(self) -> None:
        self._queues: dict[UUID, ContactQueue] = {}

    def open(self, queue: ContactQueue) -> UUID:
        """The token of a claim on this queue that is about to be made."""
        token = uuid4()
        self._queues[token] = queue
        return token

    def close(self, token: UUID) -> None:
        """The claim is settled, or was not made."""
        self._queues.pop(token, None)

    def settle(self) -> Iterator[str]:
        """Settle what is open: what was journaled is recorded, the rest is given back at once and spends nothing.

        Yields a line for the log for each claim. One that can't be settled is left to its lease.
        """
        while self._queues:
            token, queue = self._queues.popitem()
            try:
                yield f"claim_settled_after_failure destination={queue.crm.name} contacts={queue.settle(token).total}"
            except Exception as error:  # how the run failed is the news, not this
                said = redacted(str(error).partition("\n")[0])
                yield f"claim_left_to_its_lease destination={queue.crm.name} {type(error).__name__}: {said}"


@dg.resource(description="The claims that a run has not settled yet. They are settled when it ends, however it ends.")
@contextmanager
def open_claims(context: dg.InitResourceContext) -> Iterator[OpenClaims]:
    """Claims that are settled when the run ends, unless its process is killed.

    Dagster writes its own records between the ops of a run, and may fail at it. Nobody else would settle then, and the
    contacts would wait for the end of their lease and count as lost.
    """
    claims = OpenClaims()
    try:
        yield claims
    finally:
        for line in claims.settle():
            if context.log:
                context.log.warning(line)
