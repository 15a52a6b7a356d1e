"""How n8n's simulator is started and reached."""

from collections.abc import Mapping, Sequence

from crm_sync_pipeline.simulators.n8n.config import DEFAULT_SECRET, MODES, PATH, N8nConfig
from crm_sync_pipeline.simulators.n8n.simulator import LIVE, N8nSimulator
from crm_sync_pipeline.simulators.simulation import Simulation


def _build(plan: str, faults: Sequence[str]) -> N8nSimulator:
    return N8nSimulator(N8nConfig(mode=plan), faults=faults)


def _settings_at(base_url: str) -> Mapping[str, str]:
    return {"N8N_WEBHOOK_URL": f"{base_url}{LIVE}{PATH}", "N8N_WEBHOOK_SECRET": DEFAULT_SECRET}


N8N = Simulation(
    title="n8n",
    does="a webhook, and a workflow that works once for each Idempotency-Key",
    plans=f"How the webhook answers: {', '.join(MODES)}.",
    plan="shipped",
    build=_build,
    settings_at=_settings_at,
    demo_plan="shipped",
    demo_settings={"N8N_REQUESTS_PER_SECOND": "60"},
)
