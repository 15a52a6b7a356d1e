"""n8n: its settings and its columns on the contacts table. It is not delivered to yet."""

from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.destinations.n8n.settings import N8nSettings

N8N = Entry("n8n", "n8n", N8nSettings)
