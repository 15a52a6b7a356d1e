"""The job check_destination: tells whether deliveries will work."""

from collections.abc import Mapping, Sequence

import dagster as dg
from pydantic import Field

from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.monitoring.readiness import check
from crm_sync_pipeline.orchestration.plain_failure import plain_failure


class CheckConfig(dg.Config):
    """What to ask, and whether to create what is missing."""

    destination: str = Field(description="The CRM to ask.")
    create_fields: bool = Field(
        default=False, description="Create the fields that the CRM lacks. Changes nothing else."
    )
    create_attributes: bool = Field(default=False, description="The former name of create_fields.")


def build_check_op(destinations: Sequence[str]) -> dg.OpDefinition:
    """The op `ask_whether_it_works` of the job `check_destination`, for any of these."""
    known = sorted(destinations)

    @dg.op(name="ask_whether_it_works", required_resource_keys={"database", *known})
    def ask_whether_it_works(context: dg.OpExecutionContext, config: CheckConfig) -> None:
        """Ask the database and the destination; one line a question, and a failed run where one is red."""
        with plain_failure():
            if config.destination not in known:
                raise CrmSyncError(
                    f"'{config.destination}' is not a known destination. Nothing was asked. "
                    f"Use one of {', '.join(known)}."
                )
            report = check(
                context.resources.database,
                getattr(context.resources, config.destination),
                create_fields=config.create_fields or config.create_attributes,
            )
        metadata = {"lines": dg.MetadataValue.md(report.as_markdown())}
        if not report.is_good:
            raise dg.Failure(report.sentence(), metadata=metadata, allow_retries=False)
        context.add_output_metadata(metadata)
        context.log.info("destination_checked destination=%s %s", config.destination, report.sentence())

    return ask_whether_it_works


def build_check_job(destinations: Sequence[str], owner: str, tags: Mapping[str, str]) -> dg.JobDefinition:
    """The job `check_destination`: tell whether deliveries will work, before the first one."""
    check_op = build_check_op(destinations)

    @dg.job(
        name="check_destination",
        description="Tell whether deliveries will work, before the first one: database, account, fields, clocks, "
        "breaker, how many are due. Sends no contact.",
        owners=[owner],
        config=dg.RunConfig(ops={"ask_whether_it_works": CheckConfig(destination=destinations[0])}),
        executor_def=dg.in_process_executor,
        tags=tags,
    )
    def check_job() -> None:
        check_op()

    return check_job
