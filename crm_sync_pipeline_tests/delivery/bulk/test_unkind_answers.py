"""Whatever Brevo answers to an import, nobody is lost, and nobody counts as delivered who is not."""

from collections import Counter
from datetime import timedelta

import pytest

from crm_sync_pipeline.contact_queue.bulk import imports as queue_imports
from crm_sync_pipeline.delivery import importer
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.transition import Ending
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.delivery.bulk.runs import LOOK, POST, Meanwhile, asked, die, endings, in_progress, run


def test_a_lost_answer_is_looked_for_before_anything_is_sent_again(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("reset-after-write:times=1:path=/v3/contacts/import")
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {"GET /v3/processes": 2, POST: 1, LOOK: 1}


def test_a_request_that_started_nothing_is_sent_again(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(20)
    simulator.inject("status-503:times=1:path=/v3/contacts/import")
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator) == {"GET /v3/processes": 3, POST: 2, LOOK: 1}


def test_of_two_imports_that_may_be_ours_neither_is_taken_for_it(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("reset-after-write:times=1:path=/v3/contacts/import")

    def somebody_else() -> None:
        simulator.imports.start(simulator.imports.processes[1].order, simulator.clock())

    run(world.queue(), Meanwhile(brevo, somebody_else, "find").brevo)
    assert asked(simulator)[POST] == 2
    assert world.value("SELECT process_id FROM crm_sync.imports") == 3


def test_an_import_that_brevo_refuses_as_a_whole_goes_one_by_one_at_once(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("status-400:path=/v3/contacts/import")
    tally, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert tally.reasons == Counter(created=20)
    assert asked(simulator)["POST /v3/contacts"] == 20


def test_imports_that_do_not_get_through_go_one_by_one_in_the_same_run(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("status-524-html:path=/v3/contacts/import:written=no")
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator)[POST] == importer.MAX_POST_ATTEMPTS


def test_a_429_costs_nobody_anything(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(20)
    simulator.inject("status-429:times=2:retry-after=0.1:path=/v3/contacts/import")
    simulator.inject("status-429:times=2:retry-after=0.1:method=GET:path=/v3/processes*")
    tally, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert (tally.rate_limited, tally.outcomes) == (4, Counter(synced=20))


@pytest.mark.parametrize("fault", ["status-401-key", "status-401-ip", "status-402", "status-403"])
def test_a_refusal_of_our_set_up_opens_the_breaker_and_gives_all_back(
    world: World, brevo: Brevo, simulator: BrevoSimulator, fault: str
) -> None:
    world.add_many(20)
    simulator.inject(f"{fault}:path=/v3/contacts/import")
    tally, settled = run(world.queue(), brevo)
    assert tally.down
    assert endings(settled) == {"deferred": 20}
    assert world.queue().breaker.state()
    assert in_progress(world) == 0
    assert asked(simulator)["POST /v3/contacts"] == 0


def test_a_list_that_is_not_there_opens_the_breaker(world: World, brevo: Brevo) -> None:
    world.add_many(20)
    tally, _ = run(world.queue(), brevo.model_copy(update={"list_id": 77}))
    assert "Check BREVO_LIST_ID; it is 77 now" in (tally.down or "")


def test_a_destination_that_goes_down_while_an_import_is_in_progress_keeps_it_for_the_probe(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("status-401-key:method=GET:path=/v3/processes/*")
    tally, settled = run(world.queue(), brevo)
    assert tally.down
    assert settled.total == 0
    assert in_progress(world) == 1
    assert run(world.queue(), brevo)[1].total == 0, "while it is down nothing is asked"
    simulator.heal()
    world.pass_time(timedelta(seconds=61))
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert world.queue().breaker.state() is None
    assert asked(simulator)[POST] == 1


def test_a_probe_whose_import_is_refused_is_decided_by_its_single_call(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    """Brevo has answered, and yet nothing got through."""
    world.add_many(1)
    world.queue().breaker.open("http_503", "Brevo API error (503)")
    world.pass_time(timedelta(seconds=61))
    simulator.inject("status-400:path=/v3/contacts/import")
    simulator.inject("status-503")
    tally, _ = run(world.queue(), brevo)
    assert asked(simulator) == {"GET /v3/processes": 1, POST: 1, "POST /v3/contacts": 1}
    assert tally.down
    down = world.queue().breaker.state()
    assert down is not None
    assert down.probes_done == 1


def test_five_failures_in_a_row_open_the_breaker(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(20)
    simulator.inject("status-503:method=GET:path=/v3/processes/*")
    tally, _ = run(world.queue(), brevo)
    assert "is down" in (tally.down or "")
    assert asked(simulator)[LOOK] == 5


def test_a_process_that_brevo_forgot_is_as_if_it_was_never_sent(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(20)
    simulator.inject("status-404:times=1:method=GET:path=/v3/processes/*")
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 20}
    assert asked(simulator)[POST] == 2


def test_an_import_that_comes_to_no_end_fails_and_its_contacts_go_by_themselves_next_time(
    world: World, brevo: Brevo, simulator: BrevoSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "PATIENCE_SECONDS", 0.1)
    world.add_many(5)
    simulator.imports._config = BrevoConfig(import_seconds=1000)
    tally, settled = run(world.queue(), brevo)
    assert tally.reasons == Counter(import_timeout=5)
    assert endings(settled) == {"retry": 5}
    world.pass_time(timedelta(minutes=6))
    _, settled = run(world.queue(), brevo)
    assert endings(settled) == {"complete": 5}
    assert asked(simulator)["POST /v3/contacts"] == 5


@pytest.mark.parametrize(
    "config",
    [BrevoConfig(limits=PLANS["unlimited"], import_seconds=0, import_ends=end) for end in ("failed", "cancelled")],
)
def test_an_import_that_ends_badly_makes_its_contacts_fail(world: World, brevo: Brevo) -> None:
    world.add_many(5)
    tally, settled = run(world.queue(), brevo)
    assert tally.reasons == Counter(import_failed=5)
    assert endings(settled) == {"retry": 5}


def test_an_import_that_nobody_could_wait_for_is_given_up_after_hours(world: World, brevo: Brevo) -> None:
    world.add_many(5)
    die(world.queue(), brevo, "look")
    world.pass_time(queue_imports.MAX_IMPORT_AGE)
    world.queue().claim(10, adopts_imports=True)
    assert world.queue().recover().endings == {Ending.DEFERRED: 5}


def test_a_list_of_refusals_that_can_not_be_read_makes_nobody_complete(
    world: World, brevo: Brevo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_sync_pipeline.simulators.brevo.imports.Process.file", lambda *_: "a;b\n1;2\n")
    world.add("not an address", "a@example.com")
    tally, settled = run(world.queue(), brevo)
    assert tally.reasons == Counter(refusals_unreadable=2)
    assert endings(settled) == {"retry": 2}


def test_a_refused_address_that_nobody_here_has_makes_nobody_complete(
    world: World, brevo: Brevo, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = "email;X\nnot an address;1\nwhoever@example.com;2\n"
    monkeypatch.setattr("crm_sync_pipeline.simulators.brevo.imports.Process.file", lambda *_: file)
    world.add("not an address", "a@example.com")
    tally, settled = run(world.queue(), brevo)
    assert tally.reasons == Counter(invalid_email=1, import_unclear=1)
    assert endings(settled) == {"retry": 2}
