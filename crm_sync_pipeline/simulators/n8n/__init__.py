"""The n8n simulator: one production webhook on loopback, and the workflow behind it.

simulator = N8nSimulator(N8nConfig(), faults=["latency=50"])
with running(simulator.app) as server:
...  # POST f"{server.base_url}/webhook/crm-sync", Authorization: Bearer n8n-simulator
assert simulator.contacts["3f0f..."]["email"] == "jane@example.com"
"""

from crm_sync_pipeline.simulators.n8n.config import DEFAULT_SECRET, PATH, N8nConfig
from crm_sync_pipeline.simulators.n8n.simulator import Execution, N8nSimulator
from crm_sync_pipeline.simulators.n8n.starting import Phase

__all__ = ["DEFAULT_SECRET", "PATH", "Execution", "N8nConfig", "N8nSimulator", "Phase"]
