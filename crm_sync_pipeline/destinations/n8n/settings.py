"""n8n's settings, N8N_...: each with its default and meaning."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.settings.base import FromEnvironment
from crm_sync_pipeline.settings.values import WebhookUrl


class N8nSettings(FromEnvironment):
    """The n8n webhook. Whoever knows its address may call it, so the address counts as a secret."""

    model_config = SettingsConfigDict(env_prefix="N8N_")

    webhook_url: WebhookUrl = Field(None, description="The workflow's webhook.")
    webhook_secret: SecretStr | None = Field(None, description="Sent as Authorization: Bearer.")
