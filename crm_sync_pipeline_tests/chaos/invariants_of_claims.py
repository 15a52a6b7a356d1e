"""What must hold of claims, leases and retries, as the audit trigger saw them."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from crm_sync_pipeline.domain.retry import RetryPolicy
from crm_sync_pipeline_tests.chaos.audit import Change
from crm_sync_pipeline_tests.chaos.evidence import Evidence, seconds_of

UNKNOWN = "unknown"
_POLICY = RetryPolicy()
_QUEUED = {("Selected", "Queued"), ("Queued", "Queued")}


def processing_is_always_claimed(evidence: Evidence) -> Iterator[str]:
    """I2: whenever a transaction ends, a contact on Processing/Processing has a delivery with token and lease."""
    for contact, changes in _of_both(evidence).items():
        status: tuple[str | None, str | None] = (None, None)
        token = None
        last_of = {change.transaction: change.number for change in changes}
        for change in changes:
            if change.table == "contacts":
                status = change.status_after()
            else:
                token = (change.after or {}).get("claim_token")
            if last_of[change.transaction] == change.number and status == ("Processing", "Processing") and not token:
                yield f"contact {contact} stood Processing, claimed by nobody, after {change.actor} had written"


def claims_are_taken_from_the_queue_alone(evidence: Evidence) -> Iterator[str]:
    """I5: never from another live claim, never from anything but Queued, and never twice under a token in use.

    What an import holds stays Processing when another claim adopts it.
    """
    seen: set[tuple[str, UUID]] = set()
    for contact, changes in _of_both(evidence).items():
        moved = {change.transaction: change for change in changes if _to_processing(change)}
        for change in changes:
            before, token = change.before or {}, (change.after or {}).get("claim_token")
            if change.table != "deliveries" or token is None or before.get("claim_token") == token:
                continue
            if before.get("claim_token") and seconds_of(before["lease_expires_at"]) > change.began_at:
                yield f"{change.actor} claimed {contact} while another live claim had it"
            if before.get("claim_token") and UUID(token) in evidence.adopting:
                pass
            elif change.transaction not in moved:
                yield f"{change.actor} claimed {contact} without moving it to Processing"
            elif moved[change.transaction].status_before() not in _QUEUED:
                yield f"{change.actor} claimed {contact}, which was {moved[change.transaction].status_before()}"
            if (token, contact) in seen and _was_used(evidence, UUID(token), change.at):
                yield f"{change.actor} claimed {contact} twice under one token"
            seen.add((token, contact))


def _was_used(evidence: Evidence, token: UUID, before: float) -> bool:
    """Whether anything was sent under a token: else a claim whose COMMIT had no answer was merely made once more."""
    return any(call.token == token and call.sent_at + evidence.epoch < before for call in evidence.calls.values())


def only_the_owner_settles_before_the_lease_runs_out(evidence: Evidence) -> Iterator[str]:
    """I6: while a lease runs, nobody but the worker that made the claim ends it."""
    for contact, changes in evidence.of_deliveries.items():
        owner = UNKNOWN
        for change in changes:
            before, after = change.before or {}, change.after or {}
            token = before.get("claim_token")
            if token is not None and after.get("claim_token") != token:
                still_runs = seconds_of(before["lease_expires_at"]) - change.began_at
                if still_runs > 0 and change.actor != owner:
                    yield f"{change.actor} ended {owner}'s claim of {contact}, which had {still_runs:.2f} s to run"
            if after.get("claim_token") not in (None, token):
                owner = change.actor


def retries_are_counted_rightly(evidence: Evidence) -> Iterator[str]:
    """I10: only a recorded failure spends a retry, each spends one, and the wait is the policy's."""
    for contact, changes in _of_both(evidence).items():
        row: dict[str, Any] = {}
        for change in changes:
            if change.table == "contacts":
                row = (change.before or row) if change.is_by_the_product else (change.after or row)
                continue
            if not (change.is_by_the_product and change.before and change.after):
                continue
            before, after = change.before, change.after
            token, done, now_done = before["claim_token"], before["retry_count"], after["retry_count"]
            if token is None or after["claim_token"] == token:
                continue
            attempt = evidence.attempts.get((UUID(token), contact))
            was_lost = after["lost_count"] > before["lost_count"]  # then nothing was journaled in time
            outcome = attempt["outcome"] if attempt and not was_lost else None
            if now_done > done:
                if outcome not in ("failed", "rejected") or now_done != done + 1:
                    yield f"the retries of {contact} went from {done} to {now_done} after '{outcome}'"
                elif after["claim_token"] is None and not _waits_long_enough(change, done):
                    yield f"{contact} is due again too soon after its failure number {now_done}"
            elif now_done == done < _POLICY.max_retries and outcome == "failed" and _is_claimed(evidence, row):
                yield f"{contact} failed, and no retry was spent"


def _waits_long_enough(change: Change, retries_done: int) -> bool:
    due = (change.after or {}).get("next_retry_at")
    wait = _POLICY.delay(retries_done).total_seconds()
    return due is not None and abs(seconds_of(due) - change.began_at - wait) < 1


def _is_claimed(evidence: Evidence, row: dict[str, Any]) -> bool:
    return evidence.status(row) == ("Processing", "Processing")


def _to_processing(change: Change) -> bool:
    return (
        change.table == "contacts" and change.status_after() == ("Processing", "Processing") != change.status_before()
    )


def _of_both(evidence: Evidence) -> dict[UUID, list[Change]]:
    found: dict[UUID, list[Change]] = {}
    for change in evidence.history:
        found.setdefault(change.contact, []).append(change)
    return found
