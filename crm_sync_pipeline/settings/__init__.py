"""Every environment variable that no single destination owns, with default, bounds and meaning; how all are read."""

from crm_sync_pipeline.settings.base import DATABASE_URL, SettingsError
from crm_sync_pipeline.settings.groups import (
    AlertSettings,
    DeliveryOptions,
    GeneralSettings,
    HistorySettings,
    SyncSettings,
)
from crm_sync_pipeline.settings.reading import Settings
from crm_sync_pipeline.settings.values import HttpUrl

__all__ = [
    "DATABASE_URL",
    "AlertSettings",
    "DeliveryOptions",
    "GeneralSettings",
    "HistorySettings",
    "HttpUrl",
    "Settings",
    "SettingsError",
    "SyncSettings",
]
