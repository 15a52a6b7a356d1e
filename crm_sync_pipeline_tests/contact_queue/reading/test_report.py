from datetime import timedelta
from uuid import uuid4

import pytest

from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.explanation import explain
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Rejected, Synced
from crm_sync_pipeline_tests.builders import LEASE, World, one_run

BREVO = CRMS["brevo"]
FAILED = Failed("http_503", "Brevo API error (503): try later")
REJECTED = Rejected("http_400", "Brevo API error (400): email is not valid")
MINUTE = timedelta(minutes=1)


def test_an_empty_queue_has_no_lag(world: World) -> None:
    status = world.database.report().status(BREVO)
    assert (status.counts, status.now.due, status.now.waiting, status.now.lag_seconds) == ({}, 0, 0, None)


def test_the_status_counts_what_stands_where(world: World) -> None:
    world.add("a@example.com", "b@example.com", "c@example.com")
    one_run(world.queue(), Synced("1"), FAILED, FAILED)
    world.add("d@example.com", "e@example.com")
    world.add("f@example.com", selected=False)
    world.add("g@example.com", selected=False, brevo_sync_status="Skipped", brevo_processing_status="Queued")
    status = world.database.report().status(BREVO)
    assert status.counts == {"Complete": 1, "Queued": 5, "New": 1}
    assert (status.now.due, status.now.waiting, status.not_wanted, status.expired) == (2, 2, 1, None)
    assert status.next_retry_at == world.value("SELECT min(next_retry_at) FROM crm_sync.deliveries")


def test_the_next_retry_is_that_of_the_first_that_waits_and_is_not_on_hold(world: World) -> None:
    first, second = sorted(world.add("a@example.com", "b@example.com"))
    one_run(world.queue(), FAILED)
    world.execute(
        "UPDATE crm_sync.deliveries SET next_retry_at = next_retry_at - interval '1 min' WHERE contact_id = :id",
        id=first,
    )
    world.execute("UPDATE contacts SET next_retry_at = next_retry_at - interval '1 min' WHERE id = :id", id=first)
    assert world.database.report().status(BREVO).next_retry_at == world.delivery(first)["next_retry_at"]
    world.act("hold", [first])
    assert world.database.report().status(BREVO).next_retry_at == world.delivery(second)["next_retry_at"]
    world.act("hold", [second])
    assert world.database.report().status(BREVO).next_retry_at is None


def test_the_lag_is_the_age_of_the_oldest_due_delivery_and_not_of_its_wait(world: World) -> None:
    world.add("a@example.com")
    one_run(world.queue(), FAILED)
    world.pass_time(5 * MINUTE)
    world.pass_time(2 * MINUTE)
    lag = world.database.report().status(BREVO).now.lag_seconds
    assert lag == pytest.approx(120, abs=20)


def test_a_dead_run_and_a_destination_that_is_down_are_shown(world: World) -> None:
    world.add("a@example.com")
    world.queue().claim(1)
    world.pass_time(LEASE + MINUTE)
    world.queue().breaker.open("http_401", "Brevo refused BREVO_API_KEY.")
    status = world.database.report().status(BREVO)
    assert status.expired is not None
    assert status.expired.ago >= MINUTE
    assert status.down is not None
    assert status.down.reason == "http_401"


def test_depth_and_status_agree(world: World) -> None:
    world.add("a@example.com", "b@example.com", "c@example.com")
    one_run(world.queue(), Synced("1"), FAILED, size=2)
    assert world.queue().depth() == world.database.report().status(BREVO).now.due == 1
    world.pass_time(6 * MINUTE)
    assert world.queue().depth() == world.database.report().status(BREVO).now.due == 2
    assert world.queue().depth(limit=1) == 1


def test_errors_are_grouped_by_reason_the_most_frequent_first(world: World) -> None:
    ids = sorted(world.add("a@example.com", "b@example.com", "c@example.com"))
    one_run(world.queue(), FAILED, REJECTED, FAILED)
    first, second = world.database.report().errors(BREVO, ids_shown=1)
    assert (first.reason, first.message, first.state, first.count) == ("http_503", FAILED.message, "Queued", 2)
    assert len(first.contact_ids) == 1
    assert (second.reason, second.count, second.contact_ids) == ("http_400", 1, (str(ids[1]),))


def test_an_error_that_we_never_attempted_is_listed_with_its_text(world: World) -> None:
    world.add(
        "a@example.com",
        selected=False,
        brevo_sync_status="Error",
        brevo_processing_status="Error",
        brevo_processing_error="written by another program",
    )
    (group,) = world.database.report().errors(BREVO)
    assert (group.reason, group.message) == ("unknown", "written by another program")


def test_the_facts_of_a_contact_tell_its_whole_history(world: World) -> None:
    (contact,) = world.add("anna@example.com")
    one_run(world.queue(), FAILED)
    world.pass_time(6 * MINUTE)
    one_run(world.queue(), Synced("42", "created"))
    facts = world.database.report().facts(BREVO, contact, max_retries=3)
    assert [(a.number, a.outcome, a.reason) for a in facts.attempts] == [
        (1, "failed", "http_503"),
        (2, "synced", "created"),
    ]
    assert (facts.remote_id, facts.sync_status, facts.processing_status) == ("42", "Complete", "Complete")
    assert explain(facts).verdict.startswith("Brevo has it: delivered at ")


@pytest.mark.parametrize(
    ("happens", "verdict"),
    [
        ("nothing", "Never selected for Brevo"),
        ("select", "Queued and due."),
        ("fail", "Waiting for retry 1 of 3. Last error: Brevo API error (503): try later"),
        ("claim", "Being delivered right now by run run-7."),
        ("die", "The run that claimed it has died"),
        ("reselect", "Selected again while a run is delivering it."),
        ("down", "Waiting, because Brevo is down: Brevo refused BREVO_API_KEY."),
        ("unselect", "Not selected for Brevo (sync status New); it was attempted before"),
    ],
)
def test_the_database_and_the_explanation_agree(world: World, happens: str, verdict: str) -> None:
    (contact,) = world.add("a@example.com", selected=happens != "nothing")
    if happens in ("fail", "unselect"):
        one_run(world.queue(), FAILED)
    if happens in ("claim", "die", "reselect"):
        world.queue().claim(1, run_id="run-7")
    if happens == "die":
        world.pass_time(LEASE + MINUTE)
    if happens == "reselect":
        world.select(contact)
    if happens == "unselect":
        world.unselect(contact)
    if happens == "down":
        one_run(world.queue(), DestinationDown("http_401", "Brevo refused BREVO_API_KEY."))
        world.queue().breaker.open("http_401", "Brevo refused BREVO_API_KEY.")
    facts = world.database.report().facts(BREVO, contact, max_retries=3)
    assert explain(facts).verdict.startswith(verdict)


def test_an_unknown_contact_is_refused_by_its_id(world: World) -> None:
    unknown = uuid4()
    with pytest.raises(CrmSyncError, match=f"no contact {unknown}"):
        world.database.report().facts(BREVO, unknown, max_retries=3)


def test_the_crms_are_those_that_the_table_has_columns_for(world: World) -> None:
    assert [crm.name for crm in world.database.report().crms()] == ["brevo", "hubspot", "mautic", "n8n"]


def test_a_crm_without_columns_is_not_reported(brevo_only: World) -> None:
    assert [crm.name for crm in brevo_only.database.report().crms()] == ["brevo"]


def test_a_report_changes_nothing(world: World) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), FAILED)
    before = world.snapshot()
    report = world.database.report()
    report.status(BREVO)
    report.errors(BREVO)
    report.facts(BREVO, contact, max_retries=3)
    assert world.snapshot() == before


def test_an_error_that_another_program_wrote_is_shown_without_the_address_in_it(world: World) -> None:
    (contact,) = world.add("anna@example.com")
    world.execute(
        "UPDATE contacts SET brevo_sync_status = 'Error', brevo_processing_status = 'Error', "
        "brevo_processing_error = 'bounced: anna@example.com' WHERE id = :id",
        id=contact,
    )
    assert [group.message for group in world.database.report().errors(BREVO)] == ["bounced: <address>"]


def test_those_that_differ_in_an_address_alone_are_one_group(world: World) -> None:
    world.add("anna@example.com", "bob@example.org")
    one_run(world.queue(), *(Rejected("http_400", f"{name} is blocked") for name in ("anna@example.com", "bob@e.org")))
    (group,) = world.database.report().errors(BREVO)
    assert (group.count, group.message) == (2, "<address> is blocked")
