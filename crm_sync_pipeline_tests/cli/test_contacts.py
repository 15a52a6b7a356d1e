"""select, unselect, requeue, status, explain, sync-now, resume."""

from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from crm_sync_pipeline.cli import contacts
from crm_sync_pipeline.contact_queue.reading import figures
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Rejected
from crm_sync_pipeline_tests.builders import one_run
from crm_sync_pipeline_tests.cli.conftest import Command, Shop

ADDRESS = "jane.doe@example.com"


# select, unselect


def test_select_queues_contacts_and_unselect_takes_them_back(crm_sync: Command, shop: Shop) -> None:
    first, second = shop.world.add("a@example.com", "b@example.com", selected=False)
    said = crm_sync("select", first, second)
    assert (said.code, said.out) == (0, "Selected 2 contacts for 1 CRM(s), 2 queued for processing.\n")
    assert shop.world.status(first) == shop.world.status(second) == ("Selected", "Queued")
    said = crm_sync("unselect", second)
    assert (said.code, said.out) == (0, "Unselected 1 contacts for 1 CRM(s).\n")
    assert shop.world.status(first) == ("Selected", "Queued")
    assert shop.world.status(second) == ("New", None)


def test_select_as_json_has_the_same_facts(crm_sync: Command, shop: Shop) -> None:
    (contact,) = shop.world.add("a@example.com", selected=False)
    said = crm_sync("select", contact, uuid4(), "--crm", "brevo", "--crm", "n8n", "--anyway", "--json")
    assert said.code == 0
    assert said.json == {
        "updated_count": 1,
        "queued_count": 2,
        "unknown_count": 1,
        "refused_count": 0,
        "crms": ["brevo", "n8n"],
        "action": "select",
        "message": "Selected 1 contacts for 2 CRM(s), 2 queued for processing; 1 unknown ids were left out",
    }


def test_selecting_for_a_crm_without_settings_is_refused_and_names_them(
    crm_sync: Command, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (contact,) = shop.world.add("a@example.com", selected=False)
    monkeypatch.delenv("BREVO_API_KEY")

    said = crm_sync("select", contact)
    assert said.code == 2
    assert "Nothing is delivered to Brevo (BREVO_API_KEY)" in said.err
    assert "Nothing was changed" in said.err
    assert shop.world.status(contact) == ("New", None)
    assert crm_sync("select", contact, "--dry-run").code == 0

    assert crm_sync("select", contact, "--anyway").code == 0
    assert shop.world.status(contact) == ("Selected", "Queued")


def test_status_names_what_waits_for_a_crm_without_settings(
    crm_sync: Command, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.world.add("a@example.com", "b@example.com")
    assert "is off" not in crm_sync("status", "--crm", "brevo").out
    monkeypatch.delenv("BREVO_API_KEY")

    said = " ".join(crm_sync("status", "--crm", "brevo").out.split())
    assert "Brevo is off: BREVO_API_KEY not set here. 2 contacts wait until it is set" in said
    (state,) = crm_sync("status", "--crm", "brevo", "--json").json
    assert state["off"] == "BREVO_API_KEY"


@pytest.mark.parametrize("which", ["named", "all"])
def test_with_changed_what_was_delivered_as_it_is_needs_no_call(crm_sync: Command, shop: Shop, which: str) -> None:
    (contact,) = shop.world.add("a@example.com", selected=False)
    assert crm_sync("sync-now", contact).code == 0
    crm_sync("unselect", contact)
    assert crm_sync("select", *(["--all"] if which == "all" else [contact]), "--changed").code == 0
    queue = shop.world.queue()
    assert [
        each
        for each, known in queue.delivered_before(queue.claim(1).token, everything=False).items()
        if known.payload_hash
    ] == [contact]


def test_all_means_every_contact(crm_sync: Command, shop: Shop) -> None:
    contacts = shop.world.add("a@example.com", "b@example.com", "c@example.com", selected=False)
    assert crm_sync("select", "--all").code == 0
    assert {shop.world.status(contact) for contact in contacts} == {("Selected", "Queued")}
    assert crm_sync("unselect", "--all").code == 0
    assert {shop.world.status(contact) for contact in contacts} == {("New", None)}


@pytest.mark.parametrize(
    "layout",
    [
        "{0}\n{1}\n",
        "\ufeff{0}\r\n\r\n{1}\r\n",
        "id,email\n{0},a@example.com\n{1},b@example.com\n",
        'contact_id,"name"\n"{0}","Doe, Jane"\n"{1}","x"\n',
        "ID\n {0} \n{1}",
    ],
)
def test_a_file_names_contacts_one_a_line_or_in_the_first_column(
    crm_sync: Command, shop: Shop, tmp_path: Path, layout: str
) -> None:
    contacts = shop.world.add("a@example.com", "b@example.com", selected=False)
    file = tmp_path / "ids.csv"
    file.write_text(layout.format(*contacts), "utf-8")
    said = crm_sync("select", "--file", file)
    assert (said.code, said.err) == (0, "")
    assert {shop.world.status(contact) for contact in contacts} == {("Selected", "Queued")}


@pytest.mark.parametrize("content", ["", "\n\n", "id\n"])
def test_an_empty_file_selects_nothing_and_says_so(crm_sync: Command, shop: Shop, tmp_path: Path, content: str) -> None:
    (contact,) = shop.world.add("a@example.com", selected=False)
    file = tmp_path / "ids.txt"
    file.write_text(content, "utf-8")
    said = crm_sync("select", "--file", file)
    assert (said.code, said.out) == (0, "No contact ids were given; nothing was changed.\n")
    assert shop.world.status(contact) == ("New", None)


@pytest.mark.usefixtures("shop")
def test_a_file_that_is_no_text_is_refused(crm_sync: Command, tmp_path: Path) -> None:
    file = tmp_path / "ids.xlsx"
    file.write_bytes(b"PK\x03\x04\xff\xfe\x80")
    said = crm_sync("select", "--file", file)
    assert said.code == 2
    assert "is not a text file in UTF-8. Nothing was changed. Save it as one." in said.err


def test_a_file_with_a_malformed_id_changes_nothing(crm_sync: Command, shop: Shop, tmp_path: Path) -> None:
    (contact,) = shop.world.add("a@example.com", selected=False)
    file = tmp_path / "ids.txt"
    file.write_text(f"{contact}\nnonsense\n", "utf-8")
    said = crm_sync("select", "--file", file)
    assert said.code == 2
    assert said.err.startswith("Error: 'nonsense' is not a contact id. Nothing was changed. An id looks like ")
    assert shop.world.status(contact) == ("New", None)


@pytest.mark.usefixtures("shop")
def test_ids_that_nobody_has_are_a_failure(crm_sync: Command) -> None:
    said = crm_sync("select", uuid4())
    assert (said.code, said.out) == (1, "No contacts found with provided IDs.\n")


@pytest.mark.parametrize("command", ["select", "unselect", "requeue"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "Name contact ids, a --file with ids, or --all."),
        (("--all", "00000000-0000-4000-8000-000000000000"), "Give contact ids, or --all, not both."),
        (("--file", "nowhere.txt"), "'nowhere.txt' does not exist"),
        (("--all", "--crm", "salesforce"), "'salesforce' is not one of 'brevo', 'hubspot', 'mautic', 'n8n'"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_changed(
    crm_sync: Command, command: str, words: tuple[str, ...], says: str
) -> None:
    said = crm_sync(command, *words)
    assert said.code == 2
    assert says in said.err


# requeue


def test_requeue_makes_what_ended_in_error_due_again(crm_sync: Command, shop: Shop) -> None:
    shop.world.add("a@example.com", "b@example.com")
    one_run(shop.world.queue(), Failed("http_503", "Brevo API error (503): service unavailable"))
    said = crm_sync("requeue", "--all")
    assert (said.code, said.out) == (0, "Requeued 2 contacts for Brevo.\n")
    assert crm_sync("requeue", uuid4(), "--json").json == {"crm": "brevo", "requeued_count": 0}
    assert shop.world.queue().depth() == 2


# status


def fill(shop: Shop) -> None:
    """One contact of each kind."""
    world = shop.world
    world.add("complete@example.com")
    one_run(world.queue())
    world.add("retry@example.com")
    one_run(world.queue(), Rejected("invalid_email", "Brevo API error (400): [odd] address <address>"))
    world.add("processing@example.com")
    world.queue().claim(1)
    world.add("due@example.com")
    world.add("new@example.com", selected=False)


def test_status_counts_contacts_by_state_and_shows_no_address(crm_sync: Command, shop: Shop) -> None:
    fill(shop)
    said = crm_sync("status", "--crm", "brevo")
    assert said.code == 0
    headings, figures, error = said.out.rstrip("\n").splitlines()
    assert headings.split() == [
        *("New", "Queued", "due", "waiting", "Processing", "Complete", "Error", "lag", "next", "retry")
    ]
    assert figures.split()[:8] == ["Brevo", "1", "2", "1", "1", "1", "1", "0"]
    assert error == "Brevo: 1 Queued, invalid_email: Brevo API error (400): [odd] address <address>"
    assert "@" not in said.out


def test_status_as_json_has_the_same_facts(crm_sync: Command, shop: Shop) -> None:
    fill(shop)
    said = crm_sync("status", "--crm", "brevo", "--json")
    (state,) = said.json
    assert (said.code, state["crm"], state["title"]) == (0, "brevo", "Brevo")
    assert state["counts"] == {"New": 1, "Queued": 2, "Processing": 1, "Complete": 1}
    assert (state["due"], state["waiting"], state["past_lease_seconds"], state["down"]) == (1, 1, None, None)
    assert state["lag_seconds"] >= 0
    assert datetime.fromisoformat(state["next_retry_at"]).tzinfo is not None
    (group,) = state["errors"]
    assert (group["reason"], group["count"]) == ("invalid_email", 1)
    assert "@" not in said.out


@pytest.mark.usefixtures("shop")
def test_status_without_a_crm_shows_all_that_the_table_has_columns_for(crm_sync: Command) -> None:
    said = crm_sync("status")
    rows = [line for line in said.out.splitlines()[1:] if " is off" not in line]
    assert [line.split()[0] for line in rows] == ["Brevo", "HubSpot", "Mautic", "n8n"]
    assert [state["crm"] for state in crm_sync("status", "--json").json] == ["brevo", "hubspot", "mautic", "n8n"]


def test_status_says_that_a_destination_is_down_and_what_to_do(crm_sync: Command, shop: Shop) -> None:
    shop.world.queue().breaker.open("wrong_api_key", "Key not found [/b]. Set a valid v3 key.")
    said = crm_sync("status")
    assert "Brevo is down: Key not found [/b]. Set a valid v3 key." in said.out
    down = crm_sync("status", "--json").json[0]["down"]
    assert (down["reason"], down["probes_done"]) == ("wrong_api_key", 0)
    assert 0 < down["next_probe_in"] <= 60


def test_status_tells_of_what_dead_runs_hold(crm_sync: Command, shop: Shop) -> None:
    shop.world.add("a@example.com")
    shop.world.queue().claim(1)
    shop.world.pass_time(timedelta(hours=1))
    said = crm_sync("status").out
    assert (
        "Brevo: contacts have been Processing for up to 55 min past their lease, because a run died; the next" in said
    )


def test_status_shows_what_it_did_not_count_to_the_end(
    crm_sync: Command, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (figures, contacts):
        monkeypatch.setattr(module, "COUNTED_UP_TO", 3)
    shop.world.add_many(4)
    _, counted = crm_sync("status", "--crm", "brevo").out.splitlines()
    assert counted.split()[:4] == ["Brevo", "0", "4", "3+"]


# explain


def test_explain_takes_an_id_or_an_address_in_any_case(crm_sync: Command, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    one_run(shop.world.queue(), Failed("http_503", "Brevo API error (503): [/oops] service [bold]unavailable"))
    by_id, by_address = crm_sync("explain", contact), crm_sync("explain", ADDRESS.upper())
    assert by_id == by_address
    assert by_id.code == 0
    assert f"{ADDRESS}  {contact}" in by_id.out
    assert "Brevo: Queued / Queued" in by_id.out
    assert "Waiting for retry 1 of 3. Last error: Brevo API error (503): [/oops] service [bold]unavailable" in by_id.out
    assert "Attempt 2 is due at " in by_id.out
    assert "attempt 1" in by_id.out


def test_explain_as_json_has_the_same_facts(crm_sync: Command, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    one_run(shop.world.queue(), Rejected("invalid_email", "Brevo API error (400): Invalid email address"))
    said = crm_sync("explain", contact, "--json")
    facts = said.json["facts"]
    assert said.code == 0
    assert said.json["verdict"].startswith("Waiting for retry 1 of 3.")
    assert "Attempt 2 is due at " in said.json["next_step"]
    assert (facts["contact_id"], facts["email"], facts["retry_count"]) == (str(contact), ADDRESS, 1)
    assert [attempt["reason"] for attempt in facts["attempts"]] == ["invalid_email"]


def test_explain_knows_each_crm_apart(crm_sync: Command, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    assert "Queued and due." in crm_sync("explain", contact).out
    assert "Never selected for HubSpot" in crm_sync("explain", contact, "--crm", "hubspot").out


def test_explain_of_an_address_in_two_rows_asks_for_the_id(crm_sync: Command, shop: Shop) -> None:
    contacts = shop.world.add(ADDRESS, ADDRESS)
    said = crm_sync("explain", ADDRESS)
    assert said.code == 2
    assert said.err.startswith("Error: 2 contacts have that address. Nothing was done. Name one by its id: ")
    assert all(str(contact) in said.err for contact in contacts)


@pytest.mark.parametrize("command", ["explain", "sync-now"])
@pytest.mark.parametrize(
    ("contact", "says"),
    [
        ("00000000-0000-4000-8000-000000000000", "There is no contact 00000000-0000-4000-8000-000000000000."),
        ("nobody@example.com", "There is no contact nobody@example.com. Nothing was done."),
        ("jane", "'jane' is not a contact id. Nothing was changed. An id looks like 3f2b0c1e"),
        ("%@%", "There is no contact %@%."),
    ],
)
def test_an_unknown_contact_is_refused_by_name(
    crm_sync: Command, shop: Shop, command: str, contact: str, says: str
) -> None:
    shop.world.add(ADDRESS)
    said = crm_sync(command, contact)
    assert said.code == (2 if contact == "jane" else 1)
    assert said.err.startswith(f"Error: {says}")
    assert shop.simulator.requests.total == 0


# sync-now


def test_sync_now_delivers_one_contact_past_the_queue(crm_sync: Command, shop: Shop) -> None:
    wanted, waiting = shop.world.add(ADDRESS, "waiting@example.com")
    said = crm_sync("sync-now", ADDRESS, "--crm", "brevo")
    assert (said.code, said.err) == (0, "")
    assert "Brevo has it: delivered at " in said.out
    assert shop.world.status(wanted) == ("Complete", "Complete")
    assert shop.world.status(waiting) == ("Selected", "Queued")
    assert set(shop.simulator.contacts) == {ADDRESS}


def test_sync_now_as_json_has_the_same_facts(crm_sync: Command, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS, selected=False)
    said = crm_sync("sync-now", contact, "--json")
    assert said.code == 0
    assert said.json["verdict"].startswith("Brevo has it: delivered")
    assert said.json["facts"]["remote_id"] == "1"
    assert UUID(said.json["facts"]["contact_id"]) == contact


@pytest.mark.parametrize(
    ("email", "fault", "says"),
    [
        ("invalid-email@", None, "Last error: Brevo API error (400): Invalid email address"),
        ("", None, "Can't be sent: it has no e-mail address"),
        (ADDRESS, "status-503", "Last error: Brevo API error (503): service unavailable"),
    ],
)
def test_sync_now_of_what_is_not_delivered_fails_and_says_why(
    crm_sync: Command, shop: Shop, email: str, fault: str | None, says: str
) -> None:
    (contact,) = shop.world.add(email)
    if fault:
        shop.simulator.inject(fault)
    said = crm_sync("sync-now", contact)
    assert said.code == 1
    assert says in said.out
    assert shop.world.status(contact) == ("Queued", "Queued")


def test_sync_now_without_a_key_touches_nothing(crm_sync: Command, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    (contact,) = shop.world.add(ADDRESS)
    before = shop.world.snapshot()
    monkeypatch.delenv("BREVO_API_KEY")
    said = crm_sync("sync-now", contact)
    assert said.code == 2
    assert said.err.startswith("Error: BREVO_API_KEY is not set. Nothing was sent, no contact was touched. Set it ")
    assert shop.world.snapshot() == before


def test_sync_now_while_the_key_is_wrong_fails_with_what_to_do_and_spends_nothing(
    crm_sync: Command, shop: Shop
) -> None:
    (contact,) = shop.world.add(ADDRESS)
    shop.simulator.inject("status-401-key")
    said = crm_sync("sync-now", contact)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("Error: Brevo is down: Brevo API error (401): Key not found.")
    assert "set a valid v3 key" in said.err
    assert shop.world.contact(contact)["retry_count"] == 0
    assert shop.world.status(contact) == ("Queued", "Queued")


def test_sync_now_of_a_contact_that_a_run_holds_is_refused(crm_sync: Command, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    shop.world.queue().claim(1)
    said = crm_sync("sync-now", contact)
    assert said.code == 1
    assert "is being delivered to Brevo by another run right now. Nothing was changed." in said.err
    assert shop.simulator.requests.total == 0


def test_status_after_a_wrong_key_is_that_of_sync_now(crm_sync: Command, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    one_run(shop.world.queue(), DestinationDown("wrong_api_key", "Brevo API error (401): Key not found"))
    assert "Brevo API error (401): Key not found" in crm_sync("explain", contact).out


# resume


def test_resume_asks_a_crm_that_is_down_and_the_queue_goes_on(crm_sync: Command, shop: Shop) -> None:
    shop.world.add(ADDRESS, "waiting@example.com")
    shop.world.queue().breaker.open("http_503", "Brevo API error (503)")
    said = crm_sync("resume", "brevo")
    assert (said.code, said.out, said.err) == (0, "Brevo answers again. The queue goes on.\n", "")
    assert crm_sync("resume", "brevo", "--json").json == {
        "crm": "brevo",
        "answers": True,
        "says": "Brevo is not down. Nothing was sent.",
    }


def test_resume_fails_with_the_reason_while_the_crm_is_down(crm_sync: Command, shop: Shop) -> None:
    shop.world.add(ADDRESS)
    shop.world.queue().breaker.open("http_503", "Brevo API error (503)")
    shop.simulator.inject("status-401-ip")
    said = crm_sync("resume", "brevo")
    assert said.code == 1
    assert said.out.startswith("Brevo is down: Brevo API error (401): ")
    assert "https://app.brevo.com/security/authorised_ips" in said.out
