"""When imports are used, and what a run of Dagster does with them."""

from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from crm_sync_pipeline.destinations.brevo.bulk_import import BrevoImport
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.delivery.bulk.runs import POST, asked, run
from crm_sync_pipeline_tests.product import Product


def test_a_short_batch_goes_one_by_one(world: World, brevo: Brevo, simulator: BrevoSimulator) -> None:
    world.add_many(9)
    run(world.queue(), brevo.model_copy(update={"bulk_threshold": 10}))
    assert asked(simulator) == {"POST /v3/contacts": 9}


@pytest.mark.parametrize(
    "config", [BrevoConfig(limits=PLANS["unlimited"], import_seconds=0, import_clears_blocklist=True)]
)
def test_an_import_may_clear_the_blocklist_which_is_why_it_is_off_by_default(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add("out@example.com")
    run(world.queue(), brevo.model_copy(update={"bulk_threshold": None}))
    contact = simulator.contacts["out@example.com"]
    simulator.account.save(replace(contact, email_blacklisted=True))
    for threshold, blocked in ((None, True), (1, False)):
        world.execute("UPDATE contacts SET brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'")
        run(world.queue(), brevo.model_copy(update={"bulk_threshold": threshold}))
        assert simulator.contacts["out@example.com"].email_blacklisted is blocked


def batch_size(request: object) -> object:
    assert isinstance(request, dg.RunRequest)
    return request.run_config["ops"]["claim_batch"]["config"]["batch_size"]


def test_runs_of_dagster_import_a_long_queue_and_send_what_is_left_one_by_one(product: Product) -> None:
    product.set(BREVO_BULK_IMPORT="true", BREVO_LIST_ID="1", BREVO_BULK_THRESHOLD="30", BREVO_BULK_BATCH_LIMIT="80")
    product.set(BREVO_SYNC_SENSOR_BATCH_LIMIT="20", BREVO_SYNC_SCHEDULER_BATCH_SIZE="20")
    product.world.add_many(100)
    assert batch_size(product.tick("brevo_sync_schedule")) == 80
    for size in (80, 20):
        request = product.tick("brevo_queue_sensor")
        assert batch_size(request) == size
        assert product.run_requested(request).success
    requests = asked(product.simulator)
    assert (requests[POST], requests["POST /v3/contacts"]) == (1, 20)
    assert product.world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'") == 100


@pytest.mark.parametrize("unset", ["BREVO_BULK_IMPORT", "BREVO_LIST_ID"])
def test_without_the_switch_or_a_list_nothing_is_imported(product: Product, unset: str) -> None:
    product.set(BREVO_BULK_IMPORT="true", BREVO_LIST_ID="1", BREVO_BULK_THRESHOLD="3")
    product.unset(unset)
    product.world.add_many(5)
    product.run_requested(product.tick("brevo_queue_sensor"))
    assert asked(product.simulator) == {"POST /v3/contacts": 5}


def test_a_terminated_run_leaves_its_import_to_the_next(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    product.set(BREVO_BULK_IMPORT="true", BREVO_LIST_ID="1", BREVO_BULK_THRESHOLD="3")
    product.world.add_many(5)
    request = product.tick("brevo_queue_sensor")
    with monkeypatch.context() as patched:
        patched.setattr(BrevoImport, "look", _terminated)
        assert not product.run_requested(request).success
    assert product.world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Processing'") == 5
    assert product.run_requested(product.tick("brevo_queue_sensor")).success
    assert product.world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'") == 5
    assert asked(product.simulator)[POST] == 1


async def _terminated(*_: Any) -> None:
    raise DagsterExecutionInterruptedError
