"""The environment variables that no single destination owns, with default, bounds, unit and meaning, in groups."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.settings.base import DATABASE_URL, OUR_DATABASE_URL, FromEnvironment
from crm_sync_pipeline.settings.values import (
    EmailAddresses,
    HttpUrl,
    Owner,
    SmtpUrl,
    TableName,
    WebhookUrl,
)


class GeneralSettings(FromEnvironment):
    """What concerns no single destination."""

    database_url: SecretStr | None = Field(None, description="The PostgreSQL that holds the contacts table.")
    crm_sync_database_url: SecretStr | None = Field(
        None, description="The same, where DATABASE_URL is another program's: it wins over DATABASE_URL."
    )
    crm_sync_contacts_table: TableName = Field("contacts", description="The contacts table, or schema.table.")
    crm_sync_lease_seconds: int = Field(
        300, ge=60, le=3600, description="How long a claim lasts without progress, in seconds."
    )
    crm_sync_lag_limit_minutes: int = Field(
        15, ge=1, le=1440, description="A due contact that waits longer fails the check of the queue, in minutes."
    )
    crm_sync_error_limit_percent: float = Field(
        5, gt=0, le=100, description="More contacts in Error, of those that ended in the last day, fail the check."
    )
    crm_sync_owner: Owner = Field(
        "team:crm-sync", description="Who answers for jobs and assets in Dagster's UI: an e-mail address or team:name."
    )

    @property
    def database(self) -> SecretStr | None:
        """The URL of the PostgreSQL that holds the contacts table, from whichever variable counts."""
        return self.crm_sync_database_url or self.database_url

    @property
    def database_variable(self) -> str:
        """The name of the variable that `database` was read from; DATABASE_URL where neither is set."""
        return OUR_DATABASE_URL if self.crm_sync_database_url else DATABASE_URL


class DeliveryOptions(FromEnvironment):
    """What the settings of every destination have that is delivered to."""

    requests_per_second: float = Field(
        10, gt=0, le=10_000, description="The account's limit; a little less of it is used."
    )
    concurrency: int = Field(8, ge=1, le=64, description="Maximum concurrent requests.")
    skip_unchanged: bool = Field(
        False, description="Do not send a contact again whose data the CRM accepted last, if the CRM still has it."
    )


class SyncSettings(FromEnvironment):
    """Schedule, sensor and retries of one destination: `{CRM}_SYNC_...`."""

    scheduler_interval_minutes: int = Field(5, ge=1, le=1440, description="Minutes between scheduled runs.")
    scheduler_batch_size: int = Field(10, ge=1, le=50_000, description="Contacts that a scheduled run takes.")
    scheduler_max_instances: int = Field(1, ge=1, le=64, description="Runs at the same time.")
    sensor_batch_limit: int = Field(500, ge=1, le=50_000, description="Contacts that a run of the sensor takes.")
    max_retries: int = Field(3, ge=0, le=20, description="Retries after the first attempt.")
    retry_delay_minutes: int = Field(5, ge=1, le=1440, description="Minutes before the first retry.")
    retry_exponential: bool = Field(True, description="Double the wait each time (5, 10, 20), or add (5, 10, 15).")
    retry_rejected: bool = Field(True, description="Retry refused data too, so that a correction goes out by itself.")

    @field_validator("scheduler_interval_minutes")
    @classmethod
    def _fits_the_clock(cls, minutes: int) -> int:
        if (minutes < 60 and 60 % minutes) or (minutes >= 60 and (minutes % 60 or 1440 % minutes)):
            raise ValueError(
                "it must divide an hour or a day evenly: 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 360, "
                "480, 720 or 1440"
            )
        return minutes

    @property
    def cron(self) -> str:
        """The interval as a cron expression: '*/5 * * * *'."""
        minutes = self.scheduler_interval_minutes
        if minutes < 60:
            return f"*/{minutes} * * * *"
        return "0 0 * * *" if minutes == 1440 else f"0 */{minutes // 60} * * *"


class AlertSettings(FromEnvironment):
    """Whom to tell when something is wrong, how, and when; the limits of lag and errors are in GeneralSettings."""

    model_config = SettingsConfigDict(env_prefix="CRM_SYNC_")

    alert_webhook_url: WebhookUrl = Field(
        None, description='Alerts are posted here as {"text": ...}, which Slack takes as it is.'
    )
    alert_email_to: EmailAddresses = Field(
        None, description="Alerts are mailed to these addresses, with commas between them."
    )
    alert_email_from: EmailAddresses = Field(
        None, description="The sender of these mails; without it, the first that they go to."
    )
    smtp_url: SmtpUrl = Field(None, description="The mail server: smtp:// (STARTTLS where it is offered) or smtps://.")
    failed_runs_limit: int = Field(3, ge=1, le=100, description="This many failed runs of a job in a row are an alert.")
    ui_url: HttpUrl | None = Field(None, description="Where Dagster's UI is, for links to runs.")


class HistorySettings(FromEnvironment):
    """How long history is kept."""

    model_config = SettingsConfigDict(env_prefix="CRM_SYNC_")

    history_days: int = Field(90, ge=1, le=3650, description="Days that attempts are kept.")
    run_history_days: int = Field(30, ge=1, le=3650, description="Days that finished Dagster runs are kept.")
