"""One contact's refusal, and everybody's, through Dagster: which run is red, what becomes of whom, what it costs."""

import dagster as dg
import pytest

from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.acceptance.test_scenarios import failure
from crm_sync_pipeline_tests.conftest import Switchboard
from crm_sync_pipeline_tests.delivery.watching import states
from crm_sync_pipeline_tests.gate import FORBIDDEN, Gate, refusal
from crm_sync_pipeline_tests.product import Product

SENSOR = "brevo_queue_sensor"
POISON = "7@example.com"
DELIVERED = ("Complete", "Complete", 0)


@pytest.fixture
def gate(simulator: BrevoSimulator) -> Gate:
    return Gate(simulator.app)


@pytest.fixture
def brevo_server(_switchboard: tuple[Switchboard, RunningSimulator], gate: Gate) -> RunningSimulator:
    switchboard, server = _switchboard
    switchboard.app = gate
    return server


def test_a_firewall_that_refuses_one_contact_leaves_runs_green_and_the_contact_ends_in_error(
    product: Product, gate: Gate
) -> None:
    product.world.add_many(30)
    gate.refuse(FORBIDDEN, POISON)
    assert product.run_requested(product.tick(SENSOR)).success
    assert states(product.world) == {DELIVERED: 29, ("Queued", "Queued", 1): 1}
    for minutes in (5, 10, 20):
        assert isinstance(product.tick(SENSOR), dg.SkipReason)
        product.pass_minutes(minutes)
        assert product.run_requested(product.tick(SENSOR)).success, "it is alone now, and known from the journal"
    assert states(product.world) == {DELIVERED: 29, ("Error", "Error", 3): 1}
    said = product.world.value("SELECT brevo_processing_error FROM contacts WHERE email = :email", email=POISON)
    assert said.startswith("Max retries exceeded (3). Last error: Brevo API error (403): forbidden. Other contacts got")


def test_a_lone_contact_that_a_firewall_refuses_makes_one_run_red_and_the_queue_goes_on(
    product: Product, gate: Gate
) -> None:
    (poison,) = product.world.add(POISON)
    gate.refuse(FORBIDDEN, POISON)
    red = product.run_requested(product.tick(SENSOR))
    assert failure(red).startswith("Brevo is down: Brevo API error (403)")
    assert product.world.contact(poison)["retry_count"] == 0
    product.world.add(*(f"later{number}@example.com" for number in range(5)))
    assert isinstance(product.tick(SENSOR), dg.SkipReason)
    product.pass_minutes(1)
    while isinstance(request := product.tick(SENSOR), dg.RunRequest):
        assert product.run_requested(request).success
    assert states(product.world) == {DELIVERED: 5, ("Queued", "Queued", 1): 1}


def test_a_quota_stops_the_queue_after_ten_and_all_go_out_when_it_is_over(product: Product, gate: Gate) -> None:
    product.world.add_many(60)
    gate.refuse(refusal("Your contact limit is reached", "not_enough_credits"))
    red = product.run_requested(product.tick(SENSOR))
    assert failure(red).startswith(
        "Brevo is down: Brevo API error (400): Your contact limit is reached. 10 contacts in a row were refused"
    )
    assert states(product.world) == {("Queued", "Queued", 0): 60}
    for minutes in (1, 2, 4, 8):
        assert isinstance(product.tick(SENSOR), dg.SkipReason)
        product.pass_minutes(minutes)
        probe = product.run_requested(product.tick(SENSOR))
        assert "The contact that was sent to find out was refused for the same reason" in failure(probe)
    assert states(product.world) == {("Queued", "Queued", 0): 60}, "an hour of it costs nobody a retry"
    gate.rule = lambda _payload: None
    product.pass_minutes(15)
    while isinstance(request := product.tick(SENSOR), dg.RunRequest):
        assert product.run_requested(request).success
    assert states(product.world) == {DELIVERED: 60}


def test_the_schedules_ten_are_enough_to_tell(product: Product, gate: Gate) -> None:
    product.world.add_many(25)
    gate.refuse(refusal('Attribute "PLAN" is not available'))
    assert not product.run_requested(product.tick("brevo_sync_schedule")).success
    assert states(product.world) == {("Queued", "Queued", 0): 10, ("Selected", "Queued", 0): 15}
    assert len(gate.seen) == 10


def test_bad_addresses_never_make_a_run_red(product: Product, gate: Gate) -> None:
    product.world.add_many(20)
    gate.refuse(refusal("Invalid email address"))
    assert product.run_requested(product.tick(SENSOR)).success
    assert states(product.world) == {("Queued", "Queued", 1): 20}
