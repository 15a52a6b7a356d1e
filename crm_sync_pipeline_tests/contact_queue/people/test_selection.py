from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from crm_sync_pipeline.contact_queue.database.schema import SchemaError
from crm_sync_pipeline.contact_queue.people.selection import SelectionError, parse_ids
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.outcome import Failed, Synced
from crm_sync_pipeline_tests.builders import World, one_run

FAILED = Failed("http_503", "Brevo API error (503): try later")
ALL = ("brevo", "hubspot", "mautic", "n8n")
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("crms", [("brevo",), ("brevo", "hubspot", "n8n"), ALL])
def test_a_selection_sets_both_statuses_for_the_crms_named_and_no_other(world: World, crms: tuple[str, ...]) -> None:
    ids = world.add("a@example.com", "b@example.com", selected=False)
    result = world.act("select", ids, crms)
    assert (result.contacts, result.changes, result.crms) == (2, 2 * len(crms), crms)
    assert result.message == f"Selected 2 contacts for {len(crms)} CRM(s), {2 * len(crms)} queued for processing."
    for contact in ids:
        for crm in ALL:
            assert world.status(contact, crm) == (("Selected", "Queued") if crm in crms else ("New", None))


def test_the_message_is_the_one_that_was_asked_for(world: World) -> None:
    ids = world.add("a@example.com", "b@example.com", selected=False)
    assert world.act("select", ids).message == "Selected 2 contacts for 1 CRM(s), 2 queued for processing."


def test_unselecting_one_crm_leaves_the_others(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.act("select", [contact], ALL)
    result = world.act("unselect", [contact], ("hubspot",))
    assert result.contacts == 1
    assert result.message == "Unselected 1 contacts for 1 CRM(s)."
    assert world.status(contact, "hubspot") == ("New", None)
    assert {world.status(contact, crm) for crm in ALL if crm != "hubspot"} == {("Selected", "Queued")}


@pytest.mark.parametrize("state", ["New", "Complete", "Error", "Skipped"])
@pytest.mark.parametrize("action", ["select", "unselect"])
def test_a_decision_clears_the_error_and_sets_both_statuses_whatever_the_state(
    world: World, state: str, action: str
) -> None:
    processing = state if state in ("Complete", "Error") else None
    (contact,) = world.add(
        "a@example.com",
        selected=False,
        brevo_sync_status=state,
        brevo_processing_status=processing,
        brevo_processing_error="old",
    )
    before = world.contact(contact)["updated_at"]
    world.act(action, [contact])
    assert world.status(contact) == (("Selected", "Queued") if action == "select" else ("New", None))
    assert world.contact(contact)["brevo_processing_error"] is None
    assert world.contact(contact)["updated_at"] > before


def test_selecting_again_after_error_clears_the_error_and_starts_with_fresh_retries(world: World) -> None:
    (contact,) = world.add("a@example.com")
    for _ in range(4):
        one_run(world.queue(), FAILED)
        world.pass_time(21 * MINUTE)
    world.select(contact)
    row = world.contact(contact)
    assert world.status(contact) == ("Selected", "Queued")
    assert (row["brevo_processing_error"], row["retry_count"], row["last_failed_crm"]) == (None, 0, None)
    one_run(world.queue(), FAILED)
    assert world.delivery(contact)["retry_count"] == 1


@pytest.mark.parametrize("waits_for_a_retry", [True, False])
def test_selecting_again_while_queued_changes_nothing(world: World, waits_for_a_retry: bool) -> None:
    (contact,) = world.add("a@example.com")
    if waits_for_a_retry:
        one_run(world.queue(), FAILED)
    before = world.snapshot()
    result = world.act("select", [contact])
    assert (result.contacts, result.changes) == (1, 1)
    assert world.snapshot() == before


def test_selecting_again_while_processing_makes_it_go_out_again_afterwards(world: World) -> None:
    (contact,) = world.add("a@example.com")
    queue = world.queue()
    batch = queue.claim(1)
    world.select(contact)
    queue.settle(batch.token)
    assert one_run(queue, Synced("1")).as_metadata()["complete"] == 1


def test_a_decision_about_one_crm_keeps_what_another_one_failed_with(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.act("select", [contact], ("hubspot",))
    one_run(world.queue("hubspot"), FAILED)
    before = world.contact(contact)
    world.act("select", [contact])
    world.act("unselect", [contact])
    after = world.contact(contact)
    kept = ("retry_count", "next_retry_at", "last_retry_at", "last_failed_crm", "hubspot_processing_error")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert before["last_failed_crm"] == "hubspot"


@pytest.mark.parametrize(("count", "crms", "missing"), [(0, ("brevo",), "contact ids were"), (1, (), "CRM was")])
def test_no_ids_or_no_crms_is_refused_and_changes_nothing(
    world: World, count: int, crms: tuple[str, ...], missing: str
) -> None:
    ids = world.add("a@example.com", selected=False)
    before = world.snapshot()
    with pytest.raises(SelectionError, match=f"No {missing} "):
        world.act("select", ids[:count], crms)
    assert world.snapshot() == before


def test_no_id_found_is_said_in_these_words(world: World) -> None:
    result = world.act("select", [uuid4(), uuid4()])
    assert (result.contacts, result.changes) == (0, 0)
    assert result.message == "No contacts found with provided IDs."


def test_of_a_mixture_the_known_are_selected_and_the_unknown_counted(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    result = world.act("select", [uuid4(), contact, uuid4()], ("brevo", "n8n"))
    assert (result.contacts, result.changes) == (1, 2)
    assert result.message == "Selected 1 contacts for 2 CRM(s), 2 queued for processing; 2 unknown ids were left out."
    assert world.status(contact) == ("Selected", "Queued")


def test_an_id_or_a_crm_named_twice_counts_once(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    named = parse_ids([str(contact), f" {str(contact).upper()} "])
    result = world.act("select", named, ("brevo", "brevo"))
    assert (named, result.contacts, result.changes, result.crms) == ([contact], 1, 1, ("brevo",))


@pytest.mark.parametrize(
    ("verb", "crms", "named"),
    [
        ("selct", ("brevo",), "'selct' is not a known act"),
        ("select", ("pipedrive",), "'pipedrive' is not a known CRM"),
        ("select", ("brevo", "Brevo"), "'Brevo' is not a known CRM"),
    ],
)
def test_what_we_do_not_know_is_refused_by_name_and_nothing_is_changed(
    world: World, verb: str, crms: tuple[str, ...], named: str
) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    before = world.snapshot()
    with pytest.raises(SelectionError, match=named):
        world.act(verb, [contact], crms)
    assert world.snapshot() == before


@pytest.mark.parametrize("text", ["not-an-id", ""])
def test_what_is_not_an_id_is_refused_by_name(text: str) -> None:
    with pytest.raises(SelectionError, match=f"'{text}' is not a contact id"):
        parse_ids([str(uuid4()), text])


def test_a_crm_that_the_table_has_no_columns_for_is_refused_by_name(brevo_only: World) -> None:
    (contact,) = brevo_only.add("a@example.com", selected=False)
    with pytest.raises(SelectionError, match="no columns mautic_sync_status and mautic_processing_status"):
        brevo_only.act("select", [contact], ("brevo", "mautic"))
    assert brevo_only.status(contact) == ("New", None)


def test_a_crm_with_half_its_columns_is_refused_with_what_mends_it(fresh: World) -> None:
    (contact,) = fresh.add("a@example.com", selected=False)
    fresh.execute("ALTER TABLE contacts DROP COLUMN mautic_processing_error")
    with pytest.raises(SchemaError, match=r"ADD COLUMN mautic_processing_error text"):
        fresh.act("select", [contact], ("mautic",))
    fresh.act("select", [contact])
    assert fresh.status(contact) == ("Selected", "Queued")


def test_every_contact_of_the_table_can_be_selected_at_once(world: World) -> None:
    world.add_many(5500)
    world.execute("UPDATE contacts SET brevo_sync_status = 'New', brevo_processing_status = NULL")
    result = world.act("select", crms=("brevo", "hubspot"))
    assert (result.contacts, result.changes) == (5500, 11_000)
    assert world.queue("hubspot").depth() == 5500


def test_requeue_makes_what_ended_in_error_due_now_with_fresh_retries(world: World) -> None:
    (contact,) = world.add("a@example.com")
    for _ in range(4):
        one_run(world.queue(), FAILED)
        world.pass_time(21 * MINUTE)
    assert world.act("requeue", [contact]).contacts == 1
    assert world.status(contact) == ("Selected", "Queued")
    assert world.contact(contact)["brevo_processing_error"] is None
    one_run(world.queue(), FAILED)
    assert world.delivery(contact)["retry_count"] == 1


def test_requeue_ends_the_wait_for_a_retry(world: World) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), FAILED)
    assert world.queue().depth() == 0
    assert world.act("requeue", [contact]).contacts == 1
    assert world.queue().depth() == 1


def test_requeue_of_everything_takes_errors_and_waits_and_leaves_the_rest(world: World) -> None:
    done, waits, *_ = sorted(world.add("a@example.com", "b@example.com", "c@example.com"))
    one_run(world.queue(), Synced("1"), FAILED, Synced("1"))
    (fresh,) = world.add("d@example.com")
    (ended,) = world.add("e@example.com", selected=False, brevo_sync_status="Error", brevo_processing_status="Error")
    (new,) = world.add("f@example.com", selected=False)
    assert world.act("requeue").contacts == 2
    states = {contact: world.status(contact)[0] for contact in (done, waits, fresh, ended, new)}
    assert states == {done: "Complete", waits: "Selected", fresh: "Selected", ended: "Selected", new: "New"}


def test_requeue_of_everything_finds_nothing_the_second_time(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    one_run(world.queue(), FAILED)
    assert world.act("requeue").contacts == 2
    assert world.act("requeue").contacts == 0
    assert world.queue().depth() == 2


def test_a_table_of_more_than_one_stretch_is_requeued_and_unselected_whole(world: World) -> None:
    world.add_many(5001)
    world.execute("UPDATE contacts SET brevo_sync_status = 'Error', brevo_processing_status = 'Error'")
    assert world.act("requeue").contacts == 5001
    assert world.act("requeue", [row["id"] for row in world.rows("SELECT id FROM contacts")]).contacts == 0
    result = world.act("unselect", crms=("brevo", "hubspot"))
    assert result.contacts == 5001
    assert world.act("unselect").contacts == 0


def test_a_contact_is_counted_once_however_many_crms_it_is_selected_for(world: World) -> None:
    world.add("a@example.com")
    world.add("b@example.com", selected=False)
    result = world.act("select", crms=("brevo", "hubspot"))
    assert (result.contacts, result.changes) == (2, 3)


def test_the_users_columns_may_be_called_like_parameters_of_ours(fresh: World) -> None:
    names = ("token", "ids", "size", "first", "behind", "look", "run_id", "lease_seconds")
    fresh.script("".join(f"ALTER TABLE contacts ADD {name} text;" for name in names))
    fresh.add("a@example.com", "b@example.com")
    one_run(fresh.queue(), FAILED, Synced("1"))
    assert fresh.act("requeue").contacts == 1
    assert fresh.act("unselect").contacts == 1
    assert fresh.rows(f"SELECT DISTINCT {', '.join(names)} FROM contacts") == [dict.fromkeys(names)]


def test_requeue_looks_at_one_crm_alone(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    world.act("select", [contact], ("brevo", "hubspot"))
    one_run(world.queue("hubspot"), FAILED)
    assert world.act("requeue").contacts == 0
    assert world.act("requeue", crms=("hubspot",)).contacts == 1


def test_requeue_of_something_in_flight_leaves_it_to_its_run(world: World) -> None:
    (contact,) = world.add("a@example.com")
    world.queue().claim(1)
    before = world.snapshot()
    assert world.act("requeue", [contact]).contacts == 0
    assert world.snapshot() == before


def test_requeue_without_our_tables_says_what_to_run(fresh: World) -> None:
    fresh.execute("DROP SCHEMA crm_sync CASCADE")
    with pytest.raises(SchemaError, match="crm-sync db upgrade"):
        fresh.act("requeue")


@pytest.mark.parametrize("text", ["Anna@Example.com", "  anna@example.COM "])
def test_a_contact_is_found_by_its_address_whatever_the_case(world: World, text: str) -> None:
    (contact,) = world.add("anna@example.com", selected=False)
    assert world.database.selection().find(text) == contact
    assert world.database.selection().find(str(contact)) == contact


def test_an_address_that_two_contacts_have_names_both(world: World) -> None:
    ids = world.add("anna@example.com", "anna@example.com", selected=False)
    with pytest.raises(SelectionError, match="2 contacts have that address") as refused:
        world.database.selection().find("anna@example.com")
    assert all(str(contact) in str(refused.value) for contact in ids)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nobody@example.com", "There is no contact"),
        (str(UUID(int=9)), "There is no contact"),
        ("anna", "is not a contact id"),
    ],
)
def test_a_contact_that_is_not_there_is_refused_by_name(world: World, text: str, words: str) -> None:
    with pytest.raises(SelectionError if text == "anna" else CrmSyncError, match=words):
        world.database.selection().find(text)


def test_ids_keep_their_order_and_come_once() -> None:
    one, two = uuid4(), uuid4()
    assert parse_ids([two, str(one), two]) == [two, one]
