"""Mautic's settings, MAUTIC_...: each with its default, bounds and meaning, once."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.settings.groups import DeliveryOptions
from crm_sync_pipeline.settings.values import HttpUrl

MOST_CONTACTS_PER_REQUEST = 200
"""What Mautic takes, unless its configuration has another `api_batch_max_limit`."""

_OURS = frozenset({"email", "firstname", "lastname", "phone", "tags", "id", "owner", "stage", "points", "lastactive"})


def tags_in(text: str | None) -> list[str]:
    """The tags of a setting, in order; none where it is not set."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _tags(value: str | None) -> str | None:
    if value is not None and any(tag.startswith("-") for tag in tags_in(value)):
        raise ValueError("no tag may begin with a minus: Mautic would take that tag away from each contact")
    return value


def _segment_id(value: object) -> object:
    if value is not None and not re.fullmatch(r"\s*[1-9][0-9]*\s*", str(value)):
        raise ValueError("it must be the whole number that Mautic shows beside the segment, such as 3")
    return value


def _alias(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,24}", value):
        raise ValueError("it must be the alias of a field in Mautic: up to 25 small letters, digits and underscores")
    if value in _OURS:
        raise ValueError("it must be another field: that one is used for something else")
    return value


SegmentId = Annotated[int | None, BeforeValidator(_segment_id)]
Tags = Annotated[str | None, AfterValidator(_tags)]
Alias = Annotated[str, AfterValidator(_alias)]


class MauticSettings(DeliveryOptions):
    """Mautic's address, login and pace."""

    model_config = SettingsConfigDict(env_prefix="MAUTIC_")

    base_url: HttpUrl | None = Field(None, description="Where your Mautic is.")
    client_id: str | None = Field(
        None, description="OAuth2 client id (public key), of a client with Client Credentials."
    )
    client_secret: SecretStr | None = Field(None, description="OAuth2 client secret.")
    username: SecretStr | None = Field(None, description="A user for basic auth, in place of an OAuth2 client.")
    password: SecretStr | None = Field(None, description="The password for basic auth.")
    batch_size: int = Field(50, ge=1, le=MOST_CONTACTS_PER_REQUEST, description="Contacts in one request.")
    timeout_seconds: float = Field(
        120, gt=0, le=900, description="For one whole request: a large Mautic takes minutes for 200 contacts."
    )
    tags: Tags = Field(None, description="Every synced contact gets these tags, with commas between them.")
    segment_id: SegmentId = Field(None, description="Every synced contact joins this segment.")
    field_domain_id: Alias = Field("scrapersky_domain_id", description="The alias of the field for domain_id.")
    field_page_id: Alias = Field("scrapersky_page_id", description="The alias of the field for page_id.")
    field_email_type: Alias = Field("scrapersky_email_type", description="The alias of the field for email_type.")
    field_source_url: Alias = Field("scrapersky_source_url", description="The alias of the field for source_url.")
    field_has_gmail: Alias = Field("scrapersky_has_gmail", description="The alias of the field for has_gmail.")

    @field_validator("username")
    @classmethod
    def _one_login(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value and info.data.get("client_id"):
            raise ValueError(
                "it must not be set beside MAUTIC_CLIENT_ID: unset one of them, so that it is clear how to log in"
            )
        return value

    @field_validator("field_page_id", "field_email_type", "field_source_url", "field_has_gmail")
    @classmethod
    def _own_field(cls, value: str, info: ValidationInfo) -> str:
        if value in [other for name, other in info.data.items() if name.startswith("field_")]:
            raise ValueError("it must be a field of its own: another MAUTIC_FIELD_ setting names that one")
        return value

    @property
    def missing(self) -> tuple[str, ...]:
        """The variables that are not set of those that lead to Mautic and let us in: an OAuth2 client, or a user."""
        login = ("username", "password") if self.username or self.password else ("client_id", "client_secret")
        return tuple(f"MAUTIC_{name.upper()}" for name in ("base_url", *login) if getattr(self, name) is None)
