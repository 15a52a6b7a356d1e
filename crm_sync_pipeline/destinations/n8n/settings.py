"""n8n's settings, N8N_...: each with its default, bounds and meaning, once."""

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.settings.groups import DeliveryOptions
from crm_sync_pipeline.settings.values import WebhookUrl


def _secret(value: SecretStr | None) -> SecretStr | None:
    text = value.get_secret_value().strip() if value is not None else ""
    if text.lower().startswith("bearer "):
        raise ValueError("it must be the secret alone: the word Bearer is sent before it")
    if text and not re.fullmatch("[!-~]+", text):
        raise ValueError("it must be one word of plain letters, digits and signs")
    return value


Secret = Annotated[SecretStr | None, AfterValidator(_secret)]


class N8nSettings(DeliveryOptions):
    """The n8n webhook. Whoever knows its address may call it, so the address counts as a secret."""

    model_config = SettingsConfigDict(env_prefix="N8N_")

    required: ClassVar[Sequence[str]] = ("webhook_url",)

    webhook_url: WebhookUrl = Field(None, description="The production URL of the workflow's webhook.")
    webhook_secret: Secret = Field(None, description="Sent as Authorization: Bearer.")
    delivers_without_email: bool = Field(False, description="Deliver contacts that have no e-mail address too.")
