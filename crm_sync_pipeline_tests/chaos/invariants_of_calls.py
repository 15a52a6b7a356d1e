"""What must hold of the calls, by the workers' own traces and by what the simulator carried out."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from crm_sync_pipeline_tests.chaos.audit import Change
from crm_sync_pipeline_tests.chaos.evidence import Evidence, Window
from crm_sync_pipeline_tests.chaos.repeats import UNEXPLAINED, repeats_allowed, repeats_in

SLACK_SECONDS = 0.25
"""Between a commit and the moment when it is noted, and the other way round."""

WAKING_SECONDS = 0.5
"""How long after it was woken a worker may still make the calls for which it had looked at its lease before."""


def nothing_is_sent_without_a_claim(evidence: Evidence) -> Iterator[str]:
    """I9: a worker sends only while its claim lives, unless it was stopped between its look and its call."""
    claimed = _claimed_by_token(evidence)
    for call in evidence.calls.values():
        windows = claimed.get((call.token, call.contact), [])
        sent = call.sent_at
        if any(begin - SLACK_SECONDS <= sent <= end + SLACK_SECONDS for begin, end in windows):
            continue
        if not evidence.was_stopped(call.worker, sent - WAKING_SECONDS, sent + SLACK_SECONDS):
            late = (
                f"{sent - max(end for _, end in windows):.2f} s after its claim had ended" if windows else "unclaimed"
            )
            yield f"{call.worker} sent {call.contact} {late}"


def _claimed_by_token(evidence: Evidence) -> dict[tuple[UUID, UUID], list[Window]]:
    claimed: dict[tuple[UUID, UUID], list[Window]] = {}
    for contact, changes in evidence.of_deliveries.items():
        token, since = None, 0.0
        for change in changes:
            now_token = (change.after or {}).get("claim_token")
            if now_token == token:
                continue
            at = change.at - evidence.epoch
            if token is not None:
                claimed.setdefault((UUID(token), contact), []).append((since, at))
            token, since = now_token, at
        if token is not None:
            claimed.setdefault((UUID(token), contact), []).append((since, float("inf")))
    return claimed


def nothing_is_sent_that_was_unselected_before(evidence: Evidence) -> Iterator[str]:
    """I9: a contact that was unselected before the run read it is not sent."""
    for call in evidence.calls.values():
        changes = evidence.of_contacts.get(call.contact, [])
        before = _last_before(changes, call.reading_at - SLACK_SECONDS + evidence.epoch)
        after = _last_before(changes, call.sent_at + evidence.epoch)
        if before is not None and before is after and before.status_after() == ("New", None):
            yield f"{call.worker} sent {call.contact}, which had been unselected before it was read"


def _last_before(changes: list[Change], at: float) -> Change | None:
    index = bisect_right(changes, at, key=lambda change: change.at)
    return changes[index - 1] if index else None


def nothing_is_sent_again_without_a_cause(evidence: Evidence) -> Iterator[str]:
    """I9: each call that was carried out again has a kill, a lost answer, an edit or a person's decision behind it."""
    repeats = list(repeats_in(evidence))
    for repeat in repeats:
        if repeat.cause == UNEXPLAINED:
            yield f"contact {repeat.contact} was sent again: {repeat.story}"
    if evidence.calls and len(repeats) > (allowed := repeats_allowed(evidence)):
        yield f"{len(repeats)} calls were carried out again, and the faults allow {allowed}"


def what_is_sent_again_is_done_once(evidence: Evidence) -> Iterator[str]:
    """I15: whoever drops duplicates does the same for a contact once per selection, however often it is sent."""
    if not evidence.vendor.drops_duplicates:
        return
    for contact, calls in evidence.obeyed_of_contact().items():
        selections = sum(_is_selection(change) for change in evidence.of_contacts.get(contact, ()))
        done = Counter(each.payload_hash for each in calls if not each.is_duplicate)
        for times in done.values():
            if times > selections:
                yield f"contact {contact}: the same was done {times} times for {selections} selections"


def _is_selection(change: Change) -> bool:
    is_new = change.status_after() != change.status_before()
    return not change.is_by_the_product and is_new and change.status_after()[0] == "Selected"
