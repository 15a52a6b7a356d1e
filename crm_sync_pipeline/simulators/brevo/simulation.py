"""How Brevo's simulator is started and reached."""

from collections.abc import Mapping, Sequence

from crm_sync_pipeline.simulators.brevo.config import DEFAULT_KEY, BrevoConfig, BrevoLimits
from crm_sync_pipeline.simulators.brevo.simulator import BASE_PATH, BrevoSimulator
from crm_sync_pipeline.simulators.simulation import Simulation


def _build(plan: str, faults: Sequence[str]) -> BrevoSimulator:
    return BrevoSimulator(BrevoConfig(limits=BrevoLimits.parse(plan)), faults=faults)


def _settings_at(base_url: str) -> Mapping[str, str]:
    return {"BREVO_API_BASE_URL": f"{base_url}{BASE_PATH}", "BREVO_API_KEY": DEFAULT_KEY}


BREVO = Simulation(
    title="Brevo",
    does="contacts, lists, attributes, import, processes and account",
    plans="general, advanced, extended, unlimited, or requests per second.",
    plan="general",
    build=_build,
    settings_at=_settings_at,
    demo_plan="extended",
    demo_settings={"BREVO_LIST_ID": "1", "BREVO_REQUESTS_PER_SECOND": "60"},
)
