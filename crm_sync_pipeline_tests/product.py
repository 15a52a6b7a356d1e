"""The product as its users meet it: settings in the environment, Dagster around it, a simulator as the CRM."""

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import dagster as dg
import pytest

from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline.orchestration.own_runs import INSTALLATION_TAG
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import World

SETTINGS = ("DATABASE_URL", "BREVO_", "HUBSPOT_", "MAUTIC_", "N8N_", "CRM_SYNC_", "DAGSTER_HOME")
"""How the names of our variables, and of those that decide where Dagster is, begin."""

READ_BY_DAGSTER = ("CRM_SYNC_DATABASE_URL", "DATABASE_URL", "BREVO_API_KEY")
"""Secrets of which the definitions know only whether they are set."""


@lru_cache(maxsize=32)
def _loaded(_variables: frozenset[tuple[str, str]]) -> dg.Definitions:
    return build_definitions(load_settings())


@dataclass
class Product:
    """One installation. Where the environment has changed between two acts, Dagster loads it anew.

    As Dagster reads secrets from the environment itself, one load serves all tests whose other settings are the same.
    """

    monkeypatch: pytest.MonkeyPatch
    world: World
    simulator: BrevoSimulator
    instance: dg.DagsterInstance
    on_disk: dg.DagsterInstance
    crm: str = "brevo"
    """Whose job runs here, whom contacts are selected for."""

    def add(self, *emails: str, **columns: Any) -> list[UUID]:
        """Contacts that are selected for its CRM."""
        ids = self.world.add(*emails, selected=False, **columns)
        self.select(*ids)
        return ids

    def select(self, *ids: UUID) -> None:
        """Select them for its CRM."""
        self.world.select(*ids, crms=(self.crm,))

    def status(self, contact: UUID) -> tuple[str, str | None]:
        """Both statuses for its CRM."""
        return self.world.status(contact, self.crm)

    def error(self, contact: UUID) -> str | None:
        """What its CRM's column says went wrong."""
        said: str | None = self.world.contact(contact)[f"{self.crm}_processing_error"]
        return said

    def reasons(self) -> list[str]:
        """Why each attempt at its CRM ended as it did, the oldest first."""
        attempts = self.world.rows(
            "SELECT reason FROM crm_sync.attempts WHERE destination = :crm ORDER BY id", crm=self.crm
        )
        return [attempt["reason"] for attempt in attempts]

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)

    def unset(self, name: str) -> None:
        self.monkeypatch.delenv(name)

    @property
    def definitions(self) -> dg.Definitions:
        ours = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}
        secrets = {name: str(bool(ours[name])) for name in READ_BY_DAGSTER if name in ours}
        return _loaded(frozenset((ours | secrets).items()))

    @property
    def installation_tag(self) -> dict[str, str]:
        """What the runs of this installation are known by."""
        tags = self.definitions.resolve_job_def(f"{self.crm}_sync").tags
        return {INSTALLATION_TAG: tags[INSTALLATION_TAG]}

    def run(self, **claim: object) -> dg.ExecuteInProcessResult:
        """One run of the job, with the scheduled cycle's config unless told otherwise."""
        config = {"ops": {"claim_batch": {"config": {"destination": self.crm, **claim}}}} if claim else None
        return self.definitions.resolve_job_def(f"{self.crm}_sync").execute_in_process(
            instance=self.instance, run_config=config, raise_on_error=False
        )

    def tick(self, trigger: str) -> dg.RunRequest | dg.SkipReason:
        """Ask the schedule or the sensor once, with the resources that the definitions give it."""
        definitions = self.definitions
        resources = {"database": (definitions.resources or {})["database"]}
        answer: object
        if trigger.endswith("_schedule"):
            # A schedule's context refuses an instance in memory; no run is in progress in the other one.
            instance = self.on_disk if self.instance.is_ephemeral else self.instance
            with dg.build_schedule_context(instance=instance, resources=resources) as context:
                answer = definitions.resolve_schedule_def(trigger)(context)
        else:
            with dg.build_sensor_context(instance=self.instance, resources=resources) as context:
                answer = definitions.resolve_sensor_def(trigger)(context)
        if isinstance(answer, dg.SensorResult):
            answer = answer.run_requests[0] if answer.run_requests else answer.skip_reason
        assert isinstance(answer, (dg.RunRequest, dg.SkipReason))
        return answer

    def run_requested(self, request: dg.RunRequest | dg.SkipReason) -> dg.ExecuteInProcessResult:
        """The run that a tick asked for."""
        assert isinstance(request, dg.RunRequest), request
        return self.definitions.resolve_job_def(f"{self.crm}_sync").execute_in_process(
            instance=self.instance, run_config=request.run_config, tags=request.tags, raise_on_error=False
        )

    def pass_minutes(self, minutes: float) -> None:
        self.world.pass_time(timedelta(minutes=minutes))
