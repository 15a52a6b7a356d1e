from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from crm_sync_pipeline.contact_queue.database.schema import SchemaError
from crm_sync_pipeline.contact_queue.people.selection import SelectionError, SelectionResult, parse_ids
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.outcome import Failed, Synced
from crm_sync_pipeline_tests.builders import World, one_run

FAILED = Failed("http_503", "Brevo API error (503): try later")
ALL = ("brevo", "hubspot", "mautic", "n8n")
MINUTE = timedelta(minutes=1)


def apply(world: World, action: str, ids: list[UUID] | list[str], *crms: str) -> SelectionResult:
    return world.database.selection().apply(action, ids, crms)


@pytest.mark.parametrize("crms", [("brevo",), ("brevo", "hubspot", "n8n"), ALL])
def test_a_selection_sets_both_statuses_for_the_crms_named_and_no_other(world: World, crms: tuple[str, ...]) -> None:
    ids = world.add("a@example.com", "b@example.com", selected=False)
    result = apply(world, "select", ids, *crms)
    assert result == SelectionResult(
        2,
        2 * len(crms),
        0,
        crms,
        "select",
        f"Selected 2 contacts for {len(crms)} CRM(s), {2 * len(crms)} queued for processing",
    )
    for contact in ids:
        for crm in ALL:
            assert world.status(contact, crm) == (("Selected", "Queued") if crm in crms else ("New", None))


def test_the_message_is_the_one_that_was_asked_for(world: World) -> None:
    ids = world.add("a@example.com", "b@example.com", selected=False)
    assert apply(world, "select", ids, "brevo").message == "Selected 2 contacts for 1 CRM(s), 2 queued for processing"


def test_unselecting_one_crm_leaves_the_others(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    apply(world, "select", [contact], *ALL)
    result = apply(world, "unselect", [contact], "hubspot")
    assert (result.updated_count, result.queued_count) == (1, 0)
    assert result.message == "Unselected 1 contacts for 1 CRM(s)"
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
    apply(world, action, [contact], "brevo")
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
    result = apply(world, "select", [contact], "brevo")
    assert (result.updated_count, result.queued_count) == (1, 1)
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
    apply(world, "select", [contact], "hubspot")
    one_run(world.queue("hubspot"), FAILED)
    before = world.contact(contact)
    apply(world, "select", [contact], "brevo")
    apply(world, "unselect", [contact], "brevo")
    after = world.contact(contact)
    kept = ("retry_count", "next_retry_at", "last_retry_at", "last_failed_crm", "hubspot_processing_error")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert before["last_failed_crm"] == "hubspot"


@pytest.mark.parametrize(("count", "crms", "missing"), [(0, ("brevo",), "contact ids"), (1, (), "CRMs")])
def test_no_ids_or_no_crms_is_nothing_and_says_so(
    world: World, count: int, crms: tuple[str, ...], missing: str
) -> None:
    ids = world.add("a@example.com", selected=False)
    before = world.snapshot()
    result = apply(world, "select", ids[:count], *crms)
    assert (result.updated_count, result.queued_count) == (0, 0)
    assert result.message == f"No {missing} were given; nothing was changed"
    assert world.snapshot() == before


def test_no_id_found_is_said_in_these_words(world: World) -> None:
    result = apply(world, "select", [uuid4(), uuid4()], "brevo")
    assert (result.updated_count, result.queued_count, result.unknown_count) == (0, 0, 2)
    assert result.message == "No contacts found with provided IDs"


def test_of_a_mixture_the_known_are_selected_and_the_unknown_counted(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    result = apply(world, "select", [uuid4(), contact, uuid4()], "brevo", "n8n")
    assert (result.updated_count, result.queued_count, result.unknown_count) == (1, 2, 2)
    assert result.message == "Selected 1 contacts for 2 CRM(s), 2 queued for processing; 2 unknown ids were left out"
    assert world.status(contact) == ("Selected", "Queued")


def test_an_id_or_a_crm_named_twice_counts_once(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    result = apply(world, "select", [str(contact), f" {str(contact).upper()} "], "brevo", "brevo")
    assert (result.updated_count, result.queued_count, result.crms) == (1, 1, ("brevo",))


@pytest.mark.parametrize(
    ("action", "ids", "crms", "named"),
    [
        ("selct", [], ("brevo",), "'selct' is no action"),
        ("select", [], ("pipedrive",), "'pipedrive' is not a known CRM"),
        ("select", [], ("brevo", "Brevo"), "'Brevo' is not a known CRM"),
        ("select", ["not-an-id"], ("brevo",), "'not-an-id' is no contact id"),
        ("unselect", [""], ("brevo",), "'' is no contact id"),
    ],
)
def test_what_we_do_not_know_is_refused_by_name_and_nothing_is_changed(
    world: World, action: str, ids: list[str], crms: tuple[str, ...], named: str
) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    before = world.snapshot()
    with pytest.raises(SelectionError, match=named):
        apply(world, action, [str(contact), *ids], *crms)
    assert world.snapshot() == before


def test_a_crm_that_the_table_has_no_columns_for_is_refused_by_name(brevo_only: World) -> None:
    (contact,) = brevo_only.add("a@example.com", selected=False)
    with pytest.raises(SelectionError, match="no columns mautic_sync_status and mautic_processing_status"):
        apply(brevo_only, "select", [contact], "brevo", "mautic")
    assert brevo_only.status(contact) == ("New", None)


def test_a_crm_with_half_its_columns_is_refused_with_what_mends_it(fresh: World) -> None:
    (contact,) = fresh.add("a@example.com", selected=False)
    fresh.execute("ALTER TABLE contacts DROP COLUMN mautic_processing_error")
    with pytest.raises(SchemaError, match=r"ADD COLUMN mautic_processing_error text"):
        apply(fresh, "select", [contact], "mautic")
    apply(fresh, "select", [contact], "brevo")
    assert fresh.status(contact) == ("Selected", "Queued")


def test_every_contact_of_the_table_can_be_selected_at_once(world: World) -> None:
    world.add_many(5500)
    world.execute("UPDATE contacts SET brevo_sync_status = 'New', brevo_processing_status = NULL")
    result = world.database.selection().apply_to_all("select", ["brevo", "hubspot"])
    assert (result.updated_count, result.queued_count) == (5500, 11_000)
    assert world.queue("hubspot").depth() == 5500


def test_requeue_makes_what_ended_in_error_due_now_with_fresh_retries(world: World) -> None:
    (contact,) = world.add("a@example.com")
    for _ in range(4):
        one_run(world.queue(), FAILED)
        world.pass_time(21 * MINUTE)
    assert world.database.selection().requeue("brevo", [contact]) == 1
    assert world.status(contact) == ("Selected", "Queued")
    assert world.contact(contact)["brevo_processing_error"] is None
    one_run(world.queue(), FAILED)
    assert world.delivery(contact)["retry_count"] == 1


def test_requeue_ends_the_wait_for_a_retry(world: World) -> None:
    (contact,) = world.add("a@example.com")
    one_run(world.queue(), FAILED)
    assert world.queue().depth() == 0
    assert world.database.selection().requeue("brevo", [str(contact)]) == 1
    assert world.queue().depth() == 1


def test_requeue_of_everything_takes_errors_and_waits_and_leaves_the_rest(world: World) -> None:
    done, waits, *_ = sorted(world.add("a@example.com", "b@example.com", "c@example.com"))
    one_run(world.queue(), Synced("1"), FAILED, Synced("1"))
    (fresh,) = world.add("d@example.com")
    (ended,) = world.add("e@example.com", selected=False, brevo_sync_status="Error", brevo_processing_status="Error")
    (new,) = world.add("f@example.com", selected=False)
    assert world.database.selection().requeue("brevo") == 2
    states = {contact: world.status(contact)[0] for contact in (done, waits, fresh, ended, new)}
    assert states == {done: "Complete", waits: "Selected", fresh: "Selected", ended: "Selected", new: "New"}


def test_requeue_of_everything_finds_nothing_the_second_time(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    one_run(world.queue(), FAILED)
    assert world.database.selection().requeue("brevo") == 2
    assert world.database.selection().requeue("brevo") == 0
    assert world.queue().depth() == 2


def test_a_table_of_more_than_one_stretch_is_requeued_and_unselected_whole(world: World) -> None:
    world.add_many(5001)
    world.execute("UPDATE contacts SET brevo_sync_status = 'Error', brevo_processing_status = 'Error'")
    assert world.database.selection().requeue("brevo") == 5001
    assert (
        world.database.selection().requeue("brevo", [row["id"] for row in world.rows("SELECT id FROM contacts")]) == 0
    )
    result = world.database.selection().apply_to_all("unselect", ["brevo", "hubspot"])
    assert (result.updated_count, result.queued_count) == (5001, 0)
    assert world.database.selection().apply_to_all("unselect", ["brevo"]).updated_count == 0


def test_a_contact_is_counted_once_however_many_crms_it_is_selected_for(world: World) -> None:
    world.add("a@example.com")
    world.add("b@example.com", selected=False)
    result = world.database.selection().apply_to_all("select", ["brevo", "hubspot"])
    assert (result.updated_count, result.queued_count) == (2, 3)


def test_the_users_columns_may_be_called_like_parameters_of_ours(fresh: World) -> None:
    names = ("token", "ids", "size", "first", "behind", "look", "run_id", "lease_seconds")
    fresh.script("".join(f"ALTER TABLE contacts ADD {name} text;" for name in names))
    fresh.add("a@example.com", "b@example.com")
    one_run(fresh.queue(), FAILED, Synced("1"))
    assert fresh.database.selection().requeue("brevo") == 1
    assert fresh.database.selection().apply_to_all("unselect", ["brevo"]).updated_count == 1
    assert fresh.rows(f"SELECT DISTINCT {', '.join(names)} FROM contacts") == [dict.fromkeys(names)]


def test_requeue_looks_at_one_crm_alone(world: World) -> None:
    (contact,) = world.add("a@example.com", selected=False)
    apply(world, "select", [contact], "brevo", "hubspot")
    one_run(world.queue("hubspot"), FAILED)
    assert world.database.selection().requeue("brevo") == 0
    assert world.database.selection().requeue("hubspot") == 1


def test_requeue_of_something_in_flight_leaves_it_to_its_run(world: World) -> None:
    (contact,) = world.add("a@example.com")
    world.queue().claim(1)
    before = world.snapshot()
    assert world.database.selection().requeue("brevo", [contact]) == 0
    assert world.snapshot() == before


def test_requeue_without_our_tables_says_what_to_run(fresh: World) -> None:
    fresh.execute("DROP SCHEMA crm_sync CASCADE")
    with pytest.raises(SchemaError, match="crm-sync db upgrade"):
        fresh.database.selection().requeue("brevo")


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
        ("anna", "no contact id"),
    ],
)
def test_a_contact_that_is_not_there_is_refused_by_name(world: World, text: str, words: str) -> None:
    with pytest.raises(SelectionError if text == "anna" else CrmSyncError, match=words):
        world.database.selection().find(text)


def test_ids_keep_their_order_and_come_once() -> None:
    one, two = uuid4(), uuid4()
    assert parse_ids([two, str(one), two]) == [two, one]
