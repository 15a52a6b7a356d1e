"""HubSpot: its settings, requests, answers and set-up. HUBSPOT is its entry in the registry."""

from typing import TYPE_CHECKING

from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.destinations.hubspot.answers import REMEDIES
from crm_sync_pipeline.destinations.hubspot.properties import CARRIED_BY
from crm_sync_pipeline.destinations.hubspot.settings import HubspotSettings
from crm_sync_pipeline.domain.crm import Crm

if TYPE_CHECKING:
    from crm_sync_pipeline.destinations.hubspot.destination import Hubspot


def _destination() -> "type[Hubspot]":
    from crm_sync_pipeline.destinations.hubspot.destination import Hubspot  # httpx comes with it

    return Hubspot


HUBSPOT = Entry(
    Crm("hubspot", "HubSpot", "hubspot_contact_id", carries=CARRIED_BY),
    HubspotSettings,
    _destination,
    REMEDIES,
)
