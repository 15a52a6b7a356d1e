from datetime import timedelta

import pytest

from crm_sync_pipeline.domain.outcome import Synced
from crm_sync_pipeline_tests.builders import World, one_run

MINUTE = timedelta(minutes=1)
WHY = ("http_401", "Brevo refused BREVO_API_KEY.")


def minutes(wait: timedelta) -> float:
    return wait / MINUTE


def test_it_is_closed_until_somebody_opens_it(world: World) -> None:
    assert world.queue().breaker.state() is None
    assert world.queue().breaker.close() is False


def test_it_keeps_why_and_when_the_next_probe_is(world: World) -> None:
    assert world.queue().breaker.open(*WHY) == MINUTE
    down = world.queue().breaker.state()
    assert down is not None
    assert (down.reason, down.message, down.probes_done) == (*WHY, 0)
    assert minutes(down.next_probe_in) == pytest.approx(1, abs=0.3)
    assert not down.probe_is_due


def test_the_waits_between_probes_are_1_2_4_8_and_then_15_minutes(world: World) -> None:
    breaker, waits = world.queue().breaker, []
    for _ in range(6):
        wait = breaker.open(*WHY)
        waits.append(minutes(wait))
        world.pass_time(wait)
        down = breaker.state()
        assert down is not None
        assert down.probe_is_due
    assert waits == [1, 2, 4, 8, 15, 15]


def test_what_was_in_the_air_when_it_opened_does_not_count_as_a_probe(world: World) -> None:
    breaker = world.queue().breaker
    assert [minutes(breaker.open(*WHY)) for _ in range(4)] == [1, 1, 1, 1]


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
    for _ in range(3):
        world.pass_time(breaker.open(*WHY))
    assert breaker.close() is True
    assert breaker.state() is None
    assert minutes(breaker.open(*WHY)) == 1


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
    world.pass_time(queue.breaker.open(*WHY))
    assert one_run(queue, Synced("1"), size=10).total == 1
    queue.breaker.close()
    assert queue.claim(10).size == 2
