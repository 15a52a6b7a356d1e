"""Contacts whose e-mail address changed after they were delivered."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from crm_sync_pipeline.contact_queue.people.acts import Actor
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS, load_settings
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Tally
from crm_sync_pipeline.domain.explanation import Explanation, explain
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import World

RETRY = timedelta(minutes=6)
NUMBER = "+1 415 555 2671"


def run(world: World, brevo: Brevo) -> Tally:
    queue = world.queue()
    batch = queue.claim(100)
    tally = deliver_batch(queue, brevo, batch)
    queue.settle(batch.token)
    return tally


def rename(world: World, contact: UUID, address: str) -> None:
    world.execute("UPDATE contacts SET email = :email WHERE id = :id", email=address, id=contact)
    world.select(contact)


def why(world: World, contact: UUID) -> Explanation:
    return explain(world.database.report().facts(CRMS["brevo"], contact, 3), DESTINATIONS["brevo"].remedies)


def addresses(simulator: BrevoSimulator) -> dict[int, str | None]:
    return {each.id: each.email for each in simulator.contacts.values()}


def at_brevo(brevo: Brevo, method: str, path: str, **body: Any) -> None:
    """What a person does at Brevo."""
    answer = httpx.request(method, f"{brevo.base_url}{path}", headers={"api-key": brevo.api_key}, json=body or None)
    assert answer.is_success, answer.text


@pytest.fixture
def ann(world: World, brevo: Brevo) -> UUID:
    """Delivered as ann@example.com, with a phone number."""
    (contact,) = world.add("ann@example.com", name="Ann Bee", phone_number=NUMBER)
    run(world, brevo)
    return contact


def test_the_contact_moves_with_its_number_its_lists_and_its_id(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    before = addresses(simulator)
    rename(world, ann, "Ann@New.example.com ")
    tally = run(world, brevo)
    assert addresses(simulator) == dict.fromkeys(before, "ann@new.example.com")
    (contact,) = simulator.contacts.values()
    assert contact.attributes["SMS"] == "14155552671"
    assert world.status(ann) == ("Complete", "Complete")
    assert world.delivery(ann)["remote_id"] == str(contact.id)
    assert (tally.requests, tally.reasons) == (2, {"moved": 1})
    assert "Its contact at Brevo was moved from the old address." in why(world, ann).verdict


def test_it_moves_by_its_old_address_where_brevo_told_no_id(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    at_brevo(brevo, "POST", "/contacts", email="ann@example.com")
    (ann,) = world.add("ann@example.com")
    run(world, brevo)
    assert world.delivery(ann)["remote_id"] is None
    rename(world, ann, "ann@new.example.com")
    run(world, brevo)
    ((number, address),) = addresses(simulator).items()
    assert (address, world.delivery(ann)["remote_id"]) == ("ann@new.example.com", str(number))


def test_whoever_opted_out_is_neither_moved_nor_created_again(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    at_brevo(brevo, "PUT", "/contacts/ann%40example.com", emailBlacklisted=True)
    rename(world, ann, "ann@new.example.com")
    tally = run(world, brevo)
    (contact,) = simulator.contacts.values()
    assert (contact.email, contact.email_blacklisted) == ("ann@example.com", True)
    assert tally.reasons == {"opted_out_at_old_address": 1}
    assert f"its contact at Brevo ({contact.id}) is blocklisted" in world.contact(ann)["brevo_processing_error"]
    assert "clear its brevo_contact_id" in world.contact(ann)["brevo_processing_error"]


def test_an_opt_out_of_the_new_address_does_not_stop_a_contact_that_has_it_already(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    """It moved, but the row does not say so; nothing need be moved, and Brevo keeps the opt-out."""
    at_brevo(brevo, "PUT", "/contacts/ann%40example.com", attributes={"EMAIL": "ann@new.example.com"})
    at_brevo(brevo, "PUT", "/contacts/ann%40new.example.com", emailBlacklisted=True)
    rename(world, ann, "ann@new.example.com")
    assert run(world, brevo).reasons == {"updated": 1}
    (contact,) = simulator.contacts.values()
    assert (contact.email, contact.email_blacklisted) == ("ann@new.example.com", True)


def test_a_row_that_is_somebody_else_now_goes_as_a_new_contact_once_its_id_is_cleared(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    at_brevo(brevo, "PUT", "/contacts/ann%40example.com", emailBlacklisted=True)
    world.execute("UPDATE contacts SET brevo_contact_id = NULL, phone_number = NULL WHERE id = :id", id=ann)
    rename(world, ann, "bob@example.com")
    run(world, brevo)
    assert sorted(filter(None, addresses(simulator).values())) == ["ann@example.com", "bob@example.com"]
    assert next(each for each in simulator.contacts.values() if each.email == "ann@example.com").email_blacklisted


def test_an_opt_out_that_ended_lets_it_move(world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID) -> None:
    at_brevo(brevo, "PUT", "/contacts/ann%40example.com", emailBlacklisted=True)
    rename(world, ann, "ann@new.example.com")
    run(world, brevo)
    at_brevo(brevo, "PUT", "/contacts/ann%40example.com", emailBlacklisted=False)
    world.pass_time(RETRY)
    run(world, brevo)
    assert list(addresses(simulator).values()) == ["ann@new.example.com"]


def test_a_contact_that_is_gone_at_brevo_is_made_anew(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    at_brevo(brevo, "DELETE", "/contacts/ann%40example.com")
    rename(world, ann, "ann@new.example.com")
    assert run(world, brevo).reasons == {"created": 1}
    ((number, address),) = addresses(simulator).items()
    assert (address, world.delivery(ann)["remote_id"]) == ("ann@new.example.com", str(number))


def test_where_brevo_has_the_new_address_already_that_contact_is_updated_and_explain_says_so(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    at_brevo(brevo, "POST", "/contacts", email="ann@new.example.com")
    old, new = addresses(simulator)
    rename(world, ann, "ann@new.example.com")
    tally = run(world, brevo)
    assert addresses(simulator) == {old: "ann@example.com", new: "ann@new.example.com"}
    assert simulator.contacts["ann@new.example.com"].attributes["FIRSTNAME"] == "Ann"
    assert tally.numbers_left_out == 1, "the contact of the old address has it"
    assert world.delivery(ann)["remote_id"] is None, "nobody said what the id of the new one is"
    assert f"keeps that of the old one ({old})" in why(world, ann).verdict


@pytest.mark.parametrize(
    "fault",
    [
        "reset-after-write:method=PUT:path=/v3/contacts/*:times=2",
        "reset-before-write:method=PUT:path=/v3/contacts/*:times=2",
    ],
)
def test_an_answer_that_is_lost_while_it_moves_makes_no_second_contact(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID, fault: str
) -> None:
    rename(world, ann, "ann@new.example.com")
    simulator.inject(fault)
    assert run(world, brevo).outcomes == {"failed": 1}
    world.pass_time(RETRY)
    run(world, brevo)
    ((number, address),) = addresses(simulator).items()
    assert (address, world.delivery(ann)["remote_id"]) == ("ann@new.example.com", str(number))


def test_an_address_that_another_row_still_has_stays_where_it_is(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    ann, ben = world.add("office@example.com", "Office@example.com")
    run(world, brevo)
    rename(world, ann, "ann@example.com")
    run(world, brevo)
    assert sorted(filter(None, addresses(simulator).values())) == ["ann@example.com", "office@example.com"]
    assert "which another row has" in why(world, ann).verdict
    assert world.status(ben) == ("Complete", "Complete")


def test_two_rows_that_shared_an_address_and_both_changed_end_as_two_contacts(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    ann, ben = world.add("office@example.com", "office@example.com")
    run(world, brevo)
    rename(world, ann, "ann@example.com")
    rename(world, ben, "ben@example.com")
    run(world, brevo)
    assert sorted(filter(None, addresses(simulator).values())) == ["ann@example.com", "ben@example.com"]
    ids = {contact.email: str(contact.id) for contact in simulator.contacts.values()}
    known = {world.delivery(each)["remote_id"] for each in (ann, ben)}
    assert known == set(ids.values())


def test_new_leaves_the_old_contact_alone_and_says_so(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    (old,) = addresses(simulator)
    rename(world, ann, "ann@new.example.com")
    run(world, brevo.model_copy(update={"on_address_change": "new"}))
    assert sorted(filter(None, addresses(simulator).values())) == ["ann@example.com", "ann@new.example.com"]
    assert f"Brevo keeps the contact of the old one ({old}) as well" in why(world, ann).verdict
    assert world.delivery(ann)["remote_id"] == str(max(addresses(simulator)))


def test_a_moved_contact_does_not_go_by_import(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    world.add_many(20)
    rename(world, ann, "ann@new.example.com")
    tally = run(world, brevo.model_copy(update={"list_id": 1, "bulk_threshold": 1}))
    assert tally.reasons == {"imported": 20, "moved": 1}
    assert "ann@example.com" not in addresses(simulator).values()


def test_an_address_in_other_letters_is_the_same_one(world: World, brevo: Brevo, ann: UUID) -> None:
    rename(world, ann, " ANN@Example.com")
    assert run(world, brevo).reasons == {"updated": 1}
    assert world.delivery(ann)["remote_id"] is not None


def test_forget_names_an_id_that_was_told_once(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    """Told by a 201, kept after a move, whose answer tells none, and after a 204."""
    rename(world, ann, "ann@new.example.com")
    run(world, brevo)
    world.select(ann)
    run(world, brevo)
    (number,) = addresses(simulator)
    assert f"At Brevo it is {number}." in world.database.history().forget(ann, Actor("somebody")).says()


def test_forget_names_the_contact_of_the_old_address_too(
    world: World, brevo: Brevo, simulator: BrevoSimulator, ann: UUID
) -> None:
    rename(world, ann, "ann@new.example.com")
    run(world, brevo.model_copy(update={"on_address_change": "new"}))
    old, new = sorted(addresses(simulator))
    said = world.database.history().forget(ann, Actor("somebody")).says()
    assert f"At Brevo it is {old} and {new}." in said


def test_forget_says_where_no_id_is_known(world: World, brevo: Brevo) -> None:
    at_brevo(brevo, "POST", "/contacts", email="ann@example.com")
    (ann,) = world.add("ann@example.com")
    run(world, brevo)
    said = world.database.history().forget(ann, Actor("somebody")).says()
    assert "Brevo has told no id of it: look for its address there." in said


@pytest.mark.parametrize(("text", "moves"), [("move", True), ("new", False), ("", True)])
def test_the_setting_decides(monkeypatch: pytest.MonkeyPatch, text: str, moves: bool) -> None:
    monkeypatch.setenv("BREVO_ON_ADDRESS_CHANGE", text)
    made = Brevo.from_settings(load_settings())
    assert (made.on_address_change == "move") is moves
