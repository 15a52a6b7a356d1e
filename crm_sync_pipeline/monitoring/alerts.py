"""Checks what may be wrong, and notifies people of each change once."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from crm_sync_pipeline.contact_queue.reading.alert_ledger import AlertLedger
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.domain.alerting import (
    DATABASE,
    Change,
    Condition,
    JobHealth,
    Limits,
    QueueHealth,
    changes,
    condition_of_database,
    condition_of_job,
    conditions_of_queue,
    is_catching_up,
)
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.monitoring.channels import AlertNotSentError, Channel
from crm_sync_pipeline.settings import Settings

SEND_BUDGET_SECONDS = 25.0
"""What is not sent within that is sent by the next check: Dagster gives a tick 60 s."""


def limits_of(settings: Settings) -> Limits:
    """From where on something is wrong, as the settings say."""
    general = settings.general
    return Limits(
        timedelta(minutes=general.crm_sync_lag_limit_minutes),
        general.crm_sync_error_limit_percent,
        settings.alerts.failed_runs_limit,
    )


@dataclass(frozen=True, slots=True)
class Notified:
    """The result of one check: what was sent to which channel, and why something was not."""

    sent: list[tuple[str, Change]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DatabaseTrouble:
    """What must be remembered about a database that can't remember it: since when every check of it has failed.

    `notified` are the channels that were told so, and not yet that it is over.
    """

    since: datetime | None = None
    notified: frozenset[str] = frozenset()

    @classmethod
    def from_json(cls, text: str | None) -> "DatabaseTrouble":
        """What `as_json` wrote; no trouble where that can't be read."""
        try:
            known = json.loads(text or "{}")
            since = None if known.get("since") is None else datetime.fromtimestamp(known["since"], timezone.utc)
            return cls(since, frozenset(known.get("told", ())))
        except (ValueError, TypeError, AttributeError):
            return cls()

    def as_json(self) -> str:
        """For a sensor's cursor."""
        return json.dumps({"since": self.since and self.since.timestamp(), "told": sorted(self.notified)})


@dataclass(frozen=True, slots=True)
class Watch:
    """The CRMs to look at, each with the health of its job where that is known; whom to tell; from where on."""

    database: Database
    jobs_of_crms: Mapping[str, JobHealth | None]
    channels: Sequence[Channel] = ()
    limits: Limits = Limits()  # noqa: RUF009 # it never changes
    ui_url: str | None = None
    other_jobs: Sequence[JobHealth] = ()

    def conditions(self) -> list[Condition]:
        """What may be wrong, and whether it is. Asks the database alone."""
        return self._conditions(self._health())

    def check_and_notify_whatever_the_database_does(
        self, trouble: DatabaseTrouble, now: datetime
    ) -> tuple[Notified, DatabaseTrouble]:
        """Check, and send what has changed; where the database has not worked for some minutes, send that instead.

        When it works again, what follows from its failure is not sent beside it.
        """
        error, since = None, trouble.since
        try:
            if since:
                self._note_outages()
            notified, since = self.check_and_notify(), None
        except CrmSyncError as failure:
            error, since = str(failure), since or now
            notified = Notified(problems=[error])
        condition = condition_of_database(error, now - since if since else timedelta(0))
        informed = set(trouble.notified)
        for channel in self.channels:
            for change in changes([condition], [DATABASE] if channel.name in informed else []):
                try:
                    channel.send(change.subject, change.text)
                except AlertNotSentError as failure:
                    notified.problems.append(f"{failure} It will be retried at the next check.")
                    continue
                notified.sent.append((channel.name, change))
                informed ^= {channel.name}
        return notified, DatabaseTrouble(since, frozenset(informed))

    def check_and_notify(self) -> Notified:
        """Send to each channel what was not sent to it yet."""
        health, still_open, notified = self._health(), self._ledger.open_alerts(), Notified()
        if self._keep_track_of_outages(health, {each.name for each in still_open}):
            health = self._health()
        conditions = self._conditions(health)
        until = time.monotonic() + SEND_BUDGET_SECONDS
        for channel in self.channels:
            open_here = {each.name for each in still_open if each.channel == channel.name}
            for change in changes(conditions, open_here, self.ui_url):
                if time.monotonic() > until:
                    notified.problems.append("There was no time to send everything: the next check sends the rest.")
                    return notified
                try:
                    if self._notify(channel, change):
                        notified.sent.append((channel.name, change))
                except AlertNotSentError as error:
                    notified.problems.append(f"{error} It will be retried at the next check.")
                    break  # a channel that does not take one now takes no other either
        return notified

    def _notify(self, channel: Channel, change: Change) -> bool:
        def is_still_so() -> bool:
            now = {each.name: each.holds for each in self.conditions()}
            return now.get(change.name) is change.is_raised

        return self._ledger.notify(channel.name, change, is_still_so, lambda: channel.send(change.subject, change.text))

    @property
    def _ledger(self) -> AlertLedger:
        return AlertLedger(self.database.engine)

    def _health(self) -> list[QueueHealth]:
        return [self._ledger.health(self.database.queue(crm), job) for crm, job in self.jobs_of_crms.items()]

    def _conditions(self, health: Sequence[QueueHealth]) -> list[Condition]:
        found = [each for queue in health for each in conditions_of_queue(queue, self.limits)]
        return found + [condition_of_job(job, self.limits) for job in self.other_jobs]

    def _note_outages(self) -> None:
        for crm in self.jobs_of_crms:
            self._ledger.note_outage(crm)

    def _keep_track_of_outages(self, health: Sequence[QueueHealth], open_alerts: Collection[str]) -> bool:
        """Note who is down, and whose runs no longer fail; returns whether there are any of the latter."""
        have_recovered = False
        for queue in health:
            has_recovered = queue.job and queue.job.condition in open_alerts and not queue.job.is_failing(self.limits)
            if queue.down or has_recovered:
                self._ledger.note_outage(queue.crm)
                have_recovered |= not queue.down
            elif queue.was_down_ago is not None and not is_catching_up(queue, self.limits):
                self._ledger.forget_outage(queue.crm)
        return have_recovered
