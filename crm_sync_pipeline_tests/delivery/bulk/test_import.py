"""Delivery by import: real PostgreSQL, the simulator over HTTP."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest

from crm_sync_pipeline.contact_queue.bulk import imports as queue_imports
from crm_sync_pipeline.delivery import importer
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.brevo.bulk_import import BrevoImport
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.pacing import SHARE_OF_LIMIT
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.delivery.bulk.runs import LOOK, POST, asked, endings, run


def test_all_are_delivered_by_one_import(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(300)
    tally, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 300}
    assert len(simulator.contacts) == 300
    assert asked(simulator) == {"GET /v3/processes": 1, POST: 1, LOOK: 1}
    assert (tally.requests, tally.outcomes, tally.reasons) == (3, Counter(synced=300), Counter(imported=300))
    assert world.value("SELECT count(*) FROM crm_sync.import_contacts") == 0


def test_an_import_takes_its_place_in_the_pace_that_single_calls_keep(world: World, brevo: Brevo) -> None:
    world.add_many(3)
    run(world.queue(), brevo.model_copy(update={"requests_per_second": 0.1}))
    taken = "SELECT extract(epoch FROM paced_until - posted_at) FROM crm_sync.destinations, crm_sync.imports"
    assert float(world.value(taken)) >= 10 / SHARE_OF_LIMIT


def test_an_import_waits_as_long_as_any_run_was_asked_to(world: World, brevo: Brevo) -> None:
    world.add_many(3)
    world.queue().pace.pause(0.7)
    run(world.queue(), brevo)
    at = world.value("SELECT paced_until FROM crm_sync.destinations")
    assert world.value("SELECT finished_at FROM crm_sync.imports") > at


def test_bodies_are_no_longer_than_brevo_takes_and_all_of_a_long_batch_goes(
    world: World, brevo: Brevo, simulator: BrevoSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, lengths, body = 80_000, [], BrevoImport.body

    def measured(bulk: BrevoImport, rows: Sequence[bytes]) -> bytes:
        lengths.append(len(body(bulk, rows)))
        return body(bulk, rows)

    monkeypatch.setattr(BrevoImport, "most_bytes", limit)
    monkeypatch.setattr(BrevoImport, "body", measured)
    monkeypatch.setattr(queue_imports, "PAGE", 700)
    monkeypatch.setattr(queue_imports, "JOURNALED_AT_ONCE", 100)
    world.add_many(2000)
    tally, settled = run(world.queue(), brevo, 2000)
    assert endings(settled) == {"complete": 2000}
    assert len(lengths) == 5
    first, *others, _last = lengths
    assert 0.95 * limit / 2 < first <= limit / 2, "while it is worked on, the next is made ready"
    assert all(0.98 * limit < length <= limit for length in others)
    assert tally.requests == 1 + 2 * 5 == simulator.requests.total


@pytest.mark.parametrize("config", [BrevoConfig(limits=PLANS["unlimited"], import_seconds=0.4)])
def test_how_long_an_import_took_says_when_to_look_at_the_next(
    world: World, brevo: Brevo, simulator: BrevoSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BrevoImport, "most_bytes", 8_000)
    monkeypatch.setattr(importer, "CONTACTS_PER_SECOND", 100_000)
    world.add_many(50)
    run(world.queue(), brevo)
    looks = Counter(each.path for each in simulator.requests if each.path.startswith("/v3/processes/"))
    first, second, *_ = (looks[process] for process in sorted(looks))
    assert (first > 1, second) == (True, 1)


def test_exactly_the_rows_that_brevo_refuses_come_back_with_their_reason(world: World, brevo: Brevo) -> None:
    world.add_many(50)
    bad = world.add("not an address", "nobody@nowhere", "x@y.z;a", "A@example.com")
    taken = world.add("first@example.com", "second@example.com", phone_number="+1 415 555 2671")
    tally, settled = run(world.queue(), brevo.model_copy(update={"sms_in_use": "reject"}))
    reasons = world.rows("SELECT contact_id, reason, message FROM crm_sync.attempts WHERE outcome = 'rejected'")
    by_reason = {row["contact_id"]: row["reason"] for row in reasons}
    late = max(taken)  # in id order: the first of two with one number has it
    assert by_reason == {**dict.fromkeys(bad[:3], "invalid_email"), late: "sms_in_use"}
    assert endings(settled) == {"complete": 52, "retry": 4}
    assert {row["message"] for row in reasons} == {
        "Brevo's import refused the contact: its e-mail address is not valid",
        "Brevo's import refused the contact: another contact has its phone number",
    }
    assert tally.reasons == Counter(imported=52, invalid_email=3, sms_in_use=1)
    assert world.contact(bad[3])["brevo_contact_id"] == "A@example.com"


def test_numbers_that_are_left_out_are_counted_and_the_journal_says_why(world: World, brevo: Brevo) -> None:
    world.add("a@example.com", phone_number="+1 415 555 2671")
    national = world.add("b@example.com", "c@example.com", phone_number="030 901820")
    two = world.add("d@example.com", phone_number="+49 421 234 / 235")
    world.add("not an address", phone_number="030 901820")
    tally, _ = run(world.queue(), brevo)
    assert (tally.reasons, tally.numbers_left_out) == (Counter(imported=4, invalid_email=1), 3)
    rows = world.rows("SELECT contact_id, message FROM crm_sync.attempts WHERE message <> '' AND outcome = 'synced'")
    lacks_code = "Sent without its phone number, which lacks a country code (see BREVO_PHONE_REGION)"
    assert {row["contact_id"]: row["message"] for row in rows} == {
        **dict.fromkeys(national, lacks_code),
        two[0]: "Sent without its phone number, which may be more than one number",
    }


def test_a_contact_that_failed_before_goes_by_itself(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add("not an address", "a@example.com")
    run(world.queue(), brevo)
    world.pass_time(timedelta(minutes=6))
    world.add("b@example.com")
    simulator.requests.clear()
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 1, "retry": 1}
    assert asked(simulator) == {"GET /v3/processes": 1, POST: 1, LOOK: 1, "POST /v3/contacts": 1}
    newest = world.rows("SELECT reason, number FROM crm_sync.attempts ORDER BY id DESC LIMIT 1")
    assert newest == [{"reason": "invalid_email", "number": 2}]


def test_of_those_with_one_address_the_first_is_imported_and_the_other_goes_by_itself(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    twins = sorted(world.add("twin@example.com", " TWIN@example.com ", name="Ann"))
    world.execute("UPDATE contacts SET name = 'Later' WHERE id = :id", id=twins[1])
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 2}
    assert [len(process.order.rows) for process in simulator.imports.processes.values()] == [1]
    assert asked(simulator)["POST /v3/contacts"] == 1
    assert simulator.contacts["twin@example.com"].attributes["FIRSTNAME"] == "Later"


def test_what_can_not_be_sent_at_all_is_refused_without_a_row(world: World, brevo: Brevo) -> None:
    world.add("  ", "a@example.com")
    tally, settled = run(world.queue(), brevo)
    assert tally.reasons == Counter(no_email=1, imported=1)
    assert endings(settled) == {"complete": 1, "retry": 1}


def test_what_brevo_took_last_goes_into_an_import_again_because_that_costs_no_request_of_its_own(
    world: World, brevo: Brevo
) -> None:
    first, _ = world.add("a@example.com", "b@example.com")
    run(world.queue(), brevo)
    world.execute("UPDATE contacts SET name = 'New' WHERE id = :id", id=first)
    world.execute("UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'")
    tally, settled = run(world.queue(), brevo.model_copy(update={"skip_unchanged": True}))
    assert tally.reasons == Counter(imported=2)
    assert endings(settled) == {"complete": 2}


def test_no_personal_data_is_kept_beside_the_contacts(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add("janette.q@example.com", name="Janette Quillfeather", phone_number="+1 415 555 2671")
    simulator.inject("hang:method=GET:path=/v3/processes/*")
    queue = world.queue()
    batch = queue.claim(10, adopts_imports=True)
    deliver_batch(queue, brevo.model_copy(update={"timeout_seconds": 0.2}), batch)
    kept = str(world.rows("SELECT * FROM crm_sync.import_contacts") + world.rows("SELECT * FROM crm_sync.imports"))
    assert "import_id" in kept
    assert not [word for word in ("janette", "Quillfeather", "4155552671") if word in kept]
