"""n8n: its settings, requests, answers and set-up. N8N is its entry in the registry."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.destinations.n8n.answers import REMEDIES
from crm_sync_pipeline.destinations.n8n.settings import N8nSettings
from crm_sync_pipeline.domain.crm import Crm

if TYPE_CHECKING:
    from crm_sync_pipeline.destinations.n8n.destination import N8n

_CARRIED_BY: Mapping[str, tuple[str, ...]] = {
    "name": ("name",),
    "domain_id": ("scrapersky_domain_id",),
    "page_id": ("scrapersky_page_id",),
}
"""The fields of the body that each optional column of the contacts table fills."""


def _destination() -> "type[N8n]":
    from crm_sync_pipeline.destinations.n8n.destination import N8n  # httpx comes with it

    return N8n


N8N = Entry(
    Crm("n8n", "n8n", "n8n_workflow_id", by_address=False, carries=_CARRIED_BY),
    N8nSettings,
    _destination,
    REMEDIES,
)
