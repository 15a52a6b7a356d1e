"""Brevo: its settings, requests, answers, set-up and import. BREVO is its entry in the registry."""

from typing import TYPE_CHECKING

from crm_sync_pipeline.destinations.brevo.answers import REMEDIES
from crm_sync_pipeline.destinations.brevo.attributes import CARRIED_BY
from crm_sync_pipeline.destinations.brevo.settings import BrevoSettings
from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.domain.crm import Crm

if TYPE_CHECKING:
    from crm_sync_pipeline.destinations.brevo.destination import Brevo


def _destination() -> "type[Brevo]":
    from crm_sync_pipeline.destinations.brevo.destination import Brevo  # httpx comes with it

    return Brevo


BREVO = Entry(
    Crm("brevo", "Brevo", "brevo_contact_id", holds_address=True, carries=CARRIED_BY),
    BrevoSettings,
    _destination,
    REMEDIES,
)
