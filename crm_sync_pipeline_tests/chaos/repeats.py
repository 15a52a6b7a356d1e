"""Why a contact was sent again: at-least-once delivery repeats, but never without a cause, and never silently."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from crm_sync_pipeline.domain.contact import SENT_FIELDS
from crm_sync_pipeline_tests.chaos.audit import PEOPLE, Change
from crm_sync_pipeline_tests.chaos.evidence import Call, Evidence
from crm_sync_pipeline_tests.chaos.watched import Obeyed

EDITED = "edited"
SELECTED = "selected again"
ANSWER_LOST = "answer lost"
IN_THE_AIR = "in flight at a kill"
JUST_ANSWERED = "answered just before a kill"
DATABASE_AWAY = "the journal could not be written"
LEASE_LOST = "the lease had run out"
OVERTAKEN = "a late call had overtaken it"
UNEXPLAINED = "unexplained"

CAUSES = (
    EDITED, SELECTED, ANSWER_LOST, IN_THE_AIR, JUST_ANSWERED, DATABASE_AWAY, LEASE_LOST, OVERTAKEN, UNEXPLAINED,
)  # fmt: skip

JUST_NOW_SECONDS = 0.2
"""What was answered so shortly before a kill need not be in the journal yet. Nor need what came while the journal was
being written, on a machine where that takes longer."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A contact for which another call was carried out before."""

    contact: UUID
    cause: str
    story: str


def repeats_in(evidence: Evidence) -> Iterator[Repeat]:
    """Every call that was carried out for a contact after its first, with its cause."""
    for contact, calls in evidence.obeyed_of_contact().items():
        for earlier, later in pairwise(calls):
            cause, story = _cause(evidence, contact, earlier, later)
            yield Repeat(contact, cause, story)


def repeats_allowed(evidence: Evidence) -> int:
    """How many repeats the faults allow, counted without looking at any: calls that may have been in vain, and wishes.

    Calls in flight or answered within 200 ms at their worker's kill; calls without an answer, or with a bad one; calls
    whose worker was stopped, or could not reach its database, when the answer came; edits of what was claimed; new
    selections of what had been sent.
    """
    in_vain = sum(_may_be_in_vain(evidence, call) for call in evidence.calls.values())
    wishes = 0
    for contact, changes in evidence.of_contacts.items():
        first = min((call.reading_at for call in evidence.calls.values() if call.contact == contact), default=None)
        if first is not None:
            since = first + evidence.epoch - JUST_NOW_SECONDS
            seen = [change for change in changes if change.committed_at >= since]
            wishes += sum(_is_edit(change) or _is_selection(change) for change in seen)
    return in_vain + wishes


def _may_be_in_vain(evidence: Evidence, call: Call) -> bool:
    if call.outcome != "synced" or call.answered_at is None:
        return True
    killed_at = evidence.lives[call.worker].killed_at
    if killed_at is not None and _is_just_now(evidence, call, killed_at):
        return True
    around = (call.sent_at, call.answered_at + JUST_NOW_SECONDS)
    return evidence.was_disturbed(*around) or evidence.was_stopped(call.worker, *around)


def _is_just_now(evidence: Evidence, call: Call, killed_at: float) -> bool:
    """Whether a call's answer need not be in the journal yet: it just came, or its write is in progress."""
    answered_at = call.answered_at or call.sent_at
    if killed_at - answered_at <= JUST_NOW_SECONDS:
        return True
    return evidence.was_journaling(call.worker, answered_at + JUST_NOW_SECONDS, killed_at)


def _cause(evidence: Evidence, contact: UUID, earlier: Obeyed, later: Obeyed) -> tuple[str, str]:
    first, second = evidence.calls.get(earlier.call), evidence.calls.get(later.call)
    if first is None or second is None:
        return UNEXPLAINED, "by a client that does not number its calls"
    if second.sent_at < first.sent_at:
        first, second = second, first  # an import is carried out some time after it was sent
    killed_at = evidence.lives[first.worker].killed_at
    if first.outcome is None and first.process is not None and evidence.was_waited_for(first.process):
        return _why_not_waited_for(evidence, contact, first, second)
    if first.outcome is None:
        return (ANSWER_LOST, "") if killed_at is None else (IN_THE_AIR, "")
    if first.outcome != "synced":
        return ANSWER_LOST, ""
    attempt = evidence.attempt_of(first)
    if attempt is None:
        return _why_not_journaled(evidence, first, second, killed_at)
    if _was_decided(evidence, contact, first, second):
        return SELECTED, ""
    if _was_edited(evidence, contact, first, second):
        return EDITED, ""
    if _ran_out_before(evidence, contact, first.journaled_under or first.token, attempt["attempted_at"].timestamp()):
        return LEASE_LOST, ""
    if _has_late_call(evidence, contact, first, second):
        return OVERTAKEN, ""
    return UNEXPLAINED, f"{first.number} had succeeded and was journaled, and {second.number} sent it again"


def _why_not_waited_for(evidence: Evidence, contact: UUID, first: Call, second: Call) -> tuple[str, str]:
    """Of a contact that an import held whose process was known: it is out of it only where a person took it back."""
    if _was_decided(evidence, contact, first, second):
        return SELECTED, ""
    return UNEXPLAINED, f"{second.number} sent it again while process {first.process} was waited for"


def _why_not_journaled(evidence: Evidence, first: Call, second: Call, killed_at: float | None) -> tuple[str, str]:
    answered_at = first.answered_at or first.sent_at
    until = second.sent_at if killed_at is None else min(killed_at, second.sent_at)
    if killed_at is not None and _is_just_now(evidence, first, killed_at):
        return JUST_ANSWERED, ""
    if evidence.was_disturbed(answered_at - JUST_NOW_SECONDS, until):
        return DATABASE_AWAY, ""
    if evidence.was_stopped(first.worker, answered_at - JUST_NOW_SECONDS, until):
        return LEASE_LOST, ""
    kill = "was never killed" if killed_at is None else f"was killed {killed_at - answered_at:.2f} s later"
    return UNEXPLAINED, f"{first.number} had succeeded, its worker {kill}, and it was not in the journal"


def _was_decided(evidence: Evidence, contact: UUID, first: Call, second: Call) -> bool:
    """Whether a person wanted it sent once more: after the first was read, and before the second was."""
    return any(_is_selection(change) for change in _between(evidence, contact, first, second))


def _was_edited(evidence: Evidence, contact: UUID, first: Call, second: Call) -> bool:
    return any(_is_edit(change) for change in _between(evidence, contact, first, second))


def _between(evidence: Evidence, contact: UUID, first: Call, second: Call) -> list[Change]:
    """What the first call's run did not see yet when it read, and was written before the second call was sent."""
    start, end = first.reading_at + evidence.epoch - JUST_NOW_SECONDS, second.sent_at + evidence.epoch
    changes = evidence.of_contacts.get(contact, ())
    return [change for change in changes if change.committed_at >= start and change.at <= end]


def _is_selection(change: Change) -> bool:
    is_new = change.status_after() != change.status_before()
    return change.actor == PEOPLE and is_new and change.status_after()[0] == "Selected"


def _is_edit(change: Change) -> bool:
    before, after = change.before, change.after
    if change.actor != PEOPLE or before is None or after is None:
        return False
    return any(before[name] != after[name] for name in SENT_FIELDS)


def _ran_out_before(evidence: Evidence, contact: UUID, token: UUID, journaled_at: float) -> bool:
    """Whether the claim had been taken back before its attempt was journaled."""
    for change in evidence.of_deliveries.get(contact, ()):
        ends = (change.before or {}).get("claim_token") == str(token)
        if ends and (change.after or {}).get("claim_token") != str(token):
            lost = (change.after or {}).get("lost_count", 0) > (change.before or {})["lost_count"]
            return lost or change.at <= journaled_at
    return False


def _has_late_call(evidence: Evidence, contact: UUID, first: Call, second: Call) -> bool:
    """Whether a call without a lease was sent before the second, and was reported after the first was claimed.

    Its report marks the delivery from the claim on, which under load may be long before the run reads its contacts.
    Its worker may report it long after it was sent: for as long as the journal could not be written. So the report
    counts, which is in the history of both rows, and that there was such a call is in the workers' own notes.
    """
    read_at = first.reading_at + evidence.epoch - JUST_NOW_SECONDS
    start, end = min(read_at, _claimed_at(evidence, contact, first)), second.sent_at + evidence.epoch
    changes = [*evidence.of_contacts.get(contact, ()), *evidence.of_deliveries.get(contact, ())]
    is_reported = any(
        change.committed_at >= start and change.at <= end and (_is_marked_late(change) or _is_queued_again(change))
        for change in changes
    )
    return is_reported and any(
        call.contact == contact and call.token not in (first.token, second.token) and call.sent_at <= second.sent_at
        for call in evidence.calls.values()
    )


def _claimed_at(evidence: Evidence, contact: UUID, call: Call) -> float:
    """When the contact came under the call's token; never, for one whose claim is not in the history."""
    claims = (
        change.at
        for change in evidence.of_deliveries.get(contact, ())
        if (change.after or {}).get("claim_token") == str(call.token)
    )
    return min(claims, default=float("inf"))


def _is_marked_late(change: Change) -> bool:
    late = (change.after or {}).get("late_payload_hash")
    return late is not None and late != (change.before or {}).get("late_payload_hash")


def _is_queued_again(change: Change) -> bool:
    return (
        change.is_by_the_product
        and change.table == "contacts"
        and change.status_before() == ("Complete", "Complete")
        and change.status_after() == ("Queued", "Queued")
    )
