"""Whether the queue is well: checks of the asset `<destination>/contact_queue`, each answered by the database."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import dagster as dg

from crm_sync_pipeline.contact_queue.reading.alert_ledger import AlertLedger
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.alerting import Limits, conditions_of_queue
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.orchestration.assets import queue_key

NOT_JUDGED = "Not judged: it is close to its limit, or follows from something that another check or an alert tells."


def build_checks(destination: HttpDestination, limits: Limits) -> list[dg.AssetChecksDefinition]:
    """The five checks of one destination's queue. One that can't be answered fails, and says why."""
    name, title = destination.name, destination.title

    def schema_verified(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
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

    def judge(database: Database, kind: str, well: str) -> dg.AssetCheckResult:
        """What alerts say of the same thing: the rule and its limit stand in `domain.alerting` alone."""
        health = AlertLedger(database.engine).health(database.queue(name))
        (condition,) = (each for each in conditions_of_queue(health, limits) if each.name == f"{kind}:{name}")
        numbers = {
            "lag_seconds": _seconds(health.lag),
            "ended": health.ended,
            "error": health.ended_in_error,
            "error_percent": round(health.error_percent, 2),
            "past_lease_seconds": _seconds(health.expired_ago),
        }
        if condition.holds:
            return _failed(condition.alarm, **numbers)
        return _passed(well if condition.holds is False else NOT_JUDGED, **numbers)

    def lag_under_limit(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
        """No contact has been due for longer than CRM_SYNC_LAG_LIMIT_MINUTES."""
        return judge(database, "lag", "No contact has been due for too long.")

    def error_share_under_limit(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
        """Of the contacts that ended in the last day, no more than CRM_SYNC_ERROR_LIMIT_PERCENT are in Error."""
        return judge(database, "errors", "The share of Error is under its limit, or too few contacts ended to tell.")

    def nothing_past_its_lease(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
        """No contact stands Processing although the run that claimed it is gone."""
        return judge(database, "expired", "Nothing has stood Processing for long past its lease.")

    def destination_not_down(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
        """The breaker is closed: nothing is known that keeps deliveries from getting through."""
        return judge(database, "down", f"{title} is not down.")

    questions = (
        schema_verified, lag_under_limit, error_share_under_limit, nothing_past_its_lease, destination_not_down,
    )  # fmt: skip
    return [_check(name, question) for question in questions]


Question = Callable[[Database], dg.AssetCheckResult]


def _check(destination: str, question: Question) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=queue_key(destination), name=question.__name__, description=question.__doc__)
    def ask(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
        try:
            return question(database)
        except CrmSyncError as error:
            return _failed(f"This could not be checked. {error}")
        except Exception as error:  # a check is to say that it failed, and to quote no row
            said = redacted(str(error).partition("\n")[0])
            return _failed(f"This could not be checked. Unexpected {type(error).__name__}: {said}")

    return ask


def _seconds(span: timedelta | None) -> float:
    return round(span.total_seconds(), 1) if span else 0.0


def _passed(says: str, **numbers: float) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, description=says, metadata=numbers)


def _failed(says: str, **numbers: float) -> dg.AssetCheckResult:
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
