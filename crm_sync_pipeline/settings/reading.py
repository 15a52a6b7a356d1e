"""Reading all settings from the environment, with every mistake in one message."""

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from crm_sync_pipeline.settings.base import DATABASE_URL, ENV_FILE, OUR_DATABASE_URL, FromEnvironment, SettingsError
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


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, read and checked. `sync` has one entry a CRM, by its name."""

    general: GeneralSettings
    brevo: BrevoSettings
    hubspot: HubspotSettings
    mautic: MauticSettings
    n8n: N8nSettings
    sync: dict[str, SyncSettings]
    alerts: AlertSettings
    history: HistorySettings


def load_settings() -> Settings:
    """Read the environment. SettingsError names each variable that is wrong, and what would be right."""
    _require_readable(Path(ENV_FILE))
    problems: list[str] = []
    general = _read(GeneralSettings, "", problems)
    brevo = _read(BrevoSettings, "BREVO_", problems)
    hubspot = _read(HubspotSettings, "HUBSPOT_", problems)
    mautic = _read(MauticSettings, "MAUTIC_", problems)
    n8n = _read(N8nSettings, "N8N_", problems)
    sync = {crm: _read(SyncSettings, f"{crm.upper()}_SYNC_", problems) for crm in ("brevo", "hubspot", "mautic", "n8n")}
    alerts = _read(AlertSettings, "CRM_SYNC_", problems)
    history = _read(HistorySettings, "CRM_SYNC_", problems)
    if problems:
        raise SettingsError(" ".join(problems))
    return Settings(general, brevo, hubspot, mautic, n8n, sync, alerts, history)  # type: ignore[arg-type] # no problem, so none is None


def _require_readable(file: Path) -> None:
    """SettingsError where the file is there and is not text in UTF-8, with a byte order mark or without."""
    try:
        content = file.read_bytes() if file.is_file() else b""
    except OSError as error:
        raise SettingsError(
            f"{file} can't be read: {error.strerror or error}. Make it readable, or remove it."
        ) from None
    try:
        is_text = "\0" not in content.decode("utf-8-sig")
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content
        what = "is in UTF-16, not in UTF-8" if wide else "is not a text file in UTF-8"
        raise SettingsError(f"{file} {what}, so no setting was read. Save it again with the encoding UTF-8.")


_WORDS = {
    "bool_parsing": "it must be true or false",
    "int_parsing": "it must be a whole number",
    "float_parsing": "it must be a number",
}

_SECRET_URLS = (DATABASE_URL, OUR_DATABASE_URL, "CRM_SYNC_ALERT_WEBHOOK_URL", "CRM_SYNC_SMTP_URL")

_Read = TypeVar("_Read", bound=FromEnvironment)


def _read(kind: type[_Read], prefix: str, problems: list[str]) -> _Read | None:
    try:
        return kind(_env_prefix=prefix)
    except ValidationError as error:
        for problem in error.errors():
            name = f"{prefix}{problem['loc'][0]}".upper()
            why = _WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
            if problem["type"] == "literal_error":
                why = f"it must be {problem['ctx']['expected']}"
            secret = "KEY" in name or "SECRET" in name or name in _SECRET_URLS
            shown = "" if secret else f" is '{problem['input']}'"
            problems.append(f"{name}{shown}: {why[0].lower()}{why[1:]}.")
        return None
