"""Whether the queue is well: checks of the asset `<destination>/contact_queue`, each answered by the database."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import dagster as dg

from crm_sync_pipeline.contact_queue.reading.figures import COUNTED_UP_TO
from crm_sync_pipeline.contact_queue.resource import DatabaseResource
from crm_sync_pipeline.destinations.http import HttpDestination
from crm_sync_pipeline.domain.alerting import ENDED_AT_LEAST, Limits
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.orchestration.assets import queue_key

GRACE = timedelta(minutes=5)
"""What the next claim gets to recover what a dead one left behind."""


def build_checks(destination: HttpDestination, limits: Limits) -> list[dg.AssetChecksDefinition]:
    """The five checks of one destination's queue. One that can't be answered fails, and says why."""
    name, title = destination.destination, destination.title

    def schema_verified(database: DatabaseResource) -> dg.AssetCheckResult:
        """The contacts table, our own tables and the indexes are as deliveries need them."""
        findings = database.check(name)
        wrong = [finding for finding in findings if finding.ok is False]
        absent = [finding for finding in findings if finding.ok is None and not finding.optional]
        if not wrong and not absent:
            without = [finding for finding in findings if finding.optional and not finding.ok]
            also = (
                f" Contacts are delivered without {len(without)} columns; see `crm-sync db check`." if without else ""
            )
            return _passed(f"{len(findings)} things were looked at, and all are right.{also}", looked_at=len(findings))
        says = [each.says() for each in wrong]
        return _failed(" ".join([*says, *(f"{each.subject}: {each.detail}." for each in absent)]), wrong=len(wrong))

    def lag_under_limit(database: DatabaseResource) -> dg.AssetCheckResult:
        """No contact has been due for longer than CRM_SYNC_LAG_LIMIT_MINUTES."""
        lag, limit = database.queue(name).figures.now().lag_seconds, limits.lag.total_seconds()
        if lag is None:
            return _passed("No contact is due.", lag_seconds=0.0)
        says = f"The oldest due contact has waited for {lag:.0f} s of {limit:.0f} s allowed."
        if lag <= limit:
            return _passed(says, lag_seconds=round(lag, 1))
        return _failed(
            f"{says} Look at the ticks of the sensor {name}_queue_sensor: each says why it starts no run. Without "
            "ticks the daemon is not running.",
            lag_seconds=round(lag, 1),
        )

    def error_share_under_limit(database: DatabaseResource) -> dg.AssetCheckResult:
        """Of the contacts that ended in the last day, no more than CRM_SYNC_ERROR_LIMIT_PERCENT are in Error."""
        share = database.queue(name).figures.ended_lately()
        numbers = {"ended": share.ended, "error": share.error, "error_percent": round(share.percent, 2)}
        if share.ended < ENDED_AT_LEAST:
            return _passed(f"Only {share.ended} contacts ended in the last day: too few to tell.", **numbers)
        says = (
            f"Of {share.ended} contacts that ended in the last day, {share.error} are in Error: {share.percent:.3g} % "
            f"of {limits.error_percent:g} % allowed."
        )
        if share.percent <= limits.error_percent:
            return _passed(says, **numbers)
        return _failed(
            f"{says} `crm-sync status --crm {name}` lists the reasons, the most frequent first.",
            **numbers,
        )

    def nothing_past_its_lease(database: DatabaseResource) -> dg.AssetCheckResult:
        """No contact stands Processing although the run that claimed it is gone."""
        late = database.queue(name).figures.past_their_lease(GRACE)
        minutes = GRACE.total_seconds() / 60
        if not late:
            return _passed(f"Nothing has stood Processing for {minutes:g} minutes beyond its lease.", past_lease=0)
        many = f"{late} or more" if late >= COUNTED_UP_TO else str(late)
        return _failed(
            f"{many} contacts have stood Processing for {minutes:g} minutes beyond their lease. The next claim "
            f"recovers them, but none is made: look at the ticks of the sensor {name}_queue_sensor.",
            past_lease=late,
        )

    def destination_not_down(database: DatabaseResource) -> dg.AssetCheckResult:
        """The breaker is closed: nothing is known that keeps deliveries from getting through."""
        down = database.queue(name).breaker.state()
        if down is None:
            return _passed(f"{title} is not down.", probes_done=0)
        return _failed(
            f"{title} is down: {down.message} Nothing is lost. `crm-sync resume {name}` asks it now.",
            reason=down.reason,
            probes_done=down.probes_done,
        )

    questions = (
        schema_verified, lag_under_limit, error_share_under_limit, nothing_past_its_lease, destination_not_down,
    )  # fmt: skip
    return [_check(name, question) for question in questions]


Question = Callable[[DatabaseResource], dg.AssetCheckResult]


def _check(destination: str, question: Question) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=queue_key(destination), name=question.__name__, description=question.__doc__)
    def ask(database: DatabaseResource) -> dg.AssetCheckResult:
        try:
            return question(database)
        except CrmSyncError as error:
            return _failed(f"This could not be checked. {error}")
        except Exception as error:  # a check is to say that it failed, and to quote no row
            said = redacted(str(error).partition("\n")[0])
            return _failed(f"This could not be checked. Unexpected {type(error).__name__}: {said}")

    return ask


def _passed(says: str, **numbers: float) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, description=says, metadata=numbers)


def _failed(says: str, **numbers: float | str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description=says, metadata=numbers)


def build_check_queue_schedule(
    checks: list[dg.AssetChecksDefinition], owner: str, tags: Mapping[str, str], *, is_on: bool
) -> dg.ScheduleDefinition:
    """The schedule `check_queue_schedule` of the job `check_queue`: every hour, where there is a database."""
    what = (
        "Ask whether each queue is well: schema, lag, share of Error, leases, destination. Changes nothing; a check "
        "that fails says what to do."
    )
    off_because = "Off: DATABASE_URL is not set. Set it and reload the code location."
    job = dg.define_asset_job(
        "check_queue",
        selection=dg.AssetSelection.checks(*checks),
        description=what,
        executor_def=dg.in_process_executor,
        tags=tags,
        owners=[owner],
    )
    return dg.ScheduleDefinition(
        name="check_queue_schedule",
        job=job,
        cron_schedule="7 * * * *",
        description="Asks every hour whether each queue is well." if is_on else off_because,
        default_status=dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED,
        owners=[owner],
    )
