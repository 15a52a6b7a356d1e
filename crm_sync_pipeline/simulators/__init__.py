"""The simulators: simulators of the CRMs, on this machine; one line for each."""

from collections.abc import Mapping

from crm_sync_pipeline.simulators.brevo.simulation import BREVO
from crm_sync_pipeline.simulators.hubspot.simulation import HUBSPOT
from crm_sync_pipeline.simulators.mautic.simulation import MAUTIC
from crm_sync_pipeline.simulators.n8n.simulation import N8N
from crm_sync_pipeline.simulators.simulation import Simulation

SIMULATIONS: Mapping[str, Simulation] = {"brevo": BREVO, "hubspot": HUBSPOT, "mautic": MAUTIC, "n8n": N8N}
