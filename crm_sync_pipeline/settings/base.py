"""What all groups of settings share: where they are read from, and how a wrong one is refused."""

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from crm_sync_pipeline.domain.errors import WrongUseError
from crm_sync_pipeline.settings.values import plain

DATABASE_URL = "DATABASE_URL"
OUR_DATABASE_URL = "CRM_SYNC_DATABASE_URL"
ENV_FILE = ".env"


class SettingsError(WrongUseError):
    """A setting is missing or wrong."""


class FromEnvironment(BaseSettings):
    """A group of settings; a subclass has a field for each variable."""

    # utf-8-sig, because older versions of python-dotenv take a byte order mark for a part of the first name.
    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8-sig", env_ignore_empty=True, extra="ignore", frozen=True
    )

    required: ClassVar[Sequence[str]] = ()
    """The fields without which nothing can be done; they are None, and not refused, where they are not set."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The variables of those required fields that are not set."""
        prefix = self.model_config["env_prefix"]
        return tuple(f"{prefix}{name}".upper() for name in self.required if getattr(self, name) is None)

    @model_validator(mode="before")
    @classmethod
    def _plain_and_not_blank(cls, values: dict[str, Any]) -> dict[str, Any]:
        """What is around a value is taken off, whichever setting it is; a blank one counts as unset."""
        bare = {name: plain(value) if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in bare.items() if value != ""}
