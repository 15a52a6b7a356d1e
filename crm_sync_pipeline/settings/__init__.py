"""Every environment variable, once, with its default, unit and meaning."""

from crm_sync_pipeline.settings.groups import (
    DATABASE_URL,
    AlertSettings,
    BrevoSettings,
    GeneralSettings,
    HistorySettings,
    HubspotSettings,
    MauticSettings,
    N8nSettings,
    Settings,
    SettingsError,
    SyncSettings,
    load_settings,
)

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
