"""What of the webhook's URL is shown, and what follows from it."""

import pytest

from crm_sync_pipeline.destinations.n8n.webhook import MASK, Webhook, origin_of

URL = "https://n8n.example.com/webhook/3f0c-secret-path/contacts%20in?token=abc123&x=1"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        (URL, "https://n8n.example.com"),
        ("http://user:password@n8n.example.com:5678/webhook/x", "http://n8n.example.com:5678"),
        ("https://[::1]:5678/webhook/x", "https://[::1]:5678"),
        ("HTTPS://N8N.example.com/x", "https://N8N.example.com"),
        ("", ""),
        ("/login?next=/webhook/x", ""),
        ("//n8n.example.com/x", ""),
        ("https://[/x", ""),
        ("ftp://n8n.example.com/x", ""),
    ],
)
def test_of_a_url_scheme_host_and_port_are_shown_and_nothing_else(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("url", "health"),
    [
        ("https://n8n.example.com/webhook/x", "https://n8n.example.com/healthz"),
        ("https://example.com/n8n/webhook/x", "https://example.com/n8n/healthz"),
        ("https://example.com:5678/webhook-test/x?y=/webhook/", "https://example.com:5678/healthz"),
        ("https://hooks.example.com/crm", "https://hooks.example.com/healthz"),
    ],
)
def test_n8n_is_asked_for_its_health_beside_its_webhooks(url: str, health: str) -> None:
    assert Webhook(url).health == health


def test_a_test_url_is_told_from_a_production_url() -> None:
    assert Webhook("https://n8n.example.com/webhook-test/x").is_for_tests
    assert not Webhook("https://n8n.example.com/webhook-test/x").is_for_production
    assert Webhook("https://n8n.example.com/webhook/webhook-tests").is_for_production
    assert not Webhook("https://n8n.example.com/webhook/webhook-tests").is_for_tests
    assert not Webhook("https://hooks.example.com/crm").is_for_production


@pytest.mark.parametrize(
    ("url", "openly"),
    [
        ("http://n8n.example.com/webhook/x", True),
        ("http://10.0.0.5:5678/webhook/x", True),
        ("https://n8n.example.com/webhook/x", False),
        ("http://localhost:5678/webhook/x", False),
        ("http://127.0.0.1:5678/webhook/x", False),
        ("http://[::1]:5678/webhook/x", False),
    ],
)
def test_http_to_another_machine_is_open_to_readers_on_the_way(url: str, openly: bool) -> None:
    assert Webhook(url).travels_openly is openly


@pytest.mark.parametrize(
    "said",
    [
        'The requested webhook "POST 3f0c-secret-path/contacts%20in" is not registered.',
        'The requested webhook "POST 3f0c-secret-path/contacts in" is not registered.',
        "Cannot POST /webhook/3f0c-secret-path/contacts%20in?token=abc123",
        f"{URL} timed out",
        "wrong token abc123",
        "3f0c-secret-path",
        "Bearer s3cret was refused",
    ],
)
def test_no_part_of_the_path_of_the_query_or_of_the_secret_is_left_in_a_message(said: str) -> None:
    shown = Webhook(URL, "s3cret").hidden_in(said)

    assert MASK in shown
    for part in ("3f0c", "contacts%20in", "contacts in", "abc123", "s3cret"):
        assert part not in shown


def test_what_merely_resembles_a_part_of_it_stays() -> None:
    webhook = Webhook("https://n8n.example.com/webhook/crm", "s")

    said = "The webhook of acrm has no crms: it is not registered"

    assert webhook.hidden_in(said) == said


def test_a_webhook_shows_nothing_of_itself() -> None:
    assert "secret" not in repr(Webhook(URL, "s3cret"))
    assert "s3cret" not in repr(Webhook(URL, "s3cret"))
