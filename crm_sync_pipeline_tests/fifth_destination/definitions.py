"""What a workspace loads in place of crm_sync_pipeline.definitions: our destinations, and Acme."""

import dagster as dg

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import DESTINATIONS, crms_of, load_settings
from crm_sync_pipeline_tests.fifth_destination.destination import ACME

ALL = {**DESTINATIONS, "acme": ACME}


@dg.definitions
def defs() -> dg.Definitions:
    return build_definitions(destinations=ALL)


def upgrade() -> None:
    Database.from_settings(load_settings(ALL), crms_of(ALL)).upgrade(print)
