"""Looks at what may be wrong, and tells people of each change once."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from crm_sync_pipeline.alert_channels import AlertNotSentError, Channel
from crm_sync_pipeline.contact_queue.alerts import AlertLedger
from crm_sync_pipeline.contact_queue.database import DatabaseResource
from crm_sync_pipeline.domain.alerting import (
    Change,
    Condition,
    JobHealth,
    Limits,
    QueueHealth,
    changes,
    condition_of_job,
    conditions_of_queue,
    is_catching_up,
)
from crm_sync_pipeline.settings import Settings

SENDS_FOR_SECONDS = 25.0
"""What is not told within that is told at the next look: Dagster gives a tick 60 s."""


def limits_of(settings: Settings) -> Limits:
    """From where on something is wrong, as the settings say."""
    general = settings.general
    return Limits(
        timedelta(minutes=general.crm_sync_lag_limit_minutes),
        general.crm_sync_error_limit_percent,
        settings.alerts.failed_runs_limit,
    )


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look came to: the channels and what each was told, and why others were not."""

    told: list[tuple[str, Change]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Watch:
    """The CRMs to look at, each with the health of its job where that is known; whom to tell; from where on."""

    database: DatabaseResource
    jobs_of_crms: Mapping[str, JobHealth | None]
    channels: Sequence[Channel] = ()
    limits: Limits = Limits()  # noqa: RUF009 # it never changes
    ui_url: str | None = None
    other_jobs: Sequence[JobHealth] = ()

    def conditions(self) -> list[Condition]:
        """What may be wrong, and whether it is. Asks the database alone."""
        return self._conditions(self._health())

    def look(self) -> Looked:
        """Tell each channel what it was not told yet."""
        health = self._health()
        self._keep_track_of_outages(health)
        conditions, told, looked = self._conditions(health), self._ledger.told(), Looked()
        until = time.monotonic() + SENDS_FOR_SECONDS
        for channel in self.channels:
            told_here = {each.name for each in told if each.channel == channel.name}
            for change in changes(conditions, told_here, self.ui_url):
                if time.monotonic() > until:
                    looked.problems.append("There was more to tell than time to tell it: the next look goes on.")
                    return looked
                try:
                    if self._tell(channel, change):
                        looked.told.append((channel.name, change))
                except AlertNotSentError as error:
                    looked.problems.append(f"{error} It is tried again at the next look.")
                    break  # a channel that does not take one now takes no other either
        return looked

    def _tell(self, channel: Channel, change: Change) -> bool:
        def is_still_so() -> bool:
            now = {each.name: each.holds for each in self.conditions()}
            return now.get(change.name) is change.is_raised

        return self._ledger.tell(channel.name, change, is_still_so, lambda: channel.send(change.subject, change.text))

    @property
    def _ledger(self) -> AlertLedger:
        return AlertLedger(self.database.engine)

    def _health(self) -> list[QueueHealth]:
        return [self._ledger.health(self.database.queue(crm), job) for crm, job in self.jobs_of_crms.items()]

    def _conditions(self, health: Sequence[QueueHealth]) -> list[Condition]:
        found = [each for queue in health for each in conditions_of_queue(queue, self.limits)]
        return found + [condition_of_job(job, self.limits) for job in self.other_jobs]

    def _keep_track_of_outages(self, health: Sequence[QueueHealth]) -> None:
        for queue in health:
            if queue.down:
                self._ledger.note_outage(queue.crm)
            elif queue.was_down_ago is not None and not is_catching_up(queue, self.limits):
                self._ledger.forget_outage(queue.crm)
