from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from crm_sync_pipeline.contact_queue.worker.breaker import BreakerRecord
from crm_sync_pipeline.domain.blame import Earlier
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline_tests.builders import World, attempt, one_run

MINUTE = timedelta(minutes=1)
WHY = ("http_401", "Brevo refused BREVO_API_KEY.")


def minutes(wait: timedelta) -> float:
    return wait / MINUTE


def test_it_is_closed_until_somebody_opens_it(world: World) -> None:
    assert world.queue().breaker.state() is None
    assert world.queue().breaker.close() is False


def open_and_let_it_come_due(world: World, breaker: BreakerRecord, after_probe: bool = False) -> float:
    """Returns the minutes until the probe."""
    breaker.open(*WHY, after_probe=after_probe)
    down = breaker.state()
    assert down is not None
    world.pass_time(down.next_probe_in)
    return round(minutes(down.next_probe_in), 1)


def test_it_keeps_why_and_when_the_next_probe_is(world: World) -> None:
    world.queue().breaker.open(*WHY)
    down = world.queue().breaker.state()
    assert down is not None
    assert (down.reason, down.message, down.probes_done) == (*WHY, 0)
    assert minutes(down.next_probe_in) == pytest.approx(1, abs=0.3)
    assert not down.probe_is_due


def test_the_waits_between_probes_are_1_2_4_8_and_then_15_minutes(world: World) -> None:
    breaker = world.queue().breaker
    waits = [open_and_let_it_come_due(world, breaker, after_probe=number > 0) for number in range(6)]
    assert waits == [1, 2, 4, 8, 15, 15]


def test_what_was_in_the_air_when_it_opened_does_not_count_as_a_probe(world: World) -> None:
    breaker = world.queue().breaker
    breaker.open(*WHY)
    world.pass_time(MINUTE / 2)
    breaker.open(*WHY)
    down = breaker.state()
    assert down is not None
    assert down.probes_done == 0
    assert minutes(down.next_probe_in) == pytest.approx(0.5, abs=0.1)


def test_two_runs_that_open_it_at_the_same_time_open_it_once(world: World) -> None:
    breaker = world.queue().breaker
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: breaker.open(*WHY), range(8)))
    down = breaker.state()
    assert down is not None
    assert (down.probes_done, world.value("SELECT count(*) FROM crm_sync.destinations")) == (0, 1)


def test_it_remembers_since_when_and_the_newest_reason(world: World) -> None:
    breaker = world.queue().breaker
    breaker.open(*WHY)
    world.pass_time(2 * MINUTE)
    since = world.value("SELECT down_since FROM crm_sync.destinations")
    breaker.open("http_403", "Brevo blocks this IP address.")
    assert world.value("SELECT down_since FROM crm_sync.destinations") == since
    down = breaker.state()
    assert down is not None
    assert down.reason == "http_403"


def test_closing_forgets_it_all(world: World) -> None:
    breaker = world.queue().breaker
    for number in range(3):
        open_and_let_it_come_due(world, breaker, after_probe=number > 0)
    assert breaker.close() is True
    assert breaker.state() is None
    assert open_and_let_it_come_due(world, breaker) == 1


def test_each_destination_has_its_own(world: World) -> None:
    world.queue("brevo").breaker.open(*WHY)
    assert world.queue("hubspot").breaker.state() is None
    (contact,) = world.add("a@example.com", selected=False)
    world.select(contact, crms=("hubspot",))
    assert world.queue("hubspot").claim(1).size == 1


def test_while_it_is_down_nothing_is_claimed_and_the_batch_says_why(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    world.queue().breaker.open(*WHY)
    before = world.snapshot()
    batch = world.queue().claim(10)
    assert (batch.size, batch.note) == (0, "Brevo is down: Brevo refused BREVO_API_KEY.")
    assert world.snapshot() == before


def test_while_it_is_down_dead_runs_are_recovered_all_the_same(world: World) -> None:
    (contact,) = world.add("a@example.com")
    world.queue().claim(1)
    world.queue().breaker.open(*WHY)
    world.execute("UPDATE crm_sync.deliveries SET lease_expires_at = now()")
    world.queue().claim(1)
    assert world.status(contact) == ("Queued", "Queued")


def test_one_contact_is_claimed_once_a_probe_is_due_and_all_of_them_after_it_closed(world: World) -> None:
    world.add("a@example.com", "b@example.com", "c@example.com")
    queue = world.queue()
    open_and_let_it_come_due(world, queue.breaker)
    assert one_run(queue, Synced("1"), size=10).total == 1
    queue.breaker.close()
    assert queue.claim(10).size == 2


def test_a_probe_that_is_in_progress_keeps_other_runs_from_probing_for_a_minute(world: World) -> None:
    world.add("a@example.com", "b@example.com", "c@example.com")
    queue = world.queue()
    open_and_let_it_come_due(world, queue.breaker)
    assert [queue.claim(10).size for _ in range(2)] == [1, 0]
    world.pass_time(MINUTE)
    assert queue.claim(10).size == 1


def test_a_probe_that_found_nothing_due_is_not_used_up(world: World) -> None:
    queue = world.queue()
    open_and_let_it_come_due(world, queue.breaker)
    assert queue.claim(10).size == 0
    world.add("a@example.com")
    assert queue.claim(10).size == 1


def test_a_person_can_have_it_probed_at_once(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    queue = world.queue()
    assert queue.breaker.probe_now() is False, "it is not down"
    queue.breaker.open(*WHY)
    assert queue.claim(10).size == 0
    assert queue.breaker.probe_now() is True
    assert queue.claim(10).size == 1


def test_a_probe_that_is_due_is_taken_by_one_run_though_both_saw_it(world: World) -> None:
    breaker = world.queue().breaker
    open_and_let_it_come_due(world, breaker)

    with world.engine.begin() as first:
        assert breaker.take_probe(first)
    with world.engine.begin() as second:
        assert not breaker.take_probe(second)


# Which contact a probe takes, and what the journal knows of a suspect


def test_a_probe_takes_a_contact_that_was_not_tried_yet_before_those_that_were(world: World) -> None:
    queue = world.queue()
    tried = set(world.add("a@example.com", "b@example.com", "c@example.com"))
    one_run(queue, DestinationDown("http_403", "m"))
    (fresh,) = world.add("d@example.com")
    queue.breaker.open("http_403", "m")
    probed = []
    for _ in range(4):
        queue.breaker.probe_now()
        batch = queue.claim(100)
        (contact,) = queue.contacts_of(batch.token)
        probed.append(contact.id)
        queue.journal(batch.token, [attempt(contact, DestinationDown("http_403", "m"))])
        queue.settle(batch.token)
    assert probed[0] == fresh
    assert set(probed[1:]) == tried, "one after another, so that none of them holds the others up"


REFUSED = Deferred("http_403", "m")


def test_the_journal_tells_of_a_last_attempt_that_was_refused_and_of_others_that_got_through_since(
    world: World,
) -> None:
    queue = world.queue()
    world.add("before@example.com")
    one_run(queue)
    (suspect,) = world.add("a@example.com")
    assert queue.breaker.earlier([suspect]) == {}
    one_run(queue, REFUSED)
    assert queue.breaker.earlier([suspect]) == {suspect: Earlier("http_403", False, others_since=False)}
    world.add("b@example.com")
    one_run(queue, *([Rejected("http_400", "m")] * 2))
    assert queue.breaker.earlier([suspect]) == {suspect: Earlier("http_400", True, others_since=False)}
    world.add("c@example.com")
    one_run(queue)
    assert queue.breaker.earlier([suspect]) == {suspect: Earlier("http_400", True, others_since=True)}


@pytest.mark.parametrize("last", [Synced("1"), Failed("http_503", "m")])
def test_a_last_attempt_that_came_to_something_else_is_not_told(world: World, last: Outcome) -> None:
    queue = world.queue()
    (suspect,) = world.add("a@example.com")
    one_run(queue, REFUSED)
    world.select(suspect)
    one_run(queue, last)
    assert queue.breaker.earlier([suspect]) == {}


def test_only_attempts_for_the_same_destination_count(world: World) -> None:
    (suspect,) = world.add("a@example.com")
    one_run(world.queue(), REFUSED)
    world.select(*world.add("b@example.com", selected=False), crms=("hubspot",))
    one_run(world.queue("hubspot"))
    assert world.queue().breaker.earlier([suspect]) == {suspect: Earlier("http_403", False, others_since=False)}
    assert world.queue("hubspot").breaker.earlier([suspect]) == {}
