"""Phone numbers that another contact at Brevo has."""

from collections import Counter

import httpx
import pytest

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS, load_settings
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Tally
from crm_sync_pipeline.domain.explanation import explain
from crm_sync_pipeline.settings import SettingsError
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import World

NUMBER = "+1 415 555 2671"
DIGITS = "14155552671"


def run(world: World, brevo: Brevo) -> Tally:
    queue = world.queue()
    batch = queue.claim(100)
    tally = deliver_batch(queue, brevo, batch)
    queue.settle(batch.token)
    return tally


def states(world: World) -> Counter[str]:
    rows = world.rows("SELECT brevo_processing_status AS state FROM contacts")
    return Counter(row["state"] for row in rows)


def test_five_addresses_of_one_company_with_one_number_are_all_delivered(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    ids = world.add(*(f"{name}@example.com" for name in "abcde"), phone_number=NUMBER, name="Eve Adams")
    tally = run(world, brevo)
    assert states(world) == {"Complete": 5}
    assert tally.outcomes == Counter(synced=5)
    assert (tally.requests, tally.numbers_left_out) == (9, 4)
    holders = [contact for contact in simulator.contacts.values() if contact.attributes.get("SMS") == DIGITS]
    assert len(holders) == 1
    assert all(contact.attributes["FIRSTNAME"] == "Eve" for contact in simulator.contacts.values())
    verdicts = [
        explain(world.database.report().facts(CRMS["brevo"], each, 3), DESTINATIONS["brevo"].remedies).verdict
        for each in ids
    ]
    assert sum("Sent without its phone number, which another contact at Brevo has." in each for each in verdicts) == 4


def test_one_attempt_is_journaled_for_each_and_no_retry_is_spent(world: World, brevo: Brevo) -> None:
    world.add("a@example.com", "b@example.com", phone_number=NUMBER)
    run(world, brevo)
    attempts = world.rows("SELECT number, outcome, http_status FROM crm_sync.attempts")
    assert [(row["number"], row["outcome"]) for row in attempts] == [(1, "synced")] * 2
    assert world.value("SELECT max(retry_count) FROM crm_sync.deliveries") == 0


def test_a_number_that_becomes_free_goes_out_with_the_next_selection(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    ids = world.add("a@example.com", "b@example.com", phone_number=NUMBER)
    run(world, brevo)
    (holder,) = [each.email for each in simulator.contacts.values() if each.attributes.get("SMS") == DIGITS]
    key = {"api-key": brevo.api_key}
    assert httpx.delete(f"{brevo.base_url}/contacts/{holder}", headers=key).status_code == 204
    world.select(*ids)
    run(world, brevo.model_copy(update={"skip_unchanged": True}))
    assert [each.attributes.get("SMS") for each in simulator.contacts.values() if each.email != holder] == [DIGITS]


def test_reject_sends_such_a_contact_nowhere_as_before(world: World, brevo: Brevo) -> None:
    world.add("a@example.com", "b@example.com", phone_number=NUMBER)
    tally = run(world, brevo.model_copy(update={"sms_in_use": "reject"}))
    assert states(world) == {"Complete": 1, "Queued": 1}
    assert tally.reasons["sms_in_use"] == 1


def test_another_refusal_of_what_is_left_stands(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add("a@example.com", phone_number=NUMBER)
    run(world, brevo)
    world.add("not an address", phone_number=NUMBER)
    tally = run(world, brevo)
    assert tally.reasons == Counter(invalid_email=1)
    assert len(simulator.contacts) == 1


def test_by_import_too_in_the_same_run(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(20)
    world.add(*(f"{name}@example.com" for name in "abcde"), phone_number=NUMBER)
    brevo = brevo.model_copy(update={"list_id": 1, "bulk_threshold": 1})
    tally = run(world, brevo)
    assert states(world) == {"Complete": 25}
    assert tally.outcomes == Counter(synced=25)
    assert (tally.reasons["imported"], tally.numbers_left_out) == (21, 4)
    assert len(simulator.contacts) == 25


@pytest.mark.parametrize(("text", "omits"), [("omit", True), ("reject", False), ("", True)])
def test_the_setting_decides(monkeypatch: pytest.MonkeyPatch, text: str, omits: bool) -> None:
    monkeypatch.setenv("BREVO_SMS_IN_USE", text)
    made = Brevo.from_settings(load_settings())
    assert made.omits_sms_in_use is omits


def test_another_word_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVO_SMS_IN_USE", "drop")
    with pytest.raises(SettingsError, match=r"^BREVO_SMS_IN_USE is 'drop': it must be 'omit' or 'reject'\.$"):
        load_settings()
