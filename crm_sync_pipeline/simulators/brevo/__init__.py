"""The Brevo simulator: https://api.brevo.com/v3 on loopback, as far as contacts go.

simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"]), faults=["latency=50"])
with running(simulator.app) as server:
...  # base URL f"{server.base_url}/v3", key "xkeysib-simulator"
assert simulator.contacts["jane@example.com"].attributes["FIRSTNAME"] == "Jane"
"""

from crm_sync_pipeline.simulators.brevo.config import (
    DEFAULT_ATTRIBUTES,
    DEFAULT_KEY,
    PLANS,
    BrevoConfig,
    BrevoLimits,
)
from crm_sync_pipeline.simulators.brevo.simulator import BrevoSimulator
from crm_sync_pipeline.simulators.brevo.state import BrevoContact

__all__ = [
    "DEFAULT_ATTRIBUTES",
    "DEFAULT_KEY",
    "PLANS",
    "BrevoConfig",
    "BrevoContact",
    "BrevoLimits",
    "BrevoSimulator",
]
