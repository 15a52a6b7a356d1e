"""Mautic's settings, MAUTIC_...: each with its default and meaning."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.settings.base import FromEnvironment
from crm_sync_pipeline.settings.values import HttpUrl


class MauticSettings(FromEnvironment):
    """Mautic's address and OAuth2 client."""

    model_config = SettingsConfigDict(env_prefix="MAUTIC_")

    base_url: HttpUrl | None = Field(None, description="Where your Mautic is.")
    client_id: str | None = Field(None, description="OAuth2 client id.")
    client_secret: SecretStr | None = Field(None, description="OAuth2 client secret.")
