"""n8n: its settings and its columns on the contacts table. It is not delivered to yet."""

from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.destinations.n8n.settings import N8nSettings
from crm_sync_pipeline.domain.crm import Crm

N8N = Entry(Crm("n8n", "n8n", "n8n_workflow_id"), N8nSettings)
