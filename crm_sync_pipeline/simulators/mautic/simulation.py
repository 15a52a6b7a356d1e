"""How Mautic's simulator is started and reached."""

from collections.abc import Mapping, Sequence

from crm_sync_pipeline.simulators.mautic.config import DEFAULT_CLIENT, DEFAULT_SECRET, MauticConfig
from crm_sync_pipeline.simulators.mautic.simulator import MauticSimulator
from crm_sync_pipeline.simulators.simulation import Simulation


def _build(plan: str, faults: Sequence[str]) -> MauticSimulator:
    return MauticSimulator(MauticConfig.parse(plan), faults=faults)


def _settings_at(base_url: str) -> Mapping[str, str]:
    return {
        "MAUTIC_BASE_URL": base_url,
        "MAUTIC_CLIENT_ID": DEFAULT_CLIENT,
        "MAUTIC_CLIENT_SECRET": DEFAULT_SECRET,
    }


MAUTIC = Simulation(
    title="Mautic",
    does="contacts in batches, fields, segments, OAuth2 and basic auth",
    plans="unlimited, or calls per hour.",
    plan="unlimited",
    build=_build,
    settings_at=_settings_at,
    demo_plan="unlimited",
    demo_settings={"MAUTIC_SEGMENT_ID": "1", "MAUTIC_REQUESTS_PER_SECOND": "20"},
)
