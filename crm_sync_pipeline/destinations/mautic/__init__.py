"""Mautic: its settings and its columns on the contacts table. It is not delivered to yet."""

from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.destinations.mautic.settings import MauticSettings
from crm_sync_pipeline.domain.crm import Crm

MAUTIC = Entry(Crm("mautic", "Mautic", "mautic_contact_id"), MauticSettings)
