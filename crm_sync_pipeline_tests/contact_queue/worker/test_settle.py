import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.domain.retry import RetryPolicy
from crm_sync_pipeline_tests.builders import LEASE, World, attempt, one_run

FAILED = Failed("http_503", "Brevo API error (503): try later")
REJECTED = Rejected("http_400", "Brevo API error (400): email is not valid")
MINUTE = timedelta(minutes=1)
ENDINGS = {"complete": 0, "retry": 0, "error": 0, "deferred": 0, "again": 0, "superseded": 0}
SHARED = ("retry_count", "next_retry_at", "last_retry_at", "last_failed_crm")


def in_flight(world: World, outcome: Outcome | None = None, destination: str = "brevo") -> UUID:
    """Claim what is due and journal this outcome for each; returns the token, still to be settled."""
    queue = world.queue(destination)
    batch = queue.claim(5000)
    queue.journal(batch.token, [attempt(contact, outcome) for contact in queue.contacts_of(batch.token)])
    return batch.token


def shared(world: World, contact: UUID) -> dict[str, Any]:
    row = world.contact(contact)
    return {name: row[name] for name in SHARED}


def minutes_from_now(world: World, at: Any) -> float:
    return float((at - world.value("SELECT now()")) / MINUTE)


def test_success_makes_both_complete_and_clears_everything(world: World) -> None:
    (contact,) = world.add("Anna@Example.com")
    one_run(world.queue(), FAILED)
    world.pass_time(6 * MINUTE)
    assert one_run(world.queue(), Synced("42", "created")).as_metadata() == ENDINGS | {"complete": 1}
    row, delivery = world.contact(contact), world.delivery(contact)
    assert world.status(contact) == ("Complete", "Complete")
    assert row["brevo_processing_error"] is None
    assert row["brevo_contact_id"] == "Anna@Example.com"
    assert (row["retry_count"], row["next_retry_at"], row["last_failed_crm"]) == (0, None, None)
    assert (delivery["retry_count"], delivery["next_retry_at"], delivery["claim_token"]) == (0, None, None)
    assert delivery["remote_id"] == "42"
    assert delivery["synced_at"] == world.value("SELECT max(attempted_at) FROM crm_sync.attempts")


@pytest.mark.parametrize(
    ("destination", "column", "kept"),
    [
        ("brevo", "brevo_contact_id", "a@example.com"),
        ("hubspot", "hubspot_contact_id", "42"),
        ("mautic", "mautic_contact_id", "42"),
        ("n8n", "n8n_workflow_id", "42"),
    ],
)
def test_each_crm_keeps_its_own_id(world: World, destination: str, column: str, kept: str) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.select(contact, crms=(destination,))
    one_run(world.queue(destination), Synced("42", "created"))
    assert world.contact(contact)[column] == kept
    assert world.status(contact, destination) == ("Complete", "Complete")


def test_an_answer_without_an_id_keeps_the_one_we_know(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    for answer in (Synced("42", "created"), Synced(None, "updated")):
        world.select(contact, crms=("hubspot",))
        one_run(world.queue("hubspot"), answer)
    assert world.contact(contact)["hubspot_contact_id"] == "42"
    assert world.delivery(contact, "hubspot")["remote_id"] == "42"


@pytest.mark.parametrize("failure", [FAILED, REJECTED])
def test_a_failure_is_retried_after_5_10_and_20_minutes_and_then_ends_in_error(
    world: World, failure: Failed | Rejected
) -> None:
    (contact,) = world.add("a@example.com")
    for retries, minutes in ((1, 5), (2, 10), (3, 20)):
        assert one_run(world.queue(), failure).as_metadata() == ENDINGS | {"retry": 1}
        row, delivery = world.contact(contact), world.delivery(contact)
        assert world.status(contact) == ("Queued", "Queued")
        assert row["brevo_processing_error"] == failure.message
        assert (row["retry_count"], row["last_failed_crm"]) == (retries, "brevo")
        assert minutes_from_now(world, row["last_retry_at"]) == pytest.approx(0, abs=0.5)
        assert minutes_from_now(world, row["next_retry_at"]) == pytest.approx(minutes, abs=0.5)
        assert (delivery["retry_count"], delivery["next_retry_at"]) == (retries, row["next_retry_at"])
        assert delivery["claim_token"] is None
        world.pass_time(timedelta(minutes=minutes))
    assert one_run(world.queue(), failure).as_metadata() == ENDINGS | {"error": 1}
    row = world.contact(contact)
    assert world.status(contact) == ("Error", "Error")
    assert row["brevo_processing_error"] == f"Max retries exceeded (3). Last error: {failure.message}"
    assert (row["retry_count"], row["next_retry_at"], row["last_failed_crm"]) == (3, None, "brevo")
    assert world.delivery(contact)["next_retry_at"] is None
    world.pass_time(timedelta(days=30))
    assert world.queue().claim(10).size == 0


def test_the_retry_settings_of_the_destination_are_used(world: World) -> None:
    strict = World(world.url, policies={"brevo": RetryPolicy(1, timedelta(minutes=30), False, False)})
    failed, rejected = sorted(world.add("a@example.com", "b@example.com"))
    assert one_run(strict.queue(), FAILED, REJECTED).as_metadata() == ENDINGS | {"retry": 1, "error": 1}
    assert world.contact(rejected)["brevo_processing_error"] == REJECTED.message
    assert minutes_from_now(world, world.delivery(failed)["next_retry_at"]) == pytest.approx(30, abs=0.5)
    world.pass_time(31 * MINUTE)
    assert one_run(strict.queue(), FAILED).as_metadata() == ENDINGS | {"error": 1}
    assert world.contact(failed)["brevo_processing_error"].startswith("Max retries exceeded (1). Last error: ")


def test_error_texts_are_cut_at_500_and_400_characters(world: World) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), Failed("http_503", "x" * 3000))
    assert world.contact(contact)["brevo_processing_error"] == "x" * 500
    for _ in range(3):
        world.pass_time(21 * MINUTE)
        one_run(world.queue(), Failed("http_503", "x" * 3000))
    assert world.contact(contact)["brevo_processing_error"] == "Max retries exceeded (3). Last error: " + "x" * 400


def test_what_was_not_sent_is_given_back_with_nothing_spent(world: World) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), FAILED)
    world.pass_time(6 * MINUTE)
    before = shared(world, contact)
    batch = world.queue().claim(10)
    assert world.queue().settle(batch.token).as_metadata() == ENDINGS | {"deferred": 1}
    assert world.status(contact) == ("Queued", "Queued")
    assert world.contact(contact)["brevo_processing_error"] == FAILED.message
    assert shared(world, contact) == before
    delivery = world.delivery(contact)
    assert (delivery["retry_count"], delivery["lost_count"], delivery["claim_token"]) == (1, 0, None)
    assert world.queue().claim(10).size == 1


def test_a_destination_that_is_down_costs_a_contact_nothing_and_says_why(world: World) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), DestinationDown("http_401", "Brevo refused BREVO_API_KEY"))
    assert world.status(contact) == ("Queued", "Queued")
    assert world.contact(contact)["brevo_processing_error"] == "Brevo refused BREVO_API_KEY"
    assert world.delivery(contact)["retry_count"] == 0
    assert shared(world, contact) == dict.fromkeys(SHARED) | {"retry_count": 0}


def test_a_mixed_batch_is_settled_one_by_one(world: World) -> None:
    ids = sorted(world.add(*(f"{number}@example.com" for number in range(5))))
    settled = one_run(world.queue(), Synced("1"), FAILED, REJECTED, Deferred("http_429", "m"), Synced("2"))
    assert settled.as_metadata() == ENDINGS | {"complete": 2, "retry": 2, "deferred": 1}
    states = [world.status(contact)[1] for contact in ids]
    assert states == ["Complete", "Queued", "Queued", "Queued", "Complete"]


def test_a_success_leaves_the_shared_columns_of_another_crms_failure_alone(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.select(contact, crms=("brevo", "hubspot"))
    one_run(world.queue("hubspot"), FAILED)
    before = shared(world, contact)
    one_run(world.queue(), Synced("1"))
    assert shared(world, contact) == before
    assert before["last_failed_crm"] == "hubspot"
    world.pass_time(6 * MINUTE)
    one_run(world.queue("hubspot"), Synced("1"))
    cleared = shared(world, contact)
    assert (cleared["retry_count"], cleared["next_retry_at"], cleared["last_failed_crm"]) == (0, None, None)


def test_the_newest_failure_is_copied_into_the_shared_columns(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.select(contact, crms=("brevo", "hubspot"))
    one_run(world.queue(), FAILED)
    world.pass_time(6 * MINUTE)
    one_run(world.queue(), FAILED)
    one_run(world.queue("hubspot"), FAILED)
    now = shared(world, contact)
    assert (now["retry_count"], now["last_failed_crm"]) == (1, "hubspot")
    assert world.delivery(contact)["retry_count"] == 2


def test_nothing_but_our_columns_is_written(world: World) -> None:
    (contact,) = world.add("a@example.com", name="Anna", context="kept", debounce_validation_status="Complete")
    before = world.contact(contact)
    for outcome in (FAILED, Synced("1")):
        one_run(world.queue(), outcome)
        world.pass_time(6 * MINUTE)
    after = world.contact(contact)
    ours = {*SHARED, "updated_at", "brevo_sync_status", "brevo_processing_status", "brevo_contact_id"}
    assert {name for name in after if after[name] != before[name]} <= ours
    assert after["created_at"] == before["created_at"]


# What a person does while the call is in flight


def test_an_unselect_wins_over_a_result_but_the_delivery_is_remembered(world: World) -> None:
    (contact,) = world.add("a@example.com")
    token = in_flight(world, Synced("42", "created"))
    world.unselect(contact)
    before = world.contact(contact)
    assert world.queue().settle(token).as_metadata() == ENDINGS | {"superseded": 1}
    assert world.contact(contact) == before
    assert world.status(contact) == ("New", None)
    delivery = world.delivery(contact)
    assert (delivery["remote_id"], delivery["claim_token"]) == ("42", None)
    assert delivery["synced_at"] is not None


@pytest.mark.parametrize("outcome", [Synced("1"), FAILED, REJECTED, Deferred("http_429", "m"), None])
def test_a_re_select_wins_over_any_result_and_goes_out_again_with_fresh_retries(
    world: World, outcome: Outcome | None
) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), FAILED)
    world.pass_time(6 * MINUTE)
    token = in_flight(world, outcome) if outcome else world.queue().claim(1).token
    world.select(contact)
    before = world.contact(contact)
    assert world.queue().claim(10).size == 0, "while the first call is in flight nobody else may send it"
    assert world.queue().settle(token).as_metadata() == ENDINGS | {"superseded": 1}
    assert world.contact(contact) == before
    assert world.status(contact) == ("Selected", "Queued")
    assert world.queue().claim(10).size == 1
    assert world.delivery(contact)["retry_count"] == 0


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE contacts SET email = 'b@example.com'",
        "UPDATE contacts SET name = 'Berta'",
        "UPDATE contacts SET phone_number = '+4915'",
        "UPDATE contacts SET has_gmail = true",
        "UPDATE contacts SET email_type = 'FREE'",
        "UPDATE contacts SET source_url = 'https://example.com'",
    ],
)
def test_an_edit_of_what_is_sent_goes_out_again(world: World, edit: str) -> None:
    (contact,) = world.add("a@example.com")
    token = in_flight(world, Synced("42"))
    world.script(edit)
    assert world.queue().settle(token).as_metadata() == ENDINGS | {"again": 1}
    assert world.status(contact) == ("Queued", "Queued")
    assert world.contact(contact)["brevo_contact_id"] is None
    assert one_run(world.queue(), Synced("42")).as_metadata() == ENDINGS | {"complete": 1}
    assert world.contact(contact)["brevo_contact_id"] == world.contact(contact)["email"]


def test_an_edit_of_what_is_not_sent_changes_nothing(world: World) -> None:
    (contact,) = world.add("a@example.com")
    token = in_flight(world, Synced("42"))
    world.execute("UPDATE contacts SET context = 'new', updated_at = now()")
    assert world.queue().settle(token).as_metadata() == ENDINGS | {"complete": 1}
    assert world.contact(contact)["context"] == "new"


def test_a_correction_made_while_the_old_data_was_refused_goes_out_at_once(world: World) -> None:
    (contact,) = world.add("invalid-email")
    token = in_flight(world, REJECTED)
    world.execute("UPDATE contacts SET email = 'valid@example.com'")
    world.queue().settle(token)
    assert world.delivery(contact)["retry_count"] == 0
    assert world.queue().claim(1).size == 1


def test_a_correction_between_retries_lets_the_next_one_succeed(world: World) -> None:
    (contact,) = world.add("invalid-email")
    one_run(world.queue(), REJECTED)
    world.execute("UPDATE contacts SET email = 'valid@example.com'")
    world.pass_time(6 * MINUTE)
    assert one_run(world.queue(), Synced("1")).as_metadata() == ENDINGS | {"complete": 1}
    assert world.contact(contact)["brevo_contact_id"] == "valid@example.com"


def test_a_delete_wins_and_leaves_no_orphan(world: World) -> None:
    kept, gone = world.add("a@example.com", "b@example.com")
    token = in_flight(world, Synced("42"))
    world.execute("DELETE FROM contacts WHERE id = :id", id=gone)
    assert world.queue().settle(token).as_metadata() == ENDINGS | {"complete": 1, "superseded": 1}
    assert [row["contact_id"] for row in world.rows("SELECT contact_id FROM crm_sync.deliveries")] == [kept]


@pytest.mark.parametrize(
    ("sync", "next_status"),
    [
        ("Selected", ("Selected", "Queued")),
        ("Queued", ("Queued", "Queued")),
        ("New", ("New", None)),
        ("Skipped", ("Skipped", None)),
    ],
)
def test_a_person_who_changed_the_sync_status_alone_is_obeyed(
    world: World, sync: str, next_status: tuple[str, str | None]
) -> None:
    (contact,) = world.add("a@example.com")
    token = in_flight(world, Synced("42"))
    world.execute("UPDATE contacts SET brevo_sync_status = :sync", sync=sync)
    assert world.queue().settle(token).as_metadata() == ENDINGS | {"superseded": 1}
    assert world.status(contact) == next_status
    assert world.queue().depth() == (1 if next_status[1] else 0)


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_person_who_put_the_processing_status_alone_back_to_queued_is_obeyed(world: World, is_lost: bool) -> None:
    (contact,) = world.add("a@example.com")
    token = in_flight(world, FAILED)
    world.execute("UPDATE contacts SET brevo_processing_status = 'Queued'")
    if is_lost:
        world.pass_time(LEASE + MINUTE)
        assert world.queue().recover().as_metadata() == ENDINGS | {"superseded": 1}
    else:
        assert world.queue().settle(token).as_metadata() == ENDINGS | {"superseded": 1}
    assert world.status(contact) == ("Queued", "Queued")
    assert world.queue().claim(10).size == 1


def test_a_person_who_wrote_complete_meanwhile_is_believed(world: World) -> None:
    (contact,) = world.add("a@example.com")
    token = in_flight(world, FAILED)
    world.execute("UPDATE contacts SET brevo_sync_status = 'Complete', brevo_processing_status = 'Complete'")
    world.queue().settle(token)
    assert world.status(contact) == ("Complete", "Complete")


def test_a_decision_that_is_just_being_written_is_waited_for_and_wins(world: World) -> None:
    (contact,) = world.add("a@example.com")
    token = in_flight(world, Synced("42"))
    with ThreadPoolExecutor(1) as pool:
        with world.engine.begin() as person:
            person.exec_driver_sql("UPDATE contacts SET brevo_sync_status = 'New', brevo_processing_status = NULL")
            settling = pool.submit(world.queue().settle, token)
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            while world.value(waiting) == 0:
                assert not settling.done()
        assert settling.result(20).as_metadata() == ENDINGS | {"superseded": 1}
    assert world.status(contact) == ("New", None)


# Once, and only by whoever holds the claim


@pytest.mark.parametrize("outcome", [Synced("1"), FAILED, REJECTED, None])
def test_settling_twice_is_settling_once(world: World, outcome: Outcome | None) -> None:
    world.add("a@example.com", "b@example.com")
    token = in_flight(world, outcome) if outcome else world.queue().claim(10).token
    assert world.queue().settle(token).total == 2
    before = world.snapshot()
    assert world.queue().settle(token).as_metadata() == ENDINGS
    assert world.snapshot() == before


def test_a_token_that_nobody_has_changes_nothing(world: World) -> None:
    world.add("a@example.com")
    in_flight(world, Synced("1"))
    before = world.snapshot()
    assert world.queue().settle(uuid4()).as_metadata() == ENDINGS
    assert world.snapshot() == before


def test_a_worker_that_lost_its_lease_changes_not_one_byte(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    slow = world.queue().claim(10)
    contacts = world.queue().contacts_of(slow.token)
    world.pass_time(LEASE + MINUTE)
    newer = world.queue().claim(10)
    assert newer.size == 2
    world.queue().journal(slow.token, [attempt(contact, Synced("9")) for contact in contacts])
    before = world.snapshot()
    assert world.queue().settle(slow.token).as_metadata() == ENDINGS
    assert world.snapshot() == before
    world.queue().journal(newer.token, [attempt(contact, FAILED) for contact in contacts])
    assert world.queue().settle(newer.token).as_metadata() == ENDINGS | {"retry": 2}


def test_two_settlers_of_one_token_settle_each_contact_once(world: World) -> None:
    world.add_many(1500)
    token = in_flight(world, FAILED)
    start = threading.Barrier(2)

    def settle(_settler: int) -> int:
        start.wait()
        return world.queue().settle(token).total

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(settle, range(2))) == 1500
    assert world.value("SELECT count(*) FROM crm_sync.deliveries WHERE retry_count = 1") == 1500


def test_contacts_that_were_deleted_do_not_hide_those_after_them(world: World) -> None:
    world.add_many(2500)
    queue = world.queue()
    batch = queue.claim(2500)
    world.execute("DELETE FROM contacts WHERE id IN (SELECT id FROM contacts ORDER BY id OFFSET 900 LIMIT 1100)")
    settled = queue.settle(batch.token)
    assert (settled.total, settled.superseded) == (2500, 1100)
    assert world.value("SELECT count(*) FROM crm_sync.deliveries WHERE claim_token IS NOT NULL") == 0


def test_more_than_a_thousand_are_settled(world: World) -> None:
    world.add_many(2001)
    queue = world.queue()
    batch = queue.claim(5000)
    contacts = queue.contacts_of(batch.token)
    queue.journal(batch.token, [attempt(contact) for contact in contacts[:2000]])
    assert queue.settle(batch.token).as_metadata() == ENDINGS | {"complete": 2000, "deferred": 1}
    assert world.value("SELECT count(claim_token) FROM crm_sync.deliveries") == 0
    assert world.value("SELECT count(*) FROM contacts WHERE brevo_sync_status = 'Complete'") == 2000


# The other shapes of table


def test_the_whole_way_on_a_table_with_text_statuses_and_brevos_columns_alone(brevo_only: World) -> None:
    ids = sorted(brevo_only.add("a@example.com", "b@example.com", "c@example.com"))
    assert one_run(brevo_only.queue(), Synced("1"), FAILED, DestinationDown("http_401", "m")).total == 3
    states = [brevo_only.status(contact) for contact in ids]
    assert states == [("Complete", "Complete"), ("Queued", "Queued"), ("Queued", "Queued")]
    brevo_only.pass_time(6 * MINUTE)
    assert one_run(brevo_only.queue()).as_metadata() == ENDINGS | {"complete": 2}


@pytest.mark.parametrize("destination", ["brevo", "hubspot", "mautic", "n8n"])
def test_the_whole_way_on_the_table_that_we_create(created: World, destination: str) -> None:
    ids = sorted(created.add("a@example.com", "b@example.com", selected=False, email_type="FREE"))
    created.select(*ids, crms=(destination,))
    one_run(created.queue(destination), Synced("1"), FAILED)
    assert [created.status(contact, destination)[1] for contact in ids] == ["Complete", "Queued"]
    created.pass_time(6 * MINUTE)
    one_run(created.queue(destination))
    assert [created.status(contact, destination)[0] for contact in ids] == ["Complete", "Complete"]
