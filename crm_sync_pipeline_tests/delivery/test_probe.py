from datetime import timedelta

import pytest

from crm_sync_pipeline.delivery.probe import resume
from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.destination import NotReadyError
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.product import Product

WHY = ("wrong_api_key", "Brevo refused BREVO_API_KEY.")


def test_a_destination_that_answers_again_is_up_at_once(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(3)
    queue = world.queue()
    queue.breaker.open(*WHY)
    came = resume(queue, brevo)
    assert (came.answers, came.says) == (True, "Brevo answers again. The queue goes on.")
    assert simulator.requests.total == 1
    assert queue.claim(3).size == 2


def test_one_that_is_still_down_says_why_costs_one_call_and_no_retry(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(3)
    queue = world.queue()
    queue.breaker.open(*WHY)
    came = resume(queue, brevo.model_copy(update={"api_key": "wrong"}))
    assert came.answers is False
    assert came.says.startswith("Brevo is down: Brevo API error (401): Key not found")
    assert simulator.requests.total == 1
    assert world.value("SELECT max(retry_count) FROM crm_sync.deliveries") == 0
    down = queue.breaker.state()
    assert down is not None
    assert timedelta(minutes=1) < down.next_probe_in <= timedelta(minutes=2), "it counts as a probe"


def test_one_that_is_not_down_is_left_alone(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(3)
    assert resume(world.queue(), brevo).says == "Brevo is not down. Nothing was sent."
    assert simulator.requests.total == 0


def test_with_nothing_due_the_next_contact_that_is_becomes_the_probe(world: World, brevo: Brevo) -> None:
    queue = world.queue()
    queue.breaker.open(*WHY)
    came = resume(queue, brevo)
    assert came.answers is None
    assert came.says == "Brevo: no contact is due to try it with. The next one that is will be the probe."
    world.add("a@example.com", "b@example.com")
    assert queue.claim(10).size == 1


def test_a_contact_that_can_not_be_sent_proves_nothing(world: World, brevo: Brevo) -> None:
    world.add("")
    queue = world.queue()
    queue.breaker.open(*WHY)
    came = resume(queue, brevo)
    assert (came.answers, came.says) == (False, "Brevo is still down: the probe did not get through.")
    assert queue.breaker.state() is not None


def test_without_a_key_nothing_is_touched(world: World, brevo: Brevo) -> None:
    world.add("a@example.com")
    world.queue().breaker.open(*WHY)
    before = world.snapshot()
    with pytest.raises(NotReadyError, match="BREVO_API_KEY is not set"):
        resume(world.queue(), brevo.model_copy(update={"api_key": ""}))
    assert world.snapshot() == before


def resumed(product: Product, destination: str = "brevo") -> tuple[bool, str]:
    """Run the job; whether it is green, and what it says."""
    config = {"ops": {"probe_destination": {"config": {"destination": destination}}}}
    result = product.definitions.resolve_job_def("resume_destination").execute_in_process(
        instance=product.instance, run_config=config, raise_on_error=False
    )
    if result.success:
        (output,) = [event for event in result.all_events if event.is_successful_output]
        return True, str(output.step_output_data.metadata["came_to"].value)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    reason = failure.step_failure_data.user_failure_data
    assert reason is not None
    return False, str(reason.description)


def test_the_job_asks_too_and_is_red_while_the_destination_is_down(product: Product) -> None:
    product.world.add("a@example.com", "b@example.com")
    product.world.queue().breaker.open(*WHY)
    product.simulator.inject("status-503:times=1")
    is_green, says = resumed(product)
    assert not is_green
    assert says.startswith("Brevo is down: Brevo API error (503)")
    assert resumed(product) == (True, "Brevo answers again. The queue goes on.")
    assert resumed(product) == (True, "Brevo is not down. Nothing was sent.")
    assert resumed(product, "pigeon") == (
        False,
        f"'pigeon' is not a known destination. Nothing was sent. Use one of {', '.join(DESTINATIONS)}.",
    )
