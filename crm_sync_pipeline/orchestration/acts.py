"""Acts of people as jobs: select_contacts, requeue, hold, release, sync_contact_now."""

import time
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

import dagster as dg
from pydantic import Field

from crm_sync_pipeline.contact_queue.database.transactions import PATIENCE_FOR_RESULTS
from crm_sync_pipeline.contact_queue.people.chunks import RowProgress
from crm_sync_pipeline.contact_queue.people.selection import parse_ids
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.delivery.door import deliver_contact
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.explanation import explain
from crm_sync_pipeline.orchestration.actor import actor_of
from crm_sync_pipeline.orchestration.plain_failure import plain_failure
from crm_sync_pipeline.orchestration.which import WhichConfig, form_for, name_of, names_of

SAID_EVERY_SECONDS = 5.0
NOBODY = "00000000-0000-0000-0000-000000000000"


class Action(str, Enum):
    """What select_contacts does."""

    select = "select"
    unselect = "unselect"


class SelectConfig(WhichConfig):
    """Which contacts to select or take back. A filter that names no status means New ones, or those still wanted."""

    action: Action = Field(default=Action.select, description="select: they are delivered. unselect: take them back.")
    changed_only: bool = Field(
        default=False, description="Selected only if changed: no call for one whose data the CRM took last."
    )
    anyway: bool = Field(
        default=False, description="Select for a CRM that is off here, because another machine serves it."
    )


class SyncContactConfig(dg.Config):
    """Which contact to deliver, and where."""

    contact_id: str = Field(description="The contact's id.")
    crm: str = Field(default="", description="The CRM to deliver it to.")


def _carry_out(
    context: dg.OpExecutionContext, verb: str, config: WhichConfig, *, changed_only: bool = False, anyway: bool = False
) -> None:
    with plain_failure():
        database: Database = context.resources.database
        which = config.which(database.crms)
        result = database.acts(actor_of(context)).carry_out(
            verb,
            which,
            config.crm_names,
            everything=config.everything,
            anyway=anyway,
            dry_run=config.dry_run,
            changed_only=changed_only,
            progress=_progress(context, verb),
        )
    context.add_output_metadata(
        {
            "said": result.message,
            "contacts": result.contacts,
            "dry_run": result.dry_run,
            "which": result.scope,
            "sample": dg.MetadataValue.md("\n".join(f"- `{contact_id}`" for contact_id in result.sample) or "nobody"),
        }
    )
    context.log.info(
        "act_done verb=%s contacts=%d dry_run=%s %s", verb, result.contacts, config.dry_run, result.message
    )


def _progress(context: dg.OpExecutionContext, verb: str) -> RowProgress:
    """Says how far an act has come, at most every five seconds."""
    gone_through, said_at = 0, time.monotonic()

    def tell(rows: int) -> None:
        nonlocal gone_through, said_at
        gone_through += rows
        if time.monotonic() - said_at >= SAID_EVERY_SECONDS:
            said_at = time.monotonic()
            context.log.info("act_under_way verb=%s rows_gone_through=%d", verb, gone_through)

    return tell


def _build_act_op(name: str, says: str, form: type[WhichConfig], verb: str) -> dg.OpDefinition:
    @dg.op(name=name, description=says, required_resource_keys={"database"}, tags={"kind": "postgres"})
    def act(context: dg.OpExecutionContext, config: form) -> None:  # type: ignore[valid-type] # Dagster reads it
        _carry_out(context, verb, config)

    return act


def _build_select_op(form: type[SelectConfig]) -> dg.OpDefinition:
    @dg.op(name="select_or_unselect", required_resource_keys={"database"}, tags={"kind": "postgres"})
    def select_or_unselect(context: dg.OpExecutionContext, config: form) -> None:  # type: ignore[valid-type] # the same
        """Select contacts, or take them back."""
        chosen: SelectConfig = config
        _carry_out(context, Action(chosen.action).value, chosen, changed_only=chosen.changed_only, anyway=chosen.anyway)

    return select_or_unselect


def _build_job(
    name: str, description: str, owner: str, tags: Mapping[str, str], op: dg.OpDefinition, form: dg.Config
) -> dg.JobDefinition:
    @dg.job(
        name=name,
        description=description,
        owners=[owner],
        config=dg.RunConfig(ops={op.name: form}),
        executor_def=dg.in_process_executor,
        tags={**tags, "crm_sync/act": name},
    )
    def act() -> None:
        op()

    return act


def build_sync_contact_op(destinations: Mapping[str, Entry], form: type[SyncContactConfig]) -> dg.OpDefinition:
    """The op `deliver_contact` of the job `sync_contact_now`, for any of these."""
    known = sorted(destinations)

    @dg.op(name="deliver_contact", required_resource_keys={"database", *known})
    def deliver_one(context: dg.OpExecutionContext, config: form) -> None:  # type: ignore[valid-type] # Dagster reads it
        """Deliver one contact at once, past schedule and queue; fails unless the CRM has it now."""
        wanted: SyncContactConfig = config
        with plain_failure():
            name = name_of(wanted.crm)
            (contact_id,) = parse_ids([wanted.contact_id])
            database: Database = context.resources.database
            entry = destinations[name]
            destination: HttpDestination = getattr(context.resources, name)
            destination.require_ready()
            tally = deliver_contact(database.queue(name, PATIENCE_FOR_RESULTS), destination, contact_id, context.run_id)
            database.acts(actor_of(context)).record("sync-now", [name], str(contact_id), tally.outcomes["synced"])
            if tally.down:
                raise CrmSyncError(tally.down)
            facts = database.report().facts(entry.crm, contact_id, database.policy(name).max_retries)
            answer = explain(replace(facts, needs_address=destination.needs_address), entry.remedies)
        metadata = {"contact": str(contact_id), "verdict": answer.verdict, "next": answer.next_step}
        if not tally.outcomes["synced"]:
            said = f"{answer.verdict.rstrip('.')}. Next: {answer.next_step}"
            raise dg.Failure(said, metadata=metadata, allow_retries=False)
        context.add_output_metadata(metadata)
        context.log.info("contact_delivered destination=%s contact=%s", name, contact_id)

    return deliver_one


def build_act_jobs(destinations: Mapping[str, Entry], owner: str, tags: Mapping[str, str]) -> list[dg.JobDefinition]:
    """The jobs of acts. Their forms open with something valid that changes nothing, and with the first destination."""
    first = next(iter(destinations))
    names = names_of(list(destinations))
    # Dagster writes a default down as it is, and can't write an enum
    of_crms = (list[names], Field(default=[first], description="For which CRMs."))  # type: ignore[valid-type]
    select_form, which_form = form_for(SelectConfig, crms=of_crms), form_for(WhichConfig, crms=of_crms)
    contact_form = form_for(
        SyncContactConfig, crm=(names, Field(default=names[first], description="The CRM to deliver it to."))
    )
    return [
        _build_job(
            "select_contacts",
            "Select contacts, so that they are delivered, or take them back: by ids, a CSV file or a filter. With "
            "dry_run, as the form opens, it only says how many.",
            owner,
            tags,
            _build_select_op(select_form),
            select_form(),
        ),
        _build_job(
            "requeue",
            "Send contacts again at once, with fresh retries: those in Error or waiting for a retry, by ids, reason, "
            "time or other filters. With dry_run, as the form opens, it only says how many.",
            owner,
            tags,
            _build_act_op(
                "requeue_contacts",
                "Make contacts in Error or waiting for a retry due now, with fresh retries.",
                which_form,
                "requeue",
            ),
            which_form(),
        ),
        _build_job(
            "hold",
            "Put contacts on hold, by ids or a filter: no run takes them until they are released, also when they are "
            "selected again. With dry_run, as the form opens, it only says how many.",
            owner,
            tags,
            _build_act_op(
                "hold_contacts", "Put contacts on hold: no run takes them until they are released.", which_form, "hold"
            ),
            which_form(),
        ),
        _build_job(
            "release",
            "Let contacts go that are on hold, by ids or a filter. With dry_run, as the form opens, it only says how "
            "many.",
            owner,
            tags,
            _build_act_op("release_contacts", "Let contacts go that are on hold.", which_form, "release"),
            which_form(),
        ),
        _build_job(
            "sync_contact_now",
            "Deliver one contact to one CRM at once, past schedule and queue, and say what came of it.",
            owner,
            tags,
            build_sync_contact_op(destinations, contact_form),
            contact_form(contact_id=NOBODY),
        ),
    ]
