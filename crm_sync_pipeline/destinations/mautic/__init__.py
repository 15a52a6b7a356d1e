"""Mautic: its settings, requests, answers and set-up. MAUTIC is its entry in the registry."""

from typing import TYPE_CHECKING

from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.destinations.mautic.answers import REMEDIES
from crm_sync_pipeline.destinations.mautic.fields import CARRIED_BY
from crm_sync_pipeline.destinations.mautic.settings import MauticSettings
from crm_sync_pipeline.domain.crm import Crm

if TYPE_CHECKING:
    from crm_sync_pipeline.destinations.mautic.destination import Mautic


def _destination() -> "type[Mautic]":
    from crm_sync_pipeline.destinations.mautic.destination import Mautic  # httpx comes with it

    return Mautic


MAUTIC = Entry(
    Crm("mautic", "Mautic", "mautic_contact_id", carries=CARRIED_BY),
    MauticSettings,
    _destination,
    REMEDIES,
)
