"""Every environment variable, once, with its default, unit and meaning."""

from crm_sync_pipeline.settings.base import DATABASE_URL, SettingsError
from crm_sync_pipeline.settings.groups import (
    AlertSettings,
    BrevoSettings,
    GeneralSettings,
    HistorySettings,
    HubspotSettings,
    MauticSettings,
    N8nSettings,
    SyncSettings,
)
from crm_sync_pipeline.settings.reading import Settings, load_settings

__all__ = [
    "DATABASE_URL",
    "AlertSettings",
    "BrevoSettings",
    "GeneralSettings",
    "HistorySettings",
    "HubspotSettings",
    "MauticSettings",
    "N8nSettings",
    "Settings",
    "SettingsError",
    "SyncSettings",
    "load_settings",
]
