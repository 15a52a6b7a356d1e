"""The vendor that does not exist: Brevo's contacts, three in a request, and one answer in five is odd."""

from dataclasses import replace
from typing import Any

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


BATCHES = replace(BREVO, simulate=simulate, connect=connect)
