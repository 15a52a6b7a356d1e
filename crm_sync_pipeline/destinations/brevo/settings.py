"""Brevo's settings, BREVO_...: each with its default, bounds and meaning, once."""

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.settings.groups import DeliveryOptions
from crm_sync_pipeline.settings.values import HttpUrl, plain


def key_hint(key: str) -> str:
    """What is visibly wrong with a key of Brevo's, as a sentence without any part of it; "" where nothing is."""
    bare = plain(key)
    if bare.lower().startswith("xsmtpsib-"):
        return "The key that is set is an SMTP key: create an API key, which Brevo lists on another tab"
    if re.search(r"\.{2,}|…|[*•·]|x{6,}", bare, re.IGNORECASE):
        return "The key that is set is shortened, or a placeholder: Brevo shows the whole key once, when it is created"
    if re.search(r"""[\s"'`“”„\u2018\u2019«»]""", bare):
        return "The key that is set has quotes or blanks inside: set the key alone"
    if bare and not bare.startswith("xkeysib-"):
        return "The key that is set does not begin with xkeysib-, as Brevo's v3 keys do"
    return ""


def _key(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not re.fullmatch(r"\s*[!-~]+\s*", value.get_secret_value()):
        hint = key_hint(value.get_secret_value())
        must = "it must be one word of plain letters, digits and signs, as Brevo shows it"
        raise ValueError(f"{must}. {hint}" if hint else must)
    return value


def _region(value: str | None) -> str | None:
    if value and value.upper() not in SUPPORTED_REGIONS:
        raise ValueError("it must be a country's two letters, such as US or DE")
    return value and value.upper()


def _list_id(value: object) -> object:
    if value is not None and not re.fullmatch(r"\s*[1-9][0-9]*\s*", str(value)):
        raise ValueError("it must be the whole number that Brevo shows beside the list, such as 3")
    return value


Key = Annotated[SecretStr | None, AfterValidator(_key)]
ListId = Annotated[int | None, BeforeValidator(_list_id)]
Region = Annotated[str | None, AfterValidator(_region)]


class BrevoSettings(DeliveryOptions):
    """Brevo's account and pace."""

    model_config = SettingsConfigDict(env_prefix="BREVO_")

    required: ClassVar[Sequence[str]] = ("api_key",)

    api_key: Key = Field(None, description="A v3 key (xkeysib-...).")
    api_base_url: HttpUrl = Field("https://api.brevo.com/v3", description="Where Brevo's API is.")
    list_id: ListId = Field(None, description="Every synced contact joins this list.")
    sms_in_use: Literal["omit", "reject"] = Field(
        "omit",
        description="A phone number that another contact has at Brevo: omit delivers the contact without it, reject "
        "refuses the contact.",
    )
    on_address_change: Literal["move", "new"] = Field(
        "move",
        description="A delivered contact whose e-mail address has changed: move changes it at Brevo, unless its owner "
        "has opted out there; new makes another contact, to which an opt-out does not apply.",
    )
    phone_region: Region = Field(
        None,
        description="The country of phone numbers that have no country code, as two letters; "
        "without it they are left out.",
    )
    bulk_import: bool = Field(
        False, description="Deliver a long queue by Brevo's import; it needs a list, and may touch the blocklist."
    )
    bulk_threshold: int = Field(5000, ge=1, le=50_000, description="From how many due contacts on to import.")
    bulk_batch_limit: int = Field(50_000, ge=1, le=50_000, description="Contacts that a run takes that imports.")
