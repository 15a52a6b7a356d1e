"""The registry of destinations: a folder and a line each. Nothing else names a vendor."""

from collections.abc import Mapping

from crm_sync_pipeline.destinations.brevo import BREVO
from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.destinations.hubspot import HUBSPOT
from crm_sync_pipeline.destinations.mautic import MAUTIC
from crm_sync_pipeline.destinations.n8n import N8N
from crm_sync_pipeline.domain.crm import Crms
from crm_sync_pipeline.settings import Settings, reading

DESTINATIONS: Mapping[str, Entry] = {entry.name: entry for entry in (BREVO, HUBSPOT, MAUTIC, N8N)}


def crms_of(destinations: Mapping[str, Entry]) -> Crms:
    """What the contacts table may have for each of these."""
    return {name: entry.crm for name, entry in destinations.items()}


CRMS = crms_of(DESTINATIONS)


def off_in(settings: Settings, destinations: Mapping[str, Entry] = DESTINATIONS) -> Mapping[str, str]:
    """The names of those that these settings deliver nothing to, each with the variables that it lacks."""
    missing = {name: settings.of(entry.settings).missing for name, entry in destinations.items()}
    return {name: " and ".join(variables) for name, variables in missing.items() if variables}


def load_settings(destinations: Mapping[str, Entry] = DESTINATIONS) -> Settings:
    """Read the environment, with each destination's own settings. SettingsError names each variable that is wrong."""
    return reading.load_settings({name: entry.settings for name, entry in destinations.items()})
