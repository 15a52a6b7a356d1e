"""Reading all settings from the environment, with every mistake in one message."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import SecretStr, ValidationError

from crm_sync_pipeline.settings.base import ENV_FILE, FromEnvironment, SettingsError
from crm_sync_pipeline.settings.groups import AlertSettings, GeneralSettings, HistorySettings, SyncSettings

_Read = TypeVar("_Read", bound=FromEnvironment)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, read and checked. `destinations` and `sync` have one entry per destination, by its name."""

    general: GeneralSettings
    destinations: Mapping[str, FromEnvironment]
    sync: Mapping[str, SyncSettings]
    alerts: AlertSettings
    history: HistorySettings

    def of(self, kind: type[_Read]) -> _Read:
        """A destination's own settings, by the class of its group. SettingsError where they were not read."""
        for group in self.destinations.values():
            if isinstance(group, kind):
                return group
        raise SettingsError(f"{kind.__name__} was not read. Nothing was done. Read the settings with its destination.")


def load_settings(destinations: Mapping[str, type[FromEnvironment]]) -> Settings:
    """Read the environment, with a group for each of these destinations.

    SettingsError names each variable that is wrong, and what would be right.
    """
    _require_readable(Path(ENV_FILE))
    problems: list[str] = []
    general = _read(GeneralSettings, problems)
    own = {name: _read(group, problems) for name, group in destinations.items()}
    sync = {name: _read(SyncSettings, problems, f"{name.upper()}_SYNC_") for name in destinations}
    alerts = _read(AlertSettings, problems)
    history = _read(HistorySettings, problems)
    if problems:
        raise SettingsError(" ".join(problems))
    return Settings(general, own, sync, alerts, history)  # type: ignore[arg-type] # no problem, so none is None


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


def _read(kind: type[_Read], problems: list[str], prefix: str | None = None) -> _Read | None:
    prefix = kind.model_config.get("env_prefix", "") if prefix is None else prefix
    try:
        return kind(_env_prefix=prefix)
    except ValidationError as error:
        for problem in error.errors():
            field = str(problem["loc"][0])
            why = _WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
            if problem["type"] == "literal_error":
                why = f"it must be {problem['ctx']['expected']}"
            shown = "" if _is_secret(kind, field, problem["input"]) else f" is '{problem['input']}'"
            problems.append(f"{prefix}{field}".upper() + f"{shown}: {why[0].lower()}{why[1:]}.")
        return None


def _is_secret(kind: type[FromEnvironment], field: str, value: Any) -> bool:
    """Whether the value must not be shown: the field keeps secrets, or it is a URL with a user or a password."""
    declared = kind.model_fields[field].annotation
    return SecretStr in (declared, *get_args(declared)) or ("://" in str(value) and "@" in str(value))
