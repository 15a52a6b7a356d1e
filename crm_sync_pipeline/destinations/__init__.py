"""The CRMs that we deliver to: a folder and a line each."""

from crm_sync_pipeline.destinations.brevo.resource import BrevoResource
from crm_sync_pipeline.destinations.http import HttpDestination

DESTINATIONS: dict[str, type[HttpDestination]] = {
    "brevo": BrevoResource,
}
