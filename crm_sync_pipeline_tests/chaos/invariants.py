"""What must hold of every trial. Each function returns one sentence for each time that it did not.

The names I1 to I16 are those of the table in docs/reliability.md.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from uuid import UUID

from crm_sync_pipeline_tests.chaos.audit import PEOPLE, Change
from crm_sync_pipeline_tests.chaos.contacts import OPTED_OUT
from crm_sync_pipeline_tests.chaos.evidence import Evidence, contact_in
from crm_sync_pipeline_tests.chaos.invariants_of_calls import (
    nothing_is_sent_again_without_a_cause,
    nothing_is_sent_that_was_unselected_before,
    nothing_is_sent_without_a_claim,
    what_is_sent_again_is_done_once,
)
from crm_sync_pipeline_tests.chaos.invariants_of_claims import (
    claims_are_taken_from_the_queue_alone,
    only_the_owner_settles_before_the_lease_runs_out,
    processing_is_always_claimed,
    retries_are_counted_rightly,
)
from crm_sync_pipeline_tests.chaos.losses import lost_four_times_in_a_row

QUEUED = {("Selected", "Queued"), ("Queued", "Queued")}
DONE = {("Complete", "Complete"), ("Error", "Error")}
SHARED = {
    "retry_count",
    "last_retry_at",
    "next_retry_at",
    "last_failed_crm",
    "updated_at",
}


def nothing_is_lost(evidence: Evidence) -> Iterator[str]:
    """I1: every row is there, and what is in the queue ends Complete or in Error."""
    for contact, changes in evidence.of_contacts.items():
        last = changes[-1]
        if last.after is None and last.actor != PEOPLE:
            yield f"contact {contact} was deleted by {last.actor}"
        if last.after is not None and contact not in evidence.contacts:
            yield f"contact {contact} is gone, and nobody deleted it"
    for contact, row in evidence.contacts.items():
        sync, processing = evidence.status(row)
        if processing in ("Queued", "Processing"):
            yield f"contact {contact} stands {sync}/{processing} long after everything was healed"


def the_end_is_what_people_decided(evidence: Evidence) -> Iterator[str]:
    """I1, I12: whoever was selected last is Complete or in Error, whoever was unselected last is left alone."""
    for contact, row in evidence.contacts.items():
        decisions = [
            change
            for change in evidence.of_contacts.get(contact, ())
            if change.actor == PEOPLE and change.status_after() != change.status_before()
        ]
        if not decisions:
            continue
        sync, _ = decisions[-1].status_after()
        end = evidence.status(row)
        if sync in ("Selected", "Queued") and end not in DONE:
            yield f"contact {contact} was selected last, and stands {end}"
        if sync == "New" and end != ("New", None):
            yield f"contact {contact} was unselected last, and stands {end}"


def nothing_is_claimed_at_the_end(evidence: Evidence) -> Iterator[str]:
    """I2: no token, no lease."""
    for contact, row in evidence.deliveries.items():
        if row["claim_token"] is not None or row["lease_expires_at"] is not None:
            yield f"the delivery of {contact} is still claimed under {row['claim_token']}"


def complete_means_that_the_vendor_holds_it(evidence: Evidence) -> Iterator[str]:
    """I3, I4: what was carried out last for a Complete contact is what its row said when it became Complete."""
    obeyed = evidence.obeyed_of_contact()
    vendor = evidence.vendor
    for contact, row in evidence.contacts.items():
        if evidence.status(row)[1] != "Complete":
            continue
        completed = [change for change in evidence.of_contacts[contact] if _completes(change)]
        if not completed:
            yield f"contact {contact} is Complete, and no worker made it so"
            continue
        end = completed[-1].after or {}
        as_it_stands = contact_in(end)
        wanted = {vendor.expected(as_it_stands)}
        if contact in evidence.clashing:
            wanted.add(vendor.expected(replace(as_it_stands, phone_number=None)))
        calls = obeyed.get(contact, [])
        if not any(each.payload_hash in wanted for each in calls):
            yield f"contact {contact} is Complete, and {vendor.title} never got that ({len(calls)} calls obeyed)"
        elif calls[-1].payload_hash not in wanted and not _is_beyond_help(evidence, calls[-1].call):
            last = calls[-1].call
            yield f"contact {contact} is Complete, and what {vendor.title} got last, by call {last}, is something else"
        delivery = evidence.deliveries.get(contact)
        if (
            delivery is None
            or delivery["payload_hash"] not in {*wanted, vendor.expected_by_import(as_it_stands)}
            or delivery["synced_at"] is None
        ):
            yield f"contact {contact} is Complete, and its delivery does not say what was delivered"
        own_id = evidence.ids.get(as_it_stands.address)
        if own_id and delivery and delivery["remote_id"] not in (None, own_id):
            yield f"contact {contact} is Complete as {delivery['remote_id']}, and is {own_id} at {vendor.title}"
        id_column = vendor.crm.id_column
        known_as = end["email"] if vendor.crm.holds_address else own_id
        if row[id_column] != known_as and (row[id_column] is not None or vendor.names_each_id):
            yield f"contact {contact} is Complete, and its {id_column} is {row[id_column]}"


def one_of_those_that_share_a_number_has_it(evidence: Evidence) -> Iterator[str]:
    """I3: a number is left out because another contact has it, and for nothing else."""
    with_number = 0
    for contact in evidence.clashing:
        completed = [change for change in evidence.of_contacts[contact] if _completes(change)]
        if not completed or evidence.status(evidence.contacts[contact])[1] != "Complete":
            return
        end = contact_in(completed[-1].after or {})
        with_it = (evidence.vendor.expected(end), evidence.vendor.expected_by_import(end))
        with_number += evidence.deliveries[contact]["payload_hash"] in with_it
    if evidence.clashing and with_number != 1:
        yield f"of {len(evidence.clashing)} contacts with one number, {evidence.vendor.title} has it at {with_number}"


def _completes(change: Change) -> bool:
    return (
        change.is_by_the_product
        and change.status_after() == ("Complete", "Complete")
        and change.status_before() != ("Complete", "Complete")
    )


def _is_beyond_help(evidence: Evidence, call: str) -> bool:
    """Whether a worker sent it without a lease, having slept between look and call, and was killed before it could say.

    Nobody but that worker knew of the call, so no code can make it good; the next edit or selection does.
    """
    sent = evidence.calls.get(call)
    life = evidence.lives.get(sent.worker) if sent else None
    return bool(
        sent
        and life
        and life.killed_at is not None
        and evidence.attempt_of(sent) is None
        and any(begin <= sent.sent_at + 0.5 and sent.sent_at >= begin for begin, _ in life.stopped)
    )


def only_legal_transitions(evidence: Evidence) -> Iterator[str]:
    """I7: what workers do to the two status columns is in the table of docs/architecture.md."""
    for contact, changes in evidence.of_contacts.items():
        for change in changes:
            before, after = change.status_before(), change.status_after()
            if change.is_by_the_product and before != after and not _is_legal(before, after):
                yield f"{change.actor} moved contact {contact} from {before} to {after}"


def _is_legal(before: tuple[str | None, str | None], after: tuple[str | None, str | None]) -> bool:
    if after == ("Processing", "Processing"):
        return before in QUEUED
    if before == ("Processing", "Processing"):
        return after in DONE or after == ("Queued", "Queued")
    if before == ("Processing", "Queued") or before == ("Complete", "Complete"):  # the latter: overtaken by a late call
        return after == ("Queued", "Queued")
    sync, processing = before
    return processing == "Processing" and after == (sync, "Queued" if sync in ("Selected", "Queued") else None)


def errors_blame_the_right_ones(evidence: Evidence) -> Iterator[str]:
    """I8: what can't be delivered ends in Error with its reason, and nothing else does."""
    for contact, row in evidence.contacts.items():
        is_error, text = evidence.status(row)[1] == "Error", row[evidence.vendor.crm.processing_error] or ""
        must = "lease_expired" if contact in evidence.killers else evidence.hopeless.get(contact)
        if must is not None:
            if not is_error or not (must in text or _says_what_failed_last(evidence, contact, text)):
                yield f"contact {contact} should end in Error with '{must}': it says '{text}'"
        elif is_error and "lease_expired" in text:
            if not lost_four_times_in_a_row(evidence, contact):
                yield f"contact {contact} is in Error with '{text}', and was not lost four times in a row"
        elif is_error:
            yield f"contact {contact} is healthy, and in Error with '{text}'"


def _says_what_failed_last(evidence: Evidence, contact: UUID, text: str) -> bool:
    """Whether its last attempt got no answer in time, or a bad one, instead of a refusal, and the error says so."""
    its = [attempt for (_, journaled), attempt in evidence.attempts.items() if journaled == contact]
    last = max(its, key=lambda attempt: int(attempt["id"]), default=None)
    return last is not None and last["outcome"] == "failed" and last["message"] in text


def no_opt_out_is_lifted(evidence: Evidence) -> Iterator[str]:
    """I16: whoever had opted out at the vendor is so still, whatever was sent of them."""
    known = OPTED_OUT if evidence.vendor.knows_opt_outs else frozenset()
    for address in sorted(known - evidence.opted_out):
        yield f"{address} had opted out at {evidence.vendor.title}, and may be written to again"


def only_our_columns_are_written(evidence: Evidence) -> Iterator[str]:
    """I11, I12: workers write their CRM's columns and the shared retry columns; people's data and other CRMs' stay."""
    ours = {*evidence.vendor.crm.columns, *SHARED}
    for change in evidence.history:
        if change.table == "contacts" and change.is_by_the_product and change.before and change.after:
            changed = {name for name, value in change.after.items() if change.before[name] != value}
            if strange := changed - ours:
                yield f"{change.actor} wrote {', '.join(sorted(strange))} of contact {change.contact}"


def no_error_surfaces_that_should_not(evidence: Evidence) -> Iterator[str]:
    """I13: a deadlock is tried again and never surfaces; nothing but our own errors is raised; nobody hangs."""
    for event in evidence.events:
        message = str(event.told.get("message", ""))
        if event.name == "failed" and "deadlock" in message:
            yield f"{event.worker} gave up on a deadlock: {message}"
        if event.name == "raised":
            yield f"{event.worker} raised {event.told['kind']}: {message}"
    for hung in evidence.hung:
        yield f"a worker hangs: {hung}"


def no_transaction_stays_open(evidence: Evidence) -> Iterator[str]:
    """I13: none is idle for a second while nothing keeps its worker from its database."""
    stops = [window for life in evidence.lives.values() for window in life.stopped]
    for at, seconds in evidence.idle_in_transaction:
        excused = [*evidence.disturbed, *stops]
        if not any(begin <= at and end >= at - seconds - 0.3 for begin, end in excused):
            yield f"a transaction was idle for {seconds:.1f} s"


def doing_it_twice_does_it_once(evidence: Evidence) -> Iterator[str]:
    """I14: a second settling finds nothing to settle."""
    for event in evidence.events:
        if event.name == "settled_twice" and event.told["total"]:
            yield f"{event.worker} settled {event.told['total']} deliveries a second time"


Invariant = Callable[[Evidence], Iterator[str]]

INVARIANTS: Mapping[str, tuple[Invariant, ...]] = {
    "I1": (nothing_is_lost, the_end_is_what_people_decided),
    "I2": (nothing_is_claimed_at_the_end, processing_is_always_claimed),
    "I3/I4": (complete_means_that_the_vendor_holds_it, one_of_those_that_share_a_number_has_it),
    "I5": (claims_are_taken_from_the_queue_alone,),
    "I6": (only_the_owner_settles_before_the_lease_runs_out,),
    "I7": (only_legal_transitions,),
    "I8": (errors_blame_the_right_ones,),
    "I9": (
        nothing_is_sent_without_a_claim,
        nothing_is_sent_that_was_unselected_before,
        nothing_is_sent_again_without_a_cause,
    ),
    "I10": (retries_are_counted_rightly,),
    "I11/I12": (only_our_columns_are_written,),
    "I13": (no_error_surfaces_that_should_not, no_transaction_stays_open),
    "I14": (doing_it_twice_does_it_once,),
    "I15": (what_is_sent_again_is_done_once,),
    "I16": (no_opt_out_is_lifted,),
}


def violations_in(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Every violation, with the name of what it violates."""
    for name, checks in INVARIANTS.items():
        for check in checks:
            for sentence in check(evidence):
                yield name, sentence
