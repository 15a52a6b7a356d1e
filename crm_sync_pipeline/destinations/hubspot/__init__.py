"""HubSpot: its settings and its columns on the contacts table. It is not delivered to yet."""

from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.destinations.hubspot.settings import HubspotSettings
from crm_sync_pipeline.domain.crm import Crm

HUBSPOT = Entry(Crm("hubspot", "HubSpot", "hubspot_contact_id"), HubspotSettings)
