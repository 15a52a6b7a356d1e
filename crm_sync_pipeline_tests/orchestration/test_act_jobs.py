"""Acts of people as jobs: what the launchpad and the runs do with a form."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import pytest

from crm_sync_pipeline.contact_queue.people.acts import Act
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus
from crm_sync_pipeline_tests.builders import TESTS
from crm_sync_pipeline_tests.orchestration.test_job import events
from crm_sync_pipeline_tests.product import Product

OPS = {
    "select_contacts": "select_or_unselect",
    "requeue": "requeue_contacts",
    "hold": "hold_contacts",
    "release": "release_contacts",
    "sync_contact_now": "deliver_contact",
}
ADDRESS = "jane.doe@example.com"

WRONG_FORMS: list[tuple[str, dict[str, Any], str]] = [
    ("select_contacts", {"ids": ["jane"]}, "'jane' is not a contact id. Nothing was changed."),
    ("select_contacts", {"csv_text": ADDRESS}, "'j***@example.com' is not a contact id. Nothing was changed."),
    ("select_contacts", {"file": "/nowhere.csv"}, "The file can't be read where the code location runs: No such"),
    ("hold", {"email_contains": "@"}, "This filter matches every contact. Nothing was changed."),
    (
        "hold",
        {"ids": [str(UUID(int=1))], "states": ["Queued"]},
        "Give contact ids, or a filter, not both",
    ),
    ("requeue", {"failed_since": "yesterday"}, "A time looks like '2026-03-01 14:00'"),
    ("requeue", {"crms": [], "everything": True}, "No CRM was named. Nothing was changed."),
    ("sync_contact_now", {"contact_id": "jane"}, "'jane' is not a contact id. Nothing was changed."),
    ("sync_contact_now", {"contact_id": str(UUID(int=1))}, "There is no contact 00000000-0000-0000-0000-"),
    (
        "sync_contact_now",
        {"contact_id": str(UUID(int=1)), "crm": "n8n"},
        "N8N_WEBHOOK_URL is not set. Nothing was sent",
    ),
]


Launch = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def launch(product: Product) -> Launch:
    """Launches a job with a form, or with the one that the launchpad opens with; tags are words."""
    definitions = product.definitions

    def call(job: str, form: Mapping[str, Any] | None = None, **tags: str) -> dg.ExecuteInProcessResult:
        return definitions.resolve_job_def(job).execute_in_process(
            instance=product.instance,
            run_config={"ops": {OPS[job]: {"config": form}}} if form else None,
            tags=tags,
            raise_on_error=False,
        )

    return call


def refusal(result: dg.ExecuteInProcessResult) -> str:
    (event,) = (event for event in result.all_events if event.is_step_failure)
    error = event.step_failure_data.error
    assert error
    return str(event.step_failure_data.user_failure_data and event.step_failure_data.user_failure_data.description)


def recorded(product: Product) -> list[Act]:
    return [act for act in product.world.database.acts(TESTS).newest() if act.actor != TESTS.name]


def test_a_form_opens_with_something_valid_that_changes_nothing_and_explains_its_fields(
    product: Product, launch: Launch
) -> None:
    product.world.add(ADDRESS, selected=False)
    before, definitions = product.world.snapshot(), product.definitions
    for job, name in OPS.items():
        assert launch(job).success == (job != "sync_contact_now"), "its contact has to be named"
        op = definitions.resolve_job_def(job).get_node_named(name).definition
        assert isinstance(op, dg.OpDefinition)
        config_type: Any = op.config_schema.config_type
        assert all(field.description for field in config_type.fields.values())
    assert (product.world.snapshot(), recorded(product)) == (before, [])


@pytest.mark.parametrize("job", OPS)
def test_the_launchpad_knows_the_crms_of_the_registry_and_begins_with_the_first(product: Product, job: str) -> None:
    op = product.definitions.resolve_job_def(job).get_node_named(OPS[job]).definition
    assert isinstance(op, dg.OpDefinition)
    config_type: Any = op.config_schema.config_type
    field = config_type.fields.get("crms") or config_type.fields["crm"]
    enum = field.config_type
    while not hasattr(enum, "enum_values"):
        enum = enum.inner_type
    assert [value.config_value for value in enum.enum_values] == list(CRMS)
    assert "brevo" in field.default_value


def test_names_in_the_form_are_those_of_the_domain() -> None:
    assert all(name.name == name.value for form in (SyncStatus, ProcessingStatus) for name in form)


def test_contacts_are_selected_by_a_filter_and_the_person_is_recorded(product: Product, launch: Launch) -> None:
    ids = product.world.add(ADDRESS, "x@other.org", selected=False)
    form = {"statuses": ["New"], "email_contains": "@EXAMPLE"}
    tried = launch("select_contacts", form)
    assert events(tried, "select_or_unselect")["sample"] == f"- `{ids[0]}`"
    assert recorded(product) == []
    result = launch("select_contacts", {**form, "dry_run": False}, user="anna")
    shown = events(result, "select_or_unselect")
    assert (shown["contacts"], shown["which"]) == (1, "status New, e-mail contains <text of 8 characters>")
    assert [product.world.status(contact)[0] for contact in ids] == ["Selected", "New"]
    (act,) = recorded(product)
    assert (act.actor, act.run_id, act.verb, act.contacts) == ("anna", result.run_id, "select", 1)
    assert ADDRESS not in "".join(str(event) for event in result.all_events)


@pytest.mark.parametrize("way", ["ids", "csv_text", "file"])
def test_contacts_are_named_by_ids_by_csv_or_by_a_file(
    product: Product, launch: Launch, tmp_path: Path, way: str
) -> None:
    contact, other = product.world.add("a@example.com", "b@example.com", selected=False)
    (tmp_path / "ids.csv").write_text(f"id;name\n{contact};Ann\n", "utf-8")
    given = {"ids": [str(contact)], "csv_text": f"id,name\n{contact},Ann", "file": str(tmp_path / "ids.csv")}
    assert launch("select_contacts", {way: given[way], "dry_run": False}).success
    assert (product.world.status(contact)[0], product.world.status(other)[0]) == ("Selected", "New")
    launch("select_contacts", {way: given[way], "action": "unselect", "dry_run": False})
    assert product.world.status(contact) == ("New", None)


def test_hold_release_and_requeue_do_what_crm_sync_does(product: Product, launch: Launch) -> None:
    (contact,) = product.world.add(ADDRESS)
    assert launch("hold", {"states": ["Queued"], "dry_run": False}).success
    assert product.run().success
    assert product.simulator.requests.total == 0
    assert launch("release", {"everything": True, "dry_run": False}).success
    product.simulator.inject("status-503")
    product.run()
    assert launch("requeue", {"reasons": ["http_503"], "failed_since": "1h", "dry_run": False}).success
    assert product.world.status(contact) == ("Selected", "Queued")
    assert [act.verb for act in recorded(product)] == ["requeue", "release", "hold"]
    assert {act.actor for act in recorded(product)} == {"dagster"}


def test_what_is_wrong_in_a_form_is_told_in_one_sentence_before_anything_is_touched(
    product: Product, launch: Launch
) -> None:
    product.world.add(ADDRESS)
    before = product.world.snapshot()
    for job, form, says in WRONG_FORMS:
        result = launch(job, form if job == "sync_contact_now" else {**form, "dry_run": False})
        assert refusal(result).startswith(says)
        assert ADDRESS not in "".join(str(event) for event in result.all_events)
    assert (product.world.snapshot(), recorded(product)) == (before, [])


def test_the_launchpad_itself_refuses_what_is_no_choice_of_a_field(product: Product) -> None:
    job = product.definitions.resolve_job_def("hold")
    for form in ({"crms": ["salesforce"]}, {"statuses": ["Neu"]}, {"dry_run": "perhaps"}, {"id": "x"}):
        with pytest.raises(dg.DagsterInvalidConfigError):
            dg.validate_run_config(job, {"ops": {"hold_contacts": {"config": form}}})


def test_one_contact_is_delivered_now_though_a_run_of_its_destination_is_in_progress(
    product: Product, launch: Launch
) -> None:
    wanted, waiting = product.world.add(ADDRESS, "b@example.com")
    result = launch("sync_contact_now", {"contact_id": str(wanted), "crm": "brevo"})
    assert result.success
    assert events(result, "deliver_contact")["verdict"].startswith("Brevo has it: delivered at ")
    assert (product.world.status(wanted)[0], product.world.status(waiting)[0]) == ("Complete", "Selected")
    (act,) = recorded(product)
    assert (act.verb, act.scope, act.contacts, act.run_id) == ("sync-now", str(wanted), 1, result.run_id)
    job = product.definitions.resolve_job_def("sync_contact_now")
    assert "crm_sync/destination" not in job.run_tags


def test_a_contact_that_is_not_delivered_fails_the_run_with_why_and_what_comes_next(
    product: Product, launch: Launch
) -> None:
    (contact,) = product.world.add("invalid-email@")
    result = launch("sync_contact_now", {"contact_id": str(contact)})
    assert not result.success
    assert refusal(result).startswith("Waiting for retry 1 of 3. Last error: Brevo API error (400): Invalid email")
    assert "address. Next: " in refusal(result)
    assert "Attempt 2 is due at " in refusal(result)


def test_resuming_a_destination_is_recorded(product: Product) -> None:
    product.world.add(ADDRESS)
    product.world.queue().breaker.open("http_503", "Brevo API error (503)")
    job = product.definitions.resolve_job_def("resume_destination")
    assert job.execute_in_process(instance=product.instance, tags={"dagster/user": "ben"}).success
    (act,) = recorded(product)
    assert (act.actor, act.verb, act.destinations, act.contacts) == ("ben", "resume", ("brevo",), 1)
