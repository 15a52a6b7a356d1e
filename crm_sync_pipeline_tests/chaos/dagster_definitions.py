"""The product's own definitions, with times so short that a trial sees a lease run out: what the code server loads."""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import dagster as dg

from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline_tests.chaos.dagster_watching import watch_this_process

LEASE_SECONDS = "CHAOS_LEASE_SECONDS"
CALL_SECONDS = "CHAOS_CALL_SECONDS"
TRIGGERS = "CHAOS_TRIGGERS"
DESTINATION = "CHAOS_DESTINATION"


@dg.definitions
def defs() -> dg.Definitions:
    """What delivers to DESTINATION, which is brevo unless it is set.

    Schedules and sensors are left out where TRIGGERS is "off", so that a test starts every run by hand.
    """
    watch_this_process()
    destination = os.environ.get(DESTINATION, "brevo")
    settings = load_settings()
    # Past the settings' own bounds, which are meant for a real account.
    general = settings.general.model_copy(update={"crm_sync_lease_seconds": int(os.environ[LEASE_SECONDS])})
    product = build_definitions(replace(settings, general=general))
    resources = dict(product.resources or {})
    resources[destination] = _changed(resources[destination], timeout_seconds=float(os.environ[CALL_SECONDS]))
    triggered = os.environ[TRIGGERS] == "on"
    return dg.Definitions(
        jobs=_of(destination, product.jobs),
        schedules=_of(destination, product.schedules) if triggered else None,
        sensors=_of(destination, product.sensors) if triggered else None,
        assets=product.assets,
        resources=resources,
    )


def _of(destination: str, definitions: Iterable[Any] | None) -> list[Any]:
    """What delivers to it; acts, checks and alerts start no run here."""
    return [each for each in definitions or () if each.name.startswith((f"{destination}_", "resume_"))]


def _changed(resource: Any, **values: object) -> Any:
    fields = {name: getattr(resource, name) for name in type(resource).model_fields}
    return type(resource)(**{**fields, **values})
