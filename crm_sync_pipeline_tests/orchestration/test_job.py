"""The job, run by Dagster, against the simulator and PostgreSQL. The scenario tests hold what it does to contacts."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import pytest

import crm_sync_pipeline
from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline.domain.batch import Batch, Sent
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY
from crm_sync_pipeline_tests.acceptance.test_scenarios import failure
from crm_sync_pipeline_tests.product import Product

DAGSTER_YAML = Path(crm_sync_pipeline.__file__).parents[1] / "dagster.yaml"

PERSON: Mapping[str, Any] = {
    "name": "Janette Quillfeather",
    "phone_number": "+1 415 555 2671",
    "source_url": "https://example.com/about-janette",
}
PRIVATE = (b"janette", b"quillfeather", b"4155552671", b"415 555 2671", b"-a-key-that-nobody-may-see", b"sesame")


def events(result: dg.ExecuteInProcessResult, step: str) -> Mapping[str, Any]:
    """The metadata that a step put on its output."""
    (event,) = (
        event
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.STEP_OUTPUT and event.step_key == step
    )
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


# What a run shows


def test_counts_are_shown_as_numbers_that_dagster_can_plot(product: Product) -> None:
    product.world.add("a@example.com", "b@example.com", "invalid-email")
    result = product.run()
    assert result.success
    assert events(result, "claim_batch") == {"claimed": 3}
    synced = events(result, "sync_to_brevo")
    assert {
        name: synced[name] for name in ("synced", "failed", "rejected", "deferred", "requests", "rate_limited")
    } == {
        "synced": 2,
        "failed": 0,
        "rejected": 1,
        "deferred": 0,
        "requests": 3,
        "rate_limited": 0,
    }
    assert synced["reasons"] == {"created": 2, "invalid_email": 1}
    assert isinstance(synced["seconds"], float)
    recorded = events(result, "record_results")
    assert {name: recorded[name] for name in ("complete", "retry", "error", "superseded")} == {
        "complete": 2,
        "retry": 1,
        "error": 0,
        "superseded": 0,
    }


def test_a_run_with_nothing_to_do_is_green_and_says_so(product: Product) -> None:
    result = product.run()
    assert result.success
    assert events(result, "claim_batch") == {"claimed": 0, "note": "No contact is due for Brevo."}
    assert product.simulator.requests.total == 0


def test_those_that_two_workers_lost_go_out_one_by_one_in_a_single_run(product: Product) -> None:
    product.world.add_many(6)
    for _ in range(2):
        product.world.queue().claim(6)
        product.pass_minutes(6)
    result = product.run(batch_size=10)
    assert result.success
    assert events(result, "claim_batch") == {"claimed": 1}
    recorded = events(result, "record_results")
    assert (recorded["synced"], recorded["complete"], recorded["requests"]) == (6, 6, 6)
    tokens = product.world.rows("SELECT DISTINCT claim_token FROM crm_sync.attempts")
    assert len(tokens) == 6, "each under a claim of its own"


def test_while_they_go_out_one_by_one_a_destination_that_is_down_ends_it(product: Product) -> None:
    product.world.add_many(6)
    for _ in range(2):
        product.world.queue().claim(6)
        product.pass_minutes(6)
    product.simulator.inject("status-401-key")
    result = product.run(batch_size=10)
    assert not result.success
    assert product.simulator.requests.total == 1
    assert product.world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Queued'") == 6


def test_only_a_token_and_counts_pass_between_ops(product: Product) -> None:
    product.world.add("a@example.com")
    result = product.run()
    assert type(result.output_for_node("claim_batch")) is Batch
    assert type(result.output_for_node("sync_to_brevo")) is Sent


# When a run is red


def test_a_run_in_which_nothing_got_through_is_red_and_says_why(product: Product) -> None:
    contacts = product.world.add("a@example.com", "b@example.com", "c@example.com")
    product.simulator.inject("status-503")
    result = product.run()
    assert not result.success
    assert failure(result) == "None of the 3 contacts was delivered: http_503 (3). They will be retried."
    assert {product.world.contact(contact)["retry_count"] for contact in contacts} == {1}, "it is recorded all the same"


def test_a_run_in_which_something_got_through_is_green(product: Product) -> None:
    product.world.add("a@example.com", "b@example.com", "c@example.com")
    product.simulator.inject("status-503:email=b@*")
    assert product.run().success


def test_a_run_in_which_brevo_refused_the_data_is_green_for_brevo_is_well(product: Product) -> None:
    product.world.add("invalid-email")
    assert product.run().success


def test_a_run_while_the_destination_is_down_is_red_and_its_numbers_are_on_the_failure(product: Product) -> None:
    product.world.add_many(20)
    product.simulator.inject("status-401-key")
    result = product.run(batch_size=20)
    said = failure(result)
    assert said.startswith("Brevo is down: Brevo API error (401): Key not found.")
    assert said.endswith("What was not delivered is back in the queue.")
    (event,) = (event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_FAILURE)
    data = event.step_failure_data.user_failure_data
    assert data is not None
    assert data.metadata["deferred"].value == 20


@pytest.mark.parametrize(
    ("mishap", "says"),
    [
        ("DROP SCHEMA crm_sync CASCADE", "Run `crm-sync db upgrade`"),
        ("ALTER TABLE contacts DROP COLUMN brevo_contact_id", "Column brevo_contact_id of"),
        ("ALTER TABLE contacts RENAME TO people", "There is no table contacts in the database."),
    ],
)
def test_what_a_person_can_mend_fails_the_run_with_a_sentence_and_without_a_stack_trace(
    product: Product, mishap: str, says: str
) -> None:
    product.world.execute(mishap)
    result = product.run()
    assert says in failure(result)
    assert_no_stack_trace(result)


def test_an_unreachable_database_fails_the_run_with_a_sentence(product: Product) -> None:
    product.set(DATABASE_URL="postgresql://me:sesame@127.0.0.1:1/nowhere")
    result = product.run()
    assert failure(result).startswith("The database at 127.0.0.1:1 can't be used: ")
    assert "sesame" not in failure(result)
    assert_no_stack_trace(result)


@pytest.mark.parametrize("step", ["sync_to_brevo", "record_results"])
def test_our_tables_going_away_in_the_middle_fails_the_run_with_a_sentence(product: Product, step: str) -> None:
    product.world.add("a@example.com")
    drop = "DROP SCHEMA crm_sync CASCADE"

    @dg.success_hook
    def drop_after(context: dg.HookContext) -> None:
        if context.op.name == {"sync_to_brevo": "claim_batch", "record_results": "sync_to_brevo"}[step]:
            product.world.execute(drop)

    job = product.definitions.resolve_job_def("brevo_sync").with_hooks({drop_after})
    result = job.execute_in_process(instance=product.instance, raise_on_error=False)
    assert "Run `crm-sync db upgrade`" in failure(result)
    assert_no_stack_trace(result)


def assert_no_stack_trace(result: dg.ExecuteInProcessResult) -> None:
    (event,) = (event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_FAILURE)
    error = event.step_failure_data.error
    assert error is not None
    assert "sqlalchemy" not in error.to_string()
    assert error.cause is None or "sqlalchemy" not in error.cause.to_string()


# What a run leaves behind


def the_job() -> dg.JobDefinition:
    return build_definitions(load_settings()).resolve_job_def("brevo_sync")


def everything_below(folder: Path) -> bytes:
    """Every byte of every file, lower case."""
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file()).lower()


def test_no_personal_data_and_no_key_in_anything_that_dagster_keeps(product: Product) -> None:
    key = "xkeysib-a-key-that-nobody-may-see"
    object.__setattr__(product.simulator.config, "api_keys", frozenset({key}))
    with_password = product.world.url.replace("postgres@", "postgres:sesame@")
    product.set(BREVO_API_KEY=key, DATABASE_URL=with_password)
    world = product.world
    shutil.copy(DAGSTER_YAML, "dagster.yaml")
    with dg.DagsterInstance.from_config(str(Path.cwd())) as instance:

        def run() -> dg.DagsterRun:
            with dg.execute_job(dg.reconstructable(the_job), instance=instance, raise_on_error=False) as result:
                run = instance.get_run_by_id(result.run_id)
                assert run is not None
                return run

        world.add("janette.1@example.com", "janette.2@example.com", "janette@", **PERSON)
        assert run().is_success
        world.add("janette.3@example.com", **PERSON)
        product.simulator.inject("status-400:times=1")
        assert run().is_success
        world.add("janette.4@example.com", **PERSON)
        product.simulator.inject("status-401-key")
        assert run().is_failure
        product.simulator.heal()
        product.pass_minutes(1)
        product.simulator.inject("reset-before-write")
        assert run().is_failure
        product.set(BREVO_API_KEY="", DATABASE_URL="postgresql://janette:sesame@127.0.0.1:1/nowhere")
        assert run().is_failure
    kept = everything_below(Path("var"))
    assert b"batch_claimed destination=brevo size=3" in kept, "the search finds what is there"
    assert not Path("var/dagster/storage").exists(), "what passes between ops is in no file"
    assert [secret for secret in PRIVATE if secret in kept] == []
    engine_for(with_password).dispose()


@pytest.mark.parametrize(("ending", "key"), [("Complete", DEFAULT_KEY), ("Queued", "")])
def test_a_database_that_refuses_a_result_does_not_get_addresses_into_the_event_log(
    product: Product, ending: str, key: str
) -> None:
    (contact,) = product.world.add("janette@example.com", **PERSON)
    product.world.execute(f"ALTER TABLE contacts ADD CONSTRAINT no_sync CHECK (brevo_sync_status <> '{ending}')")
    product.set(BREVO_API_KEY=key)
    result = product.run()
    assert product.world.status(contact)[0] != ending, "it was refused"
    assert private_in_the_log(product, result) == []


def test_an_error_that_nobody_foresaw_is_cut_to_a_line_without_addresses_and_the_place_where_it_arose(
    product: Product,
) -> None:
    def fail(_queue: ContactQueue, _token: UUID) -> None:
        raise ValueError("janette@example.com is odd\nDETAIL: Quillfeather, +1 415 555 2671")

    product.world.add("janette@example.com", **PERSON)
    product.monkeypatch.setattr(ContactQueue, "settle", fail)
    result = product.run()
    assert failure(result) == "Unexpected ValueError: j***@example.com is odd"
    (event,) = (event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_FAILURE)
    data = event.step_failure_data.user_failure_data
    assert data is not None
    assert re.fullmatch(r"plain_failure\.py:\d+ > ops\.py:\d+ > test_job\.py:\d+", str(data.metadata["where"].value))
    assert private_in_the_log(product, result) == []


def private_in_the_log(product: Product, result: dg.ExecuteInProcessResult) -> list[bytes]:
    logged = "\n".join(str(entry) for entry in product.instance.all_logs(result.run_id)).lower().encode()
    assert b"claim_batch" in logged
    return [secret for secret in PRIVATE if secret in logged]
