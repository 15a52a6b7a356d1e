"""What a run keeps in memory: outputs without a disk, and claims that are settled however the run ends."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.errors import DagsterExecutionInterruptedError

import crm_sync_pipeline
from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import DESTINATIONS, load_settings
from crm_sync_pipeline.domain.batch import Batch
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.orchestration.database_faults import SETTLING_LOCKS
from crm_sync_pipeline_tests.product import Product

DAGSTER_YAML = Path(crm_sync_pipeline.__file__).parents[1] / "dagster.yaml"
SIZE = 6

FULL = """
CREATE FUNCTION need_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF {condition} THEN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER need_room BEFORE INSERT ON event_logs FOR EACH ROW EXECUTE FUNCTION need_room();
"""
THIS_ONE = "NEW.step_key = '{step}' AND NEW.dagster_event_type = '{event}'"
ALL_AFTER_IT = "EXISTS (SELECT FROM event_logs WHERE step_key = '{step}' AND dagster_event_type = '{event}')"


def a_job(name: str) -> dg.JobDefinition:
    return build_definitions(load_settings()).resolve_job_def(name)


def job(name: str = "brevo_sync") -> ReconstructableJob:
    """One of the product's jobs as a run worker loads it; `execute_in_process` would give it another I/O manager."""
    return dg.build_reconstructable_job(__name__, "a_job", (name,))


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> Iterator[World]:
    made = World(postgres.create_database("history"))
    yield made
    made.engine.dispose()
    postgres.drop_database("history")


@pytest.fixture
def history(database: World, product: Product) -> Iterator[World]:
    """The database in which Dagster keeps its history; `instance` uses it."""
    product.set(CRM_SYNC_DAGSTER_DB_URL=database.url)
    yield database
    database.script("DROP FUNCTION IF EXISTS need_room CASCADE; TRUNCATE event_logs")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance of the product's own dagster.yaml, in the working folder."""
    shutil.copy(DAGSTER_YAML, "dagster.yaml")
    with dg.DagsterInstance.from_config(str(Path.cwd())) as made:
        yield made


def run(instance: dg.DagsterInstance, name: str = "brevo_sync") -> dg.DagsterRun:
    """Execute a job; a history that refuses everything ends it by an exception."""
    with suppress(sa.exc.OperationalError), dg.execute_job(job(name), instance=instance):
        pass
    (newest,) = instance.get_runs(limit=1)
    return newest


def lines(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    return [entry.user_message for entry in instance.all_logs(run.run_id) if entry.user_message.startswith("claim_")]


def assert_nothing_is_claimed_and_nothing_was_spent(world: World) -> None:
    spent = "SELECT count(*) FROM crm_sync.deliveries WHERE claim_token IS NOT NULL OR lost_count + retry_count > 0"
    assert world.value(spent) == 0
    assert world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Processing'") == 0


# Claims


@pytest.mark.parametrize("extent", [THIS_ONE, ALL_AFTER_IT], ids=["this_one", "all_after_it"])
@pytest.mark.parametrize(
    ("step", "event", "sent"),
    [
        ("claim_batch", "STEP_OUTPUT", 0),
        ("claim_batch", "HANDLED_OUTPUT", 0),
        ("sync_to_brevo", "STEP_START", 0),
        ("sync_to_brevo", "STEP_OUTPUT", SIZE),
        ("record_results", "STEP_START", SIZE),
    ],
)
def test_when_dagster_can_not_write_its_history_down_the_claim_is_settled_at_once_and_nothing_is_spent(
    product: Product, history: World, instance: dg.DagsterInstance, extent: str, step: str, event: str, sent: int
) -> None:
    product.world.add_many(SIZE)
    history.script(FULL.format(condition=extent.format(step=step, event=event)))
    assert not run(instance).is_success
    assert product.simulator.requests.total == sent
    assert_nothing_is_claimed_and_nothing_was_spent(product.world)
    assert product.run(batch_size=SIZE).success
    assert product.simulator.requests.total == SIZE, "each is sent once"
    assert product.world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'") == SIZE


def test_the_log_of_a_run_says_that_its_claim_was_settled_when_it_failed(
    product: Product, history: World, instance: dg.DagsterInstance
) -> None:
    product.world.add_many(SIZE)
    history.script(FULL.format(condition=THIS_ONE.format(step="claim_batch", event="STEP_OUTPUT")))
    assert lines(instance, run(instance)) == [f"claim_settled_after_failure destination=brevo contacts={SIZE}"]


def test_a_run_that_is_told_to_stop_between_two_ops_gives_its_contacts_back(product: Product) -> None:
    @dg.success_hook
    def stop(context: dg.HookContext) -> None:
        if context.op.name == "claim_batch":
            os.kill(os.getpid(), signal.SIGINT)

    product.world.add_many(SIZE)
    stopped = product.definitions.resolve_job_def("brevo_sync").with_hooks({stop})
    with suppress(DagsterExecutionInterruptedError, KeyboardInterrupt):
        stopped.execute_in_process(instance=product.instance, raise_on_error=False)
    assert product.simulator.requests.total == 0
    assert_nothing_is_claimed_and_nothing_was_spent(product.world)


def test_a_run_that_is_told_to_stop_just_when_its_claim_was_made_gives_its_contacts_back(product: Product) -> None:
    claim = ContactQueue.claim

    def interrupted(queue: ContactQueue, *arguments: object, **words: object) -> Batch:
        assert claim(queue, *arguments, **words).size == SIZE  # type: ignore[arg-type]
        raise DagsterExecutionInterruptedError

    product.world.add_many(SIZE)
    product.monkeypatch.setattr(ContactQueue, "claim", interrupted)
    with suppress(DagsterExecutionInterruptedError):
        product.run(batch_size=SIZE)
    assert_nothing_is_claimed_and_nothing_was_spent(product.world)


@pytest.mark.parametrize("fault", ["", "status-401-key", "status-503"])
def test_a_run_that_records_its_results_settles_once_even_when_it_is_red(
    product: Product, settled: list[str], fault: str
) -> None:
    product.world.add_many(SIZE)
    if fault:
        product.simulator.inject(fault)
    assert product.run(batch_size=SIZE).success is not bool(fault)
    assert len(settled) == 1


def test_a_claim_that_was_refused_is_not_settled(product: Product, settled: list[str]) -> None:
    assert not product.run(contact_id=str(UUID(int=1))).success
    assert settled == []


@pytest.fixture
def settled(product: Product) -> Iterator[list[str]]:
    """The statements with which the product begins to settle a claim."""
    noted: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        noted.extend(re.findall(SETTLING_LOCKS, statement, re.DOTALL))

    engine = engine_for(product.world.url)
    sa.event.listen(engine, "before_cursor_execute", note)
    yield noted
    sa.event.remove(engine, "before_cursor_execute", note)


def test_a_claim_that_can_not_be_settled_either_is_left_to_its_lease_and_the_run_says_so(
    product: Product, instance: dg.DagsterInstance
) -> None:
    def fail(_queue: ContactQueue, _token: object) -> None:
        raise ValueError("janette@example.com is odd\nDETAIL: Quillfeather")

    product.world.add_many(SIZE)
    product.monkeypatch.setattr(ContactQueue, "settle", fail)
    ended = run(instance)
    assert ended.is_failure
    assert lines(instance, ended) == ["claim_left_to_its_lease destination=brevo ValueError: j***@example.com is odd"]


# Outputs


@pytest.mark.usefixtures("history")
def test_no_job_writes_a_file_when_the_history_is_in_postgresql(product: Product, instance: dg.DagsterInstance) -> None:
    product.world.add_many(SIZE)
    names = [name for name in product.definitions.get_repository_def().job_names if not name.startswith("__")]
    ended = {name: run(instance, name).status for name in names}
    with_nobodys_id = "sync_contact_now"
    without_settings = {f"{name}_sync" for name in DESTINATIONS if name != "brevo"}
    failed = {name for name in ended if ended[name] is not dg.DagsterRunStatus.SUCCESS}
    assert failed == {with_nobodys_id, *without_settings}
    assert product.simulator.counts()["contacts"] == SIZE
    assert {path.name for path in Path.cwd().rglob("*")} == {"dagster.yaml"}


@pytest.mark.parametrize("failed_step", ["sync_to_brevo", "record_results"])
def test_a_run_executed_again_from_its_failure_says_that_its_claim_is_over_and_sends_nothing(
    product: Product, history: World, instance: dg.DagsterInstance, failed_step: str
) -> None:
    product.world.add_many(SIZE)
    history.script(FULL.format(condition=THIS_ONE.format(step=failed_step, event="STEP_START")))
    failed = run(instance)
    history.script("DROP FUNCTION need_room CASCADE")
    before = product.simulator.requests.total
    from_failure = dg.ReexecutionOptions.from_failure(failed.run_id, instance)
    with dg.execute_job(job(), instance=instance, reexecution_options=from_failure) as again:
        (event,) = (each for each in again.all_events if each.event_type is dg.DagsterEventType.STEP_FAILURE)
        assert event.step_key == failed_step
        assert event.step_failure_data.user_failure_data is not None
        said = event.step_failure_data.error_display_string
        assert "Nothing was sent. Its claim is over" in said
        assert "Re-execute all" in said
    assert product.simulator.requests.total == before
    everything = dg.ReexecutionOptions(failed.run_id)
    with dg.execute_job(job(), instance=instance, reexecution_options=everything) as afresh:
        assert afresh.success
    assert product.simulator.requests.total == SIZE, "each is sent once, whichever run recorded it"
    assert product.world.value("SELECT count(*) FROM contacts WHERE brevo_processing_status = 'Complete'") == SIZE
