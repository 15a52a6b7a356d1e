"""Every vendor by the name that `--destination` takes; `batches` is the one that does not exist."""

from collections.abc import Mapping

from crm_sync_pipeline_tests.chaos.vendor import Vendor
from crm_sync_pipeline_tests.chaos.vendors.batches import BATCHES
from crm_sync_pipeline_tests.chaos.vendors.brevo import BREVO
from crm_sync_pipeline_tests.chaos.vendors.hubspot import HUBSPOT

REAL: Mapping[str, Vendor] = {vendor.name: vendor for vendor in (BREVO, HUBSPOT)}
VENDORS: Mapping[str, Vendor] = {**REAL, "batches": BATCHES}
