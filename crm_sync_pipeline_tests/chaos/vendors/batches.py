"""The vendor that does not exist: Brevo's contacts, three in a request, and one answer in five is odd."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from crm_sync_pipeline.destinations.contract import Answer, Record
from crm_sync_pipeline.domain.outcome import Outcome
from crm_sync_pipeline_tests.batch_vendor.resource import BatchResource
from crm_sync_pipeline_tests.batch_vendor.simulator import WAYS, BatchSimulator
from crm_sync_pipeline_tests.chaos.vendors.brevo import BREVO, config_of, options_at

_WAYS_IN_TRIALS = (*WAYS, *["whole"] * 40)
"""Not more odd ones: a contact that gets four such ones in a row would rightly end in Error."""


def simulate(seed: int) -> BatchSimulator:
    """Make the simulator of a trial."""
    return BatchSimulator(config_of(seed), ways=_WAYS_IN_TRIALS)


def connect(server: str, **options: Any) -> BatchResource:
    """Make the destination of a worker."""
    return BatchResource(**options_at(server, **options))


def with_results_by_position() -> None:
    """The first result of a batch is taken for that of the first contact, and so on, whatever it names."""

    def by_position(self: BatchResource, records: Sequence[Record], answer: Answer) -> Iterator[tuple[UUID, Outcome]]:
        results = answer.data.get("results", []) if isinstance(answer.data, dict) else []
        for record, result in zip(records, results, strict=False):
            body = b"" if result["body"] is None else json.dumps(result["body"]).encode()
            yield record.contact.id, self.read(Answer(result["status"], {}, body))

    setattr(BatchResource, "results_in", by_position)  # noqa: B010 # mypy takes a plain assignment for a mistake


BATCHES = replace(BREVO, simulate=simulate, connect=connect, ablations={"matching": with_results_by_position})
