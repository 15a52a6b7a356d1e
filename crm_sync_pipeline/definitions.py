"""The composition root: what Dagster loads."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import DESTINATIONS, crms_of, load_settings, off_in
from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.monitoring.alerts import limits_of
from crm_sync_pipeline.orchestration.acts import build_act_jobs
from crm_sync_pipeline.orchestration.alerts import build_alert_sensor
from crm_sync_pipeline.orchestration.asset_checks import build_check_queue_schedule, build_checks
from crm_sync_pipeline.orchestration.assets import build_assets
from crm_sync_pipeline.orchestration.check import build_check_job
from crm_sync_pipeline.orchestration.history import build_prune_job, build_prune_schedule
from crm_sync_pipeline.orchestration.jobs import build_resume_job, build_sync_job
from crm_sync_pipeline.orchestration.own_runs import installation_tag
from crm_sync_pipeline.orchestration.resources import resource_of
from crm_sync_pipeline.orchestration.run_memory import open_claims, outputs_in_memory
from crm_sync_pipeline.orchestration.schedules import build_schedule
from crm_sync_pipeline.orchestration.sensors import build_sensor
from crm_sync_pipeline.settings import Settings

logger = logging.getLogger("crm_sync_pipeline")

# Dagster 1.13 warns at every sensor and schedule that `owners`, which stand beside them in the UI, are in beta.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def build_definitions(
    settings: Settings | None = None, destinations: Mapping[str, Entry] = DESTINATIONS
) -> dg.Definitions:
    """Jobs, schedules, sensors and resources of these destinations, as the settings say.

    `destinations` may have one of another package, beside ours or alone. Without `settings` the environment is read.
    """
    settings = settings or load_settings(destinations)
    served = list(destinations)
    no_database = [] if settings.general.database else [settings.general.database_variable]
    jobs, schedules, sensors, assets, checks = [], [], [], [], []
    owner, tags = settings.general.crm_sync_owner, installation_tag(settings)
    resources: dict[str, dg.ConfigurableResource[Any] | dg.ResourceDefinition] = {
        "database": resource_of(
            Database.from_settings(settings, crms_of(destinations), off_in(settings, destinations)),
            {"url": settings.general.database_variable},
            fixed=("url_variable", "crms", "policies", "off"),
        ),
        "io_manager": outputs_in_memory,
        "open_claims": open_claims,
    }
    how_many_are_on = 0 if no_database else sum(not settings.destinations[name].missing for name in served)
    for name in served:
        destination = destinations[name].destination().from_settings(settings)
        sync = settings.sync[name]
        off_because = _off_because(destination.title, [*no_database, *settings.destinations[name].missing])
        job = build_sync_job(destination, sync, owner, tags, off_because)
        resources[name] = resource_of(destination, destination.secrets)
        jobs.append(job)
        schedules.append(build_schedule(destination, job, sync, owner, off_because))
        sensors.append(build_sensor(destination, job, sync, owner, off_because, how_many_are_on))
        assets += build_assets(destination, owner)
        checks += build_checks(destination, limits_of(settings))
        if off_because:
            logger.warning("%s_off %s", name, off_because)
        else:
            logger.info(
                "%s_on interval_minutes=%d batch_size=%d max_instances=%d sensor_batch_limit=%d",
                name,
                sync.scheduler_interval_minutes,
                sync.scheduler_batch_size,
                sync.scheduler_max_instances,
                sync.sensor_batch_limit,
            )
    jobs.append(build_resume_job(served, owner, tags))
    jobs += build_act_jobs(destinations, owner, tags)
    jobs.append(build_check_job(served, owner, tags))
    schedules.append(build_check_queue_schedule(checks, owner, tags, is_on=bool(settings.general.database)))
    prune = build_prune_job(settings.history, [each.name for each in jobs] + ["check_queue"], owner, tags)
    jobs.append(prune)
    schedules.append(build_prune_schedule(prune, owner, is_on=bool(settings.general.database)))
    jobs_of_crms = {name: f"{name}_sync" for name in served}
    sensors.append(build_alert_sensor(settings, jobs_of_crms, [prune.name], owner))
    return dg.Definitions(
        jobs=jobs, schedules=schedules, sensors=sensors, assets=assets, asset_checks=checks, resources=resources
    )


def _off_because(title: str, missing: Sequence[str]) -> str | None:
    if not missing:
        return None
    return (
        f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set, so the schedule and the sensor of "
        f"{title} are off. Set {'it' if len(missing) == 1 else 'them'} and reload the code location."
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads. SettingsError names each setting that is wrong."""
    return build_definitions()
