"""The CRMs that we deliver to: one file and one line each."""

from crm_sync_pipeline.destinations.base import HttpDestination
from crm_sync_pipeline.destinations.brevo import BrevoResource

DESTINATIONS: dict[str, type[HttpDestination]] = {
    "brevo": BrevoResource,
}
