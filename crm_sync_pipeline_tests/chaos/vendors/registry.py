"""Every vendor by the name that `--destination` takes; `batches` is the one that does not exist."""

from collections.abc import Mapping

from crm_sync_pipeline_tests.chaos.vendor import Vendor
from crm_sync_pipeline_tests.chaos.vendors.batches import BATCHES
from crm_sync_pipeline_tests.chaos.vendors.brevo import BREVO
from crm_sync_pipeline_tests.chaos.vendors.hubspot import HUBSPOT
from crm_sync_pipeline_tests.chaos.vendors.mautic import MAUTIC
from crm_sync_pipeline_tests.chaos.vendors.n8n import N8N

REAL: Mapping[str, Vendor] = {vendor.name: vendor for vendor in (BREVO, HUBSPOT, MAUTIC, N8N)}
VENDORS: Mapping[str, Vendor] = {**REAL, "batches": BATCHES}
