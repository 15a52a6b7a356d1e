"""The Mautic simulator: the API of one Mautic instance on loopback, as far as contacts go.

simulator = MauticSimulator(MauticConfig(), faults=["latency=50"])
with running(simulator.app) as server:
...  # base URL server.base_url, client "mautic-client" with secret "mautic-secret"
assert simulator.contacts["jane@example.com"].fields["firstname"] == "Jane"
"""

from crm_sync_pipeline.simulators.mautic.config import (
    DEFAULT_CLIENT,
    DEFAULT_CUSTOM_FIELDS,
    DEFAULT_PASSWORD,
    DEFAULT_SECRET,
    DEFAULT_USER,
    MauticConfig,
)
from crm_sync_pipeline.simulators.mautic.simulator import MauticSimulator
from crm_sync_pipeline.simulators.mautic.state import MauticContact

__all__ = [
    "DEFAULT_CLIENT",
    "DEFAULT_CUSTOM_FIELDS",
    "DEFAULT_PASSWORD",
    "DEFAULT_SECRET",
    "DEFAULT_USER",
    "MauticConfig",
    "MauticContact",
    "MauticSimulator",
]
