"""The product under Dagster, as the acceptance tests have it."""

from crm_sync_pipeline_tests.acceptance.conftest import product

__all__ = ["product"]
