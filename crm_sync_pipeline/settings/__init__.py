"""Every environment variable that no single destination owns, with default, bounds and meaning; how all are read."""

from crm_sync_pipeline.settings.base import DATABASE_URL, SettingsError
from crm_sync_pipeline.settings.groups import AlertSettings, GeneralSettings, HistorySettings, SyncSettings
from crm_sync_pipeline.settings.reading import Settings

__all__ = [
    "DATABASE_URL",
    "AlertSettings",
    "GeneralSettings",
    "HistorySettings",
    "Settings",
    "SettingsError",
    "SyncSettings",
]
