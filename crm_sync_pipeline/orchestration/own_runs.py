"""Which of the runs on a Dagster instance belong to this installation. Other code locations may have the same jobs."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import dagster as dg

from crm_sync_pipeline.contact_queue.database.url import DatabaseUrlError, parsed
from crm_sync_pipeline.settings import Settings

INSTALLATION_TAG = "crm_sync/installation"
"""On every job of ours, and so on every run, however it is launched. Staging and production differ in its value."""

RECORDS_PER_QUERY = 100

NEWEST_LOOKED_AT = 1000
"""How far to look for the newest runs of ours, where others have far more of the same name."""


def installation_tag(settings: Settings) -> dict[str, str]:
    """The tag of every job of this installation: a hash of which contacts table it works on, without the password."""
    secret = settings.general.database
    place = ""
    with suppress(DatabaseUrlError):  # which the first run says
        place = parsed(secret.get_secret_value() if secret else "").place
    where = f"{place}\n{settings.general.crm_sync_contacts_table}"
    return {INSTALLATION_TAG: hashlib.sha256(where.encode()).hexdigest()[:12]}


@dataclass(frozen=True, slots=True)
class OwnRuns:
    """The runs of this installation: those with its tag, and those that Dagster labels with its repository.

    `label` is `repository@code location`, which Dagster keeps with each run that the daemon, the webserver or
    `dagster job launch` starts. It finds the runs of versions that set no tag. A schedule is not told its own label,
    and `dagster job execute` gives none; there the tag decides alone.
    """

    installation: str | None
    label: str | None = None

    @classmethod
    def of_sensor(cls, context: dg.SensorEvaluationContext, installation: str | None) -> "OwnRuns":
        """As a tick of a sensor knows them."""
        location = context.code_location_origin
        return cls(installation, f"{context.repository_name}@{location.location_name}" if location else None)

    @classmethod
    def of_run(cls, run: dg.DagsterRun) -> "OwnRuns":
        """As one of them knows the others."""
        return cls(run.tags.get(INSTALLATION_TAG), _label(run))

    def include(self, run: dg.DagsterRun) -> bool:
        """Whether this run is one of them."""
        has_tag = self.installation is not None and run.tags.get(INSTALLATION_TAG) == self.installation
        return has_tag or (self.label is not None and _label(run) == self.label)

    def records(
        self,
        instance: dg.DagsterInstance,
        wanted: dg.RunsFilter,
        *,
        ascending: bool = False,
    ) -> Iterator[dg.RunRecord]:
        """Those of the wanted runs that are ours, the newest first unless `ascending`. Remove none while this goes on.

        They are picked here and not by the filter: a filter by tag makes Dagster's database read every run of ours.
        """
        found = _all(instance, wanted, RECORDS_PER_QUERY, ascending)
        return (record for record in found if self.include(record.dagster_run))

    def newest(self, instance: dg.DagsterInstance, wanted: dg.RunsFilter, limit: int) -> list[dg.RunRecord]:
        """The newest of the wanted runs that are ours."""
        found = islice(_all(instance, wanted, limit), NEWEST_LOOKED_AT)
        return list(islice((record for record in found if self.include(record.dagster_run)), limit))


def _all(
    instance: dg.DagsterInstance, wanted: dg.RunsFilter, at_first: int, ascending: bool = False
) -> Iterator[dg.RunRecord]:
    """The wanted runs, read as they are needed: `at_first` by the first query, many by each of the others."""
    last, limit = None, at_first
    while records := instance.get_run_records(wanted, limit=limit, cursor=last, ascending=ascending):
        yield from records
        if len(records) < limit:
            return
        last, limit = records[-1].dagster_run.run_id, RECORDS_PER_QUERY


def _label(run: dg.DagsterRun) -> str | None:
    return run.remote_job_origin.repository_origin.get_label() if run.remote_job_origin else None
