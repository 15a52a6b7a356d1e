"""MAUTIC_...: what each variable may be, and what is said of a wrong one."""

import pytest

from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline.destinations.destination import NotReadyError
from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.destinations.mautic.settings import MauticSettings
from crm_sync_pipeline.settings import SettingsError

OAUTH = {"MAUTIC_BASE_URL": "https://m.example", "MAUTIC_CLIENT_ID": "id", "MAUTIC_CLIENT_SECRET": "secret"}
BASIC = {"MAUTIC_BASE_URL": "https://m.example", "MAUTIC_USERNAME": "me", "MAUTIC_PASSWORD": "secret"}


def of(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Mautic:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Mautic.from_settings(load_settings())


def test_defaults_suit_a_large_mautic(monkeypatch: pytest.MonkeyPatch) -> None:
    mautic = of(monkeypatch, OAUTH)
    assert (mautic.limits.contacts_per_request, mautic.timeout_seconds) == (50, 120)
    mautic.require_ready()


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({}, "MAUTIC_BASE_URL MAUTIC_CLIENT_ID MAUTIC_CLIENT_SECRET"),
        ({"MAUTIC_BASE_URL": "https://m.example"}, "MAUTIC_CLIENT_ID MAUTIC_CLIENT_SECRET"),
        ({**OAUTH, "MAUTIC_CLIENT_SECRET": ""}, "MAUTIC_CLIENT_SECRET"),
        ({**BASIC, "MAUTIC_PASSWORD": ""}, "MAUTIC_PASSWORD"),
        ({**BASIC, "MAUTIC_USERNAME": ""}, "MAUTIC_USERNAME"),
        (OAUTH, ""),
        (BASIC, ""),
    ],
)
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], missing: str) -> None:
    mautic = of(monkeypatch, variables)
    assert load_settings().of(MauticSettings).missing == tuple(missing.split())
    if missing and "USERNAME" not in missing:
        with pytest.raises(NotReadyError, match=missing.split()[0]):
            mautic.require_ready()


def test_a_client_and_a_user_at_once_are_refused_by_name_and_the_user_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingsError, match=r"MAUTIC_USERNAME: it must not be set beside MAUTIC_CLIENT_ID") as refused:
        of(monkeypatch, {**OAUTH, **BASIC, "MAUTIC_USERNAME": "ann.example"})
    assert "ann.example" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("MAUTIC_BATCH_SIZE", "201", "200"),
        ("MAUTIC_BATCH_SIZE", "0", "1"),
        ("MAUTIC_TIMEOUT_SECONDS", "0", "greater than 0"),
        ("MAUTIC_SEGMENT_ID", "contacts", "whole number"),
        ("MAUTIC_TAGS", "crm, -old", "begin with a minus"),
        ("MAUTIC_FIELD_PAGE_ID", "Page-Id", "alias of a field"),
        ("MAUTIC_FIELD_PAGE_ID", "x" * 26, "alias of a field"),
        ("MAUTIC_FIELD_PAGE_ID", "email", "another field"),
        ("MAUTIC_FIELD_PAGE_ID", "scrapersky_domain_id", "field of its own"),
        ("MAUTIC_BASE_URL", "mautic", "http"),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        of(monkeypatch, {**OAUTH, name: value})
    assert why in str(refused.value)


def test_a_limit_of_one_contact_per_request_is_read_as_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of(monkeypatch, {**OAUTH, "MAUTIC_BATCH_SIZE": "1"}).limits.contacts_per_request == 1
