"""How HubSpot's simulator is started and reached."""

from collections.abc import Mapping, Sequence

from crm_sync_pipeline.simulators.hubspot.config import DEFAULT_KEY, HubspotConfig, HubspotLimits
from crm_sync_pipeline.simulators.hubspot.simulator import HubspotSimulator
from crm_sync_pipeline.simulators.simulation import Simulation


def _build(plan: str, faults: Sequence[str]) -> HubspotSimulator:
    return HubspotSimulator(HubspotConfig(limits=HubspotLimits.parse(plan)), faults=faults)


def _settings_at(base_url: str) -> Mapping[str, str]:
    return {"HUBSPOT_API_BASE_URL": base_url, "HUBSPOT_API_KEY": DEFAULT_KEY}


HUBSPOT = Simulation(
    title="HubSpot",
    does="contacts, batches, properties and account details",
    plans="starter, professional, enterprise, unlimited, or requests per 10 seconds.",
    plan="starter",
    build=_build,
    settings_at=_settings_at,
    demo_plan="enterprise",
    demo_settings={"HUBSPOT_REQUESTS_PER_SECOND": "19"},
)
