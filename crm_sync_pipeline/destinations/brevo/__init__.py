"""Brevo: its settings, requests, answers, set-up and import. BREVO is its entry in the registry."""

from typing import TYPE_CHECKING

from crm_sync_pipeline.destinations.brevo.settings import BrevoSettings
from crm_sync_pipeline.destinations.entry import Entry

if TYPE_CHECKING:
    from crm_sync_pipeline.destinations.brevo.resource import BrevoResource


def _resource() -> "type[BrevoResource]":
    from crm_sync_pipeline.destinations.brevo.resource import BrevoResource  # Dagster comes with it

    return BrevoResource


BREVO = Entry("brevo", "Brevo", BrevoSettings, _resource)
