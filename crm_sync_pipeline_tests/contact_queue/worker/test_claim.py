from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.outcome import Failed, Rejected
from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus
from crm_sync_pipeline_tests.builders import LEASE, World, attempt, one_run

FAILED = Failed("http_503", "Brevo API error (503): try later")
MINUTE = timedelta(minutes=1)


def claimed(world: World, size: int = 100, destination: str = "brevo") -> list[str]:
    """The addresses that a claim takes now, in alphabetical order."""
    queue = world.queue(destination)
    return sorted(contact.email for contact in queue.contacts_of(queue.claim(size).token))


def test_a_claim_marks_both_statuses_and_the_delivery(world: World) -> None:
    (contact,) = world.add("a@example.com")
    batch = world.queue().claim(10, run_id="run-7")
    assert (batch.destination, batch.size, batch.note) == ("brevo", 1, "")
    assert world.status(contact) == ("Processing", "Processing")
    delivery = world.delivery(contact)
    assert delivery["claim_token"] == batch.token
    assert delivery["run_id"] == "run-7"
    now = world.value("SELECT now()")
    assert now + LEASE - MINUTE < delivery["lease_expires_at"] <= now + LEASE


def test_a_claim_touches_no_other_crm_and_no_other_column(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False, name="Anna", context="kept", source_url="https://e.com")
    world.select(contact, crms=("brevo", "hubspot"))
    before = world.contact(contact)
    world.queue().claim(10)
    after = world.contact(contact)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"brevo_sync_status", "brevo_processing_status", "updated_at"}


def test_nothing_due_is_said_and_nothing_is_written(world: World) -> None:
    world.add("a@example.com", selected=False)
    before = world.snapshot()
    batch = world.queue().claim(10)
    assert (batch.size, batch.note) == (0, "No contact is due for Brevo.")
    assert world.snapshot() == before


def test_those_that_waited_longest_go_first(world: World) -> None:
    ids = world.add("a@example.com", "b@example.com", "c@example.com", "d@example.com")
    for contact, hours in zip(ids, (1, 4, 2, 3), strict=True):
        world.execute(
            "UPDATE contacts SET updated_at = now() - make_interval(hours => :h) WHERE id = :id", h=hours, id=contact
        )
    assert [claimed(world, size=1) for _ in ids] == [
        ["b@example.com"],
        ["d@example.com"],
        ["c@example.com"],
        ["a@example.com"],
    ]


def test_a_retry_that_fell_due_stands_behind_what_never_failed(world: World) -> None:
    world.add("old@example.com")
    one_run(world.queue(), FAILED)
    world.pass_time(6 * MINUTE)
    world.add("new@example.com")
    assert claimed(world, size=1) == ["new@example.com"]
    assert claimed(world, size=1) == ["old@example.com"]


@pytest.mark.parametrize(("size", "taken"), [(0, 0), (1, 1), (3, 3), (5, 5), (50, 5)])
def test_a_claim_takes_what_is_due_and_no_more_than_it_was_asked_to(world: World, size: int, taken: int) -> None:
    world.add(*(f"{number}@example.com" for number in range(5)))
    batch = world.queue().claim(size)
    assert batch.size == taken == len(world.queue().contacts_of(batch.token))
    assert world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Processing'") == taken


def test_twenty_five_by_ten_are_ten_ten_and_five(world: World) -> None:
    world.add(*(f"{number}@example.com" for number in range(25)))
    assert [world.queue().claim(10).size for _ in range(4)] == [10, 10, 5, 0]


def test_only_what_is_queued_and_wanted_is_claimed(world: World) -> None:
    for sync in SyncStatus:
        for processing in (None, *ProcessingStatus):
            world.add(
                f"{sync.value}-{processing and processing.value}@example.com",
                selected=False,
                brevo_sync_status=sync.value,
                brevo_processing_status=processing and processing.value,
            )
    assert world.queue().depth() == 2
    assert claimed(world) == ["Queued-Queued@example.com", "Selected-Queued@example.com"]


def test_what_waits_for_a_retry_is_never_claimed_early(world: World) -> None:
    world.add("a@example.com")
    for minutes in (5, 10, 20):
        assert one_run(world.queue(), FAILED).total == 1
        world.pass_time(timedelta(minutes=minutes, seconds=-30))
        assert world.queue().depth() == 0
        assert claimed(world) == []
        world.pass_time(timedelta(seconds=31))
        assert world.queue().depth() == 1
    assert one_run(world.queue(), FAILED).as_metadata()["error"] == 1


def test_the_delivery_decides_when_a_retry_is_due_whatever_the_shared_columns_say(world: World) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), FAILED)
    world.execute("UPDATE contacts SET next_retry_at = NULL, last_failed_crm = NULL, retry_count = 0")
    assert (world.queue().depth(), claimed(world)) == (0, [])
    world.execute("UPDATE contacts SET next_retry_at = now() - interval '1 day', last_failed_crm = 'brevo'")
    assert (world.queue().depth(), claimed(world)) == (0, [])
    assert world.delivery(contact)["retry_count"] == 1


def test_another_crms_failure_neither_delays_nor_spends(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.select(contact, crms=("brevo", "hubspot"))
    one_run(world.queue("hubspot"), FAILED)
    assert world.contact(contact)["last_failed_crm"] == "hubspot"
    assert world.contact(contact)["next_retry_at"] is not None
    one_run(world.queue(), FAILED)
    assert world.delivery(contact)["retry_count"] == 1
    assert world.delivery(contact, "hubspot")["retry_count"] == 1
    world.pass_time(6 * MINUTE)
    one_run(world.queue(), FAILED)
    assert world.delivery(contact)["retry_count"] == 2
    assert world.delivery(contact, "hubspot")["retry_count"] == 1
    assert world.queue("hubspot").depth() == 1


def test_a_fresh_selection_starts_with_fresh_retries(world: World) -> None:
    (contact,) = world.add("a@example.com")
    for _ in range(4):
        one_run(world.queue(), FAILED)
        world.pass_time(21 * MINUTE)
    assert world.status(contact) == ("Error", "Error")
    world.select(contact)
    assert world.contact(contact)["brevo_processing_error"] is None
    assert [one_run(world.queue(), FAILED).total for _ in range(2)] == [1, 0]
    assert world.delivery(contact)["retry_count"] == 1
    assert world.status(contact) == ("Queued", "Queued")


def test_a_selection_by_another_program_starts_with_fresh_retries_too(world: World) -> None:
    (contact,) = world.add("a@example.com")
    for _ in range(4):
        one_run(world.queue(), FAILED)
        world.pass_time(21 * MINUTE)
    world.execute("UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'")
    one_run(world.queue(), FAILED)
    assert world.delivery(contact)["retry_count"] == 1


def lose(world: World, times: int) -> None:
    """Claim what is due and let the claim die, so many times."""
    for _ in range(times):
        assert world.queue().claim(100).size
        world.pass_time(LEASE + MINUTE)


def test_a_selection_by_another_program_does_not_wait_for_the_retry_of_the_old_one(world: World) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), Failed("http_503", "try later"))
    assert world.queue().claim(1).size == 0
    world.execute("UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'")
    assert world.queue().depth() == 1
    assert world.queue().claim(1).size == 1
    assert world.delivery(contact)["retry_count"] == 0


def test_what_was_lost_once_goes_out_among_others(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    lose(world, 1)
    world.add("c@example.com")
    assert world.queue().claim(100).size == 3


def test_what_was_lost_twice_is_claimed_alone(world: World) -> None:
    world.add("a@example.com", "b@example.com", "c@example.com")
    lose(world, 2)
    world.add("d@example.com")
    sizes = []
    while batch_of := claimed(world):
        sizes.append(len(batch_of))
        assert len(batch_of) == 1
    assert sizes == [1, 1, 1, 1]


def test_a_suspect_has_its_turn_however_many_healthy_contacts_keep_coming(world: World) -> None:
    (suspect,) = world.add("a@example.com")
    lose(world, 2)
    for number in range(2):
        world.add(f"{number}@example.com")
        world.pass_time(MINUTE)
        batch = world.queue().claim(100)
        if suspect in {contact.id for contact in world.queue().contacts_of(batch.token)}:
            assert batch.size == 1
            return
    pytest.fail("it starved")


def test_a_suspect_that_is_delivered_is_no_suspect_any_more(world: World) -> None:
    (contact, *_) = world.add("a@example.com", "b@example.com")
    lose(world, 2)
    for _ in range(2):
        assert one_run(world.queue()).as_metadata()["complete"] == 1
    assert world.delivery(contact)["lost_count"] == 0
    world.execute("UPDATE contacts SET brevo_sync_status = 'Queued', brevo_processing_status = 'Queued'")
    assert world.queue().claim(100).size == 2


def test_selecting_a_suspect_anew_clears_its_name(world: World) -> None:
    ids = world.add("a@example.com", "b@example.com")
    lose(world, 2)
    world.queue().recover()
    world.unselect(*ids)
    world.select(*ids)
    assert world.queue().claim(100).size == 2


def test_claiming_again_with_the_same_token_returns_the_same_batch(world: World) -> None:
    world.add(*(f"{number}@example.com" for number in range(5)))
    token = uuid4()
    first = world.queue().claim(3, token=token)
    before = world.snapshot()
    again = world.queue().claim(3, token=token)
    assert (again.token, again.size) == (first.token, first.size) == (token, 3)
    assert world.snapshot() == before


def test_claiming_again_with_the_same_token_is_not_refused_by_a_breaker_that_opened_meanwhile(world: World) -> None:
    world.add("a@example.com")
    token = uuid4()
    world.queue().claim(3, token=token)
    world.queue().breaker.open("http_401", "Brevo refused BREVO_API_KEY.")
    assert world.queue().claim(3, token=token).size == 1


def test_a_token_of_one_destination_means_nothing_to_another(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.select(contact, crms=("brevo", "hubspot"))
    token = uuid4()
    assert world.queue("brevo").claim(1, token=token).size == 1
    assert world.queue("hubspot").claim(1, token=token).size == 1
    world.queue("brevo").settle(token)
    assert world.status(contact, "hubspot") == ("Processing", "Processing")


def test_a_row_that_somebody_else_writes_is_skipped_and_not_waited_for(world: World) -> None:
    first, second = world.add("a@example.com", "b@example.com")
    with world.engine.begin() as other:
        other.exec_driver_sql("SELECT 1 FROM contacts WHERE id = %s FOR UPDATE", (first,))
        assert claimed(world) == ["b@example.com"]
    assert claimed(world) == ["a@example.com"]
    assert world.delivery(second)["claim_token"]


def test_a_contact_to_which_a_foreign_key_was_just_added_is_not_skipped(fresh: World) -> None:
    (contact,) = fresh.add("a@example.com")
    fresh.execute("CREATE TABLE notes (contact_id uuid REFERENCES contacts(id))")
    with fresh.engine.begin() as other:
        other.exec_driver_sql("INSERT INTO notes VALUES (%s)", (contact,))
        assert fresh.queue().claim(10).size == 1


def test_a_row_at_the_same_place_of_a_table_that_inherits_is_left_alone(fresh: World) -> None:
    fresh.add("a@example.com")
    fresh.script(
        """
        CREATE TABLE archived () INHERITS (contacts);
        INSERT INTO archived
        SELECT (jsonb_populate_record(c, jsonb_build_object(
            'id', gen_random_uuid(), 'brevo_sync_status', 'New', 'brevo_processing_status', NULL))).*
        FROM contacts c, generate_series(1, 100);
        """
    )
    same_place = "SELECT count(*) FROM archived JOIN ONLY contacts ON archived.ctid = contacts.ctid"
    assert fresh.value(same_place) == 1
    assert fresh.queue().claim(10).size == 1
    assert fresh.value("SELECT count(*) FROM archived WHERE brevo_sync_status = 'New'") == 100


def test_the_contacts_of_a_claim_hold_what_may_be_sent(world: World) -> None:
    world.add(
        "Anna@Example.com",
        name="Anna Berg",
        phone_number="+49151",
        email_type="FREE",
        source_url="https://e.com",
        has_gmail=True,
    )
    queue = world.queue()
    (contact,) = queue.contacts_of(queue.claim(1).token)
    row = world.contact(contact.id)
    assert (contact.email, contact.name, contact.phone_number) == ("Anna@Example.com", "Anna Berg", "+49151")
    assert (contact.email_type, contact.source_url, contact.has_gmail) == ("FREE", "https://e.com", True)
    assert (contact.domain_id, contact.page_id) == (str(row["domain_id"]), str(row["page_id"]))


def test_columns_that_are_not_there_read_as_none(brevo_only: World) -> None:
    brevo_only.add("a@example.com", name="Anna")
    queue = brevo_only.queue()
    (contact,) = queue.contacts_of(queue.claim(1).token)
    assert contact.name == "Anna"
    assert (contact.domain_id, contact.phone_number, contact.has_gmail) == (None, None, None)


def test_an_unknown_token_holds_nothing(world: World) -> None:
    world.add("a@example.com")
    world.queue().claim(1)
    assert world.queue().contacts_of(uuid4()) == []


@pytest.mark.parametrize(
    ("sync", "processing"),
    [("New", None), ("Selected", "Queued"), ("Complete", "Complete"), ("Error", "Error"), ("Skipped", None)],
)
def test_one_contact_is_claimed_at_once_whatever_its_state(world: World, sync: str, processing: str | None) -> None:
    contact, other = world.add("a@example.com", "b@example.com", selected=False)
    world.execute(
        "UPDATE contacts SET brevo_sync_status = :sync, brevo_processing_status = :processing, "
        "brevo_processing_error = 'old' WHERE id = :id",
        sync=sync,
        processing=processing,
        id=contact,
    )
    batch = world.queue().claim_contact(contact, run_id="run-7")
    assert batch.size == 1
    assert world.status(contact) == ("Processing", "Processing")
    assert world.contact(contact)["brevo_processing_error"] is None
    assert world.status(other) == ("New", None)


def test_one_contact_is_claimed_past_its_retry_wait_and_starts_afresh(world: World) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), FAILED)
    assert world.queue().depth() == 0
    batch = world.queue().claim_contact(contact)
    assert batch.size == 1
    assert world.delivery(contact)["retry_count"] == 0
    assert world.contact(contact)["next_retry_at"] is None


def test_one_contact_is_claimed_although_the_destination_is_down(world: World) -> None:
    (contact,) = world.add("a@example.com")
    world.queue().breaker.open("http_401", "Brevo refused BREVO_API_KEY.")
    assert world.queue().claim_contact(contact).size == 1


def test_an_unknown_contact_is_refused_by_its_id(world: World) -> None:
    unknown = UUID(int=7)
    with pytest.raises(CrmSyncError, match=f"no contact {unknown}"):
        world.queue().claim_contact(unknown)


def test_a_contact_that_a_live_claim_holds_is_refused_and_left_alone(world: World) -> None:
    (contact,) = world.add("a@example.com")
    batch = world.queue().claim(1)
    before = world.snapshot()
    with pytest.raises(CrmSyncError, match="being delivered to Brevo by another run"):
        world.queue().claim_contact(contact)
    assert world.snapshot() == before
    assert world.delivery(contact)["claim_token"] == batch.token


def test_a_contact_whose_claim_has_run_out_can_be_claimed_by_hand(world: World) -> None:
    (contact,) = world.add("a@example.com")
    stale = world.queue().claim(1)
    world.pass_time(LEASE + MINUTE)
    batch = world.queue().claim_contact(contact)
    before = world.snapshot()
    assert world.queue().settle(stale.token).total == 0
    assert world.snapshot() == before
    assert world.delivery(contact)["claim_token"] == batch.token


def test_claiming_one_contact_again_with_the_same_token_returns_the_same_batch(world: World) -> None:
    (contact,) = world.add("a@example.com")
    token = uuid4()
    assert world.queue().claim_contact(contact, token=token).size == 1
    before = world.snapshot()
    assert world.queue().claim_contact(contact, token=token).size == 1
    assert world.snapshot() == before


def test_a_contact_that_was_unselected_after_the_claim_is_not_sent(world: World) -> None:
    kept, gone, recalled = world.add("a@example.com", "b@example.com", "c@example.com")
    queue = world.queue()
    batch = queue.claim(10)
    world.unselect(gone)
    world.execute("UPDATE contacts SET brevo_sync_status = 'New' WHERE id = :id", id=recalled)
    assert [contact.id for contact in queue.contacts_of(batch.token)] == [kept]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outcomes=st.lists(st.sampled_from([FAILED, Rejected("http_400", "m")]), min_size=1, max_size=5))
def test_four_attempts_are_made_and_never_a_fifth(world: World, outcomes: list[Failed | Rejected]) -> None:
    world.script("TRUNCATE contacts, crm_sync.deliveries, crm_sync.attempts CASCADE")
    (contact,) = world.add("a@example.com")
    queue, attempts = world.queue(), 0
    for index in range(7):
        batch = queue.claim(1)
        for sent in queue.contacts_of(batch.token):
            queue.journal(batch.token, [attempt(sent, outcomes[index % len(outcomes)])])
            attempts += 1
        queue.settle(batch.token)
        world.pass_time(21 * MINUTE)
    assert attempts == 4
    assert world.status(contact) == ("Error", "Error")
    numbers = [row["number"] for row in world.rows("SELECT number FROM crm_sync.attempts ORDER BY id")]
    assert numbers == [1, 2, 3, 4]
