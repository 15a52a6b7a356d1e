"""What was sent once and is empty in the row now."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Tally
from crm_sync_pipeline.domain.explanation import explain
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


def edit(world: World, contact: UUID, **values: Any) -> None:
    for name, value in values.items():
        world.execute(f"UPDATE contacts SET {name} = :value WHERE id = :id", value=value, id=contact)
    world.select(contact)


def verdict(world: World, contact: UUID) -> str:
    return explain(world.database.report().facts(CRMS["brevo"], contact, 3), DESTINATIONS["brevo"].remedies).verdict


@pytest.fixture
def eve(world: World, brevo: Brevo) -> UUID:
    """Delivered with everything that a row can hold."""
    (contact,) = world.add(
        "eve@example.com", name="Eve Adams", phone_number=NUMBER, source_url="https://example.com/", has_gmail=True
    )
    run(world, brevo)
    return contact


def at_brevo(simulator: BrevoSimulator, address: str = "eve@example.com") -> dict[str, Any]:
    """What the contact has there that is not empty."""
    contact = next(each for each in simulator.contacts.values() if each.email == address)
    return {name: value for name, value in contact.attributes.items() if value != ""}


@pytest.mark.parametrize(
    ("values", "attribute"),
    [
        ({"name": "Bob"}, "LASTNAME"),
        ({"name": None}, "FIRSTNAME"),
        ({"name": "  "}, "LASTNAME"),
        ({"phone_number": None}, "SMS"),
        ({"phone_number": "no number"}, "SMS"),
        ({"source_url": ""}, "SOURCE_URL"),
    ],
)
def test_it_is_emptied_at_brevo(
    world: World, brevo: Brevo, simulator: BrevoSimulator, eve: UUID, values: dict[str, Any], attribute: str
) -> None:
    assert attribute in at_brevo(simulator)
    edit(world, eve, **values)
    run(world, brevo)
    assert attribute not in at_brevo(simulator)
    assert world.status(eve) == ("Complete", "Complete")


def test_once_and_not_again_with_each_delivery(
    world: World, brevo: Brevo, simulator: BrevoSimulator, eve: UUID
) -> None:
    edit(world, eve, phone_number=None)
    run(world, brevo)
    hash_then = world.delivery(eve)["payload_hash"]
    world.select(eve)
    run(world, brevo.model_copy(update={"skip_unchanged": True}))
    assert simulator.requests.statuses()["204"] == 1, "the second time it is unchanged"
    assert world.delivery(eve)["payload_hash"] == hash_then


def test_what_somebody_typed_in_at_brevo_is_left_alone(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    (bob,) = world.add("bob@example.com", name="Bob")
    run(world, brevo)
    by_hand = {"attributes": {"LASTNAME": "By hand"}}
    answer = httpx.put(f"{brevo.base_url}/contacts/bob%40example.com", headers={"api-key": brevo.api_key}, json=by_hand)
    assert answer.status_code == 204
    edit(world, bob, name="Rob")
    run(world, brevo)
    assert [at_brevo(simulator, "bob@example.com")[name] for name in ("FIRSTNAME", "LASTNAME")] == ["Rob", "By hand"]


def test_a_value_that_may_have_arrived_without_an_answer_is_emptied_too(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    (eve,) = world.add("eve@example.com", name="Eve Adams")
    simulator.inject("reset-after-write:times=1")
    run(world, brevo)
    world.execute("UPDATE contacts SET name = 'Eve' WHERE id = :id", id=eve)
    world.pass_time(RETRY)
    run(world, brevo)
    assert at_brevo(simulator)["FIRSTNAME"] == "Eve"
    assert "LASTNAME" not in at_brevo(simulator)


@pytest.mark.usefixtures("eve")
def test_a_value_that_was_refused_is_not_taken_for_ours(world: World, brevo: Brevo) -> None:
    """The second contact never had the number, so nothing is emptied once its row has none."""
    (bob,) = world.add("bob@example.com", phone_number=NUMBER)
    run(world, brevo.model_copy(update={"sms_in_use": "reject"}))
    assert world.delivery(bob)["remote_fields"] is None


def test_where_brevo_refuses_what_is_empty_the_rest_goes_and_explain_names_what_it_holds(
    world: World, brevo: Brevo, simulator: BrevoSimulator, eve: UUID
) -> None:
    simulator.inject("status-400:times=1")
    edit(world, eve, name="Bob Adams", phone_number=None)
    tally = run(world, brevo)
    assert tally.outcomes == {"synced": 1}
    assert at_brevo(simulator)["FIRSTNAME"] == "Bob"
    assert "Brevo still holds SMS, which this row has no value for any more." in verdict(world, eve)
    world.select(eve)
    run(world, brevo)
    assert "SMS" not in at_brevo(simulator), "it is tried with each delivery"


def test_a_boolean_can_not_be_emptied_and_explain_says_so(
    world: World, brevo: Brevo, simulator: BrevoSimulator, eve: UUID
) -> None:
    edit(world, eve, has_gmail=None)
    run(world, brevo)
    assert at_brevo(simulator)["HAS_GMAIL"] is True
    assert "Brevo still holds HAS_GMAIL" in verdict(world, eve)


def test_the_advice_for_a_number_in_use_works_as_told(
    world: World, brevo: Brevo, simulator: BrevoSimulator, eve: UUID
) -> None:
    """'Clear its phone number in the other contact that has it, and select that one.' This one is retried then."""
    strict = brevo.model_copy(update={"sms_in_use": "reject"})
    (bob,) = world.add("bob@example.com", phone_number=NUMBER)
    assert run(world, strict).reasons == {"sms_in_use": 1}
    edit(world, eve, phone_number=None)
    run(world, strict)
    world.pass_time(RETRY)
    run(world, strict)
    assert at_brevo(simulator, "bob@example.com")["SMS"] == "14155552671"
    assert world.status(bob) == ("Complete", "Complete")


def test_a_number_that_another_contact_has_by_now_leaves_no_old_one_behind(
    world: World, brevo: Brevo, simulator: BrevoSimulator, eve: UUID
) -> None:
    world.add("bob@example.com", phone_number="+1 415 555 2672")
    run(world, brevo)
    edit(world, eve, phone_number="+1 415 555 2672")
    tally = run(world, brevo)
    assert tally.numbers_left_out == 1
    assert "SMS" not in at_brevo(simulator)


def test_what_an_import_brought_is_emptied_by_a_single_call(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    importing = brevo.model_copy(update={"list_id": 1, "bulk_threshold": 1})
    eve, _ = world.add("eve@example.com", "bob@example.com", name="Eve Adams")
    assert run(world, importing).reasons == {"imported": 2}
    world.execute("UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'")
    edit(world, eve, name="Eve")
    assert run(world, importing).reasons == {"imported": 1, "updated": 1}
    assert "LASTNAME" not in at_brevo(simulator)
    assert at_brevo(simulator, "bob@example.com")["LASTNAME"] == "Adams"
