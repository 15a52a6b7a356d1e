"""What HubSpot's variables may be, and what is said of a wrong one."""

import pytest

from crm_sync_pipeline.destinations import DESTINATIONS, load_settings
from crm_sync_pipeline.destinations.hubspot.settings import HubspotSettings, key_hint
from crm_sync_pipeline.settings import SettingsError


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HUBSPOT_PATH_PREFIX", "/crm/v4/objects/contacts", "it must be /crm/v3/objects/contacts, or that of a dated"),
        ("HUBSPOT_PATH_PREFIX", "/crm/v3/objects/deals", "it must be /crm/v3/objects/contacts"),
        ("HUBSPOT_PATH_PREFIX", "https://api.hubapi.com/crm/v3/objects/contacts", "it must be /crm/v3"),
        ("HUBSPOT_TIME_ZONE", "CET+1", "IANA name, such as Europe/Berlin"),
        ("HUBSPOT_TIME_ZONE", "../etc/passwd", "IANA name"),
        ("HUBSPOT_TIME_ZONE", "Europe", "IANA name"),
        ("HUBSPOT_CUSTOM_PROPERTY_PAGE_ID", "Page Id", "a property's internal name"),
        ("HUBSPOT_CUSTOM_PROPERTY_PAGE_ID", "email", "must not be one of HubSpot's own"),
        ("HUBSPOT_CUSTOM_PROPERTY_PAGE_ID", "scrapersky_domain_id", "the property of another setting as well"),
        ("HUBSPOT_CUSTOM_PROPERTY_SYNC_DATE", "scrapersky_page_id", "the property of another setting as well"),
        ("HUBSPOT_REQUESTS_PER_SECOND", "0", "greater than 0"),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert f"{name} is '{value}'" in str(refused.value)
    assert says in str(refused.value)


def test_a_key_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_API_KEY", "pat-na1-abc def")
    with pytest.raises(SettingsError, match="HUBSPOT_API_KEY: it must be one word") as refused:
        load_settings()
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("pat-na1-00000000-0000-4000-8000-000000000001", ""),
        ("'pat-eu1-00000000'", ""),
        ("00000000-0000-4000-8000-000000000001", "old API keys"),
        ("pat-na1-****", "shortened"),
        ("CJT5gY3nMhICAQIYzP", "does not begin with pat-"),
        ("", ""),
    ],
)
def test_what_is_visibly_wrong_with_a_key_is_said(key: str, says: str) -> None:
    hint = key_hint(key)
    assert (says in hint) if says else hint == ""


def test_the_destination_has_every_setting_as_the_environment_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "API_KEY": "pat-na1-x",
        "PATH_PREFIX": "crm/objects/2026-03/contacts/",
        "TIME_ZONE": "America/New_York",
        "CUSTOM_PROPERTY_DOMAIN_ID": "a",
        "CUSTOM_PROPERTY_PAGE_ID": "b",
        "CUSTOM_PROPERTY_SYNC_DATE": "c",
        "REQUESTS_PER_SECOND": "19",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"HUBSPOT_{name}", value)
    hubspot = DESTINATIONS["hubspot"].destination().from_settings(load_settings())
    assert (hubspot.requests_per_second, hubspot.base_url) == (19, "https://api.hubapi.com")
    assert (
        hubspot.model_dump().items() >= {"path_prefix": "/crm/objects/2026-03/contacts", "api_key": "pat-na1-x"}.items()
    )
    assert hubspot.model_dump()["time_zone"] == "America/New_York"
    assert "pat-na1-x" not in repr(hubspot)


def test_without_a_key_it_is_off_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUBSPOT_API_KEY", raising=False)
    settings = load_settings()
    hubspot = DESTINATIONS["hubspot"].destination()
    assert settings.of(HubspotSettings).missing == ("HUBSPOT_API_KEY",)
    with pytest.raises(SettingsError, match="HUBSPOT_API_KEY is not set"):
        hubspot.from_settings(settings).require_ready()
    assert settings.of(HubspotSettings).requests_per_second == 10
