"""HubSpot's settings, HUBSPOT_...: each with its default, bounds and meaning, once."""

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.settings.groups import DeliveryOptions
from crm_sync_pipeline.settings.values import HttpUrl, plain

PATH_PREFIX = re.compile(r"/crm/(?:v3/objects|objects/(?P<version>\d{4}-\d{2}))/(?:contacts|0-1)")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_OURS_ALREADY = frozenset({"email", "firstname", "lastname", "phone", "lifecyclestage", "hs_object_id"})


def key_hint(key: str) -> str:
    """What is visibly wrong with an access token, as a sentence without any part of it; "" where nothing is."""
    bare = plain(key)
    if _UUID.fullmatch(bare):
        return (
            "The key that is set looks like one of HubSpot's old API keys, or an app's client secret: create a service "
            "key (Development > Keys), and use its access token"
        )
    if re.search(r"\.{2,}|…|[*•·]|x{6,}", bare, re.IGNORECASE):
        return "The key that is set is shortened, or a placeholder: copy the whole access token"
    if re.search(r"""[\s"'`“”„\u2018\u2019«»]""", bare):
        return "The key that is set has quotes or blanks inside: set the access token alone"
    if bare and not bare.startswith("pat-"):
        return "The key that is set does not begin with pat-, as the tokens of private apps and service keys do"
    return ""


def _key(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not re.fullmatch(r"\s*[!-~]+\s*", value.get_secret_value()):
        hint = key_hint(value.get_secret_value())
        must = "it must be one word of plain letters, digits and signs, as HubSpot shows it"
        raise ValueError(f"{must}. {hint}" if hint else must)
    return value


def _path_prefix(value: str) -> str:
    bare = f"/{value.strip('/')}"
    if not PATH_PREFIX.fullmatch(bare):
        raise ValueError(
            "it must be /crm/v3/objects/contacts, or that of a dated version, such as /crm/objects/2026-03/contacts"
        )
    return bare


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown; a path; a folder
        raise ValueError("it must be a time zone's IANA name, such as Europe/Berlin or America/New_York") from None
    return value


def _property_name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", value):
        raise ValueError("it must be a property's internal name: small letters, digits and underscores")
    if value in _OURS_ALREADY:
        raise ValueError("it must not be one of HubSpot's own properties")
    return value


Key = Annotated[SecretStr | None, AfterValidator(_key)]
PathPrefix = Annotated[str, AfterValidator(_path_prefix)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
PropertyName = Annotated[str, AfterValidator(_property_name)]


class HubspotSettings(DeliveryOptions):
    """HubSpot's account, its property names, and pace."""

    model_config = SettingsConfigDict(env_prefix="HUBSPOT_")

    required: ClassVar[Sequence[str]] = ("api_key",)

    api_key: Key = Field(None, description="The access token of a service key or a private app (pat-...).")
    api_base_url: HttpUrl = Field("https://api.hubapi.com", description="Where HubSpot's API is.")
    path_prefix: PathPrefix = Field(
        "/crm/v3/objects/contacts",
        description="The API's version, by its path: v3, or a dated one such as /crm/objects/2026-03/contacts.",
    )
    time_zone: TimeZone = Field(
        "UTC", description="The account's time zone, as an IANA name: the daily limit ends at its midnight."
    )
    custom_property_domain_id: PropertyName = Field("scrapersky_domain_id", description="Property for domain_id.")
    custom_property_page_id: PropertyName = Field("scrapersky_page_id", description="Property for page_id.")
    custom_property_sync_date: PropertyName = Field(
        "scrapersky_sync_date", description="Property for the day of the sync."
    )

    @field_validator("custom_property_page_id", "custom_property_sync_date")
    @classmethod
    def _is_the_only_one(cls, name: str, others: ValidationInfo) -> str:
        if name in {value for field, value in others.data.items() if field.startswith("custom_property_")}:
            raise ValueError("it must not be the property of another setting as well")
        return name
