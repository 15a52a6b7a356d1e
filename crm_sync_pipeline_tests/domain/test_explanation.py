from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.explanation import AttemptRecord, Explanation, Facts, Twin, explain
from crm_sync_pipeline.domain.health import Down
from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus

REMEDIES = {
    "sms_in_use": "Clear its phone number, here or in the other contact that has it, and select that one",
    "invalid_phone": "Correct or clear its phone number",
}
NOW = datetime(2026, 3, 1, 14, 0, tzinfo=timezone.utc)
ID = "3f2b0c1e-9c1d-4c57-8f5e-2a1b3c4d5e6f"
NEW = Facts(ID, "anna@example.com", "brevo", "Brevo", "New", None, None, NOW, max_retries=3)
QUEUED = replace(NEW, sync_status="Selected", processing_status="Queued")
WAITING = replace(
    QUEUED,
    sync_status="Queued",
    error="Brevo API error (503): try later",
    retry_count=2,
    next_retry_at=NOW + timedelta(minutes=10),
)
PROCESSING = replace(
    NEW,
    sync_status="Processing",
    processing_status="Processing",
    run_id="run-7",
    lease_expires_at=NOW + timedelta(minutes=5),
)
DOWN = Down("http_401", "Brevo refused BREVO_API_KEY.", 2, timedelta(minutes=4))
COMPLETE = replace(NEW, sync_status="Complete", processing_status="Complete", synced_at=NOW)
TRIED = AttemptRecord(NOW, 1, "synced", "created", "", 201, None, 80, "run-7")

CASES = {
    "never selected": (
        NEW,
        Explanation(
            "Never selected for Brevo (sync status New).", f"Nothing. `crm-sync select {ID} --crm brevo` sends it."
        ),
    ),
    "skipped": (
        replace(NEW, sync_status="Skipped"),
        Explanation(
            "Never selected for Brevo (sync status Skipped).", f"Nothing. `crm-sync select {ID} --crm brevo` sends it."
        ),
    ),
    "unselected after an attempt": (
        replace(NEW, attempts=(TRIED,)),
        Explanation(
            "Not selected for Brevo (sync status New); it was attempted before and then taken back.",
            f"Nothing. `crm-sync select {ID} --crm brevo` sends it.",
        ),
    ),
    "queued and due": (
        QUEUED,
        Explanation(
            "Queued and due.",
            "The next run takes it: the sensor looks every few seconds, the schedule every few minutes.",
        ),
    ),
    "retry due": (
        replace(WAITING, next_retry_at=NOW),
        Explanation(
            "Queued and due.",
            "The next run takes it: the sensor looks every few seconds, the schedule every few minutes.",
        ),
    ),
    "selected afresh while it waited": (
        replace(WAITING, sync_status="Selected"),
        Explanation(
            "Queued and due.",
            "The next run takes it: the sensor looks every few seconds, the schedule every few minutes.",
        ),
    ),
    "waiting for retry 2": (
        WAITING,
        Explanation(
            "Waiting for retry 2 of 3. Last error: Brevo API error (503): try later",
            "Attempt 3 is due at 2026-03-01 14:10:00 UTC (in 10 min). It reads the row afresh, so a correction counts.",
        ),
    ),
    "rejected, waiting": (
        replace(WAITING, retry_count=1, error="Brevo API error (400): email is not valid"),
        Explanation(
            "Waiting for retry 1 of 3. Last error: Brevo API error (400): email is not valid",
            "Attempt 2 is due at 2026-03-01 14:10:00 UTC (in 10 min). It reads the row afresh, so a correction counts.",
        ),
    ),
    "put off": (
        replace(WAITING, retry_count=0, error=None, next_retry_at=NOW + timedelta(seconds=40)),
        Explanation("Put off: the run ended early", "It is due at 2026-03-01 14:00:40 UTC."),
    ),
    "destination down": (
        replace(WAITING, down=DOWN),
        Explanation(
            "Waiting, because Brevo is down: Brevo refused BREVO_API_KEY.",
            "Brevo is tried again in 4 min; the contact has lost nothing.",
        ),
    ),
    "destination down for something that a person does": (
        replace(WAITING, down=replace(DOWN, reason="invalid_phone")),
        Explanation(
            "Waiting, because Brevo is down: Brevo refused BREVO_API_KEY.",
            "Correct or clear its phone number. Brevo is tried again in 4 min; the contact has lost nothing.",
        ),
    ),
    "destination down, probe due": (
        replace(QUEUED, down=replace(DOWN, next_probe_in=timedelta(seconds=-3))),
        Explanation(
            "Waiting, because Brevo is down: Brevo refused BREVO_API_KEY.",
            "Brevo is tried again now; the contact has lost nothing.",
        ),
    ),
    "re-selected while in flight": (
        replace(QUEUED, lease_expires_at=NOW + timedelta(minutes=5), down=DOWN),
        Explanation(
            "Selected again while a run is delivering it.",
            "It goes out once more when that run is done, by 2026-03-01 14:05:00 UTC at the latest.",
        ),
    ),
    "not wanted": (
        replace(QUEUED, sync_status="Skipped"),
        Explanation(
            "Not wanted: its sync status is Skipped, though its processing status is still Queued.",
            f"Nothing. `crm-sync select {ID} --crm brevo` sends it, `crm-sync unselect {ID} --crm brevo` clears it.",
        ),
    ),
    "processing": (
        PROCESSING,
        Explanation(
            "Being delivered right now by run run-7.", "Its result follows, by 2026-03-01 14:05:00 UTC at the latest."
        ),
    ),
    "processing from the command line": (
        replace(PROCESSING, run_id=None),
        Explanation("Being delivered right now.", "Its result follows, by 2026-03-01 14:05:00 UTC at the latest."),
    ),
    "dead run": (
        replace(PROCESSING, lease_expires_at=NOW),
        Explanation(
            "The run that claimed it has died, or another program left it Processing.",
            "The next claim records what was journaled, or queues it again; no retry is spent.",
        ),
    ),
    "left Processing by another program": (
        replace(PROCESSING, lease_expires_at=None, run_id=None),
        Explanation(
            "The run that claimed it has died, or another program left it Processing.",
            "The next claim records what was journaled, or queues it again; no retry is spent.",
        ),
    ),
    "delivered": (
        replace(NEW, sync_status="Complete", processing_status="Complete", synced_at=NOW),
        Explanation(
            "Brevo has it: delivered at 2026-03-01 14:00:00 UTC.", "Nothing. Select it again to send it again."
        ),
    ),
    "delivered before we kept times": (
        replace(NEW, sync_status="Complete", processing_status="Complete"),
        Explanation("Brevo has it: delivered.", "Nothing. Select it again to send it again."),
    ),
    "delivered, but for something left out": (
        replace(COMPLETE, attempts=(replace(TRIED, message="Sent without its phone number, which is not valid"),)),
        Explanation(
            "Brevo has it: delivered at 2026-03-01 14:00:00 UTC. Sent without its phone number, which is not valid.",
            "Nothing. Select it again to send it again.",
        ),
    ),
    "delivered and unchanged": (
        replace(COMPLETE, attempts=(TRIED, replace(TRIED, reason="unchanged"))),
        Explanation(
            "Brevo has it: delivered at 2026-03-01 14:00:00 UTC, and unchanged since, so the last run did not send it.",
            "Nothing. Once its data changes, selecting it sends it again.",
        ),
    ),
    "another row with the same address delivered later": (
        replace(COMPLETE, overwritten_by=Twin("other", NOW + timedelta(minutes=1))),
        Explanation(
            "Delivered at 2026-03-01 14:00:00 UTC, but since 2026-03-01 14:01:00 UTC Brevo has shown another row's "
            "data: contact other has the same e-mail address, and was delivered later.",
            "Nothing. Correct one of the two addresses, or unselect the row that should not count.",
        ),
    ),
    "no e-mail address": (
        replace(QUEUED, email=" ", down=DOWN),
        Explanation(
            "Can't be sent: it has no e-mail address.",
            "Fill in its e-mail address; the next run reads the row afresh.",
        ),
    ),
    "no e-mail address, and none is needed": (
        replace(QUEUED, email=" ", needs_address=False),
        Explanation(
            "Queued and due.",
            "The next run takes it: the sensor looks every few seconds, the schedule every few minutes.",
        ),
    ),
    "destination off": (
        replace(QUEUED, off="BREVO_API_KEY"),
        Explanation(
            "Queued and due, but Brevo is off here: BREVO_API_KEY not set.",
            "It waits until that is set, or another machine delivers it.",
        ),
    ),
    "no e-mail address, tried": (
        replace(WAITING, email=""),
        Explanation(
            "Can't be sent: it has no e-mail address.",
            "Fill in its e-mail address; the attempt at 2026-03-01 14:10:00 UTC reads the row afresh.",
        ),
    ),
    "no e-mail address, where none is needed": (
        replace(QUEUED, email="", needs_address=False),
        Explanation(
            "Queued and due.",
            "The next run takes it: the sensor looks every few seconds, the schedule every few minutes.",
        ),
    ),
    "rejected for its phone": (
        replace(WAITING, attempts=(replace(TRIED, outcome="rejected", reason="sms_in_use"),)),
        Explanation(
            "Waiting for retry 2 of 3. Last error: Brevo API error (503): try later",
            "Clear its phone number, here or in the other contact that has it, and select that one. Attempt 3 is due "
            "at 2026-03-01 14:10:00 UTC (in 10 min). It reads the row afresh, so a correction counts.",
        ),
    ),
    "in Error for its phone": (
        replace(
            NEW,
            processing_status="Error",
            error="Max retries exceeded (3).",
            attempts=(replace(TRIED, outcome="rejected", reason="invalid_phone"),),
        ),
        Explanation(
            "Given up: Max retries exceeded (3).",
            f"Nothing by itself. Correct or clear its phone number, then `crm-sync requeue {ID} --crm brevo`.",
        ),
    ),
    "unselected before it was sent": (
        replace(NEW, run_id="run-7"),
        Explanation(
            "Not selected for Brevo (sync status New); it was taken back before it was sent.",
            f"Nothing. `crm-sync select {ID} --crm brevo` sends it.",
        ),
    ),
    "unselected meanwhile": (
        replace(NEW, lease_expires_at=NOW + timedelta(minutes=5)),
        Explanation(
            "Not selected for Brevo any more (sync status New): taken back after a run had claimed it.",
            "Nothing, unless it was sent before: then its attempt shows here, and its status stays as it is.",
        ),
    ),
    "in Error": (
        replace(
            NEW,
            sync_status="Error",
            processing_status="Error",
            error="Max retries exceeded (3). Last error: Brevo API error (400): bad",
            retry_count=3,
            down=DOWN,
        ),
        Explanation(
            "Given up: Max retries exceeded (3). Last error: Brevo API error (400): bad",
            f"Nothing by itself. Fix the cause, then `crm-sync requeue {ID} --crm brevo`.",
        ),
    ),
    "in Error without a text": (
        replace(NEW, sync_status="Error", processing_status="Error"),
        Explanation(
            "Given up: no reason was recorded",
            f"Nothing by itself. Fix the cause, then `crm-sync requeue {ID} --crm brevo`.",
        ),
    ),
}


@pytest.mark.parametrize(("facts", "answer"), CASES.values(), ids=list(CASES))
def test_why_is_this_contact_not_there(facts: Facts, answer: Explanation) -> None:
    assert explain(facts, REMEDIES) == answer


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (timedelta(seconds=-5), "now"),
        (timedelta(seconds=1), "in 1 s"),
        (timedelta(seconds=89), "in 89 s"),
        (timedelta(seconds=90), "in 2 min"),
        (timedelta(minutes=15), "in 15 min"),
    ],
)
def test_a_wait_is_told_in_seconds_and_then_in_minutes(wait: timedelta, words: str) -> None:
    answer = explain(replace(QUEUED, down=replace(DOWN, next_probe_in=wait)))
    assert f"tried again {words};" in answer.next_step


times = st.none() | st.timedeltas(-timedelta(hours=1), timedelta(hours=1)).map(lambda away: NOW + away)
facts_of_any_kind = st.builds(
    Facts,
    contact_id=st.just(ID),
    email=st.sampled_from(["anna@example.com", ""]),
    destination=st.just("brevo"),
    title=st.just("Brevo"),
    sync_status=st.none() | st.sampled_from([status.value for status in SyncStatus]),
    processing_status=st.none() | st.sampled_from([status.value for status in ProcessingStatus]),
    error=st.none() | st.just("Brevo API error (503): try later"),
    now=st.just(NOW),
    max_retries=st.just(3),
    retry_count=st.integers(0, 3),
    next_retry_at=times,
    lease_expires_at=times,
    run_id=st.none() | st.just("run-7"),
    synced_at=times,
    overwritten_by=st.none() | st.just(Twin("other", NOW)),
    down=st.none() | st.just(DOWN),
    attempts=st.just(()) | st.just((TRIED,)),
)


def test_a_refusal_that_nobody_knows_a_remedy_for_has_none_of_another_destination() -> None:
    facts = replace(WAITING, attempts=(replace(TRIED, outcome="rejected", reason="sms_in_use"),))
    assert "phone" not in explain(facts).next_step
    assert "phone" not in explain(facts, {"duplicate_email": "Merge the two"}).next_step


@given(facts_of_any_kind)
def test_there_is_always_one_answer_and_a_next_step_without_personal_data(facts: Facts) -> None:
    answer = explain(facts)
    assert answer.verdict
    assert answer.next_step
    assert "anna" not in f"{answer}{facts!r}"
