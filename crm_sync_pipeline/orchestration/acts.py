"""Acts of people as jobs: select_contacts, requeue, hold, release, sync_contact_now."""

import time
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import dagster as dg
from pydantic import Field

from crm_sync_pipeline.contact_queue.database.transactions import PATIENCE_FOR_RESULTS
from crm_sync_pipeline.contact_queue.people.selection import parse_ids
from crm_sync_pipeline.contact_queue.people.stretches import Progress
from crm_sync_pipeline.delivery.door import deliver_contact
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.destinations.http import HttpDestination
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.explanation import explain
from crm_sync_pipeline.orchestration.actor import actor_of
from crm_sync_pipeline.orchestration.plain_failure import plain_failure
from crm_sync_pipeline.orchestration.which import CrmName, WhichConfig

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


class SyncContactConfig(dg.Config):
    """Which contact to deliver, and where."""

    contact_id: str = Field(description="The contact's id.")
    crm: CrmName = Field(default=CrmName.brevo, description="The CRM to deliver it to.")


def _carry_out(context: dg.OpExecutionContext, verb: str, config: WhichConfig, changed_only: bool = False) -> None:
    with plain_failure():
        which = config.which()
        result = context.resources.database.acts(actor_of(context)).carry_out(
            verb,
            which,
            config.crm_names,
            everything=config.everything,
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


def _progress(context: dg.OpExecutionContext, verb: str) -> Progress:
    """Says how far an act has come, at most every five seconds."""
    gone_through, said_at = 0, time.monotonic()

    def tell(rows: int) -> None:
        nonlocal gone_through, said_at
        gone_through += rows
        if time.monotonic() - said_at >= SAID_EVERY_SECONDS:
            said_at = time.monotonic()
            context.log.info("act_under_way verb=%s rows_gone_through=%d", verb, gone_through)

    return tell


@dg.op(required_resource_keys={"database"}, tags={"kind": "postgres"})
def select_or_unselect(context: dg.OpExecutionContext, config: SelectConfig) -> None:
    """Select contacts, or take them back."""
    _carry_out(context, Action(config.action).value, config, config.changed_only)


@dg.op(required_resource_keys={"database"}, tags={"kind": "postgres"})
def requeue_contacts(context: dg.OpExecutionContext, config: WhichConfig) -> None:
    """Make contacts in Error or waiting for a retry due now, with fresh retries."""
    _carry_out(context, "requeue", config)


@dg.op(required_resource_keys={"database"}, tags={"kind": "postgres"})
def hold_contacts(context: dg.OpExecutionContext, config: WhichConfig) -> None:
    """Put contacts on hold: no run takes them until they are released."""
    _carry_out(context, "hold", config)


@dg.op(required_resource_keys={"database"}, tags={"kind": "postgres"})
def release_contacts(context: dg.OpExecutionContext, config: WhichConfig) -> None:
    """Let contacts go that are on hold."""
    _carry_out(context, "release", config)


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


def build_sync_contact_op(destinations: Iterable[str]) -> dg.OpDefinition:
    """The op `deliver_contact` of the job `sync_contact_now`, for any of these."""
    known = sorted(destinations)

    @dg.op(name="deliver_contact", required_resource_keys={"database", *known})
    def deliver_one(context: dg.OpExecutionContext, config: SyncContactConfig) -> None:
        """Deliver one contact at once, past schedule and queue; fails unless the CRM has it now."""
        with plain_failure():
            crm = CrmName(config.crm).value
            (contact_id,) = parse_ids([config.contact_id])
            if crm not in known:
                raise CrmSyncError(f"{CRMS[crm].title} is not delivered to by this version. Nothing was sent.")
            destination: HttpDestination = getattr(context.resources, crm)
            destination.require_ready()
            database = context.resources.database
            tally = deliver_contact(database.queue(crm, PATIENCE_FOR_RESULTS), destination, contact_id, context.run_id)
            database.acts(actor_of(context)).record("sync-now", [crm], str(contact_id), tally.outcomes["synced"])
            if tally.down:
                raise CrmSyncError(tally.down)
            answer = explain(database.report().facts(CRMS[crm], contact_id, database.policy(crm).max_retries))
        metadata = {"contact": str(contact_id), "verdict": answer.verdict, "next": answer.next_step}
        if not tally.outcomes["synced"]:
            said = f"{answer.verdict.rstrip('.')}. Next: {answer.next_step}"
            raise dg.Failure(said, metadata=metadata, allow_retries=False)
        context.add_output_metadata(metadata)
        context.log.info("contact_delivered destination=%s contact=%s", crm, contact_id)

    return deliver_one


def build_act_jobs(destinations: Sequence[str], owner: str, tags: Mapping[str, str]) -> list[dg.JobDefinition]:
    """The jobs of acts. Their forms open with something valid that changes nothing."""
    return [
        _build_job(
            "select_contacts",
            "Select contacts, so that they are delivered, or take them back: by ids, a CSV file or a filter. With "
            "dry_run, as the form opens, it only says how many.",
            owner,
            tags,
            select_or_unselect,
            SelectConfig(),
        ),
        _build_job(
            "requeue",
            "Send contacts again at once, with fresh retries: those in Error or waiting for a retry, by ids, reason, "
            "time or other filters. With dry_run, as the form opens, it only says how many.",
            owner,
            tags,
            requeue_contacts,
            WhichConfig(),
        ),
        _build_job(
            "hold",
            "Put contacts on hold, by ids or a filter: no run takes them until they are released, also when they are "
            "selected again. With dry_run, as the form opens, it only says how many.",
            owner,
            tags,
            hold_contacts,
            WhichConfig(),
        ),
        _build_job(
            "release",
            "Let contacts go that are on hold, by ids or a filter. With dry_run, as the form opens, it only says how "
            "many.",
            owner,
            tags,
            release_contacts,
            WhichConfig(),
        ),
        _build_job(
            "sync_contact_now",
            "Deliver one contact to one CRM at once, past schedule and queue, and say what came of it.",
            owner,
            tags,
            build_sync_contact_op(destinations),
            SyncContactConfig(contact_id=NOBODY),
        ),
    ]
