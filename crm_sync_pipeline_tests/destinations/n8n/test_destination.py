"""What n8n is sent of a contact, and how it is set up."""

import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.destinations.destination import NotReadyError
from crm_sync_pipeline.destinations.n8n.destination import N8n
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import Rejected
from crm_sync_pipeline.settings import SettingsError

URL = "https://n8n.example.com/webhook/path-that-nobody-may-see"
ID = UUID("00000000-0000-4000-8000-00000000000a")


def n8n(**changes: Any) -> N8n:
    return N8n(**{"webhook_url": URL, "webhook_secret": "s3cret", **changes})


def prepared(contact: Contact, **changes: Any) -> Record:
    record = n8n(**changes).prepare(contact)
    assert isinstance(record, Record)
    return record


def test_the_body_has_the_six_fields_of_the_requirement_and_no_other() -> None:
    before = datetime.now(timezone.utc)

    body = json.loads(
        prepared(Contact(ID, " Jane@EXAMPLE.com", " Jane  Doe ", "+1 415 555 2671", domain_id="d", page_id="p")).body
    )

    at = body.pop("timestamp")
    assert body == {
        "contact_id": str(ID),
        "email": "jane@example.com",
        "name": "Jane  Doe",
        "scrapersky_domain_id": "d",
        "scrapersky_page_id": "p",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at)
    assert timedelta(seconds=-1) < datetime.fromisoformat(at.replace("Z", "+00:00")) - before < timedelta(minutes=1)


def test_a_field_without_a_value_is_null_so_that_a_workflow_can_empty_it() -> None:
    body = json.loads(prepared(Contact(ID, "jane@example.com", "  ")).body)

    assert [body[name] for name in ("name", "scrapersky_domain_id", "scrapersky_page_id")] == [None, None, None]


def test_the_secret_travels_as_bearer_and_without_one_nothing_does() -> None:
    assert n8n(webhook_secret=' "s3cret"\n').headers()["Authorization"] == "Bearer s3cret"
    assert "Authorization" not in n8n(webhook_secret="").headers()


def test_a_request_carries_the_key_of_its_selection_and_data() -> None:
    record = prepared(Contact(ID, "jane@example.com", selection="1"))
    again = prepared(Contact(ID, "jane@example.com", selection="1"))
    selected_again = prepared(Contact(ID, "jane@example.com", selection="2"))

    keys = [n8n().headers_of_request([each])["Idempotency-Key"] for each in (record, again, selected_again)]

    assert keys[0] == keys[1] == record.idempotency_key
    assert keys[2] != keys[0]


def test_a_contact_without_an_address_is_refused_unless_a_setting_says_otherwise() -> None:
    nobody = Contact(ID, "", "Jane")
    refused = n8n().prepare(nobody)

    assert isinstance(refused, Attempt)
    assert refused.outcome == Rejected("no_email", "Contact has no email address")
    assert json.loads(prepared(nobody, delivers_without_email=True).body)["email"] is None
    malformed = n8n(delivers_without_email=True).prepare(Contact(ID, "j\u00e4ne@example.com"))
    assert isinstance(malformed, Attempt), "an address that is there must be one"


def test_of_the_url_nothing_shows_but_scheme_and_host() -> None:
    destination = n8n()
    call = destination.call_for(Contact(ID, "jane@example.com"))

    assert destination.base_url == "https://n8n.example.com"
    for shown in (repr(destination), str(destination), repr(call), str(call)):
        assert "nobody-may-see" not in shown
        assert "s3cret" not in shown


def test_the_environment_sets_it_and_a_missing_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().destinations["n8n"].missing == ("N8N_WEBHOOK_URL",)
    with pytest.raises(NotReadyError, match="N8N_WEBHOOK_URL is not set"):
        N8n.from_settings(load_settings()).require_ready()

    monkeypatch.setenv("N8N_WEBHOOK_URL", URL)
    monkeypatch.setenv("N8N_WEBHOOK_SECRET", "s3cret")
    monkeypatch.setenv("N8N_DELIVERS_WITHOUT_EMAIL", "true")
    monkeypatch.setenv("N8N_REQUESTS_PER_SECOND", "3")
    destination = N8n.from_settings(load_settings())

    assert load_settings().destinations["n8n"].missing == ()
    destination.require_ready()
    assert (destination.webhook_url, destination.webhook_secret) == (URL, "s3cret")
    assert (destination.base_url, destination.requests_per_second) == ("https://n8n.example.com", 3)
    assert not destination.needs_address


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("N8N_WEBHOOK_URL", "n8n.example.com/webhook/x-private", "must start with http:// or https://"),
        ("N8N_WEBHOOK_SECRET", "Bearer s3cret", "the word Bearer is sent before it"),
        ("N8N_WEBHOOK_SECRET", "s3cret with blanks", "one word of plain letters"),
        ("N8N_WEBHOOK_SECRET", "s\u00e9cret", "one word of plain letters"),
        ("N8N_DELIVERS_WITHOUT_EMAIL", "perhaps", "must be true or false"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_without_a_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=name) as refused:
        load_settings()

    assert why in str(refused.value)
    assert not re.search("s3cret|s\u00e9cret|private", str(refused.value))
