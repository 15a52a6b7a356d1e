"""select, unselect, requeue, hold and release by a filter; the list of acts."""

import getpass
from uuid import UUID

import pytest

from crm_sync_pipeline.domain.outcome import Failed, Rejected
from crm_sync_pipeline_tests.builders import one_run
from crm_sync_pipeline_tests.cli.conftest import Command, Shop

ADDRESS = "jane.doe@example.com"


def test_a_filter_selects_whom_it_matches_and_a_dry_run_only_says_whom(crm_sync: Command, shop: Shop) -> None:
    wanted, other = shop.world.add(ADDRESS, "x@other.org", selected=False)
    words = ("select", "--status", "new", "--email-contains", "@EXAMPLE.com")
    said = crm_sync(*words, "--dry-run")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"Would select 1 contacts for Brevo. Nothing was changed. Such as {wanted}.\n"
    assert shop.world.status(wanted) == ("New", None)
    assert crm_sync(*words).out == "Selected 1 contacts for 1 CRM(s), 1 queued for processing.\n"
    assert (shop.world.status(wanted), shop.world.status(other)) == (("Selected", "Queued"), ("New", None))


def test_a_hold_keeps_contacts_back_until_their_release_and_everything_says_so(crm_sync: Command, shop: Shop) -> None:
    on_hold, other = shop.world.add(ADDRESS, "x@other.org")
    said = crm_sync("hold", "--email-contains", ADDRESS)
    assert (said.code, said.out) == (0, "Put on hold 1 contacts for Brevo.\n")
    assert (
        "Brevo: 1 on hold; `crm-sync release --all --crm brevo` releases them."
        in crm_sync("status", "--crm", "brevo").out
    )
    assert crm_sync("status", "--crm", "brevo", "--json").json[0]["held"] == 1
    assert f"Next: Nothing by itself. `crm-sync release {on_hold} --crm brevo` releases it." in crm_sync(
        "explain", on_hold
    ).out.replace("\n", " ")
    refused = crm_sync("sync-now", on_hold)
    assert refused.code == 1
    assert f"Error: Contact {on_hold} has been on hold for Brevo since " in refused.err
    assert shop.simulator.requests.total == 0
    one_run(shop.world.queue())
    assert (shop.world.status(on_hold), shop.world.status(other)[0]) == (("Queued", "Queued"), "Complete")
    assert crm_sync("release", "--all", "--json").json["contacts"] == 1
    assert crm_sync("sync-now", on_hold).code == 0


def test_requeue_takes_what_failed_for_a_reason_lately(crm_sync: Command, shop: Shop) -> None:
    first, second = sorted(shop.world.add("a@example.com", "b@example.com"))
    one_run(shop.world.queue(), Failed("http_503", "try later"), Rejected("invalid_email", "no"))
    assert crm_sync("requeue", "--reason", "http_503", "--since", "1h", "--dry-run", "--json").json["sample"] == [
        str(first)
    ]
    assert crm_sync("requeue", "--reason", "http_503", "--until", "1h").out == "Requeued 0 contacts for Brevo.\n"
    assert crm_sync("requeue", "--reason", "http_503", "--state", "queued").out == "Requeued 1 contacts for Brevo.\n"
    assert shop.world.status(second) == ("Queued", "Queued")


@pytest.mark.parametrize(
    ("command", "words", "says"),
    [
        ("select", ("--email-contains", "@"), "This filter matches every contact. Nothing was changed. Say --all"),
        ("unselect", ("--status", "Neu"), "There is no such status. Use New, Selected"),
        ("requeue", ("--reason", ADDRESS), "A reason is a word like http_503"),
        ("hold", ("--since", "yesterday"), "A time looks like '2026-03-01 14:00'"),
        (
            "release",
            ("--domain-id", "example.com"),
            "It is an id, not a name; e-mail contains '@example.com' finds a domain",
        ),
        ("hold", ("00000000-0000-4000-8000-000000000000", "--gmail"), "Give contact ids, or a filter, not both."),
    ],
)
def test_wrong_use_of_a_filter_is_refused_before_anything_is_changed(
    crm_sync: Command, shop: Shop, command: str, words: tuple[str, ...], says: str
) -> None:
    shop.world.add(ADDRESS)
    before = shop.world.snapshot()
    said = crm_sync(command, *words)
    assert said.code == 2
    assert says in " ".join(said.err.split())
    assert ADDRESS not in said.err
    assert shop.world.snapshot() == before


def test_acts_are_listed_with_who_did_them_and_without_personal_data(crm_sync: Command, shop: Shop) -> None:
    assert crm_sync("acts").out == "Nobody has done anything yet.\n"
    (contact,) = shop.world.add(ADDRESS, selected=False)
    crm_sync("select", "--email-contains", ADDRESS)
    crm_sync("sync-now", contact)
    shop.world.queue().breaker.open("http_503", "Brevo API error (503)")
    crm_sync("resume", "brevo")
    resumed, delivered, selected = crm_sync("acts", "--json").json
    assert (selected["verb"], selected["actor"], selected["contacts"]) == ("select", getpass.getuser(), 1)
    assert (delivered["verb"], UUID(delivered["scope"]), delivered["contacts"]) == ("sync-now", contact, 1)
    assert (resumed["verb"], resumed["destinations"], resumed["contacts"]) == ("resume", ["brevo"], 0)
    said = crm_sync("acts").out
    assert "e-mail contains <text of 20 characters>" in said
    assert "@" not in said
