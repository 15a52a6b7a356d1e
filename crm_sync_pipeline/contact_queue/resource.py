"""The database as a Dagster resource."""

from datetime import timedelta

import dagster as dg
from pydantic import Field

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.domain.crm import Crm, Crms
from crm_sync_pipeline.domain.retry import RetryPolicy
from crm_sync_pipeline.settings import DATABASE_URL, Settings


class RetryConfig(dg.Config):
    """When a delivery is tried again; see RetryPolicy."""

    max_retries: int = Field(default=3, ge=0, description="Retries after the first attempt.")
    delay_minutes: int = Field(default=5, ge=1, description="Minutes before the first retry.")
    exponential: bool = Field(default=True, description="Double the wait each time, or add.")
    retry_rejected: bool = Field(default=True, description="Retry refused data too.")

    @property
    def policy(self) -> RetryPolicy:
        """When and how often a failed delivery is tried again, as the domain takes it."""
        delay = timedelta(minutes=self.delay_minutes)
        return RetryPolicy(self.max_retries, delay, self.exponential, self.retry_rejected)


class CrmConfig(dg.Config):
    """A CRM's columns on the contacts table: the fields of the domain's Crm, as Dagster writes them down."""

    name: str
    title: str
    id_column: str
    holds_address: bool = False
    carries: dict[str, list[str]] = Field(default={})


def as_config(crms: Crms) -> list[CrmConfig]:
    """These CRMs, for the field `crms` of a DatabaseResource."""
    return [
        CrmConfig(
            name=crm.name,
            title=crm.title,
            id_column=crm.id_column,
            holds_address=crm.holds_address,
            carries={column: list(fields) for column, fields in crm.carries.items()},
        )
        for crm in crms.values()
    ]


class DatabaseResource(dg.ConfigurableResource[None], Database):
    """The PostgreSQL that holds the contacts table and, beside it, schema crm_sync."""

    url: str = Field(repr=False, description="postgresql://...; env CRM_SYNC_DATABASE_URL or DATABASE_URL.")
    url_variable: str = Field(default=DATABASE_URL, description="The variable that the URL is read from, for messages.")
    contacts_table: str = Field(default="contacts", description="Table or schema.table; env CRM_SYNC_CONTACTS_TABLE.")
    lease_seconds: int = Field(default=300, ge=1, description="How long a claim holds without progress.")
    retries: dict[str, RetryConfig] = Field(default={}, description="By destination; the default for one not named.")
    crms: list[CrmConfig] = Field(default=[], description="The CRMs that the contacts table may have columns for.")

    @classmethod
    def from_settings(cls, settings: Settings, crms: Crms, *, secrets_from_environment: bool) -> "DatabaseResource":
        """The database as the environment sets it; with `secrets_from_environment` Dagster reads the URL itself."""
        variable, secret = settings.general.database_variable, settings.general.database
        url = secret.get_secret_value() if secret else ""
        return _for_crms(cls, crms)(
            url=dg.EnvVar(variable) if url and secrets_from_environment else url,
            url_variable=variable,
            contacts_table=settings.general.crm_sync_contacts_table,
            lease_seconds=settings.general.crm_sync_lease_seconds,
            retries={
                name: RetryConfig(
                    max_retries=sync.max_retries,
                    delay_minutes=sync.retry_delay_minutes,
                    exponential=sync.retry_exponential,
                    retry_rejected=sync.retry_rejected,
                )
                for name, sync in settings.sync.items()
            },
        )

    @property
    def known_crms(self) -> Crms:
        """The CRMs that the contacts table may have columns for, by name."""
        return {each.name: Crm(**each.model_dump()) for each in self.crms}

    def policy(self, destination: str) -> RetryPolicy:
        """When this destination's deliveries are tried again."""
        return self.retries.get(destination, RetryConfig()).policy


def _for_crms(kind: type[DatabaseResource], crms: Crms) -> type[DatabaseResource]:
    """The resource of a database whose contacts table may have these CRMs' columns.

    They are the class's and not a field's: a run that is launched with config of its own gets a new resource of this
    class, in which every field that the config does not name has its default.
    """

    class DatabaseOfCrms(kind):  # type: ignore[misc,valid-type] # a class that is known at run time alone
        @property
        def known_crms(self) -> Crms:
            return crms

    DatabaseOfCrms.__doc__ = kind.__doc__
    return DatabaseOfCrms
