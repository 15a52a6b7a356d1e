"""Acts on contacts that a filter finds, and their record."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_sync_pipeline.contact_queue.people import chunks
from crm_sync_pipeline.contact_queue.people.acts import Act, Actor, ActResult, Acts
from crm_sync_pipeline.contact_queue.people.selection import SelectionError, Which
from crm_sync_pipeline.domain.contact_filter import OWN, ContactFilter
from crm_sync_pipeline.domain.outcome import Failed, Rejected, Synced
from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus
from crm_sync_pipeline_tests.builders import TESTS, World, one_run

NEW, ERROR = (SyncStatus.New,), (ProcessingStatus.Error,)


@pytest.fixture
def world(world: World) -> World:
    world.script("TRUNCATE crm_sync.acts")
    return world


def acts(world: World) -> Acts:
    return world.database.acts(Actor("anna", "run-7"))


def by(world: World, verb: str, wanted: ContactFilter, crms: Sequence[str] = ("brevo",), **how: Any) -> ActResult:
    return acts(world).carry_out(verb, Which(None, wanted), crms, **how)


def newest(world: World) -> list[Act]:
    return [act for act in acts(world).newest() if act.actor != TESTS.name]


def recorded(world: World) -> list[tuple[str, str, str, int]]:
    return [(act.actor, act.verb, act.scope, act.contacts) for act in newest(world)]


def people(world: World) -> dict[str, UUID]:
    """Three contacts that differ in everything a filter can ask for."""
    rows: Mapping[str, dict[str, Any]] = {
        "ann": {"email_type": "FREE", "has_gmail": True, "name": "Ann 100% O'Neil"},
        "bob_x": {"email_type": "CORPORATE", "has_gmail": False, "name": "Bob"},
        "carl": {"has_gmail": None, "hubspot_sync_status": "Complete"},
    }
    return {who: world.add(f"{who}@Example.com", selected=False, **columns)[0] for who, columns in rows.items()}


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({"email_type": "free"}, {"ann"}),
        ({"has_gmail": False}, {"bob_x", "carl"}),
        ({"email_contains": "B_X@EXAMPLE"}, {"bob_x"}),
        ({"email_contains": "n_@"}, set()),
        ({"name_contains": "0% o'n"}, {"ann"}),
        ({"statuses": {"hubspot": (SyncStatus.Complete,)}}, {"carl"}),
        ({"statuses": {OWN: NEW, "hubspot": NEW}}, {"ann", "bob_x"}),
        ({"statuses": {OWN: NEW}, "states": ERROR}, set()),
        ({"email_contains": "example", "has_gmail": True}, {"ann"}),
    ],
)
def test_a_filter_finds_those_for_whom_all_of_it_is_true(
    world: World, conditions: dict[str, Any], found: set[str]
) -> None:
    ids = people(world)
    assert by(world, "select", ContactFilter(**conditions)).contacts == len(found)
    assert {who for who, contact in ids.items() if world.status(contact) == ("Selected", "Queued")} == found


def test_domain_and_page_are_found_by_their_ids(world: World) -> None:
    ids = people(world)
    row = world.contact(ids["ann"])
    wanted = ContactFilter(domain_id=str(row["domain_id"]).upper(), page_id=str(row["page_id"]))
    assert by(world, "select", wanted).contacts == 3
    assert by(world, "select", ContactFilter(domain_id=str(uuid4()))).contacts == 0


def test_what_failed_is_found_by_its_newest_reason_and_time(world: World) -> None:
    early, late, fixed = sorted(world.add("a@example.com", "b@example.com", "c@example.com"))
    one_run(world.queue(), Failed("http_503", "try later"))
    world.pass_time(timedelta(hours=3))
    one_run(world.queue(), Failed("http_503", "try later"), Rejected("invalid_email", "no"), Synced("1"))
    world.execute(
        "UPDATE crm_sync.attempts SET attempted_at = attempted_at - interval '2 h' WHERE contact_id = :id", id=early
    )

    def found(**conditions: Any) -> set[UUID]:
        return set(by(world, "requeue", ContactFilter(**conditions), dry_run=True).sample)

    assert found(reasons=("http_503",)) == {early}
    assert found(reasons=("http_503", "invalid_email")) == {early, late}
    assert found(failed_since=timedelta(hours=1)) == {late}
    assert found(failed_until=timedelta(hours=1)) == {early}
    assert fixed not in found(states=(ProcessingStatus.Queued,))
    assert by(world, "requeue", ContactFilter(reasons=("invalid_email",))).contacts == 1
    assert (world.status(late), world.status(early)) == (("Selected", "Queued"), ("Queued", "Queued"))


def test_a_filter_without_a_status_sends_nothing_again_and_takes_back_what_is_wanted_still(world: World) -> None:
    (done,) = world.add("a@example.com")
    one_run(world.queue())
    (new,) = world.add("b@example.com", selected=False)
    wanted = ContactFilter(email_contains="example")
    assert by(world, "select", wanted).contacts == 1
    assert by(world, "unselect", wanted).contacts == 1
    assert (world.status(done)[0], world.status(new)) == ("Complete", ("New", None))
    again = ContactFilter(statuses={OWN: (SyncStatus.Complete,)})
    assert by(world, "select", again).contacts == 1
    assert world.status(done) == ("Selected", "Queued")


def test_each_crm_is_asked_on_its_own(world: World) -> None:
    (both,) = world.add("a@example.com", selected=False)
    (one,) = world.add("b@example.com", selected=False, hubspot_sync_status="Complete")
    result = by(world, "select", ContactFilter(statuses={OWN: NEW}), ("brevo", "hubspot"))
    assert (result.contacts, result.changes) == (2, 3)
    assert world.status(both, "hubspot") == ("Selected", "Queued")
    assert world.status(one, "hubspot")[0] == "Complete"


@pytest.mark.parametrize("verb", ["select", "unselect", "requeue", "hold", "release"])
def test_a_filter_that_matches_everything_asks_whether_that_is_meant(world: World, verb: str) -> None:
    world.add("a@example.com")
    before = world.snapshot()
    with pytest.raises(SelectionError, match=r"matches every contact\. Nothing was changed\. Say --all"):
        by(world, verb, ContactFilter(email_contains="@"))
    assert (world.snapshot(), recorded(world)) == (before, [])
    by(world, verb, ContactFilter(), everything=True)
    assert recorded(world)[0][:3] == ("anna", verb, "all")


def test_a_dry_run_says_how_many_with_ten_ids_and_writes_nothing(world: World) -> None:
    world.add_many(12)
    before = world.snapshot()
    result = by(world, "hold", ContactFilter(email_contains="@example"), dry_run=True)
    assert (result.contacts, len(result.sample)) == (12, 10)
    assert result.message.startswith("Would hold 12 contacts for Brevo. Nothing was changed. Such as ")
    assert (world.snapshot(), recorded(world)) == (before, [])


def test_each_act_is_recorded_with_who_what_how_many_and_no_personal_data(world: World) -> None:
    ids = world.add("a@example.com", "b@example.com", "c@example.com", "d@example.com")
    by(world, "hold", ContactFilter(email_contains="a@example.com"))
    acts(world).carry_out("release", Which([*ids, uuid4()]), ["brevo"])
    last, first = newest(world)
    assert (first.actor, first.run_id, first.verb, first.destinations) == ("anna", "run-7", "hold", ("brevo",))
    assert (first.scope, first.contacts) == ("e-mail contains <text of 13 characters>", 1)
    assert (last.scope, last.contacts) == (f"{ids[0]}, {ids[1]}, {ids[2]} and 2 more", 1)
    assert isinstance(last, Act)


def test_an_interrupted_act_has_done_and_recorded_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "FIRST_SIZE", 2)
    monkeypatch.setattr(chunks, "MAX_SIZE", 2)
    world.add_many(6)

    def interrupt(_rows: int) -> None:
        if recorded(world)[0][3] >= 3:  # chunks are smaller on a slow machine
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        by(world, "unselect", ContactFilter(), everything=True, progress=interrupt)
    done = world.value("SELECT count(*) FROM contacts WHERE brevo_sync_status = 'New'")
    assert done in (3, 4)
    assert recorded(world) == [("anna", "unselect", "all", done)]


@pytest.mark.parametrize("wanted", [{"email_type": "FREE"}, {"has_gmail": True}, {"statuses": {"n8n": NEW}}])
def test_a_column_that_the_table_does_not_have_is_refused_by_name(brevo_only: World, wanted: dict[str, Any]) -> None:
    brevo_only.add("a@example.com")
    before = brevo_only.snapshot()
    with pytest.raises(SelectionError, match=r"app.people has no column \w+, which the filter asks for\. Nothing was"):
        by(brevo_only, "unselect", ContactFilter(**wanted))
    assert brevo_only.snapshot() == before


def test_text_statuses_and_a_table_of_few_columns_will_do(brevo_only: World) -> None:
    (contact,) = brevo_only.add("a@example.com", name="Ann", selected=False)
    assert by(brevo_only, "select", ContactFilter(statuses={OWN: NEW}, name_contains="ANN")).contacts == 1
    assert by(brevo_only, "hold", ContactFilter(states=(ProcessingStatus.Queued,))).contacts == 1
    assert brevo_only.queue().depth() == 0
    assert by(brevo_only, "release", ContactFilter(email_contains="a@")).contacts == 1
    assert brevo_only.status(contact) == ("Queued", "Queued")
    assert one_run(brevo_only.queue()).as_metadata()["complete"] == 1
