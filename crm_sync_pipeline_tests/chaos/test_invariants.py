"""Each invariant of the chaos harness holds of a healthy life, and fails of one in which it was violated."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crm_sync_pipeline_tests.chaos.audit import PEOPLE
from crm_sync_pipeline_tests.chaos.contacts import OPTED_OUT
from crm_sync_pipeline_tests.chaos.evidence import Evidence, Life, with_imports
from crm_sync_pipeline_tests.chaos.fabricated import (
    CONTACT,
    EPOCH,
    OTHER,
    OTHER_TOKEN,
    THIRD_TOKEN,
    TOKEN,
    WORKER,
    Story,
    beginning,
    call,
    contact_row,
    delivery_row,
    evidence,
    healthy_story,
    obeyed,
    time_at,
)
from crm_sync_pipeline_tests.chaos.invariants import (
    INVARIANTS,
    one_of_those_that_share_a_number_has_it,
    violations_in,
)
from crm_sync_pipeline_tests.chaos.repeats import repeats_allowed, repeats_in
from crm_sync_pipeline_tests.chaos.trace import Event
from crm_sync_pipeline_tests.chaos.vendors.brevo import BREVO


def test_a_healthy_life_violates_nothing() -> None:
    assert list(violations_in(evidence())) == []


def test_a_number_that_is_left_out_of_all_who_share_it_is_a_violation() -> None:
    shared = frozenset([CONTACT])
    assert list(one_of_those_that_share_a_number_has_it(evidence(clashing=shared))) == []
    without = {CONTACT: delivery_row() | {"payload_hash": "of something else", "synced_at": time_at(3)}}
    assert list(one_of_those_that_share_a_number_has_it(evidence(clashing=shared, deliveries=without))) == [
        "of 1 contacts with one number, Brevo has it at 0"
    ]


def contact_gone() -> Evidence:
    return evidence(contacts={})


def contact_stuck() -> Evidence:
    return evidence(contacts={CONTACT: contact_row("Queued", "Queued")})


def decision_overwritten() -> Evidence:
    story = healthy_story()
    story.tell(5, PEOPLE, "contacts", contact_row("New", None))
    return evidence(story)


def still_claimed() -> Evidence:
    return evidence(deliveries={CONTACT: delivery_row(TOKEN, 9)})


def processing_without_a_holder() -> Evidence:
    story = beginning()
    story.tell(2, WORKER, "contacts", contact_row("Processing", "Processing"))
    return evidence(story)


def complete_under_the_id_of_another() -> Evidence:
    return evidence(ids={"ann@example.com": "18"})


def complete_and_never_sent() -> Evidence:
    return evidence(obeyed=[])


def stale_call_landed_last() -> Evidence:
    calls = {"0.1/1": call("0.1/1", 3), "1.1/1": call("1.1/1", 3.5, OTHER_TOKEN)}
    return evidence(obeyed=[obeyed(3, "0.1/1"), obeyed(3.5, "1.1/1", name="Old")], calls=calls)


def claim_of_a_claimed_contact() -> Evidence:
    story = beginning()
    story.claim(2, WORKER, TOKEN)
    story.tell(2.5, PEOPLE, "contacts", contact_row("Selected", "Queued"))
    story.claim(3, OTHER, OTHER_TOKEN)
    return evidence(story)


def claim_of_a_contact_in_error() -> Evidence:
    story = beginning()
    story.tell(1.5, WORKER, "contacts", contact_row("Error", "Error"))
    story.claim(2, WORKER, TOKEN)
    return evidence(story)


def claim_ended_by_a_stranger() -> Evidence:
    story = beginning()
    story.claim(2, WORKER, TOKEN)
    story.settle(3, OTHER, "Queued")
    return evidence(story)


def illegal_transition() -> Evidence:
    story = beginning()
    story.tell(2, WORKER, "contacts", contact_row("Complete", "Complete"))
    return evidence(story)


def healthy_contact_in_error() -> Evidence:
    row = contact_row("Error", "Error", brevo_processing_error="Max retries exceeded (3). Last error: no")
    return evidence(contacts={CONTACT: row})


def lost_less_than_four_times() -> Evidence:
    row = contact_row("Error", "Error", brevo_processing_error="lease_expired: 4 workers in a row")
    return evidence(contacts={CONTACT: row})


def sent_after_the_claim_had_ended() -> Evidence:
    return evidence(calls={"0.1/1": call("0.1/1", 5)})


def sent_though_unselected() -> Evidence:
    story = beginning()
    story.tell(2, PEOPLE, "contacts", contact_row("New", None))
    return evidence(story)


def sent_again_though_journaled() -> Evidence:
    calls = {"0.1/1": call("0.1/1", 3), "0.1/2": call("0.1/2", 3.5)}
    return evidence(obeyed=[obeyed(3, "0.1/1"), obeyed(3.5, "0.1/2")], calls=calls)


def sent_again_long_after_its_answer() -> Evidence:
    calls = {"0.1/1": call("0.1/1", 3), "1.1/1": call("1.1/1", 9, OTHER_TOKEN)}
    lives = {WORKER: Life(killed_at=4), OTHER: Life()}
    return evidence(obeyed=[obeyed(3, "0.1/1"), obeyed(9, "1.1/1")], calls=calls, lives=lives, attempts={})


def imported_again_while_waited_for(*later: Event) -> Evidence:
    """Its worker was killed when the process of the import was known: the next one is to wait for that."""
    return evidence(
        obeyed=[obeyed(3, "0.1/1:ann@example.com"), obeyed(3.8, "1.1/1")],
        calls={
            "0.1/1:ann@example.com": call("0.1/1", 3, outcome=None, answered_at=None, process=7),
            "1.1/1": call("1.1/1", 3.5, worker="1.1"),
        },
        lives={WORKER: Life(killed_at=3.2), OTHER: Life()},
        attempts={(TOKEN, CONTACT): {"outcome": "synced", "attempted_at": time_at(3.9)}},
        events=[Event(3.1, WORKER, "import_noted", {"the_import": "a", "process": 7}), *later],
    )


def retry_spent_without_a_failure() -> Evidence:
    story = beginning()
    story.claim(2, WORKER, TOKEN)
    story.settle(3, WORKER, "Queued", retry_count=1)
    return evidence(story)


def failure_without_a_retry_spent() -> Evidence:
    story = beginning()
    story.claim(2, WORKER, TOKEN)
    story.settle(4, WORKER, "Queued", retry_count=0)
    return evidence(story, attempts={(TOKEN, CONTACT): {"outcome": "failed", "attempted_at": time_at(3)}})


def retry_due_too_soon() -> Evidence:
    story = beginning()
    story.claim(2, WORKER, TOKEN)
    story.settle(4, WORKER, "Queued", retry_count=1, next_retry_at=time_at(10).isoformat())
    return evidence(story, attempts={(TOKEN, CONTACT): {"outcome": "failed", "attempted_at": time_at(3)}})


def column_of_another_crm_written() -> Evidence:
    story = beginning()
    story.tell(2, WORKER, "contacts", contact_row("Selected", "Queued", hubspot_sync_status="Error"))
    return evidence(story)


def edit_overwritten() -> Evidence:
    story = beginning()
    story.tell(2, PEOPLE, "contacts", contact_row("Selected", "Queued", name="Anna"))
    story.tell(3, WORKER, "contacts", contact_row("Selected", "Queued", name="Ann"))
    return evidence(story)


def deadlock_surfaced() -> Evidence:
    return evidence(events=[Event(1, WORKER, "failed", {"message": "refused: deadlock detected (40P01)"})])


def error_of_another_kind() -> Evidence:
    return evidence(events=[Event(1, WORKER, "raised", {"kind": "KeyError", "message": "x"})])


def worker_hung() -> Evidence:
    return evidence(hung=["0.1: in recv"])


def transaction_left_open() -> Evidence:
    return evidence(idle_in_transaction=[(5.0, 2.0)])


def done_twice_for_one_selection() -> Evidence:
    return evidence(
        vendor=replace(BREVO, drops_duplicates=True),
        obeyed=[obeyed(3, "0.1/1"), obeyed(3.2, "0.1/2")],
        calls={"0.1/1": call("0.1/1", 3, outcome="failed"), "0.1/2": call("0.1/2", 3.1)},
    )


def opt_out_lifted() -> Evidence:
    return evidence(opted_out=frozenset(sorted(OPTED_OUT)[1:]))


def settled_twice() -> Evidence:
    return evidence(events=[Event(1, WORKER, "settled_twice", {"total": 3})])


@pytest.mark.parametrize(
    ("name", "violated"),
    [
        ("I1", contact_gone),
        ("I1", contact_stuck),
        ("I1", decision_overwritten),
        ("I2", still_claimed),
        ("I2", processing_without_a_holder),
        ("I3/I4", complete_and_never_sent),
        ("I3/I4", complete_under_the_id_of_another),
        ("I3/I4", stale_call_landed_last),
        ("I5", claim_of_a_claimed_contact),
        ("I5", claim_of_a_contact_in_error),
        ("I6", claim_ended_by_a_stranger),
        ("I7", illegal_transition),
        ("I8", healthy_contact_in_error),
        ("I8", lost_less_than_four_times),
        ("I9", sent_after_the_claim_had_ended),
        ("I9", sent_though_unselected),
        ("I9", sent_again_though_journaled),
        ("I9", sent_again_long_after_its_answer),
        ("I9", imported_again_while_waited_for),
        ("I10", retry_spent_without_a_failure),
        ("I10", failure_without_a_retry_spent),
        ("I10", retry_due_too_soon),
        ("I11/I12", column_of_another_crm_written),
        ("I11/I12", edit_overwritten),
        ("I13", deadlock_surfaced),
        ("I13", error_of_another_kind),
        ("I13", worker_hung),
        ("I13", transaction_left_open),
        ("I14", settled_twice),
        ("I15", done_twice_for_one_selection),
        ("I16", opt_out_lifted),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_violation_is_seen(name: str, violated: Callable[[], Evidence]) -> None:
    seen = [check(violated()) for check in INVARIANTS[name]]
    assert [sentence for sentences in seen for sentence in sentences]


def test_what_is_sent_again_may_be_dropped_as_a_duplicate_or_wanted_again() -> None:
    dropped = done_twice_for_one_selection()
    dropped.obeyed = [dropped.obeyed[0], replace(dropped.obeyed[1], is_duplicate=True)]
    assert list(violations_in(dropped)) == []

    story = healthy_story()
    story.tell(5, PEOPLE, "contacts", contact_row("Selected", "Queued"))
    wanted_again = replace(done_twice_for_one_selection(), history=story.changes)
    assert list(INVARIANTS["I15"][0](wanted_again)) == []


def test_a_transaction_may_stay_open_while_its_worker_cannot_reach_the_database() -> None:
    excused = evidence(idle_in_transaction=[(5.0, 2.0)], disturbed=[(2.0, 3.5)])
    assert list(violations_in(excused)) == []


@pytest.mark.parametrize(
    ("first", "lives", "cause"),
    [
        ({"outcome": None, "answered_at": None}, Life(killed_at=3.1), "in flight at a kill"),
        ({"outcome": "failed"}, Life(), "answer lost"),
        ({}, Life(killed_at=3.2), "answered just before a kill"),
        ({}, Life(killed_at=6, stopped=[(3.2, 5)]), "the lease had run out"),
    ],
)
def test_a_repeat_has_its_cause_and_is_within_the_bound(first: dict[str, Any], lives: Life, cause: str) -> None:
    known = evidence(
        obeyed=[obeyed(3, "0.1/1"), obeyed(9, "1.1/1")],
        calls={"0.1/1": replace(call("0.1/1", 3), **first), "1.1/1": call("1.1/1", 9, OTHER_TOKEN)},
        lives={WORKER: lives, OTHER: Life()},
        attempts={},
    )
    assert [repeat.cause for repeat in repeats_in(known)] == [cause]
    assert repeats_allowed(known) == 1


def test_an_import_that_was_given_up_may_be_sent_again() -> None:
    known = imported_again_while_waited_for(Event(3.3, OTHER, "giving_up", {"the_import": "a"}))
    assert [repeat.cause for repeat in repeats_in(known)] == ["in flight at a kill"]
    assert list(violations_in(known)) == []


def adopted(*events: Event) -> Evidence:
    """An import whose worker died, and which another one adopts when the lease has run out."""
    story = beginning()
    story.claim(2, WORKER, TOKEN, lease_seconds=2)
    story.tell(5, OTHER, "deliveries", delivery_row(OTHER_TOKEN, 7, lost_count=1))
    story.settle(6, OTHER, "Complete")
    attempt = {"outcome": "synced", "attempted_at": time_at(5.5), "request_id": "process 7"}
    attempts = {(OTHER_TOKEN, CONTACT): attempt}
    name = "0.1/1:ann@example.com"
    calls = with_imports({name: replace(call(name, 3), outcome=None, answered_at=None)}, {"0.1/1": 7}, attempts, EPOCH)
    return evidence(story, obeyed=[obeyed(3.3, name)], calls=calls, attempts=attempts, events=events)


def test_an_import_may_be_adopted_and_by_nothing_but_an_adoption() -> None:
    assert list(violations_in(adopted(Event(5, OTHER, "adopting", {"token": str(OTHER_TOKEN)})))) == []
    assert [name for name, _ in violations_in(adopted())] == ["I5"]


def test_an_import_knows_what_it_came_to_whoever_saw_that() -> None:
    (only,) = adopted().calls.values()
    assert (only.process, only.outcome, only.journaled_under, only.answered_at) == (7, "synced", OTHER_TOKEN, 5.5)


def test_an_edit_in_flight_is_a_cause() -> None:
    story = beginning()
    story.claim(2, WORKER, TOKEN)
    story.tell(3, PEOPLE, "contacts", contact_row("Processing", "Processing", name="Anna"))
    calls = {"0.1/1": call("0.1/1", 2.9), "0.1/2": call("0.1/2", 5, OTHER_TOKEN)}
    known = evidence(story, obeyed=[obeyed(2.9, "0.1/1"), obeyed(5, "0.1/2", name="Anna")], calls=calls)
    assert [repeat.cause for repeat in repeats_in(known)] == ["edited"]


def sent_twice(story: Story) -> list[str]:
    """The causes of a second call of the contact, at 9, after its first at 3 had succeeded and was settled at 4."""
    calls = {"0.1/1": call("0.1/1", 3), "1.1/1": call("1.1/1", 9, OTHER_TOKEN), "2.1/1": call("2.1/1", 1, THIRD_TOKEN)}
    known = evidence(story, obeyed=[obeyed(3, "0.1/1"), obeyed(9, "1.1/1")], calls=calls)
    return [repeat.cause for repeat in repeats_in(known)]


def test_a_success_in_the_journal_is_no_reason_to_send_again() -> None:
    assert sent_twice(healthy_story()) == ["unexplained"]


def test_an_import_counts_when_it_commits_and_not_when_it_writes() -> None:
    story = beginning()
    story.tell(1.5, PEOPLE, "contacts", contact_row("Selected", "Queued", name="Anna"), committed=3.5)
    assert sent_twice(story) == ["edited"]


def test_a_late_call_counts_when_it_is_reported_and_not_when_it_was_sent() -> None:
    story = healthy_story()
    story.tell(8, OTHER, "contacts", contact_row("Queued", "Queued"))
    assert sent_twice(story) == ["a late call had overtaken it"]

    story = healthy_story()
    story.tell(8, OTHER, "deliveries", delivery_row(late_payload_hash="of the late call"))
    assert sent_twice(story) == ["a late call had overtaken it"]


def test_a_late_call_counts_from_the_claim_on_and_not_only_once_the_contact_was_read() -> None:
    """Under load a run reads its contacts a second after it claimed them, and the report comes in between."""
    story = beginning()
    story.claim(2, WORKER, TOKEN)
    story.tell(2.3, OTHER, "deliveries", delivery_row(TOKEN, 9, late_payload_hash="of the late call"))
    story.settle(4, WORKER, "Complete")
    assert sent_twice(story) == ["a late call had overtaken it"]
