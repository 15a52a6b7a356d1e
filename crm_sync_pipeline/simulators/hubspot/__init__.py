"""The HubSpot simulator: https://api.hubapi.com on loopback, as far as contacts and their properties go.

simulator = HubspotSimulator(HubspotConfig(limits=PLANS["unlimited"]), faults=["latency=50"])
with running(simulator.app) as server:
...  # base URL server.base_url, token "pat-na1-simulator"
assert simulator.contacts["jane@example.com"].properties["firstname"] == "Jane"
"""

from crm_sync_pipeline.simulators.hubspot.config import (
    DEFAULT_KEY,
    DEFAULT_PROPERTIES,
    PLANS,
    HubspotConfig,
    HubspotLimits,
)
from crm_sync_pipeline.simulators.hubspot.properties import Property
from crm_sync_pipeline.simulators.hubspot.simulator import HubspotSimulator
from crm_sync_pipeline.simulators.hubspot.state import HubspotContact

__all__ = [
    "DEFAULT_KEY",
    "DEFAULT_PROPERTIES",
    "PLANS",
    "HubspotConfig",
    "HubspotContact",
    "HubspotLimits",
    "HubspotSimulator",
    "Property",
]
