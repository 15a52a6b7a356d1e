"""HubSpot's settings, HUBSPOT_...: each with its default and meaning."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.settings.base import FromEnvironment
from crm_sync_pipeline.settings.values import HttpUrl


class HubspotSettings(FromEnvironment):
    """HubSpot's account and property names."""

    model_config = SettingsConfigDict(env_prefix="HUBSPOT_")

    api_key: SecretStr | None = Field(None, description="A private app's access token.")
    api_base_url: HttpUrl = Field("https://api.hubapi.com", description="Where HubSpot's API is.")
    custom_property_domain_id: str = Field("scrapersky_domain_id", description="Property for domain_id.")
    custom_property_page_id: str = Field("scrapersky_page_id", description="Property for page_id.")
    custom_property_sync_date: str = Field("scrapersky_sync_date", description="Property for the day of the sync.")
