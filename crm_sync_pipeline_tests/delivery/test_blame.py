"""Whose fault an answer is that one contact or the whole account may have caused."""

import signal
import threading
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.delivery.engine import Engine
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.batch import Tally
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.conftest import Switchboard
from crm_sync_pipeline_tests.delivery.watching import states
from crm_sync_pipeline_tests.gate import FORBIDDEN, Answer, Gate, refusal

POISON = "poison@example.com"
MINUTE = timedelta(minutes=1)
NO_LIST = refusal("List ID does not exist")
ALL_DELIVERED = ("Complete", "Complete", 0)


@pytest.fixture
def gate(simulator: BrevoSimulator) -> Gate:
    return Gate(simulator.app)


@pytest.fixture
def brevo_server(_switchboard: tuple[Switchboard, RunningSimulator], gate: Gate) -> RunningSimulator:
    switchboard, server = _switchboard
    switchboard.app = gate
    return server


@pytest.fixture(params=[8, 1])
def brevo(request: pytest.FixtureRequest, brevo_server: RunningSimulator) -> Brevo:
    return Brevo(
        base_url=f"{brevo_server.base_url}/v3",
        api_key="xkeysib-simulator",
        requests_per_second=1000,
        concurrency=request.param,
        list_id=1,
    )


def run(world: World, brevo: Brevo, size: int = 100) -> Tally:
    queue = world.queue()
    batch = queue.claim(size)
    tally = deliver_batch(queue, brevo, batch)
    queue.settle(batch.token)
    return tally


def many(world: World, count: int, first: str = "c") -> list[UUID]:
    return world.add(*(f"{first}{number:03}@example.com" for number in range(count)))


def last_attempt(world: World, contact: UUID) -> tuple[str, str, str]:
    row = world.rows(
        "SELECT outcome, reason, message FROM crm_sync.attempts WHERE contact_id = :id ORDER BY id DESC LIMIT 1",
        id=contact,
    )[0]
    return row["outcome"], row["reason"], row["message"]


# One contact's set-up status


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (FORBIDDEN, "http_403"),
        (NO_LIST, "unknown_list"),
        ((302, "text/html", b""), "http_302"),
        ((404, "text/html", b"<html>"), "http_404"),
        ((405, "text/plain", b"no"), "http_405"),
        (refusal("Blocked", "permission_denied", 403), "http_403"),
    ],
)
def test_one_contact_that_a_firewall_refuses_is_blamed_and_the_other_29_are_delivered(
    world: World, brevo: Brevo, gate: Gate, answer: Answer, reason: str
) -> None:
    many(world, 15, "a")
    (poison,) = world.add(POISON)
    many(world, 14, "z")
    gate.refuse(answer, POISON)
    tally = run(world, brevo)
    assert tally.outcomes == Counter(synced=29, rejected=1)
    assert tally.problem() is None
    assert world.queue().breaker.state() is None
    assert (world.status(poison), world.contact(poison)["retry_count"]) == (("Queued", "Queued"), 1)
    outcome, told, message = last_attempt(world, poison)
    assert (outcome, told) == ("rejected", reason)
    assert "firewall" in message
    assert gate.seen.count(POISON) == 2
    assert gate.seen[-1] == POISON, "the second time is after all others"


def test_what_was_a_passing_fault_is_delivered_the_second_time(world: World, brevo: Brevo, gate: Gate) -> None:
    many(world, 30)
    answers = iter([FORBIDDEN, FORBIDDEN])
    gate.rule = lambda payload: next(answers, None) if payload["email"].startswith("c01") else None
    tally = run(world, brevo)
    assert states(world) == {ALL_DELIVERED: 30}
    assert tally.requests == 32


def test_several_of_them_are_blamed_each_and_hold_nobody_up(world: World, brevo: Brevo, gate: Gate) -> None:
    many(world, 60)
    poisons = [f"c{number:03}@example.com" for number in range(5, 55, 9)]
    gate.refuse(FORBIDDEN, *poisons)
    assert run(world, brevo).outcomes == Counter(synced=60 - len(poisons), rejected=len(poisons))
    assert world.queue().breaker.state() is None


def test_it_ends_in_error_after_its_retries_without_a_red_run(world: World, brevo: Brevo, gate: Gate) -> None:
    (poison,) = world.add(POISON)
    gate.refuse(FORBIDDEN, POISON)
    for number in range(4):
        many(world, 3, f"run{number}")
        assert run(world, brevo).problem() is None
        world.pass_time(20 * MINUTE)
    assert world.status(poison) == ("Error", "Error")
    assert (
        "Last error: Brevo API error (403): forbidden. Other contacts got through"
        in (world.contact(poison)["brevo_processing_error"])
    )


# Everybody's set-up status


def test_where_everybody_gets_it_the_breaker_opens_after_five_and_nobody_pays(
    world: World, brevo: Brevo, gate: Gate
) -> None:
    many(world, 50)
    gate.refuse(FORBIDDEN)
    tally = run(world, brevo)
    assert tally.down is not None
    assert "(403)" in tally.down
    assert states(world) == {("Queued", "Queued", 0): 50}
    assert len(gate.seen) < 5 + brevo.concurrency


def test_one_that_comes_after_all_others_opens_it_too(world: World, brevo: Brevo, gate: Gate) -> None:
    """It may be the account that has just been blocked."""
    many(world, 10)
    blocked = world.add(POISON)
    gate.rule = lambda payload: FORBIDDEN if payload["email"] == POISON and len(gate.seen) == 11 else None
    brevo = brevo.model_copy(update={"concurrency": 1})
    assert run(world, brevo).down is not None
    assert states(world) == {ALL_DELIVERED: 10, ("Queued", "Queued", 0): len(blocked)}


def test_a_bad_key_costs_no_more_requests_than_it_ever_did(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    many(world, 50)
    simulator.inject("status-401-key")
    assert run(world, brevo).down is not None
    assert simulator.requests.total <= brevo.concurrency


# Alone


def test_a_lone_contact_stops_the_queue_once_and_later_ones_pass_it(world: World, brevo: Brevo, gate: Gate) -> None:
    (poison,) = world.add(POISON)
    gate.refuse(FORBIDDEN, POISON)
    assert run(world, brevo).down is not None, "nobody else was there to compare it with"
    others = many(world, 3)
    world.pass_time(MINUTE)
    probe = run(world, brevo)
    assert probe.outcomes == Counter(synced=1), "another contact is the probe"
    assert world.queue().breaker.state() is None
    assert run(world, brevo).problem() is None
    assert {world.status(each) for each in others} == {("Complete", "Complete")}
    assert (last_attempt(world, poison)[0], world.contact(poison)["retry_count"]) == ("rejected", 1)


def test_its_second_time_alone_is_known_from_the_journal(world: World, brevo: Brevo, gate: Gate) -> None:
    (poison,) = world.add(POISON)
    gate.refuse(FORBIDDEN, POISON)
    run(world, brevo)
    world.add("b@example.com")
    world.pass_time(MINUTE)
    run(world, brevo)
    for retry in (1, 2, 3):
        assert run(world, brevo).problem() is None
        assert world.contact(poison)["retry_count"] == retry
        assert world.queue().breaker.state() is None
        world.pass_time(20 * MINUTE)
    run(world, brevo)
    assert world.status(poison) == ("Error", "Error")


def test_five_of_them_side_by_side_stop_the_queue_once(world: World, brevo: Brevo, gate: Gate) -> None:
    poisons = many(world, 5, "a")
    gate.rule = lambda payload: FORBIDDEN if payload["email"].startswith("a") else None
    assert run(world, brevo).down is not None
    many(world, 20, "z")
    world.pass_time(MINUTE)
    assert run(world, brevo).outcomes == Counter(synced=1)
    assert run(world, brevo).outcomes == Counter(synced=19, rejected=5)
    assert {world.contact(each)["retry_count"] for each in poisons} == {1}


# The same refusal for everybody


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refusal('Attribute "DOMAIN_ID" is not defined in your account'), "invalid_parameter"),
        (refusal("You have reached the maximum number of contacts of your plan"), "invalid_parameter"),
        (refusal("Contact quota exceeded", "not_enough_credits"), "not_enough_credits"),
        (refusal("Your account is under validation", "account_under_validation"), "account_under_validation"),
        (refusal("Unprocessable", "unprocessable_entity", 422), "unprocessable_entity"),
        (refusal("Your plan does not allow email or phone attributes"), "invalid_parameter"),
    ],
)
def test_ten_that_are_refused_alike_open_the_breaker_and_nobody_pays(
    world: World, brevo: Brevo, gate: Gate, answer: Answer, reason: str
) -> None:
    many(world, 60)
    gate.refuse(answer)
    tally = run(world, brevo)
    assert tally.down is not None
    assert "10 contacts in a row were refused with these words" in tally.down
    assert states(world) == {("Queued", "Queued", 0): 60}
    assert len(gate.seen) < 10 + brevo.concurrency
    down = world.queue().breaker.state()
    assert down is not None
    assert down.reason == reason


def test_a_quota_that_ends_after_20_stops_the_run_there(world: World, brevo: Brevo, gate: Gate) -> None:
    many(world, 60)
    quota = refusal("Contact quota exceeded", "not_enough_credits")
    gate.rule = lambda _payload: quota if len(gate.seen) > 20 else None
    tally = run(world, brevo)
    assert tally.down is not None
    assert tally.outcomes["synced"] == 20
    paid = world.value("SELECT count(*) FROM contacts WHERE retry_count > 0")
    assert paid < brevo.concurrency, "no more than were refused while one of the 20 was in flight"


def test_nine_that_are_refused_alike_are_refused_as_ever(world: World, brevo: Brevo, gate: Gate) -> None:
    many(world, 9)
    gate.refuse(refusal("Something"))
    assert run(world, brevo).problem() is None
    assert states(world) == {("Queued", "Queued", 1): 9}


@pytest.mark.parametrize("message", ["Invalid email address", "Invalid phone number"])
def test_ten_bad_addresses_in_a_row_say_nothing_of_the_account(
    world: World, brevo: Brevo, gate: Gate, message: str
) -> None:
    many(world, 30)
    gate.refuse(refusal(message))
    assert run(world, brevo).problem() is None
    assert states(world) == {("Queued", "Queued", 1): 30}


def test_a_probe_that_is_refused_alike_keeps_it_down_and_does_not_pay(world: World, brevo: Brevo, gate: Gate) -> None:
    many(world, 20)
    gate.refuse(refusal("Contact quota exceeded"))
    run(world, brevo)
    world.pass_time(MINUTE)
    probe = run(world, brevo)
    assert (probe.outcomes, probe.requests) == (Counter(deferred=1), 1)
    down = world.queue().breaker.state()
    assert down is not None
    assert (down.probes_done, round(down.next_probe_in / MINUTE)) == (1, 2)
    assert states(world) == {("Queued", "Queued", 0): 20}
    gate.rule = lambda _payload: None
    world.pass_time(2 * MINUTE)
    run(world, brevo)
    run(world, brevo)
    assert states(world) == {ALL_DELIVERED: 20}


def test_a_probe_that_is_refused_for_another_reason_closes_it(world: World, brevo: Brevo, gate: Gate) -> None:
    many(world, 20)
    gate.refuse(refusal("Contact quota exceeded", "not_enough_credits"))
    run(world, brevo)
    world.pass_time(MINUTE)
    gate.refuse(refusal("Invalid email address"))
    assert run(world, brevo).outcomes == Counter(rejected=1)
    assert world.queue().breaker.state() is None


def test_the_same_ten_stop_the_queue_only_once_when_others_get_through(world: World, brevo: Brevo, gate: Gate) -> None:
    wrong = many(world, 10, "a")
    gate.rule = lambda payload: refusal("Value is too long") if payload["email"].startswith("a") else None
    assert run(world, brevo).down is not None
    many(world, 20, "z")
    world.pass_time(MINUTE)
    run(world, brevo)
    assert run(world, brevo).outcomes == Counter(synced=19, rejected=10)
    assert {world.contact(each)["retry_count"] for each in wrong} == {1}


# A run that ends before it knows


def test_where_the_key_is_refused_meanwhile_those_held_back_are_given_back(
    world: World, brevo: Brevo, gate: Gate
) -> None:
    """None of them gets through once the key is gone, so it can't be told whose fault it was."""
    many(world, 12)
    answers = {1: FORBIDDEN, 2: refusal("Quota"), 3: refusal("Key not found", "unauthorized", 401)}
    gate.rule = lambda _payload: answers[min(len(gate.seen), 3)]
    tally = run(world, brevo)
    assert tally.down is not None
    assert "(401)" in tally.down
    assert states(world) == {("Queued", "Queued", 0): 12}


def test_what_a_stopped_run_held_back_is_given_back_and_says_nothing_of_the_destination(
    world: World, brevo: Brevo, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts = many(world, 3)
    main, stopped, send_no_more = threading.get_ident(), threading.Event(), Engine.send_no_more

    def told(delivery: Engine) -> None:
        send_no_more(delivery)
        stopped.set()

    def stop_at_the_third(_payload: object) -> Answer:
        if len(gate.seen) == 3:
            signal.pthread_kill(main, signal.SIGINT)
            assert stopped.wait(10)
        return FORBIDDEN

    monkeypatch.setattr(Engine, "send_no_more", told)
    gate.rule = stop_at_the_third
    queue = world.queue()
    batch = queue.claim(3)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            deliver_batch(queue, brevo, batch)
    finally:
        signal.signal(signal.SIGINT, before)
    queue.settle(batch.token)
    assert states(world) == {("Queued", "Queued", 0): len(contacts)}
    assert queue.breaker.state() is None
    assert world.value("SELECT count(*) FROM crm_sync.attempts") == 0
